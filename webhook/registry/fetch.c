/* The facts of one reference: its digest, manifest or index, the manifests of an index, and their configs. */
#include <stdio.h>
#include <stdlib.h>

#include "kube/image.h"
#include "kube/image_layers.h"
#include "registry/inner.h"
#include "registry/manifest.h"

#define ARENA_MAX ((size_t)64 << 20)
#define NESTED_MAX 3 /* indexes in indexes that are read */
#define ACCEPT                                                                                            \
  "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "                 \
  "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

struct part {
  struct mg_fetch *fetch;
  const struct mg_manifest_child *child; /* NULL: the reference is no index */
  struct mg_manifest *manifest;
};

struct mg_fetch {
  struct mg_fetch *next, *prev;
  struct mg_registry *registry;
  struct mg_settings *settings;
  struct mg_want *wants;
  struct mg_arena arena;
  mg_str reference, platform, digest;
  struct mg_image image;
  bool by_tag; /* its digest cannot be had from the header */
  uint32_t nested, nested_count;
  mg_str nested_digests[NESTED_MAX];
  struct part parts[MG_PLATFORMS_MAX];
  uint32_t part_count, outstanding;
  enum mg_registry_result result; /* MG_REGISTRY_FETCHED as long as nothing went wrong */
  char why[MG_WHY_MAX];
};

/* ---- the end ---- */

static void drop(struct mg_fetch *f) {
  *(f->prev ? &f->prev->next : &f->registry->fetches) = f->next;
  if (f->next) f->next->prev = f->prev;
  mg_settings_unref(f->settings);
  mg_arena_fini(&f->arena);
  free(f);
}

static void answer(struct mg_want *want, struct mg_box *box, enum mg_registry_result result, const char *why) {
  want->fetch = NULL;
  want->box = box ? mg_box_ref(box) : NULL;
  want->result = result;
  snprintf(want->why, sizeof want->why, "%s", why);
}

static void finish(struct mg_fetch *f, struct mg_box *box) {
  while (f->wants) {
    struct mg_want *want = f->wants;
    f->wants = want->next;
    answer(want, box, f->result, f->why);
    mg_look_got(want);
  }
  drop(f);
}

static mg_str trouble_key(struct mg_arena *arena, mg_str reference, mg_str platform) {
  return mg_arena_printf(arena, "%.*s %.*s", MG_FMT(reference), MG_FMT(platform));
}

/* Keeps the first thing that went wrong. */
static void spoil(struct mg_fetch *f, enum mg_registry_result result, const char *why) {
  if (f->result != MG_REGISTRY_FETCHED) return;
  f->result = result;
  snprintf(f->why, sizeof f->why, "%s", why);
}

static void fail(struct mg_fetch *f, enum mg_registry_result result, const char *why) {
  spoil(f, result, why);
  mg_str key = trouble_key(&f->arena, f->reference, f->platform);
  if (key.n) {
    pthread_mutex_lock(&f->registry->lock);
    mg_cache_keep_trouble(&f->registry->cache, key, f->result, mg_str_of(f->why), mg_errand_clock());
    pthread_mutex_unlock(&f->registry->lock);
  }
  finish(f, NULL);
}

static void spoil_invalid(struct mg_fetch *f, const char *what, const struct mg_err *err) {
  char why[MG_WHY_MAX];
  snprintf(why, sizeof why, "%.*s: %s%s%.200s", MG_FMT(f->image.domain), what, err ? ": " : "", err ? err->text : "");
  spoil(f, MG_REGISTRY_INVALID, why);
}

static void fail_invalid(struct mg_fetch *f, const char *what, const struct mg_err *err) {
  spoil_invalid(f, what, err);
  fail(f, MG_REGISTRY_INVALID, "");
}

static void fail_memory(struct mg_fetch *f) {
  fail(f, MG_REGISTRY_UNREACHABLE, "too little memory to look at it");
}

/* ---- asking ---- */

static bool order(struct mg_fetch *f, struct mg_errand_order *o, const char *kind, mg_str which) {
  char what[512];
  snprintf(what, sizeof what, "%s/%.*s", kind, MG_FMT(which));
  o->domain = f->image.domain;
  o->repository = f->image.path;
  o->what = what;
  return mg_errand_start(&f->registry->errands, f->settings, o);
}

static bool ask_manifest(struct mg_fetch *f, mg_str which, void (*done)(void *, const struct mg_answer *), void *ctx) {
  struct mg_errand_order o = {
      .method = "GET", .accept = ACCEPT, .max = MG_REGISTRY_MANIFEST_MAX, .pull = true, .done = done, .ctx = ctx};
  return order(f, &o, "manifests", which);
}

static void keep_tag(struct mg_fetch *f) {
  pthread_mutex_lock(&f->registry->lock);
  mg_cache_keep_tag(&f->registry->cache, f->reference, f->digest, mg_errand_clock());
  pthread_mutex_unlock(&f->registry->lock);
  if (!f->settings->offline) mg_disk_keep_tag(f->settings->cache_dir, f->reference, f->digest);
}

/* ---- all that is known, into a box ---- */

static void keep_box(struct mg_fetch *f, struct mg_box *box) {
  pthread_mutex_lock(&f->registry->lock);
  mg_cache_keep_box(&f->registry->cache, f->platform, box);
  pthread_mutex_unlock(&f->registry->lock);
}

static void pack(struct mg_fetch *f) {
  struct mg_image_facts facts = {.digest = f->digest, .platform_count = f->part_count};
  struct mg_box_layer *more[MG_PLATFORMS_MAX] = {0};
  facts.platforms = MG_NEW_N(&f->arena, struct mg_platform_fact, f->part_count);
  for (uint32_t i = 0; facts.platforms && i < f->part_count; i++) {
    const struct mg_manifest *m = f->parts[i].manifest;
    facts.platforms[i] = m->fact;
    more[i] = MG_NEW_N(&f->arena, struct mg_box_layer, m->fact.layer_count ? m->fact.layer_count : 1);
    for (uint32_t k = 0; more[i] && k < m->fact.layer_count; k++)
      more[i][k] = (struct mg_box_layer){.toc = m->toc[k], .toc_digest = m->toc_digest[k]};
  }
  struct mg_box *box = f->arena.failed ? NULL : mg_box_new(&facts, more);
  if (!box) {
    fail_memory(f);
    return;
  }
  keep_box(f, box);
  mg_disk_keep_box(f->settings->cache_dir, f->platform, box);
  finish(f, box);
  mg_box_unref(box);
}

static void part_done(struct mg_fetch *f) {
  if (--f->outstanding) return;
  if (f->result != MG_REGISTRY_FETCHED) fail(f, f->result, f->why);
  else pack(f);
}

static void part_spoiled(struct mg_fetch *f, const char *what, const struct mg_err *err) {
  spoil_invalid(f, what, err);
  part_done(f);
}

/* ---- configs ---- */

static void read_config(struct part *p, mg_str body) {
  struct mg_err err = {0};
  struct mg_fetch *f = p->fetch;
  struct mg_platform_fact *fact = &p->manifest->fact;
  if ((int64_t)body.n != p->manifest->config_size) { /* some runtimes would run it all the same */
    fact->malformed = MG_S("the config is not of the size that the manifest says");
    fact->total = -1;
  }
  int code = mg_manifest_config(&f->arena, body, fact, &err);
  if (code < 0) part_spoiled(f, "its config cannot be read", &err);
  else part_done(f);
}

static void on_config(void *ctx, const struct mg_answer *a) {
  struct part *p = ctx;
  if (a->result != MG_REGISTRY_FETCHED) {
    spoil(p->fetch, a->result, a->why);
    part_done(p->fetch);
  } else if (!mg_digest_matches(p->manifest->config_digest, a->body)) {
    part_spoiled(p->fetch, "a config that is not what its digest says", NULL);
  } else {
    read_config(p, a->body);
  }
}

/* What no container can run, and what is malformed, is judged without. */
static void ask_config(struct part *p) {
  struct mg_fetch *f = p->fetch;
  struct mg_manifest *m = p->manifest;
  if (m->fact.artifact.n || m->fact.malformed.n || !m->config_digest.n) {
    part_done(f);
  } else if (m->config_inline.n) {
    read_config(p, m->config_inline);
  } else {
    struct mg_errand_order o = {.method = "GET", .max = MG_REGISTRY_CONFIG_MAX, .done = on_config, .ctx = p};
    if (order(f, &o, "blobs", m->config_digest)) return;
    spoil(f, MG_REGISTRY_UNREACHABLE, "too little memory to look at it");
    part_done(f);
  }
}

/* ---- manifests ---- */

static void take_manifest(struct part *p, struct mg_manifest *m, mg_str digest) {
  p->manifest = m;
  m->fact.digest = digest;
  if (p->child && !m->fact.platform.n) m->fact.platform = p->child->platform;
  ask_config(p);
}

static void on_child(void *ctx, const struct mg_answer *a) {
  struct part *p = ctx;
  struct mg_fetch *f = p->fetch;
  struct mg_err err = {0};
  struct mg_manifest *m = NULL;
  if (a->result != MG_REGISTRY_FETCHED) {
    spoil(f, a->result, a->why);
    part_done(f);
  } else if (!mg_digest_matches(p->child->digest, a->body) || (p->child->size >= 0 && p->child->size != (int64_t)a->body.n)) {
    part_spoiled(f, "a manifest that is not what its index says", NULL);
  } else if (!(m = MG_NEW(&f->arena, struct mg_manifest)) ||
             mg_manifest_read(&f->arena, a->body, a->content_type, f->platform, m, &err) < 0) {
    part_spoiled(f, "a manifest that cannot be read", m ? &err : NULL);
  } else if (m->is_index) {
    part_spoiled(f, "an index that its index calls a manifest", NULL);
  } else {
    take_manifest(p, m, p->child->digest);
  }
}

static bool ask_nested(struct mg_fetch *f);

static void take_index(struct mg_fetch *f, const struct mg_manifest *m) {
  uint32_t count = m->child_count, asked = 0;
  while (f->platform.n && asked < count && mg_platform_is(m->children[asked].platform, f->platform)) asked++;
  if (asked) count = asked; /* each one is a pull */
  for (uint32_t i = 0; count == 0 && i < 2 && f->nested_count < NESTED_MAX; i++)
    if (m->nested[i].n) f->nested_digests[f->nested_count++] = m->nested[i];
  if (count == 0) {
    if (!ask_nested(f)) fail_invalid(f, "an index in which nothing runs on Linux", NULL);
    return;
  }
  f->part_count = f->outstanding = count;
  for (uint32_t i = 0; i < count; i++) f->parts[i] = (struct part){.fetch = f, .child = &m->children[i]};
  for (uint32_t i = 0; i < count; i++) {
    if (ask_manifest(f, m->children[i].digest, on_child, &f->parts[i])) continue;
    spoil(f, MG_REGISTRY_UNREACHABLE, "too little memory to look at it");
    part_done(f); /* may end the fetch, if it is the last */
    if (i + 1 == count) return;
  }
}

static void read_manifest(struct mg_fetch *f, mg_str digest, const struct mg_answer *a) {
  struct mg_err err = {0};
  struct mg_manifest *m = MG_NEW(&f->arena, struct mg_manifest);
  int code = m ? mg_manifest_read(&f->arena, a->body, a->content_type, f->platform, m, &err) : MG_E_NOMEM;
  if (code == MG_E_NOMEM) {
    fail_memory(f);
  } else if (code < 0) {
    fail_invalid(f, "a manifest that cannot be read", &err);
  } else if (m->is_index) {
    take_index(f, m);
  } else {
    f->part_count = f->outstanding = 1;
    f->parts[0] = (struct part){.fetch = f};
    take_manifest(&f->parts[0], m, digest);
  }
}

static void on_nested(void *ctx, const struct mg_answer *a) {
  struct mg_fetch *f = ctx;
  mg_str digest = f->nested_digests[f->nested - 1];
  if (a->result != MG_REGISTRY_FETCHED) fail(f, a->result, a->why);
  else if (!mg_digest_matches(digest, a->body)) fail_invalid(f, "an index that is not what its digest says", NULL);
  else read_manifest(f, digest, a);
}

static bool ask_nested(struct mg_fetch *f) {
  if (f->nested >= f->nested_count) return false;
  if (!ask_manifest(f, f->nested_digests[f->nested++], on_nested, f)) fail_memory(f);
  return true;
}

static void on_manifest(void *ctx, const struct mg_answer *a);

static void ask_by_tag(struct mg_fetch *f) {
  f->by_tag = true;
  if (!ask_manifest(f, f->image.tag.n ? f->image.tag : MG_S("latest"), on_manifest, f)) fail_memory(f);
}

static void on_manifest(void *ctx, const struct mg_answer *a) {
  struct mg_fetch *f = ctx;
  bool again = !f->by_tag && !f->image.digest.n; /* the digest was the header's, which many registries get wrong */
  if (a->result == MG_REGISTRY_NOT_FOUND && again) {
    ask_by_tag(f);
  } else if (a->result != MG_REGISTRY_FETCHED) {
    fail(f, a->result, a->why);
  } else if (f->by_tag) {
    f->digest = mg_digest_of(&f->arena, a->body);
    if (!f->digest.n) {
      fail_memory(f);
      return;
    }
    keep_tag(f);
    read_manifest(f, f->digest, a);
  } else if (mg_digest_matches(f->digest, a->body)) {
    if (again) keep_tag(f);
    read_manifest(f, f->digest, a);
  } else if (again) {
    ask_by_tag(f);
  } else {
    fail_invalid(f, "a manifest that is not what its digest says", NULL);
  }
}

/* ---- the digest ---- */

/* True: the facts are there already, and the fetch has ended. */
static bool end_from_cache(struct mg_fetch *f) {
  pthread_mutex_lock(&f->registry->lock);
  struct mg_box *box = mg_cache_box(&f->registry->cache, f->digest, f->platform);
  if (box) mg_box_ref(box);
  pthread_mutex_unlock(&f->registry->lock);
  if (!box && (box = mg_disk_box(f->settings->cache_dir, f->digest, f->platform))) keep_box(f, box);
  if (!box) return false;
  if (!f->image.digest.n) keep_tag(f);
  finish(f, box);
  mg_box_unref(box);
  return true;
}

static void fail_offline(struct mg_fetch *f) {
  f->result = MG_REGISTRY_UNREACHABLE;
  snprintf(f->why, sizeof f->why, "it is not in the cache, and no registry is to be asked");
  finish(f, NULL);
}

static void got_digest(struct mg_fetch *f) {
  if (end_from_cache(f)) return;
  if (f->settings->offline) fail_offline(f);
  else if (!ask_manifest(f, f->digest, on_manifest, f)) fail_memory(f);
}

static void on_head(void *ctx, const struct mg_answer *a) {
  struct mg_fetch *f = ctx;
  if (a->result == MG_REGISTRY_FETCHED && mg_digest_is_valid(a->digest)) {
    f->digest = mg_arena_dup(&f->arena, a->digest); /* it becomes the tag's when it has proved to be right */
    got_digest(f);
  } else if (a->result == MG_REGISTRY_FETCHED || a->result == MG_REGISTRY_INVALID) {
    ask_by_tag(f);
  } else {
    fail(f, a->result, a->why);
  }
}

static void ask_digest(struct mg_fetch *f) {
  struct mg_errand_order o = {.method = "HEAD", .accept = ACCEPT, .max = 0, .done = on_head, .ctx = f};
  if (!order(f, &o, "manifests", f->image.tag.n ? f->image.tag : MG_S("latest"))) fail_memory(f);
}

static void begin(struct mg_fetch *f) {
  if (!mg_image_parse(&f->arena, f->reference, &f->image)) {
    fail(f, MG_REGISTRY_INVALID, "it is no image reference");
  } else if (f->image.digest.n && !mg_digest_is_valid(f->image.digest)) {
    fail(f, MG_REGISTRY_INVALID, "a digest that is neither sha256 nor sha512");
  } else if (f->image.digest.n) {
    f->digest = f->image.digest;
    got_digest(f);
  } else if (f->settings->offline) {
    f->digest = mg_disk_tag(f->settings->cache_dir, f->reference, &f->arena);
    if (f->digest.n) got_digest(f);
    else fail_offline(f);
  } else {
    ask_digest(f);
  }
}

/* ---- from outside ---- */

/* Trouble or facts that another look has brought meanwhile. */
static bool is_known(struct mg_registry *r, mg_str platform, struct mg_want *want) {
  struct mg_arena arena;
  int64_t now = mg_errand_clock();
  mg_arena_init(&arena, (size_t)64 << 10, 0);
  mg_str key = trouble_key(&arena, want->reference, platform);
  pthread_mutex_lock(&r->lock);
  struct mg_box *box = mg_cache_box(&r->cache, mg_cache_tag(&r->cache, want->reference, now), platform);
  const struct mg_trouble *t = box ? NULL : mg_cache_trouble(&r->cache, key, now);
  if (box) answer(want, box, MG_REGISTRY_HIT, "");
  if (t) answer(want, NULL, t->result, ""), snprintf(want->why, sizeof want->why, "%.*s", MG_FMT(t->why));
  pthread_mutex_unlock(&r->lock);
  mg_arena_fini(&arena);
  return box || t;
}

static void add_want(struct mg_fetch *f, struct mg_want *want) {
  want->fetch = f;
  want->next = f->wants;
  f->wants = want;
}

void mg_fetch_join(struct mg_registry *r, struct mg_settings *settings, mg_str platform, struct mg_want *want) {
  if (is_known(r, platform, want)) {
    mg_look_got(want);
    return;
  }
  for (struct mg_fetch *f = r->fetches; f; f = f->next)
    if (f->settings == settings && mg_str_eq(f->reference, want->reference) && mg_str_eq(f->platform, platform)) {
      add_want(f, want);
      return;
    }
  struct mg_fetch *f = calloc(1, sizeof *f);
  if (!f) {
    answer(want, NULL, MG_REGISTRY_UNREACHABLE, "too little memory to look at it");
    mg_look_got(want);
    return;
  }
  f->registry = r;
  f->result = MG_REGISTRY_FETCHED;
  mg_arena_init(&f->arena, ARENA_MAX, 0);
  f->settings = mg_settings_ref(settings);
  f->reference = mg_arena_dup(&f->arena, want->reference);
  f->platform = mg_arena_dup(&f->arena, platform);
  f->next = r->fetches;
  if (f->next) f->next->prev = f;
  r->fetches = f;
  add_want(f, want);
  begin(f);
}

void mg_fetch_leave(struct mg_want *want) {
  if (!want->fetch) return;
  struct mg_want **at = &want->fetch->wants;
  while (*at != want) at = &(*at)->next;
  *at = want->next;
  want->fetch = NULL;
}

void mg_fetches_free(struct mg_registry *r) {
  while (r->fetches) drop(r->fetches);
}
