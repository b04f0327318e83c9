/* Records of TLS as they come and go: many in one segment, cut anywhere, and answers to clients that do not read. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr */
#endif
#include <pthread.h>

#include "http_client.h"

#include "http/listen.h"
#include "http/screen.h"
#include "http/server.h"

#define REVIEWS 300
#define SLOW 3 /* clients at a time that do not read */

static char dir[64], cert_path[96], key_path[96];
static struct mg_http_server *server;

/* As many bytes as the body says, each telling where it stands. */
static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  char text[16] = "";
  (void)ctx, (void)endpoint, (void)left_ms;
  memcpy(text, body.p, body.n < sizeof text ? body.n : sizeof text - 1);
  size_t n = strtoul(text, NULL, 10);
  char *p = mg_arena_alloc(reply->arena, n);
  for (size_t i = 0; p && i < n; i++) {
    p[i] = (char)('a' + (n + i) % 23);
  }
  reply->status = p ? 200 : 0;
  reply->body = (mg_str){p, n};
}
static const struct mg_http_handlers handlers = {.review = review};

static int start_server(void **state) {
  struct mg_http_options o = mg_http_defaults();
  struct mg_http_bound bound[MG_DOORS] = {{.fd = -1}, {.fd = -1}};
  struct mg_err err;
  (void)state;
  assert_int_equal(mg_listen("127.0.0.1:0", &bound[MG_DOOR_TLS].fd, &bound[MG_DOOR_TLS].port, &err), 0);
  setsockopt(bound[MG_DOOR_TLS].fd, SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)); /* those that are accepted have it, too */
  tls = SSL_CTX_new(TLS_client_method());
  snprintf(dir, sizeof dir, "/tmp/mlgate-worker-XXXXXX");
  assert_non_null(mkdtemp(dir));
  make_pair(dir);
  snprintf(cert_path, sizeof cert_path, "%s/tls.crt", dir);
  snprintf(key_path, sizeof key_path, "%s/tls.key", dir);
  o.listen_tls = "127.0.0.1:0";
  o.bound = bound;
  o.listen_plain = NULL;
  o.cert_path = cert_path;
  o.key_path = key_path;
  o.threads = 1; /* so that all connections share what a worker has once */
  if (mg_http_start(&o, &handlers, &server, &err) != 0) {
    fail_msg("%s", err.text);
  }
  return 0;
}

static int stop_server(void **state) {
  (void)state;
  mg_http_stop(server);
  SSL_CTX_free(tls);
  remove_tree(dir);
  return 0;
}

/* What it says is kept until it is sent. */
static struct client dial_kept(void) {
  struct client c = dial(mg_http_port_tls(server), true);
  SSL_set0_wbio(c.ssl, BIO_new(BIO_s_mem()));
  return c;
}

static void send_kept(struct client *c, long n) {
  char *p = NULL;
  long there = BIO_get_mem_data(SSL_get_wbio(c->ssl), &p);
  n = n < there ? n : there;
  if (n == 0) {
    return;
  }
  char *copy = malloc((size_t)n);
  assert_non_null(copy);
  assert_int_equal(BIO_read(SSL_get_wbio(c->ssl), copy, (int)n), n);
  assert_int_equal(send(c->fd, copy, (size_t)n, MSG_NOSIGNAL), n);
  free(copy);
}

/* A review that is answered with n bytes, in records of `piece` bytes. */
static void ask(struct client *c, unsigned n, int piece) {
  char text[256];
  int size = snprintf(text, sizeof text,
                      "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n%06u", n);
  for (int at = 0; at < size; at += piece) {
    say(c, text + at, (size_t)(size - at < piece ? size - at : piece));
  }
}

static void expect_answer(struct client *c, unsigned n) {
  static struct answer a;
  read_answer(c, &a, false);
  assert_int_equal(a.status, 200);
  assert_int_equal(a.body_n, n);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(a.body[i], 'a' + (n + i) % 23);
  }
}

static void test_records_together(void **state) {
  (void)state;
  struct client c = dial_kept();
  for (int piece = 1; piece <= 64; piece *= 4) {
    ask(&c, 100, piece);
    ask(&c, 20000, piece);
    ask(&c, 1, piece);
    send_kept(&c, 1 << 20);
    expect_answer(&c, 100);
    expect_answer(&c, 20000);
    expect_answer(&c, 1);
  }
  hang_up(&c);
}

/* One is cut inside a record's head, inside a record, behind one, while another is answered. */
static void test_cut_records(void **state) {
  (void)state;
  struct client c = dial_kept(), other = dial_kept();
  for (long cut = 1; cut < 170; cut += 7) {
    ask(&c, 50, 40);
    send_kept(&c, cut);
    ask(&other, 60, 9);
    send_kept(&other, 1 << 20);
    expect_answer(&other, 60);
    send_kept(&c, 1 << 20);
    expect_answer(&c, 50);
  }
  hang_up(&other);
  ask(&c, 70, 30);
  send_kept(&c, 45);
  hang_up(&c); /* with something of it read and not used */
  c = dial_kept();
  ask(&c, 80, 30);
  send_kept(&c, 1 << 20);
  expect_answer(&c, 80);
  hang_up(&c);
}

static void *send_all(void *arg) {
  send_kept(arg, 1 << 24);
  return NULL;
}

static unsigned size_of(unsigned i) {
  return i % 3 == 0 ? 1 + i * 97 % 40000 : 700 + i % 50;
}

/* Heads and bodies that the kernel does not take, or takes a part of, are sent when it does, in their order. */
static void test_slow_readers(void **state) {
  struct client slow[SLOW], quick = dial_kept();
  pthread_t threads[SLOW];
  (void)state;
  for (int k = 0; k < SLOW; k++) {
    slow[k] = dial_kept();
    for (unsigned i = 0; i < REVIEWS; i++) {
      ask(&slow[k], size_of(i + (unsigned)k), 1000);
    }
    assert_int_equal(pthread_create(&threads[k], NULL, send_all, &slow[k]), 0);
  }
  for (unsigned i = 0; i < 20; i++) {
    usleep(10 * 1000);
    ask(&quick, 500 + i, 30);
    send_kept(&quick, 1 << 20);
    expect_answer(&quick, 500 + i);
  }
  for (unsigned i = 0; i < REVIEWS; i++) {
    for (int k = 0; k < SLOW; k++) {
      expect_answer(&slow[k], size_of(i + (unsigned)k));
    }
  }
  for (int k = 0; k < SLOW; k++) {
    pthread_join(threads[k], NULL);
    hang_up(&slow[k]);
  }
  hang_up(&quick);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_records_together),
    cmocka_unit_test(test_cut_records),
    cmocka_unit_test(test_slow_readers),
  };
  return cmocka_run_group_tests_name("worker", tests, start_server, stop_server);
}
