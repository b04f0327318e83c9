#include <openssl/evp.h>

#include "base/ascii.h"
#include "registry/manifest.h"

static const struct algorithm {
  mg_str prefix;
  size_t bytes;
  const EVP_MD *(*md)(void);
} algorithms[] = {{{"sha256:", 7}, 32, EVP_sha256}, {{"sha512:", 7}, 64, EVP_sha512}};

static const struct algorithm *algorithm_of(mg_str digest) {
  for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
    if (mg_str_starts(digest, algorithms[i].prefix)) return &algorithms[i];
  return NULL;
}

bool mg_digest_is_valid(mg_str digest) {
  const struct algorithm *algorithm = algorithm_of(digest);
  if (!algorithm || digest.n != algorithm->prefix.n + 2 * algorithm->bytes) return false;
  for (size_t i = algorithm->prefix.n; i < digest.n; i++) {
    char c = digest.p[i];
    if (!mg_is_hex(c)) return false;
  }
  return true;
}

/* Writes 2 * bytes hexadecimal digits. */
static bool hash(const struct algorithm *algorithm, mg_str bytes, char *to) {
  static const char digits[] = "0123456789abcdef";
  unsigned char md[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  if (EVP_Digest(bytes.n ? bytes.p : "", bytes.n, md, &n, algorithm->md(), NULL) != 1 || n != algorithm->bytes) return false;
  for (unsigned i = 0; i < n; i++) {
    to[2 * i] = digits[md[i] >> 4];
    to[2 * i + 1] = digits[md[i] & 15];
  }
  return true;
}

bool mg_digest_matches(mg_str digest, mg_str bytes) {
  char hex[2 * EVP_MAX_MD_SIZE];
  if (!mg_digest_is_valid(digest)) return false;
  const struct algorithm *algorithm = algorithm_of(digest);
  return hash(algorithm, bytes, hex) && memcmp(hex, digest.p + algorithm->prefix.n, 2 * algorithm->bytes) == 0;
}

mg_str mg_digest_of(struct mg_arena *arena, mg_str bytes) {
  char hex[2 * EVP_MAX_MD_SIZE];
  if (!hash(&algorithms[0], bytes, hex)) return (mg_str){0};
  return mg_arena_printf(arena, "sha256:%.64s", hex);
}
