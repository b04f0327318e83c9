#include "http/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

struct guest {
  int fd;
  int64_t until_ms;
  size_t bytes_left;
};

struct mg_linger {
  pthread_t thread;
  int wake; /* eventfd */
  pthread_mutex_t lock; /* of what follows */
  struct guest guests[MG_LINGER_MAX];
  size_t n;
  bool stop;
};

static void wake(struct mg_linger *linger) {
  const uint64_t one = 1;
  while (write(linger->wake, &one, sizeof one) < 0 && errno == EINTR) {
    continue;
  }
}

void mg_linger_add(struct mg_linger *linger, int fd) {
  pthread_mutex_lock(&linger->lock);
  if (linger->n < MG_LINGER_MAX) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
      (void)shutdown(copy, SHUT_WR); /* behind what was written: the client sees the end at once */
      linger->guests[linger->n++] = (struct guest){copy, mg_clock_ms() + MG_LINGER_MS, MG_LINGER_BYTES};
    }
  }
  pthread_mutex_unlock(&linger->lock);
  wake(linger);
}

/* False: this one has gone, or has had enough. */
static bool discard(struct guest *guest) {
  static char sink[64 * 1024]; /* written by one thread, read by none */
  if (mg_clock_ms() >= guest->until_ms) {
    return false;
  }
  ssize_t n = recv(guest->fd, sink, sizeof sink, MSG_DONTWAIT);
  if (n < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  }
  guest->bytes_left -= (size_t)n < guest->bytes_left ? (size_t)n : guest->bytes_left;
  return n > 0 && guest->bytes_left > 0;
}

/* recv never waits here, so the lock is held for a copy of at most 64 KiB a guest. */
static void serve_guests(struct mg_linger *linger) {
  for (size_t i = 0; i < linger->n;) {
    if (discard(&linger->guests[i])) {
      i++;
      continue;
    }
    close(linger->guests[i].fd);
    linger->guests[i] = linger->guests[--linger->n];
  }
}

static size_t collect(struct mg_linger *linger, struct pollfd *polls) {
  polls[0] = (struct pollfd){.fd = linger->wake, .events = POLLIN};
  for (size_t i = 0; i < linger->n; i++) {
    polls[i + 1] = (struct pollfd){.fd = linger->guests[i].fd, .events = POLLIN};
  }
  return linger->n + 1;
}

static void pause_ms(int64_t ms) {
  struct timespec t = {.tv_nsec = (long)ms * 1000000};
  (void)nanosleep(&t, NULL);
}

static void *run(void *arg) {
  struct mg_linger *linger = arg;
  struct pollfd polls[MG_LINGER_MAX + 1];
  for (;;) {
    pthread_mutex_lock(&linger->lock);
    serve_guests(linger);
    size_t n = collect(linger, polls);
    bool stop = linger->stop;
    pthread_mutex_unlock(&linger->lock);
    if (stop) {
      return NULL;
    }
    uint64_t count;
    int ready = poll(polls, (nfds_t)n, n > 1 ? 100 : -1);
    if (ready < 0 || (polls[0].revents && read(linger->wake, &count, sizeof count) < 0 && errno != EAGAIN)) {
      pause_ms(10); /* nobody else closes what is left to this thread: it stays, and never spins */
    }
  }
}

int mg_linger_start(struct mg_linger **ret_linger, struct mg_err *err) {
  struct mg_linger *linger = calloc(1, sizeof *linger);
  if (!linger) {
    return mg_err_set(err, MG_E_NOMEM, "out of memory for the server");
  }
  pthread_mutex_init(&linger->lock, NULL);
  linger->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int code = linger->wake < 0 ? errno : pthread_create(&linger->thread, NULL, run, linger);
  if (code != 0) {
    if (linger->wake >= 0) {
      close(linger->wake);
    }
    pthread_mutex_destroy(&linger->lock);
    free(linger);
    return mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
  }
  *ret_linger = linger;
  return 0;
}

void mg_linger_stop(struct mg_linger *linger) {
  if (!linger) {
    return;
  }
  pthread_mutex_lock(&linger->lock);
  linger->stop = true;
  pthread_mutex_unlock(&linger->lock);
  wake(linger);
  pthread_join(linger->thread, NULL);
  for (size_t i = 0; i < linger->n; i++) {
    close(linger->guests[i].fd);
  }
  close(linger->wake);
  pthread_mutex_destroy(&linger->lock);
  free(linger);
}
