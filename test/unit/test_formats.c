/* report/: what formats share: regions, excerpts, escapes, names of files, the patch as a diff; and what only a unit can give
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "doc/yaml.h"
#include "report/diff.h"
#include "report/markup.h"
#include "report/place.h"
#include "report/words.h"

static struct mg_policy policy = {.name = {"limits", 6}, .docs = {"https://x.example/d", 19}};
static struct mg_rule rule = {.name = {"gpuLimits", 9}, .policy = &policy};

struct fixture {
  struct mg_arena arena;
  struct mg_buf text;
  struct mg_doc *doc;
  struct mg_verdict verdict;
  struct mg_violation violation;
  struct mg_report_result result;
};

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  mg_arena_init(&f->arena, 1 << 26, 0);
  mg_buf_init(&f->text, NULL, 1 << 24);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  mg_arena_fini(&f->arena);
  mg_buf_fini(&f->text);
  free(f);
  return 0;
}

static mg_node read_doc(struct fixture *f, mg_str source) {
  struct mg_file_doc *docs = NULL;
  struct mg_err err = {0};
  struct mg_read how = {.limits = {1 << 24, 64, 100000}, .file = "a.yaml"};
  assert_int_equal(mg_yaml_read(&docs, &f->arena, source, &how, &err), 0);
  f->doc = &docs->doc;
  f->verdict = (struct mg_verdict){.allowed = true};
  mg_patch_init(&f->verdict.patch, &f->arena, mg_root(f->doc));
  f->violation = (struct mg_violation){.policy = &policy, .rule = &rule, .object = mg_root(f->doc), .message = MG_S("m")};
  f->result = (struct mg_report_result){.file = "a.yaml", .line = 1, .column = 1, .kind = MG_S("Pod"), .name = MG_S("a"),
                                        .object = mg_root(f->doc), .verdict = &f->verdict};
  return mg_root(f->doc);
}

static const char *said(struct fixture *f) {
  mg_buf_byte(&f->text, '\0');
  assert_false(f->text.failed);
  f->text.n = 0;
  return f->text.p;
}

static void marks(struct fixture *f, mg_node where, const char *text, uint32_t line, uint32_t column) {
  f->violation.where.node = where;
  struct mg_region region = mg_region_of(&f->result, &f->violation);
  mg_buf_put(&f->text, (mg_str){region.source.p + region.start, region.end - region.start});
  assert_string_equal(said(f), text);
  assert_int_equal(region.line, line);
  assert_int_equal(region.column, column);
  uint32_t points = 0;
  for (const char *p = text; *p; p++) points += ((unsigned char)*p & 0xC0) != 0x80;
  assert_int_equal(region.end_column, column + points);
}

static void test_regions(void **state) {
  struct fixture *f = *state;
  mg_node root = read_doc(f, MG_S("\xEF\xBB\xBF# x\r\nmetadata: {name: b\xC3\xB6, x: {}}\r\nspec:\r\n"
                                  "  list:\r\n  - name: c\r\n    v: |\r\n      two\r\n      lines\r\n"
                                  "  - plain\r\n  - [1, 2]\r\n  same: &a {k: 1}\r\n  alias: *a\r\n"));
  mg_node list = MG_GET(MG_GET(root, "spec"), "list"), meta = MG_GET(root, "metadata");
  marks(f, MG_GET(meta, "name"), "name: b\xC3\xB6", 2, 12);
  marks(f, MG_GET(meta, "x"), "x: {}", 2, 22);
  marks(f, meta, "metadata", 2, 1);
  marks(f, list, "list", 4, 3);
  marks(f, mg_item(list, 0), "name: c", 5, 5);
  marks(f, MG_GET(mg_item(list, 0), "v"), "v", 6, 5);
  marks(f, mg_item(list, 1), "plain", 9, 5);
  marks(f, mg_item(list, 2), "[", 10, 5);
  marks(f, mg_item(mg_item(list, 2), 1), "2", 10, 9);
  marks(f, MG_GET(MG_GET(MG_GET(root, "spec"), "alias"), "k"), "*a", 12, 10);
  marks(f, root, "metadata", 2, 1);
  marks(f, (mg_node){0}, "metadata", 2, 1); /* of nothing: the object */
  mg_patch_set(&f->verdict.patch, meta, MG_S("fresh"), mg_make_text(f->doc, MG_STRING, MG_S("v")));
  marks(f, MG_GET(meta, "fresh"), "metadata", 2, 1);
}

static void test_regions_of_json(void **state) {
  struct fixture *f = *state;
  mg_node root = read_doc(f, MG_S("{\"a\":\n 1, \"b\": \"x\", \"c\": [{\"d\": true}, []]}"));
  marks(f, MG_GET(root, "a"), "\"a\"", 1, 2); /* its value is in another line */
  marks(f, MG_GET(root, "b"), "\"b\": \"x\"", 2, 5);
  marks(f, mg_item(MG_GET(root, "c"), 0), "{", 2, 21);
  marks(f, mg_item(MG_GET(root, "c"), 1), "[]", 2, 34);
  marks(f, root, "{", 1, 1);
}

/* No file: a review from the wire. */
static void test_no_region(void **state) {
  struct fixture *f = *state;
  read_doc(f, MG_S("a: 1\n"));
  f->doc->file = NULL;
  f->violation.where.node = mg_root(f->doc);
  f->result.line = 7, f->result.column = 3;
  struct mg_region region = mg_region_of(&f->result, &f->violation);
  assert_int_equal(region.line, 7);
  assert_int_equal(region.column, 3);
  assert_true(region.end_column >= region.column);
  f->violation.where.node = f->result.object = (mg_node){0};
  region = mg_region_of(&f->result, &f->violation);
  assert_int_equal(region.end_column, 3);
  struct mg_excerpt lines[MG_EXCERPT_LINES];
  assert_int_equal(mg_excerpt_of(&region, lines), 0);
}

static size_t excerpt(struct fixture *f, mg_node where, struct mg_excerpt lines[MG_EXCERPT_LINES]) {
  f->violation.where.node = where;
  struct mg_region region = mg_region_of(&f->result, &f->violation);
  return mg_excerpt_of(&region, lines);
}

static void test_excerpts(void **state) {
  struct fixture *f = *state;
  struct mg_excerpt lines[MG_EXCERPT_LINES];
  mg_node root = read_doc(f, MG_S("\xEF\xBB\xBF" "a: 1\r\nb: 2\r\n\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6"));
  assert_int_equal(excerpt(f, MG_GET(root, "a"), lines), 3);
  assert_int_equal(lines[0].number, 1);
  assert_true(mg_str_is(lines[0].marked, "a: 1") && !lines[0].before.n && !lines[0].after.n && !lines[0].cut_before);
  assert_true(mg_str_is(lines[1].after, "b: 2") && !lines[2].after.n);
  assert_int_equal(excerpt(f, MG_GET(root, "c"), lines), 5);
  assert_int_equal(lines[0].number, 2);
  assert_int_equal(lines[4].number, 6);
  assert_true(mg_str_is(lines[2].marked, "c: 3") && mg_str_is(lines[4].after, "e: 5"));
  assert_int_equal(excerpt(f, MG_GET(root, "f"), lines), 3);
  assert_true(mg_str_is(lines[2].marked, "f: 6") && lines[2].number == 7 && !lines[2].cut_after);
}

/* Of a line that is a whole file only the neighbourhood is looked at and shown. */
static void test_excerpt_of_a_long_line(void **state) {
  struct fixture *f = *state;
  struct mg_excerpt lines[MG_EXCERPT_LINES];
  size_t half = 100000;
  mg_buf_lit(&f->text, "{\"a\": \"");
  for (size_t i = 0; i < half; i++) mg_buf_lit(&f->text, "\xC3\xB6");
  mg_buf_lit(&f->text, "\", \"b\": 2, \"c\": \"");
  for (size_t i = 0; i < half; i++) mg_buf_lit(&f->text, "\xC3\xB6");
  mg_buf_lit(&f->text, "\"}\n\n");
  mg_str source = mg_arena_dup(&f->arena, mg_buf_str(&f->text));
  f->text.n = 0;
  mg_node root = read_doc(f, source);
  assert_int_equal(excerpt(f, MG_GET(root, "b"), lines), 1);
  assert_true(mg_str_is(lines[0].marked, "\"b\": 2") && lines[0].cut_before && lines[0].cut_after);
  assert_true(lines[0].before.n < 400 && lines[0].after.n < 400);
  mg_buf_json(&f->text, lines[0].before);
  mg_buf_json(&f->text, lines[0].after);
  assert_null(strstr(said(f), "\xEF\xBF\xBD")); /* no half characters */
  marks(f, MG_GET(root, "c"), "\"c\"", 1, (uint32_t)half + 19);
}

static void test_markup(void **state) {
  struct fixture *f = *state;
  mg_buf_markup(&f->text, MG_S("a<b>&\"'\033\n\xEF\xBF\xBE\xEF\xBF\xBF\xFF\xE2\x80\xAE" "c\0d"));
#define ODD "\xEF\xBF\xBD"
  assert_string_equal(said(f), "a&lt;b&gt;&amp;&quot;&#39;" ODD ODD ODD ODD ODD ODD "c" ODD "d");
  mg_buf_markup(&f->text, (mg_str){0});
  assert_string_equal(said(f), "");
  mg_buf_uri(&f->text, MG_S("a b/c:d%\xFF?#"));
  assert_string_equal(said(f), "a%20b/c%3Ad%25%FF%3F%23");
  mg_buf_link(&f->text, MG_S("https://a/b?c=1&d=%20 \"<>\\^`{}|[]()'\xC3\xB6#x"));
  assert_string_equal(said(f), "https://a/b?c=1&d=%20%20%22%3C%3E%5C%5E%60%7B%7D%7C%5B%5D%28%29%27%C3%B6#x");
  assert_true(mg_is_link(MG_S("http://a")) && mg_is_link(MG_S("https://a")));
  assert_false(mg_is_link(MG_S("https://")) || mg_is_link(MG_S("javascript:alert(1)")) || mg_is_link(MG_S(" https://a")));
  mg_buf_cut(&f->text, MG_S("a\xC3\xB6" "b"), 2);
  assert_string_equal(said(f), "a…");
}

static void test_markdown_text(void **state) {
  struct fixture *f = *state;
  mg_buf_markdown(&f->text, MG_S("a|b *c* <d> `e` [f](g) \\ @h #1 http://i www.j k.l: m@n"));
  assert_string_equal(said(f), "a&#124;b &#42;c&#42; &#60;d&#62; &#96;e&#96; &#91;f&#93;(g) &#92; "
                               "@<!-- -->h #<!-- -->1 http&#58;//i www&#46;j k.l: m@<!-- -->n");
  mg_buf_code(&f->text, MG_S("a|b"));
  assert_string_equal(said(f), "`a\\|b`");
  mg_buf_code(&f->text, MG_S("`a``"));
  assert_string_equal(said(f), "``` `a`` ```");
  mg_buf_code(&f->text, (mg_str){0});
  assert_string_equal(said(f), "");
}

static void test_seen(void **state) {
  (void)state;
  struct mg_seen seen = {0};
  for (int pass = 0; pass < 3; pass++)
    for (uint64_t i = 0; i < 5000; i++) assert_int_equal((*mg_seen_number(&seen, i * 0x100000000u))++, pass);
  assert_int_equal(seen.count, 5000);
  assert_false(seen.failed);
  mg_seen_fini(&seen);
}

static void test_file_names(void **state) {
  struct fixture *f = *state;
  struct mg_base base = {MG_S("/r/repo/sub"), {"/r/repo/sub", 7}};
  struct mg_sink sink = {.base = &base};
  static const struct {
    const char *given, *seen;
    bool inside;
  } cases[] = {{"a.yaml", "sub/a.yaml", true},       {"../a.yaml", "a.yaml", true},       {"./x//y/../a", "sub/x/a", true},
               {"../../a", "/r/a", false},           {"../../../../../a", "/a", false},   {"/r/repo/b", "b", true},
               {"/r/repository/b", "/r/repository/b", false}, {"/r/repo", "/r/repo", false}, {"-", "-", true}};
  (void)f;
  mg_buf_init(&sink.path, NULL, 1 << 16);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool inside;
    mg_str path = mg_sink_path(&sink, cases[i].given, &inside);
    assert_true(mg_str_is(path, cases[i].seen));
    assert_int_equal(inside, cases[i].inside);
  }
  base = (struct mg_base){0};
  bool inside;
  assert_true(mg_str_is(mg_sink_path(&sink, "x/../y", &inside), "x/../y") && inside);
  assert_true(mg_str_is(mg_sink_path(&sink, "/x/../y", &inside), "/y") && !inside);
  mg_buf_fini(&sink.path);
}

static void test_diff(void **state) {
  struct fixture *f = *state;
  mg_node root = read_doc(f, MG_S("kind: Pod\nspec:\n    old: 1 # why\n    gone: x\n    list:\n    - a\n    flow: {k: v}\n"));
  mg_node spec = MG_GET(root, "spec");
  struct mg_patch *patch = &f->verdict.patch;
  mg_patch_set(patch, spec, MG_S("old"), mg_make_text(f->doc, MG_NUMBER, MG_S("2")));
  mg_patch_set(patch, spec, MG_S("x~/y"), mg_make_text(f->doc, MG_STRING, MG_S("on")));
  mg_patch_append(patch, MG_GET(spec, "list"), mg_make_text(f->doc, MG_STRING, MG_S("b")));
  mg_patch_set(patch, MG_GET(spec, "flow"), MG_S("m"), mg_make(f->doc, MG_OBJECT));
  mg_patch_remove(patch, spec, MG_S("gone"));
  mg_diff_write(&f->text, &f->result);
  assert_string_equal(said(f), "@@ line 3: spec @@\n-    old: 1 # why\n+    old: 2\n"
                               "@@ line 2: spec @@\n spec:\n+    \"x~/y\": \"on\"\n"
                               "@@ line 5: spec.list @@\n     list:\n+    - b\n"
                               "@@ line 7: spec.flow @@\n     flow: {k: v}\n+      m: {}\n"
                               "@@ line 2: spec @@\n spec:\n-    gone\n");
}

static void test_diff_of_json(void **state) {
  struct fixture *f = *state;
  mg_node root = read_doc(f, MG_S("{\n  \"spec\": {\n    \"a\": 1\n  }\n}\n"));
  mg_node value = mg_make(f->doc, MG_ARRAY);
  mg_push(value, mg_make_text(f->doc, MG_NUMBER, MG_S("1")));
  mg_patch_set(&f->verdict.patch, MG_GET(root, "spec"), MG_S("l"), value);
  mg_diff_write(&f->text, &f->result);
  assert_string_equal(said(f), "@@ line 2: spec @@\n   \"spec\": {\n+    \"l\": [\n+      1\n+    ]\n");
}

static const char *report_of(struct fixture *f, const char *format, size_t times) {
  char path[] = "/tmp/mlgate-test-XXXXXX", spec[128];
  const char *specs[] = {spec};
  struct mg_report *report = NULL;
  struct mg_err err = {0};
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  snprintf(spec, sizeof spec, "%s=%s", format, path);
  assert_int_equal(mg_report_new(&report, specs, 1, &err), 0);
  for (size_t i = 0; i < times; i++) mg_report_result(report, &f->result);
  assert_int_equal(mg_report_end(report, &err), 0);
  mg_report_free(report);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  f->text.n = 0;
  char *to = mg_buf_room(&f->text, 1 << 20);
  assert_non_null(to);
  f->text.n = fread(to, 1, 1 << 20, file);
  assert_true(f->text.n > 0 && f->text.n < 1 << 20);
  fclose(file);
  unlink(path);
  return said(f);
}

/* What the baseline knows is nobody's fault now: suppressed, a notice, no failure. */
static void test_baseline(void **state) {
  struct fixture *f = *state;
  read_doc(f, MG_S("a: 1\n"));
  f->violation.baseline = true, f->violation.outcome = MG_OUT_AUDIT;
  f->violation.where.node = mg_root(f->doc);
  f->verdict.violations = &f->violation;
  f->verdict.counts[MG_OUT_AUDIT] = 1;
  const char *text = report_of(f, "sarif", 1);
  assert_non_null(strstr(text, "\"suppressions\":[{\"kind\":\"external\",\"status\":\"accepted\","
                               "\"justification\":\"known before"));
  assert_non_null(strstr(text, "\"baseline\":true"));
  assert_non_null(strstr(text, "\"level\":\"error\"")); /* what its policy says: enforce */
  text = report_of(f, "github", 1);
  assert_non_null(strstr(text, "::notice "));
  assert_null(strstr(text, "::error "));
  assert_non_null(strstr(report_of(f, "junit", 1), "failures=\"0\""));
  assert_non_null(strstr(report_of(f, "gitlab", 1), "\"severity\":\"info\""));
  assert_non_null(strstr(report_of(f, "html", 1), "it is in the baseline"));
}

/* Never over what a comment holds, whatever the rows are. */
static void test_markdown_limit(void **state) {
  struct fixture *f = *state;
  static char long_text[8000];
  memset(long_text, '@', sizeof long_text - 1);
  for (size_t i = 0; i < sizeof long_text - 1; i += 2) long_text[i] = 'a';
  read_doc(f, MG_S("a: 1\n"));
  f->violation.message = f->violation.fix = f->result.name = mg_str_of(long_text);
  f->verdict.violations = &f->violation;
  for (size_t times = 1; times < 200; times += 33) {
    const char *text = report_of(f, "markdown", times);
    size_t rows = 0;
    unsigned long more = 0;
    for (const char *p = text; (p = strstr(p, "| **deny**")); p++) rows++;
    const char *tail = strstr(text, "\nand ");
    if (tail) more = strtoul(tail + 5, NULL, 10);
    assert_true(strlen(text) <= 65536);
    assert_true(rows > 0);
    assert_int_equal(rows + more, times);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_regions, setup, teardown),
    cmocka_unit_test_setup_teardown(test_regions_of_json, setup, teardown),
    cmocka_unit_test_setup_teardown(test_no_region, setup, teardown),
    cmocka_unit_test_setup_teardown(test_excerpts, setup, teardown),
    cmocka_unit_test_setup_teardown(test_excerpt_of_a_long_line, setup, teardown),
    cmocka_unit_test_setup_teardown(test_markup, setup, teardown),
    cmocka_unit_test_setup_teardown(test_markdown_text, setup, teardown),
    cmocka_unit_test_setup_teardown(test_seen, setup, teardown),
    cmocka_unit_test_setup_teardown(test_file_names, setup, teardown),
    cmocka_unit_test_setup_teardown(test_diff, setup, teardown),
    cmocka_unit_test_setup_teardown(test_diff_of_json, setup, teardown),
    cmocka_unit_test_setup_teardown(test_baseline, setup, teardown),
    cmocka_unit_test_setup_teardown(test_markdown_limit, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
