/* The server through real sockets: every row of the table is bytes sent over TLS and what must come back. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr */
#endif
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "http_client.h"

#include "http/listen.h"
#include "http/metrics.h"
#include "http/screen.h"
#include "http/server.h"

#define MAX_BODY 20000
#define BUDGET 30000

static char dir[64], cert_path[96], key_path[96];
static struct mg_http_server *server;
static struct mg_metrics *metrics;
static atomic_int reviews;
static atomic_bool not_ready;

/* ---- the handlers ---- */

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  assert_ptr_equal(ctx, &reviews);
  atomic_fetch_add(&reviews, 1);
  if (mg_str_is(body, "nothing")) {
    return;
  }
  if (mg_str_is(body, "slow")) {
    usleep(300 * 1000);
  }
  unsigned long sum = 0;
  for (size_t i = 0; i < body.n; i++) {
    sum += (unsigned char)body.p[i];
  }
  reply->status = mg_str_is(body, "teapot") ? 418 : 200;
  reply->retry_after = reply->close = reply->status == 418;
  reply->body = mg_arena_printf(reply->arena, "{\"endpoint\":%d,\"bytes\":%zu,\"sum\":%lu,\"left\":%lld}", (int)endpoint, body.n,
                                sum, (long long)left_ms);
}

static bool ready(void *ctx, bool verbose, struct mg_buf *out) {
  (void)ctx;
  if (verbose) {
    mg_buf_lit(out, "[+]policies ok\n");
  }
  return !atomic_load(&not_ready);
}

static void more_metrics(void *ctx, struct mg_buf *out) {
  (void)ctx;
  mg_buf_lit(out, "mlgate_extra 1\n");
}

static const struct mg_http_handlers handlers = {.ctx = &reviews, .review = review, .ready = ready, .metrics = more_metrics};

static struct mg_http_options options(void) {
  struct mg_http_options o = mg_http_defaults();
  o.listen_tls = o.listen_plain = "127.0.0.1:0";
  o.cert_path = cert_path;
  o.key_path = key_path;
  o.threads = 2;
  o.max_body = MAX_BODY;
  o.body_budget = BUDGET;
  o.metrics = metrics;
  return o;
}

/* ---- fixtures ---- */

static int setup(void **state) {
  static const char *const kinds[] = {"Pod"};
  struct mg_err err;
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(dir, sizeof dir, "/tmp/mg-test-http-XXXXXX");
  assert_non_null(mkdtemp(dir));
  snprintf(cert_path, sizeof cert_path, "%s/tls.crt", dir);
  snprintf(key_path, sizeof key_path, "%s/tls.key", dir);
  make_pair(dir);
  struct mg_metrics_options m = {.version = "1", .kinds = kinds, .n_kinds = 1};
  assert_int_equal(mg_metrics_new(&m, &metrics, &err), 0);
  tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
  char ca[96];
  snprintf(ca, sizeof ca, "%s/ca.crt", dir);
  assert_int_equal(SSL_CTX_load_verify_locations(tls, ca, NULL), 1);
  struct mg_http_options o = options();
  assert_int_equal(mg_http_start(&o, &handlers, &server, &err), 0);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mg_http_stop(server);
  mg_http_stop(NULL);
  mg_metrics_unref(metrics);
  SSL_CTX_free(tls);
  remove_tree(dir);
  return 0;
}

/* ---- refusals ---- */

#define J "Content-Type: application/json\r\n"
#define H "Host: x\r\n"
#define P "POST /mutate HTTP/1.1\r\n"

struct row {
  const char *name;
  mg_str bytes;
  int status;
  const char *needle; /* in head or body */
};
#define ROW(name, text, status, needle) {name, {text, sizeof(text) - 1}, status, needle}

static const struct row tls_rows[] = {
  ROW("unknown path", "POST /nope HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 404, "NotFound"),
  ROW("longer path", "POST /mutate/ HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 404, "NotFound"),
  ROW("escaped path", "POST /mutat%65 HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 404, "NotFound"),
  ROW("%00 in path", "POST /mutate%00x HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 404, "NotFound"),
  ROW("NUL in path", "POST /mutate\0x HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 404, "NotFound"),
  ROW("plain path at the TLS port", "GET /metrics HTTP/1.1\r\n" H "\r\n", 404, "NotFound"),
  ROW("method", "GET /mutate HTTP/1.1\r\n" H "\r\n", 405, "Allow: POST\r\n"),
  ROW("method put", "PUT /validate HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 405, "MethodNotAllowed"),
  ROW("no type", P H "Content-Length: 2\r\n\r\n{}", 415, "UnsupportedMediaType"),
  ROW("other type", P H "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n{}", 415, "application/json"),
  ROW("two types", P H J J "Content-Length: 2\r\n\r\n{}", 415, "application/json"),
  ROW("same length twice", P H J "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400, "Content-Length"),
  ROW("lengths 0 and 2", P H J "Content-Length: 0\r\nContent-Length: 30\r\n\r\nPOST /mutate HTTP/1.1\r\n" H "\r\n", 400,
      "Content-Length"),
  ROW("length and chunked", P H J "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400,
      "Transfer-Encoding"),
  ROW("chunked", P H J "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411, "chunked"),
  ROW("unknown coding", P H J "Transfer-Encoding: gzip, chunked\r\n\r\n", 411, "Content-Length"),
  ROW("identity and length", P H J "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 400, "Transfer-Encoding"),
  ROW("no length", P H J "\r\n", 411, "Content-Length"),
  ROW("empty body", P H J "Content-Length: 0\r\n\r\n", 400, "empty"),
  ROW("no host", P J "Content-Length: 2\r\n\r\n{}", 400, "Host"),
  ROW("two hosts", P H H J "Content-Length: 2\r\n\r\n{}", 400, "Host"),
  ROW("space before the colon", P H J "Content-Length : 2\r\n\r\n{}", 400, "header"),
  ROW("name that is no token", P H J "X(y): 1\r\nContent-Length: 2\r\n\r\n{}", 400, "header"),
  ROW("LF alone", "POST /mutate HTTP/1.1\n" "Host: x\nContent-Type: application/json\nContent-Length: 2\n\n{}", 400, "header"),
  ROW("LF alone behind one field", P "Host: x\n" J "Content-Length: 2\r\n\r\n{}", 400, "header"),
  ROW("LF alone at the end", P H J "Content-Length: 2\r\n\n{}  ", 400, "header"),
  ROW("folded", P H J "X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", 400, "header"),
  ROW("last one folded", P H J "Content-Length: 2\r\nX: a\r\n b\r\n\r\n{}", 400, "header"),
  ROW("NUL in a value", P H J "X: a\0b\r\nContent-Length: 2\r\n\r\n{}", 400, "header"),
  ROW("NUL in the last value", P H J "Content-Length: 2\r\nX: a\0b\r\n\r\n{}", 400, "header"),
  ROW("no name", P H J "Content-Length: 2\r\n: x\r\n\r\n{}", 400, "header"),
  ROW("control in a value", P H J "X: a\001b\r\nContent-Length: 2\r\n\r\n{}", 400, "header"),
  ROW("expectation", P H J "Expect: a-pony\r\nContent-Length: 2\r\n\r\n{}", 417, "100-continue"),
  ROW("HTTP/1.0", "POST /mutate HTTP/1.0\r\n" H J "Content-Length: 2\r\n\r\n{}", 505, "HTTP/1.1"),
  ROW("HTTP/1.9", "POST /mutate HTTP/1.9\r\n" H J "Content-Length: 2\r\n\r\n{}", 505, "HTTP/1.1"),
  ROW("over the limit", P H J "Content-Length: 20001\r\n\r\n{", 413, "(20000 bytes)"),
  ROW("far over the limit", P H J "Content-Length: 99999999999999999\r\n\r\n{", 413, "RequestEntityTooLarge"),
};

static void check_status_body(const struct row *row, const struct answer *a) {
  char code[32];
  snprintf(code, sizeof code, "\"code\":%d}", row->status);
  static const char start[] =
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"mlgate: ";
  if (strncmp(a->body, start, sizeof start - 1) != 0 || !strstr(a->body, code) || !strstr(a->head, "application/json") ||
      !strstr(a->head, "Connection: close")) {
    fail_msg("%s: head %s body %s", row->name, a->head, a->body);
  }
}

static void run_row(const struct row *row, uint16_t port, bool secure) {
  static struct answer a;
  int before = atomic_load(&reviews);
  struct client c = dial(port, secure);
  say(&c, row->bytes.p, row->bytes.n);
  read_answer(&c, &a, false);
  if (a.status != row->status || (!strstr(a.head, row->needle) && !strstr(a.body, row->needle))) {
    fail_msg("%s: want %d with \"%s\", got %d\n%s%s", row->name, row->status, row->needle, a.status, a.head, a.body);
  }
  check_status_body(row, &a);
  if (!closed_now(&c)) {
    fail_msg("%s: the connection is still open", row->name);
  }
  assert_int_equal(atomic_load(&reviews), before);
  hang_up(&c);
}

static void test_refusals(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof tls_rows / sizeof *tls_rows; i++) {
    run_row(&tls_rows[i], mg_http_port_tls(server), true);
  }
}

static void test_plain_refusals(void **state) {
  static const struct row rows[] = {
    ROW("post", "POST /healthz HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 405, "Allow: GET, HEAD\r\n"),
    ROW("body", "GET /healthz HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", 400, "no body"),
    ROW("chunked body", "GET /healthz HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "no body"),
    ROW("review path", "POST /mutate HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", 404, "NotFound"),
    ROW("two hosts", "GET /healthz HTTP/1.1\r\n" H H "\r\n", 400, "Host"),
    ROW("no host", "GET /healthz HTTP/1.1\r\n\r\n", 400, "Host"),
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    run_row(&rows[i], mg_http_port_plain(server), false);
  }
}

static void test_long_target_and_many_headers(void **state) {
  static char text[16384];
  (void)state;
  for (int over = 0; over < 2; over++) {
    int n = snprintf(text, sizeof text, "POST /mutate?");
    memset(text + n, 'a', (size_t)(MG_HTTP_URI_MAX - 8 + over));
    n += MG_HTTP_URI_MAX - 8 + over; /* the path and the question mark are 8 */
    n += snprintf(text + n, sizeof text - (size_t)n, " HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}");
    static struct answer a;
    struct client c = dial(mg_http_port_tls(server), true);
    say(&c, text, (size_t)n);
    read_answer(&c, &a, false);
    assert_int_equal(a.status, over ? 414 : 200);
    hang_up(&c);

    n = snprintf(text, sizeof text, P H J "Content-Length: 2\r\n");
    for (int i = 0; i < MG_HTTP_HEADERS_MAX - 3 + over; i++) {
      n += snprintf(text + n, sizeof text - (size_t)n, "X-%d: 1\r\n", i);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n{}");
    c = dial(mg_http_port_tls(server), true);
    say(&c, text, (size_t)n);
    read_answer(&c, &a, false);
    assert_int_equal(a.status, over ? 431 : 200);
    hang_up(&c);
  }
}

/* ---- reviews ---- */

static void test_keep_alive(void **state) {
  static struct answer a;
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  post(&c, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.head, "Content-Type: application/json\r\n"));
  assert_null(strstr(a.head, "Connection: close"));
  assert_non_null(strstr(a.body, "\"endpoint\":0,\"bytes\":2,\"sum\":248,"));
  post(&c, "/validate?timeout=7s", "hello", &a);
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.body, "\"endpoint\":1,\"bytes\":5,\"sum\":532,"));
  long left = strtol(strstr(a.body, "\"left\":") + 7, NULL, 10);
  assert_true(left > 6000 && left <= 7000);
  say(&c, P H "content-type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
      strlen(P H "content-type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"));
  read_answer(&c, &a, false);
  assert_int_equal(a.status, 200);
  left = strtol(strstr(a.body, "\"left\":") + 7, NULL, 10);
  assert_true(left > 9000 && left <= MG_HTTP_TIMEOUT_MS);
  hang_up(&c);
}

static void test_pipelined(void **state) {
  static const char two[] = P H J "Content-Length: 2\r\n\r\n{}POST /validate HTTP/1.1\r\n" H J "Content-Length: 3\r\n\r\n{ }";
  static struct answer a;
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  say(&c, two, sizeof two - 1);
  read_answer(&c, &a, false);
  assert_non_null(strstr(a.body, "\"endpoint\":0,\"bytes\":2,"));
  read_answer(&c, &a, false);
  assert_non_null(strstr(a.body, "\"endpoint\":1,\"bytes\":3,"));
  hang_up(&c);
}

static void test_handler_says(void **state) {
  static struct answer a;
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  post(&c, "/mutate", "teapot", &a);
  assert_int_equal(a.status, 418);
  assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
  assert_true(closed_now(&c));
  hang_up(&c);
  c = dial(mg_http_port_tls(server), true);
  post(&c, "/mutate", "nothing", &a);
  assert_int_equal(a.status, 500);
  assert_non_null(strstr(a.body, "InternalError"));
  assert_true(closed_now(&c));
  hang_up(&c);
}

/* Bodies at the limit arrive whole, in pieces, and the context that carried one carries the next. */
static void test_body_limit(void **state) {
  static char body[MAX_BODY + 2];
  static struct answer a;
  char want[64];
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  for (size_t n = MAX_BODY - 1; n <= MAX_BODY; n++) {
    memset(body, 'a', n);
    body[n] = '\0';
    post(&c, "/mutate", body, &a);
    snprintf(want, sizeof want, "\"bytes\":%zu,\"sum\":%zu,", n, n * 'a');
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, want));
  }
  hang_up(&c);
}

static void test_slow_body(void **state) {
  static const char head[] = P H J "Content-Length: 6\r\n\r\n";
  static struct answer a;
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  say(&c, head, sizeof head - 1);
  for (int i = 0; i < 6; i++) {
    usleep(5000);
    say(&c, &"{    }"[i], 1);
  }
  read_answer(&c, &a, false);
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.body, "\"bytes\":6,"));
  hang_up(&c);
}

static void test_expect_continue(void **state) {
  static const char head[] = P H J "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  static struct answer a;
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  say(&c, head, sizeof head - 1);
  read_answer(&c, &a, false);
  assert_int_equal(a.status, 100);
  say(&c, "{}", 2);
  read_answer(&c, &a, false);
  assert_int_equal(a.status, 200);
  hang_up(&c);
}

static void wait_in_flight(size_t want) {
  for (int i = 0; i < 200 && mg_http_in_flight(server) != want; i++) {
    usleep(5000);
  }
  assert_int_equal(mg_http_in_flight(server), want);
}

static void get(const char *request, struct answer *a, bool head) {
  struct client c = dial(mg_http_port_plain(server), false);
  say(&c, request, strlen(request));
  read_answer(&c, a, head);
  hang_up(&c);
}

/* Until so many bytes of bodies have come. */
static void wait_bytes(unsigned want) {
  static struct answer a;
  char text[64];
  snprintf(text, sizeof text, "\nmlgate_http_body_bytes %u\n", want);
  for (int i = 0; i < 500; i++) {
    get("GET /metrics HTTP/1.1\r\n" H "\r\n", &a, false);
    if (strstr(a.body, text)) {
      return;
    }
    usleep(10000);
  }
  fail_msg("the bodies are not %u bytes", want);
}

#define LARGE 18000 /* more than what counts as small */
#define LARGE_HEAD P H J "Content-Length: 18000\r\n\r\n"

/* Its head, and so much of its body. */
static struct client begin_large(size_t n) {
  static char text[sizeof LARGE_HEAD - 1 + LARGE];
  struct client c = dial(mg_http_port_tls(server), true);
  memset(text, ' ', sizeof text);
  memcpy(text, LARGE_HEAD, sizeof LARGE_HEAD - 1);
  say(&c, text, sizeof LARGE_HEAD - 1 + n);
  return c;
}

static void expect_crowded(struct client *c) {
  static struct answer a;
  read_answer(c, &a, false);
  assert_int_equal(a.status, 503);
  assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
  assert_non_null(strstr(a.body, "ServiceUnavailable"));
  assert_true(closed_now(c));
  hang_up(c);
}

/* Two bodies that fit alone and not together: the second is told to come back, and finds room when the first is gone. */
static void test_budget(void **state) {
  static struct answer a;
  (void)state;
  wait_in_flight(0);
  struct client first = begin_large(LARGE - 1);
  wait_bytes(LARGE - 1);
  struct client second = begin_large(0);
  expect_crowded(&second);
  hang_up(&first); /* mid-body: its bytes must come back */
  wait_in_flight(0);
  second = begin_large(LARGE);
  read_answer(&second, &a, false);
  assert_int_equal(a.status, 200);
  hang_up(&second);
}

/* Bodies that are announced and never come shut nobody out; of those that come at once the last is refused. */
static void test_budget_of_what_came(void **state) {
  static struct answer a;
  (void)state;
  wait_in_flight(0);
  struct client first = begin_large(0), second = begin_large(0), idle = begin_large(0);
  static char body[LARGE];
  memset(body, ' ', sizeof body);
  wait_in_flight(3);
  say(&first, body, LARGE - 1);
  wait_bytes(LARGE - 1);
  say(&second, body, LARGE);
  expect_crowded(&second);
  say(&first, body, 1);
  read_answer(&first, &a, false);
  assert_int_equal(a.status, 200);
  hang_up(&first);
  say(&idle, body, LARGE);
  read_answer(&idle, &a, false);
  assert_int_equal(a.status, 200);
  hang_up(&idle);
  wait_in_flight(0);
}

/* A client that sends a body far over the limit without ever looking up must still be able to read why it was refused. */
static void test_refusal_survives_the_body(void **state) {
  static char piece[16384];
  static struct answer a;
  (void)state;
  for (int round = 0; round < 5; round++) {
    struct client c = dial(mg_http_port_tls(server), true);
    say(&c, P H J "Content-Length: 9000000\r\n\r\n", strlen(P H J "Content-Length: 9000000\r\n\r\n"));
    for (size_t sent = 0; sent < 9000000; sent += sizeof piece) {
      size_t n = 9000000 - sent < sizeof piece ? 9000000 - sent : sizeof piece;
      say(&c, piece, n);
    }
    read_answer(&c, &a, false);
    assert_int_equal(a.status, 413);
    assert_true(closed_now(&c));
    hang_up(&c);
  }
}

static void test_late(void **state) {
  static const char head[] = "POST /mutate?timeout=20ms HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n";
  static struct answer a;
  (void)state;
  struct client c = dial(mg_http_port_tls(server), true);
  int before = atomic_load(&reviews);
  say(&c, head, sizeof head - 1);
  usleep(60000);
  say(&c, "{}", 2);
  read_answer(&c, &a, false);
  assert_int_equal(a.status, 504);
  assert_int_equal(atomic_load(&reviews), before);
  hang_up(&c);
}

/* A bad request line or length is answered by the library itself, rubbish not at all; what matters is that the connection
 * ends, that nothing runs and that nothing leaks. */
static void test_library_refusals(void **state) {
  static const char *const bad[] = {
    P H J "Content-Length: -1\r\n\r\n{}", P H J "Content-Length: 0x2\r\n\r\n{}", P H J "Content-Length: 2, 2\r\n\r\n{}",
    P H J "no colon\r\n\r\n",             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",    "rubbish\r\n\r\n",
  };
  static struct answer a;
  (void)state;
  int before = atomic_load(&reviews);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct client c = dial(mg_http_port_tls(server), true);
    say(&c, bad[i], strlen(bad[i]));
    read_answer(&c, &a, false);
    if (a.status ? a.status < 400 : !closed_now(&c)) {
      fail_msg("%s: %d", bad[i], a.status);
    }
    hang_up(&c);
  }
  assert_int_equal(atomic_load(&reviews), before);
  wait_in_flight(0);
}

static void test_tls_versions(void **state) {
  static const struct {
    int version, works;
  } rows[] = {{TLS1_VERSION, 0}, {TLS1_1_VERSION, 0}, {TLS1_2_VERSION, 1}, {TLS1_3_VERSION, 1}};
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, rows[i].version);
    SSL_CTX_set_max_proto_version(ctx, rows[i].version);
    struct client c = dial(mg_http_port_tls(server), false);
    c.ssl = SSL_new(ctx);
    SSL_set_fd(c.ssl, c.fd);
    assert_int_equal(SSL_connect(c.ssl) == 1, rows[i].works);
    if (rows[i].works) {
      assert_non_null(strstr(SSL_get_cipher(c.ssl), "GCM"));
    }
    ERR_clear_error();
    hang_up(&c);
    SSL_CTX_free(ctx);
  }
}

/* ---- the plain port ---- */

static void test_plain(void **state) {
  static struct answer a;
  (void)state;
  get("GET /healthz HTTP/1.1\r\n" H "\r\n", &a, false);
  assert_int_equal(a.status, 200);
  assert_string_equal(a.body, "ok\n");
  get("HEAD /healthz HTTP/1.1\r\n" H "\r\n", &a, true);
  assert_int_equal(a.status, 200);
  assert_non_null(strcasestr(a.head, "Content-Length: 3\r\n"));
  get("GET /healthz HTTP/1.0\r\n\r\n", &a, false);
  assert_int_equal(a.status, 200);
  get("GET /readyz?verbose HTTP/1.1\r\n" H "\r\n", &a, false);
  assert_int_equal(a.status, 200);
  assert_string_equal(a.body, "[+]policies ok\nok\n");
  atomic_store(&not_ready, true);
  get("GET /readyz HTTP/1.1\r\n" H "\r\n", &a, false);
  assert_int_equal(a.status, 503);
  assert_string_equal(a.body, "not ready\n");
  atomic_store(&not_ready, false);
  get("GET /metrics HTTP/1.1\r\n" H "\r\n", &a, false);
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.head, "text/plain; version=0.0.4"));
  assert_non_null(strstr(a.body, "mlgate_http_refused_total{reason=\"too_large\"} 7\n"));
  assert_non_null(strstr(a.body, "mlgate_http_refused_total{reason=\"budget\"} 2\n"));
  assert_non_null(strstr(a.body, "\nmlgate_extra 1\n"));
  assert_non_null(strstr(a.body, "\nmlgate_http_connections_ended_total{reason=\"deadline\"} 0\n"));
}

/* Who sends a large body and is slow about it keeps others out for a second, not until its own deadline. What is small gets in
 * all the while. */
static void test_hurried(void **state) {
  static struct answer a;
  (void)state;
  wait_in_flight(0);
  uint64_t ended = mg_http_ended(server, MG_HTTP_END_LATE);
  struct client slow = begin_large(LARGE - 1);
  wait_bytes(LARGE - 1);
  struct client small = dial(mg_http_port_tls(server), true);
  int tries = 0;
  do {
    post(&small, "/mutate", "{}", &a);
    assert_int_equal(a.status, 200);
    struct client other = begin_large(tries ? LARGE : 0);
    read_answer(&other, &a, false);
    hang_up(&other);
    if (a.status == 200) break;
    assert_int_equal(a.status, 503);
    usleep(100000);
  } while (++tries < 60);
  assert_int_equal(a.status, 200);
  assert_in_range(tries, 1, 59);
  assert_true(closed_now(&slow));
  assert_int_equal(mg_http_ended(server, MG_HTTP_END_LATE), ended + 1);
  hang_up(&slow);
  hang_up(&small);
}

/* ---- start and end ---- */

static void test_start_errors(void **state) {
  struct mg_http_server *other = NULL;
  struct mg_err err;
  char taken[32];
  (void)state;
  struct mg_http_options o = options();
  snprintf(taken, sizeof taken, "127.0.0.1:%u", mg_http_port_tls(server));
  o.listen_tls = taken;
  assert_int_equal(mg_http_start(&o, &handlers, &other, &err), MG_E_IO);
  assert_non_null(strstr(err.text, taken));
  o = options();
  o.listen_plain = taken; /* the TLS half is up by then and must come down again */
  assert_int_equal(mg_http_start(&o, &handlers, &other, &err), MG_E_IO);
  o = options();
  o.key_path = cert_path;
  assert_int_equal(mg_http_start(&o, &handlers, &other, &err), MG_E_INVALID);
  o = options();
  o.body_budget = o.max_body - 1;
  assert_int_equal(mg_http_start(&o, &handlers, &other, &err), MG_E_USAGE);
  assert_null(other);
}

/* Without a plain port, and with connections that are too old from the start: each answer ends its own. */
static void test_connection_age(void **state) {
  static struct answer a;
  struct mg_http_server *main_server = server;
  struct mg_err err;
  (void)state;
  struct mg_http_options o = options();
  o.listen_plain = NULL;
  o.age_seconds = 0;
  o.threads = 1;
  assert_int_equal(mg_http_start(&o, &handlers, &server, &err), 0);
  assert_int_equal(mg_http_port_plain(server), 0);
  struct client c = dial(mg_http_port_tls(server), true);
  post(&c, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.head, "Connection: close"));
  assert_true(closed_now(&c));
  hang_up(&c);
  mg_http_stop(server);
  server = main_server;
}

/* A client that never finishes its request holds the drain up to the limit, and is reported. */
static void test_drain_limit(void **state) {
  static const char half[] = P H J "Content-Length: 9\r\n\r\n{";
  struct mg_http_server *main_server = server;
  struct mg_err err;
  (void)state;
  struct mg_http_options o = options();
  o.listen_plain = NULL;
  assert_int_equal(mg_http_start(&o, &handlers, &server, &err), 0);
  struct client c = dial(mg_http_port_tls(server), true);
  say(&c, half, sizeof half - 1);
  wait_in_flight(1);
  assert_false(mg_http_drain(server, 0, 60));
  hang_up(&c);
  wait_in_flight(0);
  assert_true(mg_http_drain(server, 0, 200)); /* a second time, with the socket gone, does no harm */
  mg_http_stop(server);
  server = main_server;
}

static void test_listen_addresses(void **state) {
  static const struct {
    const char *text;
    int code;
  } rows[] = {
    {"127.0.0.1:0", 0},
    {":0", 0},
    {"localhost:0", 0},
    {"127.0.0.1", MG_E_USAGE},
    {"127.0.0.1:", MG_E_USAGE},
    {"127.0.0.1:65536", MG_E_USAGE},
    {"127.0.0.1:-1", MG_E_USAGE},
    {"127.0.0.1:http", MG_E_USAGE},
    {"::1:0", MG_E_USAGE},
    {"192.0.2.1:0", MG_E_IO},
  };
  struct mg_err err;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int fd = -1;
    uint16_t port = 0;
    int code = mg_listen(rows[i].text, &fd, &port, &err);
    if (code != rows[i].code) {
      fail_msg("%s: %d, %s", rows[i].text, code, code ? err.text : "");
    }
    assert_int_equal(port != 0, code == 0);
    if (code == 0) {
      assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
      close(fd);
    }
  }
}

static void test_timeout_text(void **state) {
  static const struct {
    const char *text;
    int64_t ms;
  } rows[] = {
    {"10s", 10000},     {"5s", 5000},       {"1m30s", 30000}, {"500ms", 500},   {"1.5s", 1500},      {".5s", 500},
    {"2s500ms", 2500},  {"1h", 30000},      {"30s", 30000},   {"30.001s", 30000}, {"29.999s", 29999}, {"1500000us", 1500},
    {"1\302\265s", 10000}, {"", 10000},     {"0s", 10000},    {"-5s", 10000},   {"5", 10000},        {"s", 10000},
    {".s", 10000},      {"1..5s", 10000},   {"5s ", 10000},   {"5 s", 10000},   {"5S", 10000},       {"5d", 10000},
    {"99999999999999999999h", 30000},       {"0.0000000001s", 10000},           {"111111111111111111111111111111ms1", 10000},
    {"1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s", 10000},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t ms = mg_http_timeout(mg_str_of(rows[i].text));
    if (ms != rows[i].ms) {
      fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
  }
}

static void *drain_it(void *arg) {
  bool *whole = arg;
  *whole = mg_http_drain(server, 150, 2000);
  return NULL;
}

/* A request that runs while the server drains is answered; an idle connection does not hold it up; new ones are closed. */
static void test_drain(void **state) {
  static struct answer a;
  pthread_t thread;
  bool whole = false;
  (void)state;
  struct client idle = dial(mg_http_port_tls(server), true), slow = dial(mg_http_port_tls(server), true);
  post(&idle, "/mutate", "{}", &a);
  assert_null(strstr(a.head, "Connection: close"));
  assert_int_equal(pthread_create(&thread, NULL, drain_it, &whole), 0);
  usleep(30000);
  get("GET /readyz HTTP/1.1\r\n" H "\r\n", &a, false);
  assert_int_equal(a.status, 503);
  assert_string_equal(a.body, "draining\n");
  struct client fresh = dial(mg_http_port_tls(server), true);
  post(&fresh, "/mutate", "{}", &a); /* the grace period: new connections still work */
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.head, "Connection: close"));
  assert_true(closed_now(&fresh));
  hang_up(&fresh);
  usleep(60000);
  post(&slow, "/mutate", "slow", &a); /* 300 ms: answered after the listening socket is gone */
  assert_int_equal(a.status, 200);
  assert_true(closed_now(&slow));
  hang_up(&slow);
  post(&idle, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  assert_true(closed_now(&idle));
  hang_up(&idle);
  pthread_join(thread, NULL);
  assert_true(whole);
  assert_int_equal(mg_http_in_flight(server), 0);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(mg_http_port_tls(server)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), -1);
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_plain_refusals),
    cmocka_unit_test(test_long_target_and_many_headers),
    cmocka_unit_test(test_keep_alive),
    cmocka_unit_test(test_pipelined),
    cmocka_unit_test(test_handler_says),
    cmocka_unit_test(test_body_limit),
    cmocka_unit_test(test_slow_body),
    cmocka_unit_test(test_expect_continue),
    cmocka_unit_test(test_budget),
    cmocka_unit_test(test_budget_of_what_came),
    cmocka_unit_test(test_refusal_survives_the_body),
    cmocka_unit_test(test_late),
    cmocka_unit_test(test_library_refusals),
    cmocka_unit_test(test_tls_versions),
    cmocka_unit_test(test_plain),
    cmocka_unit_test(test_hurried),
    cmocka_unit_test(test_start_errors),
    cmocka_unit_test(test_connection_age),
    cmocka_unit_test(test_drain_limit),
    cmocka_unit_test(test_listen_addresses),
    cmocka_unit_test(test_timeout_text),
    cmocka_unit_test(test_drain),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
