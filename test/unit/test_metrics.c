/* Counters in, Prometheus text out. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "http/metrics.h"

static const char *const kinds[] = {"Pod", "PyTorchJob.kubeflow.org"};
static const char *const policies[] = {"gpu", "odd\"\\\nname"};

static struct mg_metrics *create(const char *const *policy_names, size_t n) {
  struct mg_metrics *metrics = NULL;
  struct mg_metrics_options options = {"1.2\"3", kinds, 2, policy_names, n};
  assert_int_equal(mg_metrics_new(&options, &metrics, NULL), 0);
  return metrics;
}

/* The text, NUL-terminated; freed by the caller. */
static char *text_of(const struct mg_metrics *metrics) {
  struct mg_buf out;
  mg_buf_init(&out, NULL, 16 << 20);
  mg_metrics_write(metrics, &out);
  mg_buf_byte(&out, '\0');
  assert_false(out.failed);
  return out.p;
}

static void has(const struct mg_metrics *metrics, const char *line) {
  char *text = text_of(metrics);
  if (!strstr(text, line)) {
    fail_msg("no \"%s\" in\n%s", line, text);
  }
  free(text);
}

static void lacks(const struct mg_metrics *metrics, const char *line) {
  char *text = text_of(metrics);
  if (strstr(text, line)) {
    fail_msg("\"%s\" in\n%s", line, text);
  }
  free(text);
}

static void test_requests(void **state) {
  (void)state;
  struct mg_metrics *m = create(policies, 2);
  lacks(m, "mlgate_admission_requests_total{");
  mg_metrics_review(m, MG_METRICS_CREATE, 0, true, 1);
  mg_metrics_review(m, MG_METRICS_CREATE, 0, true, 1);
  mg_metrics_review(m, MG_METRICS_CREATE, 0, false, 1);
  mg_metrics_review(m, MG_METRICS_UPDATE, 1, false, 1);
  mg_metrics_review(m, MG_METRICS_OTHER_OPERATION, 2, true, 1);
  mg_metrics_review(m, MG_METRICS_DELETE, SIZE_MAX, true, 1);
  has(m, "mlgate_admission_requests_total{operation=\"CREATE\",kind=\"Pod\",allowed=\"true\"} 2\n");
  has(m, "mlgate_admission_requests_total{operation=\"CREATE\",kind=\"Pod\",allowed=\"false\"} 1\n");
  has(m, "{operation=\"UPDATE\",kind=\"PyTorchJob.kubeflow.org\",allowed=\"false\"} 1\n");
  has(m, "{operation=\"other\",kind=\"other\",allowed=\"true\"} 1\n");
  has(m, "{operation=\"DELETE\",kind=\"other\",allowed=\"true\"} 1\n");
  mg_metrics_unref(m);
  mg_metrics_unref(NULL);
}

static void test_operations(void **state) {
  (void)state;
  assert_int_equal(mg_metrics_operation(MG_S("CREATE")), MG_METRICS_CREATE);
  assert_int_equal(mg_metrics_operation(MG_S("CONNECT")), MG_METRICS_CONNECT);
  assert_int_equal(mg_metrics_operation(MG_S("create")), MG_METRICS_OTHER_OPERATION);
  assert_int_equal(mg_metrics_operation(MG_S("other")), MG_METRICS_OTHER_OPERATION);
  assert_int_equal(mg_metrics_operation((mg_str){NULL, 0}), MG_METRICS_OTHER_OPERATION);
}

/* A bucket's bound belongs to the bucket; buckets are cumulative. */
static void test_histogram(void **state) {
  static const uint64_t ns[] = {0, 25000, 25001, 1000000000, 1000000001};
  (void)state;
  struct mg_metrics *m = create(policies, 2);
  for (size_t i = 0; i < 5; i++) {
    mg_metrics_review(m, MG_METRICS_CREATE, 0, true, ns[i]);
  }
  has(m, "mlgate_admission_duration_seconds_bucket{le=\"2.5e-05\"} 2\n");
  has(m, "mlgate_admission_duration_seconds_bucket{le=\"5e-05\"} 3\n");
  has(m, "mlgate_admission_duration_seconds_bucket{le=\"0.1\"} 3\n");
  has(m, "mlgate_admission_duration_seconds_bucket{le=\"1.0\"} 4\n");
  has(m, "mlgate_admission_duration_seconds_bucket{le=\"+Inf\"} 5\n");
  has(m, "mlgate_admission_duration_seconds_sum 2.000050002\n");
  has(m, "mlgate_admission_duration_seconds_count 5\n");
  mg_metrics_unref(m);
}

static void test_policies(void **state) {
  (void)state;
  struct mg_metrics *m = create(policies, 2);
  mg_metrics_policy(m, 0, MG_METRICS_DENY);
  mg_metrics_policy(m, 1, MG_METRICS_PASS);
  mg_metrics_policy(m, 2, MG_METRICS_PASS); /* beyond: not counted */
  has(m, "mlgate_policy_evaluations_total{policy=\"gpu\",result=\"deny\"} 1\n");
  has(m, "mlgate_policy_evaluations_total{policy=\"gpu\",result=\"pass\"} 0\n");
  has(m, "mlgate_policy_evaluations_total{policy=\"odd\\\"\\\\\\nname\",result=\"pass\"} 1\n");
  has(m, "\nmlgate_policies 2\n");
  has(m, "mlgate_build_info{version=\"1.2\\\"3\"} 1\n");
  mg_metrics_unref(m);
}

/* A series is there once. */
static void test_namesakes(void **state) {
  (void)state;
  static const char *const one[] = {"a", "one", "one"}, *const other[] = {"one", "a", "one"};
  struct mg_metrics *m = create(one, 3), *next = create(other, 3);
  mg_metrics_policy(m, 1, MG_METRICS_PASS);
  mg_metrics_policy(m, 2, MG_METRICS_PASS);
  mg_metrics_policy_time(m, 2, 1000);
  mg_metrics_carry(next, m);
  mg_metrics_policy(next, 2, MG_METRICS_PASS);
  char *text = text_of(next);
  static const char count[] = "mlgate_policy_evaluations_total{policy=\"one\",result=\"pass\"}";
  const char *first = strstr(text, count);
  assert_non_null(first);
  assert_int_equal(strncmp(first + strlen(count), " 3\n", 3), 0);
  assert_null(strstr(first + 1, count));
  free(text);
  has(next, "mlgate_policy_duration_seconds_count{policy=\"one\"} 1\n");
  mg_metrics_unref(m);
  mg_metrics_unref(next);
}

static void test_server_counters(void **state) {
  (void)state;
  struct mg_metrics *m = create(policies, 0);
  mg_metrics_refused(m, MG_REFUSE_TOO_LARGE);
  mg_metrics_refused(m, MG_REFUSE_NONE); /* not a refusal */
  mg_metrics_expiry(m, 1799999999);
  mg_metrics_reload(m, MG_METRICS_RELOAD_OK, 1700000000);
  mg_metrics_reload(m, MG_METRICS_RELOAD_FAILED, 1700000099);
  has(m, "mlgate_http_refused_total{reason=\"too_large\"} 1\n");
  has(m, "mlgate_http_refused_total{reason=\"host\"} 0\n");
  has(m, "\nmlgate_certificate_expiry_timestamp_seconds 1799999999\n");
  has(m, "mlgate_config_reloads_total{result=\"success\"} 1\n");
  has(m, "mlgate_config_reloads_total{result=\"failure\"} 1\n");
  has(m, "\nmlgate_config_last_reload_success_timestamp_seconds 1700000000\n");
  mg_metrics_unref(m);
}

static double value(const char *text, const char *name) {
  const char *at = strstr(text, name);
  assert_non_null(at);
  return strtod(at + strlen(name), NULL);
}

static void test_process(void **state) {
  (void)state;
  struct mg_metrics *m = create(policies, 0);
  char *text = text_of(m);
  assert_true(value(text, "\nprocess_resident_memory_bytes ") > 100000);
  assert_true(value(text, "\nprocess_open_fds ") >= 3);
  assert_true(value(text, "\nprocess_cpu_seconds_total ") >= 0);
  assert_true(value(text, "\nprocess_start_time_seconds ") >= (double)time(NULL) - 60);
  free(text);
  mg_metrics_unref(m);
}

/* Every family is announced once, and every line is a comment or "name value" with nothing behind. */
static void test_format(void **state) {
  (void)state;
  struct mg_metrics *m = create(policies, 2);
  mg_metrics_review(m, MG_METRICS_CREATE, 0, true, 1);
  char *text = text_of(m), *rest = text;
  size_t help = 0, type = 0;
  assert_int_equal(text[strlen(text) - 1], '\n');
  for (char *line = strsep(&rest, "\n"); *line; line = strsep(&rest, "\n")) {
    help += strncmp(line, "# HELP ", 7) == 0;
    type += strncmp(line, "# TYPE ", 7) == 0;
    if (line[0] != '#') {
      char *number = strrchr(line, ' '), *end = NULL;
      assert_non_null(number);
      (void)strtod(number + 1, &end);
      assert_true(end > number + 1 && *end == '\0');
      assert_true(strncmp(line, "mlgate_", 7) == 0 || strncmp(line, "process_", 8) == 0);
    }
  }
  assert_int_equal(help, 17);
  assert_int_equal(type, help);
  free(text);
  mg_metrics_unref(m);
}

static void test_carry(void **state) {
  static const char *const later[] = {"new", "gpu"};
  (void)state;
  struct mg_metrics *old = create(policies, 2), *m = create(later, 2);
  mg_metrics_policy(old, 0, MG_METRICS_DENY);
  mg_metrics_policy(old, 1, MG_METRICS_DENY);
  mg_metrics_review(old, MG_METRICS_CREATE, 1, true, 30000);
  mg_metrics_review(old, MG_METRICS_CREATE, 9, true, 30000);
  mg_metrics_refused(old, MG_REFUSE_PATH);
  mg_metrics_expiry(old, 5);
  mg_metrics_review(m, MG_METRICS_CREATE, 1, true, 1);
  mg_metrics_carry(m, old);
  has(m, "{policy=\"gpu\",result=\"deny\"} 1\n");
  has(m, "{policy=\"new\",result=\"deny\"} 0\n");
  lacks(m, "odd");
  has(m, "kind=\"PyTorchJob.kubeflow.org\",allowed=\"true\"} 2\n");
  has(m, "kind=\"other\",allowed=\"true\"} 1\n");
  has(m, "mlgate_admission_duration_seconds_count 3\n");
  has(m, "{reason=\"path\"} 1\n");
  has(m, "mlgate_certificate_expiry_timestamp_seconds 5\n");
  mg_metrics_unref(old);
  mg_metrics_unref(m);
}

/* Names beyond the limit are one: however many policies there are, the series are bounded. */
static void test_limits(void **state) {
  static const char *many[MG_METRICS_NAMES_MAX + 2];
  struct mg_metrics *m = NULL, *next = NULL;
  (void)state;
  for (size_t i = 0; i < MG_METRICS_NAMES_MAX + 2; i++) {
    many[i] = "x";
  }
  struct mg_metrics_options options = {"1", many, MG_METRICS_NAMES_MAX + 2, many, MG_METRICS_NAMES_MAX + 2};
  assert_int_equal(mg_metrics_new(&options, &m, NULL), 0);
  assert_int_equal(mg_metrics_new(&options, &next, NULL), 0);
  mg_metrics_policy(m, MG_METRICS_NAMES_MAX, MG_METRICS_DENY);
  mg_metrics_policy(m, MG_METRICS_NAMES_MAX + 1, MG_METRICS_DENY);
  mg_metrics_policy(m, MG_METRICS_NAMES_MAX + 2, MG_METRICS_DENY); /* no policy at all */
  mg_metrics_policy_time(m, MG_METRICS_NAMES_MAX + 1, 1);
  mg_metrics_policy_time(m, MG_METRICS_NAMES_MAX + 2, 1);
  mg_metrics_review(m, MG_METRICS_CREATE, MG_METRICS_NAMES_MAX, true, 1);
  mg_metrics_carry(next, m);
  lacks(m, "{policy=\"other\",result=\"deny\"} 2\n");
  has(next, "{policy=\"other\",result=\"deny\"} 2\n");
  has(next, "mlgate_policy_duration_seconds_count{policy=\"other\"} 1\n");
  has(next, "kind=\"other\",allowed=\"true\"} 1\n");
  has(next, "\nmlgate_policies 4098\n");
  mg_metrics_unref(m);
  mg_metrics_unref(next);
}

static void test_policy_time(void **state) {
  static const char *const later[] = {"new", "gpu"};
  (void)state;
  struct mg_metrics *m = create(policies, 2), *next = create(later, 2);
  lacks(m, "mlgate_policy_duration_seconds_bucket");
  mg_metrics_policy_time(m, 0, 500);
  mg_metrics_policy_time(m, 0, 501);
  mg_metrics_policy_time(m, 0, 25000001);
  has(m, "mlgate_policy_duration_seconds_bucket{policy=\"gpu\",le=\"5e-07\"} 1\n");
  has(m, "mlgate_policy_duration_seconds_bucket{policy=\"gpu\",le=\"2.5e-06\"} 2\n");
  has(m, "mlgate_policy_duration_seconds_bucket{policy=\"gpu\",le=\"0.025\"} 2\n");
  has(m, "mlgate_policy_duration_seconds_bucket{policy=\"gpu\",le=\"+Inf\"} 3\n");
  has(m, "mlgate_policy_duration_seconds_sum{policy=\"gpu\"} 0.025001002\n");
  lacks(m, "mlgate_policy_duration_seconds_count{policy=\"odd");
  mg_metrics_carry(next, m);
  has(next, "mlgate_policy_duration_seconds_count{policy=\"gpu\"} 3\n");
  lacks(next, "mlgate_policy_duration_seconds_count{policy=\"new");
  mg_metrics_unref(m);
  mg_metrics_unref(next);
}

static void test_errors(void **state) {
  (void)state;
  struct mg_metrics *m = create(policies, 0);
  mg_metrics_error(m, 400);
  mg_metrics_error(m, 503);
  mg_metrics_error(m, 418);
  mg_metrics_error(m, 0);
  has(m, "mlgate_admission_errors_total{status=\"400\"} 1\n");
  has(m, "mlgate_admission_errors_total{status=\"413\"} 0\n");
  has(m, "mlgate_admission_errors_total{status=\"503\"} 1\n");
  has(m, "mlgate_admission_errors_total{status=\"other\"} 2\n");
  mg_metrics_unref(m);
}

/* ---- OpenMetrics ---- */

static void test_negotiation(void **state) {
  static const struct {
    const char *accept;
    bool open;
  } cases[] = {
    {"", false},
    {"*/*", false},
    {"text/plain", false},
    {"application/openmetrics-text", true},
    {"Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5", true},
    {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true},
    {"application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5", false},
    {"application/openmetrics-text;version=2.0.0", false},
    {"application/openmetrics-text;q=0", false},
    {"application/openmetrics-text;q=0.000", false},
    {"application/openmetrics-text;q=0.001", true},
    {"application/openmetrics-text;q=0.5,text/plain", false},
    {"application/openmetrics-text;q=0.5,text/plain;q=0.499", true},
    {"application/openmetrics-text;q=nonsense", false},
    {"application/openmetrics-textual", false},
    {",;=,;;q=,", false},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    MG_BUF_AUTO out;
    mg_buf_init(&out, NULL, 1000);
    mg_buf_lit(&out, "# HELP a_total b_total c\n# TYPE a_total counter\na_total{x=\"# TYPE y_total z\"} 1\n");
    mg_buf_lit(&out, "# TYPE g gauge\ng 2\n");
    size_t before = out.n;
    const char *type = mg_metrics_negotiate(mg_str_of(cases[i].accept), &out);
    if ((strcmp(type, MG_METRICS_OPEN) == 0) != cases[i].open) {
      fail_msg("\"%s\" gave %s", cases[i].accept, type);
    }
    const char *want = "# HELP a b_total c\n# TYPE a counter\na_total{x=\"# TYPE y_total z\"} 1\n# TYPE g gauge\ng 2\n# EOF\n";
    if (cases[i].open) {
      assert_true(mg_str_is(mg_buf_str(&out), want));
    } else {
      assert_int_equal(out.n, before);
      assert_string_equal(type, MG_METRICS_TEXT);
    }
  }
}

/* What could not be written whole is not called anything better. */
static void test_negotiation_failed(void **state) {
  (void)state;
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 4);
  mg_buf_lit(&out, "too much");
  assert_true(out.failed);
  assert_string_equal(mg_metrics_negotiate(MG_S("application/openmetrics-text"), &out), MG_METRICS_TEXT);
}

static void *count(void *arg) {
  for (int i = 0; i < 20000; i++) {
    mg_metrics_review(arg, MG_METRICS_CREATE, 0, true, 1000);
    mg_metrics_policy(arg, 0, MG_METRICS_PASS);
  }
  return NULL;
}

static void test_threads(void **state) {
  pthread_t threads[4];
  (void)state;
  struct mg_metrics *m = create(policies, 2);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, count, m), 0);
  }
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
  }
  has(m, "kind=\"Pod\",allowed=\"true\"} 80000\n");
  has(m, "{policy=\"gpu\",result=\"pass\"} 80000\n");
  has(m, "mlgate_admission_duration_seconds_sum 0.080000000\n");
  mg_metrics_unref(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_requests),        cmocka_unit_test(test_operations), cmocka_unit_test(test_histogram),
    cmocka_unit_test(test_policies),        cmocka_unit_test(test_server_counters), cmocka_unit_test(test_process),
    cmocka_unit_test(test_format),          cmocka_unit_test(test_carry),      cmocka_unit_test(test_limits),
    cmocka_unit_test(test_threads),         cmocka_unit_test(test_policy_time), cmocka_unit_test(test_errors),
    cmocka_unit_test(test_negotiation),     cmocka_unit_test(test_negotiation_failed),
    cmocka_unit_test(test_namesakes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
