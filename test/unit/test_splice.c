#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "doc/patch.h"
#include "doc/splice.h"
#include "doc/yaml.h"
#include "unit/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct mg_doc *read(mg_str text, struct mg_err *err) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {1 << 20, 100, 100000}, .file = "x.yaml"};
  return mg_yaml_read(&docs, &arena, text, &how, err) == 0 && docs && !docs->next ? &docs->doc : NULL;
}

/* The text with the edits; {NULL, 0} where they are refused. */
static mg_str spliced(struct mg_doc *edited, struct mg_doc *before, struct mg_err *err) {
  struct mg_splices splices = {.arena = &arena};
  struct mg_buf text;
  mg_buf_init(&text, &arena, 1 << 20);
  if (mg_splice_add(&splices, mg_root(edited), before, err) < 0) return (mg_str){0};
  return mg_splice_write(&text, before->source, &splices, err) < 0 ? (mg_str){0} : mg_buf_str(&text);
}

/* One document in many styles. */
static const char *const texts[] = {
    "a: 1\nb:\n  c: [x, y]\n  d:\n  - e: 1\n    f: 2\n  - g: 3\nh: {i: j, k: [1, 2]}\nl:\nm: {}\nn: []\n",
    "a: 1 # a\nb: # b\n    c: [ x, # x\n      y # y\n      ]\n    d:\n    # d\n      -   e: 1\n          f: 2 # f\n\n"
    "      -   g: 3\nh: {\n  i: j,\n  k: [1, 2],\n  }\nl: ~ # l\nm: {} # m\nn: []\n# end\n",
    "{\"a\":1,\"b\":{\"c\":[\"x\",\"y\"],\"d\":[{\"e\":1,\"f\":2},{\"g\":3}]},\"h\":{\"i\":\"j\",\"k\":[1,2]},"
    "\"l\":null,\"m\":{},\"n\":[]}",
    "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": [\"x\", \"y\"],\n\t\t\"d\": [\n\t\t\t{\n\t\t\t\t\"e\": 1,\n"
    "\t\t\t\t\"f\": 2\n\t\t\t},\n\t\t\t{\"g\": 3}\n\t\t]\n\t},\n\t\"h\": {\"i\": \"j\", \"k\": [\n\t\t1, 2]},\n"
    "\t\"l\": null,\n\t\"m\": {},\n\t\"n\": []\n}\n",
    "a: 1\r\nb:\r\n   c:\r\n   -  x\r\n   -  y\r\n   d:\r\n   -\r\n      e: 1\r\n      f: 2\r\n   -  g: 3\r\nh:\r\n"
    " i: |\r\n  j\r\n k:\r\n - 1\r\n - 2\r\nl: null\r\nm: {}\r\nn: [ ]",
    "b: {c: [x, y], d: [{e: 1, f: 2}, {g: 3}]}\nh:\n  k: [1,\n    2]\n  i: 'j'\nn: [\n  ]\nm: {}\na: \"1\"\nl: |+\n  text\n\n\n",
};

static mg_node random_value(struct mg_doc *doc, int depth) {
  static const char *const words[] = {"x", "a: b", "8", "two\nlines\n", "", "true", "16Gi", "- c", "#", "{", "'",
                                      "\xC3\xA9", "a,b"};
  int what = rand() % (depth ? 6 : 4);
  if (what == 0) return mg_make_text(doc, MG_NUMBER, MG_S("42"));
  if (what < 4) return mg_make_text(doc, MG_STRING, mg_str_of(words[(size_t)rand() % COUNT(words)]));
  mg_node made = mg_make(doc, what == 4 ? MG_OBJECT : MG_ARRAY);
  for (int i = rand() % 3; i >= 0; i--) {
    if (what == 4) mg_put(made, i ? MG_S("p.q/r") : MG_S("s"), random_value(doc, depth - 1));
    else mg_push(made, random_value(doc, depth - 1));
  }
  return made;
}

static mg_node random_container(struct mg_doc *doc) {
  for (;;) {
    mg_node n = {doc, 1 + (uint32_t)rand() % (doc->count - 1)};
    mg_node top = n;
    while (mg_parent(top).at) top = mg_parent(top);
    if (mg_cell_of(n)->kind >= MG_ARRAY && top.at == 1) return n;
  }
}

static void random_edit(struct mg_doc *doc, struct mg_patch *patch) {
  static const char *const keys[] = {"a", "b", "e", "f", "i", "k", "l", "m", "new", "x/y.z"};
  mg_node at = random_container(doc);
  mg_str key = mg_str_of(keys[(size_t)rand() % COUNT(keys)]);
  int what = rand() % 4;
  if (mg_is(at, MG_ARRAY))
    mg_patch_insert(patch, at, what ? (uint32_t)rand() % 4 : UINT32_MAX, random_value(doc, 2));
  else if (what == 0 && mg_count(at) > 1)
    mg_patch_remove(patch, at, key);
  else if (what == 1 || mg_kind_of(mg_get(at, key)) < MG_ARRAY)
    mg_patch_set(patch, at, key, random_value(doc, 2));
}

/* Whatever is edited, the new text reads as the edited tree, or the edit is refused. */
static void test_random_edits(void **state) {
  unsigned refused = 0, all = 6000;
  (void)state;
  srand(11);
  for (unsigned i = 0; i < all; i++) {
    struct mg_err err = {0};
    mg_arena_reset(&arena);
    mg_str source = mg_str_of(texts[i % COUNT(texts)]);
    struct mg_doc *before = read(source, &err), *edited = read(source, &err);
    if (!before || !edited) fail_msg("text %u: %s", (unsigned)(i % COUNT(texts)), err.text);
    struct mg_patch patch;
    mg_patch_init(&patch, &arena, mg_root(edited));
    for (int n = 1 + rand() % 5; n > 0; n--) random_edit(edited, &patch);
    mg_str text = spliced(edited, before, &err);
    struct mg_doc *again = text.p ? read(text, &err) : NULL;
    refused += !text.p;
    if (text.p && !again) fail_msg("edit %u: %s\n%.*s", i, err.text, MG_FMT(text));
    if (text.p && !mg_equal(mg_root(again), mg_root(edited))) fail_msg("edit %u reads otherwise:\n%.*s", i, MG_FMT(text));
    if (!patch.count) assert_true(mg_str_eq(text, source));
  }
  print_message("%u of %u refused\n", refused, all);
  assert_in_range(refused, 0, all / 20);
}

static void expect_text(const char *source, const char *key, const char *wanted) {
  struct mg_err err = {0};
  struct mg_patch patch;
  mg_arena_reset(&arena);
  struct mg_doc *before = read(mg_str_of(source), &err), *edited = read(mg_str_of(source), &err);
  mg_patch_init(&patch, &arena, mg_root(edited));
  mg_node list = mg_get(mg_root(edited), mg_str_of(key));
  mg_patch_insert(&patch, list, 0, mg_make_text(edited, MG_STRING, MG_S("first")));
  mg_patch_insert(&patch, list, 2, mg_make_text(edited, MG_STRING, MG_S("middle")));
  mg_str got = mg_arena_dup(&arena, spliced(edited, before, &err));
  assert_string_equal(got.p, wanted);
}

static void test_items_between(void **state) {
  (void)state;
  expect_text("l:\n- a # a\n- b\n", "l", "l:\n- first\n- a # a\n- middle\n- b\n");
  expect_text("l:\n   # l\n   -  a\n   # b\n   -  b", "l", "l:\n   # l\n   -  first\n   -  a\n   -  middle\n   # b\n   -  b");
  expect_text("l: [a, b]\n", "l", "l: [first, a, middle, b]\n");
  expect_text("{\"l\":[\n  \"a\",\n  \"b\"\n]}", "l", "{\"l\":[\n  \"first\",\n  \"a\",\n  \"middle\",\n  \"b\"\n]}");
}

static void expect_set(const char *source, const char *value, const char *wanted) {
  struct mg_err err = {0};
  struct mg_patch patch;
  mg_arena_reset(&arena);
  struct mg_doc *before = read(mg_str_of(source), &err), *edited = read(mg_str_of(source), &err);
  mg_patch_init(&patch, &arena, mg_root(edited));
  mg_patch_set(&patch, mg_get(mg_root(edited), MG_S("m")), MG_S("x"), mg_make_text(edited, MG_STRING, mg_str_of(value)));
  mg_str got = mg_arena_dup(&arena, spliced(edited, before, &err));
  assert_string_equal(got.p, wanted);
}

/* What JSON may hold as it is and YAML may not. */
static void test_escapes(void **state) {
  (void)state;
  expect_set("{\"m\":{\"a\":1}}", "\x7F\xEF\xBB\xBF", "{\"m\":{\"a\":1,\"x\":\"\x7F\xEF\xBB\xBF\"}}");
  expect_set("m: {\"a\":1}\n", "\x7F\xEF\xBB\xBF", "m: {\"a\":1,\"x\":\"\\x7F\\uFEFF\"}\n");
}

/* What an alias brought is left out, and said: its anchor's own value has to be edited alike. */
static void test_what_an_alias_brought(void **state) {
  (void)state;
  static const char source[] = "a: &x [1]\nb: *x\n";
  struct mg_err err = {0};
  struct mg_patch patch;
  struct mg_splices splices = {.arena = &arena};
  mg_arena_reset(&arena);
  struct mg_doc *before = read(mg_str_of(source), &err), *edited = read(mg_str_of(source), &err);
  mg_patch_init(&patch, &arena, mg_root(edited));
  mg_patch_insert(&patch, MG_GET(mg_root(edited), "b"), 1, mg_make_text(edited, MG_STRING, MG_S("y")));
  assert_int_equal(mg_splice_add(&splices, mg_root(edited), before, &err), 0);
  assert_int_equal(splices.count, 0);
  assert_true(splices.shared);
  assert_int_equal(splices.shared_at, strchr(source, '*') - source);
}

static void test_two_edits_of_one_place(void **state) {
  (void)state;
  struct mg_splice items[] = {{4, 6, 0, MG_S("x")}, {1, 3, 1, MG_S("y")}, {5, 5, 2, MG_S("z")}};
  struct mg_splices splices = {.arena = &arena, .items = items, .count = 2};
  struct mg_err err = {0};
  struct mg_buf text;
  mg_arena_reset(&arena);
  mg_buf_init(&text, &arena, 100);
  assert_int_equal(mg_splice_write(&text, MG_S("01234567"), &splices, &err), 0);
  assert_true(mg_str_is(mg_buf_str(&text), "0y3x67"));
  splices.count = 3;
  assert_int_equal(mg_splice_write(&text, MG_S("01234567"), &splices, &err), MG_E_INVALID);
  assert_int_equal(err.offset, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_items_between),
    cmocka_unit_test(test_escapes),
    cmocka_unit_test(test_what_an_alias_brought),
    cmocka_unit_test(test_two_edits_of_one_place),
    cmocka_unit_test(test_random_edits),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
