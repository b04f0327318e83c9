/* report/: what comes out for a given verdict, byte by byte, and how it is counted and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "doc/yaml.h"
#include "report/report.h"

#define MANIFEST                                                                                                             \
  "# a comment\n"                                                                                                            \
  "apiVersion: v1\n"                                                                                                         \
  "kind: Pod\n"                                                                                                              \
  "metadata: {name: a}\n"                                                                                                    \
  "spec:\n"                                                                                                                  \
  "  containers:\n"                                                                                                          \
  "  - name: c\n"                                                                                                            \
  "    image: i\n"

static struct mg_policy policy = {.name = {"limits", 6}, .docs = {"https://x.example/d", 19}};
static struct mg_rule rule = {.name = {"gpuLimits", 9}, .policy = &policy};

struct fixture {
  struct mg_arena arena;
  struct mg_doc *doc;
  struct mg_verdict verdict;
  struct mg_report *report;
  char path[64], other[64]; /* reports */
  struct mg_err err;
};

static void make_path(char path[64]) {
  snprintf(path, 64, "/tmp/mlgate-test-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {1 << 20, 32, 1000}, .file = "a.yaml"};
  mg_arena_init(&f->arena, 1 << 24, 0);
  assert_int_equal(mg_yaml_read(&docs, &f->arena, MG_S(MANIFEST), &how, &f->err), 0);
  f->doc = &docs->doc;
  f->verdict = (struct mg_verdict){.allowed = true, .known_kind = true};
  f->verdict.violations_end = &f->verdict.violations;
  mg_patch_init(&f->verdict.patch, &f->arena, mg_root(f->doc));
  make_path(f->path);
  make_path(f->other);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  mg_report_free(f->report);
  unlink(f->path);
  unlink(f->other);
  mg_arena_fini(&f->arena);
  free(f);
  return 0;
}

static void open_report(struct fixture *f, const char *format) {
  char spec[128];
  const char *specs[] = {spec};
  snprintf(spec, sizeof spec, "%s=%s", format, f->path);
  assert_int_equal(mg_report_new(&f->report, specs, 1, &f->err), 0);
}

static struct mg_violation *violate(struct fixture *f, enum mg_outcome outcome, const char *message) {
  struct mg_violation *v = MG_NEW(&f->arena, struct mg_violation);
  mg_node spec = MG_GET(mg_root(f->doc), "spec");
  *v = (struct mg_violation){.policy = &policy, .rule = &rule, .outcome = outcome, .message = mg_str_of(message),
                             .object = mg_root(f->doc),
                             .where = {.node = mg_item(MG_GET(spec, "containers"), 0),
                                       .more = {MG_S("resources"), MG_S("limits")}}};
  *f->verdict.violations_end = v;
  f->verdict.violations_end = &v->next;
  f->verdict.counts[outcome]++;
  f->verdict.allowed &= outcome != MG_OUT_DENY;
  return v;
}

static struct mg_report_result result_of(struct fixture *f) {
  return (struct mg_report_result){.file = "a.yaml", .document = 3, .line = 2, .column = 1, .api_version = MG_S("v1"),
                                   .kind = MG_S("Pod"), .ns = MG_S("ml"), .name = MG_S("a"), .verdict = &f->verdict};
}

/* Ends the report; its text, in the arena. */
static const char *written(struct fixture *f, const char *path) {
  if (f->report) assert_int_equal(mg_report_end(f->report, &f->err), 0);
  mg_report_free(f->report);
  f->report = NULL;
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  char *text = mg_arena_zero(&f->arena, 1, 1 << 20);
  assert_non_null(text);
  size_t n = fread(text, 1, (1 << 20) - 1, file);
  assert_int_equal(strlen(text), n); /* no NUL in it */
  fclose(file);
  return text;
}

#define NOTHING "0 files, 0 objects: 0 denied, 0 warned, 0 audited, 0 mutated, 0 exempted; 0 skipped, 0 errors\n"

static void test_empty(void **state) {
  struct fixture *f = *state;
  open_report(f, "text");
  assert_string_equal(written(f, f->path), NOTHING);
  open_report(f, "json");
  assert_string_equal(written(f, f->path),
                      "{\"mlgate\":1,\n\"summary\":{\"files\":0,\"objects\":0,\"skipped\":0,\"errors\":0,\"denied\":0,"
                      "\"warned\":0,\"audited\":0,\"mutated\":0,\"exempted\":0},\n\"results\":[],\n\"exceptions\":[],"
                      "\n\"errors\":[]}\n");
}

static void test_text_finding(void **state) {
  struct fixture *f = *state;
  open_report(f, "text");
  violate(f, MG_OUT_DENY, "container \"c\" requests 8 nvidia.com/gpu and sets no limit")->fix = MG_S("resources.limits: 8");
  struct mg_report_result result = result_of(f);
  mg_report_result(f->report, &result);
  *mg_report_totals(f->report) = (struct mg_report_totals){.files = 1, .objects = 1, .outcomes = {1}};
  assert_string_equal(written(f, f->path),
                      "a.yaml:7:5: deny limits/gpuLimits: Pod ml/a\n"
                      "    spec.containers[0].resources.limits: container \"c\" requests 8 nvidia.com/gpu and sets no limit\n"
                      "    fix: resources.limits: 8\n"
                      "    docs: https://x.example/d\n"
                      "1 file, 1 object: 1 denied, 0 warned, 0 audited, 0 mutated, 0 exempted; 0 skipped, 0 errors\n");
}

static void test_text_cluster_scope_and_whole_object(void **state) {
  struct fixture *f = *state;
  open_report(f, "text");
  struct mg_violation *v = violate(f, MG_OUT_EXEMPTED, "bad name");
  struct mg_policy plain = {.name = MG_S("p")};
  v->policy = &plain, v->object = v->where.node = (mg_node){0}, v->exception = MG_S("later");
  struct mg_report_result result = result_of(f);
  result.ns = (mg_str){0};
  mg_report_result(f->report, &result);
  assert_string_equal(written(f, f->path),
                      "a.yaml:2:1: exempted p/gpuLimits: Pod a\n"
                      "    bad name\n"
                      "    exception: later\n"
                      "0 files, 1 object: 0 denied, 0 warned, 0 audited, 0 mutated, 1 exempted; 0 skipped, 0 errors\n");
}

static void test_text_warnings_and_errors(void **state) {
  struct fixture *f = *state;
  open_report(f, "text");
  struct mg_report_warning warnings[] = {{2, 1, MG_S("one")}, {8, 5, MG_S("two\nlines")}};
  struct mg_report_result result = result_of(f);
  result.warnings = warnings, result.warning_count = 2;
  mg_report_result(f->report, &result);
  mg_report_error(f->report, &(struct mg_report_error){"x.yaml", 3, 1, MG_S("no YAML")});
  mg_report_error(f->report, &(struct mg_report_error){"y\033[31m.yaml", 0, 0, MG_S("No such file or directory")});
  assert_string_equal(written(f, f->path),
                      "a.yaml:2:1: warning: Pod ml/a: one\n"
                      "a.yaml:8:5: warning: Pod ml/a: two\xEF\xBF\xBDlines\n"
                      "x.yaml:3:1: error: no YAML\n"
                      "y\xEF\xBF\xBD[31m.yaml: error: No such file or directory\n"
                      "0 files, 1 object: 0 denied, 0 warned, 0 audited, 0 mutated, 0 exempted; 0 skipped, 2 errors\n");
}

static void test_json_result(void **state) {
  struct fixture *f = *state;
  open_report(f, "json");
  violate(f, MG_OUT_WARN, "first")->fix = MG_S("do this");
  violate(f, MG_OUT_DENY, "second \"quoted\"")->exception = MG_S("e");
  mg_node spec = MG_GET(mg_root(f->doc), "spec");
  mg_patch_set(&f->verdict.patch, spec, MG_S("a/b"), mg_make_text(f->doc, MG_NUMBER, MG_S("8")));
  struct mg_report_warning warning = {2, 1, MG_S("w")};
  struct mg_report_result result = result_of(f);
  result.warnings = &warning, result.warning_count = 1;
  mg_report_result(f->report, &result);
  mg_report_result(f->report, &result);
  mg_report_totals(f->report)->files = 1;
  mg_report_totals(f->report)->skipped = 4;
  mg_report_error(f->report, &(struct mg_report_error){"x.yaml", 3, 9, MG_S("no YAML")});
  mg_report_error(f->report, &(struct mg_report_error){"y.yaml", 0, 0, MG_S("gone")});
#define AT                                                                                                                   \
  "\"path\":\"spec.containers[0].resources.limits\",\"pointer\":\"/spec/containers/0/resources/limits\",\"line\":7,\"column\":5,"
#define RESULT                                                                                                               \
  "\n  {\"file\":\"a.yaml\",\"document\":3,\"line\":2,\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"namespace\":\"ml\","              \
  "\"name\":\"a\",\"allowed\":false,\"violations\":["                                                                        \
  "{\"policy\":\"limits\",\"rule\":\"gpuLimits\",\"action\":\"warn\"," AT                                                    \
  "\"message\":\"first\",\"fix\":\"do this\",\"docs\":\"https://x.example/d\"},"                                             \
  "{\"policy\":\"limits\",\"rule\":\"gpuLimits\",\"action\":\"deny\"," AT                                                    \
  "\"message\":\"second \\\"quoted\\\"\",\"docs\":\"https://x.example/d\",\"exception\":\"e\"}],"                             \
  "\"warnings\":[\"w\"],\"patch\":[{\"op\":\"add\",\"path\":\"/spec/a~1b\",\"value\":8}]}"
  assert_string_equal(written(f, f->path),
                      "{\"mlgate\":1,\n\"summary\":{\"files\":1,\"objects\":2,\"skipped\":4,\"errors\":2,\"denied\":2,"
                      "\"warned\":0,\"audited\":0,\"mutated\":2,\"exempted\":0},\n\"results\":[" RESULT "," RESULT
                      "],\n\"exceptions\":[],\n\"errors\":["
                      "\n  {\"file\":\"x.yaml\",\"line\":3,\"column\":9,\"message\":\"no YAML\"},"
                      "\n  {\"file\":\"y.yaml\",\"line\":1,\"column\":1,\"message\":\"gone\"}]}\n");
}

/* Text of the object is cleaned; pointer, patch and file name are data. */
static void test_hostile_text(void **state) {
  struct fixture *f = *state;
  open_report(f, "json");
  struct mg_violation *v = violate(f, MG_OUT_DENY, "a\033[2Jb\xE2\x80\xAE" "c\nd\xFF");
  v->where = (struct mg_where){.node = v->object, .more = {MG_S("a\033b")}};
  v->fix = MG_S("x\r\ny");
  struct mg_report_result result = result_of(f);
  result.name = MG_S("n\xE2\x80\xAEm");
  result.kind = MG_S("P\007");
  mg_report_result(f->report, &result);
  const char *text = written(f, f->path);
  assert_non_null(strstr(text, "\"message\":\"a\xEF\xBF\xBD[2Jb\xEF\xBF\xBD" "c\xEF\xBF\xBD" "d\xEF\xBF\xBD\""));
  assert_non_null(strstr(text, "\"pointer\":\"/a\\u001bb\""));
  assert_non_null(strstr(text, "\"fix\":\"x\xEF\xBF\xBD\xEF\xBF\xBDy\""));
  assert_non_null(strstr(text, "\"name\":\"n\xEF\xBF\xBDm\""));
  assert_non_null(strstr(text, "\"kind\":\"P\xEF\xBF\xBD\""));
  open_report(f, "text");
  mg_report_result(f->report, &result);
  text = written(f, f->path);
  assert_null(strchr(text, '\033'));
  assert_null(strchr(text, '\r'));
  assert_null(strchr(text, '\007'));
  assert_null(strstr(text, "\xE2\x80\xAE"));
  assert_non_null(strstr(text, "a\xEF\xBF\xBD[2Jb\xEF\xBF\xBD" "c\xEF\xBF\xBD" "d\xEF\xBF\xBD\n"));
}

static void test_the_hardest_counts(void **state) {
  struct fixture *f = *state;
  static const struct {
    uint32_t counts[4];
    uint64_t outcomes[4];
  } cases[] = {{{0, 0, 0, 0}, {0, 0, 0, 0}}, {{3, 2, 1, 1}, {1, 0, 0, 0}}, {{0, 2, 9, 1}, {0, 1, 0, 0}},
               {{0, 0, 1, 5}, {0, 0, 1, 0}}, {{0, 0, 0, 2}, {0, 0, 0, 1}}, {{1, 0, 0, 0}, {1, 0, 0, 0}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    open_report(f, "text");
    memcpy(f->verdict.counts, cases[i].counts, sizeof cases[i].counts);
    struct mg_report_result result = result_of(f);
    mg_report_result(f->report, &result);
    struct mg_report_totals totals = *mg_report_totals(f->report);
    assert_memory_equal(totals.outcomes, cases[i].outcomes, sizeof totals.outcomes);
    assert_int_equal(totals.objects, 1);
    assert_int_equal(totals.mutated, 0);
    assert_int_equal(totals.files + totals.skipped + totals.errors, 0);
    mg_report_free(f->report);
    f->report = NULL;
  }
}

static void test_exceptions(void **state) {
  struct fixture *f = *state;
  struct mg_report_exception list[] = {
    {MG_S("held"), MG_S("2030-01-01"), MG_EXCEPTION_ACTIVE, {"p.yaml", 1, 1}},
    {MG_S("soon"), MG_S("2027-01-31"), MG_EXCEPTION_EXPIRING, {"p.yaml", 9, 1}},
    {MG_S("gone"), MG_S("2020-01-01"), MG_EXCEPTION_EXPIRED, {NULL, 0, 0}},
  };
  const char *specs[] = {mg_arena_printf(&f->arena, "text=%s", f->path).p, mg_arena_printf(&f->arena, "json=%s", f->other).p};
  assert_int_equal(mg_report_new(&f->report, specs, 2, &f->err), 0);
  for (size_t i = 0; i < 3; i++) mg_report_exception(f->report, &list[i]);
  assert_string_equal(written(f, f->path), "p.yaml:9:1: warning: Exception soon ends soon: 2027-01-31\n"
                                           ": warning: Exception gone has expired and exempts nothing: 2020-01-01\n" NOTHING);
  assert_non_null(strstr(written(f, f->other), "\"exceptions\":["
                                               "\n  {\"name\":\"held\",\"expires\":\"2030-01-01\",\"state\":\"active\"},"
                                               "\n  {\"name\":\"soon\",\"expires\":\"2027-01-31\",\"state\":\"expiring\"},"
                                               "\n  {\"name\":\"gone\",\"expires\":\"2020-01-01\",\"state\":\"expired\"}],"));
}

/* More than is held back before it is written, so that a report of any size comes out whole and in order. */
static void test_large(void **state) {
  struct fixture *f = *state;
  static char message[3000];
  memset(message, 'm', sizeof message - 1);
  const char *specs[] = {mg_arena_printf(&f->arena, "text=%s", f->path).p, mg_arena_printf(&f->arena, "json=%s", f->other).p};
  assert_int_equal(mg_report_new(&f->report, specs, 2, &f->err), 0);
  violate(f, MG_OUT_AUDIT, message);
  for (int i = 0; i < 100; i++) {
    struct mg_report_result result = result_of(f);
    result.name = mg_arena_printf(&f->arena, "name-%d.", i);
    mg_report_result(f->report, &result);
  }
  for (int pass = 0; pass < 2; pass++) {
    const char *text = written(f, pass ? f->other : f->path), *at = text;
    for (int i = 0; i < 100; i++) {
      at = strstr(at, mg_arena_printf(&f->arena, "name-%d.", i).p);
      assert_non_null(at);
    }
    assert_true(strlen(text) > 300000);
    assert_non_null(strstr(text, pass ? "\"audited\":100" : "100 audited"));
  }
}

static int open_with(struct fixture *f, const char *a, const char *b) {
  const char *specs[] = {a, b};
  f->err = (struct mg_err){0};
  int code = mg_report_new(&f->report, specs, b ? 2 : 1, &f->err);
  if (code < 0) assert_null(f->report);
  mg_report_free(f->report);
  f->report = NULL;
  return code;
}

static void test_specs(void **state) {
  struct fixture *f = *state;
  assert_int_equal(open_with(f, "jsn", NULL), MG_E_USAGE);
  assert_string_equal(f->err.text, "--format: there is no format \"jsn\"; there are text, json, sarif, junit, github, gitlab, "
                      "markdown, html; did you mean \"json\"?");
  assert_int_equal(open_with(f, "", NULL), MG_E_USAGE);
  assert_int_equal(open_with(f, "text=", NULL), MG_E_USAGE);
  assert_int_equal(open_with(f, "=x", NULL), MG_E_USAGE);
  assert_int_equal(open_with(f, "text", "json"), MG_E_USAGE);
  assert_non_null(strstr(f->err.text, "--format json=FILE"));
  assert_int_equal(open_with(f, "text", "json=-"), MG_E_USAGE);
  assert_non_null(strstr(f->err.text, "only one report can go to standard output"));
  assert_int_equal(open_with(f, "text=/nowhere/at/all", NULL), MG_E_IO);
  assert_int_equal(open_with(f, "json", NULL), 0);
  const char *one = mg_arena_printf(&f->arena, "sarif=%s", f->path).p, *again = mg_arena_printf(&f->arena, "html=%s", f->path).p;
  assert_int_equal(open_with(f, one, again), MG_E_USAGE);
  assert_non_null(strstr(f->err.text, "two reports for "));
  assert_int_equal(open_with(f, "sarif=/dev/null", "html=/dev/null"), 0);
  assert_int_equal(mg_report_new(&f->report, NULL, 0, &f->err), 0);
  mg_report_free(NULL);
}

static void test_too_many_specs(void **state) {
  struct fixture *f = *state;
  const char *specs[MG_REPORT_FORMATS_MAX + 1];
  for (size_t i = 0; i <= MG_REPORT_FORMATS_MAX; i++) specs[i] = "text=/dev/null";
  assert_int_equal(mg_report_new(&f->report, specs, MG_REPORT_FORMATS_MAX + 1, &f->err), MG_E_USAGE);
  assert_int_equal(mg_report_new(&f->report, specs, MG_REPORT_FORMATS_MAX, &f->err), 0);
}

static void test_a_full_disk(void **state) {
  struct fixture *f = *state;
  const char *specs[] = {"text=/dev/full", NULL};
  specs[1] = mg_arena_printf(&f->arena, "json=%s", f->path).p;
  assert_int_equal(mg_report_new(&f->report, specs, 2, &f->err), 0);
  violate(f, MG_OUT_DENY, "m");
  struct mg_report_result result = result_of(f);
  mg_report_result(f->report, &result);
  assert_int_equal(mg_report_end(f->report, &f->err), MG_E_IO);
  assert_string_equal(f->err.text, "the text report cannot be written: No space left on device");
  mg_report_free(f->report);
  f->report = NULL;
  assert_non_null(strstr(written(f, f->path), "\"denied\":1")); /* the other one is whole */
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(mg_report_format_names[0], "text");
  assert_string_equal(mg_report_format_names[1], "json");
  size_t n = 0;
  while (mg_report_format_names[n]) n++;
  assert_int_equal(n, 8);
  assert_string_equal(MG_FORMAT_WORDS, " text json sarif junit github gitlab markdown html");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
    cmocka_unit_test_setup_teardown(test_text_finding, setup, teardown),
    cmocka_unit_test_setup_teardown(test_text_cluster_scope_and_whole_object, setup, teardown),
    cmocka_unit_test_setup_teardown(test_text_warnings_and_errors, setup, teardown),
    cmocka_unit_test_setup_teardown(test_json_result, setup, teardown),
    cmocka_unit_test_setup_teardown(test_hostile_text, setup, teardown),
    cmocka_unit_test_setup_teardown(test_the_hardest_counts, setup, teardown),
    cmocka_unit_test_setup_teardown(test_exceptions, setup, teardown),
    cmocka_unit_test_setup_teardown(test_large, setup, teardown),
    cmocka_unit_test_setup_teardown(test_specs, setup, teardown),
    cmocka_unit_test_setup_teardown(test_too_many_specs, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_full_disk, setup, teardown),
    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
