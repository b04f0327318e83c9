/* JUnit XML in the dialect that Jenkins, GitLab and the like read: a file is a suite, an object a case, what could not be read an
 * error. A case fails if the object is denied; where only exceptions spare it, it is skipped. */
#include <inttypes.h>

#include "report/markup.h"
#include "report/words.h"

enum part { CASES, FILE_NAME };
enum { TESTS, FAILURES, ERRORS, SKIPPED }; /* of sink->counts */

static void attribute(struct mg_sink *sink, const char *name, mg_str text) {
  struct mg_buf *to = &sink->parts[CASES];
  mg_buf_printf(to, " %s=\"", name);
  mg_buf_markup(to, text);
  mg_buf_byte(to, '"');
}

static void close_suite(struct mg_sink *sink) {
  struct mg_buf *out = &sink->out;
  if (!sink->counts[TESTS]) return;
  mg_buf_lit(out, "<testsuite name=\"");
  mg_buf_markup(out, mg_buf_str(&sink->parts[FILE_NAME]));
  mg_buf_printf(out, "\" tests=\"%" PRIu64 "\" failures=\"%" PRIu64 "\" errors=\"%" PRIu64 "\" skipped=\"%" PRIu64 "\">\n",
                sink->counts[TESTS], sink->counts[FAILURES], sink->counts[ERRORS], sink->counts[SKIPPED]);
  mg_sink_write(sink, out);
  mg_sink_write(sink, &sink->parts[CASES]);
  mg_buf_lit(out, "</testsuite>\n");
  memset(sink->counts, 0, sizeof sink->counts);
}

static void head(struct mg_sink *sink) {
  static const char first[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"mlgate\">\n";
  if (!sink->begun) mg_buf_put(&sink->out, mg_str_of(first));
  sink->begun = true;
}

static void open_case(struct mg_sink *sink, const char *file, mg_str name) {
  struct mg_buf *suite = &sink->parts[FILE_NAME];
  head(sink);
  if (sink->counts[TESTS] && !mg_str_is(mg_buf_str(suite), file)) close_suite(sink);
  suite->n = 0;
  mg_buf_put(suite, mg_str_of(file));
  sink->counts[TESTS]++;
  mg_buf_lit(&sink->parts[CASES], "  <testcase");
  attribute(sink, "name", name);
  attribute(sink, "classname", mg_str_of(file));
}

static void line(struct mg_sink *sink, const char *label, mg_str text) {
  struct mg_buf *to = &sink->parts[CASES];
  if (!text.n) return;
  mg_buf_printf(to, "    %s", label);
  mg_buf_markup(to, text);
  mg_buf_byte(to, '\n');
}

/* As text says it. */
static void finding(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_buf *to = &sink->parts[CASES];
  struct mg_pos pos;
  bool placed = mg_pos(v->where.node, &pos);
  mg_buf_markup(to, mg_str_of(r->file));
  mg_buf_printf(to, ":%u:%u: %s ", placed ? pos.line : r->line, placed ? pos.column : r->column, mg_outcome_words[v->outcome]);
  mg_buf_markup(to, mg_say_rule(sink, v));
  mg_buf_byte(to, '\n');
  line(sink, "", mg_say_finding(sink, v));
  line(sink, "fix: ", v->fix);
  line(sink, "docs: ", v->policy->docs);
  line(sink, "", mg_say_excuse(sink, v));
}

/* Those who show results read one failure of a case: the first finding names it, and all are told. */
static void failure(struct mg_sink *sink, const struct mg_report_result *r) {
  struct mg_buf *to = &sink->parts[CASES];
  const struct mg_violation *first = r->verdict->violations;
  while (first && first->outcome != MG_OUT_DENY) first = first->next;
  if (!first) return;
  sink->counts[FAILURES]++;
  mg_buf_lit(to, "    <failure");
  attribute(sink, "type", mg_say_rule(sink, first));
  mg_buf_lit(to, " message=\"");
  mg_buf_markup(to, mg_say_finding(sink, first));
  if (r->verdict->counts[MG_OUT_DENY] > 1) mg_buf_printf(to, " (and %u more)", r->verdict->counts[MG_OUT_DENY] - 1);
  mg_buf_lit(to, "\">");
  for (const struct mg_violation *v = first; v; v = v->next)
    if (v->outcome == MG_OUT_DENY) finding(sink, r, v);
  mg_buf_lit(to, "</failure>\n");
}

static void skipped(struct mg_sink *sink, const struct mg_report_result *r) {
  const struct mg_violation *v = r->verdict->violations;
  while (v && v->outcome == MG_OUT_EXEMPTED) v = v->next;
  if (v || !r->verdict->violations) return;
  sink->counts[SKIPPED]++;
  mg_buf_lit(&sink->parts[CASES], "    <skipped");
  attribute(sink, "message", mg_say_excuse(sink, r->verdict->violations));
  mg_buf_lit(&sink->parts[CASES], "/>\n");
}

static void output(struct mg_sink *sink, const struct mg_report_result *r) {
  struct mg_buf *to = &sink->parts[CASES];
  bool any = r->warning_count > 0;
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) any |= v->outcome != MG_OUT_DENY;
  if (!any) return;
  mg_buf_lit(to, "    <system-out>");
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next)
    if (v->outcome != MG_OUT_DENY) finding(sink, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) {
    mg_buf_markup(to, mg_str_of(r->file));
    mg_buf_printf(to, ":%u:%u: warning: ", r->warnings[i].line, r->warnings[i].column);
    mg_buf_markup(to, r->warnings[i].text);
    mg_buf_byte(to, '\n');
  }
  mg_buf_lit(to, "</system-out>\n");
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  struct mg_buf *to = &sink->parts[CASES];
  open_case(sink, r->file, mg_say_object(sink, r));
  mg_buf_lit(to, ">\n");
  skipped(sink, r);
  failure(sink, r);
  output(sink, r);
  mg_buf_lit(to, "  </testcase>\n");
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  struct mg_buf *to = &sink->parts[CASES];
  open_case(sink, e->file, MG_S("can be read"));
  sink->counts[ERRORS]++;
  mg_buf_lit(to, ">\n    <error type=\"unreadable\"");
  attribute(sink, "message", e->message);
  mg_buf_byte(to, '>');
  mg_buf_markup(to, mg_str_of(e->file));
  if (e->line) mg_buf_printf(to, ":%u:%u", e->line, e->column ? e->column : 1);
  mg_buf_lit(to, ": ");
  mg_buf_markup(to, e->message);
  mg_buf_lit(to, "</error>\n  </testcase>\n");
}

/* No object's: what they exempt says so, and what they no longer exempt fails. */
static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  (void)sink, (void)e;
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  (void)t;
  head(sink);
  close_suite(sink);
  mg_buf_lit(&sink->out, "</testsuites>\n");
}

const struct mg_format mg_format_junit = {"junit", "JUnit XML, for lists of tests", result, error, exception, end};
