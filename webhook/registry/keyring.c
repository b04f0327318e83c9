#include "registry/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/read.h"
#include "doc/json.h"

#define KEYS_MAX 1000
#define HUB_KEY "index.docker.io"
#define LABEL_MAX 256

struct key {
  mg_str whole, host, port, path; /* whole: as keys are sorted */
  uint32_t number;                /* as they came */
  struct mg_login login;
};

struct mg_keyring {
  uint32_t refs, count;
  size_t store_size, used;
  char *store; /* every string; wiped when it goes */
  struct key keys[];
};

static mg_str keep(struct mg_keyring *ring, mg_str s) {
  if (s.n > ring->store_size - ring->used) return (mg_str){0};
  char *to = ring->store + ring->used;
  if (s.n) memcpy(to, s.p, s.n);
  ring->used += s.n;
  return (mg_str){to, s.n};
}

/* ---- keys ---- */

static mg_str without(mg_str s, mg_str prefix) {
  return mg_str_starts(s, prefix) ? mg_str_from(s, prefix.n) : s;
}

static bool is_number(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (!mg_is_digit(s.p[i])) return false;
  return true;
}

static bool is_host(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7F || strchr("<>\"\\^`{}|%", s.p[i])) return false;
  return s.n > 0;
}

static void split_port(mg_str s, mg_str *ret_host, mg_str *ret_port) {
  size_t colon = s.n;
  for (size_t i = s.n; i-- > 0 && s.p[i] != ']';)
    if (s.p[i] == ':') {
      colon = i;
      break;
    }
  *ret_host = (mg_str){s.p, colon};
  *ret_port = mg_str_from(s, colon + 1);
}

/* A URL, or one without its scheme, as Go reads it. False: the entry is ignored. */
static bool split_key(mg_str text, struct key *ret) {
  mg_str s = without(without(text, MG_S("https://")), MG_S("http://"));
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] == '?' || s.p[i] == '#') s.n = i;
  size_t slash = mg_str_find(s, '/');
  mg_str authority = {s.p, slash}, path = mg_str_from(s, slash);
  size_t at = mg_str_find(authority, '@');
  if (at < authority.n) authority = mg_str_from(authority, at + 1);
  split_port(authority, &ret->host, &ret->port);
  bool literal = ret->host.n && ret->host.p[0] == '[';
  if (!is_host(ret->host) || !is_number(ret->port) || (literal && ret->host.p[ret->host.n - 1] != ']')) return false;
  if (mg_str_starts(path, MG_S("/v1/")) || mg_str_starts(path, MG_S("/v2/"))) path = mg_str_from(path, 3);
  ret->path = mg_str_is(path, "/") ? (mg_str){0} : path;
  return true;
}

/* Labels match one by one, so that no "*" reaches over a dot. */
static bool host_matches(mg_str pattern, mg_str host) {
  char p[LABEL_MAX], h[LABEL_MAX];
  if (pattern.n && pattern.p[0] == '[') return mg_str_eq(pattern, host); /* an address of IPv6 */
  for (;;) {
    size_t pn = mg_str_find(pattern, '.'), hn = mg_str_find(host, '.');
    if (pn >= sizeof p || hn >= sizeof h || (pn == pattern.n) != (hn == host.n)) return false;
    if (pn) memcpy(p, pattern.p, pn);
    if (hn) memcpy(h, host.p, hn);
    p[pn] = h[hn] = '\0';
    if (fnmatch(p, h, 0) != 0) return false;
    if (pn == pattern.n) return true;
    pattern = mg_str_from(pattern, pn + 1);
    host = mg_str_from(host, hn + 1);
  }
}

/* The key's path is a plain prefix of "/path", without regard to segments. */
static bool path_matches(mg_str prefix, mg_str path) {
  return prefix.n == 0 || mg_str_starts(path, mg_str_from(prefix, 1));
}

uint32_t mg_keyring_match(const struct mg_keyring *ring, mg_str domain, mg_str path, struct mg_login ret[MG_LOGINS_MAX]) {
  mg_str host, port;
  uint32_t n = 0;
  if (!ring) return 0;
  split_port(domain, &host, &port);
  for (uint32_t i = 0; i < ring->count && n < MG_LOGINS_MAX; i++) {
    const struct key *k = &ring->keys[i];
    if (mg_str_eq(k->port, port) && host_matches(k->host, host) && path_matches(k->path, path)) ret[n++] = k->login;
  }
  if (n || !mg_str_is(domain, "docker.io")) return n;
  for (uint32_t i = 0; i < ring->count && n < MG_LOGINS_MAX; i++)
    if (mg_str_is(ring->keys[i].whole, HUB_KEY)) ret[n++] = ring->keys[i].login;
  return n;
}

/* ---- the file ---- */

static int value_of(char c) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

bool mg_keyring_decode(mg_str s, char *to, size_t *ret_n) {
  size_t n = 0;
  uint32_t word = 0, bits = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '=') continue;
    int value = value_of(s.p[i]);
    if (value < 0) return false;
    word = (word << 6 | (uint32_t)value) & 0xFFFFu;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    to[n++] = (char)(word >> bits & 0xFF);
  }
  *ret_n = n;
  return true;
}

/* Into the store. */
static bool decode(struct mg_keyring *ring, mg_str s, mg_str *ret) {
  *ret = (mg_str){ring->store + ring->used, 0};
  if (s.n > ring->store_size - ring->used || !mg_keyring_decode(s, ring->store + ring->used, &ret->n)) return false;
  ring->used += ret->n;
  return true;
}

static bool read_login(struct mg_keyring *ring, mg_node entry, struct mg_login *ret) {
  mg_str auth = mg_string(MG_GET(entry, "auth")), plain;
  if (auth.n == 0) {
    *ret = (struct mg_login){keep(ring, mg_string(MG_GET(entry, "username"))), keep(ring, mg_string(MG_GET(entry, "password")))};
    return ret->user.n || ret->secret.n;
  }
  if (!decode(ring, auth, &plain)) return false;
  size_t colon = mg_str_find(plain, ':');
  if (colon == plain.n) return false;
  *ret = (struct mg_login){{plain.p, colon}, mg_str_from(plain, colon + 1)};
  return true;
}

static void read_entry(struct mg_keyring *ring, mg_str name, mg_node entry) {
  struct key *k = &ring->keys[ring->count];
  *k = (struct key){.number = ring->count};
  if (!split_key(keep(ring, name), k) || !read_login(ring, entry, &k->login)) return;
  size_t begin = ring->used;
  keep(ring, k->host);
  if (k->port.n) keep(ring, MG_S(":"));
  keep(ring, k->port);
  keep(ring, k->path);
  k->whole = (mg_str){ring->store + begin, ring->used - begin};
  ring->count++;
}

/* Reverse byte order: of two keys the longer comes first. */
static int by_key(const void *a, const void *b) {
  const struct key *x = a, *y = b;
  int order = mg_str_cmp(y->whole, x->whole);
  return order ? order : x->number < y->number ? -1 : 1;
}

/* Escaped strings were copied into the arena. */
void mg_keyring_wipe(struct mg_doc *doc) {
  for (uint32_t i = 1; i < doc->count; i++) {
    const struct mg_cell *c = &doc->cells[i];
    bool copied = c->kind == MG_STRING && c->text != doc->source.p + c->start + 1;
    if (copied && c->len) OPENSSL_cleanse((void *)(uintptr_t)c->text, c->len);
  }
}

static int add(struct mg_keyring *ring, mg_str json, struct mg_err *err) {
  struct mg_arena arena;
  struct mg_doc doc = {0};
  struct mg_read how = {.limits = {.bytes = MG_KEYRING_FILE_MAX, .depth = 16, .cells = 65536}, .last_wins = true};
  mg_arena_init(&arena, (size_t)16 << 20, 0);
  int code = mg_json_read(&doc, &arena, json, &how, err);
  if (code == 0) {
    mg_node auths = MG_GET(mg_root(&doc), "auths");
    if (!mg_is(auths, MG_OBJECT)) auths = mg_root(&doc);
    for (mg_node k = mg_first(auths); k.at && ring->count < KEYS_MAX; k = mg_next(k))
      if (mg_is(k, MG_KEY) && mg_is(mg_value(k), MG_OBJECT)) read_entry(ring, mg_text(k), mg_value(k));
    mg_keyring_wipe(&doc);
  }
  mg_arena_fini(&arena);
  return code;
}

static struct mg_keyring *ring_new(const mg_str *jsons, uint32_t count) {
  size_t store_size = 16;
  for (uint32_t i = 0; i < count; i++) store_size += jsons[i].n * 2;
  struct mg_keyring *ring = calloc(1, sizeof *ring + KEYS_MAX * sizeof *ring->keys);
  char *store = malloc(store_size);
  if (!ring || !store) {
    free(ring);
    free(store);
    return NULL;
  }
  *ring = (struct mg_keyring){.refs = 1, .store = store, .store_size = store_size};
  return ring;
}

static struct mg_keyring *sorted(struct mg_keyring *ring) {
  qsort(ring->keys, ring->count, sizeof *ring->keys, by_key);
  struct mg_keyring *smaller = realloc(ring, sizeof *ring + ring->count * sizeof *ring->keys); /* no secret is moved */
  return smaller ? smaller : ring;
}

int mg_keyring_merge(struct mg_keyring **ret, const mg_str *jsons, uint32_t count, bool *ret_good, struct mg_err *err) {
  struct mg_keyring *ring = ring_new(jsons, count);
  *ret = NULL;
  if (!ring) return mg_err_nomem(err);
  for (uint32_t i = 0; i < count; i++) ret_good[i] = add(ring, jsons[i], NULL) == 0;
  *ret = sorted(ring);
  return 0;
}

int mg_keyring_new(struct mg_keyring **ret, mg_str json, struct mg_err *err) {
  struct mg_keyring *ring = ring_new(&json, 1);
  *ret = NULL;
  if (!ring) return mg_err_nomem(err);
  int code = add(ring, json, err);
  if (code == 0) *ret = sorted(ring);
  else mg_keyring_unref(ring);
  return code;
}

size_t mg_keyring_size(const struct mg_keyring *ring) {
  return sizeof *ring + ring->store_size + ring->count * sizeof *ring->keys;
}

int mg_keyring_read(struct mg_keyring **ret, const char *path, struct mg_err *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  char *text = fd < 0 ? NULL : malloc(MG_KEYRING_FILE_MAX + 1);
  ssize_t n = text ? mg_read_all(fd, text, MG_KEYRING_FILE_MAX + 1) : 0;
  int code = 0;
  *ret = NULL;
  if (fd < 0 || n < 0)
    code = mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(errno));
  else if (!text)
    code = mg_err_nomem(err);
  else if ((size_t)n > MG_KEYRING_FILE_MAX)
    code = mg_err_set(err, MG_E_LIMIT, "%s: larger than %zu bytes", path, MG_KEYRING_FILE_MAX);
  else if ((code = mg_keyring_new(ret, (mg_str){text, (size_t)n}, NULL)) == MG_E_NOMEM)
    code = mg_err_nomem(err);
  else if (code < 0)
    code = mg_err_set(err, MG_E_INVALID, "%s: no Docker config.json", path); /* the reader's text might show what is in it */
  if (fd >= 0) close(fd);
  if (text) OPENSSL_cleanse(text, MG_KEYRING_FILE_MAX + 1);
  free(text);
  return code;
}

struct mg_keyring *mg_keyring_ref(struct mg_keyring *ring) {
  if (ring) ring->refs++;
  return ring;
}

void mg_keyring_unref(struct mg_keyring *ring) {
  if (!ring || --ring->refs) return;
  OPENSSL_cleanse(ring->store, ring->used);
  free(ring->store);
  free(ring);
}
