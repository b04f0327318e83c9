#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>
#include <jansson.h>

#include "doc/json.h"
#include "unit/scratch.h"

static const struct mg_limits wide = {(size_t)64 << 20, 1000, 10000000};

/* Reads from a copy of exactly the text's size, so that the sanitizer sees every byte read past it. */
static int read_text(struct mg_doc *doc, mg_str text, struct mg_read *how, struct mg_err *err) {
  char *exact = mg_arena_alloc(&arena, text.n + 8);
  char *copy = malloc(text.n ? text.n : 1);
  assert_non_null(copy);
  assert_non_null(exact);
  if (text.n) memcpy(copy, text.p, text.n);
  int code = mg_json_read(doc, &arena, (mg_str){copy, text.n}, how, err);
  if (text.n) memcpy(exact, text.p, text.n);
  free(copy);
  /* Once more where it can stay, for those who look at the doc. */
  struct mg_doc again;
  struct mg_read how_again = *how;
  assert_int_equal(mg_json_read(&again, &arena, (mg_str){exact, text.n}, &how_again, NULL), code);
  *doc = again;
  how->duplicates = how_again.duplicates;
  return code;
}

static mg_node must_read(struct mg_doc *doc, mg_str text) {
  struct mg_read how = {.limits = wide};
  struct mg_err err = {0};
  if (read_text(doc, text, &how, &err)) fail_msg("%.*s: %s", MG_FMT(text), err.text);
  return mg_root(doc);
}

static void check_fails(mg_str text, int code, size_t offset, const char *part) {
  struct mg_doc doc;
  struct mg_read how = {.limits = wide};
  struct mg_err err = {0};
  int got = read_text(&doc, text, &how, &err);
  if (got != code || err.offset != offset || !strstr(err.text, part))
    fail_msg("<%.*s>: code %d offset %zu \"%s\"; want %d %zu \"%s\"", MG_FMT(text), got, err.offset, err.text, code, offset,
             part);
  assert_int_equal(mg_root(&doc).at, 0);
  assert_true(mg_is(MG_GET(mg_root(&doc), "a"), MG_ABSENT));
}

static void check_cell(mg_node n, enum mg_kind kind, const char *text, uint32_t start, uint32_t end) {
  const struct mg_cell *c = mg_cell_of(n);
  mg_str got = mg_text(n);
  if (c->kind != kind || !mg_str_is(got, text) || c->start != start || c->end != end)
    fail_msg("kind %u <%.*s> [%u,%u); want %u <%s> [%u,%u)", c->kind, MG_FMT(got), c->start, c->end, (unsigned)kind, text, start,
             end);
  assert_false(c->fresh || c->touched);
}

static void cells_have_kind_text_and_span(void **state) {
  (void)state;
  struct mg_doc doc;
  mg_node root = must_read(&doc, MG_S(" {\"a\" : [ 1, -2.5e+3 ,\"x\\ty\" ] , \"b\":{ },\"\":true, \"n\":null,\"f\":false} "));
  check_cell(root, MG_OBJECT, "", 1, 69);
  assert_int_equal(mg_cell_of(root)->next, 0);
  mg_node key = mg_first(root);
  check_cell(key, MG_KEY, "a", 2, 5);
  mg_node array = mg_value(key);
  check_cell(array, MG_ARRAY, "", 8, 30);
  check_cell(mg_item(array, 0), MG_NUMBER, "1", 10, 11);
  check_cell(mg_item(array, 1), MG_NUMBER, "-2.5e+3", 13, 20);
  check_cell(mg_item(array, 2), MG_STRING, "x\ty", 22, 28);
  assert_int_equal(mg_item(array, 3).at, 0);
  assert_int_equal(mg_cell_of(array)->next, 0);
  check_cell(MG_GET(root, "b"), MG_OBJECT, "", 37, 40);
  assert_int_equal(mg_first(MG_GET(root, "b")).at, 0);
  check_cell(mg_get_key(root, MG_S("")), MG_KEY, "", 41, 43);
  check_cell(MG_GET(root, ""), MG_BOOL, "true", 44, 48);
  check_cell(MG_GET(root, "n"), MG_NULL, "", 54, 58);
  check_cell(MG_GET(root, "f"), MG_BOOL, "false", 63, 68);
  assert_int_equal(mg_count(root), 5);
  assert_true(doc.is_json);
}

static void strings_are_decoded(void **state) {
  (void)state;
  static const struct {
    mg_str json, text;
  } rows[] = {
    {{"\"\"", 2}, {"", 0}},
    {{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 18}, {"\"\\/\b\f\n\r\t", 8}},
    {{"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", 32}, {"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 10}},
    {{"\"a\\u0000b\"", 10}, {"a\0b", 3}},
    {{"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"", 32}, {"\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 11}},
    {{"\"\\ud800\\udc00\\udbff\\udfff\"", 26}, {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8}},
    {{"\"abcdefgh\\nijklmnop\"", 20}, {"abcdefgh\nijklmnop", 17}},
    {{"\"\x7F\xC2\x80\xED\x9F\xBF\xEE\x80\x80\"", 11}, {"\x7F\xC2\x80\xED\x9F\xBF\xEE\x80\x80", 9}},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    struct mg_doc doc;
    mg_node n = must_read(&doc, rows[i].json);
    assert_true(mg_is(n, MG_STRING));
    assert_true(mg_str_eq(mg_text(n), rows[i].text));
  }
}

static void errors_point_at_the_byte(void **state) {
  (void)state;
  const int S = MG_E_SYNTAX;
  check_fails(MG_S(""), S, 0, "expected a value, found the end of the input");
  check_fails(MG_S("  "), S, 2, "end of the input");
  check_fails(MG_S("{\"a\":1,}"), S, 7, "expected a key, found '}'");
  check_fails(MG_S("{,}"), S, 1, "expected a key or '}', found ','");
  check_fails(MG_S("{a:1}"), S, 1, "found 'a'");
  check_fails(MG_S("{\"a\" 1}"), S, 5, "expected ':', found '1'");
  check_fails(MG_S("{\"a\":}"), S, 5, "expected a value, found '}'");
  check_fails(MG_S("[1,]"), S, 3, "expected a value, found ']'");
  check_fails(MG_S("[1 2]"), S, 3, "expected ',' or ']', found '2'");
  check_fails(MG_S("[1}"), S, 2, "expected ',' or ']', found '}'");
  check_fails(MG_S("{\"a\":1]"), S, 6, "expected ',' or '}', found ']'");
  check_fails(MG_S("[1]x"), S, 3, "expected nothing behind the value, found 'x'");
  check_fails(MG_S("1 2"), S, 2, "nothing behind");
  check_fails(MG_S("[1]\0"), S, 3, "found byte 0x00");
  check_fails(MG_S("nul"), S, 0, "expected a value");
  check_fails(MG_S("True"), S, 0, "found 'T'");
  check_fails(MG_S("[1,\x0B 2]"), S, 3, "found byte 0x0b");
  check_fails(MG_S("\xEF\xBB\xBF{}"), S, 0, "byte order mark");
  check_fails(MG_S("\"abc"), S, 4, "end of the input in a string");
  check_fails(MG_S("\"abc\\"), S, 5, "end of the input in a string");
  check_fails(MG_S("\"a\nb\""), S, 2, "control character 0x0a");
  check_fails(MG_S("\"a\0b\""), S, 2, "control character 0x00");
  check_fails(MG_S("\"a\\x\""), S, 2, "unknown escape");
  check_fails(MG_S("\"\\\xC3\xA9\""), S, 1, "unknown escape");
  check_fails(MG_S("\"\\u12g4\""), S, 1, "hexadecimal");
  check_fails(MG_S("\"\\u12"), S, 1, "hexadecimal");
  check_fails(MG_S("\"\\ud800\""), S, 1, "lone surrogate");
  check_fails(MG_S("\"\\ud800\\n\\udc00\""), S, 1, "lone surrogate");
  check_fails(MG_S("\"x\\udc00\""), S, 2, "lone surrogate");
  check_fails(MG_S("\"\\ud800\\ud800\""), S, 1, "lone surrogate");
  check_fails(MG_S("\"\\ud800\\u00"), S, 1, "lone surrogate");
  check_fails(MG_S("\"12345678\xFF\""), S, 9, "not UTF-8");
  check_fails(MG_S("\"\xC0\x80\""), S, 1, "not UTF-8");
  check_fails(MG_S("\"\xED\xA0\x80\""), S, 1, "not UTF-8");
  check_fails(MG_S("\"\xF4\x90\x80\x80\""), S, 1, "not UTF-8");
  check_fails(MG_S("\"\xE2\x82\""), S, 1, "not UTF-8");
  check_fails(MG_S("-"), S, 1, "expected a digit");
  check_fails(MG_S("-a"), S, 1, "expected a digit, found 'a'");
  check_fails(MG_S("01"), S, 0, "leading zero");
  check_fails(MG_S("-01"), S, 0, "leading zero");
  check_fails(MG_S("1."), S, 2, "expected a digit");
  check_fails(MG_S("1.e1"), S, 2, "expected a digit");
  check_fails(MG_S(".5"), S, 0, "expected a value");
  check_fails(MG_S("+1"), S, 0, "expected a value");
  check_fails(MG_S("1e"), S, 2, "expected a digit");
  check_fails(MG_S("1e+]"), S, 3, "expected a digit");
  check_fails(MG_S("{\"a\":1,\n \"b\":{\"a\":2},\"a\":3}"), S, 21, "duplicate key \"a\"");
  check_fails(MG_S("{\"a\":1,\"\\u0061\":2}"), S, 7, "duplicate key \"a\"");
  check_fails(MG_S("{\"\":1,\"\":2}"), S, 6, "duplicate key \"\"");
  check_fails(MG_S("{\"a\x7f\":1,\"a\x7f\":2}"), S, 8, "duplicate key \"a\uFFFD\"");
}

static void errors_have_line_and_column(void **state) {
  (void)state;
  struct mg_doc doc;
  struct mg_read how = {.limits = wide};
  struct mg_err err;
  assert_int_equal(read_text(&doc, MG_S("{\n  \"\xC3\xA9\": [1,\r\n \"\xE2\x82\xAC\" x]}"), &how, &err), MG_E_SYNTAX);
  assert_int_equal(err.line, 3);
  assert_int_equal(err.column, 6);
  assert_int_equal(err.offset, 22);
  assert_int_equal(mg_json_read(&doc, &arena, MG_S("["), &how, NULL), MG_E_SYNTAX);
}

/* Every prefix of a document is an error, and reads nothing behind its end. */
static void truncations_fail(void **state) {
  (void)state;
  mg_str whole = MG_S("{\"a\":[1,-2.5e3,true,null,\"x\\u00e9\\ud83d\\ude00\xC3\xA9\"],\"b\":{\"c\":{}},\"d\":[]}");
  struct mg_doc doc;
  struct mg_read how = {.limits = wide};
  for (size_t n = 0; n < whole.n; n++) {
    if (!read_text(&doc, (mg_str){whole.p, n}, &how, NULL)) fail_msg("prefix of %zu bytes was read", n);
  }
  must_read(&doc, whole);
}

static int read_limited(mg_str text, struct mg_limits limits, struct mg_err *err) {
  struct mg_doc doc;
  struct mg_read how = {.limits = limits};
  return read_text(&doc, text, &how, err);
}

static void limits_hold_exactly(void **state) {
  (void)state;
  mg_str text = MG_S("{\"a\":[[1]],\"b\":2}"); /* 17 bytes, depth 3, 7 cells */
  struct mg_err err;
  assert_int_equal(read_limited(text, (struct mg_limits){17, 3, 7}, &err), 0);
  assert_int_equal(read_limited(text, (struct mg_limits){18, 4, 8}, &err), 0);
  assert_int_equal(read_limited(text, (struct mg_limits){16, 3, 7}, &err), MG_E_LIMIT);
  assert_string_equal(err.text, "larger than 16 bytes");
  assert_int_equal(read_limited(text, (struct mg_limits){17, 2, 7}, &err), MG_E_LIMIT);
  assert_string_equal(err.text, "nested deeper than 2");
  assert_int_equal(err.offset, 6);
  assert_int_equal(read_limited(text, (struct mg_limits){17, 3, 6}, &err), MG_E_LIMIT);
  assert_string_equal(err.text, "more than 6 values");
  assert_int_equal(err.offset, 15);
  for (uint32_t cells = 0; cells < 7; cells++)
    assert_int_equal(read_limited(text, (struct mg_limits){17, 3, cells}, &err), MG_E_LIMIT);
  assert_int_equal(read_limited(MG_S("1"), (struct mg_limits){1, 0, 1}, &err), 0);
  assert_int_equal(read_limited(MG_S("[]"), (struct mg_limits){2, 0, 1}, &err), MG_E_LIMIT);
}

static void memory_limit_is_an_error(void **state) {
  (void)state;
  mg_str text = MG_S("{\"a\\n\":[1,2,3,4,5,6,7,8,9],\"b\":\"\\t\"}");
  for (size_t max = 0; max < 8000; max += 8) {
    struct mg_arena small;
    struct mg_doc doc;
    struct mg_read how = {.limits = wide};
    struct mg_err err;
    mg_arena_init(&small, max, 0);
    int code = mg_json_read(&doc, &small, text, &how, &err);
    assert_true(code == 0 || code == MG_E_NOMEM);
    assert_int_equal(code != 0, small.failed);
    assert_int_equal(mg_root(&doc).at != 0, code == 0);
    assert_int_equal(mg_count(mg_root(&doc)), code ? 0 : 2);
    mg_arena_fini(&small);
  }
}

static mg_str many_keys(size_t count, size_t duplicate_of) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)64 << 20);
  mg_buf_lit(&buf, "{");
  for (size_t i = 0; i < count; i++) mg_buf_printf(&buf, "%s\"key%zu\":{\"key0\":%zu}", i ? "," : "", i, i);
  if (duplicate_of != SIZE_MAX) mg_buf_printf(&buf, ",\"k\\u0065y%zu\":\"new\"", duplicate_of);
  mg_buf_lit(&buf, "}");
  assert_false(buf.failed);
  return mg_buf_str(&buf);
}

/* Around the size where a hash set takes over, a duplicate of each key is found, and nothing else. */
static void duplicates_are_found_in_objects_of_any_size(void **state) {
  (void)state;
  for (size_t count = 1; count < 40; count++) {
    struct mg_doc doc;
    must_read(&doc, many_keys(count, SIZE_MAX));
    for (size_t i = 0; i < count; i++) {
      mg_str text = many_keys(count, i);
      struct mg_read how = {.limits = wide};
      struct mg_err err;
      assert_int_equal(read_text(&doc, text, &how, &err), MG_E_SYNTAX);
      assert_non_null(strstr(err.text, "duplicate key"));
      assert_int_equal(text.p[err.offset], '"');
      how = (struct mg_read){.limits = wide, .last_wins = true};
      assert_int_equal(read_text(&doc, text, &how, &err), 0);
      assert_int_equal(mg_count(mg_root(&doc)), count);
      char key[32];
      snprintf(key, sizeof(key), "key%zu", i);
      assert_true(mg_str_is(mg_text(mg_get(mg_root(&doc), mg_str_of(key))), "new"));
      assert_non_null(how.duplicates);
      assert_null(how.duplicates->next);
      assert_true(mg_str_is(how.duplicates->key, key));
      assert_int_equal(mg_cell_of(mg_get_key(mg_root(&doc), mg_str_of(key)))->start, how.duplicates->again);
      assert_true(how.duplicates->first < how.duplicates->again);
    }
    mg_arena_reset(&arena);
  }
}

static void large_objects_stay_cheap(void **state) {
  (void)state;
  struct mg_doc doc;
  struct mg_read how = {.limits = wide};
  struct mg_err err;
  must_read(&doc, many_keys(200000, SIZE_MAX)); /* quadratic would take minutes */
  mg_arena_reset(&arena);
  assert_int_equal(read_text(&doc, many_keys(200000, 123456), &how, &err), MG_E_SYNTAX);
  assert_string_equal(err.text, "duplicate key \"key123456\"");
  mg_arena_reset(&arena);
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)64 << 20);
  mg_buf_lit(&buf, "{\"first\":0");
  for (int i = 0; i < 200000; i++) mg_buf_printf(&buf, ",\"k%d\":0", i % 2000);
  mg_buf_lit(&buf, "}");
  how = (struct mg_read){.limits = wide, .last_wins = true};
  assert_int_equal(read_text(&doc, mg_buf_str(&buf), &how, &err), 0);
  assert_int_equal(mg_count(mg_root(&doc)), 2001);
}

/* Large objects inside each other and side by side do not see each other's keys. */
static void large_objects_are_apart(void **state) {
  (void)state;
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)1 << 20);
  mg_buf_lit(&buf, "[");
  for (int object = 0; object < 3; object++) {
    mg_buf_printf(&buf, "%s", object ? ",{" : "{");
    for (int i = 0; i < 30; i++) {
      mg_buf_printf(&buf, "%s\"k%d\":", i ? "," : "", i);
      if (i != 20) mg_buf_lit(&buf, "1");
      else for (int k = 0; k <= 30; k++) mg_buf_printf(&buf, "%s\"k%d\":2%s", k ? "," : "{", k, k == 30 ? "}" : "");
    }
    mg_buf_lit(&buf, "}");
  }
  mg_buf_lit(&buf, "]");
  struct mg_doc doc;
  mg_node root = must_read(&doc, mg_buf_str(&buf));
  for (uint32_t i = 0; i < 3; i++) {
    assert_int_equal(mg_count(mg_item(root, i)), 30);
    assert_int_equal(mg_count(MG_GET(mg_item(root, i), "k20")), 31);
  }
}

static void check_written(mg_node n, const char *want) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)64 << 20);
  mg_json_write(&buf, n);
  assert_false(buf.failed);
  mg_str got = mg_buf_str(&buf);
  if (!mg_str_is(got, want)) fail_msg("got <%.*s>, want <%s>", MG_FMT(got), want);
}

static void last_duplicate_wins_and_is_written_once(void **state) {
  (void)state;
  struct mg_doc doc;
  struct mg_err err;
  struct mg_read how = {.limits = wide, .last_wins = true};
  assert_int_equal(read_text(&doc, MG_S("{\"o\":{\"a\": 1,\"b\":[ 0 ],\"a\":{\"x\": 2}, \"a\":3},\"p\":[ ]}"), &how, &err), 0);
  check_written(mg_root(&doc), "{\"o\":{\"a\":3,\"b\":[ 0 ]},\"p\":[ ]}");
  mg_str path = mg_pointer(&arena, (mg_node){0}, MG_GET(MG_GET(mg_root(&doc), "o"), "a"));
  assert_true(mg_str_is(path, "/o/a"));
  assert_int_equal(how.duplicates->again, 37);
  assert_int_equal(how.duplicates->next->first, 6);
  assert_int_equal(how.duplicates->next->again, 23);
  assert_null(how.duplicates->next->next);
}

static void concatenated_values_are_read_one_by_one(void **state) {
  (void)state;
  mg_str text = MG_S(" {\"a\":1}\n{\"a\":2}[3] 4\n");
  static const char *const want[] = {"{\"a\":1}", "{\"a\":2}", "[3]", "4"};
  size_t offset = 0;
  struct mg_doc doc;
  struct mg_err err;
  struct mg_read how = {.limits = wide, .file = "x.json"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(mg_json_read_next(&doc, &arena, text, &offset, &how, &err), 0);
    check_written(mg_root(&doc), want[i]);
  }
  struct mg_pos pos;
  assert_true(mg_pos(mg_root(&doc), &pos));
  assert_int_equal(pos.line, 2);
  assert_int_equal(pos.column, 12);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(mg_json_read_next(&doc, &arena, text, &offset, &how, &err), 0);
    assert_int_equal(mg_root(&doc).at, 0);
    assert_int_equal(offset, text.n);
  }
  offset = 1;
  assert_int_equal(mg_json_read_next(&doc, &arena, MG_S("1 \n x"), &offset, &how, &err), MG_E_SYNTAX);
  assert_int_equal(err.offset, 4);
  assert_int_equal(err.line, 2);
  offset = SIZE_MAX;
  assert_int_equal(mg_json_read_next(&doc, &arena, MG_S("1"), &offset, &how, &err), 0);
  assert_int_equal(mg_root(&doc).at, 0);
}

static void writing_copies_or_rebuilds(void **state) {
  (void)state;
  struct mg_doc doc;
  mg_str text = MG_S("{ \"\\u0061\" : [ 1.0e0, { } ], \"b\":\"\\/\" }");
  mg_node root = must_read(&doc, text);
  check_written(root, text.p);
  check_written(mg_first(root), "[ 1.0e0, { } ]");
  check_written((mg_node){0}, "null");
  doc.is_json = false;
  check_written(root, "{\"a\":[1.0e0,{}],\"b\":\"/\"}");
  doc.is_json = true;
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 1000);
  mg_json_write_pretty(&buf, root);
  mg_buf_byte(&buf, '\0');
  assert_string_equal(buf.p, "{\n  \"a\": [\n    1.0e0,\n    {}\n  ],\n  \"b\": \"/\"\n}");
}

static void writing_deep_documents_needs_no_stack(void **state) {
  (void)state;
  size_t depth = 1000000;
  char *text = mg_arena_alloc(&arena, depth * 2);
  memset(text, '[', depth);
  memset(text + depth, ']', depth);
  struct mg_doc doc;
  struct mg_read how = {.limits = {depth * 2, (uint32_t)depth, (uint32_t)depth}};
  assert_int_equal(mg_json_read(&doc, &arena, (mg_str){text, depth * 2}, &how, NULL), 0);
  doc.is_json = false;
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, depth * 2);
  mg_json_write(&buf, mg_root(&doc));
  assert_false(buf.failed);
  assert_true(mg_str_eq(mg_buf_str(&buf), (mg_str){text, depth * 2}));
}

/* --- against jansson --- */

static void check_like_jansson(mg_str text) {
  json_error_t error;
  json_t *theirs = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  struct mg_doc doc;
  struct mg_err err;
  struct mg_read how = {.limits = wide};
  int code = read_text(&doc, text, &how, &err);
  /* It cannot hold numbers beyond its C types, nor NUL in keys, and passes over a NUL behind a number or a word. */
  enum json_error_code why = theirs ? json_error_unknown : json_error_code(&error);
  bool known = why == json_error_numeric_overflow || why == json_error_null_byte_in_key;
  known |= theirs && mg_str_find(text, '\0') < text.n;
  if ((code == 0) != (theirs != NULL) && !known)
    fail_msg("<%.*s>: %s; jansson: %s", MG_FMT(text), code ? err.text : "good", error.text);
  if (theirs && !code) {
    doc.is_json = false; /* rebuilt from the cells, it must still say the same */
    struct mg_buf buf;
    mg_buf_init(&buf, &arena, (size_t)1 << 20);
    mg_json_write(&buf, mg_root(&doc));
    assert_false(buf.failed);
    json_t *again = json_loadb(buf.p, buf.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!again || !json_equal(theirs, again)) fail_msg("<%.*s> became <%.*s>", MG_FMT(text), (int)buf.n, buf.p);
    json_decref(again);
  }
  json_decref(theirs);
}

static const char *const like_jansson[] = {
  "0", "-0", "1.5", "1E5", "1e-5", "-1.0e+2", "1e400", "123456789012345678901234567890", "-", "00", "0x1", "1_0", "Infinity",
  "NaN", "true", "false", "null", "tru", "truex", "nulll", "\"\"", "\"a\"", "'a'", "\"\\u0000\"", "{\"\\u0000\":1}",
  "\"\\uD83D\\uDE00\"", "\"\\uD83D\"", "\"\\uDE00\"", "\"\\uD83Dx\"", "\"\\u\"", "\"\\u00g0\"", "\"\\'\"", "\"\t\"", "\"\x7F\"",
  "\"\xC3\xA9\"", "\"\xC3\"", "\"\xE0\x80\x80\"", "\"\xF0\x8F\x80\x80\"", "\"\xF5\x80\x80\x80\"", "[]", "[ ]", "[1]", "[1,2]",
  "[1,]", "[,1]", "[1,,2]", "[1", "1]", "[[[]]]", "[[]", "[]]", "{}", "{ }", "{\"a\":1}", "{\"a\":1,\"b\":2}",
  "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"a\"}", "{\"a\":}", "{1:2}", "{a:1}", "{\"a\":1,}", "{\"a\" : 1 }",
  "{\"a\":{\"a\":{\"a\":[]}}}", "{\"a\":1 \"b\":2}", "[1 2]", "[1]2", "{}{}", "// x\n1", "1 // x", "/**/1", "\xEF\xBB\xBF" "1",
  " \t\r\n1\r\n ", "\f1", "1\v", "\xC2\xA0" "1", "[\"a\\\nb\"]", "\"\\\"\"", "\"\\\\\"", "\"\\",
};

static void table_agrees_with_jansson(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(like_jansson) / sizeof(like_jansson[0]); i++) check_like_jansson(mg_str_of(like_jansson[i]));
  check_like_jansson(MG_S("\0"));
  check_like_jansson(MG_S("\"a\0b\""));
  check_like_jansson(MG_S("[1,\0 2]"));
}

/* Changed bytes in a document of everything: both accept or both refuse, and what they accept is the same. */
static void mutations_agree_with_jansson(void **state) {
  (void)state;
  static const char seed[] = "{\"a\": [1, -2.5e+3, true, null, \"x\\u00e9\\n\xC3\xA9\"], \"b\": {\"c\": {}, \"d\": []}, \"\": 0}";
  static const char bytes[] = "\"\\{}[]:,0123456789.eE+-utfnals \n\x00\x1F\x7F\x80\xBF\xC3\xED\xF0\xFF/ab";
  char text[sizeof(seed) + 8];
  uint32_t random = 12345;
  for (int round = 0; round < 20000; round++) {
    size_t n = sizeof(seed) - 1;
    memcpy(text, seed, n);
    for (int change = 0; change < 1 + round % 3; change++) {
      random = random * 1664525 + 1013904223;
      size_t at = (random >> 8) % n;
      char byte = bytes[(random >> 20) % (sizeof(bytes) - 1)];
      if (random % 3 == 0) text[at] = byte;
      else if (random % 3 == 1) memmove(text + at, text + at + 1, --n - at);
      else if (n < sizeof(text)) memmove(text + at + 1, text + at, n++ - at), text[at] = byte;
    }
    check_like_jansson((mg_str){text, n});
    if (round % 500 == 0) mg_arena_reset(&arena);
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
    TEST(cells_have_kind_text_and_span),
    TEST(strings_are_decoded),
    TEST(errors_point_at_the_byte),
    TEST(errors_have_line_and_column),
    TEST(truncations_fail),
    TEST(limits_hold_exactly),
    TEST(memory_limit_is_an_error),
    TEST(duplicates_are_found_in_objects_of_any_size),
    TEST(large_objects_stay_cheap),
    TEST(large_objects_are_apart),
    TEST(last_duplicate_wins_and_is_written_once),
    TEST(concatenated_values_are_read_one_by_one),
    TEST(writing_copies_or_rebuilds),
    TEST(writing_deep_documents_needs_no_stack),
    TEST(table_agrees_with_jansson),
    TEST(mutations_agree_with_jansson),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
