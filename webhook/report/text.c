/* For people: one block a finding, one line a warning or error, and a line that sums up. */
#include <inttypes.h>

#include "report/format.h"

static void place(struct mg_buf *out, const char *file, uint32_t line, uint32_t column) {
  mg_buf_clean(out, mg_str_of(file));
  if (line) mg_buf_printf(out, ":%u:%u", line, column ? column : 1);
  mg_buf_lit(out, ": ");
}

static void object(struct mg_buf *out, const struct mg_report_result *r) {
  mg_buf_clean(out, r->kind);
  mg_buf_byte(out, ' ');
  if (r->ns.n) {
    mg_buf_clean(out, r->ns);
    mg_buf_byte(out, '/');
  }
  mg_buf_clean(out, r->name);
}

static void detail(struct mg_buf *out, const char *label, mg_str text) {
  if (!text.n) return;
  mg_buf_printf(out, "    %s: ", label);
  mg_buf_clean(out, text);
  mg_buf_byte(out, '\n');
}

static void violation(struct mg_buf *out, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_pos pos;
  bool placed = mg_pos(v->where.node, &pos);
  place(out, r->file, placed ? pos.line : r->line, placed ? pos.column : r->column);
  mg_buf_printf(out, "%s ", mg_outcome_words[v->outcome]);
  mg_buf_clean(out, v->policy->name);
  mg_buf_byte(out, '/');
  mg_buf_clean(out, v->rule->name);
  mg_buf_lit(out, ": ");
  object(out, r);
  mg_buf_lit(out, "\n    ");
  mg_str path = mg_violation_path(v);
  mg_buf_clean(out, path);
  if (path.n) mg_buf_lit(out, ": ");
  mg_buf_clean(out, v->message);
  mg_buf_byte(out, '\n');
  detail(out, "fix", v->fix);
  detail(out, "docs", v->policy->docs);
  detail(out, "exception", v->exception);
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(&sink->out, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) {
    const struct mg_report_warning *w = &r->warnings[i];
    place(&sink->out, r->file, w->line, w->column);
    mg_buf_lit(&sink->out, "warning: ");
    object(&sink->out, r);
    mg_buf_lit(&sink->out, ": ");
    mg_buf_clean(&sink->out, w->text);
    mg_buf_byte(&sink->out, '\n');
  }
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  place(&sink->out, e->file, e->line, e->column);
  mg_buf_lit(&sink->out, "error: ");
  mg_buf_clean(&sink->out, e->message);
  mg_buf_byte(&sink->out, '\n');
}

/* Those that simply hold need no words: their findings say so. */
static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state == MG_EXCEPTION_ACTIVE) return;
  place(&sink->out, e->pos.file ? e->pos.file : "", e->pos.line, e->pos.column);
  mg_buf_lit(&sink->out, "warning: Exception ");
  mg_buf_clean(&sink->out, e->name);
  mg_buf_put(&sink->out, e->state == MG_EXCEPTION_EXPIRED ? MG_S(" has expired and exempts nothing: ") : MG_S(" ends soon: "));
  mg_buf_clean(&sink->out, e->expires);
  mg_buf_byte(&sink->out, '\n');
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  mg_buf_printf(&sink->out, "%" PRIu64 " file%s, %" PRIu64 " object%s: ", t->files, t->files == 1 ? "" : "s", t->objects,
                t->objects == 1 ? "" : "s");
  mg_buf_printf(&sink->out, "%" PRIu64 " denied, %" PRIu64 " warned, %" PRIu64 " audited, ", t->outcomes[MG_OUT_DENY],
                t->outcomes[MG_OUT_WARN], t->outcomes[MG_OUT_AUDIT]);
  mg_buf_printf(&sink->out, "%" PRIu64 " mutated, %" PRIu64 " exempted; ", t->mutated, t->outcomes[MG_OUT_EXEMPTED]);
  mg_buf_printf(&sink->out, "%" PRIu64 " skipped, %" PRIu64 " error%s\n", t->skipped, t->errors, t->errors == 1 ? "" : "s");
}

const struct mg_format mg_format_text = {"text", "for people", result, error, exception, end};
