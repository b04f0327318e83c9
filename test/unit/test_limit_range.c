/* LimitRanges: reading, completing, sums of pods, bounds and their words, what Pods are given. The same is held against the API
 * server's own plugin by test/e2e/limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "doc/yaml.h"
#include "kube/quota.h"
#include "policy/snapshot.h"
#include "rules/rules.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

struct fixture {
  struct mg_arena arena;
  struct mg_snapshot *snapshot;
};

static int start(void **state) {
  static struct fixture f;
  struct mg_diags diags;
  struct mg_err err = {0};
  f = (struct fixture){0};
  mg_arena_init(&f.arena, (size_t)16 << 20, 0);
  mg_diags_init(&diags, &f.arena);
  *state = &f;
  return mg_snapshot_new(&f.snapshot, mg_rules, NULL, 0, &diags, &err);
}

static int stop(void **state) {
  struct fixture *f = *state;
  mg_snapshot_unref(f->snapshot);
  mg_arena_fini(&f->arena);
  return 0;
}

static mg_node read(struct fixture *f, const char *text) {
  struct mg_file_doc *doc = NULL;
  struct mg_err err = {0};
  struct mg_read how = {.limits = {1 << 20, 64, 10000}, .file = "test.yaml"};
  mg_str kept = mg_arena_dup(&f->arena, mg_str_of(text)); /* a doc borrows its text */
  if (mg_yaml_read(&doc, &f->arena, kept, &how, &err) != 0) fail_msg("%s: %s", text, err.text);
  return mg_root(&doc->doc);
}

/* The view of a Pod with this spec. */
static struct mg_pod *view(struct fixture *f, const char *spec, const struct mg_context *context, bool as_written) {
  static const struct mg_context empty;
  struct mg_workload *workload = NULL;
  char text[2048];
  snprintf(text, sizeof text, "{apiVersion: v1, kind: Pod, spec: %s}", spec);
  const struct mg_kind_row *row = mg_kind_find(&f->snapshot->kinds, MG_S(""), MG_S("v1"), MG_S("Pod"));
  struct mg_world world = {&f->snapshot->kinds, &f->snapshot->accelerators, context ? context : &empty, as_written};
  assert_int_equal(mg_workload_view(&world, &f->arena, row, read(f, text), MG_S("ml"), &workload), 0);
  assert_int_equal(workload->pod_count, 1);
  return workload->pods[0];
}

static struct mg_limit_range range_of(struct fixture *f, const char *limits, bool stored) {
  struct mg_limit_range range = {.ns = MG_S("ml"), .name = stored ? MG_S("sizes") : MG_S("")};
  char text[2048];
  snprintf(text, sizeof text, "{limits: %s}", limits);
  assert_true(mg_limit_range_read(&f->arena, read(f, text), &range));
  assert_true(mg_limit_range_complete(&f->arena, &range, stored));
  return range;
}

static const char *text_of(struct fixture *f, struct mg_ask ask) {
  if (ask.state == MG_AMOUNT_NONE) return "none";
  if (ask.state == MG_AMOUNT_UNREADABLE) return "unreadable";
  return mg_quantity_print(&f->arena, ask.q).p;
}

#define CPU(name, amounts) "{name: " name ", resources: {" amounts "}}"

static void sums(void **state) {
  static const struct {
    const char *spec, *limit, *request; /* of cpu */
  } cases[] = {
      {"{containers: [{name: a}]}", "none", "none"},
      {"{containers: [" CPU("a", "limits: {cpu: 1}") "]}", "1", "1"},
      {"{containers: [" CPU("a", "limits: {cpu: 1}, requests: {cpu: 100m}") ", " CPU("b", "requests: {cpu: 0.5}") "]}", "1",
       "600m"},
      {"{containers: [" CPU("a", "limits: {cpu: 0.0001}") ", " CPU("b", "limits: {cpu: 0.0001}") "]}", "2m", "2m"},
      /* an init container alone, beside the sidecars before it only */
      {"{initContainers: [" CPU("i", "limits: {cpu: 5}") "], containers: [" CPU("a", "limits: {cpu: 2}") "]}", "5", "5"},
      {"{initContainers: [{name: s, restartPolicy: Always, resources: {limits: {cpu: 2}}}, " CPU("i", "limits: {cpu: 5}")
       "], containers: [" CPU("a", "limits: {cpu: 1}") "]}",
       "7", "7"},
      {"{initContainers: [" CPU("i", "limits: {cpu: 5}") ", {name: s, restartPolicy: Always, resources: {limits: {cpu: 2}}}"
       "], containers: [" CPU("a", "limits: {cpu: 1}") "]}",
       "5", "5"},
      {"{initContainers: [{name: s, restartPolicy: Always, resources: {limits: {cpu: 2}}}], containers: [{name: a}]}", "2", "2"},
      {"{ephemeralContainers: [" CPU("e", "limits: {cpu: 9}") "], containers: [{name: a}]}", "none", "none"},
      /* the pod's own */
      {"{resources: {limits: {cpu: 3}}, containers: [{name: a}]}", "3", "3"},
      {"{resources: {limits: {cpu: 3}}, containers: [" CPU("a", "requests: {cpu: 1}") "]}", "3", "1"},
      {"{resources: {limits: {memory: 1Gi}}, containers: [" CPU("a", "requests: {cpu: 1}") "]}", "none", "1"},
      {"{resources: {requests: {cpu: 2}}, containers: [" CPU("a", "limits: {cpu: 4}") "]}", "4", "2"},
      /* what cannot be read spoils the sum */
      {"{containers: [" CPU("a", "limits: {cpu: $CPU}") ", " CPU("b", "limits: {cpu: 1}") "]}", "unreadable", "unreadable"},
      {"{containers: [" CPU("a", "limits: {cpu: null}") "]}", "unreadable", "unreadable"},
      {"{containers: [" CPU("a", "limits: [1]") "]}", "none", "none"},
      {"{containers: {a: 1}, resources: 7}", "none", "none"},
  };
  struct fixture *f = *state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    const struct mg_pod *pod = view(f, cases[i].spec, NULL, false);
    const char *limit = text_of(f, mg_pod_ask(NULL, pod, MG_SIDE_LIMIT, MG_S("cpu")));
    const char *request = text_of(f, mg_pod_ask(NULL, pod, MG_SIDE_REQUEST, MG_S("cpu")));
    if (strcmp(limit, cases[i].limit) != 0 || strcmp(request, cases[i].request) != 0)
      fail_msg("%s: limit %s, request %s", cases[i].spec, limit, request);
  }
}

struct said {
  struct fixture *f;
  struct mg_buf out;
};

static void say(void *ctx, const struct mg_breach *b) {
  struct said *said = ctx;
  if (said->out.n) mg_buf_lit(&said->out, "; ");
  mg_buf_put(&said->out, mg_breach_text(&said->f->arena, b));
}

static void bounds(void **state) {
  static const struct {
    const char *limits, *container, *want;
    bool inline_;
  } cases[] = {
      {"[{type: Container, max: {memory: 1Gi}}]", "limits: {memory: 1024Mi}", "", false},
      {"[{type: Container, max: {memory: 1Gi}}]", "limits: {memory: 1.5Gi}",
       "maximum memory usage per Container is 1Gi, but limit is 1536Mi", false},
      {"[{type: Container, max: {memory: 1Gi}}]", "requests: {memory: 2Gi}",
       "maximum memory usage per Container is 1Gi.  No limit is specified", false},
      {"[{type: Container, max: {cpu: 1}}]", "limits: {cpu: 1}, requests: {cpu: 1001m}",
       "maximum cpu usage per Container is 1, but request is 1001m", false},
      {"[{type: Container, min: {cpu: 100m}}]", "limits: {memory: 1Gi}",
       "minimum cpu usage per Container is 100m.  No request is specified", false},
      {"[{type: Container, min: {cpu: 100m}}]", "limits: {cpu: 50m}, requests: {cpu: 100m}",
       "minimum cpu usage per Container is 100m, but limit is 50m", false},
      {"[{type: Container, min: {cpu: 100m}}]", "limits: {cpu: 50m}",
       "minimum cpu usage per Container is 100m, but request is 50m", false},
      {"[{type: Container, maxLimitRequestRatio: {cpu: 1.5}}]", "limits: {cpu: 3}, requests: {cpu: 2}", "", false},
      {"[{type: Container, maxLimitRequestRatio: {cpu: 1.5}}]", "limits: {cpu: 3001m}, requests: {cpu: 2}",
       "cpu max limit to request ratio per Container is 1500m, but provided ratio is 1.500500", false},
      {"[{type: Container, maxLimitRequestRatio: {cpu: 2}}]", "requests: {cpu: 1}",
       "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0", false},
      {"[{type: Pod, max: {memory: 1Gi}}]", "limits: {memory: 2Gi}", "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
       false},
      /* whole units where thousandths would not fit */
      {"[{type: Container, max: {memory: 10P}}]", "limits: {memory: 10000000000000000500m}",
       "maximum memory usage per Container is 10P, but limit is 10000000000000000500m", false},
      {"[{type: Container, max: {memory: 10P}}]", "limits: {memory: 10P}", "", false},
      {"[{type: Container, max: {memory: 1Gi}}]", "limits: {memory: 100E}",
       "maximum memory usage per Container is 1Gi, but limit is 100E", false},
      {"[{type: Container, max: {memory: 1Gi}}]", "limits: {memory: lots}", "", false},
      /* devices */
      {"[{type: Container, max: {nvidia.com/gpu: 1}}]", "limits: {cpu: 1}",
       "maximum nvidia.com/gpu usage per Container is 1.  No limit is specified", false},
      {"[{type: Container, max: {nvidia.com/gpu: 1}, maxLimitRequestRatio: {nvidia.com/gpu: 1}}]", "limits: {cpu: 1}", "", true},
      {"[{type: Container, min: {nvidia.com/gpu: 1}}]", "limits: {cpu: 1}",
       "minimum nvidia.com/gpu usage per Container is 1, but request is 0", true},
      /* claims are another's business; what cannot be read is left out */
      {"[{type: PersistentVolumeClaim, max: {storage: 1Gi}}, {type: Node, max: {cpu: 1}}, 7]", "limits: {cpu: 4}", "", false},
      {"[{type: Container, max: {cpu: many}, min: [1]}]", "limits: {cpu: 4}", "", false},
  };
  struct fixture *f = *state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    char spec[1024];
    struct said said = {.f = f};
    mg_buf_init(&said.out, &f->arena, 4096);
    snprintf(spec, sizeof spec, "{containers: [{name: a, resources: {%s}}]}", cases[i].container);
    const struct mg_limit_range range = range_of(f, cases[i].limits, !cases[i].inline_);
    const struct mg_limit_ranges ranges = {&range, 1};
    mg_limit_check(&ranges, NULL, view(f, spec, NULL, false), say, &said);
    mg_str got = mg_buf_str(&said.out);
    if (!mg_str_is(got, cases[i].want)) fail_msg("%s, %s: %.*s", cases[i].limits, cases[i].container, MG_FMT(got));
  }
}

/* "limit/request" of each default. */
static void check_default(struct fixture *f, const char *limits, bool stored, const char *resource, const char *limit,
                          const char *request) {
  const struct mg_limit_range range = range_of(f, limits, stored);
  const struct mg_limit_ranges ranges = {&range, 1};
  const char *const wants[] = {limit, request};
  for (int side = MG_SIDE_LIMIT; side <= MG_SIDE_REQUEST; side++) {
    const struct mg_resource *r = mg_limit_default(&ranges, (enum mg_side)side, mg_str_of(resource), NULL);
    mg_str got = r ? mg_resource_text(&f->arena, r) : MG_S("none");
    if (!mg_str_is(got, wants[side])) fail_msg("%s: %s of %s is %.*s", limits, mg_side_words[side], resource, MG_FMT(got));
  }
}

static void defaults(void **state) {
  struct fixture *f = *state;
  check_default(f, "[{type: Container, max: {cpu: 4}}]", true, "cpu", "4", "4");
  check_default(f, "[{type: Container, max: {cpu: 4}, default: {cpu: 2}}]", true, "cpu", "2", "2");
  check_default(f, "[{type: Container, max: {cpu: 4}, defaultRequest: {cpu: 1}}]", true, "cpu", "4", "1");
  check_default(f, "[{type: Container, min: {cpu: 100m}}]", true, "cpu", "none", "100m");
  check_default(f, "[{type: Container, min: {cpu: 100m}, default: {cpu: 1}}]", true, "cpu", "1", "1");
  check_default(f, "[{type: Pod, max: {cpu: 4}, min: {cpu: 1}}]", true, "cpu", "none", "none");
  check_default(f, "[{type: Container, max: {nvidia.com/gpu: 4}}]", true, "nvidia.com/gpu", "4", "4");
  check_default(f, "[{type: Container, max: {nvidia.com/gpu: 4}, min: {nvidia.com/gpu: 1}}]", false, "nvidia.com/gpu",
                "none", "none");
  check_default(f, "[{type: Container, default: {nvidia.com/gpu: 1}}]", false, "nvidia.com/gpu", "1", "1");
  check_default(f, "[{type: Container, max: {cpu: 4}}]", false, "cpu", "4", "4");
}

static void extended(void **state) {
  (void)state;
  assert_true(mg_resource_is_extended(MG_S("nvidia.com/gpu")));
  assert_false(mg_resource_is_extended(MG_S("cpu")));
  assert_false(mg_resource_is_extended(MG_S("hugepages-2Mi")));
  assert_false(mg_resource_is_extended(MG_S("foo.kubernetes.io/x")));
  assert_false(mg_resource_is_extended(MG_S("requests.nvidia.com/gpu")));
}

static void givers(void **state) {
  static const struct {
    const char *limits, *want; /* the resource */
  } cases[] = {
      {"[{type: Container, max: {cpu: 4, nvidia.com/gpu: 4}}]", "nvidia.com/gpu"},
      {"[{type: Container, max: {nvidia.com/gpu: 4}, default: {nvidia.com/gpu: 4}}]", "nvidia.com/gpu"},
      {"[{type: Container, max: {nvidia.com/gpu: 4}, default: {nvidia.com/gpu: 0}}]", ""},
      {"[{type: Container, max: {nvidia.com/gpu: 4}, default: {nvidia.com/gpu: 1}}]", ""},
      {"[{type: Container, max: {nvidia.com/gpu: 0}}]", ""},
      {"[{type: Pod, max: {nvidia.com/gpu: 4}}]", ""},
      {"[{type: Container, max: {cpu: 4, example.com/licence: 1}}]", ""},
      {"{a: 1}", ""},
  };
  struct fixture *f = *state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    char text[512];
    snprintf(text, sizeof text, "{spec: {limits: %s}}", cases[i].limits);
    mg_node max = mg_limit_range_gives(read(f, text), &f->snapshot->accelerators, &f->arena);
    if (!mg_str_is(mg_text(mg_key_of(max)), cases[i].want)) fail_msg("%s: %.*s", text, MG_FMT(mg_text(mg_key_of(max))));
  }
}

/* A Pod that is yet to pass the API server has the amounts that it will get, at the places where they will stand. */
static void given(void **state) {
  struct fixture *f = *state;
  struct mg_context *context = mg_context_new();
  const char *text = "{apiVersion: v1, kind: LimitRange, metadata: {name: sizes, namespace: ml}, "
                     "spec: {limits: [{type: Container, max: {memory: 8Gi, nvidia.com/gpu: 2}, defaultRequest: {memory: 1Gi}}]}}";
  assert_non_null(context);
  assert_int_equal(mg_context_add(context, &f->arena, MG_CTX_LIMIT_RANGE, read(f, text)), 0);
  assert_int_equal(mg_context_seal(context), 0);
  const char *spec = "{containers: [{name: a}, {name: b, resources: {limits: {memory: 2Gi, nvidia.com/gpu: 1}}}]}";
  assert_int_equal(view(f, spec, context, false)->devices, 1);
  struct mg_pod *pod = view(f, spec, context, true);
  assert_int_equal(pod->devices, 3);
  const struct mg_amount *memory = mg_container_amount(&pod->containers[0], MG_S("memory"));
  assert_non_null(memory);
  assert_true(memory->limit_q.nano == mg_quantity_times(mg_quantity_of((int64_t)8 << 30, MG_BINARY_SI), 1).nano);
  assert_true(memory->request_q.nano == mg_quantity_of(1 << 30, MG_BINARY_SI).nano);
  mg_str path = mg_path(&f->arena, pod->object, memory->limit);
  if (!mg_str_is(path, "spec.containers[0].resources.limits.memory")) fail_msg("%.*s", MG_FMT(path));
  assert_false(MG_GET(pod->containers[0].node, "resources").at);
  memory = mg_container_amount(&pod->containers[1], MG_S("memory"));
  assert_true(memory->limit_q.nano == mg_quantity_of((int64_t)2 << 30, MG_BINARY_SI).nano);
  assert_int_equal(memory->request_state, MG_AMOUNT_NONE);
  mg_context_unref(context);
}

static void quota_keys(void **state) {
  static const struct {
    const char *key, *want;
  } cases[] = {
      {"cpu", "2"},          {"requests.cpu", "2"},  {"limits.cpu", "3"},          {"requests.nvidia.com/gpu", "1"},
      {"memory", "none"},    {"pods", "1"},          {"count/pods", "1"},          {"limits.nvidia.com/gpu", "none"},
      {"nvidia.com/gpu", "none"}, {"hugepages-2Mi", "2Mi"}, {"requests.hugepages-2Mi", "2Mi"}, {"limits.hugepages-2Mi", "none"},
      {"services", "none"},
  };
  struct fixture *f = *state;
  const struct mg_pod *pod = view(f,
                                  "{containers: [{name: a, resources: {limits: {cpu: 3, nvidia.com/gpu: 1, hugepages-2Mi: 2Mi}, "
                                  "requests: {cpu: 2}}}]}",
                                  NULL, false);
  for (size_t i = 0; i < COUNT(cases); i++) {
    const char *got = text_of(f, mg_quota_ask(NULL, pod, mg_str_of(cases[i].key)));
    if (strcmp(got, cases[i].want) != 0) fail_msg("%s: %s", cases[i].key, got);
  }
}

static void quota_counts(void **state) {
  static const struct {
    const char *group, *kind, *key;
    bool want;
  } cases[] = {
      {"batch", "Job", "count/jobs.batch", true},
      {"batch", "Job", "count/jobs", false},
      {"apps", "Deployment", "count/deployments.apps", true},
      {"serving.kserve.io", "InferenceService", "count/inferenceservices.serving.kserve.io", true},
      {"example.com", "Policy", "count/policies.example.com", true},
      {"example.com", "Class", "count/classes.example.com", true},
      {"", "ReplicationController", "count/replicationcontrollers", true},
      {"", "Pod", "count/pods", false},
      {"batch", "Job", "jobs.batch", false},
      {"batch", "", "count/s.batch", false},
  };
  struct mg_quota quota = {0};
  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct mg_kind_row row = {.group = mg_str_of(cases[i].group), .kind = mg_str_of(cases[i].kind)};
    if (mg_quota_counts(&quota, &row, mg_str_of(cases[i].key)) != cases[i].want) fail_msg("%s %s", cases[i].kind, cases[i].key);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(sums, start, stop),     cmocka_unit_test_setup_teardown(bounds, start, stop),
      cmocka_unit_test_setup_teardown(defaults, start, stop), cmocka_unit_test(extended),
      cmocka_unit_test_setup_teardown(givers, start, stop),   cmocka_unit_test_setup_teardown(given, start, stop),
      cmocka_unit_test_setup_teardown(quota_keys, start, stop), cmocka_unit_test(quota_counts),
  };
  return cmocka_run_group_tests_name("limit_range", tests, NULL, NULL);
}
