#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "doc/json.h"
#include "doc/patch.h"
#include "unit/scratch.h"

static mg_node read_as(const char *file, const char *text) {
  struct mg_doc *doc = MG_NEW(&arena, struct mg_doc);
  struct mg_read how = {.limits = {(size_t)64 << 20, 100000, 10000000}, .file = file};
  struct mg_err err;
  assert_non_null(doc);
  if (mg_json_read(doc, &arena, mg_str_of(text), &how, &err)) fail_msg("%s: %s", text, err.text);
  return mg_root(doc);
}

static mg_node read(const char *text) {
  return read_as(NULL, text);
}

static void assert_str(mg_str got, const char *want) {
  if (!mg_str_is(got, want)) fail_msg("got \"%.*s\", want \"%s\"", MG_FMT(got), want);
}

static void everything_takes_absent(void **state) {
  (void)state;
  struct mg_pos pos = {"x", 1, 1};
  int64_t number = 7;
  struct mg_doc empty;
  assert_int_equal(mg_doc_init(&empty, &arena, (mg_str){0}, "f", 0), 0);
  const mg_node absent[] = {{0}, {&empty, 0}, mg_root(&empty)};
  for (size_t i = 0; i < 3; i++) {
    mg_node n = absent[i];
    assert_true(mg_missing(n));
    assert_int_equal(mg_get(n, MG_S("a")).at + mg_get_key(n, MG_S("a")).at + mg_item(n, 0).at + mg_count(n), 0);
    assert_int_equal(mg_parent(n).at + mg_key_of(n).at + mg_index_of(n) + mg_first(n).at + mg_next(n).at + mg_value(n).at, 0);
    assert_false(mg_true(n));
    assert_false(mg_int64(n, &number));
    assert_int_equal(number, 7);
    assert_true(mg_equal(n, (mg_node){0}));
    assert_false(mg_equal(n, read("null")));
    assert_str(mg_pointer(&arena, (mg_node){0}, n), "");
    assert_str(mg_path(&arena, (mg_node){0}, n), "");
    assert_false(mg_pos(n, &pos));
    assert_null(pos.file);
    assert_false(mg_value_pos(n, &pos));
    assert_int_equal(mg_string(n).n + mg_text(n).n, 0);
  }
}

static void navigation_fits_kinds_only(void **state) {
  (void)state;
  mg_node root = read("{\"a\":{\"a\":1},\"ab\":[10,[20],null],\"s\":\"a\"}");
  mg_node list = MG_GET(root, "ab");
  assert_str(mg_text(MG_GET(MG_GET(root, "a"), "a")), "1");
  assert_int_equal(MG_GET(list, "a").at, 0);
  assert_int_equal(MG_GET(MG_GET(root, "s"), "a").at, 0);
  assert_int_equal(MG_GET(root, "b").at, 0);
  assert_int_equal(mg_get(root, (mg_str){0}).at, 0);
  assert_int_equal(mg_item(root, 0).at, 0);
  assert_str(mg_text(mg_item(mg_item(list, 1), 0)), "20");
  assert_int_equal(mg_item(list, 3).at, 0);
  assert_int_equal(mg_item(list, UINT32_MAX).at, 0);
  assert_int_equal(mg_count(root), 3);
  assert_int_equal(mg_count(list), 3);
  assert_int_equal(mg_count(MG_GET(root, "s")), 0);
  assert_int_equal(mg_index_of(mg_item(list, 2)), 2);
  assert_int_equal(mg_index_of(MG_GET(root, "s")), 0);
  assert_true(mg_same(mg_parent(list), root));
  assert_true(mg_same(mg_parent(mg_key_of(list)), root));
  assert_true(mg_same(mg_parent(mg_item(list, 0)), list));
  assert_str(mg_text(mg_key_of(list)), "ab");
  assert_int_equal(mg_key_of(mg_item(list, 0)).at, 0);
  assert_true(mg_missing(mg_item(list, 2)));
  assert_false(mg_missing(mg_item(list, 0)));
  assert_int_equal(mg_string(mg_item(list, 0)).n, 0);
}

static void int64_takes_integers_within_range(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool good;
    int64_t value;
  } rows[] = {
    {"0", true, 0},          {"-0", true, 0},
    {"8", true, 8},          {"-12", true, -12},
    {"1e3", false, 0},       {"1.0", false, 0},
    {"\"8\"", false, 0},     {"true", false, 0},
    {"[8]", false, 0},       {"9223372036854775806", true, INT64_MAX - 1},
    {"9223372036854775807", true, INT64_MAX},
    {"9223372036854775808", false, 0},
    {"-9223372036854775807", true, -INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"-9223372036854775809", false, 0},
    {"99999999999999999999999999", false, 0},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    int64_t value = 4711;
    bool good = mg_int64(read(rows[i].text), &value);
    if (good != rows[i].good || value != (good ? rows[i].value : 4711))
      fail_msg("%s: %d %lld", rows[i].text, good, (long long)value);
  }
  assert_true(mg_true(read("true")));
  assert_false(mg_true(read("false")) || mg_true(read("\"true\"")) || mg_true(read("1")));
}

static void check_equal(const char *a, const char *b, bool want) {
  mg_node x = read(a), y = read(b);
  if (mg_equal(x, y) != want || mg_equal(y, x) != want) fail_msg("%s and %s: want %s", a, b, want ? "equal" : "different");
}

static void equality_is_by_value(void **state) {
  (void)state;
  static const char *const same[][2] = {
    {"1", "1.0"}, {"1", "1e0"}, {"10", "1e1"}, {"10", "1E+1"}, {"0.1", "1e-1"}, {"100", "1.00e2"}, {"0.00120", "12e-4"},
    {"0", "-0"}, {"0", "0.000e99999999999999999999"}, {"-0.0", "0e5"},
    {"123456789012345678901234567890", "1.2345678901234567890123456789e29"},
    {"1e99999999999999999999", "1e99999999999999999999"}, {"12.5", "0.125e2"}, {"1e-007", "0.0000001"}, {"1050.0", "1.05e3"},
    {"[]", "[ ]"}, {"{}", "{ }"}, {"\"a\"", "\"\\u0061\""}, {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}"},
    {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "{\"d\":4,\"c\":3,\"b\":2,\"a\":1}"}, {"[null,true]", "[null,true]"},
  };
  static const char *const different[][2] = {
    {"1", "2"}, {"1", "-1"}, {"1", "10"}, {"1", "\"1\""}, {"1.05", "1.5"}, {"1", "1.00000000000000000000000000001"},
    {"9007199254740993", "9007199254740992"}, {"1e99999999999999999999", "1e99999999999999999998"}, {"1e1", "1e-1"},
    {"0", "1e-400"}, {"0", "null"}, {"false", "null"}, {"true", "false"}, {"[]", "{}"}, {"[1,2]", "[2,1]"}, {"[1]", "[1,1]"},
    {"{\"a\":1}", "{\"a\":1,\"b\":1}"}, {"{\"a\":1}", "{\"b\":1}"}, {"{\"a\":null}", "{}"}, {"\"a\"", "\"A\""},
    {"\"\"", "\"\\u0000\""}, {"12", "1.2"}, {"0.12", "0.012"},
  };
  for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) check_equal(same[i][0], same[i][1], true);
  for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) check_equal(different[i][0], different[i][1], false);
}

static mg_node object_of(uint32_t count, bool backwards) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)16 << 20);
  mg_buf_lit(&buf, "{");
  for (uint32_t i = 0; i < count; i++) mg_buf_printf(&buf, "%s\"k%u\":1", i ? "," : "", backwards ? count - i : i + 1);
  mg_buf_lit(&buf, "}");
  mg_buf_byte(&buf, '\0');
  return read(buf.p);
}

static void equality_has_a_bounded_cost(void **state) {
  (void)state;
  assert_true(mg_equal(object_of(1000, false), object_of(1000, true)));
  assert_true(mg_equal(object_of(200000, false), object_of(200000, false)));
  assert_false(mg_equal(object_of(200000, false), object_of(200000, true))); /* gives up */
  size_t depth = 50000;
  char *deep = mg_arena_zero(&arena, 1, depth * 2 + 1);
  memset(deep, '[', depth);
  memset(deep + depth, ']', depth);
  assert_false(mg_equal(read(deep), read(deep)));
  mg_node n = read(deep);
  assert_true(mg_equal(n, n));
}

static void check_place(const char *text, const char *pointer, const char *path, uint32_t steps, const char *const *keys) {
  mg_node n = read(text);
  for (uint32_t i = 0; i < steps; i++) n = keys[i] ? mg_get(n, mg_str_of(keys[i])) : mg_item(n, 1);
  assert_true(n.at);
  assert_str(mg_pointer(&arena, (mg_node){0}, n), pointer);
  assert_str(mg_pointer(&arena, mg_root(n.doc), n), pointer);
  assert_str(mg_path(&arena, (mg_node){0}, n), path);
  if (mg_key_of(n).at) {
    assert_str(mg_pointer(&arena, (mg_node){0}, mg_key_of(n)), pointer);
    assert_str(mg_path(&arena, (mg_node){0}, mg_key_of(n)), path);
  }
}

static void places_are_named(void **state) {
  (void)state;
#define PLACE(text, pointer, path, ...) \
  check_place(text, pointer, path, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})
  assert_str(mg_pointer(&arena, (mg_node){0}, read("[]")), "");
  assert_str(mg_path(&arena, (mg_node){0}, read("[]")), "");
  PLACE("{\"a\":1}", "/a", "a", "a");
  PLACE("{\"spec\":{\"containers\":[0,{\"resources\":{\"limits\":{\"nvidia.com/gpu\":8}}}]}}",
        "/spec/containers/1/resources/limits/nvidia.com~1gpu", "spec.containers[1].resources.limits[\"nvidia.com/gpu\"]", "spec",
        "containers", NULL, "resources", "limits", "nvidia.com/gpu");
  PLACE("[0,[0,1]]", "/1/1", "[1][1]", NULL, NULL);
  PLACE("[0,{\"a-b_C9\":1}]", "/1/a-b_C9", "[1].a-b_C9", NULL, "a-b_C9");
  PLACE("{\"a.b\":{\"c\":1}}", "/a.b/c", "[\"a.b\"].c", "a.b", "c");
  PLACE("{\"\":{\"\":1}}", "//", "[\"\"][\"\"]", "", "");
  PLACE("{\"~/~1\":1}", "/~0~1~01", "[\"~/~1\"]", "~/~1");
  PLACE("{\"q\\\"b\\\\\":1}", "/q\"b\\", "[\"q\\\"b\\\\\"]", "q\"b\\");
  PLACE("{\"\xC3\xA9\":1}", "/\xC3\xA9", "[\"\xC3\xA9\"]", "\xC3\xA9");
  mg_node root = read("{\"request\":{\"object\":{\"spec\":[0,1,2,3,4,5,6,7,8,9,{\"x\":1}]}}}");
  mg_node object = MG_GET(MG_GET(root, "request"), "object"), item = mg_item(MG_GET(object, "spec"), 10);
  assert_str(mg_pointer(&arena, object, MG_GET(item, "x")), "/spec/10/x");
  assert_str(mg_path(&arena, object, MG_GET(item, "x")), "spec[10].x");
  assert_str(mg_path(&arena, MG_GET(object, "spec"), MG_GET(item, "x")), "[10].x");
  assert_str(mg_path(&arena, mg_key_of(object), MG_GET(item, "x")), "spec[10].x");
  assert_str(mg_path(&arena, object, object), "");
  assert_str(mg_pointer(&arena, object, MG_GET(root, "request")), "/request"); /* not below: from the root */
}

static void check_line(mg_str source, size_t offset, uint32_t line, uint32_t column) {
  uint32_t got_line, got_column;
  mg_line_of(source, offset, &got_line, &got_column);
  if (got_line != line || got_column != column)
    fail_msg("offset %zu: %u:%u, want %u:%u", offset, got_line, got_column, line, column);
}

static void lines_and_columns_count_code_points(void **state) {
  (void)state;
  mg_str s = MG_S("a\xC3\xA9" "b\r\n\n\xE2\x82\xAC\xF0\x9F\x98\x80x");
  check_line(s, 0, 1, 1);
  check_line(s, 1, 1, 2);
  check_line(s, 3, 1, 3);
  check_line(s, 4, 1, 4); /* the CR is a byte like others */
  check_line(s, 5, 1, 5);
  check_line(s, 6, 2, 1);
  check_line(s, 7, 3, 1);
  check_line(s, 10, 3, 2);
  check_line(s, 14, 3, 3);
  check_line(s, 15, 3, 4);
  check_line(s, SIZE_MAX, 3, 4);
  check_line((mg_str){0}, 5, 1, 1);
  check_line(MG_S("\xEF\xBB\xBFx"), 3, 1, 1);
  check_line(MG_S("\xEF\xBB\xBFx"), 4, 1, 2);
  check_line(MG_S("\xEF\xBB\xBFx"), 0, 1, 1);
  check_line(MG_S("\xEF\xBB\xBF\nx\xEF\xBB\xBFy"), 8, 2, 3);
}

static void check_pos(bool (*f)(mg_node, struct mg_pos *), mg_node n, uint32_t line, uint32_t column) {
  struct mg_pos pos;
  assert_true(f(n, &pos));
  assert_string_equal(pos.file, "f.json");
  if (pos.line != line || pos.column != column) fail_msg("%u:%u, want %u:%u", pos.line, pos.column, line, column);
}

static void positions_are_where_a_person_looks(void **state) {
  (void)state;
  mg_node root = read_as("f.json", "{\n \"a\": [\n  1,\n  {\"b\":  2}\n ]}");
  mg_node list = MG_GET(root, "a"), b = MG_GET(mg_item(list, 1), "b");
  check_pos(mg_pos, root, 1, 1);
  check_pos(mg_pos, list, 2, 2);
  check_pos(mg_pos, mg_key_of(list), 2, 2);
  check_pos(mg_value_pos, list, 2, 7);
  check_pos(mg_value_pos, mg_key_of(list), 2, 7);
  check_pos(mg_pos, mg_item(list, 0), 3, 3);
  check_pos(mg_value_pos, mg_item(list, 0), 3, 3);
  check_pos(mg_pos, b, 4, 4);
  check_pos(mg_value_pos, b, 4, 10);
  /* What an edit made is looked for where it was put. */
  mg_node made = mg_make(root.doc, MG_OBJECT);
  mg_put(made, MG_S("n"), mg_make_text(root.doc, MG_NUMBER, MG_S("5")));
  mg_put(mg_item(list, 1), MG_S("new"), made);
  check_pos(mg_pos, MG_GET(made, "n"), 4, 3);
  check_pos(mg_pos, made, 4, 3);
  check_pos(mg_value_pos, made, 4, 3);
  mg_node other = mg_make_text(root.doc, MG_STRING, MG_S("x"));
  mg_put(mg_item(list, 1), MG_S("b"), other);
  check_pos(mg_pos, other, 4, 4);
  check_pos(mg_value_pos, other, 4, 4);
  struct mg_pos pos;
  assert_false(mg_pos(mg_make(root.doc, MG_OBJECT), &pos)); /* is nowhere yet */
  assert_false(mg_pos(read("[1]"), &pos));
  assert_null(pos.file);
  assert_int_equal(pos.line + pos.column, 0);
}

static void cells_are_limited(void **state) {
  (void)state;
  struct mg_doc doc;
  assert_int_equal(mg_doc_init(&doc, &arena, (mg_str){0}, NULL, 0), 0);
  for (uint32_t i = 1; i <= 100; i++) assert_int_equal(mg_doc_add(&doc, MG_ARRAY, 0, 100), i);
  assert_int_equal(mg_doc_add(&doc, MG_ARRAY, 0, 100), 0);
  assert_int_equal(mg_doc_add(&doc, MG_ARRAY, 0, 101), 101);
  assert_false(arena.failed);
  doc.arena = NULL; /* sealed */
  assert_int_equal(mg_doc_add(&doc, MG_ARRAY, 0, 1000), 0);
  struct mg_arena none;
  mg_arena_init(&none, 0, 0);
  struct mg_doc broken;
  assert_int_equal(mg_doc_init(&broken, &none, (mg_str){0}, NULL, 10), MG_E_NOMEM);
  assert_true(mg_missing(mg_root(&broken)));
  assert_int_equal(mg_doc_add(&broken, MG_ARRAY, 0, 1000), 0);
  assert_int_equal(mg_make(&broken, MG_OBJECT).at, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
    TEST(everything_takes_absent),
    TEST(navigation_fits_kinds_only),
    TEST(int64_takes_integers_within_range),
    TEST(equality_is_by_value),
    TEST(equality_has_a_bounded_cost),
    TEST(places_are_named),
    TEST(lines_and_columns_count_code_points),
    TEST(positions_are_where_a_person_looks),
    TEST(cells_are_limited),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
