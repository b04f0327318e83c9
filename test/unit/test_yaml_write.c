#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "doc/patch.h"
#include "doc/yaml.h"
#include "doc/yaml_write.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct mg_arena arena;
static struct mg_doc doc;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, (size_t)256 << 20, 0);
  return mg_doc_init(&doc, &arena, (mg_str){0}, NULL, 64);
}

static int tear_down(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return 0;
}

static mg_str written(mg_node n) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)64 << 20);
  mg_yaml_write(&buf, n);
  assert_false(buf.failed);
  return mg_buf_str(&buf);
}

static mg_node read_yaml(mg_str text) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {(size_t)64 << 20, 1200, 4000000}, .file = "written.yaml"};
  struct mg_err err = {0};
  if (mg_yaml_read(&docs, &arena, text, &how, &err) || !docs) fail_msg("%s\n%.*s", err.text, MG_FMT(text));
  assert_null(docs->next);
  return mg_root(&docs->doc);
}

static mg_node read_json(const char *text) {
  struct mg_doc *d = MG_NEW(&arena, struct mg_doc);
  struct mg_read how = {.limits = {1 << 20, 100, 100000}};
  struct mg_err err = {0};
  if (mg_json_read(d, &arena, mg_str_of(text), &how, &err)) fail_msg("%s", err.text);
  return mg_root(d);
}

/* Reread it is the same, and written again the same text. */
static void expect_same(mg_node n) {
  mg_str text = written(n);
  mg_node back = read_yaml(text);
  if (!mg_equal(n, back)) fail_msg("reads back differently:\n%.*s", MG_FMT(text));
  assert_true(mg_str_eq(text, written(back)));
}

static void expect(const char *json, const char *yaml) {
  mg_node n = read_json(json);
  mg_str text = written(n);
  if (!mg_str_is(text, yaml)) fail_msg("%s\ngot:\n%.*s\nwanted:\n%s", json, MG_FMT(text), yaml);
  expect_same(n);
}

static void test_shapes(void **state) {
  (void)state;
  expect("{\"a\":{\"b\":1,\"c\":[]},\"d\":{}}", "a:\n  b: 1\n  c: []\nd: {}\n");
  expect("{\"a\":[1,true,\"x\"],\"b\":null}", "a:\n- 1\n- true\n- x\nb: null\n");
  expect("[{\"a\":1,\"b\":{\"c\":2}},{\"d\":[{\"e\":3},4]},[5,[6]],[]]",
         "- a: 1\n  b:\n    c: 2\n- d:\n  - e: 3\n  - 4\n- - 5\n  - - 6\n- []\n");
  expect("{\"a\":[[{\"b\":[[1]]}]]}", "a:\n- - b:\n    - - 1\n");
}

/* A root that is no container is of no use to anyone, but must not break either. */
static void test_roots(void **state) {
  (void)state;
  expect("{}", "{}\n");
  expect("[]", "[]\n");
  expect("\"a\\nb\"", "\"a\\nb\"\n");
  expect("7", "7\n");
}

static void test_strings_that_look_like_something_else(void **state) {
  (void)state;
  static const char *const quoted[] = {
      "",     "y",    "N",    "yes",  "No",    "on",   "OFF", "true", "False", "null", "~",    "NULL",       "1",         "1.5",
      "0x1F", "0o7",  "010",  "1e3",  "+1",    "-1",   ".5",  ".inf", ".nan",  "1_000", "1:30", "=",         "<<",        "-",
      "- a",  "?",    "? a",  ": a",  "a: b",  "a:",   "a #b", "#a",  "a ",    " a",   "&a",   "*a",         "!a",        "|",
      ">",    "%a",   "@a",   "`a",   "{a",    "[a",   "'a",  "\"a",  ",a",    "a\tb", "---",  "...",        "2001-01-01", "12h",
      "a\\b", "\x7F", "tRUE", "yES",  "0.1.0", "64Mi", "\xC3\xA9", "\xC2\x85", "\xE2\x80\xA8", "\xEF\xBB\xBFx"};
  for (size_t i = 0; i < COUNT(quoted); i++) {
    mg_node n = mg_make(&doc, MG_OBJECT);
    mg_put(n, MG_S("k"), mg_make_text(&doc, MG_STRING, mg_str_of(quoted[i])));
    mg_put(n, mg_str_of(quoted[i]), mg_make_text(&doc, MG_STRING, MG_S("v")));
    mg_str text = written(n);
    if (!mg_str_starts(text, MG_S("k: \""))) fail_msg("not quoted: %.*s", MG_FMT(text));
    expect_same(n);
  }
}

static void test_strings_that_need_no_quotes(void **state) {
  (void)state;
  static const char *const plain[] = {
      "a",  "yesterday",                           "nvidia.com/gpu", "system:nodes", "/etc/mlgate", "a b",        "kube-system",
      "_x", "registry.example:5000/a/b:v1@sha256", "a=b,c",          "IfNeeded",     "nullable",    "object == 1"};
  for (size_t i = 0; i < COUNT(plain); i++) {
    mg_node n = mg_make(&doc, MG_OBJECT);
    mg_put(n, mg_str_of(plain[i]), mg_make_text(&doc, MG_STRING, mg_str_of(plain[i])));
    assert_true(mg_str_eq(written(n), mg_arena_printf(&arena, "%s: %s\n", plain[i], plain[i])));
    expect_same(n);
  }
}

static void test_lines(void **state) {
  (void)state;
  expect("{\"k\":\"a\\nb\\n\"}", "k: |\n  a\n  b\n");
  expect("{\"k\":\"a\\nb\",\"l\":1}", "k: |-\n  a\n  b\nl: 1\n");
  expect("{\"k\":\"a\\n\\n\",\"l\":1}", "k: |+\n  a\n\nl: 1\n");
  expect("{\"k\":\" a\\nb\\n\"}", "k: |2\n   a\n  b\n");
  expect("{\"k\":\"\\n\\na\\n\"}", "k: |2\n\n\n  a\n");
  expect("{\"k\":[\"a\\n\",[\"\\tb\\nc\"]]}", "k:\n- |\n  a\n- - |2-\n    \tb\n    c\n");
  expect("{\"k\":\"\\n\\n\"}", "k: \"\\n\\n\"\n");
  expect("{\"k\":\"a\\r\\nb\\n\"}", "k: \"a\\r\\nb\\n\"\n");
  expect("{\"k\":\"a\\n---\\nb: [\\n# c\\n\"}", "k: |\n  a\n  ---\n  b: [\n  # c\n");
  expect("{\"k\":\"a\\n  \\n \"}", "k: |-\n  a\n    \n   \n");
}

/* Just below and just above what a key may be without "? ". */
static void test_long_keys(void **state) {
  (void)state;
  static const size_t sizes[] = {249, 250, 251, 255, 256, 257, 1000, 1023, 1024, 1025, 5000};
  for (size_t i = 0; i < COUNT(sizes); i++)
    for (size_t deep = 0; deep < 3; deep++) {
      char *key = mg_arena_alloc(&arena, sizes[i]);
      memset(key, i % 2 ? 'x' : '\x01', sizes[i]);
      mg_node n = mg_make(&doc, MG_OBJECT), value = mg_make(&doc, deep == 1 ? MG_OBJECT : MG_ARRAY);
      mg_push(value, mg_make_text(&doc, MG_NUMBER, MG_S("1")));
      mg_put(value, MG_S("in"), mg_make_text(&doc, MG_STRING, MG_S("a\nb\n")));
      mg_put(n, (mg_str){key, sizes[i]}, value);
      mg_put(n, MG_S("z"), mg_make_text(&doc, MG_STRING, MG_S("end")));
      if (deep == 2) {
        mg_node list = mg_make(&doc, MG_ARRAY);
        mg_push(list, n);
        n = list;
      }
      expect_same(n);
    }
}

static void test_bad_utf8_is_replaced(void **state) {
  (void)state;
  mg_node n = mg_make(&doc, MG_OBJECT);
  mg_put(n, MG_S("k"), mg_make_text(&doc, MG_STRING, MG_S("a\xFF\nb\xE2\x80")));
  assert_true(mg_str_is(written(n), "k: \"a\xEF\xBF\xBD\\nb\xEF\xBF\xBD\xEF\xBF\xBD\"\n"));
}

static void test_a_full_buffer_is_told(void **state) {
  (void)state;
  mg_node n = read_json("{\"a\":\"x\\ny\\n\",\"b\":[1,2,\"\\u0001\"]}");
  size_t whole = written(n).n;
  for (size_t max = 0; max <= whole + 1; max++) {
    struct mg_buf buf;
    mg_buf_init(&buf, &arena, max);
    mg_yaml_write(&buf, n);
    assert_int_equal(buf.failed, max < whole);
  }
}

static void test_depth_needs_no_stack(void **state) {
  (void)state;
  mg_node top = mg_make(&doc, MG_ARRAY), at = top;
  for (size_t i = 0; i < 1000; i++) {
    mg_node more = mg_make(&doc, i % 2 ? MG_ARRAY : MG_OBJECT);
    if (mg_is(at, MG_ARRAY)) mg_push(at, more);
    else mg_put(at, MG_S("k"), more);
    at = more;
  }
  expect_same(top);
}

/* ---- any tree ---- */

static uint64_t seed;
static uint32_t chance(uint32_t n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % n;
}

static mg_str any_text(void) {
  static const char *const parts[] = {
      "a",  "b c", ":",  ": ",   "#",    " #", "\n",   "\n\n", " ",        "  ",           "\t",           "-",
      "- ", "'",   "\"", "\\",   "{",    "}",  "[",    "|",    ">",        "&",            "*",            "!",
      "%",  "yes", "1",  "0x",   ".5",   "~",  "?",    "? ",   "\x01",     "\x7F",         "\r",           "\r\n",
      "é",  "<<",  "=",  "null", "---\n", "...\n", "\xC2\x85", "\xE2\x80\xA8", "\xEF\xBB\xBF", "\xEF\xBF\xBE",
      "\xF0\x9F\x98\x80"};
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 1 << 16);
  for (uint32_t n = chance(7); n; n--) {
    if (chance(20) == 0) mg_buf_byte(&buf, '\0');
    mg_buf_put(&buf, mg_str_of(parts[chance(COUNT(parts))]));
  }
  return mg_buf_str(&buf);
}

static mg_node any_tree(uint32_t depth) {
  static const char *const numbers[] = {"0", "-1", "8443", "9223372036854775807", "-9223372036854775808", "0.5", "-2.25"};
  uint32_t what = chance(depth ? 9 : 4);
  if (what == 0) return mg_make_text(&doc, MG_NUMBER, mg_str_of(numbers[chance(COUNT(numbers))]));
  if (what == 1 && chance(2)) return mg_make(&doc, MG_NULL);
  if (what == 1) return mg_make_text(&doc, MG_BOOL, chance(2) ? MG_S("true") : MG_S("false"));
  if (what < 4) return mg_make_text(&doc, MG_STRING, any_text());
  mg_node n = mg_make(&doc, what < 7 ? MG_OBJECT : MG_ARRAY);
  for (uint32_t i = chance(4); i; i--) {
    if (what < 7) mg_put(n, any_text(), any_tree(depth - 1));
    else mg_push(n, any_tree(depth - 1));
  }
  return n;
}

static void test_any_tree_reads_back(void **state) {
  (void)state;
  for (uint32_t i = 0; i < 4000; i++) {
    mg_arena_reset(&arena);
    assert_int_equal(mg_doc_init(&doc, &arena, (mg_str){0}, NULL, 64), 0);
    seed = i;
    mg_node n = mg_make(&doc, i % 2 ? MG_OBJECT : MG_ARRAY), tree = any_tree(5);
    if (i % 2) mg_put(n, any_text(), tree);
    else mg_push(n, tree);
    expect_same(n);
  }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      CASE(test_shapes),
      CASE(test_roots),
      CASE(test_strings_that_look_like_something_else),
      CASE(test_strings_that_need_no_quotes),
      CASE(test_lines),
      CASE(test_long_keys),
      CASE(test_bad_utf8_is_replaced),
      CASE(test_a_full_buffer_is_told),
      CASE(test_depth_needs_no_stack),
      CASE(test_any_tree_reads_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
