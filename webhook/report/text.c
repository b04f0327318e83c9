/* For people: one block a finding, one line a warning or error, and a line that sums up. */
#include "report/words.h"

/* What a terminal is told: bold, and colours by how bad it is. */
enum tone { TONE_DENY, TONE_WARN, TONE_AUDIT, TONE_EXEMPTED, TONE_PLACE, TONE_LABEL };
static const char *const codes[] = {[TONE_DENY] = "1;31",  [TONE_WARN] = "1;33", [TONE_AUDIT] = "36",
                                    [TONE_EXEMPTED] = "2", [TONE_PLACE] = "1",   [TONE_LABEL] = "32"};

static void tone(struct mg_sink *sink, enum tone which) {
  if (sink->color) mg_buf_printf(&sink->out, "\033[%sm", codes[which]);
}

static void plain(struct mg_sink *sink) {
  if (sink->color) mg_buf_lit(&sink->out, "\033[0m");
}

static void word(struct mg_sink *sink, enum tone which, const char *text) {
  tone(sink, which);
  mg_buf_printf(&sink->out, "%s", text);
  plain(sink);
}

static void place(struct mg_sink *sink, const char *file, uint32_t line, uint32_t column) {
  tone(sink, TONE_PLACE);
  mg_buf_clean(&sink->out, mg_str_of(file));
  if (line) mg_buf_printf(&sink->out, ":%u:%u", line, column ? column : 1);
  plain(sink);
  mg_buf_lit(&sink->out, ": ");
}

static void detail(struct mg_sink *sink, const char *label, mg_str text) {
  if (!text.n) return;
  mg_buf_lit(&sink->out, "    ");
  word(sink, TONE_LABEL, label);
  mg_buf_lit(&sink->out, ": ");
  mg_buf_clean(&sink->out, text);
  mg_buf_byte(&sink->out, '\n');
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_buf *out = &sink->out;
  struct mg_pos pos;
  bool placed = mg_pos(v->where.node, &pos);
  place(sink, r->file, placed ? pos.line : r->line, placed ? pos.column : r->column);
  word(sink, (enum tone)v->outcome, mg_outcome_words[v->outcome]);
  mg_buf_byte(out, ' ');
  mg_buf_clean(out, mg_say_rule(sink, v));
  mg_buf_lit(out, ": ");
  mg_buf_clean(out, mg_say_object(sink, r));
  mg_buf_lit(out, "\n    ");
  mg_buf_clean(out, mg_say_finding(sink, v));
  mg_buf_byte(out, '\n');
  detail(sink, "fix", v->fix);
  detail(sink, "docs", v->policy->docs);
  detail(sink, "exception", v->exception);
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(sink, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) {
    const struct mg_report_warning *w = &r->warnings[i];
    place(sink, r->file, w->line, w->column);
    word(sink, TONE_WARN, "warning");
    mg_buf_lit(&sink->out, ": ");
    mg_buf_clean(&sink->out, mg_say_warning(sink, r, w));
    mg_buf_byte(&sink->out, '\n');
  }
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  place(sink, e->file, e->line, e->column);
  word(sink, TONE_DENY, "error");
  mg_buf_lit(&sink->out, ": ");
  mg_buf_clean(&sink->out, e->message);
  mg_buf_byte(&sink->out, '\n');
}

/* Those that simply hold need no words: their findings say so. */
static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state == MG_EXCEPTION_ACTIVE) return;
  place(sink, e->pos.file ? e->pos.file : "", e->pos.line, e->pos.column);
  word(sink, TONE_WARN, "warning");
  mg_buf_lit(&sink->out, ": ");
  mg_buf_clean(&sink->out, mg_say_exception(sink, e));
  mg_buf_byte(&sink->out, '\n');
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  mg_put_totals(&sink->out, t);
  mg_buf_byte(&sink->out, '\n');
}

const struct mg_format mg_format_text = {"text", "for people; colour on a terminal", result, error, exception, end};
