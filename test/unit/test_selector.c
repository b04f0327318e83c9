#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "doc/yaml.h"
#include "kube/selector.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

struct fixture {
  struct mg_arena arena, own; /* of the doc, of the selector */
  struct mg_doc doc;
  const struct mg_selector *selector;
  mg_node at;
  struct mg_err err;
};

static int read_in(struct fixture *f, const char *json, size_t memory) {
  struct mg_read how = {.limits = {1 << 16, 16, 4096}};
  *f = (struct fixture){0};
  mg_arena_init(&f->arena, 1 << 20, 0);
  if (mg_json_read(&f->doc, &f->arena, mg_str_of(json), &how, &f->err) != 0) fail_msg("%s: %s", json, f->err.text);
  mg_arena_init(&f->own, memory, 0);
  return mg_selector_read(mg_root(&f->doc), &f->own, &f->selector, &f->at, &f->err);
}

static void done(struct fixture *f) {
  mg_arena_fini(&f->own);
  mg_arena_fini(&f->arena);
}

/* Labels as an array of key, value … NULL. */
static bool label_in(const void *ctx, mg_str key, mg_str *ret_value) {
  for (const char *const *labels = ctx; labels[0]; labels += 2) {
    if (!mg_str_is(key, labels[0])) continue;
    *ret_value = mg_str_of(labels[1]);
    return true;
  }
  return false;
}

#define LABELS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static bool matches(const char *json, const char *const *labels) {
  struct fixture f;
  if (read_in(&f, json, 1 << 16) != 0) fail_msg("%s: %s", json, f.err.text);
  bool r = mg_selector_matches(f.selector, label_in, labels);
  done(&f);
  return r;
}

static void absent_matches_nothing(void **state) {
  (void)state;
  assert_false(matches("null", LABELS()));
  assert_false(matches("null", LABELS("a", "b")));
  assert_false(mg_selector_matches(NULL, label_in, LABELS("a", "b")));
  struct mg_arena arena;
  mg_arena_init(&arena, 1024, 0);
  const struct mg_selector *selector = (const void *)&arena;
  mg_node at;
  assert_int_equal(mg_selector_read((mg_node){0}, &arena, &selector, &at, NULL), 0);
  assert_null(selector);
  mg_arena_fini(&arena);
}

static void empty_matches_everything(void **state) {
  (void)state;
  static const char *const empty[] = {"{}", "{\"matchLabels\":{}}", "{\"matchExpressions\":[]}",
                                      "{\"matchLabels\":null,\"matchExpressions\":null}"};
  for (size_t i = 0; i < COUNT(empty); i++) {
    assert_true(matches(empty[i], LABELS()));
    assert_true(matches(empty[i], LABELS("a", "b")));
  }
}

static void match_labels(void **state) {
  (void)state;
  const char *one = "{\"matchLabels\":{\"app\":\"x\"}}", *two = "{\"matchLabels\":{\"app\":\"x\",\"example.com/team\":\"\"}}";
  assert_true(matches(one, LABELS("app", "x")));
  assert_true(matches(one, LABELS("z", "y", "app", "x")));
  assert_false(matches(one, LABELS("app", "X")));
  assert_false(matches(one, LABELS("app", "xx")));
  assert_false(matches(one, LABELS("app", "")));
  assert_false(matches(one, LABELS("App", "x")));
  assert_false(matches(one, LABELS()));
  assert_true(matches(two, LABELS("app", "x", "example.com/team", "")));
  assert_false(matches(two, LABELS("app", "x")));
  assert_false(matches(two, LABELS("app", "x", "example.com/team", "a")));
}

#define EXPRESSION(text) "{\"matchExpressions\":[{\"key\":\"k\",\"operator\":" text "}]}"

struct outcome {
  const char *selector;
  bool absent, empty, a, c;
};

static void match_expressions(void **state) {
  (void)state;
  static const struct outcome cases[] = {
      {EXPRESSION("\"In\",\"values\":[\"a\",\"b\"]"), false, false, true, false},
      {EXPRESSION("\"In\",\"values\":[\"\"]"), false, true, false, false},
      {EXPRESSION("\"NotIn\",\"values\":[\"a\",\"b\"]"), true, true, false, true},
      {EXPRESSION("\"NotIn\",\"values\":[\"\"]"), true, false, true, true},
      {EXPRESSION("\"Exists\""), false, true, true, true},
      {EXPRESSION("\"Exists\",\"values\":[]"), false, true, true, true},
      {EXPRESSION("\"Exists\",\"values\":null"), false, true, true, true},
      {EXPRESSION("\"DoesNotExist\""), true, false, false, false},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    const struct outcome *o = &cases[i];
    assert_int_equal(matches(o->selector, LABELS()), o->absent);
    assert_int_equal(matches(o->selector, LABELS("k", "")), o->empty);
    assert_int_equal(matches(o->selector, LABELS("k", "a")), o->a);
    assert_int_equal(matches(o->selector, LABELS("k", "c")), o->c);
  }
}

static void all_must_hold(void **state) {
  (void)state;
  const char *both = "{\"matchLabels\":{\"a\":\"1\"},\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"Exists\"},"
                     "{\"key\":\"b\",\"operator\":\"NotIn\",\"values\":[\"2\"]}]}";
  assert_true(matches(both, LABELS("a", "1", "b", "3")));
  assert_false(matches(both, LABELS("a", "2", "b", "3")));
  assert_false(matches(both, LABELS("a", "1", "b", "2")));
  assert_false(matches(both, LABELS("a", "1")));
  assert_false(matches(both, LABELS("b", "3")));
}

/* What the error points at: of that kind, and with the text `at` where it has one. */
struct wrong {
  const char *json, *at, *message;
  enum mg_kind kind;
};

#define TEN "1234567890"
#define WIDE TEN TEN TEN TEN TEN TEN "12" /* behind it and an x there is one byte left of the 64 that a message shows */

static void strict(void **state) {
  (void)state;
  static const struct wrong cases[] = {
      {"[]", NULL, "must be an object", MG_ARRAY},
      {"\"app=x\"", "app=x", "must be an object", MG_STRING},
      {"{\"matchLables\":{}}", "matchLables", "unknown key \"matchLables\"", MG_KEY},
      {"{\"matchLabels\":{},\"x\":null}", "x", "unknown key \"x\"", MG_KEY},
      {"{\"matchLabels\":[]}", NULL, "matchLabels must be an object", MG_ARRAY},
      {"{\"matchLabels\":{\"a\":1}}", "1", "must be a string", MG_NUMBER},
      {"{\"matchLabels\":{\"a\":true}}", "true", "must be a string", MG_BOOL},
      {"{\"matchLabels\":{\"a\":null}}", NULL, "must be a string", MG_NULL},
      {"{\"matchLabels\":{\"a\":\"b c\"}}", "b c", "not a label value", MG_STRING},
      {"{\"matchLabels\":{\"ok\":\"ok\",\"-a\":\"b\"}}", "-a", "not a label key", MG_KEY},
      {"{\"matchExpressions\":{}}", NULL, "matchExpressions must be a list", MG_OBJECT},
      {"{\"matchExpressions\":[[]]}", NULL, "must be an object", MG_ARRAY},
      {"{\"matchExpressions\":[null]}", NULL, "must be an object", MG_NULL},
      {"{\"matchExpressions\":[{\"operator\":\"Exists\"}]}", NULL, "lacks \"key\"", MG_OBJECT},
      {"{\"matchExpressions\":[{\"key\":null,\"operator\":\"Exists\"}]}", NULL, "lacks \"key\"", MG_OBJECT},
      {"{\"matchExpressions\":[{\"key\":\"\",\"operator\":\"Exists\"}]}", "", "not a label key", MG_STRING},
      {"{\"matchExpressions\":[{\"key\":7,\"operator\":\"Exists\"}]}", "7", "must be a string", MG_NUMBER},
      {"{\"matchExpressions\":[{\"key\":\"k\"}]}", NULL, "lacks \"operator\"", MG_OBJECT},
      {"{\"matchExpressions\":[{\"key\":\"k\",\"op\":\"Exists\"}]}", "op", "unknown key \"op\" in matchExpressions", MG_KEY},
      {EXPRESSION("1"), "1", "must be a string", MG_NUMBER},
      {EXPRESSION("\"exists\""), "exists", "\"exists\" is not an operator", MG_STRING},
      {EXPRESSION("\"" WIDE "xäb\""), WIDE "xäb", "\"" WIDE "x\" is not an operator", MG_STRING}, /* no half of a character */
      {EXPRESSION("\"Gt\",\"values\":[\"1\"]"), "Gt", "not an operator", MG_STRING},
      {EXPRESSION("\"\""), "", "not an operator", MG_STRING},
      {EXPRESSION("\"In\""), NULL, "need values", MG_OBJECT},
      {EXPRESSION("\"NotIn\",\"values\":null"), NULL, "need values", MG_OBJECT},
      {EXPRESSION("\"In\",\"values\":[]"), NULL, "need values", MG_ARRAY},
      {EXPRESSION("\"In\",\"values\":\"a\""), "a", "must be a list", MG_STRING},
      {EXPRESSION("\"Exists\",\"values\":{}"), NULL, "must be a list", MG_OBJECT},
      {EXPRESSION("\"In\",\"values\":[\"a\",2]"), "2", "must be a string", MG_NUMBER},
      {EXPRESSION("\"In\",\"values\":[\"a/b\"]"), "a/b", "not a label value", MG_STRING},
      {EXPRESSION("\"Exists\",\"values\":[\"a\"]"), "values", "take no values", MG_KEY},
      {EXPRESSION("\"DoesNotExist\",\"values\":[\"\"]"), "values", "take no values", MG_KEY},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct fixture f;
    const struct wrong *w = &cases[i];
    int r = read_in(&f, w->json, 1 << 16);
    if (r != MG_E_INVALID || f.err.code != r) fail_msg("%s: %d", w->json, r);
    assert_null(f.selector);
    if (!strstr(f.err.text, w->message)) fail_msg("%s: %s", w->json, f.err.text);
    if (!mg_is(f.at, w->kind)) fail_msg("%s: points at kind %d", w->json, (int)mg_kind_of(f.at));
    if (w->at && !mg_str_is(mg_text(f.at), w->at)) fail_msg("%s: points at %.*s", w->json, MG_FMT(mg_text(f.at)));
    done(&f);
  }
}

static void yaml_booleans(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "matchLabels: {a: on}",
      "matchLabels: {a: y}",
      "matchExpressions: [{key: no, operator: Exists}]",
      "matchExpressions: [{key: a, operator: In, values: [x, off]}]",
  };
  for (size_t i = 0; i < COUNT(wrong); i++) {
    struct fixture f = {0};
    struct mg_read how = {.limits = {1 << 16, 16, 4096}};
    struct mg_file_doc *file = NULL;
    mg_arena_init(&f.arena, 1 << 20, 0);
    assert_int_equal(mg_yaml_read(&file, &f.arena, mg_str_of(wrong[i]), &how, &f.err), 0);
    int r = mg_selector_read(mg_root(&file->doc), &f.arena, &f.selector, &f.at, &f.err);
    assert_int_equal(r, MG_E_INVALID);
    if (!strstr(f.err.text, "is a boolean in YAML 1.1; quote it")) fail_msg("%s: %s", wrong[i], f.err.text);
    assert_true(mg_is(f.at, MG_BOOL));
    done(&f);
  }
}

static void hint(void **state) {
  (void)state;
  struct fixture f;
  assert_int_equal(read_in(&f, "{\"matchLabel\":{}}", 1 << 16), MG_E_INVALID);
  assert_non_null(strstr(f.err.text, "did you mean \"matchLabels\"?"));
  done(&f);
}

static bool is_key(const char *key) {
  struct fixture f;
  char json[600];
  snprintf(json, sizeof json, "{\"matchLabels\":{\"%s\":\"v\"}}", key);
  int r = read_in(&f, json, 1 << 16);
  done(&f);
  return r == 0;
}

static bool is_value(const char *value) {
  struct fixture f;
  char json[600];
  snprintf(json, sizeof json, "{\"matchLabels\":{\"k\":\"%s\"}}", value);
  int r = read_in(&f, json, 1 << 16);
  done(&f);
  return r == 0;
}

static void label_syntax(void **state) {
  (void)state;
  static const char *const keys[] = {"a", "A", "0", "a-b_c.d", "kubernetes.io/metadata.name", "a-b.c/X_y", "1/1"};
  static const char *const bad_keys[] = {"", "/", "a/", "/a", "a/b/c", "A.b/c", "a..b/c", ".a/c", "a./c",
                                         "a_b/c", "-", "a-", ".a", "a b", "é", "a/-"};
  static const char *const values[] = {"", "a", "1", "True", "a.b-c_d", "1.5"};
  static const char *const bad_values[] = {"-a", "a-", "a/b", "a b", "é", "*", ".", "_", "a\\n"};
  for (size_t i = 0; i < COUNT(keys); i++)
    if (!is_key(keys[i])) fail_msg("key %s", keys[i]);
  for (size_t i = 0; i < COUNT(bad_keys); i++)
    if (is_key(bad_keys[i])) fail_msg("key %s", bad_keys[i]);
  for (size_t i = 0; i < COUNT(values); i++)
    if (!is_value(values[i])) fail_msg("value %s", values[i]);
  for (size_t i = 0; i < COUNT(bad_values); i++)
    if (is_value(bad_values[i])) fail_msg("value %s", bad_values[i]);
}

static void label_lengths(void **state) {
  (void)state;
  char text[400];
  for (int n = 62; n <= 64; n++) {
    snprintf(text, sizeof text, "%0*d", n, 0);
    assert_int_equal(is_value(text), n <= 63);
    assert_int_equal(is_key(text), n <= 63);
  }
  for (int n = 252; n <= 254; n++) {
    snprintf(text, sizeof text, "%0*d/k", n, 0);
    assert_int_equal(is_key(text), n <= 253);
  }
}

/* Each allocation fails in turn. */
static void out_of_memory(void **state) {
  (void)state;
  const char *json = "{\"matchLabels\":{\"a\":\"1\"},"
                     "\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"In\",\"values\":[\"a\",\"b\"]}]}";
  int failures = 0, r = MG_E_NOMEM;
  for (size_t memory = 0; memory < 4096 && r != 0; memory += 8) {
    struct fixture f;
    r = read_in(&f, json, memory);
    assert_true(r == 0 || (r == MG_E_NOMEM && f.err.code == r && !f.selector));
    failures += r != 0;
    done(&f);
  }
  assert_int_equal(r, 0);
  assert_true(failures > 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(absent_matches_nothing),
      cmocka_unit_test(empty_matches_everything),
      cmocka_unit_test(match_labels),
      cmocka_unit_test(match_expressions),
      cmocka_unit_test(all_must_hold),
      cmocka_unit_test(strict),
      cmocka_unit_test(yaml_booleans),
      cmocka_unit_test(hint),
      cmocka_unit_test(label_syntax),
      cmocka_unit_test(label_lengths),
      cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
