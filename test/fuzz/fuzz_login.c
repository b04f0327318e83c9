/* CONFIG.JSON, a line %%, DOMAIN, a line %%, PATH: logins of an image. Two of one file say what one says. */
#include "fuzz.h"
#include "registry/keyring.h"

static void check(const struct mg_keyring *ring, const struct mg_keyring *twice, mg_str domain, mg_str path) {
  struct mg_login one[MG_LOGINS_MAX], two[MG_LOGINS_MAX];
  uint32_t n = mg_keyring_match(ring, domain, path, one), m = mg_keyring_match(twice, domain, path, two);
  FUZZ_CHECK(n <= MG_LOGINS_MAX && m <= MG_LOGINS_MAX && n <= m, "%u logins, and %u", n, m);
  for (uint32_t i = 0; i < n; i++) FUZZ_CHECK(one[i].user.n + one[i].secret.n > 0, "an empty login");
  if (n) FUZZ_CHECK(mg_str_eq(one[0].user, two[0].user) && mg_str_eq(one[0].secret, two[0].secret), "another is the best");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str path = {(const char *)data, size}, config = fuzz_part(&path), domain = fuzz_part(&path);
  struct mg_keyring *ring = NULL, *twice = NULL;
  struct mg_err err = {0};
  bool good[2];
  int code = mg_keyring_new(&ring, config, &err);
  FUZZ_CHECK((code == 0) == (ring != NULL) && (code == 0 || err.text[0]), "code %d", code);
  FUZZ_CHECK(mg_keyring_merge(&twice, (const mg_str[]){config, config}, 2, good, &err) == 0, "cannot be merged");
  FUZZ_CHECK(good[0] == (code == 0) && good[1] == good[0], "good alone, or together");
  if (code == 0) check(ring, twice, domain, path);
  mg_keyring_unref(ring);
  mg_keyring_unref(twice);
  return 0;
}
