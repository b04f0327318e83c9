/* A file of Tests. Its cases are judged, all but those that name files; then each is asked again for just what came of it, which
 * must hold, and for the opposite, which must not. */
#include <stdlib.h>
#include <string.h>

#include "app/cases.h"
#include "fuzz.h"

#define NOW INT64_C(1800000000)

/* What is wrong with a file is told with its place; false: something is. */
static bool read_cases(struct mg_cases *cases, const char *path) {
  struct mg_err err = {0};
  *cases = (struct mg_cases){0};
  FUZZ_CHECK(mg_cases_read(cases, &(struct mg_strings){&path, 1}, &err) == 0, "%s", err.text);
  for (const struct mg_case_trouble *t = cases->troubles; t; t = t->next) fuzz_check_clean(t->text, "a trouble");
  fuzz_check_diags(&cases->diags);
  return !cases->diags.error_count && !cases->trouble_count;
}

static bool names_files(const struct mg_case *c) {
  return mg_is(c->object, MG_STRING) || mg_is(c->old_object, MG_STRING) || mg_is(c->expect.patched, MG_STRING);
}

static void check_problem(const struct mg_case_problem *p) {
  FUZZ_CHECK(p->key && p->text.n, "a problem without a word");
  json_decref(fuzz_check_json(p->expected, "what was expected"));
  json_decref(fuzz_check_json(p->actual, "what came"));
  for (mg_str rest = p->text; rest.n; rest = mg_str_from(rest, mg_str_find(rest, '\n') + 1))
    fuzz_check_clean((mg_str){rest.p, mg_str_find(rest, '\n')}, "a line");
}

static struct mg_case_actual run(struct mg_cases *cases, const struct mg_snapshot *snapshot, const struct mg_case_test *test,
                                 const struct mg_case *c, struct mg_case_result *result) {
  *result = (struct mg_case_result){.test = test, .c = c};
  struct mg_case_work work = {.snapshot = snapshot, .now = NOW, .arena = fuzz_arena(2), .keep = &cases->arena, .result = result};
  struct mg_err err = {0};
  FUZZ_CHECK(mg_case_run(&work, &err) == 0, "%s", err.text);
  bool broken = result->state == MG_CASE_BROKEN;
  FUZZ_CHECK(broken == (result->error.n > 0), "broken without a word, or with one and not");
  FUZZ_CHECK(broken || (result->state == MG_CASE_FAILED) == (result->problems != NULL), "a problem, and yet passed");
  for (const struct mg_case_problem *p = result->problems; p; p = p->next) check_problem(p);
  return work.actual;
}

/* ---- asked again ---- */

static json_t *json_of(mg_node n) {
  struct mg_arena *arena = fuzz_arena(3);
  mg_str text = mg_json_text(arena, n);
  return json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL); /* NULL: what jansson cannot hold */
}

/* Takes the case and the expectation. */
static void add(json_t *list, const json_t *c, const char *name, json_t *expect) {
  json_t *copy = json_deep_copy(c);
  json_object_set_new(copy, "name", json_string(name));
  json_object_set_new(copy, "expect", expect);
  json_array_append_new(list, copy);
}

static json_t *truth(const struct mg_case_actual *actual) {
  json_t *violations = json_array(), *patched = actual->patched ? json_of(actual->object) : json_null();
  for (uint32_t i = 0; i < actual->violation_count; i++)
    json_array_append_new(violations, json_stringn(actual->violations[i].p, actual->violations[i].n));
  return json_pack("{s:b,s:o,s:o*}", "allowed", actual->allowed, "violations", violations, "patched", patched);
}

static bool read_list(struct mg_cases *cases, json_t *list) {
  json_t *test = json_pack("{s:s,s:s,s:{s:s},s:o}", "apiVersion", "mlgate.dev/v1", "kind", "Test", "metadata", "name", "t",
                           "cases", list);
  char *text = json_dumps(test, JSON_COMPACT);
  FUZZ_CHECK(text, "no text");
  bool good = read_cases(cases, fuzz_file(1, mg_str_of(text)));
  free(text);
  json_decref(test);
  return good && cases->count == 1;
}

static void check_truth(const struct mg_snapshot *snapshot, json_t *c) {
  struct mg_cases first, second;
  struct mg_case_result result;
  json_t *once = json_array(), *twice = json_array();
  add(once, c, "a", json_pack("{s:b}", "allowed", true));
  if (read_list(&first, once)) { /* else a number is another one to jansson */
    struct mg_case_actual actual = run(&first, snapshot, first.tests, first.tests->test.cases.items, &result);
    if (result.state != MG_CASE_BROKEN) {
      add(twice, c, "same", truth(&actual));
      add(twice, c, "other", json_pack("{s:b}", "allowed", !actual.allowed));
      FUZZ_CHECK(read_list(&second, twice), "what came of it cannot be expected");
      const struct mg_case *cases = second.tests->test.cases.items;
      run(&second, snapshot, second.tests, &cases[0], &result);
      if (result.problems) FUZZ_FAIL("came once, and not again: %.*s", MG_FMT(result.problems->text));
      FUZZ_CHECK(result.state == MG_CASE_PASSED, "%.*s", MG_FMT(result.error));
      run(&second, snapshot, second.tests, &cases[1], &result);
      FUZZ_CHECK(result.problems && !result.problems->next && strcmp(result.problems->key, "allowed") == 0, "both hold");
      mg_cases_fini(&second);
      twice = NULL;
    }
  }
  json_decref(twice);
  mg_cases_fini(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct mg_snapshot *snapshot = fuzz_pack((unsigned)(size % FUZZ_PACKS));
  struct mg_cases cases;
  struct mg_case_result result;
  bool good = read_cases(&cases, fuzz_file(0, (mg_str){(const char *)data, size}));
  for (size_t t = 0; good && t < cases.count; t++) {
    for (uint32_t i = 0; i < cases.tests[t].test.cases.count; i++) {
      const struct mg_case *c = &MG_LIST_AT(cases.tests[t].test.cases, struct mg_case, i);
      if (names_files(c)) continue;
      run(&cases, snapshot, &cases.tests[t], c, &result);
      json_t *json = json_of(c->at);
      if (json) check_truth(snapshot, json);
      json_decref(json);
    }
  }
  mg_cases_fini(&cases);
  return 0;
}
