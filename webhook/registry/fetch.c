/* The facts of one reference: its digest, and the manifest or index of that. */
#include <stdio.h>
#include <stdlib.h>

#include "kube/image_layers.h"
#include "registry/fetch_parts.h"

#define ARENA_MAX ((size_t)64 << 20)
#define ACCEPT                                                                                            \
  "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "                 \
  "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

/* ---- the end ---- */

static void drop(struct mg_fetch *f) {
  *(f->prev ? &f->prev->next : &f->registry->fetches) = f->next;
  if (f->next) f->next->prev = f->prev;
  mg_keyring_unref(f->pulls);
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

void mg_fetch_finish(struct mg_fetch *f, struct mg_box *box) {
  while (f->wants) {
    struct mg_want *want = f->wants;
    f->wants = want->next;
    answer(want, box, f->result, f->why);
    mg_look_got(want);
  }
  drop(f);
}

static mg_str trouble_key(struct mg_arena *arena, mg_str name, mg_str platform) {
  return mg_arena_printf(arena, "%.*s %.*s", MG_FMT(name), MG_FMT(platform));
}

void mg_fetch_fail(struct mg_fetch *f, enum mg_registry_result result, const char *why) {
  f->result = result;
  snprintf(f->why, sizeof f->why, "%s", why);
  mg_str key = trouble_key(&f->arena, f->name, f->platform);
  if (key.n) {
    pthread_mutex_lock(&f->registry->lock);
    if (f->settings == f->registry->settings) /* else it may be what was mended meanwhile */
      mg_cache_keep_trouble(&f->registry->cache, key, f->result, mg_str_of(f->why), mg_clock_ms());
    pthread_mutex_unlock(&f->registry->lock);
  }
  mg_fetch_finish(f, NULL);
}

void mg_fetch_say_invalid(const struct mg_fetch *f, char why[MG_WHY_MAX], const char *what, const struct mg_err *err) {
  snprintf(why, MG_WHY_MAX, "%.*s: %s%s%.200s", MG_FMT(f->image.domain), what, err ? ": " : "", err ? err->text : "");
}

static void fail_invalid(struct mg_fetch *f, const char *what, const struct mg_err *err) {
  char why[MG_WHY_MAX];
  mg_fetch_say_invalid(f, why, what, err);
  mg_fetch_fail(f, MG_REGISTRY_INVALID, why);
}

void mg_fetch_fail_memory(struct mg_fetch *f) {
  mg_fetch_fail(f, MG_REGISTRY_UNREACHABLE, MG_FETCH_NO_MEMORY);
}

/* ---- asking ---- */

bool mg_fetch_order(struct mg_fetch *f, struct mg_errand_order *o, const char *kind, mg_str which) {
  char what[512];
  snprintf(what, sizeof what, "%s/%.*s", kind, MG_FMT(which));
  o->domain = f->image.domain;
  o->repository = f->image.path;
  o->what = what;
  o->pulls = f->pulls;
  o->scope = f->scope;
  return mg_errand_start(&f->registry->errands, f->settings, o);
}

static bool ask_manifest(struct mg_fetch *f, mg_str which, void (*done)(void *, const struct mg_answer *), void *ctx) {
  struct mg_errand_order o = {
      .method = "GET", .accept = ACCEPT, .max = MG_REGISTRY_MANIFEST_MAX, .pull = true, .done = done, .ctx = ctx};
  return mg_fetch_order(f, &o, "manifests", which);
}

static void keep_tag(struct mg_fetch *f) {
  pthread_mutex_lock(&f->registry->lock);
  mg_cache_keep_tag(&f->registry->cache, f->name, f->digest, mg_clock_ms());
  pthread_mutex_unlock(&f->registry->lock);
  /* Without logins of pods: another run has none, and would take them for everybody's. */
  if (!f->settings->offline && !f->scope.n && !f->image.digest.n)
    mg_disk_keep_tag(f->settings->cache_dir, f->reference, f->digest);
}

void mg_fetch_keep_box(struct mg_fetch *f, struct mg_box *box) {
  pthread_mutex_lock(&f->registry->lock);
  mg_cache_keep_box(&f->registry->cache, f->place, box);
  pthread_mutex_unlock(&f->registry->lock);
}

/* ---- manifests ---- */

static bool ask_nested(struct mg_fetch *f);

static void take_index(struct mg_fetch *f, const struct mg_manifest *m) {
  uint32_t count = m->child_count, asked = 0;
  while (f->platform.n && asked < count && mg_platform_is(m->children[asked].platform, f->platform)) asked++;
  if (asked) count = asked; /* each one is a pull */
  for (uint32_t i = 0; count == 0 && i < 2 && f->nested_count < MG_FETCH_NESTED_MAX; i++)
    if (m->nested[i].n) f->nested_digests[f->nested_count++] = m->nested[i];
  if (count == 0) {
    if (!ask_nested(f)) fail_invalid(f, "an index in which nothing runs on Linux", NULL);
    return;
  }
  f->part_count = f->outstanding = count;
  for (uint32_t i = 0; i < count; i++)
    f->parts[i] = (struct mg_fetch_part){.fetch = f, .child = &m->children[i], .result = MG_REGISTRY_FETCHED};
  for (uint32_t i = 0; i < count; i++) {
    if (ask_manifest(f, m->children[i].digest, mg_fetch_on_child, &f->parts[i])) continue;
    mg_fetch_part_failed(&f->parts[i], MG_REGISTRY_UNREACHABLE, MG_FETCH_NO_MEMORY); /* may end the fetch, if it is the last */
  }
}

static void read_manifest(struct mg_fetch *f, mg_str digest, const struct mg_answer *a) {
  struct mg_err err = {0};
  struct mg_manifest *m = MG_NEW(&f->arena, struct mg_manifest);
  int code = m ? mg_manifest_read(&f->arena, a->body, a->content_type, f->platform, m, &err) : MG_E_NOMEM;
  if (code == MG_E_NOMEM) {
    mg_fetch_fail_memory(f);
  } else if (code < 0) {
    fail_invalid(f, "a manifest that cannot be read", &err);
  } else if (m->is_index) {
    take_index(f, m);
  } else {
    f->part_count = f->outstanding = 1;
    f->parts[0] = (struct mg_fetch_part){.fetch = f, .result = MG_REGISTRY_FETCHED};
    mg_fetch_take_manifest(&f->parts[0], m, digest);
  }
}

static void on_nested(void *ctx, const struct mg_answer *a) {
  struct mg_fetch *f = ctx;
  mg_str digest = f->nested_digests[f->nested - 1];
  if (a->result != MG_REGISTRY_FETCHED) mg_fetch_fail(f, a->result, a->why);
  else if (!mg_digest_matches(digest, a->body)) fail_invalid(f, "an index that is not what its digest says", NULL);
  else read_manifest(f, digest, a);
}

static bool ask_nested(struct mg_fetch *f) {
  if (f->nested >= f->nested_count) return false;
  if (!ask_manifest(f, f->nested_digests[f->nested++], on_nested, f)) mg_fetch_fail_memory(f);
  return true;
}

static void on_manifest(void *ctx, const struct mg_answer *a);

static void ask_by_tag(struct mg_fetch *f) {
  f->by_tag = true;
  if (!ask_manifest(f, f->image.tag.n ? f->image.tag : MG_S("latest"), on_manifest, f)) mg_fetch_fail_memory(f);
}

static void on_manifest(void *ctx, const struct mg_answer *a) {
  struct mg_fetch *f = ctx;
  bool again = !f->by_tag && !f->image.digest.n; /* the digest was the header's, which many registries get wrong */
  if (a->result == MG_REGISTRY_NOT_FOUND && again) {
    ask_by_tag(f);
  } else if (a->result != MG_REGISTRY_FETCHED) {
    mg_fetch_fail(f, a->result, a->why);
  } else if (f->by_tag) {
    f->digest = mg_digest_of(&f->arena, a->body);
    if (!f->digest.n) {
      mg_fetch_fail_memory(f);
      return;
    }
    keep_tag(f);
    read_manifest(f, f->digest, a);
  } else if (mg_digest_matches(f->digest, a->body)) {
    if (again || f->settings->reads_secrets) keep_tag(f);
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
  struct mg_box *box = mg_cache_box(&f->registry->cache, f->digest, f->place, mg_clock_ms());
  if (box) mg_box_ref(box);
  pthread_mutex_unlock(&f->registry->lock);
  if (!box && (box = mg_disk_box(f->settings->cache_dir, f->digest, f->place))) mg_fetch_keep_box(f, box);
  if (!box) return false;
  if (!f->image.digest.n || f->settings->reads_secrets) keep_tag(f);
  mg_fetch_finish(f, box);
  mg_box_unref(box);
  return true;
}

static void fail_offline(struct mg_fetch *f) {
  f->result = MG_REGISTRY_UNREACHABLE;
  snprintf(f->why, sizeof f->why, "it is not in the cache, and no registry is to be asked");
  mg_fetch_finish(f, NULL);
}

static void got_digest(struct mg_fetch *f) {
  if (end_from_cache(f)) return;
  if (f->settings->offline) fail_offline(f);
  else if (!ask_manifest(f, f->digest, on_manifest, f)) mg_fetch_fail_memory(f);
}

static void on_head(void *ctx, const struct mg_answer *a) {
  struct mg_fetch *f = ctx;
  if (f->image.digest.n && a->result == MG_REGISTRY_FETCHED) {
    got_digest(f);
  } else if (f->image.digest.n && a->result == MG_REGISTRY_INVALID) { /* it may know GET only */
    if (!ask_manifest(f, f->digest, on_manifest, f)) mg_fetch_fail_memory(f);
  } else if (a->result == MG_REGISTRY_FETCHED && mg_digest_is_valid(a->digest)) {
    f->digest = mg_arena_dup(&f->arena, a->digest); /* it becomes the tag's when it has proved to be right */
    got_digest(f);
  } else if (a->result == MG_REGISTRY_FETCHED || a->result == MG_REGISTRY_INVALID) {
    ask_by_tag(f);
  } else {
    mg_fetch_fail(f, a->result, a->why);
  }
}

static void ask_digest(struct mg_fetch *f) {
  struct mg_errand_order o = {.method = "HEAD", .accept = ACCEPT, .max = 0, .done = on_head, .ctx = f};
  mg_str which = f->image.digest.n ? f->image.digest : f->image.tag.n ? f->image.tag : MG_S("latest");
  if (!mg_fetch_order(f, &o, "manifests", which)) mg_fetch_fail_memory(f);
}

static void begin(struct mg_fetch *f) {
  if (!mg_image_parse_normalised(&f->arena, f->reference, &f->image)) {
    mg_fetch_fail(f, MG_REGISTRY_INVALID, "it is no image reference");
  } else if (f->image.digest.n && !mg_digest_is_valid(f->image.digest)) {
    mg_fetch_fail(f, MG_REGISTRY_INVALID, "a digest that is neither sha256 nor sha512");
  } else if (f->image.digest.n) {
    f->digest = f->image.digest;
    if (f->settings->reads_secrets && !f->settings->offline) ask_digest(f);
    else got_digest(f);
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
  char room[MG_NAME_ROOM];
  int64_t now = mg_clock_ms();
  mg_arena_init(&arena, (size_t)64 << 10, 0);
  mg_str key = trouble_key(&arena, want->name, platform);
  pthread_mutex_lock(&r->lock);
  mg_str place = mg_facts_place(want->reference, platform, room);
  struct mg_box *box = mg_cache_box(&r->cache, mg_cache_tag(&r->cache, want->name, now), place, now);
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
    if (f->settings == settings && mg_str_eq(f->name, want->name) && mg_str_eq(f->platform, platform)) {
      add_want(f, want);
      return;
    }
  struct mg_fetch *f = calloc(1, sizeof *f);
  char room[MG_NAME_ROOM];
  if (!f) {
    answer(want, NULL, MG_REGISTRY_UNREACHABLE, MG_FETCH_NO_MEMORY);
    mg_look_got(want);
    return;
  }
  f->registry = r;
  f->result = MG_REGISTRY_FETCHED;
  mg_arena_init(&f->arena, ARENA_MAX, 0);
  f->settings = mg_settings_ref(settings);
  f->reference = mg_arena_dup(&f->arena, want->reference);
  f->name = mg_arena_dup(&f->arena, want->name);
  f->scope = mg_arena_dup(&f->arena, want->scope);
  f->pulls = mg_keyring_ref(want->pulls);
  f->platform = mg_arena_dup(&f->arena, platform);
  f->place = mg_arena_dup(&f->arena, mg_facts_place(want->reference, platform, room));
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
