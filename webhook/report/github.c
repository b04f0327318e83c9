/* Workflow commands of GitHub Actions: annotations of a pull request without any permission. Of each kind a step shows ten, the
 * first ones, so the hardest go first. */
#include "report/markup.h"
#include "report/place.h"
#include "report/words.h"

enum part { ERRORS, WARNINGS, NOTICES, SPARED };

/* Data ends at the line; a property at a comma or colon, too. */
static void escape(struct mg_sink *sink, struct mg_buf *to, mg_str text, bool property) {
  sink->scratch.n = 0;
  mg_buf_clean(&sink->scratch, text);
  for (size_t i = 0; i < sink->scratch.n; i++) {
    char c = sink->scratch.p[i];
    if (c == '%' || (property && (c == ':' || c == ','))) mg_buf_printf(to, "%%%02X", (unsigned)c);
    else mg_buf_byte(to, c);
  }
}

static void head(struct mg_sink *sink, enum part part, const char *file, uint32_t line, uint32_t column) {
  static const char *const commands[] = {"error", "warning", "notice", "notice"};
  struct mg_buf *to = &sink->parts[part];
  bool inside;
  mg_buf_printf(to, "::%s file=", commands[part]);
  escape(sink, to, mg_sink_path(sink, file, &inside), true);
  if (line) mg_buf_printf(to, ",line=%u,col=%u", line, column ? column : 1);
}

static void title(struct mg_sink *sink, enum part part, mg_str text) {
  struct mg_buf *to = &sink->parts[part];
  mg_buf_lit(to, ",title=");
  escape(sink, to, text, true);
  mg_buf_lit(to, "::");
}

static void more(struct mg_sink *sink, enum part part, const char *label, mg_str text) {
  if (!text.n) return;
  mg_buf_printf(&sink->parts[part], "%%0A%s", label);
  escape(sink, &sink->parts[part], text, false);
}

static enum part part_of(const struct mg_violation *v) {
  static const enum part by_outcome[] = {ERRORS, WARNINGS, NOTICES, SPARED};
  return v->baseline ? SPARED : by_outcome[v->outcome];
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  enum part part = part_of(v);
  struct mg_buf *to = &sink->parts[part];
  struct mg_region at = mg_region_of(r, v);
  head(sink, part, r->file, at.line, at.column);
  if (at.end_column > at.column) mg_buf_printf(to, ",endLine=%u,endColumn=%u", at.line, at.end_column);
  title(sink, part, mg_say_rule(sink, v));
  escape(sink, to, mg_say_object(sink, r), false);
  more(sink, part, "", mg_say_finding(sink, v));
  more(sink, part, "fix: ", v->fix);
  more(sink, part, "docs: ", v->policy->docs);
  more(sink, part, "", mg_say_excuse(sink, v));
  mg_buf_byte(to, '\n');
}

static void simple(struct mg_sink *sink, enum part part, mg_str text) {
  title(sink, part, MG_S("mlgate"));
  escape(sink, &sink->parts[part], text, false);
  mg_buf_byte(&sink->parts[part], '\n');
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(sink, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) {
    const struct mg_report_warning *w = &r->warnings[i];
    head(sink, WARNINGS, r->file, w->line, w->column);
    simple(sink, WARNINGS, mg_say_warning(sink, r, w));
  }
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  head(sink, ERRORS, e->file, e->line, e->column);
  simple(sink, ERRORS, e->message);
}

static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state == MG_EXCEPTION_ACTIVE) return;
  head(sink, WARNINGS, e->pos.file ? e->pos.file : "-", e->pos.line, e->pos.column);
  simple(sink, WARNINGS, mg_say_exception(sink, e));
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  for (enum part part = ERRORS; part <= SPARED; part++) mg_sink_write(sink, &sink->parts[part]);
  mg_put_totals(&sink->out, t);
  mg_buf_byte(&sink->out, '\n');
}

const struct mg_format mg_format_github = {"github", "annotations of GitHub Actions", result, error, exception, end};
