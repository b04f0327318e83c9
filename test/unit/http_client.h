/* For tests of the server: a client that sends exactly the bytes it is given, and certificates. Include it once. */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "certs/certs.h"

static SSL_CTX *tls;

struct client {
  int fd;
  SSL *ssl; /* NULL: plain */
};

struct answer {
  int status;
  char head[4096], body[65536];
  size_t body_n;
};

static inline struct client dial(uint16_t port, bool secure) {
  struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  struct timeval wait = {.tv_sec = 2};
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_true(c.fd >= 0);
  setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  assert_int_equal(connect(c.fd, (struct sockaddr *)&at, sizeof at), 0);
  if (secure) {
    c.ssl = SSL_new(tls);
    SSL_set_fd(c.ssl, c.fd);
    assert_int_equal(SSL_connect(c.ssl), 1);
  }
  return c;
}

static inline void hang_up(struct client *c) {
  SSL_free(c->ssl);
  close(c->fd);
}

static inline void say(struct client *c, const char *p, size_t n) {
  ssize_t put = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);
  assert_int_equal(put, n);
}

static inline long hear(struct client *c, char *to, size_t room) {
  if (!c->ssl) {
    return recv(c->fd, to, room, 0);
  }
  int n = SSL_read(c->ssl, to, (int)room);
  if (n > 0) {
    return n;
  }
  int why = SSL_get_error(c->ssl, n);
  ERR_clear_error();
  /* No bytes in time is not the end of the connection. */
  return why == SSL_ERROR_SYSCALL && (errno == EAGAIN || errno == EWOULDBLOCK) ? -1 : 0;
}

static inline bool closed_now(struct client *c) {
  char more[64];
  long n = hear(c, more, sizeof more);
  if (n > 0) {
    print_error("unexpected bytes: %.*s\n", (int)n, more);
  }
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

/* One answer; `head` for HEAD: no body follows. */
static inline void read_answer(struct client *c, struct answer *a, bool head) {
  size_t n = 0;
  char *end = NULL;
  *a = (struct answer){0};
  while (!end) {
    assert_true(n + 1 < sizeof a->head);
    long got = hear(c, a->head + n, 1);
    if (got <= 0) {
      return;
    }
    n += (size_t)got;
    end = strstr(a->head, "\r\n\r\n");
  }
  assert_int_equal(sscanf(a->head, "HTTP/1.%*d %d", &a->status), 1);
  const char *length = strcasestr(a->head, "Content-Length:");
  size_t want = length && !head ? strtoul(length + 15, NULL, 10) : 0;
  assert_true(want < sizeof a->body);
  while (a->body_n < want) {
    long got = hear(c, a->body + a->body_n, want - a->body_n);
    assert_true(got > 0);
    a->body_n += (size_t)got;
  }
}

static inline void post(struct client *c, const char *target, const char *body, struct answer *a) {
  char text[65536];
  int n = snprintf(text, sizeof text,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", target,
                   strlen(body), body);
  say(c, text, (size_t)n);
  read_answer(c, a, false);
}

/* ca.crt, ca.key, tls.crt and tls.key for localhost in a directory that is there or is made. */
static inline void make_pair(const char *dir) {
  static const char *const dns[] = {"localhost"};
  static const char *const ips[] = {"127.0.0.1"};
  struct mg_certs_place place = {.dir = dir};
  struct mg_certs_request request = {.dns = dns, .n_dns = 1, .ips = ips, .n_ips = 1};
  struct mg_certs_report report;
  struct mg_err err;
  if (mg_certs_create(&place, &request, &report, &err) != 0) {
    fail_msg("%s", err.text);
  }
}

static inline void remove_tree(const char *dir) {
  char command[256];
  pid_t pid = fork();
  if (pid == 0) {
    snprintf(command, sizeof command, "%s", dir);
    execlp("rm", "rm", "-rf", command, (char *)NULL);
    _exit(127);
  }
  assert_int_equal(waitpid(pid, NULL, 0), pid);
}
