/* One query, for all sessions that ask the same: the image and its bases, then the layers that are to be looked into. */
#include <stdio.h>
#include <stdlib.h>

#include "kube/image.h"
#include "registry/inner.h"

#define LOOKS_MAX 1024
#define LOOKS_AT_ONCE 64
#define LOOK_MS 60000
#define ARENA_MAX ((size_t)256 << 10)

struct mg_look {
  struct mg_look *next, *prev;
  struct mg_registry *registry;
  struct mg_settings *settings;
  struct mg_arena arena;
  struct mg_asked *waiting; /* under the lock */
  mg_str key, platform;
  int64_t evidence_size, deadline;
  struct mg_want *wants; /* the image, then its bases */
  struct mg_box **boxes; /* the same, for who waits */
  uint32_t base_count, outstanding;
  bool begun;
  struct mg_peeks *peeks;
};

static uint32_t bases_of(const struct mg_image_query *query) {
  return query->base_count < MG_QUERY_BASES_MAX ? query->base_count : MG_QUERY_BASES_MAX;
}

mg_str mg_query_platform(const struct mg_settings *settings, const struct mg_image_query *query) {
  if (query->platform.n) return query->platform;
  mg_str domain = {query->reference.p, mg_str_find(query->reference, '/')};
  const struct mg_registry_host *host = mg_settings_host(settings, domain);
  return host ? host->platform : (mg_str){0};
}

/* ---- what is in the cache; the lock is held ---- */

static mg_str digest_in(mg_str reference) {
  return mg_str_from(reference, mg_str_find(reference, '@') + 1);
}

static struct mg_box *cached_box(struct mg_registry *r, mg_str reference, mg_str platform, int64_t now) {
  mg_str digest = digest_in(reference);
  return mg_cache_box(&r->cache, digest.n ? digest : mg_cache_tag(&r->cache, reference, now), platform);
}

static const struct mg_trouble *cached_trouble(struct mg_registry *r, mg_str reference, mg_str platform, int64_t now) {
  char key[2048];
  int n = snprintf(key, sizeof key, "%.*s %.*s", MG_FMT(reference), MG_FMT(platform));
  return n > 0 && (size_t)n < sizeof key ? mg_cache_trouble(&r->cache, (mg_str){key, (size_t)n}, now) : NULL;
}

/* A base that cannot be had now is what it was before: else its layers would count against the image. */
static struct mg_box *last_box(struct mg_registry *r, mg_str reference, mg_str platform) {
  return mg_cache_box(&r->cache, mg_cache_last_tag(&r->cache, reference), platform);
}

int mg_look_cached(struct mg_registry *r, const struct mg_image_query *query, mg_str key, struct mg_box **boxes,
                   const struct mg_trouble **ret_trouble) {
  int64_t now = mg_errand_clock();
  mg_str platform = mg_query_platform(r->settings, query);
  uint32_t bases = bases_of(query);
  *ret_trouble = NULL;
  boxes[0] = cached_box(r, query->reference, platform, now);
  if (!boxes[0]) {
    *ret_trouble = cached_trouble(r, query->reference, platform, now);
    return 0;
  }
  for (uint32_t i = 0; i < bases; i++) {
    boxes[1 + i] = cached_box(r, query->bases[i], platform, now);
    if (boxes[1 + i]) continue;
    if (!cached_trouble(r, query->bases[i], platform, now)) return 0;
    boxes[1 + i] = last_box(r, query->bases[i], platform);
  }
  if (!mg_box_wants(boxes[0], query->evidence_size, boxes + 1, bases)) return 1;
  *ret_trouble = mg_cache_trouble(&r->cache, key, now);
  return 0;
}

/* ---- joining; the lock is held ---- */

static void free_look(struct mg_look *look) {
  mg_settings_unref(look->settings);
  mg_arena_fini(&look->arena);
  free(look);
}

static struct mg_look *new_look(struct mg_registry *r, const struct mg_image_query *query, mg_str key) {
  struct mg_look *look = calloc(1, sizeof *look);
  if (!look) return NULL;
  mg_arena_init(&look->arena, ARENA_MAX, 0);
  look->registry = r;
  look->settings = mg_settings_ref(r->settings);
  look->key = mg_arena_dup(&look->arena, key);
  look->platform = mg_arena_dup(&look->arena, mg_query_platform(r->settings, query));
  look->evidence_size = query->evidence_size;
  look->base_count = bases_of(query);
  look->wants = MG_NEW_N(&look->arena, struct mg_want, 1 + look->base_count);
  look->boxes = MG_NEW_N(&look->arena, struct mg_box *, 1 + look->base_count);
  for (uint32_t i = 0; look->wants && i <= look->base_count; i++)
    look->wants[i] = (struct mg_want){.look = look,
                                      .reference = mg_arena_dup(&look->arena, i ? query->bases[i - 1] : query->reference)};
  if (!look->arena.failed) return look;
  free_look(look);
  return NULL;
}

int mg_look_join(struct mg_registry *r, const struct mg_image_query *query, struct mg_asked *asked) {
  struct mg_look *look = r->looks;
  while (look && !(look->settings == r->settings && mg_str_eq(look->key, asked->key))) look = look->next;
  if (!look) {
    look = r->look_count < LOOKS_MAX ? new_look(r, query, asked->key) : NULL;
    if (!look) return -1;
    look->next = r->looks;
    if (look->next) look->next->prev = look;
    r->looks = look;
    r->look_count++;
  }
  asked->wait_next = look->waiting;
  asked->wait_at = &look->waiting;
  if (asked->wait_next) asked->wait_next->wait_at = &asked->wait_next;
  look->waiting = asked;
  asked->session->waiting++;
  return 0;
}

void mg_asked_leave(struct mg_asked *asked) {
  if (!asked->wait_at) return;
  *asked->wait_at = asked->wait_next;
  if (asked->wait_next) asked->wait_next->wait_at = asked->wait_at;
  asked->wait_at = NULL;
  asked->session->waiting--;
}

/* ---- the end ---- */

static void tell(struct mg_look *look, struct mg_asked *asked, mg_str why) {
  if (why.n) {
    asked->why = mg_arena_dup(&asked->session->arena, why);
    if (!asked->why.n) asked->why = MG_S("too little memory to look at it");
  } else {
    asked->known = true;
    for (uint32_t i = 0; i <= look->base_count; i++) asked->boxes[i] = look->boxes[i] ? mg_box_ref(look->boxes[i]) : NULL;
  }
  mg_asked_leave(asked);
}

static void end(struct mg_look *look, enum mg_registry_result result, const char *why) {
  struct mg_registry *r = look->registry;
  mg_registry_add(r, result);
  for (uint32_t i = 0; i <= look->base_count; i++) mg_fetch_leave(&look->wants[i]);
  if (look->peeks) mg_peeks_leave(look->peeks);
  pthread_mutex_lock(&r->lock);
  while (look->waiting) tell(look, look->waiting, mg_str_of(why));
  *(look->prev ? &look->prev->next : &r->looks) = look->next;
  if (look->next) look->next->prev = look->prev;
  r->look_count--;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->lock);
  for (uint32_t i = 0; i <= look->base_count; i++) mg_box_unref(look->boxes[i]);
  free_look(look);
}

static bool is_good(enum mg_registry_result result) {
  return result == MG_REGISTRY_FETCHED || result == MG_REGISTRY_HIT;
}

/* ---- layers ---- */

static void on_peeks(void *ctx, struct mg_box *box, enum mg_registry_result result, const char *why) {
  struct mg_look *look = ctx;
  struct mg_registry *r = look->registry;
  look->peeks = NULL;
  if (is_good(result) && box) {
    mg_box_unref(look->boxes[0]);
    look->boxes[0] = mg_box_ref(box);
    end(look, result, "");
    return;
  }
  if (is_good(result)) {
    result = MG_REGISTRY_UNREACHABLE;
    why = "too little memory to look into its layers";
  }
  pthread_mutex_lock(&r->lock);
  mg_cache_keep_trouble(&r->cache, look->key, result, mg_str_of(why), mg_errand_clock());
  pthread_mutex_unlock(&r->lock);
  end(look, result, why);
}

static void look_into(struct mg_look *look) {
  struct mg_peeks_order order = {
      .registry = look->registry, .settings = look->settings, .reference = look->wants[0].reference, .platform = look->platform,
      .box = look->boxes[0], .bases = look->boxes + 1, .base_count = look->base_count, .evidence_size = look->evidence_size,
      .done = on_peeks, .ctx = look};
  if (look->settings->offline) {
    end(look, MG_REGISTRY_UNREACHABLE, "its layers are not in the cache, and no registry is to be asked");
  } else if (!(look->peeks = mg_peeks_start(&order))) {
    end(look, MG_REGISTRY_UNREACHABLE, "too little memory to look into its layers");
  }
}

/* ---- images ---- */

static void find_old_bases(struct mg_look *look) {
  struct mg_registry *r = look->registry;
  pthread_mutex_lock(&r->lock);
  for (uint32_t i = 1; i <= look->base_count; i++) {
    struct mg_box *box = look->boxes[i] ? NULL : last_box(r, look->wants[i].reference, look->platform);
    if (box) look->boxes[i] = mg_box_ref(box);
  }
  pthread_mutex_unlock(&r->lock);
}

static void got_all(struct mg_look *look) {
  struct mg_want *image = &look->wants[0];
  for (uint32_t i = 0; i <= look->base_count; i++) look->boxes[i] = look->wants[i].box;
  find_old_bases(look);
  if (!image->box) end(look, image->result, image->why);
  else if (mg_box_wants(image->box, look->evidence_size, look->boxes + 1, look->base_count)) look_into(look);
  else end(look, image->result, "");
}

void mg_look_got(struct mg_want *want) {
  struct mg_look *look = want->look;
  if (--look->outstanding == 0) got_all(look);
}

static void begin(struct mg_look *look) {
  look->deadline = mg_errand_clock() + LOOK_MS;
  look->outstanding = look->base_count + 2; /* one that is this function */
  for (uint32_t i = 0; i <= look->base_count; i++)
    mg_fetch_join(look->registry, look->settings, look->platform, &look->wants[i]);
  if (--look->outstanding == 0) got_all(look);
}

/* ---- the thread ---- */

void mg_looks_begin(struct mg_registry *r) {
  for (;;) {
    uint32_t running = 0;
    struct mg_look *oldest = NULL; /* they stand newest first */
    pthread_mutex_lock(&r->lock);
    for (struct mg_look *look = r->looks; look; look = look->next) {
      if (look->begun) running++;
      else oldest = look;
    }
    pthread_mutex_unlock(&r->lock);
    if (!oldest || running >= LOOKS_AT_ONCE) return;
    oldest->begun = true;
    begin(oldest);
  }
}

int64_t mg_looks_expire(struct mg_registry *r) {
  int64_t now = mg_errand_clock(), wait = 1000;
  struct mg_look *over;
  do {
    over = NULL;
    pthread_mutex_lock(&r->lock);
    for (struct mg_look *look = r->looks; look; look = look->next) {
      if (!look->begun) continue;
      if (look->deadline <= now) over = look;
      else if (look->deadline - now < wait) wait = look->deadline - now;
    }
    pthread_mutex_unlock(&r->lock);
    if (over) {
      for (uint32_t i = 0; i <= over->base_count; i++)
        if (!over->boxes[i]) over->boxes[i] = over->wants[i].box;
      end(over, MG_REGISTRY_TIMEOUT, "asking for it took too long");
    }
  } while (over);
  return wait;
}

void mg_looks_free(struct mg_registry *r) {
  while (r->looks) {
    struct mg_look *look = r->looks;
    for (uint32_t i = 0; i <= look->base_count; i++)
      mg_box_unref(look->boxes[i] ? look->boxes[i] : look->wants[i].box);
    r->looks = look->next;
    free_look(look);
  }
}
