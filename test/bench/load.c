/* load PORT PATH BODY PID CONNECTIONS REQUESTS [MALLOCS]   posts the file BODY over TLS 1.3 keep-alive connections, each with
 * one request under way, and prints what the server PID spent on one of them, after a warm-up: CPU in µs, and calls that took
 * memory from the heap (mallocs.c). */
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define ANSWER_MAX 65536

static SSL *connections[CONNECTIONS_MAX];
static char request[1 << 20], answer[ANSWER_MAX + 1];
static int request_size;

static void die(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static void build_request(const char *path, const char *file) {
  static char body[1 << 19];
  FILE *in = fopen(file, "rb");
  size_t n = in ? fread(body, 1, sizeof body - 1, in) : 0;
  if (n == 0) die("no body");
  fclose(in);
  request_size = snprintf(request, sizeof request,
                          "POST %s?timeout=10s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-apiserver-admission\r\n"
                          "Content-Length: %zu\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n"
                          "Accept-Encoding: gzip\r\n\r\n%s", path, n, body);
}

static SSL *connect_to(SSL_CTX *context, uint16_t port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  SSL *ssl = SSL_new(context);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) die("cannot connect");
  if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) die("no TLS");
  return ssl;
}

/* Reads one answer and makes sure that it is a whole 200. */
static void read_answer(SSL *ssl) {
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
  if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || (size_t)n != want) die("an answer other than 200");
}

/* One request on every connection at a time, so that the server has as many at hand as there are connections. */
static void post(int count, int requests) {
  for (int done = 0; done < requests; done += count) {
    for (int i = 0; i < count; i++)
      if (SSL_write(connections[i], request, request_size) != request_size) die("cannot write");
    for (int i = 0; i < count; i++) read_answer(connections[i]);
  }
}

static double cpu_us(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) die("the server is gone");
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const volatile uint64_t *open_counter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) die("no counter of mallocs");
  return p;
}

int main(int argc, char **argv) {
  static const uint64_t none;
  clockid_t clock;
  if (argc < 7) die("usage: load PORT PATH BODY PID CONNECTIONS REQUESTS [MALLOCS]");
  int count = (int)strtol(argv[5], NULL, 10), requests = (int)strtol(argv[6], NULL, 10);
  const volatile uint64_t *mallocs = argc > 7 ? open_counter(argv[7]) : &none;
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) die("no TLS 1.3");
  if (count < 1 || count > CONNECTIONS_MAX || requests < count) die("from 1 to 256 connections, and a request for each");
  if (clock_getcpuclockid((pid_t)strtol(argv[4], NULL, 10), &clock) != 0) die("no such process");
  build_request(argv[2], argv[3]);
  for (int i = 0; i < count; i++) connections[i] = connect_to(context, (uint16_t)strtoul(argv[1], NULL, 10));
  post(count, requests / 10 + count);
  requests -= requests % count;
  double cpu = cpu_us(clock);
  uint64_t calls = *mallocs;
  post(count, requests);
  printf("%.2f %.3f\n", (cpu_us(clock) - cpu) / requests, (double)(*mallocs - calls) / requests);
  return 0;
}
