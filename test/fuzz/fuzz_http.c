/* Bytes to a server in this process: P and what goes to the plain port, T and what goes to the port of reviews, in TLS. However
 * it is spoken to, it answers with whole answers of its own kind or ends the connection, and then serves the next one. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "certs/certs.h"
#include "fuzz.h"
#include "http/server.h"

#define ROOM 65536

static struct mg_http_server *server;
static SSL_CTX *tls;
static atomic_uint reviews;

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  unsigned long sum = 0;
  (void)ctx;
  FUZZ_CHECK(left_ms > 0 && body.n > 0 && body.n <= 4096, "a review of %zu bytes with %lld ms", body.n, (long long)left_ms);
  for (size_t i = 0; i < body.n; i++) sum += (unsigned char)body.p[i];
  atomic_fetch_add(&reviews, 1);
  reply->status = 200;
  reply->body = mg_arena_printf(reply->arena, "{\"endpoint\":%d,\"sum\":%lu}", (int)endpoint, sum);
}

static void make_certificates(const char *dir) {
  static const char *const names[] = {"localhost"};
  struct mg_certs_place place = {.dir = dir};
  struct mg_certs_request request = {.dns = names, .n_dns = 1};
  struct mg_certs_report made;
  struct mg_err err;
  FUZZ_CHECK(mg_certs_create(&place, &request, &made, &err) == 0, "%s", err.text);
}

static void remove_certificates(const char *dir) {
  static const char *const names[] = {"ca.crt", "ca.key", "tls.crt", "tls.key", ".lock"};
  char path[96];
  for (size_t i = 0; i < FUZZ_COUNT(names); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    unlink(path);
  }
  FUZZ_CHECK(rmdir(dir) == 0, "something is left in %s", dir);
}

static void stop(void) {
  mg_http_stop(server);
  SSL_CTX_free(tls);
}

static void start(void) {
  char dir[] = "/tmp/mg-fuzz-XXXXXX", cert[64], key[64];
  struct mg_http_options options = mg_http_defaults();
  struct mg_http_handlers handlers = {.review = review};
  struct mg_err err;
  signal(SIGPIPE, SIG_IGN);
  FUZZ_CHECK(mkdtemp(dir), "no directory");
  make_certificates(dir);
  snprintf(cert, sizeof cert, "%s/tls.crt", dir);
  snprintf(key, sizeof key, "%s/tls.key", dir);
  options.listen_tls = options.listen_plain = "127.0.0.1:0";
  options.cert_path = cert;
  options.key_path = key;
  options.threads = 1;
  options.max_body = 4096;
  FUZZ_CHECK(mg_http_start(&options, &handlers, &server, &err) == 0, "%s", err.text);
  remove_certificates(dir);
  tls = SSL_CTX_new(TLS_client_method());
  atexit(stop);
}

struct client {
  int fd;
  SSL *ssl;
  size_t n; /* of answers */
  char answers[ROOM];
};

/* libFuzzer's clock rings within a call. */
static bool is_interrupted(ssize_t code) {
  return code < 0 && errno == EINTR;
}

static void dial(struct client *c, bool secure) {
  struct timeval wait = {.tv_sec = 5};
  uint16_t port = secure ? mg_http_port_tls(server) : mg_http_port_plain(server);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  c->ssl = NULL;
  c->n = 0;
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  FUZZ_CHECK(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&at, sizeof at) == 0, "nobody listens any more");
  if (!secure) return;
  c->ssl = SSL_new(tls);
  SSL_set_fd(c->ssl, c->fd);
  int code, fault;
  do {
    errno = 0;
    code = SSL_connect(c->ssl);
    fault = errno;
  } while (is_interrupted(code));
  FUZZ_CHECK(code == 1, "no handshake: SSL error %d, %s; %s", SSL_get_error(c->ssl, code),
             ERR_reason_error_string(ERR_peek_error()), strerror(fault));
}

static void hang_up(struct client *c) {
  SSL_free(c->ssl);
  close(c->fd);
  ERR_clear_error();
}

/* What comes until the server has nothing more to say to one that says nothing more; at the plain port, where it waits for more
 * on a connection that is half closed, until nothing has come for a moment. */
static void talk(struct client *c, mg_str bytes) {
  struct timeval moment = {.tv_usec = 2000};
  if (c->ssl) {
    if (bytes.n) SSL_write(c->ssl, bytes.p, (int)bytes.n);
    SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
  } else {
    if (bytes.n) send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment);
  }
  for (ssize_t n = 1; n > 0 || is_interrupted(n);) {
    size_t room = sizeof c->answers - c->n;
    errno = 0;
    n = c->ssl ? SSL_read(c->ssl, c->answers + c->n, (int)room) : recv(c->fd, c->answers + c->n, room, 0);
    if (n > 0) c->n += (size_t)n;
  }
}

/* The length of the body behind a head, or SIZE_MAX where the head does not say it. */
static size_t length_in(mg_str head) {
  static const char name[] = "\r\nContent-Length: ";
  const char *at = memmem(head.p, head.n, name, strlen(name));
  return at ? strtoul(at + strlen(name), NULL, 10) : SIZE_MAX;
}

/* One answer after the other, whole; the last may be cut where the connection was. */
static unsigned count_answers(mg_str rest) {
  unsigned answers = 0;
  while (rest.n) {
    const char *end = memmem(rest.p, rest.n, "\r\n\r\n", 4);
    if (!end) break;
    mg_str head = {rest.p, (size_t)(end - rest.p) + 2};
    FUZZ_CHECK(head.n > 12 && memcmp(head.p, "HTTP/1.", 7) == 0 && head.p[8] == ' ', "no answer: %.*s", MG_FMT(head));
    bool interim = memcmp(head.p + 9, "100", 3) == 0;
    size_t length = length_in(head);
    rest = mg_str_from(rest, head.n + 2);
    if (interim) continue;
    answers++;
    FUZZ_CHECK(length != SIZE_MAX, "an answer without a length: %.*s", MG_FMT(head));
    if (length > rest.n) break; /* to HEAD, or cut */
    mg_str body = {rest.p, length};
    if (body.n && body.p[0] == '{') json_decref(fuzz_check_json(body, "a body"));
    if (body.n && memcmp(body.p, "HTTP/1.", body.n < 7 ? body.n : 7) == 0) continue; /* HEAD, and the next */
    rest = mg_str_from(rest, length);
  }
  return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct client client;
  if (!server) start();
  if (size == 0) return 0;
  unsigned before = atomic_load(&reviews);
  dial(&client, data[0] == 'T');
  talk(&client, (mg_str){(const char *)data + 1, size - 1});
  hang_up(&client);
  unsigned answers = count_answers((mg_str){client.answers, client.n});
  FUZZ_CHECK(data[0] == 'T' || atomic_load(&reviews) == before, "a review at the plain port");
  FUZZ_CHECK(answers <= 1 + size / 16, "%u answers to %zu bytes", answers, size);
  return 0;
}
