#include "cluster/live.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"
#include "cluster/follow.h"

#define LOOK_MS 1000 /* how often what is known is seen to have become old */
#define CONNECTIONS (2L * MG_CTX_KINDS)

/* What other threads may see of one kind. */
struct view {
  bool wanted, synced, served, known;
  uint32_t objects;
  int64_t contact, event_unix;
  enum mg_follow_error trouble;
  uint64_t errors[MG_FOLLOW_ERRORS];
};

struct mg_live {
  struct mg_live_options options;
  struct mg_api *api;
  CURLM *multi;
  pthread_t thread;
  bool started;
  atomic_bool stopping, ready;
  _Atomic uint32_t needs;
  int64_t since;
  struct mg_follow follows[MG_CTX_KINDS];
  struct mg_context *last; /* that was published; NULL: none */
  int64_t changed; /* when the first of the changes that are not published came; 0: there are none */
  pthread_mutex_t lock; /* of the views */
  struct view views[MG_CTX_KINDS];
  uint32_t shown; /* what was known in the last that was published */
};

/* ---- what is published ---- */

static uint32_t known_now(const struct mg_live *live, int64_t now) {
  uint32_t known = 0;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++)
    if (mg_follow_is_known(&live->follows[i], now, live->options.stale_ms)) known |= MG_CTX_BIT(i);
  return known;
}

static int fill(const struct mg_live *live, struct mg_context *context) {
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    const struct mg_feed *feed = &live->follows[i].feed;
    if (live->last && !feed->changed) mg_context_share(context, i, live->last);
    else if (feed->known.count && mg_context_fill(context, i, feed->known.items, feed->known.count))
      return -1;
  }
  return mg_context_seal(context);
}

/* Without memory for it the changes stay, and it is tried again. */
static void publish(struct mg_live *live, int64_t now, uint32_t known) {
  struct mg_context *context = mg_context_new();
  if (!context || fill(live, context)) {
    mg_context_unref(context);
    live->changed = now;
    return;
  }
  context->known = known;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) live->follows[i].feed.changed = false;
  live->changed = 0;
  mg_context_unref(live->last);
  live->last = mg_context_ref(context);
  live->options.publish(live->options.ctx, context);
}

/* Milliseconds until there is something to do about it. */
static int64_t publish_in_time(struct mg_live *live, int64_t now) {
  uint32_t known = known_now(live, now);
  bool changed = false, news = !live->last || known != live->last->known; /* rare, and somebody may wait for it */
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) changed |= live->follows[i].feed.changed;
  if (!changed && !news) return LOOK_MS;
  if (!live->changed) live->changed = now;
  if (!news && now < live->changed + MG_LIVE_GATHER_MS) return live->changed + MG_LIVE_GATHER_MS - now;
  publish(live, now, known);
  return LOOK_MS;
}

/* ---- what others see ---- */

static void show(struct mg_live *live, int64_t now) {
  pthread_mutex_lock(&live->lock);
  live->shown = live->last ? live->last->known : 0;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    const struct mg_follow *f = &live->follows[i];
    struct view *v = &live->views[i];
    *v = (struct view){.wanted = f->wanted, .synced = f->synced, .served = f->served, .objects = f->feed.known.count,
                       .known = mg_follow_is_known(f, now, live->options.stale_ms),
                       .contact = f->contact, .event_unix = f->event_unix, .trouble = f->trouble};
    if (v->known && now - v->contact > 0 && f->watching && f->running) v->contact = now;
    memcpy(v->errors, f->errors, sizeof v->errors);
  }
  pthread_mutex_unlock(&live->lock);
}

bool mg_live_ready(struct mg_live *live) {
  if (atomic_load(&live->ready)) return true;
  pthread_mutex_lock(&live->lock);
  bool all = (atomic_load(&live->needs) & ~live->shown) == 0;
  pthread_mutex_unlock(&live->lock);
  if (all || mg_clock_ms() - live->since >= live->options.wait_ms) atomic_store(&live->ready, true);
  return atomic_load(&live->ready);
}

void mg_live_describe(struct mg_live *live, struct mg_buf *out) {
  int64_t now = mg_clock_ms();
  pthread_mutex_lock(&live->lock);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    const struct view *v = &live->views[i];
    if (!v->wanted) continue;
    mg_buf_printf(out, "context %s %s, %u objects", mg_context_kind_name(i),
                  !v->synced ? "not synced" : !v->served ? "not served" : v->known ? "synced" : "stale", v->objects);
    if (v->synced) mg_buf_printf(out, ", age %" PRId64 "s", (now - v->contact) / 1000);
    if (v->trouble != MG_FOLLOW_FINE) mg_buf_printf(out, " (%s)", mg_follow_error_words[v->trouble]);
    mg_buf_byte(out, '\n');
  }
  pthread_mutex_unlock(&live->lock);
}

static void write_objects(const struct view *v, const char *name, const char *kind, struct mg_buf *out) {
  mg_buf_printf(out, "%s{kind=\"%s\"} %u\n", name, kind, v->objects);
}

static void write_synced(const struct view *v, const char *name, const char *kind, struct mg_buf *out) {
  mg_buf_printf(out, "%s{kind=\"%s\"} %d\n", name, kind, v->known);
}

static void write_event(const struct view *v, const char *name, const char *kind, struct mg_buf *out) {
  mg_buf_printf(out, "%s{kind=\"%s\"} %" PRId64 "\n", name, kind, v->event_unix);
}

static void write_errors(const struct view *v, const char *name, const char *kind, struct mg_buf *out) {
  for (int e = 0; e < MG_FOLLOW_ERRORS; e++)
    mg_buf_printf(out, "%s{kind=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name, kind, mg_follow_error_words[e], v->errors[e]);
}

static const struct {
  const char *name, *type, *help;
  void (*write)(const struct view *view, const char *name, const char *kind, struct mg_buf *out);
} families[] = {
    {"mlgate_context_objects", "gauge", "Objects known of a kind that policies need.", write_objects},
    {"mlgate_context_synced", "gauge", "1: the kind is known, and up to date as far as can be told.", write_synced},
    {"mlgate_context_last_event_timestamp_seconds", "gauge", "The last list, event or bookmark; 0: none.", write_event},
    {"mlgate_context_errors_total", "counter", "Lists and watches that failed.", write_errors},
};

void mg_live_metrics(struct mg_live *live, struct mg_buf *out) {
  pthread_mutex_lock(&live->lock);
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    mg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].help, families[i].name, families[i].type);
    for (enum mg_context_kind k = 0; k < MG_CTX_KINDS; k++)
      if (live->views[k].wanted) families[i].write(&live->views[k], families[i].name, mg_context_kind_name(k), out);
  }
  pthread_mutex_unlock(&live->lock);
}

/* ---- the thread ---- */

static void leave_multi(struct mg_live *live, struct mg_follow *f) {
  if (f->running) curl_multi_remove_handle(live->multi, f->curl);
}

static void heed_needs(struct mg_live *live) {
  uint32_t needs = atomic_load(&live->needs);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    struct mg_follow *f = &live->follows[i];
    bool wanted = needs & MG_CTX_BIT(i);
    if (f->wanted && !wanted) {
      leave_multi(live, f);
      mg_follow_drop(f);
    }
    f->wanted = wanted;
  }
}

static void take_ended(struct mg_live *live, int64_t now) {
  int left;
  for (CURLMsg *msg; (msg = curl_multi_info_read(live->multi, &left));) {
    char *private = NULL;
    CURLcode why = msg->data.result;
    if (msg->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
    curl_multi_remove_handle(live->multi, msg->easy_handle);
    mg_follow_end((struct mg_follow *)(void *)private, why, now, live->options.stale_ms);
  }
}

/* Milliseconds until the next request is due. */
static int64_t begin_due(struct mg_live *live, int64_t now) {
  int64_t wait = LOOK_MS;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    struct mg_follow *f = &live->follows[i];
    if (mg_follow_is_silent(f, now)) {
      leave_multi(live, f);
      mg_follow_cut(f, now);
    }
    if (!f->wanted || f->running) continue;
    if (f->due <= now && mg_follow_begin(f, live->api, now)) {
      if (curl_multi_add_handle(live->multi, f->curl) != CURLM_OK) mg_follow_cut(f, now);
      wait = 0;
    }
    if (!f->running && f->due - now < wait) wait = f->due - now;
  }
  return wait > 0 ? wait : 0;
}

static void *run(void *arg) {
  struct mg_live *live = arg;
  while (!atomic_load(&live->stopping)) {
    int running = 0;
    int64_t now = mg_clock_ms();
    mg_pulse_begin("live context");
    heed_needs(live);
    int64_t wait = begin_due(live, now);
    curl_multi_perform(live->multi, &running);
    now = mg_clock_ms();
    take_ended(live, now);
    int64_t gather = publish_in_time(live, now);
    show(live, now);
    for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) /* what has just ended is often due at once */
      if (live->follows[i].wanted && !live->follows[i].running && live->follows[i].due <= now) wait = 0;
    if (gather < wait) wait = gather;
    mg_pulse_end();
    curl_multi_poll(live->multi, NULL, 0, (int)wait, NULL);
  }
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) leave_multi(live, &live->follows[i]);
  return NULL;
}

/* ---- from outside ---- */

int mg_live_new(const struct mg_live_options *options, struct mg_live **ret, struct mg_err *err) {
  struct mg_live *live = calloc(1, sizeof *live);
  *ret = NULL;
  if (!live) return mg_err_nomem(err);
  live->options = *options;
  if (options->stale_ms == 0) live->options.stale_ms = MG_LIVE_STALE_MS;
  if (options->wait_ms < 0) live->options.wait_ms = MG_LIVE_WAIT_MS;
  pthread_mutex_init(&live->lock, NULL);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) mg_follow_init(&live->follows[i], i);
  int code = mg_api_open(&options->api, &live->api, err);
  if (code == 0 && !(live->multi = curl_multi_init())) code = mg_err_nomem(err);
  if (code < 0) {
    mg_live_free(live);
    return code;
  }
  curl_multi_setopt(live->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS);
  live->since = mg_clock_ms();
  *ret = live;
  return 0;
}

int mg_live_start(struct mg_live *live, struct mg_err *err) {
  int code = pthread_create(&live->thread, NULL, run, live);
  if (code != 0) return mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
  live->started = true;
  return 0;
}

void mg_live_stop(struct mg_live *live) {
  if (!live || !live->started) return;
  atomic_store(&live->stopping, true);
  curl_multi_wakeup(live->multi);
  pthread_join(live->thread, NULL);
  live->started = false;
}

void mg_live_free(struct mg_live *live) {
  if (!live) return;
  mg_live_stop(live);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) mg_follow_fini(&live->follows[i]);
  curl_multi_cleanup(live->multi);
  mg_context_unref(live->last);
  mg_api_close(live->api);
  pthread_mutex_destroy(&live->lock);
  free(live);
}

uint32_t mg_live_kinds(uint32_t needs) {
  return needs & ~MG_CTX_BIT(MG_CTX_RESOURCE_CLAIM);
}

void mg_live_need(struct mg_live *live, uint32_t needs) {
  atomic_store(&live->needs, mg_live_kinds(needs));
  curl_multi_wakeup(live->multi);
}
