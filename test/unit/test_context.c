/* kube/context.c: which documents are context, how they are found, which PriorityClass is the default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/json.h"
#include "kube/context.h"

static struct mg_arena arena;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, (size_t)4 << 20, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return 0;
}

static mg_node json(const char *text) {
  struct mg_doc *doc = MG_NEW(&arena, struct mg_doc);
  struct mg_read how = {.limits = {4096, 32, 256}};
  struct mg_err err = {0};
  if (mg_json_read(doc, &arena, mg_str_of(text), &how, &err)) fail_msg("%s: %s", text, err.text);
  return mg_root(doc);
}

static void add(struct mg_context *context, enum mg_context_kind kind, const char *text) {
  assert_int_equal(mg_context_add(context, &arena, kind, json(text)), 0);
}

static void test_kinds(void **state) {
  (void)state;
  static const struct {
    const char *api_version, *kind;
    int want;
  } rows[] = {
      {"v1", "Namespace", MG_CTX_NAMESPACE},
      {"v1", "LimitRange", MG_CTX_LIMIT_RANGE},
      {"v1", "ResourceQuota", MG_CTX_RESOURCE_QUOTA},
      {"scheduling.k8s.io/v1", "PriorityClass", MG_CTX_PRIORITY_CLASS},
      {"resource.k8s.io/v1", "ResourceClaim", MG_CTX_RESOURCE_CLAIM},
      {"resource.k8s.io/v1beta1", "ResourceClaimTemplate", MG_CTX_RESOURCE_CLAIM_TEMPLATE},
      {"resource.k8s.io/v1", "DeviceClass", MG_CTX_DEVICE_CLASS},
      {"v1", "PriorityClass", -1},
      {"v2", "Namespace", -1},
      {"apps/v1", "Namespace", -1},
      {"v1", "namespace", -1},
      {"v1", "Pod", -1},
      {"v1", "", -1},
      {"", "", -1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(mg_context_kind_of(mg_str_of(rows[i].api_version), mg_str_of(rows[i].kind)), rows[i].want);
  assert_true(mg_context_cluster_scoped(MG_CTX_NAMESPACE));
  assert_true(mg_context_cluster_scoped(MG_CTX_PRIORITY_CLASS));
  assert_true(mg_context_cluster_scoped(MG_CTX_DEVICE_CLASS));
  assert_false(mg_context_cluster_scoped(MG_CTX_LIMIT_RANGE));
  assert_false(mg_context_cluster_scoped(MG_CTX_RESOURCE_CLAIM));
}

static void test_find(void **state) {
  (void)state;
  struct mg_context context = {0};
  add(&context, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"one\"},\"is\":1}");
  add(&context, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"two\"},\"is\":2}");
  add(&context, MG_CTX_DEVICE_CLASS, "{\"metadata\":{\"name\":\"gpu\",\"namespace\":\"ignored\"},\"is\":3}");
  add(&context, MG_CTX_NAMESPACE, "{\"metadata\":5}");
  int64_t is = 0;
  assert_true(mg_int64(MG_GET(mg_context_find(&context, MG_CTX_LIMIT_RANGE, MG_S("two"), MG_S("a")), "is"), &is));
  assert_int_equal(is, 2);
  assert_true(mg_int64(MG_GET(mg_context_find(&context, MG_CTX_DEVICE_CLASS, MG_S("any"), MG_S("gpu")), "is"), &is));
  assert_int_equal(is, 3);
  assert_int_equal(mg_context_find(&context, MG_CTX_LIMIT_RANGE, MG_S(""), MG_S("a")).at, 0);
  assert_int_equal(mg_context_find(&context, MG_CTX_LIMIT_RANGE, MG_S("one"), MG_S("b")).at, 0);
  assert_int_equal(mg_context_find(&context, MG_CTX_RESOURCE_CLAIM, MG_S("one"), MG_S("a")).at, 0);
}

static void test_order(void **state) {
  (void)state;
  struct mg_context context = {0};
  for (int i = 0; i < 100; i++) {
    mg_str text = mg_arena_printf(&arena, "{\"metadata\":{\"name\":\"n%d\"}}", i);
    add(&context, MG_CTX_NAMESPACE, text.p);
  }
  int n = 0;
  for (const struct mg_context_object *o = context.first[MG_CTX_NAMESPACE]; o; o = o->next, n++)
    assert_true(mg_str_eq(o->name, mg_arena_printf(&arena, "n%d", n)));
  assert_int_equal(n, 100);
}

static void test_default_class(void **state) {
  (void)state;
  struct mg_context context = {0};
  mg_context_seal(&context);
  assert_int_equal(context.default_class.n, 0);
  add(&context, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"lowest\"},\"value\":-5}");
  add(&context, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"high\"},\"value\":9,\"globalDefault\":true}");
  add(&context, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"text\"},\"value\":1,\"globalDefault\":\"true\"}");
  add(&context, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"odd\"},\"value\":\"x\",\"globalDefault\":true}");
  mg_context_seal(&context);
  assert_true(mg_str_is(context.default_class, "high"));
  add(&context, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"low\"},\"value\":3,\"globalDefault\":true}");
  add(&context, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"same\"},\"value\":3,\"globalDefault\":true}");
  mg_context_seal(&context);
  assert_true(mg_str_is(context.default_class, "low"));
}

static void test_no_memory(void **state) {
  (void)state;
  struct mg_arena small;
  struct mg_context context = {0};
  mg_arena_init(&small, 1, 0);
  assert_int_equal(mg_context_add(&context, &small, MG_CTX_NAMESPACE, json("{}")), -1);
  assert_null(context.first[MG_CTX_NAMESPACE]);
  mg_arena_fini(&small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_find, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_default_class, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
