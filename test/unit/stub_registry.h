/* A registry of one thread on the loopback, with TLS or without: it answers what a test has laid out, one request a connection,
 * and keeps what it was asked. */
#pragma once
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"

#define STUB_ROUTES 64
#define STUB_HELD 256

struct stub_route {
  const char *method; /* NULL: any */
  const char *path;   /* as far as it goes */
  const char *needs;  /* a line that the request must have for this answer; NULL: none */
  int status;
  const char *headers; /* lines with their ends; NULL: none */
  mg_str body;
  long long total;     /* bytes of all that is claimed to be there, of which body is the beginning; 0: body is all */
  bool hang;           /* no answer, and the connection stays open */
  int times;           /* that it answers; 0: always */
  atomic_int hits;
};

static struct stub {
  int listener, port;
  pthread_t thread;
  atomic_bool stop;
  pthread_mutex_t lock; /* of what follows */
  struct stub_route routes[STUB_ROUTES];
  size_t count;
  char asked[65536]; /* request lines and the headers below, one a line */
  size_t asked_n;
  size_t sent; /* bytes of bodies */
  int held[STUB_HELD];
  size_t held_n;
  useconds_t delay;
  SSL_CTX *tls; /* NULL: none is spoken */
} stub = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void stub_note(const char *line, size_t n) {
  if (n + 2 > sizeof stub.asked - stub.asked_n) return;
  memcpy(stub.asked + stub.asked_n, line, n);
  stub.asked_n += n;
  stub.asked[stub.asked_n++] = '\n';
  stub.asked[stub.asked_n] = '\0';
}

static inline struct stub_route *stub_find(const char *head) {
  const char *path = strchr(head, ' ');
  for (size_t i = 0; path && i < stub.count; i++) {
    struct stub_route *r = &stub.routes[i];
    if (r->method && (strncmp(head, r->method, strlen(r->method)) != 0 || head[strlen(r->method)] != ' ')) continue;
    if (strncmp(path + 1, r->path, strlen(r->path)) != 0 || (r->needs && !strstr(head, r->needs))) continue;
    if (r->times && atomic_load(&r->hits) >= r->times) continue;
    atomic_fetch_add(&r->hits, 1);
    return r;
  }
  return NULL;
}

/* A connection, with TLS or NULL. */
struct stub_line {
  int fd;
  SSL *ssl;
};

static inline ssize_t stub_read(struct stub_line *l, char *to, size_t room) {
  return l->ssl ? SSL_read(l->ssl, to, (int)room) : recv(l->fd, to, room, 0);
}

static inline void stub_close(struct stub_line *l) {
  if (l->ssl) SSL_shutdown(l->ssl);
  SSL_free(l->ssl);
  shutdown(l->fd, SHUT_WR);
  close(l->fd);
}

static inline void stub_send(struct stub_line *l, const char *p, size_t n) {
  while (n) {
    ssize_t put = l->ssl ? SSL_write(l->ssl, p, (int)n) : send(l->fd, p, n, MSG_NOSIGNAL);
    if (put <= 0) return;
    p += put;
    n -= (size_t)put;
  }
}

/* A part of what is claimed to be there: zeros behind the body. */
static inline void stub_send_part(struct stub_line *l, const struct stub_route *r, const char *range) {
  static const char zeros[65536];
  char text[512];
  long long first = 0, last = 0, sent = 0;
  sscanf(range, "bytes=%lld-%lld", &first, &last);
  if (last >= r->total) last = r->total - 1;
  int n = first > last ? snprintf(text, sizeof text, "HTTP/1.1 416 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                       : snprintf(text, sizeof text, "HTTP/1.1 206 x\r\nConnection: close\r\nContent-Length: %lld\r\n"
                                  "Content-Range: bytes %lld-%lld/%lld\r\n\r\n", last - first + 1, first, last, r->total);
  stub_send(l, text, (size_t)n);
  for (long long at = first; at <= last; at += sent) {
    bool there = at < (long long)r->body.n;
    long long left = last + 1 - at, most = there ? (long long)r->body.n - at : (long long)sizeof zeros;
    sent = left < most ? left : most;
    stub_send(l, there ? r->body.p + at : zeros, (size_t)sent);
    stub.sent += (size_t)sent;
  }
}

static inline void stub_answer(struct stub_line *l, const char *head) {
  char text[2048];
  static const char *const kept[] = {"\nAuthorization: ", "\nRange: "};
  pthread_mutex_lock(&stub.lock);
  stub_note(head, strcspn(head, "\r\n"));
  for (size_t i = 0; i < 2; i++) {
    const char *line = strstr(head, kept[i]);
    if (line) stub_note(line + 1, strcspn(line + 1, "\r\n"));
  }
  struct stub_route *r = stub_find(head);
  if (r && r->hang && stub.held_n < STUB_HELD) {
    stub.held[stub.held_n++] = l->fd;
    SSL_free(l->ssl);
    pthread_mutex_unlock(&stub.lock);
    return;
  }
  if (stub.delay) usleep(stub.delay);
  const char *range = strstr(head, "\nRange: ");
  if (r && r->total && range && r->status == 200) {
    stub_send_part(l, r, range + 8);
    pthread_mutex_unlock(&stub.lock);
    stub_close(l);
    return;
  }
  size_t length = !r ? 0 : r->total && r->status == 200 ? (size_t)r->total : r->body.n;
  int n = snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n", r ? r->status : 404,
                   length, r && r->headers ? r->headers : "");
  stub_send(l, text, (size_t)n);
  if (r && strncmp(head, "HEAD", 4) != 0) stub_send(l, r->body.p, r->body.n), stub.sent += r->body.n;
  pthread_mutex_unlock(&stub.lock);
  stub_close(l);
}

static inline void stub_take(int fd) {
  char head[8192];
  size_t n = 0;
  struct timeval patience = {.tv_sec = 2};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  head[0] = '\0';
  struct stub_line line = {.fd = fd};
  pthread_mutex_lock(&stub.lock);
  if (stub.tls && (line.ssl = SSL_new(stub.tls))) SSL_set_fd(line.ssl, fd);
  pthread_mutex_unlock(&stub.lock);
  bool good = !line.ssl || SSL_accept(line.ssl) == 1;
  while (good && n < sizeof head - 1 && !strstr(head, "\r\n\r\n")) {
    ssize_t got = stub_read(&line, head + n, sizeof head - 1 - n);
    if (got <= 0 || head[0] == 0x16) break; /* TLS is not spoken here */
    n += (size_t)got;
    head[n] = '\0';
  }
  if (strstr(head, "\r\n\r\n")) stub_answer(&line, head);
  else stub_close(&line);
}

static inline void *stub_run(void *arg) {
  (void)arg;
  while (!atomic_load(&stub.stop)) {
    struct pollfd p = {.fd = stub.listener, .events = POLLIN};
    if (poll(&p, 1, 20) <= 0) continue;
    int fd = accept(stub.listener, NULL, NULL);
    if (fd >= 0) stub_take(fd);
  }
  return NULL;
}

static inline int stub_start(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  stub.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(stub.listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(stub.listener, 512), 0);
  assert_int_equal(getsockname(stub.listener, (struct sockaddr *)&address, &size), 0);
  stub.port = ntohs(address.sin_port);
  return pthread_create(&stub.thread, NULL, stub_run, NULL);
}

static inline void stub_let_go(void) {
  for (size_t i = 0; i < stub.held_n; i++) close(stub.held[i]);
  stub.held_n = 0;
}

static inline void stub_end(void) {
  atomic_store(&stub.stop, true);
  pthread_join(stub.thread, NULL);
  stub_let_go();
  close(stub.listener);
}

static inline void stub_reset(void) {
  pthread_mutex_lock(&stub.lock);
  memset(stub.routes, 0, sizeof stub.routes);
  stub.count = stub.asked_n = stub.sent = 0;
  stub.asked[0] = '\0';
  stub.delay = 0;
  stub_let_go();
  pthread_mutex_unlock(&stub.lock);
}

static inline struct stub_route *stub_add(struct stub_route route) {
  pthread_mutex_lock(&stub.lock);
  assert_true(stub.count < STUB_ROUTES);
  struct stub_route *r = &stub.routes[stub.count++];
  *r = route;
  pthread_mutex_unlock(&stub.lock);
  return r;
}

static inline void stub_speak(SSL_CTX *tls) {
  pthread_mutex_lock(&stub.lock);
  stub.tls = tls;
  pthread_mutex_unlock(&stub.lock);
}

static inline void stub_delay(useconds_t us) {
  pthread_mutex_lock(&stub.lock);
  stub.delay = us;
  pthread_mutex_unlock(&stub.lock);
}

/* How often that was asked, as far as the text goes. */
static inline int stub_count(const char *text) {
  int n = 0;
  pthread_mutex_lock(&stub.lock);
  for (const char *at = stub.asked; (at = strstr(at, text)); at++) n++;
  pthread_mutex_unlock(&stub.lock);
  return n;
}
