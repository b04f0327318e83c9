#include "base/watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"

/* Not what a reader does: it would wake itself. */
#define EVENTS                                                                                                             \
  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define QUIET_TIMES 10

struct mg_watch {
  int notify; /* -1: none to be had */
  int wake;
  atomic_bool blind;
  atomic_bool poked, stopped;
};

int mg_watch_new(struct mg_watch **ret, struct mg_err *err) {
  struct mg_watch *watch = calloc(1, sizeof *watch);
  if (!watch) return mg_err_nomem(err);
  watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (watch->wake < 0) {
    free(watch);
    return mg_err_set(err, MG_E_IO, "eventfd: %s", strerror(errno));
  }
  watch->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watch->notify < 0) atomic_store(&watch->blind, true);
  *ret = watch;
  return 0;
}

void mg_watch_free(struct mg_watch *watch) {
  if (!watch) return;
  if (watch->notify >= 0) close(watch->notify);
  close(watch->wake);
  free(watch);
}

void mg_watch_add(struct mg_watch *watch, const char *dir) {
  if (watch->notify < 0) return;
  int id = inotify_add_watch(watch->notify, dir, EVENTS);
  /* Numbers only grow, so this bounds what is watched even if directories come and go for ever. */
  if (id > MG_WATCH_DIRS_MAX) (void)inotify_rm_watch(watch->notify, id);
  if (id > MG_WATCH_DIRS_MAX || (id < 0 && (errno == ENOSPC || errno == ENOMEM))) atomic_store(&watch->blind, true);
}

bool mg_watch_blind(const struct mg_watch *watch) {
  return atomic_load(&watch->blind);
}

static void wake(struct mg_watch *watch) {
  const uint64_t one = 1;
  while (write(watch->wake, &one, sizeof one) < 0 && errno == EINTR) {}
}

void mg_watch_poke(struct mg_watch *watch) {
  atomic_store(&watch->poked, true);
  wake(watch);
}

void mg_watch_stop(struct mg_watch *watch) {
  atomic_store(&watch->stopped, true);
  wake(watch);
}

/* True: there was something. */
static bool drain(int fd) {
  char sink[sizeof(struct inotify_event) + NAME_MAX + 1] __attribute__((aligned(8)));
  bool some = false;
  for (;;) {
    ssize_t n = fd >= 0 ? read(fd, sink, sizeof sink) : 0;
    if (n > 0) some = true;
    else if (n == 0 || errno != EINTR) return some;
  }
}

static bool wait_once(struct mg_watch *watch, int64_t ms) {
  struct pollfd polls[] = {{.fd = watch->wake, .events = POLLIN}, {.fd = watch->notify, .events = POLLIN}};
  (void)poll(polls, 2, ms > INT_MAX ? INT_MAX : ms < 0 ? 0 : (int)ms);
  if (polls[0].revents) (void)drain(watch->wake);
  return polls[1].revents && drain(watch->notify);
}

enum mg_watch_why mg_watch_wait(struct mg_watch *watch, int64_t timeout_ms, int64_t quiet_ms) {
  int64_t end = mg_clock_ms() + timeout_ms, last = INT64_MAX;
  bool changed = false;
  for (;;) {
    int64_t now = mg_clock_ms();
    if (atomic_load(&watch->stopped)) return MG_WATCH_STOPPED;
    if (atomic_exchange(&watch->poked, false)) return MG_WATCH_POKED;
    if (now >= end) return changed ? MG_WATCH_CHANGED : MG_WATCH_TIME;
    if (wait_once(watch, end - now)) {
      now = mg_clock_ms();
      if (!changed) last = now + quiet_ms * QUIET_TIMES;
      changed = true;
      end = now + quiet_ms < last ? now + quiet_ms : last;
    }
  }
}
