/* Reviews that wait, through real sockets: put aside, resumed by another thread, and what ends them otherwise. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr */
#endif
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "http_client.h"

#include "base/pulse.h"
#include "http/server.h"

static char dir[64], cert_path[96], key_path[96];
static struct mg_http_server *server;
static atomic_int calls, refusals_to_wait, waits, forgotten, alive;

#define HELD_MAX 8
struct pending;
static struct pending *_Atomic held[HELD_MAX]; /* those that nobody resumes before the test does */
static atomic_uint n_held;

/* What a handler keeps of one review. */
struct pending {
  int rounds; /* that it still says "later" */
  pthread_t thread;
  bool threaded;
  void (*resume)(void *waiter);
  void *waiter;
  unsigned ms;
};

static void pending_free(struct pending *p) {
  if (p->threaded) {
    pthread_join(p->thread, NULL);
  }
  free(p);
  atomic_fetch_sub(&alive, 1);
}

static void *resume_soon(void *arg) {
  struct pending *p = arg;
  usleep(p->ms * 1000);
  p->resume(p->waiter);
  p->resume(p->waiter); /* a second time does no harm */
  return NULL;
}

/* The body says what becomes of it: "N MS": later N times, MS ms each; "0 0": at once; "1 0": held; "-MS 0": it takes so long. */
static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  struct pending *p = reply->state;
  int rounds = 0;
  unsigned ms = 0;
  char text[32];
  (void)ctx, (void)endpoint, (void)left_ms;
  snprintf(text, sizeof text, "%.*s", MG_FMT(body));
  assert_int_equal(sscanf(text, "%d %u", &rounds, &ms), 2);
  atomic_fetch_add(&calls, 1);
  if (rounds < 0) {
    usleep((unsigned)-rounds * 1000);
    rounds = 0;
  }
  if (!reply->may_wait) {
    atomic_fetch_add(&refusals_to_wait, 1);
  }
  if (!p && rounds) {
    p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->rounds = rounds;
    p->ms = ms;
    atomic_fetch_add(&alive, 1);
    reply->state = p;
  }
  if (p && p->threaded) {
    pthread_join(p->thread, NULL);
    p->threaded = false;
  }
  if (p && p->rounds > 0 && reply->may_wait) {
    p->rounds--;
    reply->later = true;
    return;
  }
  if (p) {
    pending_free(p);
    reply->state = NULL;
  }
  reply->status = 200;
  reply->body = mg_arena_printf(reply->arena, "{\"waited\":%s}", reply->may_wait ? "true" : "false");
}

static void wait_for(void *ctx, void *state, void (*resume)(void *waiter), void *waiter) {
  struct pending *p = state;
  (void)ctx;
  atomic_fetch_add(&waits, 1);
  p->resume = resume;
  p->waiter = waiter;
  if (p->ms == 1) {
    resume(waiter); /* from within the call */
  } else if (p->ms) {
    p->threaded = pthread_create(&p->thread, NULL, resume_soon, p) == 0;
    assert_true(p->threaded);
  } else {
    unsigned n = atomic_fetch_add(&n_held, 1);
    assert_true(n < HELD_MAX);
    atomic_store(&held[n], p);
  }
}

static void release(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    struct pending *p = NULL;
    for (int n = 0; n < 5000 && !(p = atomic_exchange(&held[i], NULL)); n++) {
      usleep(1000);
    }
    assert_non_null(p);
    p->resume(p->waiter);
  }
}

static void forget(void *ctx, void *state) {
  (void)ctx;
  atomic_fetch_add(&forgotten, 1);
  pending_free(state);
}

static void start(unsigned max_connections) {
  static const struct mg_http_handlers handlers = {.review = review, .wait = wait_for, .forget = forget};
  struct mg_http_options o = mg_http_defaults();
  struct mg_err err;
  o.listen_tls = "127.0.0.1:0";
  o.listen_plain = NULL;
  o.cert_path = cert_path;
  o.key_path = key_path;
  o.threads = 1;
  o.max_connections = max_connections;
  atomic_store(&calls, 0);
  atomic_store(&refusals_to_wait, 0);
  atomic_store(&waits, 0);
  atomic_store(&forgotten, 0);
  atomic_store(&n_held, 0);
  if (mg_http_start(&o, &handlers, &server, &err) != 0) {
    fail_msg("%s", err.text);
  }
}

static void stop(void) {
  mg_http_stop(server);
  server = NULL;
  assert_int_equal(atomic_load(&alive), 0);
}

static void send_only(struct client *c, const char *body) {
  char text[256];
  int n = snprintf(text, sizeof text,
                   "POST /validate?timeout=10s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
  say(c, text, (size_t)n);
}

static void wait_until(atomic_int *what, int value) {
  for (int i = 0; i < 500 && atomic_load(what) != value; i++) {
    usleep(10000);
  }
  assert_int_equal(atomic_load(what), value);
}

static int setup(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(dir, sizeof dir, "/tmp/mg-test-wait-XXXXXX");
  assert_non_null(mkdtemp(dir));
  snprintf(cert_path, sizeof cert_path, "%s/tls.crt", dir);
  snprintf(key_path, sizeof key_path, "%s/tls.key", dir);
  make_pair(dir);
  tls = SSL_CTX_new(TLS_client_method());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  SSL_CTX_free(tls);
  remove_tree(dir);
  return 0;
}

static void test_resumed(void **state) {
  static const struct {
    const char *body;
    int calls, waits;
  } rows[] = {{"0 0", 1, 0}, {"1 1", 2, 1}, {"3 1", 4, 3}, {"1 30", 2, 1}, {"3 20", 4, 3}};
  static struct answer a;
  (void)state;
  start(64);
  struct client c = dial(mg_http_port_tls(server), true);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int calls_before = atomic_load(&calls), waits_before = atomic_load(&waits);
    post(&c, "/validate", rows[i].body, &a); /* all on one connection */
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"waited\":true}");
    assert_int_equal(atomic_load(&calls) - calls_before, rows[i].calls);
    assert_int_equal(atomic_load(&waits) - waits_before, rows[i].waits);
    assert_int_equal(atomic_load(&alive), 0);
  }
  assert_int_equal(atomic_load(&forgotten), 0);
  hang_up(&c);
  stop();
}

/* One thread: while some wait, others are answered. */
static void test_others_go_on(void **state) {
  static struct answer a;
  (void)state;
  start(64);
  struct client slow[4], c = dial(mg_http_port_tls(server), true);
  for (int i = 0; i < 4; i++) {
    slow[i] = dial(mg_http_port_tls(server), true);
    send_only(&slow[i], "1 0");
  }
  wait_until(&waits, 4);
  for (int i = 0; i < 10; i++) {
    post(&c, "/validate", "0 0", &a);
    assert_int_equal(a.status, 200);
  }
  assert_int_equal(atomic_load(&alive), 4);
  assert_true(mg_http_in_flight(server) >= 4); /* the last answer may not be ticked off yet */
  release(4);
  for (int i = 0; i < 4; i++) {
    read_answer(&slow[i], &a, false);
    assert_int_equal(a.status, 200);
    hang_up(&slow[i]);
  }
  hang_up(&c);
  stop();
}

/* Where too many wait, one more has to do with what is known. */
static void test_no_room(void **state) {
  static struct answer a;
  (void)state;
  start(16);
  struct client slow[4], c = dial(mg_http_port_tls(server), true);
  for (int i = 0; i < 4; i++) {
    slow[i] = dial(mg_http_port_tls(server), true);
    send_only(&slow[i], "1 0");
  }
  wait_until(&waits, 4);
  post(&c, "/validate", "1 0", &a);
  assert_string_equal(a.body, "{\"waited\":false}");
  assert_int_equal(atomic_load(&waits), 4);
  assert_int_equal(atomic_load(&refusals_to_wait), 1);
  release(4);
  for (int i = 0; i < 4; i++) {
    read_answer(&slow[i], &a, false);
    assert_string_equal(a.body, "{\"waited\":true}");
    hang_up(&slow[i]);
  }
  hang_up(&c);
  stop();
}

static void test_client_goes(void **state) {
  (void)state;
  start(64);
  struct client c = dial(mg_http_port_tls(server), true);
  send_only(&c, "2 100");
  wait_until(&waits, 1);
  hang_up(&c);
  wait_until(&alive, 0); /* answered to nobody, or forgotten */
  for (int i = 0; i < 500 && mg_http_in_flight(server) > 0; i++) {
    usleep(10000);
  }
  assert_int_equal(mg_http_in_flight(server), 0);
  stop();
}

/* Those that wait when the server is drained are answered. */
static void test_drain(void **state) {
  static struct answer a;
  (void)state;
  start(64);
  struct client c = dial(mg_http_port_tls(server), true);
  send_only(&c, "1 300");
  wait_until(&waits, 1);
  assert_true(mg_http_drain(server, 0, 3000));
  read_answer(&c, &a, false);
  assert_int_equal(a.status, 200);
  assert_non_null(strcasestr(a.head, "Connection: close"));
  hang_up(&c);
  stop();
}

/* Nobody ever resumes these. */
static void test_stop(void **state) {
  (void)state;
  start(64);
  struct client c[3];
  for (int i = 0; i < 3; i++) {
    c[i] = dial(mg_http_port_tls(server), true);
    send_only(&c[i], "1 0");
  }
  wait_until(&waits, 3);
  assert_false(mg_http_drain(server, 0, 100));
  stop(); /* has seen that all states are gone */
  for (int i = 0; i < 3; i++) {
    hang_up(&c[i]);
  }
}

/* And one that is about to be resumed when the server stops. */
static void test_stop_in_between(void **state) {
  (void)state;
  for (unsigned i = 0; i < 10; i++) {
    char body[16];
    start(64);
    struct client c = dial(mg_http_port_tls(server), true);
    snprintf(body, sizeof body, "5 %u", 2 + i);
    send_only(&c, body);
    for (int n = 0; n < 500 && !atomic_load(&waits); n++) {
      usleep(1000);
    }
    usleep(i * 1000);
    stop();
    hang_up(&c);
  }
}

/* Ten clients whose reviews are ready at once are one turn of the only thread, which gets somewhere all the same. */
static void test_a_long_turn_is_alive(void **state) {
  enum { CLIENTS = 10, LOOK_MS = 250 };
  struct client c[CLIENTS];
  struct mg_pulse_watch watch = {0};
  const char *name;
  unsigned worst = 0;
  (void)state;
  start(64);
  for (int i = 0; i < CLIENTS; i++) {
    c[i] = dial(mg_http_port_tls(server), true);
  }
  for (int i = 0; i < CLIENTS; i++) {
    send_only(&c[i], "-100 0");
  }
  for (int i = 0; i < 500 && atomic_load(&calls) < CLIENTS; i += LOOK_MS / 10) {
    unsigned looks = mg_pulse_look(&watch, &name);
    worst = looks > worst ? looks : worst;
    usleep(LOOK_MS * 1000);
  }
  assert_int_equal(atomic_load(&calls), CLIENTS);
  assert_in_range(worst, 1, 2);
  for (int i = 0; i < CLIENTS; i++) {
    hang_up(&c[i]);
  }
  stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_resumed),     cmocka_unit_test(test_others_go_on), cmocka_unit_test(test_no_room),
    cmocka_unit_test(test_client_goes), cmocka_unit_test(test_drain),        cmocka_unit_test(test_stop),
    cmocka_unit_test(test_stop_in_between), cmocka_unit_test(test_a_long_turn_is_alive),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
