#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "doc/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct mg_arena arena;
static char *held[16]; /* sources of exactly their size, so that the sanitizer sees every byte read past them */
static size_t held_count;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, (size_t)256 << 20, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  while (held_count > 0) free(held[--held_count]);
  mg_arena_fini(&arena);
  return 0;
}

static const struct mg_limits wide = {(size_t)64 << 20, 100, 1000000};

struct result {
  struct mg_file_doc *docs;
  struct mg_read how;
  struct mg_err err;
  int code;
};

static struct result read_with(mg_str text, struct mg_limits limits, bool last_wins) {
  struct result r = {.how = {.limits = limits, .file = "t.yaml", .last_wins = last_wins}};
  if (held_count == COUNT(held)) free(held[--held_count]);
  char *copy = malloc(text.n ? text.n : 1);
  assert_non_null(copy);
  held[held_count++] = copy;
  if (text.n) memcpy(copy, text.p, text.n);
  r.code = mg_yaml_read(&r.docs, &arena, (mg_str){copy, text.n}, &r.how, &r.err);
  assert_int_equal(r.code, r.err.code);
  return r;
}

static struct result read_text(const char *text) {
  return read_with(mg_str_of(text), wide, true);
}

/* "0 JSON\n1 JSON\n": every document with its number. */
static mg_str written(const struct result *r) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)64 << 20);
  for (struct mg_file_doc *d = r->docs; d; d = d->next) {
    mg_buf_printf(&buf, "%s%u ", buf.n ? "\n" : "", d->number);
    mg_json_write(&buf, mg_root(&d->doc));
  }
  assert_false(buf.failed);
  return mg_buf_str(&buf);
}

static void check_docs(mg_str text, const char *want) {
  struct result r = read_with(text, wide, true);
  if (r.code) fail_msg("<%.*s>: %u:%u: %s", MG_FMT(text), r.err.line, r.err.column, r.err.text);
  mg_str got = written(&r);
  if (!mg_str_is(got, want)) fail_msg("<%.*s>:\ngot  %.*s\nwant %s", MG_FMT(text), MG_FMT(got), want);
}

static void check_doc(const char *text, const char *want) {
  char numbered[1024];
  assert_true(snprintf(numbered, sizeof(numbered), "0 %s", want) < (int)sizeof(numbered));
  check_docs(mg_str_of(text), numbered);
}

static void check_error_of(mg_str text, struct mg_limits limits, bool last_wins, int code, uint32_t line, uint32_t column,
                           const char *part) {
  struct result r = read_with(text, limits, last_wins);
  uint32_t by_offset_line, by_offset_column;
  if (r.code != code || r.err.line != line || r.err.column != column || !strstr(r.err.text, part))
    fail_msg("<%.*s>: %d %u:%u %s; want %d %u:%u %s", MG_FMT(text), r.code, r.err.line, r.err.column, r.err.text, code, line,
             column, part);
  mg_line_of(text, r.err.offset, &by_offset_line, &by_offset_column);
  assert_int_equal(by_offset_line, line);
  assert_int_equal(by_offset_column, column);
}

static void check_error(const char *text, int code, uint32_t line, uint32_t column, const char *part) {
  check_error_of(mg_str_of(text), wide, true, code, line, column, part);
}

static mg_node only_root(const char *text) {
  struct result r = read_text(text);
  if (r.code) fail_msg("<%s>: %s", text, r.err.text);
  assert_non_null(r.docs);
  assert_null(r.docs->next);
  return mg_root(&r.docs->doc);
}

static void check_span(mg_node n, const char *want) {
  const struct mg_cell *c = mg_cell_of(n);
  mg_str got = {n.doc->source.p + c->start, c->end - c->start};
  assert_true(c->start <= c->end && c->end <= n.doc->source.n);
  if (!mg_str_is(got, want)) fail_msg("span <%.*s>, want <%s>", MG_FMT(got), want);
}

static void check_place(mg_node n, uint32_t line, uint32_t column) {
  struct mg_pos pos;
  assert_true(mg_pos(n, &pos));
  assert_string_equal(pos.file, "t.yaml");
  if (pos.line != line || pos.column != column) fail_msg("at %u:%u, want %u:%u", pos.line, pos.column, line, column);
}

struct row {
  const char *yaml, *json;
};

/* --- duplicates ------------------------------------------------------------------------------------------------------ */

static struct mg_duplicate *newest_duplicate(struct result *r, const char *text) {
  *r = read_text(text);
  if (r->code) fail_msg("<%s>: %s", text, r->err.text);
  return r->how.duplicates;
}

static void last_duplicate_wins_and_is_told(void **state) {
  (void)state;
  struct result r;
  struct mg_duplicate *d = newest_duplicate(&r, "a: 1\nb: 2\n\"a\": 3\na: 4\n");
  assert_true(mg_str_is(written(&r), "0 {\"a\":4,\"b\":2}"));
  assert_non_null(d);
  assert_true(mg_str_is(d->key, "a"));
  assert_int_equal(d->first, 10);
  assert_int_equal(d->again, 17);
  assert_false(d->merge);
  assert_non_null(d->next);
  assert_int_equal(d->next->first, 0);
  assert_int_equal(d->next->again, 10);
  assert_null(d->next->next);
  check_place(MG_GET(mg_root(&r.docs->doc), "a"), 4, 1);
  d = newest_duplicate(&r, "{a: {b: 1}, c: {b: 2}}");
  assert_null(d);
  d = newest_duplicate(&r, "yes: 1\n1: 2\n---\n\"true\": 3\ntrue: 4\n\"1\": 5\n");
  assert_non_null(d);
  assert_true(mg_str_is(d->key, "true"));
  assert_null(d->next);
  assert_true(mg_str_is(written(&r), "0 {\"true\":1,\"1\":2}\n1 {\"true\":4,\"1\":5}"));
  d = newest_duplicate(&r, "{\"a\":1,\"a\":2}\n{\"b\":1,\"b\":2}");
  assert_true(d && d->next && !d->next->next);
  assert_true(mg_str_is(d->key, "b") && mg_str_is(d->next->key, "a"));
}

static void duplicates_are_errors_where_strict(void **state) {
  (void)state;
  static const struct {
    const char *yaml;
    uint32_t line, column;
    const char *part;
  } rows[] = {
    {"a: 1\nb: 2\n\"a\": 3\n", 3, 1, "duplicate key \"a\""},
    {"x: [{on: 1, true: 2}]\n", 1, 13, "duplicate key \"true\""},
    {"a: &a {x: 1}\nb:\n  x: 0\n  <<: *a\n", 4, 3, "overwrites \"x\""},
    {"a: &a {x: 1}\nb:\n  <<: *a\n  x: 0\n", 4, 3, "duplicate key \"x\""},
    {"a: &a {x: 1}\nb: {<<: [*a, *a]}\n", 2, 5, "overwrites \"x\""},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    check_error_of(mg_str_of(rows[i].yaml), wide, false, MG_E_INVALID, rows[i].line, rows[i].column, rows[i].part);
  struct result r = read_with(MG_S("a: &a {x: 1}\nb: {y: 0, <<: *a}\n"), wide, false);
  assert_int_equal(r.code, 0);
  struct result json = read_with(MG_S("{\"a\":1,\"a\":2}"), wide, false);
  assert_true(json.code == MG_E_SYNTAX || json.code == MG_E_INVALID);
  assert_int_equal(json.err.column, 8);
}

/* Small objects are searched, large ones hashed; both sides of the change and the change itself. */
static void duplicates_in_objects_of_any_size(void **state) {
  (void)state;
  for (int count = 1; count < 80; count++) {
    for (int again = 0; again < count; again += 5) {
      struct mg_buf buf;
      mg_buf_init(&buf, &arena, 1 << 20);
      for (int i = 0; i < count; i++) mg_buf_printf(&buf, "key%d: %d\n", i, i);
      mg_buf_printf(&buf, "key%d: x\nlast: 1\n", again);
      struct result r = read_with(mg_buf_str(&buf), wide, true);
      assert_int_equal(r.code, 0);
      assert_non_null(r.how.duplicates);
      assert_null(r.how.duplicates->next);
      char key[16];
      snprintf(key, sizeof(key), "key%d", again);
      assert_true(mg_str_is(r.how.duplicates->key, key));
      mg_node root = mg_root(&r.docs->doc);
      assert_int_equal(mg_count(root), count + 1);
      assert_true(mg_str_is(mg_string(mg_get(root, mg_str_of(key))), "x"));
    }
  }
}

/* --- aliases and merges ---------------------------------------------------------------------------------------------- */

#define FIVE "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
#define FOUR "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
static void long_names_are_cut_between_characters(void **state) {
  (void)state;
  static const char text[] = "a" FIVE FIVE FIVE FIVE FIVE FIVE FIVE ": 1\na" FIVE FIVE FIVE FIVE FIVE FIVE FIVE ": 2\n";
  check_error_of(mg_str_of(text), wide, false, MG_E_INVALID, 2, 1, "duplicate key \"a" FIVE FIVE FIVE FIVE FIVE FOUR "\"");
}

static void aliases_expand(void **state) {
  (void)state;
  check_doc("a: &x [1, {b: c}]\nd: *x\n", "{\"a\":[1,{\"b\":\"c\"}],\"d\":[1,{\"b\":\"c\"}]}");
  check_doc("- &x a\n- *x\n- &x b\n- *x\n", "[\"a\",\"a\",\"b\",\"b\"]");
  check_doc("{&k a: 1, b: *k, c: &n 5, *n : d}", "{\"a\":1,\"b\":\"a\",\"c\":5,\"5\":\"d\"}");
  check_doc("a: &x\nb: *x\n", "{\"a\":null,\"b\":null}");
  check_doc("a: !!str &x 1\nb: &y !!str 2\nc: [*x, *y]\n", "{\"a\":\"1\",\"b\":\"2\",\"c\":[\"1\",\"2\"]}");
  check_doc("- &x {a: &x 1}\n- *x\n", "[{\"a\":1},1]");
  check_error("a: *x\n", MG_E_SYNTAX, 1, 4, "unknown anchor \"x\"");
  check_error("a: &x 1\n---\nb: *x\n", MG_E_SYNTAX, 3, 4, "unknown anchor \"x\"");
  check_error("a: &x [*x]\n", MG_E_SYNTAX, 1, 8, "contains itself");
  check_error("&x a: {b: &y {c: [*y]}}\n", MG_E_SYNTAX, 1, 19, "contains itself");
  check_error("a: &x [1]\n*x : 1\n", MG_E_INVALID, 2, 1, "key");
  check_error("a: &x\n*x : 1\n", MG_E_INVALID, 2, 1, "key");
}

static void merge_keys(void **state) {
  (void)state;
  const char *a = "a: &a {x: 1, w: 2}\nb: &b {x: 3, z: 4}\nc: ";
  static const struct row rows[] = {
    {"{<<: *a}", "{\"x\":1,\"w\":2}"},
    {"{<<: *a, x: 0}", "{\"x\":0,\"w\":2}"},
    {"{x: 0, <<: *a}", "{\"x\":1,\"w\":2}"},
    {"{<<: [*a, *b]}", "{\"x\":1,\"w\":2,\"z\":4}"},
    {"{<<: [*b, *a]}", "{\"x\":3,\"z\":4,\"w\":2}"},
    {"{x: 0, <<: [*b, *a]}", "{\"x\":3,\"z\":4,\"w\":2}"},
    {"{<<: *a, <<: *b}", "{\"x\":3,\"w\":2,\"z\":4}"},
    {"{<<: {q: [1, {r: s}]}, t: u}", "{\"q\":[1,{\"r\":\"s\"}],\"t\":\"u\"}"},
    {"{<<: [{q: 1}, *a, {x: 9, q: 2}]}", "{\"q\":1,\"x\":1,\"w\":2}"},
    {"{<<: {<<: *a, x: 5}}", "{\"x\":5,\"w\":2}"},
    {"{<<: []}", "{}"},
    {"{<<: {}, k: 1}", "{\"k\":1}"},
    {"{!!merge <<: *a}", "{\"x\":1,\"w\":2}"},
    {"{\"<<\": *a}", "{\"<<\":{\"x\":1,\"w\":2}}"},
    {"{!!str <<: *a}", "{\"<<\":{\"x\":1,\"w\":2}}"},
    {"{<<: &m {q: 1}, k: *m}", "{\"q\":1,\"k\":{\"q\":1}}"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[256], want[256];
    snprintf(text, sizeof(text), "%s%s\n", a, rows[i].yaml);
    snprintf(want, sizeof(want), "{\"a\":{\"x\":1,\"w\":2},\"b\":{\"x\":3,\"z\":4},\"c\":%s}", rows[i].json);
    check_doc(text, want);
  }
  static const char *const bad[] = {"1", "", "x", "[1]", "[[{a: 1}]]", "[{a: 1}, ~]", "*list"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char text[128];
    snprintf(text, sizeof(text), "l: &list [{a: 1}]\nm:\n  <<: %s\n", bad[i]);
    struct result r = read_text(text);
    assert_int_equal(r.code, MG_E_INVALID);
    assert_int_equal(r.err.line, 3);
    assert_non_null(strstr(r.err.text, "merge key"));
  }
  check_error("a: &a {<<: *a}\n", MG_E_SYNTAX, 1, 12, "contains itself");
}

static void merges_warn_only_where_a_plain_key_is_lost(void **state) {
  (void)state;
  struct result r;
  struct mg_duplicate *d = newest_duplicate(&r, "a: &a {x: 1, w: 2}\nb:\n  x: 0\n  <<: *a\n");
  assert_non_null(d);
  assert_null(d->next);
  assert_true(d->merge);
  assert_true(mg_str_is(d->key, "x"));
  assert_int_equal(d->first, 24);
  assert_int_equal(d->again, 31);
  mg_node b = MG_GET(mg_root(&r.docs->doc), "b");
  check_place(MG_GET(b, "x"), 4, 7);
  check_place(MG_GET(b, "w"), 4, 7);
  assert_null(newest_duplicate(&r, "a: &a {x: 1}\nb: {<<: *a, x: 2}\n"));
  check_place(MG_GET(MG_GET(mg_root(&r.docs->doc), "b"), "x"), 2, 13);
  assert_null(newest_duplicate(&r, "a: &a {x: 1}\nb: {<<: [*a, {x: 3}]}\n"));
  d = newest_duplicate(&r, "a: &a {x: 1}\nb: {<<: *a, x: 2, x: 3}\n");
  assert_true(d && !d->next && !d->merge);
  d = newest_duplicate(&r, "b: {<<: {x: 1}, <<: {x: 2}}\n");
  assert_true(d && !d->next && d->merge);
  /* No mark of the reader's own is left behind. */
  for (uint32_t i = 1; i < r.docs->doc.count; i++) assert_false(r.docs->doc.cells[i].touched);
}

/* --- places ---------------------------------------------------------------------------------------------------------- */

static void cells_stand_where_they_were_written(void **state) {
  (void)state;
  mg_node root = only_root("# c\na: &x !!str 5   # c\n\xC3\xA9:\n- name: \"x\"\n  v: |\n    l1\n    l2\n\n"
                           "- foo\n-\n  - [1, {z: *x}]\n"
                           "- &m\n  # c\n  q: 's'\n  n:\nm: !!map\n  k: >+\n    t\n\nw: \"\xE6\x97\xA5\"\n");
  check_span(mg_get_key(root, MG_S("a")), "a");
  check_span(MG_GET(root, "a"), "5");
  check_place(MG_GET(root, "a"), 2, 1);
  mg_node list = MG_GET(root, "\xC3\xA9"), item = mg_item(list, 0);
  check_place(list, 3, 1);
  assert_true(mg_str_starts((mg_str){list.doc->source.p + mg_cell_of(list)->start, 6}, MG_S("- name")));
  check_place(item, 4, 3);
  check_span(item, "name: \"x\"\n  v: |\n    l1\n    l2");
  check_span(MG_GET(item, "name"), "\"x\"");
  check_span(MG_GET(item, "v"), "|\n    l1\n    l2");
  check_place(MG_GET(item, "v"), 5, 3);
  check_span(mg_item(list, 1), "foo");
  check_place(mg_item(list, 1), 9, 3);
  check_span(mg_item(list, 2), "- [1, {z: *x}]");
  mg_node flow = mg_item(mg_item(list, 2), 0);
  check_span(flow, "[1, {z: *x}]");
  check_span(mg_item(flow, 1), "{z: *x}");
  check_span(MG_GET(mg_item(flow, 1), "z"), "*x");
  check_span(mg_item(list, 3), "q: 's'\n  n:");
  check_place(mg_item(list, 3), 14, 3);
  check_span(MG_GET(mg_item(list, 3), "q"), "'s'");
  mg_node empty = MG_GET(mg_item(list, 3), "false");
  check_span(empty, "");
  check_place(empty, 15, 3);
  check_span(MG_GET(root, "m"), "k: >+\n    t\n\n");
  check_span(MG_GET(root, "w"), "\"\xE6\x97\xA5\"");
  check_place(MG_GET(root, "w"), 20, 1);
  assert_false(root.doc->is_json);
}

static void flow_pairs_and_properties_of_keys(void **state) {
  (void)state;
  mg_node root = only_root("[a: 1, &k b: 2, !<tag:yaml.org,2002:str> c, {d: &e !t f , g: }]");
  check_span(mg_item(root, 0), "a: 1");
  check_span(mg_first(mg_item(root, 1)), "b");
  check_span(mg_item(root, 2), "c");
  check_span(mg_item(root, 3), "{d: &e !t f , g: }");
  check_span(MG_GET(mg_item(root, 3), "d"), "f");
  check_span(MG_GET(mg_item(root, 3), "g"), "");
}

static void what_an_alias_brings_stands_at_the_alias(void **state) {
  (void)state;
  mg_node root = only_root("a: &x {b: [1, c]}\nd: [*x]\ne:\n  <<: *x\n");
  mg_node copy = mg_item(MG_GET(root, "d"), 0);
  check_span(copy, "*x");
  check_span(mg_first(copy), "*x");
  check_span(mg_item(MG_GET(copy, "b"), 1), "*x");
  check_place(mg_item(MG_GET(copy, "b"), 1), 2, 5);
  check_place(MG_GET(MG_GET(root, "e"), "b"), 4, 7);
  mg_str path = mg_path(&arena, (mg_node){0}, mg_item(MG_GET(copy, "b"), 1));
  assert_true(mg_str_is(path, "d[0].b[1]"));
  path = mg_path(&arena, (mg_node){0}, mg_item(MG_GET(MG_GET(root, "e"), "b"), 0));
  assert_true(mg_str_is(path, "e.b[0]"));
}

static void places_count_from_the_start_of_the_file(void **state) {
  (void)state;
  struct result r = read_text("\xEF\xBB\xBF\xC3\xA9: 1\r\n---\r\nx: \"\xF0\x9F\x98\x80\" \r\nw: [\xC3\xA9, b]\r\n"
                              "--- # c\nz: 1\n");
  assert_int_equal(r.code, 0);
  check_place(mg_first(mg_root(&r.docs->doc)), 1, 1);
  check_span(mg_first(mg_root(&r.docs->doc)), "\xC3\xA9");
  mg_node second = mg_root(&r.docs->next->doc);
  check_place(MG_GET(second, "x"), 3, 1);
  check_span(MG_GET(second, "x"), "\"\xF0\x9F\x98\x80\"");
  check_span(mg_item(MG_GET(second, "w"), 1), "b");
  check_place(mg_item(MG_GET(second, "w"), 1), 4, 8);
  mg_node third = mg_root(&r.docs->next->next->doc);
  check_place(MG_GET(third, "z"), 6, 1);
  assert_int_equal(r.docs->next->next->number, 2);
  assert_int_equal(third.doc->source.n, second.doc->source.n);
  check_error("a: 1\n---\n\xC3\xA9: 1\n \xC3\xA9\xC3\xA9: b: c\n", MG_E_SYNTAX, 4, 4, "");
}

/* As counting from the beginning finds them. */
static void places_in_long_lines(void **state) {
  (void)state;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, 1 << 20);
  mg_buf_lit(&text, "\xEF\xBB\xBF[\n");
  for (int i = 0; i < 1000; i++) mg_buf_printf(&text, "%s%d, \"\xC3\xA9\xF0\x9F\x98\x80%d\"", i ? "," : "", i, i);
  mg_buf_lit(&text, "\n]");
  struct result r = read_with(mg_buf_str(&text), wide, false);
  assert_int_equal(r.code, 0);
  uint32_t seen = 0;
  for (mg_node n = mg_first(mg_root(&r.docs->doc)); n.at; n = mg_next(n), seen++) {
    uint32_t line, column;
    struct mg_pos pos;
    mg_line_of(r.docs->doc.source, mg_cell_of(n)->start, &line, &column);
    assert_true(mg_value_pos(n, &pos));
    assert_int_equal(pos.line, line);
    assert_int_equal(pos.column, column);
  }
  assert_int_equal(seen, 2000);
}

static void bare_booleans_are_known_by_their_source(void **state) {
  (void)state;
  static const struct {
    const char *yaml;
    bool bare;
  } rows[] = {
    {"y", true}, {"Yes", true}, {"ON", true}, {"off", true}, {"N", true}, {"true", false}, {"False", false}, {"'yes'", false},
    {"\"no\"", false}, {"!!str yes", false}, {"!!bool yes", true}, {"yES", false}, {"1", false}, {"", false}, {"[y]", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[64];
    snprintf(text, sizeof(text), "v: %s\n", rows[i].yaml);
    mg_node v = MG_GET(only_root(text), "v");
    if (mg_yaml_is_bare_bool(v) != rows[i].bare) fail_msg("%s", rows[i].yaml);
  }
  mg_node root = only_root("on: &x yes\ntrue2: *x\n\"y\": 1\n");
  assert_true(mg_yaml_is_bare_bool(mg_get_key(root, MG_S("true"))));
  assert_false(mg_yaml_is_bare_bool(mg_get_key(root, MG_S("y"))));
  assert_false(mg_yaml_is_bare_bool(MG_GET(root, "true2")));
  assert_false(mg_yaml_is_bare_bool((mg_node){0}));
}

/* --- streams --------------------------------------------------------------------------------------------------------- */

static void streams_split_as_kubectl_splits(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"", ""},
    {"\n", ""},
    {"# c\n", ""},
    {"---", ""},
    {"---\n---\n", ""},
    {"null\n", ""},
    {"a: 1", "0 {\"a\":1}"},
    {"---\na: 1\n", "0 {\"a\":1}"},
    {"a: 1\n---\nb: 2\n", "0 {\"a\":1}\n1 {\"b\":2}"},
    {"# c\n---\na: 1\n", "1 {\"a\":1}"},
    {"\n---\na: 1\n", "1 {\"a\":1}"},
    {"---\nnull\n---\na: 1\n", "1 {\"a\":1}"},
    {"---\n---\na: 1\n", "1 {\"a\":1}"},
    {"a: 1\n---\n---\nb: 2\n", "0 {\"a\":1}\n1 {\"b\":2}"},
    {"a: 1\n---\n---\n---\nb: 2\n", "0 {\"a\":1}\n2 {\"b\":2}"},
    {"a: 1\n---   # c\nb: 2\n---#c\nc: 3\n---", "0 {\"a\":1}\n1 {\"b\":2}\n2 {\"c\":3}"},
    {"a: 1\r\n---\r\nb: 2\r\n", "0 {\"a\":1}\n1 {\"b\":2}"},
    {"a: |\n  x\n---\nb: 2\n", "0 {\"a\":\"x\\n\"}\n1 {\"b\":2}"},
    {"a: 1\n...\nb: [\n---\nc: 1\n", "0 {\"a\":1}\n1 {\"c\":1}"},
    {"- 1\n---\nx\n", "0 [1]\n1 \"x\""},
    {"\xEF\xBB\xBF---\na: 1\n---\n\xEF\xBB\xBF" "b: 2\n", "0 {\"a\":1}\n1 {\"b\":2}"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) check_docs(mg_str_of(rows[i].yaml), rows[i].json);
  check_error("a: 1\n--- b: 2\n", MG_E_SYNTAX, 2, 5, "invalid Yaml document separator");
  check_error("a: |\n  x\n---y\n", MG_E_SYNTAX, 3, 4, "invalid Yaml document separator");
  check_error("----\n", MG_E_SYNTAX, 1, 4, "invalid Yaml document separator");
  check_error("%YAML 1.1\n---\na: 1\n", MG_E_SYNTAX, 2, 1, "<document start>");
}

static void json_streams(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"{\"a\":1}", "0 {\"a\":1}"},
    {" \n\t{\"a\":1.50}{\"b\":\"\\/\"}\n", "0 {\"a\":1.50}\n1 {\"b\":\"\\/\"}"},
    {"{\"a\":1}\nnull\n[2]", "0 {\"a\":1}\n2 [2]"},
    {"{}{}", "0 {}\n1 {}"},
    {"{a: 1}", "0 {\"a\":1}"},
    {"{\"a\": 1,}", "0 {\"a\":1}"},
    {"{a: 1}\n---\n{b: 2}\n", "0 {\"a\":1}\n1 {\"b\":2}"},
    {"{\"a\":1}\n---\n{\"b\":2}\n---\nc: 3\n", "0 {\"a\":1}\n1 {\"b\":2}\n2 {\"c\":3}"},
    {"{\"a\":1} \nb: 2\n", "0 {\"a\":1}\n1 {\"b\":2}"},
    {"\xEF\xBB\xBF{\"a\":1}", "0 {\"a\":1}"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) check_docs(mg_str_of(rows[i].yaml), rows[i].json);
  struct result r = read_text("{\"a\":1}\n---\n{\"b\":2}\n");
  assert_true(r.docs->doc.is_json);
  assert_false(r.docs->next->doc.is_json);
  check_place(MG_GET(mg_root(&r.docs->next->doc), "b"), 3, 2);
  /* Two values make it JSON for good; before that the reader that came further tells its error. */
  check_error("{\"a\":1}{\"b\":2}\n---\n{\"c\":3}", MG_E_SYNTAX, 2, 2, "");
  check_error("{\"a\": [1, 2}", MG_E_SYNTAX, 1, 12, "expected ',' or ']', found '}'");
  check_error("{a: 1, b: [}", MG_E_SYNTAX, 1, 12, "");
  check_error("{\"a\":1}\nb: 2\n c: 3\n", MG_E_SYNTAX, 3, 3, "mapping values are not allowed");
  r = read_text("{\"a\":1,\"a\":2,}");
  assert_true(r.code == 0 && r.how.duplicates && !r.how.duplicates->next);
}

static void what_was_read_before_an_error_stays(void **state) {
  (void)state;
  struct result r = read_text("a: 1\n---\nb: 2\n---\nc: [\n---\nd: 4\n");
  assert_int_equal(r.code, MG_E_SYNTAX);
  assert_true(mg_str_is(written(&r), "0 {\"a\":1}\n1 {\"b\":2}"));
  assert_int_equal(r.err.line, 6);
  r = read_text("{\"a\":1}{\"b\":2}{");
  assert_int_equal(r.code, MG_E_SYNTAX);
  assert_true(mg_str_is(written(&r), "0 {\"a\":1}\n1 {\"b\":2}"));
}

/* --- errors and limits ----------------------------------------------------------------------------------------------- */

static void syntax_errors_have_places(void **state) {
  (void)state;
  check_error("a: b: c\n", MG_E_SYNTAX, 1, 5, "mapping values are not allowed in this context");
  check_error("a:\n\t- b\n", MG_E_SYNTAX, 2, 1, "cannot start any token");
  check_error("a: \"b\n", MG_E_SYNTAX, 2, 1, "unexpected end of stream");
  check_error("a:\n  - b\n c: 1\n", MG_E_SYNTAX, 3, 2,
              "did not find expected key, while parsing a block mapping that begins in line 1");
  check_error("a: @b\n", MG_E_SYNTAX, 1, 4, "cannot start any token");
  check_error("%YAML 1.2\n", MG_E_SYNTAX, 2, 1, "");
  check_error("\xEF\xBB\xBF%YAML 1.2\n---\n", MG_E_SYNTAX, 2, 1, "");
  check_error("a: 1\nb: \x01\n", MG_E_SYNTAX, 2, 4, "control characters are not allowed");
  check_error_of(MG_S("a: 1\nb: \0\n"), wide, true, MG_E_SYNTAX, 2, 4, "control characters are not allowed");
  check_error("a: 1\n\xC3\xA9: \xFF\n", MG_E_SYNTAX, 2, 4, "not UTF-8");
  check_error("a: \xED\xA0\x80\n", MG_E_SYNTAX, 1, 4, "not UTF-8");
  check_error("a: \xC3", MG_E_SYNTAX, 1, 4, "not UTF-8");
  check_error("\xFF\xFE" "a", MG_E_SYNTAX, 1, 1, "not UTF-8");
}

static void limit_of_bytes(void **state) {
  (void)state;
  mg_str text = MG_S("a: 12345\n");
  for (int more = -1; more <= 1; more++) {
    struct mg_limits limits = {text.n + (size_t)more, 10, 100};
    struct result r = read_with(text, limits, true);
    assert_int_equal(r.code, more < 0 ? MG_E_LIMIT : 0);
    if (r.code) assert_non_null(strstr(r.err.text, "larger than 8 bytes"));
  }
}

static void limit_of_depth(void **state) {
  (void)state;
  static const struct {
    const char *yaml;
    uint32_t needs;
  } rows[] = {
    {"{a: [{}]}\n", 3},
    {"- - - x\n", 3},
    {"a: &x []\nb: [*x]\nc: {d: *x}\n", 3},
    {"a: &x {k: [{}]}\nb:\n  <<: *x\n", 4},
    {"a: &x {k: []}\nb: [{<<: *x}]\n", 4},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (uint32_t depth = 2; depth <= 5; depth++) {
      struct result r = read_with(mg_str_of(rows[i].yaml), (struct mg_limits){1000, depth, 100}, true);
      assert_int_equal(r.code, depth < rows[i].needs ? MG_E_LIMIT : 0);
      if (r.code) assert_non_null(strstr(r.err.text, "nested deeper than "));
    }
  }
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 1 << 20);
  for (int i = 0; i < 100000; i++) mg_buf_byte(&buf, '[');
  check_error_of(mg_buf_str(&buf), wide, true, MG_E_LIMIT, 1, 101, "nested deeper than 100");
  buf.n = 0;
  for (int i = 0; i < 100000; i++) mg_buf_lit(&buf, "- ");
  check_error_of(mg_buf_str(&buf), wide, true, MG_E_LIMIT, 1, 201, "nested deeper than 100");
  buf.n = 0;
  mg_buf_lit(&buf, "a0: &a0 [x]\n");
  for (int i = 1; i < 1000; i++) mg_buf_printf(&buf, "a%d: &a%d [*a%d]\n", i, i, i - 1);
  struct result r = read_with(mg_buf_str(&buf), wide, true);
  assert_int_equal(r.code, MG_E_LIMIT);
  assert_non_null(strstr(r.err.text, "nested deeper than 100, aliases expanded"));
}

static void limit_of_cells(void **state) {
  (void)state;
  for (uint32_t cells = 4; cells <= 6; cells++) {
    struct result r = read_with(MG_S("a: [1, 2]\n"), (struct mg_limits){1000, 10, cells}, true);
    assert_int_equal(r.code, cells < 5 ? MG_E_LIMIT : 0);
    if (r.code) assert_non_null(strstr(r.err.text, "more than 4 values"));
  }
  /* Nine to the ninth strings, did the limit not hold. */
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 1 << 20);
  mg_buf_lit(&buf, "a0: &a0 x\n");
  for (int i = 1; i < 10; i++) {
    mg_buf_printf(&buf, "a%d: &a%d [", i, i);
    for (int j = 0; j < 9; j++) mg_buf_printf(&buf, "*a%d,", i - 1);
    mg_buf_lit(&buf, "]\n");
  }
  struct result r = read_with(mg_buf_str(&buf), (struct mg_limits){10000, 100, 20000}, true);
  assert_int_equal(r.code, MG_E_LIMIT);
  assert_non_null(strstr(r.err.text, "more than 20000 values, aliases expanded"));
  assert_null(r.docs);
}

static void limits_of_documents_and_directives(void **state) {
  (void)state;
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)4 << 20);
  for (int i = 0; i < 16; i++) mg_buf_printf(&buf, "%%TAG !a%d! tag:x\n", i);
  struct result r = read_with(mg_buf_str(&buf), wide, true);
  assert_int_equal(r.code, MG_E_SYNTAX); /* the separator that must follow begins another document for kubectl */
  mg_buf_lit(&buf, "\xC2\x85%TAG !b! tag:x\n");
  r = read_with(mg_buf_str(&buf), wide, true);
  assert_int_equal(r.code, MG_E_LIMIT);
  assert_non_null(strstr(r.err.text, "more than 16 %TAG directives"));
  mg_arena_reset(&arena);
  mg_buf_init(&buf, &arena, (size_t)4 << 20);
  for (int i = 0; i < 65535; i++) mg_buf_lit(&buf, "#\n---\n");
  mg_buf_lit(&buf, "a: 1\n");
  check_docs(mg_buf_str(&buf), "65535 {\"a\":1}");
  mg_buf_lit(&buf, "---\nb: 1\n");
  r = read_with(mg_buf_str(&buf), wide, true);
  assert_int_equal(r.code, MG_E_LIMIT);
  assert_non_null(strstr(r.err.text, "more than 65536 documents"));
}

static const char rich[] =
  "# c\n\xC3\xA9: &a {x: 1, 'y': [\"a\\n\\u00e9\", 0x1f, 1.5e3, ~]}\nb:\n- <<: *a\n  x: yes\n"
  "- !!binary aGk=\n- |\n  text\n  more\n"
  "- ? k\n  : [p: q, *a]\nb: &c {<<: [*a, {z: 010}], w: \n   fold\n\n   ed\n  }\nlong: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]\n"
  "--- # d\n{k1: 1,k2: 2,k3: 3,k4: 4,k5: 5,k6: 6,k7: 7,k8: 8,k9: 9,"
  "k10: 1,k11: 1,k12: 1,k13: 1,k14: 1,k15: 1,k16: 1,k17: 1,k3: 9}\n"
  "---\n{\"a\": {\"b\": [true, null]}}\n";

static void check_tree(const struct mg_doc *doc) {
  uint32_t links = 0;
  assert_true(doc->count > 1 && doc->count <= doc->cap);
  for (uint32_t i = 1; i < doc->count; i++) {
    const struct mg_cell *c = &doc->cells[i];
    assert_true(c->start <= c->end && c->end <= doc->source.n);
    if (c->kind < MG_KEY || !c->first) continue;
    for (uint32_t at = c->first; at && c->kind >= MG_ARRAY; at = doc->cells[at].next) {
      assert_int_equal(doc->cells[at].parent, i);
      assert_true(++links < doc->count * 4);
      if (c->kind == MG_OBJECT) assert_int_equal(doc->cells[at].kind, MG_KEY);
      if (c->kind == MG_OBJECT) assert_int_equal(doc->cells[doc->cells[at].first].parent, at);
    }
  }
}

static void check_any(mg_str text) {
  mg_arena_reset(&arena);
  struct result r = read_with(text, wide, true);
  for (struct mg_file_doc *d = r.docs; d; d = d->next) check_tree(&d->doc);
  if (!r.code) return;
  assert_true(r.err.text[0] && r.err.line > 0 && r.err.column > 0 && r.err.offset <= text.n);
}

static void every_truncation_is_read_or_refused(void **state) {
  (void)state;
  for (size_t n = 0; n < sizeof(rich); n++) check_any((mg_str){rich, n});
}

static void damaged_text_is_read_or_refused(void **state) {
  (void)state;
  static const char with[] = "{}[],:&*!|>'\"%@`#-? \n\t\r\\<~\xFF\xC3\0a0";
  uint32_t random = 12345;
  for (int round = 0; round < 3000; round++) {
    char text[sizeof(rich)];
    memcpy(text, rich, sizeof(rich));
    for (int i = 0; i < 1 + round % 3; i++) {
      random = random * 1664525u + 1013904223u;
      text[(random >> 8) % (sizeof(rich) - 1)] = with[(random >> 3) % (sizeof(with) - 1)];
    }
    check_any((mg_str){text, sizeof(rich) - 1});
  }
}

/* The arena may end at any point; what was read before stays and nothing is lost. */
static void out_of_memory_is_an_error(void **state) {
  (void)state;
  struct result all = read_with(mg_str_of(rich), wide, true);
  assert_int_equal(all.code, 0);
  mg_str want = written(&all);
  size_t needed = 0;
  for (size_t max = 0; max < (size_t)1 << 20 && !needed; max += 256) {
    struct mg_arena small;
    struct mg_file_doc *docs;
    struct mg_read how = {.limits = wide, .file = "t.yaml", .last_wins = true};
    struct mg_err err = {0};
    mg_arena_init(&small, max, 0);
    int code = mg_yaml_read(&docs, &small, mg_str_of(rich), &how, &err);
    struct result got = {.docs = docs};
    if (code) assert_int_equal(code, MG_E_NOMEM);
    else needed = max;
    if (!code) assert_true(mg_str_eq(written(&got), want));
    mg_arena_fini(&small);
  }
  assert_true(needed > 0);
}

static void err_may_be_null(void **state) {
  (void)state;
  struct mg_read how = {.limits = wide};
  struct mg_file_doc *docs;
  assert_int_equal(mg_yaml_read(&docs, &arena, MG_S("a: ["), &how, NULL), MG_E_SYNTAX);
  assert_int_equal(mg_yaml_read(&docs, &arena, MG_S("{\"a\":"), &how, NULL), MG_E_SYNTAX);
  assert_int_equal(mg_yaml_read(&docs, &arena, MG_S("--- x"), &how, NULL), MG_E_SYNTAX);
  assert_int_equal(mg_yaml_read(&docs, &arena, MG_S("a: *x"), &how, NULL), MG_E_SYNTAX);
  assert_int_equal(mg_yaml_read(&docs, &arena, (mg_str){0}, &how, NULL), 0);
  assert_null(docs);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(last_duplicate_wins_and_is_told),
    TEST(duplicates_are_errors_where_strict),
    TEST(duplicates_in_objects_of_any_size),
    TEST(long_names_are_cut_between_characters),
    TEST(aliases_expand),
    TEST(merge_keys),
    TEST(merges_warn_only_where_a_plain_key_is_lost),
    TEST(cells_stand_where_they_were_written),
    TEST(flow_pairs_and_properties_of_keys),
    TEST(what_an_alias_brings_stands_at_the_alias),
    TEST(places_count_from_the_start_of_the_file),
    TEST(places_in_long_lines),
    TEST(bare_booleans_are_known_by_their_source),
    TEST(streams_split_as_kubectl_splits),
    TEST(json_streams),
    TEST(what_was_read_before_an_error_stays),
    TEST(syntax_errors_have_places),
    TEST(limit_of_bytes),
    TEST(limit_of_depth),
    TEST(limit_of_cells),
    TEST(limits_of_documents_and_directives),
    TEST(every_truncation_is_read_or_refused),
    TEST(damaged_text_is_read_or_refused),
    TEST(out_of_memory_is_an_error),
    TEST(err_may_be_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
