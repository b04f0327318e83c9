#include "base/log_queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"

#define HEAD sizeof(uint16_t) /* a record: its length, then the line */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t more, over;
  pthread_t thread;
  atomic_bool on;
  bool stop, idle, ended;
  bool left; /* the thread: it hung, and nobody joins it any more */
  size_t first, used;
  unsigned char bytes[MG_LOG_QUEUE];
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock, as are the next two. */
static void copy_in(const void *from, size_t n) {
  size_t at = (queue.first + queue.used) % MG_LOG_QUEUE, whole = MG_LOG_QUEUE - at < n ? MG_LOG_QUEUE - at : n;
  memcpy(queue.bytes + at, from, whole);
  memcpy(queue.bytes, (const char *)from + whole, n - whole);
  queue.used += n;
}

static void copy_out(void *to, size_t n) {
  size_t whole = MG_LOG_QUEUE - queue.first < n ? MG_LOG_QUEUE - queue.first : n;
  memcpy(to, queue.bytes + queue.first, whole);
  memcpy((char *)to + whole, queue.bytes, n - whole);
  queue.used -= n;
  queue.first = queue.used ? (queue.first + n) % MG_LOG_QUEUE : 0; /* little used, little of it is ever touched */
}

static uint16_t wait_for_line(char *line) {
  uint16_t n = 0;
  while (!queue.used && !queue.stop) {
    queue.idle = true;
    pthread_cond_wait(&queue.more, &queue.lock);
    queue.idle = false;
  }
  if (!queue.used) return 0;
  copy_out(&n, HEAD);
  copy_out(line, n);
  return n;
}

static void *run(void *arg) {
  char line[MG_LOG_LINE];
  pthread_mutex_lock(&queue.lock);
  for (uint16_t n; (n = wait_for_line(line)) > 0;) {
    pthread_mutex_unlock(&queue.lock);
    mg_log_write(line, n);
    pthread_mutex_lock(&queue.lock);
  }
  queue.ended = true;
  pthread_cond_broadcast(&queue.over);
  pthread_mutex_unlock(&queue.lock);
  return arg;
}

bool mg_log_queue_is_on(void) {
  return atomic_load_explicit(&queue.on, memory_order_acquire);
}

bool mg_log_queue_put(const char *line, size_t n) {
  uint16_t size = (uint16_t)n;
  pthread_mutex_lock(&queue.lock);
  bool room = !queue.stop && n <= MG_LOG_LINE && HEAD + n <= MG_LOG_QUEUE - queue.used;
  if (room) {
    copy_in(&size, HEAD);
    copy_in(line, n);
    if (queue.idle) pthread_cond_signal(&queue.more);
  }
  pthread_mutex_unlock(&queue.lock);
  return room;
}

int mg_log_queue_start(struct mg_err *err) {
  sigset_t all, before;
  if (mg_log_queue_is_on()) return 0;
  mg_clock_cond(&queue.more);
  mg_clock_cond(&queue.over);
  queue.stop = queue.ended = queue.idle = queue.left = false;
  sigfillset(&all); /* signals are for the thread that waits for them */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&queue.thread, NULL, run, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (code != 0) return mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
  atomic_store_explicit(&queue.on, true, memory_order_release);
  return 0;
}

void mg_log_queue_stop(int64_t ms) {
  const struct timespec until = mg_clock_in(ms);
  if (!mg_log_queue_is_on()) return;
  pthread_mutex_lock(&queue.lock);
  queue.stop = true;
  pthread_cond_signal(&queue.more);
  while (!queue.ended && pthread_cond_timedwait(&queue.over, &queue.lock, &until) == 0) continue;
  bool ended = queue.ended;
  pthread_mutex_unlock(&queue.lock);
  if (!ended) { /* what waits is lost, and so is every line from now on */
    if (!queue.left) (void)pthread_detach(queue.thread);
    queue.left = true;
    return;
  }
  if (!queue.left) pthread_join(queue.thread, NULL);
  atomic_store_explicit(&queue.on, false, memory_order_release);
}
