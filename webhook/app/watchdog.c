#include "app/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"

#define LOOKS 8 /* within the limit */
#define LAST_WORDS_MS 1000

struct mg_watchdog {
  struct mg_watchdog_options options;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool stop;
  atomic_bool sick;
  struct mg_pulse_watch watch;
};

static void say(enum mg_log_level level, const char *msg, const char *name, int64_t ms) {
  struct mg_log_line line;
  mg_log_begin(&line, level, msg);
  if (name) mg_log_str(&line, "thread", mg_str_of(name));
  mg_log_int(&line, "ms", ms);
  mg_log_end(&line);
}

static void end(const struct mg_watchdog *w) {
  if (w->options.over) {
    w->options.over(w->options.ctx);
    return;
  }
  mg_log_stop(LAST_WORDS_MS);
  abort();
}

static void look(struct mg_watchdog *w) {
  const char *name = NULL;
  unsigned looks = mg_pulse_look(&w->watch, &name);
  int64_t ms = (int64_t)looks * w->options.limit_ms / LOOKS;
  bool was_sick = atomic_load(&w->sick), sick = looks > LOOKS;
  atomic_store(&w->sick, sick);
  if (sick && !was_sick) say(MG_LOG_ERROR, "a thread is stuck", name, ms);
  if (!sick && was_sick) say(MG_LOG_WARN, "no thread is stuck any more", NULL, 0);
  if (looks == 2 * LOOKS + 1) {
    say(MG_LOG_ERROR, "a thread is stuck for good: the process ends", name, ms);
    end(w);
  }
}

/* False: the watchdog is to stop. */
static bool wait_for_next(struct mg_watchdog *w, int64_t ms) {
  const struct timespec until = mg_clock_in(ms);
  pthread_mutex_lock(&w->lock);
  int code = 0;
  while (!w->stop && code == 0) code = pthread_cond_timedwait(&w->wake, &w->lock, &until);
  bool stop = w->stop;
  pthread_mutex_unlock(&w->lock);
  return !stop;
}

/* A pause that lasted much too long says that the whole process stood still, not that one of its threads does. */
static void *run(void *arg) {
  struct mg_watchdog *w = arg;
  int64_t step = w->options.limit_ms / LOOKS, before = mg_clock_ms();
  while (wait_for_next(w, step)) {
    int64_t now = mg_clock_ms();
    if (now - before > 3 * step) mg_pulse_forget(&w->watch);
    else look(w);
    before = now;
  }
  return NULL;
}

static void destroy(struct mg_watchdog *w) {
  pthread_cond_destroy(&w->wake);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

int mg_watchdog_start(struct mg_watchdog **ret, const struct mg_watchdog_options *options, struct mg_err *err) {
  struct mg_watchdog *w = calloc(1, sizeof *w);
  *ret = NULL;
  if (!w) return mg_err_nomem(err);
  w->options = *options;
  pthread_mutex_init(&w->lock, NULL);
  mg_clock_cond(&w->wake);
  int code = pthread_create(&w->thread, NULL, run, w);
  if (code != 0) {
    destroy(w);
    return mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
  }
  *ret = w;
  return 0;
}

void mg_watchdog_stop(struct mg_watchdog *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->stop = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  destroy(w);
}

bool mg_watchdog_healthy(const struct mg_watchdog *w) {
  return !w || !atomic_load(&w->sick);
}
