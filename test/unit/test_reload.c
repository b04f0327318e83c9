/* Files that change beneath a running server: what is good serves soon, what is bad never does, and nothing is lost on the way.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "http_client.h"

#include "admit/admit.h"
#include "app/answer.h"
#include "app/reload.h"
#include "base/log.h"
#include "base/watch.h"
#include "http/server.h"

static char top[64];
static char policy_dir[96], cert[96], key[96];

static struct serving {
  struct mg_answerer *answerer;
  struct mg_reload *reload;
  struct mg_http_server *server;
} serving;

static void write_at(const char *name, const char *text) {
  char path[256], temp[256];
  snprintf(path, sizeof path, "%s/%s", top, name);
  snprintf(temp, sizeof temp, "%s/.temp", top);
  FILE *file = fopen(temp, "we");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  assert_int_equal(fclose(file), 0);
  assert_int_equal(rename(temp, path), 0);
}

/* Denies the Pod of review_text, or with action `warn` lets it in. */
static void write_policy(const char *name, const char *policy, const char *action) {
  char text[1024];
  snprintf(text, sizeof text,
           "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: %s}\nspec:\n  action: %s\n  match: {kinds: [Pod]}\n"
           "  rules:\n  - gpuLimits: {signals: [], require: [memory]}\n",
           policy, action);
  write_at(name, text);
}

/* ---- the server, put together as serve does ---- */

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  (void)ctx, (void)left_ms;
  reply->status = mg_answerer_review(serving.answerer, endpoint == MG_MUTATE, body, reply->arena, &reply->body);
}
static bool ready(void *ctx, bool verbose, struct mg_buf *out) {
  (void)ctx;
  if (verbose) {
    mg_answerer_describe(serving.answerer, out);
  }
  return mg_reload_ready(serving.reload, verbose ? out : NULL);
}
static void metrics(void *ctx, struct mg_buf *out) {
  (void)ctx;
  mg_answerer_metrics(serving.answerer, out);
}
static void refused(void *ctx, enum mg_refusal why) {
  (void)ctx;
  mg_answerer_refused(serving.answerer, why);
}

static void start(int64_t poll_ms, int64_t quiet_ms) {
  static const char *paths[1];
  struct mg_http_handlers handlers = {.review = review, .ready = ready, .metrics = metrics, .refused = refused};
  struct mg_http_options o = mg_http_defaults();
  struct mg_credentials *credentials = NULL;
  struct mg_snapshot *snapshot = NULL;
  struct mg_err err;
  paths[0] = policy_dir;
  struct mg_reload_options r = {.policies = {.policies = {paths, 1}}, .credentials = {.cert = cert, .key = key},
                                .poll_ms = poll_ms, .quiet_ms = quiet_ms};
  assert_int_equal(mg_reload_new(&r, &serving.reload, &err), 0);
  assert_int_equal(mg_credentials_load(&r.credentials, &credentials, &err), 0);
  assert_int_equal(mg_load_policies(&r.policies, &snapshot), 0);
  assert_int_equal(mg_answerer_new(&serving.answerer, snapshot, "1", NULL, &err), 0);
  o.listen_tls = o.listen_plain = "127.0.0.1:0";
  o.credentials = credentials;
  o.threads = 2;
  assert_int_equal(mg_http_start(&o, &handlers, &serving.server, &err), 0);
  assert_int_equal(mg_reload_start(serving.reload, serving.answerer, serving.server, mg_credentials_until(credentials), &err), 0);
  mg_credentials_unref(credentials);
}

static void stop(void) {
  mg_reload_stop(serving.reload);
  mg_http_stop(serving.server);
  mg_reload_free(serving.reload);
  mg_answerer_free(serving.answerer);
}

static const char *page(const char *path) {
  static struct answer a;
  char text[256];
  struct client c = dial(mg_http_port_plain(serving.server), false);
  int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
  say(&c, text, (size_t)n);
  read_answer(&c, &a, false);
  hang_up(&c);
  return a.body;
}

/* Until the page says so, five seconds at most. */
static void wait_for(const char *path, const char *text) {
  for (int i = 0; i < 250 && !strstr(page(path), text); i++) {
    usleep(20000);
  }
  if (!strstr(page(path), text)) {
    fail_msg("%s does not say \"%s\":\n%s", path, text, page(path));
  }
}

/* What serves is newer than the page's word of trouble with it for a moment. */
static void wait_until_all_serves(void) {
  for (int i = 0; i < 250 && strstr(page("/readyz?verbose"), "newer"); i++) {
    usleep(20000);
  }
  assert_null(strstr(page("/readyz?verbose"), "newer"));
}

static unsigned long counter(const char *name) {
  const char *at = strstr(page("/metrics"), name);
  return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static const char *review_text(void) {
  return "{\"apiVersion\":\"admission.k8s.io/"
         "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u\",\"kind\":{\"group\":\"\","
         "\"version\":\"v1\",\"kind\":\"Pod\"},\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},"
         "\"namespace\":\"ml\",\"name\":\"a\",\"operation\":\"CREATE\",\"userInfo\":{\"username\":\"x\"},\"object\":{"
         "\"apiVersion\":"
         "\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"ml\"},\"spec\":{\"containers\":["
         "{\"name\":\"m\",\"image\":\"r.example/a:1\",\"resources\":{\"limits\":{\"nvidia.com/gpu\":\"1\"}}}]}}}}";
}

/* Straight to the answerer, with so much memory: 1 allowed, 0 denied, -1 something else. */
static int ask(bool mutate, size_t memory) {
  struct mg_arena arena;
  mg_str body;
  mg_arena_init(&arena, memory, 0);
  unsigned status = mg_answerer_review(serving.answerer, mutate, mg_str_of(review_text()), &arena, &body);
  int result = status != 200                                 ? -1
               : mg_str_has(body, MG_S("\"allowed\":true"))  ? 1
               : mg_str_has(body, MG_S("\"allowed\":false")) ? 0
                                                             : -1;
  mg_arena_fini(&arena);
  return result;
}

static int judge(void) {
  return ask(false, (size_t)64 << 20);
}

static int setup(void **state) {
  char ca[128];
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(top, sizeof top, "/tmp/mg-test-reload-XXXXXX");
  assert_non_null(mkdtemp(top));
  snprintf(policy_dir, sizeof policy_dir, "%s/p", top);
  snprintf(cert, sizeof cert, "%s/tls.crt", top);
  snprintf(key, sizeof key, "%s/tls.key", top);
  assert_int_equal(mkdir(policy_dir, 0700), 0);
  make_pair(top);
  write_policy("p/one.yaml", "one", "enforce");
  tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
  snprintf(ca, sizeof ca, "%s/ca.crt", top);
  assert_int_equal(SSL_CTX_load_verify_locations(tls, ca, NULL), 1);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  SSL_CTX_free(tls);
  remove_tree(top);
  return 0;
}

/* ---- policies ---- */

static void test_policies(void **state) {
  (void)state;
  write_policy("p/one.yaml", "one", "enforce");
  start(60000, 20); /* so that it is inotify that tells */
  assert_int_equal(judge(), 0);
  wait_for("/readyz?verbose", "generation 1\n");
  write_policy("p/one.yaml", "one", "warn");
  wait_for("/readyz?verbose", "generation 2\n");
  assert_int_equal(judge(), 1);
  assert_int_equal(counter("mlgate_policy_evaluations_total{policy=\"one\",result=\"deny\"} "), 1);
  wait_for("/metrics", "mlgate_config_reloads_total{result=\"success\"} 2\n"); /* counted when it serves already */
  write_at("p/one.yaml", "apiVersion: mlgate.dev/v1\nkind: Policy\n");
  wait_for("/readyz?verbose", "policies: what is newer does not serve: ");
  assert_non_null(strstr(page("/readyz?verbose"), "p/one.yaml"));
  assert_non_null(strstr(page("/readyz?verbose"), "generation 2\n"));
  assert_string_equal(page("/readyz"), "ok\n");
  assert_int_equal(judge(), 1);
  wait_for("/metrics", "mlgate_config_reloads_total{result=\"failure\"} 1\n");
  write_policy("p/one.yaml", "one", "enforce");
  write_policy("p/two.yaml", "two", "enforce");
  wait_for("/readyz?verbose", "policies 2\n");
  wait_until_all_serves();
  assert_int_equal(judge(), 0);
  assert_int_equal(counter("mlgate_policy_evaluations_total{policy=\"one\",result=\"deny\"} "), 2);
  assert_int_equal(counter("mlgate_policy_evaluations_total{policy=\"two\",result=\"deny\"} "), 1);
  char path[128];
  snprintf(path, sizeof path, "%s/two.yaml", policy_dir);
  assert_int_equal(unlink(path), 0);
  wait_for("/readyz?verbose", "policies 1\n");
  assert_int_equal(counter("mlgate_policy_evaluations_total{policy=\"one\",result=\"deny\"} "), 2);
  stop();
}

/* What policies came to at both doors: one that changes, one that finds what it would add, one that has nothing to add. */
static void test_results(void **state) {
  static const char adds[] = "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: %s}\nspec:\n  match: {kinds: [Pod]}\n"
                             "  rules:\n  - nodeSelector: {add: {a: b}}\n";
  char text[2][256];
  (void)state;
  snprintf(text[0], sizeof text[0], adds, "adds");
  snprintf(text[1], sizeof text[1], adds, "behind");
  write_policy("p/one.yaml", "one", "enforce");
  write_at("p/two.yaml", text[0]);
  write_at("p/three.yaml", text[1]);
  start(60000, 20);
  assert_int_equal(ask(true, (size_t)64 << 20), 1);
  const bool first = counter("mlgate_policy_evaluations_total{policy=\"adds\",result=\"mutate\"} ") == 1;
  assert_int_equal(counter(first ? "mlgate_policy_evaluations_total{policy=\"behind\",result=\"pass\"} "
                                 : "mlgate_policy_evaluations_total{policy=\"adds\",result=\"pass\"} "), 1);
  assert_int_equal(counter("mlgate_policy_evaluations_total{policy=\"behind\",result=\"mutate\"} "), first ? 0 : 1);
  assert_int_equal(counter("mlgate_policy_evaluations_total{policy=\"one\",result=\"pass\"} "), 0);
  unsigned long failed = 0;
  for (size_t memory = 1024; memory < 65536; memory += 64) failed += ask(false, memory) < 0;
  unsigned long errors = 0;
  static const char *const names[] = {"one", "adds", "behind"};
  for (size_t i = 0; i < 3; i++) {
    char name[128];
    snprintf(name, sizeof name, "mlgate_policy_evaluations_total{policy=\"%s\",result=\"error\"} ", names[i]);
    errors += counter(name);
  }
  assert_true(errors > 0 && errors < failed); /* the body itself needs memory, too */
  stop();
  for (size_t i = 0; i < 2; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", policy_dir, i ? "two.yaml" : "three.yaml");
    assert_int_equal(unlink(path), 0);
  }
}

/* A file that is written again as it was makes no generation, and what is changed behind it does. */
static void test_touched(void **state) {
  static char before[64];
  (void)state;
  write_policy("p/one.yaml", "one", "enforce");
  start(50, 10);
  const char *content = strstr(page("/readyz?verbose"), "content ");
  assert_non_null(content);
  memcpy(before, content, 25);
  for (int i = 0; i < 5; i++) {
    write_policy("p/one.yaml", "one", "enforce");
    usleep(100000);
  }
  assert_non_null(strstr(page("/readyz?verbose"), "generation 1\n"));
  assert_non_null(strstr(page("/readyz?verbose"), before));
  assert_int_equal(counter("mlgate_config_reloads_total{result=\"success\"} "), 1);
  write_policy("p/one.yaml", "one", "warn");
  wait_for("/readyz?verbose", "generation 2\n");
  assert_null(strstr(page("/readyz?verbose"), before));
  stop();
}

/* As Kubernetes does it: files are links through ..data, which is a link that is replaced. */
static void test_mounted(void **state) {
  char from[128], to[128], saved[96];
  (void)state;
  memcpy(saved, policy_dir, sizeof saved);
  snprintf(policy_dir, sizeof policy_dir, "%s/m", top);
  assert_int_equal(mkdir(policy_dir, 0700), 0);
  for (int i = 1; i <= 2; i++) {
    snprintf(to, sizeof to, "%s/..%d", policy_dir, i);
    assert_int_equal(mkdir(to, 0700), 0);
  }
  write_policy("m/..1/one.yaml", "one", "enforce");
  write_policy("m/..2/one.yaml", "one", "warn");
  snprintf(to, sizeof to, "%s/one.yaml", policy_dir);
  assert_int_equal(symlink("..data/one.yaml", to), 0);
  snprintf(to, sizeof to, "%s/..data", policy_dir);
  assert_int_equal(symlink("..1", to), 0);
  start(60000, 20);
  assert_int_equal(judge(), 0);
  snprintf(from, sizeof from, "%s/..data_tmp", policy_dir);
  assert_int_equal(symlink("..2", from), 0);
  assert_int_equal(rename(from, to), 0);
  wait_for("/readyz?verbose", "generation 2\n");
  assert_int_equal(judge(), 1);
  stop();
  memcpy(policy_dir, saved, sizeof saved);
}

static void test_poked(void **state) {
  (void)state;
  write_policy("p/one.yaml", "one", "enforce");
  start(60000, 20);
  mg_reload_poke(serving.reload);
  wait_for("/readyz?verbose", "generation 2\n");
  wait_for("/metrics", "mlgate_config_reloads_total{result=\"success\"} 3\n"); /* the start, the policies, the certificate */
  stop();
}

/* ---- certificates ---- */

static void test_certificate(void **state) {
  static struct answer a;
  struct mg_certs_pair pair;
  struct mg_err err;
  (void)state;
  start(60000, 20);
  assert_int_equal(mg_certs_load(cert, key, &pair, &err), 0);
  write_at("tls.crt", "nonsense");
  wait_for("/readyz?verbose", "certificate: what is newer does not serve: ");
  assert_non_null(strstr(page("/readyz?verbose"), "tls.crt"));
  struct client c = dial(mg_http_port_tls(serving.server), true);
  post(&c, "/validate", review_text(), &a);
  assert_int_equal(a.status, 200);
  post(&c, "/nope", "{}", &a);
  assert_int_equal(a.status, 404);
  hang_up(&c);
  assert_int_equal(counter("mlgate_http_refused_total{reason=\"path\"} "), 1);
  write_policy("p/one.yaml", "one", "warn"); /* policies are not held up by it */
  wait_for("/readyz?verbose", "generation 2\n");
  assert_int_equal(counter("mlgate_http_refused_total{reason=\"path\"} "), 1);
  write_at("tls.crt", pair.cert);
  wait_until_all_serves();
  assert_int_equal(counter("\nmlgate_certificate_expiry_timestamp_seconds "), pair.not_after);
  mg_certs_pair_fini(&pair);
  stop();
}

/* A pair that has ended does not replace one that has not; one that ends while it serves makes us unready. */
static void test_ended(void **state) {
  static const char *const dns[] = {"localhost"};
  char dir[128], path[160];
  struct mg_certs_pair pair, good;
  struct mg_certs_report report;
  struct mg_err err;
  (void)state;
  snprintf(dir, sizeof dir, "%s/ended", top);
  struct mg_certs_place place = {.dir = dir};
  struct mg_certs_request request = {.dns = dns, .n_dns = 1, .ca_days = 20, .days = 10, .now = (int64_t)time(NULL) - 86400 * 30};
  assert_int_equal(mg_certs_create(&place, &request, &report, &err), 0);
  assert_int_equal(mg_certs_load(cert, key, &good, &err), 0);
  snprintf(path, sizeof path, "%s/tls.key", dir);
  snprintf(dir, sizeof dir, "%s/ended/tls.crt", top);
  assert_int_equal(mg_certs_load(dir, path, &pair, &err), 0);
  start(60000, 20);
  write_at("tls.key", pair.key);
  write_at("tls.crt", pair.cert);
  wait_for("/readyz?verbose", "tls.crt has ended\n");
  assert_string_equal(page("/readyz"), "ok\n");
  hang_up(&(struct client[]){dial(mg_http_port_tls(serving.server), true)}[0]); /* the old one is shown, and is good */
  write_at("tls.key", good.key);
  write_at("tls.crt", good.cert);
  wait_until_all_serves();
  mg_reload_stop(serving.reload);
  assert_int_equal(mg_reload_start(serving.reload, serving.answerer, serving.server, (int64_t)time(NULL) - 1, &err), 0);
  assert_string_equal(page("/readyz"), "not ready\n");
  assert_non_null(strstr(page("/readyz?verbose"), "the certificate has ended\nnot ready\n"));
  mg_certs_pair_fini(&pair);
  mg_certs_pair_fini(&good);
  stop();
}

/* What fails is tried again at every look, told once, and counted each time. */
static void test_polled_and_told_once(void **state) {
  char log[128];
  (void)state;
  write_policy("p/one.yaml", "one", "enforce");
  snprintf(log, sizeof log, "%s/log", top);
  FILE *file = fopen(log, "w+e");
  assert_non_null(file);
  mg_log_init(MG_LOG_INFO, fileno(file));
  start(50, 10);
  write_at("p/one.yaml", "kind: [");
  for (int i = 0; i < 250 && counter("mlgate_config_reloads_total{result=\"failure\"} ") < 4; i++) {
    usleep(20000);
  }
  assert_true(counter("mlgate_config_reloads_total{result=\"failure\"} ") >= 4);
  write_policy("p/one.yaml", "one", "enforce");
  wait_until_all_serves();
  assert_non_null(strstr(page("/readyz?verbose"), "generation 1\n")); /* it is what serves all the time */
  write_policy("p/one.yaml", "one", "warn");
  wait_for("/readyz?verbose", "generation 2\n");
  stop();
  mg_log_init(MG_LOG_INFO, STDERR_FILENO);
  static char text[8192];
  size_t n = fread(text, 1, (rewind(file), sizeof text - 1), file);
  text[n] = '\0';
  fclose(file);
  unsigned told = 0;
  for (const char *p = text; (p = strstr(p, "not reloaded")); p++) {
    told++;
  }
  if (told != 1) {
    fail_msg("%s", text);
  }
}

/* ---- under load ---- */

static atomic_bool enough;
static atomic_int wrong, done;

static void *reviewer(void *arg) {
  (void)arg;
  while (!atomic_load(&enough)) {
    int got = judge();
    atomic_fetch_add(&wrong, got < 0);
    atomic_fetch_add(&done, 1);
  }
  return NULL;
}

static void *scraper(void *arg) {
  unsigned long last = 0;
  (void)arg;
  while (!atomic_load(&enough)) {
    MG_BUF_AUTO out;
    mg_buf_init(&out, NULL, 1 << 20);
    mg_answerer_metrics(serving.answerer, &out);
    mg_buf_byte(&out, '\0');
    const char *at = strstr(out.p, "mlgate_admission_duration_seconds_count ");
    unsigned long now = at ? strtoul(at + 40, NULL, 10) : 0;
    atomic_fetch_add(&wrong, now < last);
    last = now;
  }
  return NULL;
}

static unsigned long reloads(void) {
  return counter("mlgate_config_reloads_total{result=\"success\"} ");
}

/* Every 30 ms other policies or another certificate, for two seconds: each review is answered by one set of policies and counted
 * once, and the sums never go down. A slow machine sees several changes as one, and gets more of them. */
static void test_under_load(void **state) {
  pthread_t threads[3];
  (void)state;
  write_policy("p/one.yaml", "one", "enforce");
  mg_log_init(MG_LOG_ERROR, STDERR_FILENO);
  start(60000, 5);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? reviewer : scraper, NULL), 0);
  }
  for (int i = 0; i < 60 || (i < 600 && reloads() < 5); i++) {
    usleep(30000);
    write_policy(i % 3 ? "p/one.yaml" : "p/two.yaml", i % 3 ? "one" : i % 2 ? "two" : "three", i % 2 ? "enforce" : "warn");
    if (i % 10 == 9) {
      make_pair(top);
    }
  }
  mg_reload_poke(serving.reload);
  usleep(200000);
  atomic_store(&enough, true);
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_int_equal(atomic_load(&wrong), 0);
  assert_int_equal(counter("\nmlgate_admission_duration_seconds_count "), atomic_load(&done));
  print_message("%d reviews, %lu reloads\n", atomic_load(&done), reloads());
  assert_true(reloads() >= 5);
  assert_true(mg_answerer_tidy(serving.answerer));
  stop();
  mg_log_init(MG_LOG_INFO, STDERR_FILENO);
}

/* ---- the watcher ---- */

static void test_watch(void **state) {
  struct mg_watch *watch = NULL;
  struct mg_err err;
  (void)state;
  assert_int_equal(mg_watch_new(&watch, &err), 0);
  mg_watch_add(watch, top);
  mg_watch_add(watch, "/no/such/directory");
  assert_int_equal(mg_watch_wait(watch, 10, 10), MG_WATCH_TIME);
  write_at("x", "1");
  assert_int_equal(mg_watch_wait(watch, 10000, 20), MG_WATCH_CHANGED);
  assert_int_equal(mg_watch_wait(watch, 10, 10), MG_WATCH_TIME);
  mg_watch_poke(watch);
  assert_int_equal(mg_watch_wait(watch, 10000, 10), MG_WATCH_POKED);
  mg_watch_stop(watch);
  assert_int_equal(mg_watch_wait(watch, 10000, 10), MG_WATCH_STOPPED);
  mg_watch_free(watch);
  mg_watch_free(NULL);
  mg_reload_stop(NULL);
  mg_reload_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_watch),       cmocka_unit_test(test_policies),
    cmocka_unit_test(test_results),     cmocka_unit_test(test_touched),
    cmocka_unit_test(test_mounted),     cmocka_unit_test(test_poked),
    cmocka_unit_test(test_certificate), cmocka_unit_test(test_polled_and_told_once),
    cmocka_unit_test(test_ended),       cmocka_unit_test(test_under_load),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
