#include "registry/cache.h"

#include <stdlib.h>

#define KEY_MAX 1024

struct known {
  struct mg_entry entry;
  struct mg_box *box;
};

struct tag {
  struct mg_entry entry;
  int64_t until;
  mg_str digest;
};

struct size {
  struct mg_entry entry;
  int64_t bytes;
};

static const int trouble_seconds[MG_REGISTRY_RESULTS] = {
    [MG_REGISTRY_NOT_FOUND] = 15, [MG_REGISTRY_DENIED] = 30,      [MG_REGISTRY_THROTTLED] = 10,
    [MG_REGISTRY_TIMEOUT] = 10,   [MG_REGISTRY_UNREACHABLE] = 10, [MG_REGISTRY_INVALID] = 60,
};

static void drop_known(struct mg_entry *entry) {
  mg_box_unref(((struct known *)entry)->box);
  free(entry);
}

static void drop_plain(struct mg_entry *entry) {
  free(entry);
}

int mg_cache_init(struct mg_cache *cache) {
  *cache = (struct mg_cache){0};
  return mg_table_init(&cache->facts, MG_REGISTRY_FACTS_MAX, drop_known) ||
                 mg_table_init(&cache->tags, MG_CACHE_TAGS_MAX, drop_plain) ||
                 mg_table_init(&cache->troubles, MG_CACHE_TROUBLES_MAX, drop_plain) ||
                 mg_table_init(&cache->sizes, MG_CACHE_SIZES_MAX, drop_plain)
             ? -1
             : 0;
}

void mg_cache_fini(struct mg_cache *cache) {
  mg_table_fini(&cache->facts);
  mg_table_fini(&cache->tags);
  mg_table_fini(&cache->troubles);
  mg_table_fini(&cache->sizes);
}

/* An entry of `size` bytes with its key and another string behind it. */
static void *entry_of(size_t size, mg_str key, mg_str text, mg_str *ret_text) {
  struct mg_entry *e = calloc(1, size + key.n + text.n);
  if (!e) return NULL;
  char *at = (char *)e + size;
  if (key.n) memcpy(at, key.p, key.n);
  if (text.n) memcpy(at + key.n, text.p, text.n);
  e->key = (mg_str){at, key.n};
  if (ret_text) *ret_text = (mg_str){at + key.n, text.n};
  return e;
}

static mg_str key_of(char buf[KEY_MAX], mg_str digest, mg_str place) {
  size_t n = digest.n + 1 + place.n;
  if (n > KEY_MAX) return (mg_str){0};
  memcpy(buf, digest.p, digest.n);
  buf[digest.n] = ' ';
  if (place.n) memcpy(buf + digest.n + 1, place.p, place.n);
  return (mg_str){buf, n};
}

struct mg_box *mg_cache_box(struct mg_cache *cache, mg_str digest, mg_str place, int64_t now) {
  char buf[KEY_MAX];
  if (!digest.n) return NULL;
  struct known *k = (struct known *)mg_table_get(&cache->facts, key_of(buf, digest, place));
  return k && (!k->box->until || now < k->box->until) ? k->box : NULL;
}

void mg_cache_keep_box(struct mg_cache *cache, mg_str place, struct mg_box *box) {
  char buf[KEY_MAX];
  mg_str key = key_of(buf, box->facts.digest, place);
  struct known *k = key.n ? entry_of(sizeof *k, key, (mg_str){0}, NULL) : NULL;
  if (!k) return; /* it will be fetched again */
  k->box = mg_box_ref(box);
  mg_table_put(&cache->facts, &k->entry);
}

mg_str mg_cache_tag(struct mg_cache *cache, mg_str reference, int64_t now) {
  struct tag *t = (struct tag *)mg_table_get(&cache->tags, reference);
  return t && now < t->until ? t->digest : (mg_str){0};
}

mg_str mg_cache_last_tag(struct mg_cache *cache, mg_str reference) {
  struct tag *t = (struct tag *)mg_table_get(&cache->tags, reference);
  return t ? t->digest : (mg_str){0};
}

void mg_cache_keep_tag(struct mg_cache *cache, mg_str reference, mg_str digest, int64_t now) {
  mg_str text;
  struct tag *t = entry_of(sizeof *t, reference, digest, &text);
  if (!t) return;
  t->digest = text;
  t->until = now + MG_REGISTRY_TAG_SECONDS * 1000;
  mg_table_put(&cache->tags, &t->entry);
}

int64_t mg_cache_size(struct mg_cache *cache, mg_str domain, mg_str digest) {
  char buf[KEY_MAX];
  struct size *s = (struct size *)mg_table_get(&cache->sizes, key_of(buf, domain, digest));
  return s ? s->bytes : -1;
}

void mg_cache_keep_size(struct mg_cache *cache, mg_str domain, mg_str digest, int64_t size) {
  char buf[KEY_MAX];
  mg_str key = key_of(buf, domain, digest);
  struct size *s = key.n ? entry_of(sizeof *s, key, (mg_str){0}, NULL) : NULL;
  if (!s) return;
  s->bytes = size;
  mg_table_put(&cache->sizes, &s->entry);
}

const struct mg_trouble *mg_cache_trouble(struct mg_cache *cache, mg_str key, int64_t now) {
  struct mg_trouble *t = (struct mg_trouble *)mg_table_get(&cache->troubles, key);
  return t && now < t->until ? t : NULL;
}

void mg_cache_keep_trouble(struct mg_cache *cache, mg_str key, enum mg_registry_result result, mg_str why, int64_t now) {
  mg_str text;
  struct mg_trouble *t = entry_of(sizeof *t, key, why, &text);
  if (!t) return;
  t->result = result;
  t->why = text;
  t->until = now + mg_cache_trouble_ms(result);
  mg_table_put(&cache->troubles, &t->entry);
}

int64_t mg_cache_trouble_ms(enum mg_registry_result result) {
  return trouble_seconds[result] * 1000;
}

void mg_cache_forget_troubles(struct mg_cache *cache) {
  mg_table_clear(&cache->troubles);
}
