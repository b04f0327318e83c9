#include "app/reload.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "app/answer.h"
#include "app/confine.h"
#include "app/inputs.h"
#include "base/log.h"
#include "base/watch.h"
#include "cluster/live.h"
#include "http/metrics.h"
#include "http/server.h"

#define LOOK_ARENA ((size_t)64 << 20)
#define TRIES 8 /* at files that change while they are read */
#define TRY_AGAIN_MS 10
#define TIDY_MS 100

enum set_id { SET_POLICIES, SET_CREDENTIALS, SETS };

/* Files that belong together. */
struct set {
  uint64_t seen; /* how they looked when they were last read */
  bool failed;
  char error[MG_ERR_TEXT]; /* why what is newer does not serve; empty: it does. Under the lock */
};

/* What one attempt has read. */
struct staged {
  struct mg_snapshot *snapshot;
  struct mg_credentials *credentials;
  struct mg_load_said said; /* of policies */
  struct mg_err err;
};

struct mg_reload {
  struct mg_reload_options options;
  const struct mg_sandbox *sandbox; /* NULL: none */
  struct mg_watch *watch;
  struct mg_answerer *answerer;
  struct mg_http_server *server;
  pthread_t thread;
  bool running;
  _Atomic int64_t expires;
  pthread_mutex_t lock; /* of the errors */
  struct set sets[SETS];
};

/* ---- how files look ---- */

static void mix(uint64_t *hash, const void *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) *hash = (*hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

static void mix_file(uint64_t *hash, const char *path) {
  struct stat s = {0};
  mix(hash, path, strlen(path) + 1);
  if (stat(path, &s) != 0) return;
  const uint64_t facts[] = {s.st_dev, s.st_ino, (uint64_t)s.st_size, (uint64_t)s.st_mtim.tv_sec, (uint64_t)s.st_mtim.tv_nsec,
                            (uint64_t)s.st_ctim.tv_sec, (uint64_t)s.st_ctim.tv_nsec};
  mix(hash, facts, sizeof facts);
}

/* The directory that has the path: a file is replaced there, and there Kubernetes swaps the link that all files go through. */
static void watch_parent(struct mg_reload *reload, const char *path) {
  char dir[4096] = ".";
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  if (slash == path) n = 1;
  if (n >= sizeof dir) return;
  if (n) {
    memcpy(dir, path, n);
    dir[n] = '\0';
  }
  mg_watch_add(reload->watch, dir);
}

static bool same_parent(const char *a, const char *b) {
  const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
  return x && y && x - a == y - b && strncmp(a, b, (size_t)(x - a)) == 0;
}

static void look_at_paths(struct mg_reload *reload, const struct mg_strings *paths, struct mg_arena *arena, uint64_t *hash) {
  struct mg_inputs inputs = {.arena = arena, .policies = true};
  for (size_t i = 0; i < paths->count; i++) {
    watch_parent(reload, paths->items[i]);
    mg_watch_add(reload->watch, paths->items[i]);
    if (mg_inputs_add(&inputs, paths->items[i], NULL) < 0) mix(hash, "!", 1);
  }
  for (size_t i = 0; i < inputs.count; i++) {
    if (i == 0 || !same_parent(inputs.items[i].path, inputs.items[i - 1].path)) watch_parent(reload, inputs.items[i].path);
    mix_file(hash, inputs.items[i].path);
  }
}

static void look_at_policies(struct mg_reload *reload, uint64_t *hash) {
  static const char *usual[] = {MG_POLICIES_USUAL};
  const struct mg_policy_files *files = &reload->options.policies;
  struct mg_arena arena;
  mg_arena_init(&arena, LOOK_ARENA, 0);
  look_at_paths(reload, files->policies.count ? &files->policies : &(struct mg_strings){usual, 1}, &arena, hash);
  look_at_paths(reload, &files->context, &arena, hash);
  mg_arena_fini(&arena);
}

static void look_at_credentials(struct mg_reload *reload, uint64_t *hash) {
  const struct mg_credentials_files *f = &reload->options.credentials;
  const char *const paths[] = {f->cert, f->key, f->client_ca};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    if (!paths[i]) continue;
    watch_parent(reload, paths[i]);
    mix_file(hash, paths[i]);
  }
}

/* ---- staging ---- */

/* The next line that tells of something, which the lines of a source behind it do not. */
static mg_str next_told(mg_str *rest) {
  mg_str line = {0};
  while (rest->n && (!line.n || line.p[0] == ' ')) line = mg_str_cut(rest, '\n');
  return line.n && line.p[0] != ' ' ? line : (mg_str){0};
}

/* The first error; all of them would not fit into a line of the log. */
static int policy_error(const struct mg_load_said *said, int code, struct mg_err *err) {
  mg_str rest = said->error < said->text.n ? mg_str_from(mg_buf_str(&said->text), said->error) : MG_S("cannot be read");
  mg_str line = mg_str_cut(&rest, '\n');
  return mg_err_set(err, code, "%.*s", MG_FMT(line));
}

static int stage_policies(struct mg_reload *reload, struct staged *staged) {
  __attribute__((cleanup(mg_policy_sources_fini))) struct mg_policy_sources sources = {0};
  int code = mg_load_policies_into(&reload->options.policies, &sources, &staged->said, &staged->snapshot);
  if (code < 0) return policy_error(&staged->said, code, &staged->err);
  if (reload->options.dry_run) mg_snapshot_set_dry_run(staged->snapshot);
  return reload->sandbox ? mg_confine_fits(reload->sandbox, staged->snapshot, &staged->err) : 0;
}

static int stage_credentials(struct mg_reload *reload, struct staged *staged) {
  int code = mg_credentials_load(&reload->options.credentials, &staged->credentials, &staged->err);
  if (code == 0 && mg_credentials_until(staged->credentials) <= (int64_t)time(NULL))
    code = mg_err_set(&staged->err, MG_E_INVALID, "%s has ended", reload->options.credentials.cert);
  return code;
}

static int use_policies(struct mg_reload *reload, struct staged *staged) {
  struct mg_snapshot *snapshot = staged->snapshot;
  uint32_t needs = mg_snapshot_needs(snapshot);
  staged->snapshot = NULL;
  int code = mg_answerer_swap(reload->answerer, snapshot, &staged->err);
  if (code == 0 && reload->options.live) mg_live_need(reload->options.live, needs);
  return code;
}

static int use_credentials(struct mg_reload *reload, struct staged *staged) {
  int64_t until = mg_credentials_until(staged->credentials);
  mg_http_swap_credentials(reload->server, staged->credentials);
  staged->credentials = NULL;
  atomic_store(&reload->expires, until);
  mg_answerer_expiry(reload->answerer, until);
  return 0;
}

static void staged_fini(struct staged *staged) {
  if (staged->snapshot) mg_snapshot_unref(staged->snapshot);
  mg_credentials_unref(staged->credentials);
  mg_buf_fini(&staged->said.text);
  *staged = (struct staged){0};
}

static const struct {
  const char *name;
  void (*look)(struct mg_reload *reload, uint64_t *hash);
  int (*stage)(struct mg_reload *reload, struct staged *staged);
  int (*use)(struct mg_reload *reload, struct staged *staged); /* takes what was staged, also on failure */
} kinds[SETS] = {
    [SET_POLICIES] = {"policies", look_at_policies, stage_policies, use_policies},
    [SET_CREDENTIALS] = {"certificate", look_at_credentials, stage_credentials, use_credentials},
};

static uint64_t look(struct mg_reload *reload, enum set_id id) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  kinds[id].look(reload, &hash);
  return hash;
}

/* ---- one attempt ---- */

static void log_reload(struct mg_reload *reload, enum mg_log_level level, const char *msg, enum set_id id, const char *error) {
  struct mg_serving serving = mg_answerer_serving(reload->answerer);
  char content[20];
  struct mg_log_line line;
  snprintf(content, sizeof content, "%012" PRIx64, serving.content);
  mg_log_begin(&line, level, msg);
  mg_log_str(&line, "what", mg_str_of(kinds[id].name));
  mg_log_int(&line, "generation", (int64_t)serving.generation);
  mg_log_str(&line, "content", mg_str_of(content));
  if (error) mg_log_str(&line, "error", mg_str_of(error));
  mg_log_end(&line);
}

/* What is loaded for all its oddities. */
static void log_warnings(const struct mg_load_said *said) {
  mg_str rest = mg_buf_str(&said->text), told;
  while ((told = next_told(&rest)).n) {
    struct mg_log_line line;
    mg_log_begin(&line, MG_LOG_WARN, "policies");
    mg_log_str(&line, "warning", told);
    mg_log_end(&line);
  }
}

/* An error that was there already is counted and not told again. */
static void finish(struct mg_reload *reload, enum set_id id, int code, const struct mg_err *err) {
  struct set *set = &reload->sets[id];
  pthread_mutex_lock(&reload->lock);
  bool news = code < 0 && strcmp(set->error, err->text) != 0;
  if (code < 0) memcpy(set->error, err->text, sizeof set->error);
  else set->error[0] = '\0';
  pthread_mutex_unlock(&reload->lock);
  set->failed = code < 0;
  mg_answerer_reloaded(reload->answerer, code == 0);
  if (code == 0) log_reload(reload, MG_LOG_INFO, "reloaded", id, NULL);
  else if (news) log_reload(reload, MG_LOG_ERROR, "not reloaded, the old one serves on", id, err->text);
}

static void pause_ms(int64_t ms) {
  struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  (void)nanosleep(&t, NULL);
}

/* Files that look the same before and after were read as one; a half of the old and a half of the new never serve. */
static int stage_whole(struct mg_reload *reload, enum set_id id, struct staged *staged) {
  for (int i = 0; i < TRIES; i++) {
    uint64_t before = look(reload, id);
    staged_fini(staged);
    int code = kinds[id].stage(reload, staged);
    reload->sets[id].seen = before;
    if (look(reload, id) == before) return code;
    pause_ms(TRY_AGAIN_MS);
  }
  reload->sets[id].seen = 0;
  return mg_err_set(&staged->err, MG_E_IO, "changes while it is read");
}

/* Files that were only touched, or written again as they were. */
static bool is_same(struct mg_reload *reload, const struct staged *staged) {
  return staged->snapshot && mg_snapshot_content(staged->snapshot) == mg_answerer_serving(reload->answerer).content;
}

static void attempt(struct mg_reload *reload, enum set_id id, bool poked) {
  __attribute__((cleanup(staged_fini))) struct staged staged = {0};
  int code = stage_whole(reload, id, &staged);
  bool same = code == 0 && !poked && is_same(reload, &staged);
  if (same && !reload->sets[id].failed) return;
  if (code == 0 && !same) code = kinds[id].use(reload, &staged);
  finish(reload, id, code, &staged.err);
  if (code == 0 && !same) log_warnings(&staged.said);
}

/* Once. */
static void tell_blind(struct mg_reload *reload, bool *told) {
  struct mg_log_line line;
  if (*told || !mg_watch_blind(reload->watch)) return;
  *told = true;
  mg_log_begin(&line, MG_LOG_WARN, "not every directory can be watched: changes are looked for from time to time");
  mg_log_int(&line, "every_ms", reload->options.poll_ms);
  mg_log_end(&line);
}

static void *run(void *arg) {
  struct mg_reload *reload = arg;
  int64_t poll_ms = reload->options.poll_ms;
  bool told = false;
  for (bool tidy = true;;) {
    tell_blind(reload, &told);
    enum mg_watch_why why = mg_watch_wait(reload->watch, tidy ? poll_ms : TIDY_MS, reload->options.quiet_ms);
    if (why == MG_WATCH_STOPPED) return NULL;
    for (enum set_id id = 0; id < SETS; id++) {
      const struct set *set = &reload->sets[id];
      bool again = why == MG_WATCH_POKED || (why == MG_WATCH_TIME && tidy && set->failed);
      if (again || look(reload, id) != set->seen) attempt(reload, id, why == MG_WATCH_POKED);
    }
    tidy = mg_answerer_tidy(reload->answerer);
  }
}

/* ---- from outside ---- */

int mg_reload_new(const struct mg_reload_options *options, struct mg_reload **ret, struct mg_err *err) {
  struct mg_reload *reload = calloc(1, sizeof *reload);
  *ret = NULL;
  if (!reload) return mg_err_nomem(err);
  reload->options = *options;
  if (options->poll_ms == 0) reload->options.poll_ms = MG_RELOAD_POLL_MS;
  if (options->quiet_ms == 0) reload->options.quiet_ms = MG_RELOAD_QUIET_MS;
  int code = mg_watch_new(&reload->watch, err);
  if (code < 0) {
    free(reload);
    return code;
  }
  pthread_mutex_init(&reload->lock, NULL);
  for (enum set_id id = 0; id < SETS; id++) reload->sets[id].seen = look(reload, id);
  *ret = reload;
  return 0;
}

void mg_reload_confine(struct mg_reload *reload, const struct mg_sandbox *sandbox) {
  reload->sandbox = sandbox;
}

int mg_reload_start(struct mg_reload *reload, struct mg_answerer *answerer, struct mg_http_server *server, int64_t expires,
                    struct mg_err *err) {
  reload->answerer = answerer;
  reload->server = server;
  atomic_store(&reload->expires, expires);
  mg_answerer_expiry(answerer, expires);
  int code = pthread_create(&reload->thread, NULL, run, reload);
  if (code != 0) return mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
  reload->running = true;
  return 0;
}

void mg_reload_stop(struct mg_reload *reload) {
  if (!reload || !reload->running) return;
  mg_watch_stop(reload->watch);
  pthread_join(reload->thread, NULL);
  reload->running = false;
}

void mg_reload_free(struct mg_reload *reload) {
  if (!reload) return;
  mg_reload_stop(reload);
  mg_watch_free(reload->watch);
  pthread_mutex_destroy(&reload->lock);
  free(reload);
}

void mg_reload_poke(struct mg_reload *reload) {
  mg_watch_poke(reload->watch);
}

void mg_reload_metrics(struct mg_reload *reload, struct mg_buf *out) {
  static const char name[] = "mlgate_config_reload_failing";
  mg_metrics_head(out, name, "gauge", "1: there is something newer that cannot be used, so that the old one serves on.");
  pthread_mutex_lock(&reload->lock);
  for (enum set_id id = 0; id < SETS; id++)
    mg_buf_printf(out, "%s{what=\"%s\"} %d\n", name, kinds[id].name, reload->sets[id].error[0] != '\0');
  pthread_mutex_unlock(&reload->lock);
}

bool mg_reload_ready(struct mg_reload *reload, struct mg_buf *out) {
  bool ended = atomic_load(&reload->expires) <= (int64_t)time(NULL);
  if (!out) return !ended;
  if (ended) mg_buf_lit(out, "the certificate has ended\n");
  pthread_mutex_lock(&reload->lock);
  for (enum set_id id = 0; id < SETS; id++) {
    if (!reload->sets[id].error[0]) continue;
    mg_buf_printf(out, "%s: what is newer does not serve: ", kinds[id].name);
    mg_buf_clean(out, mg_str_of(reload->sets[id].error));
    mg_buf_byte(out, '\n');
  }
  pthread_mutex_unlock(&reload->lock);
  return !ended;
}
