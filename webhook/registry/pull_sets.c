/* What was read of pull secrets, kept by what a template names; and the scope that their logins make for an image. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube/image.h"
#include "kube/name.h"
#include "registry/pull_secrets.h"
#include "registry/settings.h"

#define ARENA_MAX ((size_t)256 << 10)

/* ---- sets ---- */

static void drop_set(struct mg_entry *entry) {
  struct mg_pull_set *set = (struct mg_pull_set *)entry;
  set->sets->bytes -= mg_keyring_size(set->keyring);
  mg_keyring_unref(set->keyring);
  free(set);
}

int mg_pull_sets_init(struct mg_pull_sets *sets) {
  return mg_table_init(&sets->table, MG_PULL_SETS_MAX, drop_set);
}

void mg_pull_sets_fini(struct mg_pull_sets *sets) {
  mg_table_fini(&sets->table);
}

static void put(char *room, size_t *n, const char *mark, mg_str name) {
  *n += (size_t)snprintf(room + *n, MG_PULL_KEY_ROOM - *n, "%s%.*s", mark, MG_FMT(name));
}

/* The namespace, then a line for each, which begins with what it is: no name has a newline or a colon. What is no name could lead
 * to another place, and is left out. */
mg_str mg_pull_key(const struct mg_image_query *query, char room[MG_PULL_KEY_ROOM]) {
  size_t n = 0, before;
  if (!mg_name_is_dns_label(query->ns)) return (mg_str){0};
  put(room, &n, "", query->ns);
  before = n;
  for (uint32_t i = 0; i < query->secret_count && i < MG_PULL_NAMES_MAX; i++)
    if (mg_name_is_dns_subdomain(query->secrets[i])) put(room, &n, "\nS:", query->secrets[i]);
  if (!query->secret_count && mg_name_is_dns_subdomain(query->account)) put(room, &n, "\nA:", query->account);
  return n > before ? (mg_str){room, n} : (mg_str){0};
}

const struct mg_pull_set *mg_pull_set_of(struct mg_pull_sets *sets, mg_str key, int64_t now) {
  const struct mg_pull_set *set = (const struct mg_pull_set *)mg_table_get(&sets->table, key);
  return set && now < set->until ? set : NULL;
}

void mg_pull_set_doubt(struct mg_pull_sets *sets, mg_str key) {
  struct mg_pull_set *set = (struct mg_pull_set *)mg_table_get(&sets->table, key);
  if (set && set->until > set->read + MG_PULL_AGAIN_MS) set->until = set->read + MG_PULL_AGAIN_MS;
}

/* ---- scopes ---- */

static bool mix(EVP_MD_CTX *hash, mg_str s) {
  return EVP_DigestUpdate(hash, &s.n, sizeof s.n) == 1 && EVP_DigestUpdate(hash, s.p ? s.p : "", s.n) == 1;
}

/* The logins for one place that an image can be had from. */
static bool mix_logins(EVP_MD_CTX *hash, const struct mg_keyring *keyring, mg_str domain, mg_str path, uint32_t *count) {
  struct mg_login logins[MG_LOGINS_MAX];
  uint32_t n = mg_keyring_match(keyring, domain, path, logins);
  bool good = mix(hash, domain) && EVP_DigestUpdate(hash, &n, sizeof n) == 1;
  for (uint32_t i = 0; i < n && good; i++) good = mix(hash, logins[i].user) && mix(hash, logins[i].secret);
  *count += n;
  return good;
}

static bool digest(EVP_MD_CTX *hash, char room[MG_SCOPE_ROOM], mg_str *ret) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  if (EVP_DigestFinal_ex(hash, bytes, &n) != 1) return false;
  for (unsigned i = 0; i < n; i++) snprintf(room + (size_t)2 * i, 3, "%02x", bytes[i]);
  *ret = (mg_str){room, (size_t)2 * n};
  return true;
}

bool mg_pull_scope(const struct mg_settings *settings, const struct mg_keyring *keyring, mg_str reference,
                   char room[MG_SCOPE_ROOM], mg_str *ret) {
  struct mg_arena arena;
  struct mg_image image;
  uint32_t count = 0;
  *ret = (mg_str){0};
  mg_arena_init(&arena, ARENA_MAX, 0);
  bool parsed = mg_image_parse_normalised(&arena, reference, &image), good = !arena.failed;
  EVP_MD_CTX *hash = parsed && keyring ? EVP_MD_CTX_new() : NULL;
  if (parsed && keyring) {
    const struct mg_registry_host *doc = mg_settings_host(settings, image.domain);
    good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
    if (good && doc && doc->mirror.n) good = mix_logins(hash, keyring, doc->mirror, image.path, &count);
    good = good && mix_logins(hash, keyring, image.domain, image.path, &count);
    if (good && count) good = digest(hash, room, ret);
  }
  EVP_MD_CTX_free(hash);
  mg_arena_fini(&arena);
  return good;
}
