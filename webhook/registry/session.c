/* What one review asks, and what it waits for. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "registry/inner.h"

#define ARENA_MAX ((size_t)8 << 20)
#define REVIEW_SLOTS 64
#define RUN_SLOTS 4096
#define RUN_ARENA_MAX ((size_t)128 << 20)
#define TEXT(n) TEXT_(n)
#define TEXT_(n) #n

/* ---- keys ---- */

static size_t put(char *to, size_t at, mg_str s) {
  if (s.n) memcpy(to + at, s.p, s.n);
  to[at + s.n] = '\n'; /* in no reference and no platform */
  return at + s.n + 1;
}

/* All that a query says, in bytes that are good until the next one. */
static mg_str key_of(struct mg_registry_session *s, const struct mg_image_query *query) {
  char room[MG_PULL_KEY_ROOM];
  mg_str pulls = s->registry->reads_secrets ? mg_pull_key(query, room) : (mg_str){0};
  size_t want = query->reference.n + query->platform.n + sizeof query->evidence_size + query->base_count + pulls.n + 16, n = 0;
  for (uint32_t i = 0; i < query->base_count; i++) want += query->bases[i].n;
  if (want > MG_QUERY_KEY_MAX) return (mg_str){0};
  if (want > s->key_room) {
    char *longer = realloc(s->key, want + 1024);
    if (!longer) return (mg_str){0};
    s->key = longer;
    s->key_room = want + 1024;
  }
  n = put(s->key, n, query->reference);
  n = put(s->key, n, query->platform);
  n = put(s->key, n, (mg_str){(const char *)&pulls.n, sizeof pulls.n});
  n = put(s->key, n, pulls);
  n = put(s->key, n, (mg_str){(const char *)&query->evidence_size, sizeof query->evidence_size});
  for (uint32_t i = 0; i < query->base_count; i++) n = put(s->key, n, query->bases[i]);
  return (mg_str){s->key, n};
}

/* ---- asking ---- */

static struct mg_asked **slot_of(const struct mg_registry_session *s, mg_str key) {
  return &s->slots[mg_str_hash(MG_HASH, key) % s->slot_count];
}

static struct mg_asked *find(struct mg_registry_session *s, mg_str key) {
  struct mg_asked *asked = s->slots ? *slot_of(s, key) : NULL;
  while (asked && !mg_str_eq(asked->key, key)) asked = asked->chain;
  return asked;
}

/* With the lock. */
static struct mg_asked *add(struct mg_registry_session *s, const struct mg_image_query *query, mg_str key) {
  uint32_t most = s->patient ? MG_REGISTRY_RUN_MAX : MG_REGISTRY_REVIEW_MAX;
  struct mg_asked *asked = s->asked_count < most ? MG_NEW(&s->arena, struct mg_asked) : NULL;
  if (asked && !s->slots) {
    s->slot_count = s->patient ? RUN_SLOTS : REVIEW_SLOTS;
    s->slots = MG_NEW_N(&s->arena, struct mg_asked *, s->slot_count);
  }
  if (!asked || !s->slots) return NULL;
  asked->session = s;
  asked->base_count = query->base_count < MG_QUERY_BASES_MAX ? query->base_count : MG_QUERY_BASES_MAX;
  asked->boxes = MG_NEW_N(&s->arena, struct mg_box *, 1 + asked->base_count);
  asked->key = mg_arena_dup(&s->arena, key);
  if (s->arena.failed) return NULL;
  asked->next = s->asked;
  s->asked = asked;
  struct mg_asked **slot = slot_of(s, asked->key);
  asked->chain = *slot;
  *slot = asked;
  s->asked_count++;
  return asked;
}

/* With the lock. True: the thread has something to do. */
static bool begin(struct mg_registry *r, const struct mg_image_query *query, struct mg_asked *asked) {
  struct mg_box *boxes[1 + MG_QUERY_BASES_MAX];
  const struct mg_trouble *trouble;
  if (mg_look_cached(r, query, asked->key, boxes, &trouble)) {
    for (uint32_t i = 0; i <= asked->base_count; i++) asked->boxes[i] = boxes[i] ? mg_box_ref(boxes[i]) : NULL;
    asked->known = true;
    mg_registry_add(r, MG_REGISTRY_HIT);
  } else if (trouble) {
    asked->why = mg_look_why(r, query, trouble, &asked->session->arena);
    if (!asked->why.n) asked->why = MG_S("the registry could not be asked");
    mg_registry_add(r, trouble->result);
  } else {
    int code = mg_look_join(r, query, asked);
    if (code == 0) return true;
    if (code == MG_E_LIMIT && asked->session->patient) return false; /* it will be asked again */
    asked->why = code == MG_E_LIMIT ? MG_S("too many images are looked up already") : MG_S("too little memory to look at it");
    mg_registry_add(r, MG_REGISTRY_THROTTLED);
  }
  return false;
}

/* What has come so far may be enough: sizes and history, where layers are being read. With the lock. */
static void give_up(struct mg_registry *r, const struct mg_image_query *query, struct mg_asked *asked) {
  const mg_str why = MG_S("the registry has not answered in time");
  struct mg_box *bases[MG_QUERY_BASES_MAX];
  mg_asked_leave(asked);
  mg_registry_add(r, MG_REGISTRY_LATE);
  asked->boxes[0] = mg_look_so_far(r, query, bases, why);
  asked->known = asked->boxes[0] != NULL;
  asked->why = asked->known ? (mg_str){0} : why;
  for (uint32_t i = 0; asked->known && i < asked->base_count; i++) asked->boxes[1 + i] = bases[i] ? mg_box_ref(bases[i]) : NULL;
}

static mg_str too_much(const struct mg_registry_session *s, mg_str key) {
  if (!key.n) return MG_S("too little memory to look at it, or its bases have names that are too long");
  if (s->patient && s->asked_count >= MG_REGISTRY_RUN_MAX)
    return MG_S("only the first " TEXT(MG_REGISTRY_RUN_MAX) " images of a run are looked into");
  if (!s->patient && s->asked_count >= MG_REGISTRY_REVIEW_MAX)
    return MG_S("only the first " TEXT(MG_REGISTRY_REVIEW_MAX) " images of a review are looked into");
  return MG_S("too little memory to look at it");
}

static enum mg_image_answer ask(void *ctx, const struct mg_image_query *query, const struct mg_image_facts **ret_facts,
                                const struct mg_image_facts **ret_bases, mg_str *ret_why) {
  struct mg_registry_session *s = ctx;
  struct mg_registry *r = s->registry;
  mg_str key = key_of(s, query);
  bool wake = false;
  pthread_mutex_lock(&r->lock); /* from here on: the thread, too, puts answers into the session's arena */
  struct mg_asked *asked = key.n ? find(s, key) : NULL;
  bool fresh = key.n && !asked && (asked = add(s, query, key));
  if (!asked) {
    pthread_mutex_unlock(&r->lock);
    *ret_why = too_much(s, key);
    return MG_IMAGE_UNKNOWN;
  }
  /* It has none to wait for where there were too many. */
  if (fresh || (!asked->known && !asked->why.n && !asked->wait_at)) wake = begin(r, query, asked);
  if (s->late && !asked->known && !asked->why.n) give_up(r, query, asked);
  bool known = asked->known;
  mg_str why = asked->why;
  pthread_mutex_unlock(&r->lock);
  if (wake) mg_transfers_wake(r->errands.transfers);
  if (!known) {
    *ret_why = why;
    return why.n ? MG_IMAGE_UNKNOWN : MG_IMAGE_WAIT;
  }
  *ret_facts = &asked->boxes[0]->facts;
  for (uint32_t i = 0; i < query->base_count; i++)
    ret_bases[i] = i < asked->base_count && asked->boxes[1 + i] ? &asked->boxes[1 + i]->facts : NULL;
  return MG_IMAGE_KNOWN;
}

/* ---- sessions ---- */

int mg_registry_session_new(struct mg_registry_session **ret, struct mg_registry *registry) {
  *ret = calloc(1, sizeof **ret);
  if (!*ret) return MG_E_NOMEM;
  (*ret)->registry = registry;
  mg_arena_init(&(*ret)->arena, ARENA_MAX, 0);
  return 0;
}

void mg_registry_session_patient(struct mg_registry_session *s) {
  s->patient = true;
  s->arena.max = RUN_ARENA_MAX;
}

/* With the lock. */
static void disarm(struct mg_registry_session *s) {
  if (!s->armed) return;
  struct mg_registry_session **at = &s->registry->armed;
  while (*at != s) at = &(*at)->armed_next;
  *at = s->armed_next;
  s->armed = false;
}

void mg_registry_session_free(struct mg_registry_session *s) {
  if (!s) return;
  struct mg_registry *r = s->registry;
  pthread_mutex_lock(&r->lock);
  disarm(s);
  while (r->calling == s) pthread_cond_wait(&r->changed, &r->lock);
  for (struct mg_asked *a = s->asked; a; a = a->next) mg_asked_leave(a);
  pthread_mutex_unlock(&r->lock);
  for (struct mg_asked *a = s->asked; a; a = a->next)
    for (uint32_t i = 0; i <= a->base_count; i++) mg_box_unref(a->boxes[i]);
  mg_arena_fini(&s->arena);
  free(s->key);
  free(s);
}

struct mg_images mg_registry_session_images(struct mg_registry_session *s) {
  return (struct mg_images){.ctx = s, .ask = ask};
}

uint32_t mg_registry_session_waiting(const struct mg_registry_session *s) {
  pthread_mutex_lock(&s->registry->lock);
  uint32_t waiting = s->waiting;
  pthread_mutex_unlock(&s->registry->lock);
  return waiting;
}

void mg_registry_session_notify(struct mg_registry_session *s, int64_t ms, void (*done)(void *ctx), void *ctx) {
  struct mg_registry *r = s->registry;
  pthread_mutex_lock(&r->lock);
  bool wait = s->waiting > 0;
  if (wait) {
    disarm(s);
    s->deadline = mg_clock_ms() + (ms > 0 ? ms : 0);
    s->done = done;
    s->ctx = ctx;
    s->armed = true;
    s->armed_next = r->armed;
    r->armed = s;
  }
  pthread_mutex_unlock(&r->lock);
  if (wait) mg_transfers_wake(r->errands.transfers);
  else done(ctx);
}

bool mg_registry_session_wait(struct mg_registry_session *s, int64_t ms) {
  struct mg_registry *r = s->registry;
  const struct timespec until = mg_clock_in(ms > 0 ? ms : 0);
  pthread_mutex_lock(&r->lock);
  while (s->waiting && pthread_cond_timedwait(&r->changed, &r->lock, &until) != ETIMEDOUT) {}
  bool all = s->waiting == 0;
  pthread_mutex_unlock(&r->lock);
  return all;
}

void mg_registry_session_late(struct mg_registry_session *s) {
  s->late = true; /* nobody else reads it */
}

/* ---- the thread ---- */

int64_t mg_sessions_call(struct mg_registry *r) {
  int64_t now = mg_clock_ms(), wait = 1000;
  pthread_mutex_lock(&r->lock);
  for (struct mg_registry_session *s = r->armed; s;) {
    if (s->waiting && s->deadline > now) {
      if (s->deadline - now < wait) wait = s->deadline - now;
      s = s->armed_next;
      continue;
    }
    void (*done)(void *ctx) = s->done;
    void *ctx = s->ctx;
    disarm(s);
    r->calling = s;
    pthread_mutex_unlock(&r->lock);
    done(ctx);
    pthread_mutex_lock(&r->lock);
    r->calling = NULL;
    pthread_cond_broadcast(&r->changed);
    s = r->armed; /* the list may be another one now */
  }
  pthread_mutex_unlock(&r->lock);
  return wait;
}
