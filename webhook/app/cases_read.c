/* Test documents out of files and directories, among whatever else is there. */
#include "app/cases.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "app/inputs.h"
#include "doc/yaml.h"
#include "policy/documents.h"

mg_str mg_case_path(struct mg_arena *arena, const struct mg_case_file *file, mg_str name) {
  const char *slash = strrchr(file->path, '/');
  if (name.n && name.p[0] == '/') return mg_arena_dup(arena, name);
  if (slash) return mg_arena_printf(arena, "%.*s/%.*s", (int)(slash - file->path), file->path, MG_FMT(name));
  return mg_arena_printf(arena, "%s%.*s", mg_str_is(name, "-") ? "./" : "", MG_FMT(name)); /* "-" is a name like any other */
}

static void add_trouble(struct mg_cases *cases, const char *file, const struct mg_err *why) {
  struct mg_case_trouble *t = MG_NEW(&cases->arena, struct mg_case_trouble);
  cases->trouble_count++;
  if (!t) return;
  *t = (struct mg_case_trouble){NULL, file, why->line, why->column, mg_arena_dup(&cases->arena, mg_str_of(why->text))};
  *cases->troubles_end = t;
  cases->troubles_end = &t->next;
}

static int add_test(struct mg_cases *cases, const struct mg_test *test, struct mg_case_file *file, struct mg_err *err) {
  struct mg_case_test *tests = mg_arena_room(&cases->arena, cases->tests, &cases->cap, cases->count, sizeof *tests);
  if (!tests) return mg_err_nomem(err);
  cases->tests = tests;
  tests[cases->count++] = (struct mg_case_test){*test, file};
  cases->cases += test->cases.count;
  if (cases->cases > MG_CASES_MAX) return mg_err_set(err, MG_E_LIMIT, "more than %d cases", MG_CASES_MAX);
  return 0;
}

/* A Test, or what was meant to be one: its apiVersion may be missing or wrong, which is then told. */
static bool is_test(mg_node root) {
  mg_str api_version = mg_string(MG_GET(root, "apiVersion")), kind = mg_string(MG_GET(root, "kind"));
  if (!mg_str_is(kind, "Test")) return false;
  return mg_str_starts(api_version, MG_S("mlgate.dev/")) || mg_missing(MG_GET(root, "apiVersion"));
}

/* Of our own group, but no kind of it: a Test that is misspelt would else be silently left out. */
static void check_other(struct mg_cases *cases, mg_node root) {
  mg_str api_version = mg_string(MG_GET(root, "apiVersion"));
  mg_node kind = MG_GET(root, "kind");
  if (!mg_str_starts(api_version, MG_S("mlgate.dev/")) || mg_document_kind_of(mg_text(kind))) return;
  mg_str hint = mg_document_kind_hint(&cases->arena, mg_text(kind));
  mg_diag_error(&cases->diags, kind.at ? kind : root, MG_AT_VALUE, "unknown kind \"%.*s\" of %.*s%.*s", MG_FMT(mg_text(kind)),
                MG_FMT(api_version), MG_FMT(hint));
}

static int take_test(struct mg_cases *cases, struct mg_case_file *file, mg_node root, struct mg_err *err) {
  struct mg_load load = {.diags = &cases->diags, .arena = &cases->arena, .owner = &cases->patterns};
  struct mg_test test;
  mg_node version = MG_GET(root, "apiVersion");
  if (version.at && !mg_str_is(mg_string(version), "mlgate.dev/v1")) {
    mg_diag_error(&cases->diags, version, MG_AT_VALUE, "unknown version \"%.*s\"; this is mlgate.dev/v1",
                  MG_FMT(mg_text(version)));
    return 0;
  }
  return mg_test_read(&load, root, &test) ? add_test(cases, &test, file, err) : 0;
}

static void tell_duplicates(struct mg_cases *cases, const struct mg_case_file *file, const struct mg_duplicate *d, mg_node root) {
  for (; d; d = d->next)
    if (d->again >= mg_cell_of(root)->start && d->again < mg_cell_of(root)->end)
      mg_diag_duplicate(&cases->diags, file->path, file->text, d, true);
}

static int read_file(struct mg_cases *cases, const struct mg_input *input, struct mg_buf *buf, struct mg_err *err) {
  struct mg_err why = {0};
  struct mg_file_doc *docs = NULL;
  struct mg_read how = mg_manifest_reading(input->path);
  int code = input->problem ? mg_err_set(&why, MG_E_IO, "%s", input->problem) : mg_input_read(input->path, buf, &why);
  if (code < 0) {
    add_trouble(cases, input->path, &why);
    return 0;
  }
  cases->files++;
  struct mg_case_file *file = MG_NEW(&cases->arena, struct mg_case_file);
  if (!file) return mg_err_nomem(err);
  *file = (struct mg_case_file){.path = input->path, .text = mg_arena_dup(&cases->arena, mg_buf_str(buf))};
  if (mg_yaml_read(&docs, &cases->arena, file->text, &how, &why) < 0) {
    add_trouble(cases, input->path, &why);
    return 0;
  }
  for (code = 0; docs && code == 0; docs = docs->next) {
    mg_node root = mg_root(&docs->doc);
    if (!is_test(root)) {
      check_other(cases, root);
      continue;
    }
    tell_duplicates(cases, file, how.duplicates, root);
    code = take_test(cases, file, root, err);
  }
  return code;
}

/* ---- names ---- */

/* Of one name, the one that was read first stands first. */
static int by_name(const void *a, const void *b) {
  const struct mg_case_test *x = *(const struct mg_case_test *const *)a, *y = *(const struct mg_case_test *const *)b;
  int order = mg_str_cmp(x->test.ns, y->test.ns);
  if (order == 0) order = mg_str_cmp(x->test.name, y->test.name);
  return order ? order : x < y ? -1 : 1;
}

static bool is_namesake(const struct mg_case_test *a, const struct mg_case_test *b) {
  return mg_str_eq(a->test.name, b->test.name) && mg_str_eq(a->test.ns, b->test.ns);
}

/* The command line may name a file twice, or a directory and a file in it. */
static bool is_read_again(const struct mg_case_file *a, const struct mg_case_file *b) {
  struct stat x, y;
  if (a == b) return false;
  if (strcmp(a->path, b->path) == 0) return true;
  return stat(a->path, &x) == 0 && stat(b->path, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static mg_node name_of(const struct mg_case_test *test) {
  return MG_GET(MG_GET(test->test.at, "metadata"), "name");
}

/* As policy files are held to account, where Tests may stand too. */
static void check_names(struct mg_cases *cases) {
  const struct mg_case_test **all = MG_NEW_N(&cases->arena, const struct mg_case_test *, cases->count + 1);
  if (!all) return;
  for (size_t i = 0; i < cases->count; i++) all[i] = &cases->tests[i];
  qsort(all, cases->count, sizeof *all, by_name);
  for (size_t i = 1, first = 0; i < cases->count; i++) {
    const struct mg_case_test *test = all[i];
    if (!is_namesake(test, all[first])) first = i;
    if (first == i || is_read_again(test->file, all[first]->file)) continue;
    mg_diag_second(&cases->diags, name_of(test), name_of(all[first]), "Test \"%.*s\"", MG_FMT(test->test.name));
  }
}

int mg_cases_read(struct mg_cases *cases, const struct mg_strings *paths, struct mg_err *err) {
  MG_BUF_AUTO buf;
  mg_arena_init(&cases->arena, MG_CASES_ARENA, 0);
  mg_diags_init(&cases->diags, &cases->arena);
  cases->troubles_end = &cases->troubles;
  struct mg_inputs inputs = {.arena = &cases->arena};
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  int code = 0;
  for (size_t i = 0; i < paths->count && code == 0; i++) code = mg_inputs_add(&inputs, paths->items[i], err);
  for (size_t i = 0; i < inputs.count && code == 0; i++) code = read_file(cases, &inputs.items[i], &buf, err);
  if (code == 0) check_names(cases);
  if (code == 0 && cases->arena.failed) code = mg_err_nomem(err);
  return code;
}

void mg_cases_fini(struct mg_cases *cases) {
  mg_pattern_owner_free(&cases->patterns);
  mg_arena_fini(&cases->arena);
}
