/* What the two programs of this folder share: files, clocks, connections that never block. Include it once. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, strcasestr */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct bytes {
  char *p;
  size_t n;
};

static inline struct bytes read_file(const char *path) {
  FILE *in = fopen(path, "rb");
  struct bytes b = {NULL, 0};
  if (!in || fseek(in, 0, SEEK_END) != 0) die(path);
  b.n = (size_t)ftell(in);
  b.p = malloc(b.n + 1);
  rewind(in);
  if (!b.p || fread(b.p, 1, b.n, in) != b.n) die(path);
  b.p[b.n] = '\0';
  fclose(in);
  return b;
}

/* Under way when this returns; -1: not even that. small: the kernel keeps little of what comes in. */
static inline int dial(uint16_t port, bool small) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  if (small) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){2048}, sizeof(int));
  if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

static inline bool dialled(int fd) {
  int error = 0;
  socklen_t n = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
}

static inline void hang_up_hard(int fd) {
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
  close(fd);
}

static inline SSL_CTX *tls_client(const char *ca) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1) die("TLS 1.3");
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (ca && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) die(ca);
  SSL_CTX_set_verify(ctx, ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
  return ctx;
}

static inline SSL *tls_over(SSL_CTX *ctx, int fd) {
  SSL *ssl = SSL_new(ctx);
  if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_set1_host(ssl, "localhost") != 1) die("no TLS");
  SSL_set_connect_state(ssl);
  return ssl;
}

/* What SSL_read, SSL_write and SSL_do_handshake returned: more to come later, or -1: it is over. */
static inline int tls_later(SSL *ssl, int returned) {
  int why = SSL_get_error(ssl, returned);
  ERR_clear_error();
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}
