/* kube/edit.c: each edit changes the doc at once, and its patch is what the API server can apply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/json.h"
#include "kube/edit.h"

struct scene {
  struct mg_arena arena;
  struct mg_doc doc;
  struct mg_patch patch;
  struct mg_pod pod;
  struct mg_container container;
};

static int set_up(void **state) {
  static struct scene scene;
  scene = (struct scene){0};
  mg_arena_init(&scene.arena, (size_t)1 << 20, 0);
  *state = &scene;
  return 0;
}

static int tear_down(void **state) {
  struct scene *s = *state;
  mg_arena_fini(&s->arena);
  return 0;
}

static mg_node json(struct scene *s, struct mg_doc *doc, const char *text) {
  struct mg_read how = {.limits = {4096, 32, 256}};
  struct mg_err err = {0};
  if (mg_json_read(doc, &s->arena, mg_str_of(text), &how, &err)) fail_msg("%s: %s", text, err.text);
  return mg_root(doc);
}

/* A Pod whose spec is given. */
static void start(struct scene *s, const char *spec) {
  mg_node root = json(s, &s->doc, mg_arena_printf(&s->arena, "{\"spec\":%s}", spec).p);
  mg_patch_init(&s->patch, &s->arena, root);
  s->pod = (struct mg_pod){.object = root, .node = root, .spec = MG_GET(root, "spec"), .arena = &s->arena};
  s->container.node = mg_item(MG_GET(s->pod.spec, "containers"), 0);
}

static void expect(struct scene *s, const char *spec, const char *patch, uint32_t edits) {
  struct mg_buf out;
  mg_buf_init(&out, &s->arena, 65536);
  mg_json_write(&out, s->pod.spec);
  assert_string_equal(mg_arena_dup(&s->arena, mg_buf_str(&out)).p, spec);
  mg_buf_init(&out, &s->arena, 65536);
  mg_patch_write(&out, &s->patch);
  assert_string_equal(mg_arena_dup(&s->arena, mg_buf_str(&out)).p, patch);
  assert_int_equal(s->pod.version, edits);
}

static void test_toleration(void **state) {
  struct scene *s = *state;
  struct mg_doc policy;
  mg_node spot = json(s, &policy, "{\"key\":\"spot\"}");
  start(s, "{}");
  mg_pod_add_toleration(&s->pod, &s->patch, spot, UINT32_MAX);
  mg_pod_add_toleration(&s->pod, &s->patch, spot, 0);
  expect(s, "{\"tolerations\":[{\"key\":\"spot\"},{\"key\":\"spot\"}]}",
         "[{\"op\":\"add\",\"path\":\"/spec/tolerations\",\"value\":[{\"key\":\"spot\"},{\"key\":\"spot\"}]}]", 2);
  start(s, "{\"tolerations\":[{\"key\":\"a\"},{\"key\":\"b\"}]}");
  mg_pod_add_toleration(&s->pod, &s->patch, spot, 1);
  mg_pod_add_toleration(&s->pod, &s->patch, spot, 99);
  expect(s, "{\"tolerations\":[{\"key\":\"a\"},{\"key\":\"spot\"},{\"key\":\"b\"},{\"key\":\"spot\"}]}",
         "[{\"op\":\"add\",\"path\":\"/spec/tolerations/1\",\"value\":{\"key\":\"spot\"}},"
         "{\"op\":\"add\",\"path\":\"/spec/tolerations/-\",\"value\":{\"key\":\"spot\"}}]",
         2);
}

static void test_node_label(void **state) {
  struct scene *s = *state;
  start(s, "{\"nodeSelector\":null}");
  mg_pod_set_node_label(&s->pod, &s->patch, MG_S("nvidia.com/gpu.present"), MG_S("true"));
  expect(s, "{\"nodeSelector\":{\"nvidia.com/gpu.present\":\"true\"}}",
         "[{\"op\":\"replace\",\"path\":\"/spec/nodeSelector\",\"value\":{\"nvidia.com/gpu.present\":\"true\"}}]", 1);
  start(s, "{\"nodeSelector\":{\"a\":\"b\"}}");
  mg_pod_set_node_label(&s->pod, &s->patch, MG_S("x/y~z"), MG_S("1"));
  expect(s, "{\"nodeSelector\":{\"a\":\"b\",\"x/y~z\":\"1\"}}",
         "[{\"op\":\"add\",\"path\":\"/spec/nodeSelector/x~1y~0z\",\"value\":\"1\"}]", 1);
}

static void test_constraint(void **state) {
  struct scene *s = *state;
  struct mg_doc policy;
  mg_node zone = json(s, &policy, "{\"topologyKey\":\"zone\"}");
  start(s, "{\"topologySpreadConstraints\":[{\"topologyKey\":\"rack\"}]}");
  mg_pod_add_constraint(&s->pod, &s->patch, zone, 0);
  mg_pod_add_constraint(&s->pod, &s->patch, zone, UINT32_MAX);
  expect(s, "{\"topologySpreadConstraints\":[{\"topologyKey\":\"zone\"},{\"topologyKey\":\"rack\"},{\"topologyKey\":\"zone\"}]}",
         "[{\"op\":\"add\",\"path\":\"/spec/topologySpreadConstraints/0\",\"value\":{\"topologyKey\":\"zone\"}},"
         "{\"op\":\"add\",\"path\":\"/spec/topologySpreadConstraints/-\",\"value\":{\"topologyKey\":\"zone\"}}]",
         2);
}

static void test_env(void **state) {
  struct scene *s = *state;
  start(s, "{\"containers\":[{\"env\":null}]}");
  mg_container_add_env(&s->pod, &s->patch, &s->container, MG_S("A"), MG_S("1"), UINT32_MAX);
  mg_container_add_env(&s->pod, &s->patch, &s->container, MG_S("B"), MG_S(""), 0);
  expect(s, "{\"containers\":[{\"env\":[{\"name\":\"B\",\"value\":\"\"},{\"name\":\"A\",\"value\":\"1\"}]}]}",
         "[{\"op\":\"replace\",\"path\":\"/spec/containers/0/env\","
         "\"value\":[{\"name\":\"B\",\"value\":\"\"},{\"name\":\"A\",\"value\":\"1\"}]}]",
         2);
}

static void test_place(void **state) {
  struct scene *s = *state;
  start(s, "{\"a\":null,\"n\":1}");
  struct mg_place inside = {.object = s->pod.spec, .keys = {MG_S("a"), MG_S("b"), MG_S("c")}};
  struct mg_place here = {.object = s->pod.spec, .keys = {MG_S("n")}};
  struct mg_place blocked = {.object = s->pod.spec, .keys = {MG_S("n"), MG_S("b")}};
  mg_place_set(&s->patch, &inside, mg_make_text(&s->doc, MG_NUMBER, MG_S("3")));
  mg_place_set(&s->patch, &here, mg_make_text(&s->doc, MG_NUMBER, MG_S("2")));
  mg_place_set(&s->patch, &blocked, mg_make_text(&s->doc, MG_NUMBER, MG_S("4")));
  expect(s, "{\"a\":{\"b\":{\"c\":3}},\"n\":2}",
         "[{\"op\":\"replace\",\"path\":\"/spec/a\",\"value\":{\"b\":{\"c\":3}}},"
         "{\"op\":\"replace\",\"path\":\"/spec/n\",\"value\":2}]",
         0);
}

static void test_field(void **state) {
  struct scene *s = *state;
  start(s, "{\"priority\":7}");
  mg_pod_set_field(&s->pod, &s->patch, MG_S("priorityClassName"), mg_make_text(&s->doc, MG_STRING, MG_S("low")));
  mg_pod_set_field(&s->pod, &s->patch, MG_S("priority"), (mg_node){0});
  mg_pod_set_field(&s->pod, &s->patch, MG_S("preemptionPolicy"), (mg_node){0});
  expect(s, "{\"priorityClassName\":\"low\"}",
         "[{\"op\":\"add\",\"path\":\"/spec/priorityClassName\",\"value\":\"low\"},"
         "{\"op\":\"remove\",\"path\":\"/spec/priority\"}]",
         2);
}

static void test_volume_and_mount(void **state) {
  struct scene *s = *state;
  start(s, "{\"containers\":[{\"name\":\"a\"}],\"volumes\":[{\"name\":\"v\"}]}");
  mg_pod_add_memory_volume(&s->pod, &s->patch, MG_S("dshm"), MG_S("1Gi"), UINT32_MAX);
  mg_container_add_mount(&s->pod, &s->patch, &s->container, MG_S("dshm"), MG_S("/dev/shm"), UINT32_MAX);
  expect(s,
         "{\"containers\":[{\"name\":\"a\",\"volumeMounts\":[{\"name\":\"dshm\",\"mountPath\":\"/dev/shm\"}]}],"
         "\"volumes\":[{\"name\":\"v\"},{\"name\":\"dshm\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"1Gi\"}}]}",
         "[{\"op\":\"add\",\"path\":\"/spec/volumes/-\",\"value\":{\"name\":\"dshm\",\"emptyDir\":{\"medium\":\"Memory\","
         "\"sizeLimit\":\"1Gi\"}}},{\"op\":\"add\",\"path\":\"/spec/containers/0/volumeMounts\","
         "\"value\":[{\"name\":\"dshm\",\"mountPath\":\"/dev/shm\"}]}]",
         2);
  start(s, "{}");
  mg_pod_add_memory_volume(&s->pod, &s->patch, MG_S("dshm"), (mg_str){0}, UINT32_MAX);
  expect(s, "{\"volumes\":[{\"name\":\"dshm\",\"emptyDir\":{\"medium\":\"Memory\"}}]}",
         "[{\"op\":\"add\",\"path\":\"/spec/volumes\",\"value\":[{\"name\":\"dshm\",\"emptyDir\":{\"medium\":\"Memory\"}}]}]", 1);
}

/* Where the shape is odd nothing happens: the API server refuses the object anyway. */
static void test_odd(void **state) {
  struct scene *s = *state;
  static const char spec[] = "{\"containers\":[{\"volumeMounts\":{}}],\"volumes\":\"x\",\"tolerations\":{},\"nodeSelector\":[]}";
  start(s, spec);
  mg_pod_add_toleration(&s->pod, &s->patch, s->pod.object, UINT32_MAX);
  mg_pod_set_node_label(&s->pod, &s->patch, MG_S("a"), MG_S("b"));
  mg_pod_add_memory_volume(&s->pod, &s->patch, MG_S("v"), MG_S("1Mi"), UINT32_MAX);
  mg_container_add_mount(&s->pod, &s->patch, &s->container, MG_S("v"), MG_S("/v"), UINT32_MAX);
  expect(s, spec, "[]", 0);
  start(s, "7");
  mg_pod_set_field(&s->pod, &s->patch, MG_S("a"), mg_make_text(&s->doc, MG_STRING, MG_S("b")));
  mg_pod_add_memory_volume(&s->pod, &s->patch, MG_S("v"), (mg_str){0}, UINT32_MAX);
  expect(s, "7", "[]", 0);
}

/* What lies above the edit is made once, by the first one. */
static void test_branches(void **state) {
  struct scene *s = *state;
  struct mg_doc policy;
  mg_node item = json(s, &policy, "{\"name\":\"A\"}");
  start(s, "{\"containers\":[{\"env\":null}]}");
  struct mg_branch root = {.kind = MG_OBJECT, .node = s->pod.spec}, c = {.kind = MG_OBJECT, .node = s->container.node};
  struct mg_branch context = mg_branch_below(&root, MG_S("securityContext"), MG_OBJECT);
  struct mg_branch add = mg_branch_below(&context, MG_S("sysctls"), MG_ARRAY), env = mg_branch_below(&c, MG_S("env"), MG_ARRAY);
  assert_true(mg_branch_is_open(&add) && mg_branch_is_open(&env));
  mg_branch_insert(&s->pod, &s->patch, &add, item, UINT32_MAX);
  mg_branch_insert(&s->pod, &s->patch, &add, MG_GET(item, "name"), 0);
  mg_branch_set(&s->pod, &s->patch, &context, MG_S("fsGroup"), mg_make_text(&s->doc, MG_NUMBER, MG_S("1")));
  mg_branch_insert(&s->pod, &s->patch, &env, item, UINT32_MAX);
  expect(s,
         "{\"containers\":[{\"env\":[{\"name\":\"A\"}]}],"
         "\"securityContext\":{\"sysctls\":[\"A\",{\"name\":\"A\"}],\"fsGroup\":1}}",
         "[{\"op\":\"add\",\"path\":\"/spec/securityContext\","
         "\"value\":{\"sysctls\":[\"A\",{\"name\":\"A\"}],\"fsGroup\":1}},"
         "{\"op\":\"replace\",\"path\":\"/spec/containers/0/env\",\"value\":[{\"name\":\"A\"}]}]",
         4);
}

static void test_closed_branches(void **state) {
  struct scene *s = *state;
  start(s, "{\"volumes\":{},\"securityContext\":\"none\"}");
  struct mg_branch root = {.kind = MG_OBJECT, .node = s->pod.spec};
  struct mg_branch volumes = mg_branch_below(&root, MG_S("volumes"), MG_ARRAY);
  struct mg_branch context = mg_branch_below(&root, MG_S("securityContext"), MG_OBJECT);
  struct mg_branch below = mg_branch_below(&context, MG_S("capabilities"), MG_OBJECT);
  assert_false(mg_branch_is_open(&volumes) || mg_branch_is_open(&context) || mg_branch_is_open(&below));
  mg_branch_insert(&s->pod, &s->patch, &volumes, s->pod.spec, 0);
  mg_branch_set(&s->pod, &s->patch, &below, MG_S("a"), mg_make(&s->doc, MG_OBJECT));
  expect(s, "{\"volumes\":{},\"securityContext\":\"none\"}", "[]", 0);
}

static void test_may_set(void **state) {
  struct scene *s = *state;
  mg_str without[] = {MG_S("priorityClassName"), MG_S("metadata")};
  struct mg_kind_row kind = {.without = {without, 2}};
  start(s, "{}");
  assert_true(mg_pod_may_set(&s->pod, MG_S("priorityClassName")));
  s->pod.kind = &kind;
  assert_false(mg_pod_may_set(&s->pod, MG_S("priorityClassName")));
  assert_false(mg_pod_may_set(&s->pod, MG_S("metadata")));
  assert_true(mg_pod_may_set(&s->pod, MG_S("priority")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_toleration, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_node_label, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_constraint, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_env, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_field, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_volume_and_mount, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_odd, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_branches, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_closed_branches, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_may_set, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
