#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "http/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pulse.h"

#define STACK (1024u * 1024)
#define EVENTS 64
#define ACCEPTS 16   /* in one turn, so that a burst is shared out among workers and does not hold up who is there */
#define QUEUE_MAX 2048 /* more than the kernel keeps for us; those that come meanwhile must not keep us for ever */
#define TICK_MS 1000 /* the longest wait */
#define FULL_MS 20   /* until it is looked again whether there is room for another connection */
#define TURNS 4      /* of libmicrohttpd in a row, while it has more to do */
#define RECORD_HEAD 5 /* bytes that GnuTLS asks for before it knows how long a record is */
#define AHEAD (16u * 1024)
#define HEAD_MAX 1024
#define PARTS_MAX 64

struct mg_worker {
  struct mg_worker_options options;
  pthread_t thread;
  int epoll; /* of the daemon's epoll, the listening socket, the eventfd below and handshakes that wait */
  int wake;
  bool listens, full;
  struct mg_connection *waiting;
  atomic_bool close, closed, stop;
  /* What has come behind the bytes that GnuTLS asked for; and an answer's head, until its body is sent. Each of one connection;
   * others do without meanwhile. */
  struct mg_connection *ahead_of, *held_of;
  size_t ahead_at, ahead_end, held;
  char ahead[AHEAD], head[HEAD_MAX];
};

static _Thread_local struct mg_worker *here;

/* ---- handshakes that wait ---- */

/* Where it cannot be watched it is not suspended either: dear, but right. */
static void put_aside(struct mg_connection *c, uint32_t events) {
  struct mg_worker *w = c->worker;
  struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = c};
  if (w != here || c->waits || (epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0 &&
                         (errno != ENOENT || epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0))) {
    return;
  }
  MHD_suspend_connection(c->library);
  c->waits = true;
  c->before = NULL;
  c->after = w->waiting;
  if (c->after) {
    c->after->before = c;
  }
  w->waiting = c;
}

static void take_back(struct mg_worker *w, struct mg_connection *c) {
  if (!c->waits) {
    return;
  }
  c->waits = false;
  *(c->before ? &c->before->after : &w->waiting) = c->after;
  if (c->after) {
    c->after->before = c->before;
  }
  MHD_resume_connection(c->library);
}

/* GnuTLS wants to go on and cannot; if that is in the handshake, libmicrohttpd would not wait. */
static ssize_t moved(struct mg_connection *c, ssize_t n, uint32_t events) {
  if (n < 0 && errno == EAGAIN && atomic_load(&c->stage) == MG_STAGE_HANDSHAKE) {
    put_aside(c, events);
    errno = EAGAIN;
  }
  return n;
}

static size_t take_ahead(struct mg_worker *w, void *to, size_t n) {
  size_t left = w->ahead_end - w->ahead_at;
  if (n > left) {
    n = left;
  }
  memcpy(to, w->ahead + w->ahead_at, n);
  w->ahead_at += n;
  if (n == left) {
    w->ahead_of = NULL;
  }
  return n;
}

/* GnuTLS asks for a record in two calls, and a client in Go makes six records of one review: all that is there comes in one. */
static ssize_t pull(gnutls_transport_ptr_t connection, void *to, size_t n) {
  struct mg_connection *c = connection;
  struct mg_worker *w = c->worker;
  if (w->ahead_of == c) {
    return (ssize_t)take_ahead(w, to, n);
  }
  struct iovec parts[] = {{to, n}, {w->ahead, sizeof w->ahead}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = n == RECORD_HEAD && !w->ahead_of ? 2 : 1};
  ssize_t got = moved(c, recvmsg(c->fd, &message, 0), EPOLLIN);
  if (got > (ssize_t)n) {
    w->ahead_of = c;
    w->ahead_at = 0;
    w->ahead_end = (size_t)got - n;
    got = (ssize_t)n;
  }
  return got;
}

static ssize_t send_parts(struct mg_connection *c, struct iovec *parts, size_t n) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};
  return moved(c, sendmsg(c->fd, &message, MSG_NOSIGNAL), EPOLLOUT);
}

/* The head that is held, and what comes behind it, of which so many bytes are sent. */
static ssize_t send_held(struct mg_worker *w, const giovec_t *behind, size_t n) {
  struct iovec parts[1 + PARTS_MAX] = {{w->head, w->held}};
  if (n > PARTS_MAX) {
    n = PARTS_MAX;
  }
  if (n > 0) {
    memcpy(&parts[1], behind, n * sizeof *parts);
  }
  ssize_t sent = send_parts(w->held_of, parts, n + 1);
  if (sent < 0) {
    return sent;
  }
  size_t of_head = (size_t)sent < w->held ? (size_t)sent : w->held;
  memmove(w->head, w->head + of_head, w->held - of_head);
  w->held -= of_head;
  if (w->held == 0) {
    w->held_of = NULL;
  }
  if ((size_t)sent > of_head) {
    return sent - (ssize_t)of_head;
  }
  errno = EAGAIN;
  return -1;
}

static bool hold(struct mg_connection *c, const giovec_t *part) {
  struct mg_worker *w = c->worker;
  bool room = c->head_next && !w->held_of && part->iov_len <= sizeof w->head;
  c->head_next = false;
  if (room) {
    memcpy(w->head, part->iov_base, part->iov_len);
    w->held = part->iov_len;
    w->held_of = c;
  }
  return room;
}

static ssize_t push(gnutls_transport_ptr_t connection, const giovec_t *parts, int n) {
  struct mg_connection *c = connection;
  if (c->worker->held_of == c) {
    return send_held(c->worker, parts, (size_t)n);
  }
  if (n == 1 && hold(c, parts)) {
    return (ssize_t)parts->iov_len;
  }
  return send_parts(c, (struct iovec *)(uintptr_t)parts, (size_t)n);
}

/* Its body was to come at once, and has not: this should not happen, but nobody is to wait for ever. */
static void let_go(struct mg_worker *w) {
  if (w->held_of) {
    (void)send_held(w, NULL, 0);
  }
}

void mg_worker_head_next(struct mg_connection *connection) {
  connection->head_next = true;
}

void mg_worker_forget(struct mg_connection *connection) {
  struct mg_worker *w = connection->worker;
  if (w->ahead_of == connection) {
    w->ahead_of = NULL;
  }
  if (w->held_of == connection) {
    w->held_of = NULL;
  }
}

void mg_worker_watch(struct mg_connection *connection, struct MHD_Connection *library, gnutls_session_t session) {
  connection->library = library;
  connection->worker = here;
  connection->head_next = false;
  gnutls_transport_set_ptr(session, connection);
  gnutls_transport_set_pull_function(session, pull);
  gnutls_transport_set_vec_push_function(session, push);
}

static void poke(struct mg_worker *w) {
  const uint64_t one = 1;
  while (write(w->wake, &one, sizeof one) < 0 && errno == EINTR) {
    continue;
  }
}

void mg_worker_resume(struct mg_connection *connection) {
  struct mg_worker *w = connection->worker; /* once it is resumed it may end, and the row be another worker's */
  MHD_resume_connection(connection->library);
  poke(w);
}

/* ---- accepting ---- */

/* Only one of the workers that sleep is woken for a new connection. */
static void set_listening(struct mg_worker *w, bool on) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &w->listens};
  if (on != w->listens && epoll_ctl(w->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, w->options.listen_fd, &event) == 0) {
    w->listens = on;
  }
}

static bool full(const struct mg_worker *w) {
  return mg_connections_open(w->options.connections) >= w->options.limit;
}

/* False: none is there, or there is no room for it. */
static bool accept_one(struct mg_worker *w) {
  struct sockaddr_storage at = {0};
  socklen_t n = sizeof at;
  int fd = accept4(w->options.listen_fd, (struct sockaddr *)&at, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    (void)MHD_add_connection(w->options.daemon, fd, (struct sockaddr *)&at, n);
    return true;
  }
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    w->full = true;
    mg_connections_squeeze(w->options.connections);
  }
  return errno == EINTR || errno == ECONNABORTED; /* the next, then */
}

static void accept_some(struct mg_worker *w) {
  for (int i = 0; i < ACCEPTS && !full(w); i++) {
    if (!accept_one(w)) {
      return;
    }
  }
}

static void close_door(struct mg_worker *w) {
  for (int i = 0; i < QUEUE_MAX && accept_one(w); i++) {
    continue;
  }
  set_listening(w, false);
  atomic_store(&w->closed, true);
}

/* ---- the thread ---- */

static int longest_wait(struct mg_worker *w) {
  MHD_UNSIGNED_LONG_LONG left;
  int most = w->listens || atomic_load(&w->closed) ? TICK_MS : FULL_MS;
  return MHD_get_timeout(w->options.daemon, &left) == MHD_YES && left < (unsigned)most ? (int)left : most;
}

/* It takes a record at a time: one of its turns is seldom the last. */
static void drive(struct mg_worker *w) {
  for (int i = 0; i < TURNS && (i == 0 || longest_wait(w) == 0); i++) {
    mg_pulse_begin("server");
    (void)MHD_run(w->options.daemon);
    mg_pulse_end();
  }
  let_go(w);
}

static void clear_wake(struct mg_worker *w) {
  uint64_t count;
  while (read(w->wake, &count, sizeof count) < 0 && errno == EINTR) {
    continue;
  }
}

static void wait_and_take(struct mg_worker *w) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(w->epoll, events, EVENTS, longest_wait(w));
  for (int i = 0; i < n; i++) {
    void *what = events[i].data.ptr;
    if (what == &w->listens) {
      accept_some(w);
    } else if (what == &w->wake) {
      clear_wake(w);
    } else if (what) {
      take_back(w, what);
    }
  }
}

static void *run(void *arg) {
  struct mg_worker *w = here = arg;
  while (!atomic_load(&w->stop)) {
    if (atomic_load(&w->close) && !atomic_load(&w->closed)) {
      close_door(w);
    } else if (!atomic_load(&w->closed)) {
      set_listening(w, !w->full && !full(w));
      w->full = false;
    }
    wait_and_take(w);
    drive(w);
  }
  while (w->waiting) {
    take_back(w, w->waiting);
  }
  return NULL;
}

static bool open_files(struct mg_worker *w) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(w->options.daemon, MHD_DAEMON_INFO_EPOLL_FD);
  struct epoll_event daemon = {.events = EPOLLIN}, wake = {.events = EPOLLIN, .data.ptr = &w->wake};
  w->epoll = epoll_create1(EPOLL_CLOEXEC);
  w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return info && w->epoll >= 0 && w->wake >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, info->epoll_fd, &daemon) == 0 &&
         epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &wake) == 0;
}

static int start_thread(struct mg_worker *w) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  int code = pthread_attr_setstacksize(&attr, STACK);
  if (code == 0) {
    code = pthread_create(&w->thread, &attr, run, w);
  }
  pthread_attr_destroy(&attr);
  return code;
}

static void worker_free(struct mg_worker *w) {
  MHD_stop_daemon(w->options.daemon);
  if (w->epoll >= 0) {
    close(w->epoll);
  }
  if (w->wake >= 0) {
    close(w->wake);
  }
  free(w);
}

int mg_worker_start(const struct mg_worker_options *options, struct mg_worker **ret, struct mg_err *err) {
  struct mg_worker *w = calloc(1, sizeof *w);
  if (!w) {
    MHD_stop_daemon(options->daemon);
    return mg_err_set(err, MG_E_NOMEM, "out of memory for a thread of the server");
  }
  w->options = *options;
  w->epoll = w->wake = -1;
  int code = open_files(w) ? start_thread(w) : errno ? errno : EIO;
  if (code != 0) {
    worker_free(w);
    return mg_err_set(err, MG_E_IO, "cannot start a thread of the server: %s", strerror(code));
  }
  *ret = w;
  return 0;
}

void mg_worker_close(struct mg_worker *w) {
  atomic_store(&w->close, true);
  poke(w);
}

bool mg_worker_closed(const struct mg_worker *w) {
  return atomic_load(&w->closed);
}

void mg_worker_stop(struct mg_worker *w) {
  atomic_store(&w->stop, true);
  poke(w);
  pthread_join(w->thread, NULL);
  worker_free(w);
}
