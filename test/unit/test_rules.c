/* rules/: what is warned of when policies are loaded. */
#include "scene.h"

/* Loads without an error; `want` is all that is said, "" where nothing is. */
static void expect_said(const char *rule, const char *match, const char *want) {
  struct mg_arena arena;
  char policy[1024];
  mg_str said;
  snprintf(policy, sizeof policy, "%s  match: {%s}\n  rules:\n  - %s\n", POLICY("p", ""), match, rule);
  struct mg_source source = {.path = "p.yaml", .text = mg_str_of(policy), .copy = true};
  mg_arena_init(&arena, (size_t)16 << 20, 0);
  struct mg_snapshot *snapshot = scene_try(mg_rules, &source, 1, &arena, &said);
  if (!snapshot) fail_msg("%s: %.*s", rule, MG_FMT(said));
  if (want[0] ? !mg_str_has(said, mg_str_of(want)) : said.n != 0) fail_msg("%s: %.*s", rule, MG_FMT(said));
  mg_snapshot_unref(snapshot);
  mg_arena_fini(&arena);
}

/* A Job that does not say has 6 in the cluster, where a file has nothing. */
static void test_job_limits(void **state) {
  (void)state;
  expect_said("jobLimits: {backoffLimit: {max: 5}}", "",
              "p.yaml:9:37: warning: the API server gives a Job that does not say a backoffLimit of 6, which is above it");
  expect_said("jobLimits: {backoffLimit: {max: 6}}", "", "");
  expect_said("jobLimits: {backoffLimit: {default: 2, max: 5}}", "", "");
  expect_said("jobLimits: {activeDeadlineSeconds: {max: 5}}", "", "");
}

static void test_runtime_class(void **state) {
  (void)state;
  expect_said("runtimeClass: {name: nvidia}", "",
              "p.yaml:9:26: warning: \"nvidia\" shows devices, also to templates that ask for none");
  expect_said("runtimeClass: {name: nvidia}", "accelerators: false", "");
  expect_said("runtimeClass: {name: nvidia}", "accelerators: true", "");
  expect_said("runtimeClass: {name: nvidia, forAccelerators: true}", "", "");
  expect_said("runtimeClass: {name: gvisor}", "", "");
  expect_said("runtimeClass: {name: gvisor, allowed: [kata]}", "",
              "p.yaml:9:26: warning: \"gvisor\" is none of \"allowed\", so that what this rule sets it also judges");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_job_limits),
      cmocka_unit_test(test_runtime_class),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
