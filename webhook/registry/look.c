/* One query, for all sessions that ask the same: the image and its bases, then the layers that are to be looked into. */
#include <stdio.h>
#include <stdlib.h>

#include "kube/image.h"
#include "registry/inner.h"

#define LOOKS_AT_ONCE 64
#define LOOKS_OF_ONE 48 /* of one registry: one that does not answer must not keep all others waiting */
#define LOOK_MS 60000
#define TOO_LONG "asking for it took too long"
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
  mg_str pull_key, pull_note; /* "": none */
  struct mg_pull_want pull;
  struct mg_keyring *pulls;
};

static uint32_t bases_of(const struct mg_image_query *query) {
  return query->base_count < MG_QUERY_BASES_MAX ? query->base_count : MG_QUERY_BASES_MAX;
}

static mg_str domain_of(mg_str reference) {
  return (mg_str){reference.p, mg_str_find(reference, '/')};
}

/* The pod's, or else what the host's document says. */
static mg_str platform_of(const struct mg_settings *settings, const struct mg_image_query *query) {
  if (query->platform.n) return query->platform;
  const struct mg_registry_host *host = mg_settings_host(settings, domain_of(query->reference));
  return host ? host->platform : (mg_str){0};
}

/* ---- what is in the cache; the lock is held ---- */

static mg_str digest_in(mg_str reference) {
  return mg_str_from(reference, mg_str_find(reference, '@') + 1);
}

mg_str mg_facts_place(mg_str reference, mg_str platform, char room[MG_NAME_ROOM]) {
  mg_str repository = {reference.p, mg_str_find(reference, '@')};
  size_t end = repository.n;
  while (end > 0 && repository.p[end - 1] != '/' && repository.p[end - 1] != ':') end--;
  if (end > 0 && repository.p[end - 1] == ':' && repository.n == reference.n) repository.n = end - 1;
  int n = snprintf(room, MG_NAME_ROOM, "%.*s %.*s", MG_FMT(platform), MG_FMT(repository));
  return n > 0 && n < MG_NAME_ROOM ? (mg_str){room, (size_t)n} : (mg_str){0};
}

/* `name` is the reference's (mg_image_named). */
static struct mg_box *cached_box(struct mg_registry *r, mg_str name, mg_str reference, mg_str platform, int64_t now) {
  char room[MG_NAME_ROOM];
  mg_str digest = r->reads_secrets ? (mg_str){0} : digest_in(name), place = mg_facts_place(reference, platform, room);
  return mg_cache_box(&r->cache, digest.n ? digest : mg_cache_tag(&r->cache, name, now), place, now);
}

static const struct mg_trouble *cached_trouble(struct mg_registry *r, mg_str name, mg_str platform, int64_t now) {
  char key[MG_NAME_ROOM + 64];
  int n = snprintf(key, sizeof key, "%.*s %.*s", MG_FMT(name), MG_FMT(platform));
  return n > 0 && (size_t)n < sizeof key ? mg_cache_trouble(&r->cache, (mg_str){key, (size_t)n}, now) : NULL;
}

/* A base that cannot be had now is what it was before: else its layers would count against the image. */
static struct mg_box *last_box(struct mg_registry *r, mg_str reference, mg_str platform) {
  char room[MG_NAME_ROOM];
  return mg_cache_box(&r->cache, mg_cache_last_tag(&r->cache, reference), mg_facts_place(reference, platform, room), 0);
}

/* False: its pull secrets are to be read first. */
static bool name_of(struct mg_registry *r, const struct mg_image_query *query, int64_t now, char room[MG_NAME_ROOM],
                    mg_str *ret) {
  char key_room[MG_PULL_KEY_ROOM], scope_room[MG_SCOPE_ROOM];
  mg_str key = r->reads_secrets ? mg_pull_key(query, key_room) : (mg_str){0}, scope = {0};
  const struct mg_pull_set *set = key.n ? mg_pull_set_of(&r->sets, key, now) : NULL;
  if (key.n && (!set || !mg_pull_scope(r->settings, set->keyring, query->reference, scope_room, &scope))) return false;
  *ret = mg_image_named(query->reference, scope, room);
  return true;
}

static const char *open_note(mg_str note) {
  return note.n ? " (" : "";
}

static const char *close_note(mg_str note) {
  return note.n ? ")" : "";
}

mg_str mg_look_why(struct mg_registry *r, const struct mg_image_query *query, const struct mg_trouble *trouble,
                   struct mg_arena *arena) {
  char room[MG_PULL_KEY_ROOM];
  bool denied = r->reads_secrets && trouble->result == MG_REGISTRY_DENIED;
  mg_str key = denied ? mg_pull_key(query, room) : (mg_str){0};
  const struct mg_pull_set *set = key.n ? mg_pull_set_of(&r->sets, key, mg_clock_ms()) : NULL;
  mg_str note = set ? mg_str_of(set->note) : (mg_str){0};
  return mg_arena_printf(arena, "%.*s%s%.*s%s", MG_FMT(trouble->why), open_note(note), MG_FMT(note), close_note(note));
}

static struct mg_box_question question_of(int64_t evidence_size, struct mg_box *const *bases, uint32_t count) {
  return (struct mg_box_question){
      .evidence_size = evidence_size, .now = mg_clock_ms(), .bases = bases, .base_count = count};
}

bool mg_look_cached(struct mg_registry *r, const struct mg_image_query *query, mg_str key, struct mg_box **boxes,
                    const struct mg_trouble **ret_trouble) {
  struct mg_box_question question = question_of(query->evidence_size, boxes + 1, bases_of(query));
  mg_str platform = platform_of(r->settings, query);
  char room[MG_NAME_ROOM];
  mg_str name;
  *ret_trouble = NULL;
  if (!name_of(r, query, question.now, room, &name)) return false;
  boxes[0] = cached_box(r, name, query->reference, platform, question.now);
  if (!boxes[0]) {
    *ret_trouble = cached_trouble(r, name, platform, question.now);
    return false;
  }
  for (uint32_t i = 0; i < question.base_count; i++) {
    boxes[1 + i] = cached_box(r, query->bases[i], query->bases[i], platform, question.now);
    if (boxes[1 + i]) continue;
    if (!cached_trouble(r, query->bases[i], platform, question.now)) return false;
    boxes[1 + i] = last_box(r, query->bases[i], platform);
  }
  if (!mg_box_wants_any(boxes[0], &question)) return true;
  *ret_trouble = mg_cache_trouble(&r->cache, key, question.now);
  return false;
}

struct mg_box *mg_look_so_far(struct mg_registry *r, const struct mg_image_query *query, struct mg_box **bases, mg_str why) {
  struct mg_box_question question = question_of(query->evidence_size, bases, bases_of(query));
  mg_str platform = platform_of(r->settings, query);
  char room[MG_NAME_ROOM];
  mg_str name;
  if (!name_of(r, query, question.now, room, &name)) return NULL;
  struct mg_box *box = cached_box(r, name, query->reference, platform, question.now);
  if (!box) return NULL;
  for (uint32_t i = 0; i < question.base_count; i++) {
    bases[i] = cached_box(r, query->bases[i], query->bases[i], platform, question.now);
    if (!bases[i]) bases[i] = last_box(r, query->bases[i], platform);
  }
  return mg_box_unread(box, &question, why);
}

/* ---- joining; the lock is held ---- */

static void free_look(struct mg_look *look) {
  mg_keyring_unref(look->pulls);
  mg_settings_unref(look->settings);
  mg_arena_fini(&look->arena);
  free(look);
}

static struct mg_look *new_look(struct mg_registry *r, const struct mg_image_query *query, mg_str key) {
  struct mg_look *look = calloc(1, sizeof *look);
  char room[MG_PULL_KEY_ROOM];
  if (!look) return NULL;
  mg_arena_init(&look->arena, ARENA_MAX, 0);
  look->registry = r;
  look->settings = mg_settings_ref(r->settings);
  look->key = mg_arena_dup(&look->arena, key);
  if (r->reads_secrets) look->pull_key = mg_arena_dup(&look->arena, mg_pull_key(query, room));
  look->platform = mg_arena_dup(&look->arena, platform_of(r->settings, query));
  look->evidence_size = query->evidence_size;
  look->base_count = bases_of(query);
  look->wants = MG_NEW_N(&look->arena, struct mg_want, 1 + look->base_count);
  look->boxes = MG_NEW_N(&look->arena, struct mg_box *, 1 + look->base_count);
  for (uint32_t i = 0; look->wants && i <= look->base_count; i++) {
    mg_str reference = mg_arena_dup(&look->arena, i ? query->bases[i - 1] : query->reference);
    look->wants[i] = (struct mg_want){.look = look, .reference = reference, .name = reference};
  }
  if (!look->arena.failed) return look;
  free_look(look);
  return NULL;
}

int mg_look_join(struct mg_registry *r, const struct mg_image_query *query, struct mg_asked *asked) {
  struct mg_look *look = r->looks;
  uint32_t of_one = 0;
  mg_str domain = domain_of(query->reference);
  for (; look && !(look->settings == r->settings && mg_str_eq(look->key, asked->key)); look = look->next)
    of_one += mg_str_eq(domain_of(look->wants->reference), domain);
  if (!look) {
    if (r->look_count >= MG_LOOKS_MAX || of_one >= MG_LOOKS_OF_ONE_MAX) return MG_E_LIMIT;
    look = new_look(r, query, asked->key);
    if (!look) return MG_E_NOMEM;
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
  bool denied = result == MG_REGISTRY_DENIED && look->pull_key.n;
  char text[MG_WHY_MAX + MG_PULL_NOTE_ROOM + 8];
  mg_str note = denied && *why ? look->pull_note : (mg_str){0};
  snprintf(text, sizeof text, "%s%s%.*s%s", why, open_note(note), MG_FMT(note), close_note(note));
  mg_registry_add(r, result);
  mg_pull_leave(&look->pull);
  for (uint32_t i = 0; i <= look->base_count; i++) mg_fetch_leave(&look->wants[i]);
  if (look->peeks) mg_peeks_leave(look->peeks);
  pthread_mutex_lock(&r->lock);
  if (denied) mg_pull_set_doubt(&r->sets, look->pull_key);
  while (look->waiting) tell(look, look->waiting, mg_str_of(text));
  *(look->prev ? &look->prev->next : &r->looks) = look->next;
  if (look->next) look->next->prev = look->prev;
  r->look_count--;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->lock);
  for (uint32_t i = 0; i <= look->base_count; i++) mg_box_unref(look->boxes[i]);
  free_look(look);
}

/* ---- layers ---- */

static struct mg_box_question question(const struct mg_look *look) {
  return question_of(look->evidence_size, look->boxes + 1, look->base_count);
}

/* What is known stays known, without what its layers would have shown. */
static void end_unread(struct mg_look *look, enum mg_registry_result result, const char *why) {
  struct mg_box_question q = question(look);
  struct mg_box *box = mg_box_unread(look->boxes[0], &q, mg_str_of(why));
  if (box) {
    mg_box_unref(look->boxes[0]);
    look->boxes[0] = box;
  }
  end(look, result, box ? "" : why);
}

static void on_peeks(void *ctx, struct mg_box *box, enum mg_registry_result result) {
  struct mg_look *look = ctx;
  look->peeks = NULL;
  if (result == MG_REGISTRY_FETCHED && look->wants[0].result != MG_REGISTRY_HIT) result = look->wants[0].result;
  if (!box) {
    end_unread(look, MG_REGISTRY_UNREACHABLE, "too little memory to look into its layers");
    return;
  }
  mg_box_unref(look->boxes[0]);
  look->boxes[0] = mg_box_ref(box);
  end(look, result, "");
}

static void look_into(struct mg_look *look) {
  struct mg_peeks_order order = {
      .registry = look->registry, .settings = look->settings, .reference = look->wants[0].reference, .platform = look->platform,
      .scope = look->wants[0].scope, .pulls = look->pulls, .box = look->boxes[0], .question = question(look), .done = on_peeks,
      .ctx = look};
  if (look->settings->offline)
    end_unread(look, MG_REGISTRY_UNREACHABLE, "its layers are not in the cache, and no registry is to be asked");
  else if (!mg_peeks_start(&order, &look->peeks))
    end_unread(look, MG_REGISTRY_UNREACHABLE, "too little memory to look into its layers");
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
  struct mg_box_question q = question(look);
  if (!image->box) end(look, image->result, image->why);
  else if (mg_box_wants_any(image->box, &q)) look_into(look);
  else end(look, image->result, "");
}

void mg_look_got(struct mg_want *want) {
  struct mg_look *look = want->look;
  if (--look->outstanding == 0) got_all(look);
}

static void fetch_all(struct mg_look *look) {
  look->outstanding = look->base_count + 2; /* one that is this function */
  for (uint32_t i = 0; i <= look->base_count; i++)
    mg_fetch_join(look->registry, look->settings, look->platform, &look->wants[i]);
  if (--look->outstanding == 0) got_all(look);
}

/* The image is asked for with them, its bases are not. */
static void on_pulls(void *ctx, const struct mg_pull_set *set) {
  struct mg_look *look = ctx;
  struct mg_want *image = &look->wants[0];
  char scope_room[MG_SCOPE_ROOM], room[MG_NAME_ROOM];
  mg_str scope = {0};
  bool good = set && mg_pull_scope(look->settings, set->keyring, image->reference, scope_room, &scope);
  if (good) look->pull_note = mg_arena_dup(&look->arena, mg_str_of(set->note));
  if (good && scope.n) {
    image->scope = mg_arena_dup(&look->arena, scope);
    image->name = mg_arena_dup(&look->arena, mg_image_named(image->reference, scope, room));
    image->pulls = look->pulls = mg_keyring_ref(set->keyring);
  }
  if (!good || !image->name.n || look->arena.failed) end(look, MG_REGISTRY_UNREACHABLE, "too little memory to look at it");
  else fetch_all(look);
}

static void begin(struct mg_look *look) {
  look->deadline = mg_clock_ms() + LOOK_MS;
  look->pull = (struct mg_pull_want){.done = on_pulls, .ctx = look};
  if (look->pull_key.n) mg_pull_join(look->registry, look->settings, look->pull_key, &look->pull);
  else fetch_all(look);
}

/* ---- the thread ---- */

_Static_assert(2 * LOOKS_OF_ONE >= LOOKS_AT_ONCE, "no two registries have all that may run");
static uint32_t running_at(const struct mg_registry *r, mg_str domain) {
  uint32_t n = 0;
  for (const struct mg_look *look = r->looks; look; look = look->next)
    n += look->begun && mg_str_eq(domain_of(look->wants->reference), domain);
  return n;
}

/* The oldest whose turn it is; they stand newest first. With the lock. */
static struct mg_look *next_to_begin(const struct mg_registry *r) {
  uint32_t running = 0;
  struct mg_look *look = NULL;
  mg_str full = {0}; /* there cannot be two */
  for (struct mg_look *at = r->looks; at; at = at->next) {
    running += at->begun;
    look = at;
  }
  for (; running < LOOKS_AT_ONCE && look; look = look->prev) {
    mg_str domain = domain_of(look->wants->reference);
    if (look->begun || (full.p && mg_str_eq(domain, full))) continue;
    if (running_at(r, domain) < LOOKS_OF_ONE) return look;
    full = domain;
  }
  return NULL;
}

void mg_looks_begin(struct mg_registry *r) {
  for (;;) {
    pthread_mutex_lock(&r->lock);
    struct mg_look *next = next_to_begin(r);
    pthread_mutex_unlock(&r->lock);
    if (!next) return;
    next->begun = true;
    begin(next);
  }
}

int64_t mg_looks_expire(struct mg_registry *r) {
  int64_t now = mg_clock_ms(), wait = 1000;
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
      if (over->boxes[0]) end_unread(over, MG_REGISTRY_TIMEOUT, TOO_LONG);
      else end(over, MG_REGISTRY_TIMEOUT, TOO_LONG);
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
