/* Limits as options: what contradicts itself is refused, what does not fit becomes less and is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

#include "app/limits.h"

#define MIB ((int64_t)1 << 20)

static char room[4096];
static struct mg_buf said;
static struct mg_err err;
static struct mg_http_options http;

static struct mg_serve_limits usual(void) {
  return (struct mg_serve_limits){
      .connections = {true, 1024}, .threads = {true, 0},   .body = {true, 8 * MIB}, .memory = {true, 32 * MIB},
      .handshake = {true, 5},      .head = {true, 5},      .reading = {true, 10},   .writing = {true, 5},
      .idle = {true, 120},         .age = {true, 1800},
  };
}

static int use(struct mg_serve_limits limits, struct mg_machine machine) {
  mg_buf_fini(&said);
  mg_buf_init(&said, NULL, sizeof room);
  http = mg_http_defaults();
  int code = mg_limits_use(&limits, &machine, &http, &said, &err);
  snprintf(room, sizeof room, "%.*s", (int)said.n, said.n ? said.p : "");
  return code;
}

static void test_defaults_say_nothing(void **state) {
  (void)state;
  assert_int_equal(use(usual(), (struct mg_machine){.memory = 256 * MIB, .descriptors = 4096}), 0);
  assert_string_equal(room, "");
  assert_int_equal(http.max_connections, 1024);
  assert_int_equal(http.handshake_ms, 5000);
  assert_int_equal(http.body_ms, 10000);
  assert_int_equal(http.body_budget, 24 * MIB);
  assert_int_equal(http.arena_budget, 40 * MIB);
}

static void test_contradictions(void **state) {
  struct mg_serve_limits limits = usual();
  (void)state;
  limits.body_budget = (struct mg_opt_int){true, 4 * MIB};
  assert_int_equal(use(limits, (struct mg_machine){0}), MG_E_USAGE);
  assert_string_equal(err.text, "--body-budget is less than --max-body");
  limits = usual();
  limits.memory_budget = (struct mg_opt_int){true, 4 * MIB};
  assert_int_equal(use(limits, (struct mg_machine){0}), MG_E_USAGE);
  assert_string_equal(err.text, "--memory-budget is less than --review-memory");
  limits = usual();
  limits.waiting = (struct mg_opt_int){true, 2000};
  assert_int_equal(use(limits, (struct mg_machine){0}), MG_E_USAGE);
  limits = usual();
  limits.age = (struct mg_opt_int){true, 60};
  assert_int_equal(use(limits, (struct mg_machine){0}), MG_E_USAGE);
  assert_string_equal(err.text, "--age-time is less than --idle-time");
}

static void test_short_idle_time_is_warned_of(void **state) {
  struct mg_serve_limits limits = usual();
  (void)state;
  limits.idle.value = 60;
  assert_int_equal(use(limits, (struct mg_machine){0}), 0);
  assert_string_equal(room, "--idle-time 60: an API server keeps idle connections for 90 s, and loses requests where it ends "
                            "later\n");
}

static void test_few_descriptors(void **state) {
  (void)state;
  assert_int_equal(use(usual(), (struct mg_machine){.descriptors = 256}), 0);
  assert_int_equal(http.max_connections, 128);
  assert_string_equal(room, "at most 128 connections instead of 1024, as only 256 files can be open\n");
  assert_int_equal(use(usual(), (struct mg_machine){.descriptors = 1152}), 0);
  assert_string_equal(room, "");
}

static void test_small_container(void **state) {
  struct mg_serve_limits limits = usual();
  (void)state;
  assert_int_equal(use(limits, (struct mg_machine){.memory = 100 * MIB}), 0);
  assert_int_equal(http.body_budget, (100 - 48) * MIB / 8 * 3);
  assert_int_equal(http.arena_budget, (100 - 48) * MIB / 8 * 5);
  assert_string_equal(room, "--body-budget 19Mi and --memory-budget 32Mi, so that the container's 100 MiB are enough\n");
  limits.body_budget = (struct mg_opt_int){true, 24 * MIB}; /* what was asked for stays */
  assert_int_equal(use(limits, (struct mg_machine){.memory = 100 * MIB}), 0);
  assert_int_equal(http.body_budget, 24 * MIB);
  assert_non_null(strstr(room, "the container has 100 MiB of memory, and reviews and connections may need 104"));
  assert_int_equal(use(usual(), (struct mg_machine){.memory = 64 * MIB}), 0);
  assert_int_equal(http.body_budget, 8 * MIB); /* one of the largest always fits */
  assert_int_equal(http.arena_budget, 32 * MIB);
  assert_non_null(strstr(room, "the container has 64 MiB"));
}

static void test_the_machine(void **state) {
  struct mg_machine machine = mg_machine_look();
  (void)state;
  assert_true(machine.descriptors > 0);
  assert_true(machine.memory >= 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults_say_nothing), cmocka_unit_test(test_contradictions),
      cmocka_unit_test(test_short_idle_time_is_warned_of), cmocka_unit_test(test_few_descriptors),
      cmocka_unit_test(test_small_container), cmocka_unit_test(test_the_machine),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  mg_buf_fini(&said);
  return failed;
}
