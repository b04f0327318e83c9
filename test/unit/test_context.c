/* kube/context.c: which documents are context, how they are found, which PriorityClass is the default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/json.h"
#include "kube/context.h"
#include "unit/scratch.h"

static void add(struct mg_context *context, enum mg_context_kind kind, const char *text) {
  assert_int_equal(mg_context_add(context, &arena, kind, json(text)), 0);
}

static struct mg_context_object *object(enum mg_context_kind kind, const char *text) {
  struct mg_context_object *o = NULL;
  struct mg_err err = {0};
  if (mg_context_object_new(&o, kind, json(text), &err)) fail_msg("%s: %s", text, err.text);
  return o;
}

/* Of one object's `is`; -1: not there. */
static int64_t is(const struct mg_context *context, enum mg_context_kind kind, const char *ns, const char *name) {
  int64_t n = -1;
  mg_node found = mg_context_find(context, kind, mg_str_of(ns), mg_str_of(name));
  if (found.at && !mg_int64(MG_GET(found, "is"), &n)) fail_msg("%s/%s without a number", ns, name);
  return n;
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
  assert_true(mg_context_cluster_scoped(MG_CTX_NAMESPACE) && mg_context_cluster_scoped(MG_CTX_DEVICE_CLASS));
  assert_false(mg_context_cluster_scoped(MG_CTX_LIMIT_RANGE) || mg_context_cluster_scoped(MG_CTX_RESOURCE_CLAIM));
}

static void test_find(void **state) {
  (void)state;
  struct mg_context *c = mg_context_new();
  add(c, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"two\"},\"is\":2}");
  add(c, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"one\"},\"is\":1}");
  add(c, MG_CTX_DEVICE_CLASS, "{\"metadata\":{\"name\":\"gpu\",\"namespace\":\"ignored\"},\"is\":3}");
  add(c, MG_CTX_NAMESPACE, "{\"metadata\":5}");
  assert_int_equal(mg_context_seal(c), 0);
  assert_int_equal(is(c, MG_CTX_LIMIT_RANGE, "one", "a"), 1);
  assert_int_equal(is(c, MG_CTX_LIMIT_RANGE, "two", "a"), 2);
  assert_int_equal(is(c, MG_CTX_DEVICE_CLASS, "any", "gpu"), 3);
  assert_int_equal(is(c, MG_CTX_LIMIT_RANGE, "", "a"), -1);
  assert_int_equal(is(c, MG_CTX_LIMIT_RANGE, "one", "b"), -1);
  assert_int_equal(is(c, MG_CTX_RESOURCE_CLAIM, "one", "a"), -1);
  mg_context_unref(c);
}

/* Many namespaces with some objects each: every one is found, every list is whole and sorted, and none has another's. */
static void test_many(void **state) {
  (void)state;
  enum { SPACES = 500, EACH = 7 };
  struct mg_context *c = mg_context_new();
  struct mg_context_object *items[SPACES * EACH];
  for (int i = 0; i < SPACES * EACH; i++) {
    int n = i * 1009 % (SPACES * EACH); /* in no order */
    mg_str text =
        mg_arena_printf(&arena, "{\"metadata\":{\"name\":\"q%d\",\"namespace\":\"n%d\"},\"is\":%d}", n % EACH, n / EACH, n);
    items[i] = object(MG_CTX_RESOURCE_QUOTA, text.p);
  }
  assert_int_equal(mg_context_fill(c, MG_CTX_RESOURCE_QUOTA, items, SPACES * EACH), 0);
  for (int i = 0; i < SPACES * EACH; i++) mg_context_object_unref(items[i]);
  assert_int_equal(mg_context_seal(c), 0);
  for (int n = 0; n < SPACES; n++) {
    mg_str ns = mg_arena_printf(&arena, "n%d", n);
    const struct mg_context_object *o = NULL;
    for (int i = 0; i < EACH; i++) {
      mg_str name = mg_arena_printf(&arena, "q%d", i);
      o = mg_context_next(c, MG_CTX_RESOURCE_QUOTA, ns, o);
      assert_non_null(o);
      assert_true(mg_str_eq(o->ns, ns));
      assert_true(mg_str_eq(o->name, name));
      assert_int_equal(is(c, MG_CTX_RESOURCE_QUOTA, ns.p, name.p), n * EACH + i);
    }
    assert_null(mg_context_next(c, MG_CTX_RESOURCE_QUOTA, ns, o));
  }
  assert_null(mg_context_next(c, MG_CTX_RESOURCE_QUOTA, MG_S("n500"), NULL));
  assert_null(mg_context_next(c, MG_CTX_RESOURCE_QUOTA, MG_S("q1"), NULL));
  assert_null(mg_context_next(c, MG_CTX_NAMESPACE, MG_S(""), NULL));
  assert_false(mg_context_find(c, MG_CTX_RESOURCE_QUOTA, MG_S("n1"), (mg_str){0}).at);
  mg_context_unref(c);
}

static void expect_default(const char *const *classes, const char *want) {
  struct mg_context *c = mg_context_new();
  for (; *classes; classes++) add(c, MG_CTX_PRIORITY_CLASS, *classes);
  assert_int_equal(mg_context_seal(c), 0);
  assert_true(mg_str_is(c->default_class, want));
  mg_context_unref(c);
}

static void test_default_class(void **state) {
  (void)state;
  static const char *const classes[] = {
      "{\"metadata\":{\"name\":\"same\"},\"value\":3,\"globalDefault\":true}",
      "{\"metadata\":{\"name\":\"low\"},\"value\":3,\"globalDefault\":true}",
      "{\"metadata\":{\"name\":\"high\"},\"value\":9,\"globalDefault\":true}",
      "{\"metadata\":{\"name\":\"lowest\"},\"value\":-5}",
      "{\"metadata\":{\"name\":\"text\"},\"value\":1,\"globalDefault\":\"true\"}",
      "{\"metadata\":{\"name\":\"odd\"},\"value\":\"x\",\"globalDefault\":true}",
      NULL,
  };
  expect_default(classes, "low");
  expect_default(classes + 2, "high");
  expect_default(classes + 3, "");
}

/* What a policy never reads is left out; what had escapes is kept as it was meant. */
static void test_object(void **state) {
  (void)state;
  struct mg_context_object *o =
      object(MG_CTX_NAMESPACE, "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"managedFields\":[{}],"
                               "\"labels\":{\"t\\u0065am\":\"a\\\"b\"},\"annotations\":{"
                               "\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\",\"x\":\"y\"}},"
                               "\"spec\":{\"n\":[1,\"\",null]},\"status\":{\"phase\":\"Active\"}}");
  struct mg_buf text;
  mg_buf_init(&text, &arena, 4096);
  mg_json_write(&text, o->object);
  mg_buf_byte(&text, '\0');
  assert_string_equal(text.p,
                      "{\"metadata\":{\"name\":\"a\",\"labels\":{\"t\\u0065am\":\"a\\\"b\"},\"annotations\":{\"x\":\"y\"}},"
                      "\"spec\":{\"n\":[1,\"\",null]}}");
  mg_node labels = MG_GET(MG_GET(o->object, "metadata"), "labels");
  assert_true(mg_str_is(mg_string(MG_GET(labels, "team")), "a\"b"));
  assert_true(mg_str_is(o->name, "a"));
  struct mg_context_object *same = object(MG_CTX_NAMESPACE, "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"9\",\"labels\":"
                                                            "{\"t\\u0065am\":\"a\\\"b\"},\"annotations\":{\"x\":\"y\"}},"
                                                            "\"spec\":{\"n\":[1,\"\",null]}}");
  struct mg_context_object *other = object(MG_CTX_NAMESPACE, "{\"metadata\":{\"name\":\"a\"}}");
  assert_true(mg_context_object_same(o, same));
  assert_false(mg_context_object_same(o, other));
  struct mg_context_object *quota =
      object(MG_CTX_RESOURCE_QUOTA, "{\"metadata\":{\"name\":\"q\"},\"status\":{\"used\":{\"pods\":\"1\"}}}");
  assert_true(mg_str_is(mg_string(MG_GET(MG_GET(MG_GET(quota->object, "status"), "used"), "pods")), "1"));
  mg_context_object_unref(quota);
  mg_context_object_unref(o);
  mg_context_object_unref(same);
  mg_context_object_unref(other);
}

static void test_object_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"{}", "5", "{\"metadata\":{\"name\":\"\"}}", "{\"metadata\":{\"name\":7}}",
                                    "{\"metadata\":[]}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct mg_context_object *o = NULL;
    struct mg_err err = {0};
    assert_int_equal(mg_context_object_new(&o, MG_CTX_LIMIT_RANGE, json(bad[i]), &err), MG_E_INVALID);
    assert_string_equal(err.text, "a LimitRange without a name");
  }
}

static void test_join(void **state) {
  (void)state;
  struct mg_context *files = mg_context_new(), *live = mg_context_new();
  struct mg_context_object *own[] = {object(MG_CTX_NAMESPACE, "{\"metadata\":{\"name\":\"both\"},\"is\":2}"),
                                     object(MG_CTX_NAMESPACE, "{\"metadata\":{\"name\":\"watched\"},\"is\":3}")};
  add(files, MG_CTX_NAMESPACE, "{\"metadata\":{\"name\":\"file\"},\"is\":0}");
  add(files, MG_CTX_NAMESPACE, "{\"metadata\":{\"name\":\"both\"},\"is\":1}");
  add(files, MG_CTX_PRIORITY_CLASS, "{\"metadata\":{\"name\":\"usual\"},\"globalDefault\":true,\"is\":4}");
  assert_int_equal(mg_context_seal(files), 0);
  assert_int_equal(mg_context_fill(live, MG_CTX_NAMESPACE, own, 2), 0);
  live->known = MG_CTX_BIT(MG_CTX_NAMESPACE);
  assert_int_equal(mg_context_seal(live), 0);
  mg_context_object_unref(own[0]);
  mg_context_object_unref(own[1]);
  struct mg_context *c = mg_context_join(files, live);
  assert_non_null(c);
  assert_ptr_equal(c->tables[MG_CTX_PRIORITY_CLASS], files->tables[MG_CTX_PRIORITY_CLASS]);
  mg_context_unref(live);
  assert_int_equal(is(c, MG_CTX_NAMESPACE, "", "file"), 0);
  assert_int_equal(is(c, MG_CTX_NAMESPACE, "", "both"), 1);
  assert_int_equal(is(c, MG_CTX_NAMESPACE, "", "watched"), 3);
  static const char *const names[] = {"both", "file", "watched", NULL};
  const struct mg_context_object *o = NULL;
  for (size_t i = 0; (o = mg_context_next(c, MG_CTX_NAMESPACE, MG_S("any"), o)) || names[i]; i++)
    assert_true(o && names[i] && mg_str_is(o->name, names[i]));
  assert_true(mg_str_is(c->default_class, "usual"));
  assert_int_equal(c->known, MG_CTX_BIT(MG_CTX_NAMESPACE));
  mg_context_unref(c);
  mg_context_unref(files);
}

/* The next context shares what did not change, and outlives the one before. */
static void test_share(void **state) {
  (void)state;
  struct mg_context *first = mg_context_new(), *second = mg_context_new();
  struct mg_context_object *o = object(MG_CTX_DEVICE_CLASS, "{\"metadata\":{\"name\":\"gpu\"},\"is\":6}");
  assert_int_equal(mg_context_fill(first, MG_CTX_DEVICE_CLASS, &o, 1), 0);
  assert_int_equal(mg_context_seal(first), 0);
  mg_context_object_unref(o);
  mg_context_share(second, MG_CTX_DEVICE_CLASS, first);
  mg_context_share(second, MG_CTX_NAMESPACE, first);
  assert_int_equal(mg_context_seal(second), 0);
  assert_ptr_equal(first->tables[MG_CTX_DEVICE_CLASS], second->tables[MG_CTX_DEVICE_CLASS]);
  mg_context_unref(first);
  assert_int_equal(is(second, MG_CTX_DEVICE_CLASS, "", "gpu"), 6);
  mg_context_unref(second);
}

/* The loader refuses the second; who comes past it must not walk in a circle. */
static void test_namesakes(void **state) {
  (void)state;
  struct mg_context *c = mg_context_new();
  add(c, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"a\"}}");
  add(c, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"}}");
  add(c, MG_CTX_LIMIT_RANGE, "{\"metadata\":{\"name\":\"b\",\"namespace\":\"default\"}}");
  assert_int_equal(mg_context_seal(c), 0);
  const struct mg_context_object *o = NULL;
  for (const char *name = "ab"; *name; name++) {
    o = mg_context_next(c, MG_CTX_LIMIT_RANGE, MG_S("default"), o);
    assert_true(o && o->name.p[0] == *name);
  }
  assert_null(mg_context_next(c, MG_CTX_LIMIT_RANGE, MG_S("default"), o));
  mg_context_unref(c);
}

static void test_no_memory(void **state) {
  (void)state;
  struct mg_arena small;
  struct mg_context *c = mg_context_new();
  mg_arena_init(&small, 1, 0);
  assert_int_equal(mg_context_add(c, &small, MG_CTX_NAMESPACE, json("{}")), -1);
  assert_null(c->tables[MG_CTX_NAMESPACE]);
  mg_arena_fini(&small);
  mg_context_unref(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_kinds),          TEST(test_find), TEST(test_many),  TEST(test_default_class), TEST(test_object),
      TEST(test_object_refused), TEST(test_join), TEST(test_share), TEST(test_namesakes),
      TEST(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
