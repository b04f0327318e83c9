#include "app/answer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "admit/admit.h"
#include "app/images.h"
#include "app/otlp.h"
#include "base/clock.h"
#include "base/when.h"
#include "http/metrics.h"

#define WAIT_MS 5000   /* for registries, at most */
#define ANSWER_MS 1000 /* of the caller's time-out that are left for the answer */

struct generation {
  struct generation *older; /* in the list of those that were replaced */
  struct mg_snapshot *snapshot;
  struct mg_registry *registry; /* the answerer's; NULL: no policy asks */
  struct mg_metrics *metrics; /* shared by generations that differ in context only, whose number is the same, too */
  uint64_t number;
  int64_t since;
  atomic_uint users; /* reviews that see it */
};

struct mg_answerer {
  pthread_mutex_t publishing; /* of who makes the next generation; the first to be taken */
  struct mg_snapshot *files;  /* policies with the context of files */
  struct mg_context *live;    /* what is watched beside them; NULL: nothing is */
  pthread_mutex_t lock; /* of `now`, for as long as it takes to count a user */
  struct generation *now;
  /* Whoever adds counters up or moves them to the next generation, so that nobody reads half of it; never in a review. */
  pthread_mutex_t sums;
  struct generation *old;
  struct mg_registry *registry; /* from the first generation on that needs it; under `publishing` and `sums` */
  const struct mg_images_options *images;
  char *version;
  struct mg_review_log log;
  struct mg_otlp *otlp; /* NULL: no spans */
};

static const enum mg_metrics_result results[MG_RESULTS] = {
    [MG_RESULT_PASS] = MG_METRICS_PASS,   [MG_RESULT_MUTATED] = MG_METRICS_MUTATE, [MG_RESULT_EXEMPTED] = MG_METRICS_EXEMPT,
    [MG_RESULT_AUDIT] = MG_METRICS_AUDIT, [MG_RESULT_WARN] = MG_METRICS_WARN,      [MG_RESULT_DENY] = MG_METRICS_DENY,
};

static const enum mg_metrics_operation operations[] = {
    [MG_CREATE] = MG_METRICS_CREATE,
    [MG_UPDATE] = MG_METRICS_UPDATE,
    [MG_DELETE] = MG_METRICS_DELETE,
    [MG_CONNECT] = MG_METRICS_CONNECT,
};

/* The one place where a review comes to its generation. */
static struct generation *take(struct mg_answerer *answerer) {
  pthread_mutex_lock(&answerer->lock);
  struct generation *g = answerer->now;
  atomic_fetch_add_explicit(&g->users, 1, memory_order_relaxed);
  pthread_mutex_unlock(&answerer->lock);
  return g;
}

static void give_back(struct generation *g) {
  atomic_fetch_sub_explicit(&g->users, 1, memory_order_release);
}

/* Names are not NUL-terminated where they come from; a kind of a second group gets its group behind it. */
static const char **kind_names(const struct mg_kind_table *kinds, struct mg_arena *arena) {
  const char **names = MG_NEW_N(arena, const char *, kinds->count + 1);
  for (uint32_t i = 0; names && i < kinds->count; i++) {
    const struct mg_kind_row *row = &kinds->rows[i];
    bool second = false;
    for (uint32_t k = 0; k < i && !second; k++) second = mg_str_eq(kinds->rows[k].kind, row->kind);
    names[i] = mg_arena_printf(arena, second ? "%.*s.%.*s" : "%.*s", MG_FMT(row->kind), MG_FMT(row->group)).p;
  }
  return names;
}

static const char **policy_names(const struct mg_snapshot *snapshot, struct mg_arena *arena) {
  uint32_t count = mg_snapshot_policy_count(snapshot);
  const char **names = MG_NEW_N(arena, const char *, count + 1);
  for (uint32_t i = 0; names && i < count; i++) names[i] = mg_arena_dup(arena, mg_snapshot_policy(snapshot, i)->name).p;
  return names;
}

static int make_metrics(struct generation *g, const char *version, struct mg_err *err) {
  struct mg_arena arena;
  const struct mg_kind_table *kinds = mg_snapshot_kinds(g->snapshot);
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  struct mg_metrics_options options = {.version = version, .kinds = kind_names(kinds, &arena), .n_kinds = kinds->count,
                                       .policies = policy_names(g->snapshot, &arena),
                                       .n_policies = mg_snapshot_policy_count(g->snapshot)};
  int code = arena.failed ? mg_err_nomem(err) : mg_metrics_new(&options, &g->metrics, err);
  mg_arena_fini(&arena);
  return code;
}

static void generation_free(struct generation *g) {
  if (!g) return;
  mg_snapshot_unref(g->snapshot);
  mg_metrics_unref(g->metrics);
  free(g);
}

/* Under `publishing`. The registry for these policies; NULL: they need none. */
static int find_registry(struct mg_answerer *answerer, const struct mg_snapshot *files, struct mg_registry **ret,
                         struct mg_err *err) {
  struct mg_registry *registry = answerer->registry;
  *ret = NULL;
  if (!mg_images_needed(files)) return 0;
  int code = mg_images_use(&registry, files, answerer->images, err);
  if (code < 0) return code;
  pthread_mutex_lock(&answerer->sums);
  *ret = answerer->registry = registry;
  pthread_mutex_unlock(&answerer->sums);
  return 0;
}

/* Out of the files' snapshot and what is watched. `like`: a generation with the same policies, or NULL. */
static int generation_new(struct generation **ret, struct mg_answerer *answerer, struct mg_snapshot *files,
                          const struct mg_context *live, const struct generation *like, struct mg_err *err) {
  struct mg_snapshot *snapshot = live ? mg_snapshot_with(files, live) : mg_snapshot_ref(files);
  struct generation *g = snapshot ? calloc(1, sizeof *g) : NULL;
  if (!g) {
    mg_snapshot_unref(snapshot);
    return mg_err_nomem(err);
  }
  *g = (struct generation){.snapshot = snapshot, .number = 1, .since = (int64_t)time(NULL)};
  int code = 0;
  if (like) {
    g->number = like->number;
    g->since = like->since;
    g->registry = like->registry;
    g->metrics = mg_metrics_ref(like->metrics);
  } else {
    code = find_registry(answerer, files, &g->registry, err);
    if (code == 0) code = make_metrics(g, answerer->version, err);
  }
  if (code < 0) generation_free(g);
  else *ret = g;
  return code;
}

int mg_answerer_new(struct mg_answerer **ret, struct mg_snapshot *snapshot, const char *version,
                    const struct mg_images_options *images, struct mg_err *err) {
  static const struct mg_images_options nothing;
  struct mg_answerer *answerer = calloc(1, sizeof *answerer);
  *ret = NULL;
  if (answerer) answerer->version = strdup(version);
  if (!answerer || !answerer->version) {
    free(answerer);
    mg_snapshot_unref(snapshot);
    return mg_err_nomem(err);
  }
  answerer->files = snapshot;
  answerer->images = images ? images : &nothing;
  pthread_mutex_init(&answerer->publishing, NULL);
  pthread_mutex_init(&answerer->lock, NULL);
  pthread_mutex_init(&answerer->sums, NULL);
  int code = generation_new(&answerer->now, answerer, snapshot, NULL, NULL, err);
  if (code < 0) {
    mg_answerer_free(answerer);
    return code;
  }
  mg_answerer_reloaded(answerer, true);
  *ret = answerer;
  return 0;
}

void mg_answerer_tell(struct mg_answerer *answerer, unsigned lines_each_second, struct mg_otlp *otlp) {
  mg_review_log_init(&answerer->log, lines_each_second);
  answerer->otlp = otlp;
}

void mg_answerer_free(struct mg_answerer *answerer) {
  if (!answerer) return;
  generation_free(answerer->now);
  while (answerer->old) {
    struct generation *g = answerer->old;
    answerer->old = g->older;
    generation_free(g);
  }
  mg_registry_free(answerer->registry);
  mg_snapshot_unref(answerer->files);
  mg_context_unref(answerer->live);
  pthread_mutex_destroy(&answerer->publishing);
  pthread_mutex_destroy(&answerer->lock);
  pthread_mutex_destroy(&answerer->sums);
  free(answerer->version);
  free(answerer);
}

/* Under `sums`. What the last reviews of an old generation counted goes to the one of now, and then it is off the list. */
static struct generation *cut_unused(struct mg_answerer *answerer) {
  struct generation *unused = NULL, **link = &answerer->old;
  while (*link) {
    struct generation *g = *link;
    bool used = atomic_load_explicit(&g->users, memory_order_acquire) > 0;
    if (g->metrics != answerer->now->metrics) mg_metrics_carry(answerer->now->metrics, g->metrics);
    if (used) {
      link = &g->older;
      continue;
    }
    *link = g->older;
    g->older = unused;
    unused = g;
  }
  return unused;
}

bool mg_answerer_tidy(struct mg_answerer *answerer) {
  pthread_mutex_lock(&answerer->sums);
  struct generation *unused = cut_unused(answerer);
  bool all = !answerer->old;
  pthread_mutex_unlock(&answerer->sums);
  while (unused) {
    struct generation *g = unused;
    unused = g->older;
    generation_free(g);
  }
  return all;
}

/* Under `publishing`. */
static void use(struct mg_answerer *answerer, struct generation *g) {
  pthread_mutex_lock(&answerer->sums);
  struct generation *old = answerer->now;
  pthread_mutex_lock(&answerer->lock);
  answerer->now = g;
  pthread_mutex_unlock(&answerer->lock);
  old->older = answerer->old;
  answerer->old = old;
  if (g->metrics != old->metrics) mg_metrics_carry(g->metrics, old->metrics);
  pthread_mutex_unlock(&answerer->sums);
  (void)mg_answerer_tidy(answerer);
}

int mg_answerer_swap(struct mg_answerer *answerer, struct mg_snapshot *snapshot, struct mg_err *err) {
  struct generation *g = NULL;
  pthread_mutex_lock(&answerer->publishing);
  int code = generation_new(&g, answerer, snapshot, answerer->live, NULL, err);
  if (code == 0) {
    struct mg_snapshot *old = answerer->files;
    g->number = answerer->now->number + 1;
    answerer->files = snapshot;
    snapshot = old;
    use(answerer, g);
  }
  pthread_mutex_unlock(&answerer->publishing);
  mg_snapshot_unref(snapshot);
  return code;
}

int mg_answerer_context(struct mg_answerer *answerer, struct mg_context *context, struct mg_err *err) {
  struct generation *g = NULL;
  pthread_mutex_lock(&answerer->publishing);
  int code = generation_new(&g, answerer, answerer->files, context, answerer->now, err);
  if (code == 0) {
    struct mg_context *old = answerer->live;
    answerer->live = context;
    context = old;
    use(answerer, g);
  }
  pthread_mutex_unlock(&answerer->publishing);
  mg_context_unref(context);
  return code;
}

struct mg_serving mg_answerer_serving(struct mg_answerer *answerer) {
  struct generation *g = take(answerer);
  struct mg_serving serving = {g->number, mg_snapshot_content(g->snapshot)};
  give_back(g);
  return serving;
}

void mg_answerer_refused(struct mg_answerer *answerer, enum mg_refusal why) {
  struct generation *g = take(answerer);
  mg_metrics_refused(g->metrics, why);
  give_back(g);
}

void mg_answerer_reloaded(struct mg_answerer *answerer, bool well) {
  struct generation *g = take(answerer);
  mg_metrics_reload(g->metrics, well ? MG_METRICS_RELOAD_OK : MG_METRICS_RELOAD_FAILED, (int64_t)time(NULL));
  give_back(g);
}

void mg_answerer_expiry(struct mg_answerer *answerer, int64_t unix_seconds) {
  struct generation *g = take(answerer);
  mg_metrics_expiry(g->metrics, unix_seconds);
  give_back(g);
}

/* Worked out when asked, since time alone moves them. */
static void count_exceptions(const struct mg_snapshot *snapshot, uint32_t counts[MG_EXCEPTION_STATES]) {
  int64_t now = (int64_t)time(NULL);
  for (uint32_t i = 0; i < mg_snapshot_exception_count(snapshot); i++)
    counts[mg_exception_state(mg_snapshot_exception(snapshot, i), now)]++;
}

static void write_exceptions(const struct mg_snapshot *snapshot, struct mg_buf *out) {
  uint32_t counts[MG_EXCEPTION_STATES] = {0};
  count_exceptions(snapshot, counts);
  mg_metrics_head(out, "mlgate_exceptions", "gauge", "Exceptions; expiring: in fourteen days; expired ones exempt nothing.");
  for (int i = 0; i < MG_EXCEPTION_STATES; i++)
    mg_buf_printf(out, "mlgate_exceptions{state=\"%s\"} %u\n", mg_exception_state_words[i], counts[i]);
}

static void write_giving(const struct mg_snapshot *snapshot, struct mg_buf *out) {
  mg_metrics_head(out, "mlgate_limit_ranges_giving_accelerators", "gauge",
                  "LimitRanges known whose maximum alone gives accelerators to containers that ask for none.");
  mg_buf_printf(out, "mlgate_limit_ranges_giving_accelerators %u\n", mg_snapshot_context(snapshot)->giving);
}

static void write_lookups(const struct mg_registry *registry, struct mg_buf *out) {
  mg_metrics_head(out, "mlgate_image_lookups_total", "counter", "Images asked for, by what came of it.");
  for (int i = 0; i < MG_REGISTRY_RESULTS; i++)
    mg_buf_printf(out, "mlgate_image_lookups_total{result=\"%s\"} %" PRIu64 "\n", mg_registry_result_words[i],
                  registry ? mg_registry_count(registry, (enum mg_registry_result)i) : 0);
}

static void write_pulls(const struct mg_registry *registry, struct mg_buf *out) {
  mg_metrics_head(out, "mlgate_pull_secrets_total", "counter", "Pull secrets of pods asked for, by what came of it.");
  for (int i = 0; i < MG_PULL_RESULTS; i++)
    mg_buf_printf(out, "mlgate_pull_secrets_total{result=\"%s\"} %" PRIu64 "\n", mg_pull_result_words[i],
                  registry ? mg_registry_pull_count(registry, (enum mg_pull_result)i) : 0);
}

static void write_quota_limit(void *ctx, const struct mg_quota *quota) {
  mg_buf_printf(ctx, "mlgate_registry_quota_limit{host=\"%s\"} %" PRId64 "\n", quota->host, quota->limit);
}

static void write_quota_left(void *ctx, const struct mg_quota *quota) {
  mg_buf_printf(ctx, "mlgate_registry_quota_remaining{host=\"%s\"} %" PRId64 "\n", quota->host, quota->left);
}

static void write_quotas(struct mg_registry *registry, struct mg_buf *out) {
  mg_metrics_head(out, "mlgate_registry_quota_limit", "gauge", "Pulls that a registry allows in its window, where it says so.");
  if (registry) mg_registry_quotas(registry, write_quota_limit, out);
  mg_metrics_head(out, "mlgate_registry_quota_remaining", "gauge", "What is left of them, as of its last answer.");
  if (registry) mg_registry_quotas(registry, write_quota_left, out);
}

static void write_generation(const struct generation *g, struct mg_buf *out) {
  mg_metrics_head(out, "mlgate_config_generation", "gauge", "Sets of policies that have served in this process, counted.");
  mg_buf_printf(out, "mlgate_config_generation %" PRIu64 "\n", g->number);
  mg_metrics_head(out, "mlgate_config_generation_timestamp_seconds", "gauge", "Since when the one of now serves.");
  mg_buf_printf(out, "mlgate_config_generation_timestamp_seconds %" PRId64 "\n", g->since);
  mg_metrics_head(out, "mlgate_config_hash", "gauge", "Of the text of all policies and context files; replicas should agree.");
  mg_buf_printf(out, "mlgate_config_hash %" PRIu64 "\n", mg_snapshot_content(g->snapshot));
}

static void write_log(struct mg_buf *out) {
  mg_metrics_head(out, "mlgate_log_lines_dropped_total", "counter",
                  "Lines that are not in the log; blocked: nobody took them in time; rate: more than --log-rate.");
  mg_buf_printf(out, "mlgate_log_lines_dropped_total{reason=\"blocked\"} %" PRIu64 "\n", mg_log_dropped());
  mg_buf_printf(out, "mlgate_log_lines_dropped_total{reason=\"rate\"} %" PRIu64 "\n", mg_log_held());
}

void mg_answerer_metrics(struct mg_answerer *answerer, struct mg_buf *out) {
  (void)mg_answerer_tidy(answerer);
  pthread_mutex_lock(&answerer->sums);
  mg_metrics_write(answerer->now->metrics, out);
  write_generation(answerer->now, out);
  write_exceptions(answerer->now->snapshot, out);
  write_giving(answerer->now->snapshot, out);
  write_lookups(answerer->registry, out);
  if (answerer->images->api) write_pulls(answerer->registry, out);
  write_quotas(answerer->registry, out);
  pthread_mutex_unlock(&answerer->sums);
  write_log(out);
  mg_otlp_metrics(answerer->otlp, out);
}

static void count(const struct generation *g, const struct mg_answer *answer, uint64_t nanoseconds) {
  const struct mg_summary *s = &answer->summary;
  enum mg_metrics_operation operation = s->decided ? operations[s->operation] : MG_METRICS_OTHER_OPERATION;
  mg_metrics_review(g->metrics, operation, s->decided ? s->kind_index : SIZE_MAX, s->allowed, nanoseconds);
  if (!s->decided) mg_metrics_error(g->metrics, answer->http_status);
  if (s->undecided) mg_metrics_policy(g->metrics, s->undecided->index, MG_METRICS_ERROR);
  if (!s->policy_results) return;
  const uint32_t policies = mg_snapshot_policy_count(g->snapshot);
  for (uint32_t i = 0; s->policy_ns && i < policies; i++)
    if (s->policy_ns[i]) mg_metrics_policy_time(g->metrics, i, s->policy_ns[i]);
  for (uint32_t i = 0; i < policies; i++)
    if (s->policy_results[i] != MG_RESULT_NO_MATCH) mg_metrics_policy(g->metrics, i, results[s->policy_results[i]]);
}

/* ---- waiting for registries ---- */

/* A review that has asked one. It stays with the generation that it began with. */
struct mg_pending {
  struct generation *g;
  struct mg_registry_session *session;
  uint64_t start; /* monotonic, as `until` is */
  uint64_t until; /* answered then, with what is known */
};

void mg_pending_free(struct mg_pending *pending) {
  if (!pending) return;
  mg_registry_session_free(pending->session);
  give_back(pending->g);
  free(pending);
}

void mg_pending_wait(struct mg_pending *pending, void (*done)(void *ctx), void *ctx) {
  uint64_t now = mg_clock_ns();
  int64_t ms = pending->until > now ? (int64_t)((pending->until - now) / 1000000) : 0;
  mg_registry_session_notify(pending->session, ms > 0 ? ms : 1, done, ctx);
}

/* A review under way: with a pending part from the first image on that it asks for. */
struct asking {
  struct generation *g;
  struct mg_pending *pending;
  uint64_t start;
};

static struct mg_pending *pending_new(struct generation *g, uint64_t start) {
  struct mg_pending *pending = calloc(1, sizeof *pending);
  if (!pending) return NULL;
  if (mg_registry_session_new(&pending->session, g->registry) < 0) {
    free(pending);
    return NULL;
  }
  atomic_fetch_add_explicit(&g->users, 1, memory_order_relaxed); /* there is one already: the review's */
  pending->g = g;
  pending->start = start;
  return pending;
}

static enum mg_image_answer ask_image(void *ctx, const struct mg_image_query *query, const struct mg_image_facts **ret_facts,
                                      const struct mg_image_facts **ret_bases, mg_str *ret_why) {
  struct asking *asking = ctx;
  if (!asking->pending) asking->pending = pending_new(asking->g, asking->start);
  *ret_why = MG_S("out of memory");
  if (!asking->pending) return MG_IMAGE_UNKNOWN;
  struct mg_images images = mg_registry_session_images(asking->pending->session);
  return images.ask(images.ctx, query, ret_facts, ret_bases, ret_why);
}

/* True: waiting is over, or there was none. */
static bool is_final(struct asking *asking, const struct mg_review_call *call, const struct mg_answer *answer) {
  struct mg_pending *pending = asking->pending;
  if (!answer->waiting || !pending) return true;
  uint64_t now = mg_clock_ns();
  if (!pending->until) {
    int64_t ms = call->left_ms - ANSWER_MS;
    if (ms > WAIT_MS) ms = WAIT_MS;
    pending->until = now + (ms > 0 ? (uint64_t)ms * 1000000 : 0);
  }
  return !call->may_wait || now + 1000000 > pending->until;
}

static bool is_timed(void) {
  static _Thread_local unsigned reviews;
  return reviews++ % MG_METRICS_TIMED == 0;
}

static void admit(const struct mg_review_call *call, struct asking *asking, struct mg_arena *arena, struct mg_answer *answer) {
  const struct mg_images images = {asking, ask_image};
  const bool ask = asking->g->registry && !call->mutate; /* what /mutate waited for would be waited for once more */
  mg_admit_timed(asking->g->snapshot, call->mutate ? MG_MUTATE : MG_VALIDATE, call->body, (int64_t)time(NULL),
                 ask ? &images : NULL, is_timed() ? mg_clock_ns : NULL, arena, answer);
}

static void tell(struct mg_answerer *answerer, const struct asking *asking, const struct mg_review_call *call,
                 const struct mg_answer *answer, struct mg_arena *arena) {
  struct mg_reviewed reviewed = {.mutate = call->mutate, .snapshot = asking->g->snapshot, .answer = answer,
                                 .nanoseconds = mg_clock_ns() - asking->start};
  if (call->trace) reviewed.trace = *call->trace;
  count(asking->g, answer, reviewed.nanoseconds);
  if (answerer->otlp) mg_otlp_review(answerer->otlp, &reviewed, arena);
  mg_review_log_write(&answerer->log, &reviewed, arena);
}

unsigned mg_answerer_review_or_wait(struct mg_answerer *answerer, const struct mg_review_call *call, struct mg_pending **pending,
                                    struct mg_arena *arena, mg_str *ret_body) {
  struct mg_answer answer = {0};
  struct asking asking = {.pending = *pending, .start = *pending ? (*pending)->start : mg_clock_ns()};
  asking.g = *pending ? (*pending)->g : take(answerer);
  const bool first = !*pending;
  admit(call, &asking, arena, &answer);
  const bool final = is_final(&asking, call, &answer);
  if (final && answer.waiting && asking.pending) { /* who waits has one; analyzers do not know */
    mg_registry_session_late(asking.pending->session);
    mg_arena_reset(arena);
    admit(call, &asking, arena, &answer);
  }
  if (final) {
    tell(answerer, &asking, call, &answer, arena);
    *ret_body = mg_buf_str(&answer.body);
  }
  if (first) give_back(asking.g);
  if (final) mg_pending_free(asking.pending);
  *pending = final ? NULL : asking.pending;
  return final ? answer.http_status : 0;
}

unsigned mg_answerer_review(struct mg_answerer *answerer, bool mutate, mg_str body, struct mg_arena *arena, mg_str *ret_body) {
  const struct mg_review_call call = {.mutate = mutate, .body = body};
  struct mg_pending *pending = NULL;
  return mg_answerer_review_or_wait(answerer, &call, &pending, arena, ret_body);
}

void mg_answerer_describe(struct mg_answerer *answerer, struct mg_buf *out) {
  struct generation *g = take(answerer);
  char room[MG_WHEN_ROOM];
  uint32_t exceptions[MG_EXCEPTION_STATES] = {0};
  count_exceptions(g->snapshot, exceptions);
  mg_buf_printf(out, "policies %u\nexceptions %u\n", mg_snapshot_policy_count(g->snapshot),
                mg_snapshot_exception_count(g->snapshot));
  for (int i = MG_EXCEPTION_EXPIRING; i < MG_EXCEPTION_STATES; i++)
    if (exceptions[i]) mg_buf_printf(out, "exceptions %s %u\n", mg_exception_state_words[i], exceptions[i]);
  mg_buf_printf(out, "kinds %u\ngeneration %" PRIu64 "\ncontent %012" PRIx64 "\n", mg_snapshot_kinds(g->snapshot)->count,
                g->number, mg_snapshot_content(g->snapshot));
  mg_buf_printf(out, "loaded %s\n", mg_when_text(g->since, room));
  give_back(g);
}
