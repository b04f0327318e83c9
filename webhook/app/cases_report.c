/* What became of the cases: for people, as JUnit, as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "app/cases.h"
#include "base/write.h"
#include "report/markup.h"
#include "report/report.h"

#define TEXT_MAX ((size_t)512 << 20)

static const char *const state_words[MG_CASE_STATES] = {"passed", "failed", "updated", "error"};

/* Everything that a report is made of. */
struct told {
  const struct mg_cases *cases;
  const struct mg_case_result *results;
  size_t count;
  const struct mg_case_totals *totals;
};

static struct mg_pos place_of(const struct mg_case_result *r) {
  struct mg_pos pos = {0};
  if (!mg_value_pos(r->c->at, &pos)) pos.line = pos.column = 1;
  return pos;
}

/* The results of one test stand together. */
static size_t same_test(const struct told *t, size_t from) {
  size_t to = from;
  while (to < t->count && t->results[to].test == t->results[from].test) to++;
  return to;
}

static size_t count_of(const struct told *t, size_t from, size_t to, enum mg_case_state state) {
  size_t n = 0;
  for (size_t i = from; i < to; i++) n += t->results[i].state == state;
  return n;
}

/* ---- text ---- */

static void put_indented(struct mg_buf *out, mg_str lines) {
  while (lines.n) {
    mg_buf_lit(out, "    ");
    mg_buf_put(out, mg_str_cut(&lines, '\n'));
    mg_buf_byte(out, '\n');
  }
}

static void text_result(struct mg_buf *out, const struct mg_case_result *r) {
  static const char *const words[MG_CASE_STATES] = {"note", "FAIL", "updated", "ERROR"};
  struct mg_pos pos = place_of(r);
  if (r->state == MG_CASE_PASSED && !r->note.n) return;
  mg_buf_printf(out, "%s ", words[r->state]);
  mg_buf_clean(out, mg_str_of(r->test->file->path));
  mg_buf_printf(out, ":%u:%u: ", pos.line, pos.column);
  mg_buf_clean(out, r->test->test.name);
  mg_buf_lit(out, ": ");
  mg_buf_clean(out, r->c->name);
  mg_buf_byte(out, '\n');
  if (r->error.n) {
    mg_buf_lit(out, "    ");
    mg_buf_clean(out, r->error);
    mg_buf_byte(out, '\n');
  }
  for (const struct mg_case_problem *p = r->problems; p; p = p->next) put_indented(out, p->text);
  if (r->note.n) {
    mg_buf_lit(out, "    ");
    mg_buf_clean(out, r->note);
    mg_buf_byte(out, '\n');
  }
}

static void put_count(struct mg_buf *out, size_t n, const char *one) {
  mg_buf_printf(out, "%zu %s%s", n, one, n == 1 ? "" : "s");
}

static void as_text(struct mg_buf *out, const struct told *t) {
  const struct mg_case_totals *totals = t->totals;
  for (const struct mg_case_trouble *e = t->cases->troubles; e; e = e->next) {
    mg_buf_lit(out, "ERROR ");
    mg_buf_clean(out, mg_str_of(e->file));
    if (e->line) mg_buf_printf(out, ":%u:%u", e->line, e->column);
    mg_buf_lit(out, ": ");
    mg_buf_clean(out, e->text);
    mg_buf_byte(out, '\n');
  }
  for (size_t from = 0, to; from < t->count; from = to) {
    to = same_test(t, from);
    if (count_of(t, from, to, MG_CASE_PASSED) == to - from) {
      mg_buf_lit(out, "ok ");
      mg_buf_clean(out, mg_str_of(t->results[from].test->file->path));
      mg_buf_lit(out, ": ");
      mg_buf_clean(out, t->results[from].test->test.name);
      mg_buf_lit(out, ": ");
      put_count(out, to - from, "case");
      mg_buf_byte(out, '\n');
    }
    for (size_t i = from; i < to; i++) text_result(out, &t->results[i]);
  }
  put_count(out, totals->files, "file");
  mg_buf_lit(out, ", ");
  put_count(out, totals->tests, "test");
  mg_buf_lit(out, ", ");
  put_count(out, t->count, "case");
  mg_buf_printf(out, ": %zu passed, %zu failed", totals->by_state[MG_CASE_PASSED], totals->by_state[MG_CASE_FAILED]);
  if (totals->by_state[MG_CASE_UPDATED]) mg_buf_printf(out, ", %zu updated", totals->by_state[MG_CASE_UPDATED]);
  if (totals->errors) mg_buf_lit(out, ", "), put_count(out, totals->errors, "error");
  if (totals->left_out) mg_buf_printf(out, "; %zu left out by --run", totals->left_out);
  mg_buf_byte(out, '\n');
}

/* ---- JUnit ---- */

static void put_lines(struct mg_buf *out, mg_str s) {
  while (s.n) {
    size_t n = mg_str_find(s, '\n');
    mg_buf_markup(out, (mg_str){s.p, n});
    if (n < s.n) mg_buf_byte(out, '\n');
    s = mg_str_from(s, n + 1);
  }
}

static void put_seconds(struct mg_buf *out, uint64_t ns) {
  mg_buf_printf(out, " time=\"%" PRIu64 ".%06" PRIu64 "\"", ns / 1000000000, ns % 1000000000 / 1000);
}

static uint64_t time_of(const struct told *t, size_t from, size_t to) {
  uint64_t ns = 0;
  for (size_t i = from; i < to; i++) ns += t->results[i].ns;
  return ns;
}

static void junit_case(struct mg_buf *out, const struct mg_case_result *r) {
  struct mg_pos pos = place_of(r);
  bool broken = r->state == MG_CASE_BROKEN;
  mg_buf_lit(out, "    <testcase classname=\"");
  mg_buf_markup(out, mg_str_of(r->test->file->path));
  mg_buf_lit(out, "\" name=\"");
  mg_buf_markup(out, r->c->name);
  mg_buf_byte(out, '"');
  put_seconds(out, r->ns);
  if (r->state != MG_CASE_FAILED && !broken) {
    mg_buf_lit(out, "/>\n");
    return;
  }
  mg_str first = broken ? r->error : r->problems->text;
  first.n = mg_str_find(first, '\n');
  mg_buf_printf(out, ">\n      <%s type=\"%s\" message=\"", broken ? "error" : "failure", broken ? "error" : r->problems->key);
  mg_buf_markup(out, first);
  mg_buf_lit(out, "\">");
  mg_buf_markup(out, mg_str_of(r->test->file->path));
  mg_buf_printf(out, ":%u:%u\n", pos.line, pos.column);
  if (broken) mg_buf_markup(out, r->error);
  if (broken && r->problems) mg_buf_byte(out, '\n');
  for (const struct mg_case_problem *p = r->problems; p; p = p->next) {
    put_lines(out, p->text);
    if (p->next) mg_buf_byte(out, '\n');
  }
  mg_buf_printf(out, "</%s>\n    </testcase>\n", broken ? "error" : "failure");
}

static void junit_trouble(struct mg_buf *out, const struct mg_case_trouble *e) {
  mg_buf_lit(out, "    <testcase classname=\"");
  mg_buf_markup(out, mg_str_of(e->file));
  mg_buf_lit(out, "\" name=\"can be read\" time=\"0\">\n      <error type=\"error\" message=\"");
  mg_buf_markup(out, e->text);
  mg_buf_lit(out, "\">");
  mg_buf_markup(out, mg_str_of(e->file));
  mg_buf_printf(out, ":%u:%u</error>\n    </testcase>\n", e->line, e->column);
}

static void junit_suite(struct mg_buf *out, size_t tests, size_t failures, size_t errors, uint64_t ns) {
  mg_buf_printf(out, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\"", tests, failures, errors);
  put_seconds(out, ns);
  mg_buf_lit(out, ">\n");
}

static void as_junit(struct mg_buf *out, const struct told *t) {
  size_t troubles = t->cases->trouble_count;
  mg_buf_lit(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"mlgate test\">\n");
  if (troubles) {
    mg_buf_lit(out, "  <testsuite name=\"files");
    junit_suite(out, troubles, 0, troubles, 0);
    for (const struct mg_case_trouble *e = t->cases->troubles; e; e = e->next) junit_trouble(out, e);
    mg_buf_lit(out, "  </testsuite>\n");
  }
  for (size_t from = 0, to; from < t->count; from = to) {
    to = same_test(t, from);
    mg_buf_lit(out, "  <testsuite name=\"");
    mg_buf_markup(out, t->results[from].test->test.name);
    junit_suite(out, to - from, count_of(t, from, to, MG_CASE_FAILED), count_of(t, from, to, MG_CASE_BROKEN),
                time_of(t, from, to));
    for (size_t i = from; i < to; i++) junit_case(out, &t->results[i]);
    mg_buf_lit(out, "  </testsuite>\n");
  }
  mg_buf_lit(out, "</testsuites>\n");
}

/* ---- JSON ---- */

static void put_json(struct mg_buf *out, const char *key, mg_str value) {
  mg_buf_printf(out, ",\"%s\":", key);
  mg_buf_json_clean(out, value);
}

static void json_problem(struct mg_buf *out, const struct mg_case_problem *p) {
  mg_buf_printf(out, "{\"key\":\"%s\",\"expected\":", p->key);
  mg_buf_put(out, p->expected);
  mg_buf_lit(out, ",\"actual\":");
  mg_buf_put(out, p->actual);
  mg_buf_printf(out, ",\"updated\":%s,\"text\":", p->mended ? "true" : "false");
  mg_buf_json(out, p->text); /* its lines are clean */
  mg_buf_byte(out, '}');
}

static void json_result(struct mg_buf *out, const struct mg_case_result *r) {
  struct mg_pos pos = place_of(r);
  mg_buf_printf(out, "{\"status\":\"%s\"", state_words[r->state]);
  put_json(out, "file", mg_str_of(r->test->file->path));
  mg_buf_printf(out, ",\"line\":%u,\"column\":%u", pos.line, pos.column);
  put_json(out, "test", r->test->test.name);
  put_json(out, "case", r->c->name);
  if (r->error.n) put_json(out, "error", r->error);
  if (r->note.n) put_json(out, "note", r->note);
  mg_buf_lit(out, ",\"problems\":[");
  for (const struct mg_case_problem *p = r->problems; p; p = p->next) {
    json_problem(out, p);
    if (p->next) mg_buf_byte(out, ',');
  }
  mg_buf_lit(out, "]}");
}

static void json_trouble(struct mg_buf *out, const struct mg_case_trouble *e) {
  mg_buf_printf(out, "{\"line\":%u,\"column\":%u", e->line, e->column);
  put_json(out, "file", mg_str_of(e->file));
  put_json(out, "message", e->text);
  mg_buf_byte(out, '}');
}

static void as_json(struct mg_buf *out, const struct told *t) {
  const struct mg_case_totals *totals = t->totals;
  mg_buf_printf(out, "{\"mlgate\":1,\n \"summary\":{\"files\":%zu,\"tests\":%zu,\"cases\":%zu", totals->files, totals->tests,
                t->count);
  for (int i = 0; i < MG_CASE_BROKEN; i++) mg_buf_printf(out, ",\"%s\":%zu", state_words[i], totals->by_state[i]);
  mg_buf_printf(out, ",\"errors\":%zu,\"leftOut\":%zu},\n \"results\":[", totals->errors, totals->left_out);
  for (size_t i = 0; i < t->count; i++) {
    mg_buf_put(out, i ? MG_S(",\n  ") : MG_S("\n  "));
    json_result(out, &t->results[i]);
  }
  mg_buf_lit(out, "],\n \"errors\":[");
  for (const struct mg_case_trouble *e = t->cases->troubles; e; e = e->next) {
    json_trouble(out, e);
    if (e->next) mg_buf_byte(out, ',');
  }
  mg_buf_lit(out, "]}\n");
}

/* ---- where they go ---- */

static const struct form {
  const char *name;
  void (*write)(struct mg_buf *out, const struct told *told);
} forms[] = {{"text", as_text}, {"junit", as_junit}, {"json", as_json}};
#define FORMS (sizeof forms / sizeof *forms)

struct mg_case_output {
  struct mg_case_output *next;
  const struct form *form;
  struct mg_output to;
};

static int unknown_form(struct mg_arena *arena, mg_str name, struct mg_err *err) {
  const char *words[FORMS + 1] = {NULL};
  for (size_t i = 0; i < FORMS; i++) words[i] = forms[i].name;
  mg_str hint = mg_did_you_mean(arena, name, words);
  return mg_err_set(err, MG_E_USAGE, "--format: there is no format \"%.*s\"; there are text, junit, json%.*s", MG_FMT(name),
                    MG_FMT(hint));
}

static int open_output(struct mg_case_output **list, struct mg_arena *arena, const char *spec, struct mg_err *err) {
  mg_str name;
  const char *file = mg_report_file(spec, &name);
  struct mg_case_output *out = MG_NEW(arena, struct mg_case_output);
  if (!out) return mg_err_nomem(err);
  *out = (struct mg_case_output){.next = *list};
  for (size_t i = 0; i < FORMS; i++)
    if (mg_str_is(name, forms[i].name)) out->form = &forms[i];
  if (!out->form) return unknown_form(arena, name, err);
  for (const struct mg_case_output *o = *list; o && !file; o = o->next)
    if (o->to.fd == STDOUT_FILENO)
      return mg_err_set(err, MG_E_USAGE, "--format: only one report can go to standard output; write --format %s=FILE",
                        out->form->name);
  if (file && !*file) return mg_err_set(err, MG_E_USAGE, "--format: no file behind \"%s\"", spec);
  if (mg_output_open(&out->to, file) < 0) return mg_err_set(err, MG_E_IO, "--format: %s: %s", file, strerror(errno));
  *list = out;
  return 0;
}

int mg_case_outputs_open(struct mg_case_output **ret, struct mg_arena *arena, const struct mg_strings *specs,
                         struct mg_err *err) {
  int code = specs->count ? 0 : open_output(ret, arena, "text", err);
  for (size_t i = 0; i < specs->count && code == 0; i++) code = open_output(ret, arena, specs->items[i], err);
  return code;
}

int mg_case_outputs_write(struct mg_case_output *outputs, const struct mg_cases *cases, const struct mg_case_result *results,
                          size_t count, const struct mg_case_totals *totals, struct mg_err *err) {
  const struct told told = {cases, results, count, totals};
  int code = 0;
  for (; outputs; outputs = outputs->next) {
    MG_BUF_AUTO text;
    mg_buf_init(&text, NULL, TEXT_MAX);
    outputs->form->write(&text, &told);
    if (text.failed) code = mg_err_set(err, MG_E_NOMEM, "the %s report is too large, or out of memory", outputs->form->name);
    else if (mg_output_write(&outputs->to, mg_buf_str(&text)) < 0)
      code = mg_err_set(err, MG_E_IO, "the %s report cannot be written: %s", outputs->form->name, strerror(errno));
  }
  return code;
}

void mg_case_outputs_close(struct mg_case_output *outputs) {
  for (; outputs; outputs = outputs->next) mg_output_close(&outputs->to);
}
