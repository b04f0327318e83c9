/* What the clients of the benchmark share: a request as an API server sends it, TLS 1.3 connections, answers. */
#pragma once
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 65536
#define BODY_MAX ((size_t)8 << 20)

struct request {
  char *text;
  int size;
};

static void die(const char *what) {
  fprintf(stderr, "bench: %s\n", what);
  exit(1);
}

static struct request read_request(const char *path, const char *file) {
  static char body[BODY_MAX];
  FILE *in = fopen(file, "rb");
  size_t n = in ? fread(body, 1, sizeof body, in) : 0;
  char *text = malloc(BODY_MAX + 1024);
  if (n == 0 || n == sizeof body || !text) die("no body, or one of more than 8 MiB");
  fclose(in);
  int head = snprintf(text, 1024,
                      "POST %s?timeout=10s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-apiserver-admission\r\n"
                      "Content-Length: %zu\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n"
                      "Accept-Encoding: gzip\r\n\r\n", path, n);
  memcpy(text + head, body, n);
  return (struct request){text, head + (int)n};
}

static SSL_CTX *make_context(void) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  struct rlimit files;
  signal(SIGPIPE, SIG_IGN);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) die("no TLS 1.3");
  return context;
}

static SSL *connect_to(SSL_CTX *context, uint16_t port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  SSL *ssl = SSL_new(context);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) die("cannot connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* as Go's, which an API server is */
  if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) die("no TLS");
  return ssl;
}

static void send_request(SSL *ssl, const struct request *request) {
  if (SSL_write(ssl, request->text, request->size) != request->size) die("cannot write");
}

/* Reads one answer and makes sure that it is a whole 200. */
static void read_answer(SSL *ssl) {
  static char answer[ANSWER_MAX + 1];
  int n = 0;
  size_t want = SIZE_MAX;
  while ((size_t)n < want) {
    int more = SSL_read(ssl, answer + n, ANSWER_MAX - n);
    if (more <= 0) die("the connection broke");
    n += more;
    answer[n] = '\0';
    const char *end = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length:");
    if (end && length) want = (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10);
  }
  if (strncmp(answer, "HTTP/1.1 200", 12) == 0 && (size_t)n == want) return;
  fprintf(stderr, "%.400s\n", answer);
  die("an answer other than 200");
}

static double now_us(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) die("the server is gone");
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
