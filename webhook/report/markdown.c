/* Markdown for a comment or a step's summary: a line of totals and a table, the hardest findings first, never over what a comment
 * may hold. */
#include <inttypes.h>

#include "report/markup.h"
#include "report/place.h"
#include "report/words.h"

#define REPORT_MAX ((size_t)65536) /* bytes; a comment on GitHub has at most as many characters */
#define TAIL_MAX ((size_t)512)     /* for the words behind the table */
#define CELL_MAX ((size_t)1200)    /* bytes of one text in a cell, before it is escaped */

enum part { HARD, SOFT, QUIET, SPARED }; /* errors and denials, warnings, audit, what an exception or the baseline hides */

/* A part never holds more than fits the report anyway. */
static bool begin(struct mg_sink *sink, enum part part) {
  sink->counts[part]++;
  return sink->parts[part].n < REPORT_MAX;
}

static void cut(struct mg_sink *sink, mg_str text) {
  sink->scratch.n = 0;
  mg_buf_cut(&sink->scratch, text, CELL_MAX);
}

static void code(struct mg_sink *sink, struct mg_buf *to, mg_str text) {
  cut(sink, text);
  mg_buf_code(to, mg_buf_str(&sink->scratch));
}

static void prose(struct mg_sink *sink, struct mg_buf *to, mg_str text) {
  cut(sink, text);
  mg_buf_markdown(to, mg_buf_str(&sink->scratch));
}

static void place(struct mg_sink *sink, struct mg_buf *to, const char *file, uint32_t line) {
  bool inside;
  mg_str path = mg_sink_path(sink, file, &inside);
  sink->scratch.n = 0;
  mg_buf_cut(&sink->scratch, path, CELL_MAX);
  if (line) mg_buf_printf(&sink->scratch, ":%u", line);
  mg_buf_code(to, mg_buf_str(&sink->scratch));
}

static enum part part_of(const struct mg_violation *v) {
  static const enum part by_outcome[] = {HARD, SOFT, QUIET, SPARED};
  return v->baseline ? SPARED : by_outcome[v->outcome];
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  enum part part = part_of(v);
  struct mg_buf *to = &sink->parts[part];
  struct mg_region at = mg_region_of(r, v);
  if (!begin(sink, part)) return;
  mg_buf_printf(to, "| **%s** ", mg_outcome_words[v->outcome]);
  code(sink, to, mg_say_rule(sink, v));
  mg_buf_lit(to, " | ");
  place(sink, to, r->file, at.line);
  mg_buf_lit(to, "<br>");
  code(sink, to, mg_say_object(sink, r));
  mg_buf_lit(to, " | ");
  mg_str path = mg_violation_path(v);
  code(sink, to, path);
  if (path.n) mg_buf_lit(to, "<br>");
  prose(sink, to, v->message);
  if (v->fix.n) mg_buf_lit(to, "<br>fix: ");
  code(sink, to, v->fix);
  if (mg_is_link(v->policy->docs)) {
    mg_buf_lit(to, "<br>[docs](");
    sink->scratch.n = 0;
    mg_buf_link(&sink->scratch, v->policy->docs);
    mg_buf_markup(to, mg_buf_str(&sink->scratch));
    mg_buf_byte(to, ')');
  }
  mg_str excuse = mg_say_excuse(sink, v);
  if (excuse.n) mg_buf_lit(to, "<br>");
  prose(sink, to, excuse);
  mg_buf_lit(to, " |\n");
}

static void simple(struct mg_sink *sink, enum part part, const char *word, const struct mg_pos *pos, mg_str text) {
  struct mg_buf *to = &sink->parts[part];
  if (!begin(sink, part)) return;
  mg_buf_printf(to, "| **%s** | ", word);
  place(sink, to, pos->file ? pos->file : "-", pos->line);
  mg_buf_lit(to, " | ");
  prose(sink, to, text);
  mg_buf_lit(to, " |\n");
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(sink, r, v);
  sink->counts[SPARED] += mg_verdict_unlisted(r->verdict); /* no rows, and more; the last part, so that no other is left out */
  for (uint32_t i = 0; i < r->warning_count; i++) {
    const struct mg_report_warning *w = &r->warnings[i];
    simple(sink, SOFT, "warning", &(struct mg_pos){r->file, w->line, w->column}, mg_say_warning(sink, r, w));
  }
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  simple(sink, HARD, "error", &(struct mg_pos){e->file, e->line, e->column}, e->message);
}

static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state != MG_EXCEPTION_ACTIVE) simple(sink, SOFT, "warning", &e->pos, mg_say_exception(sink, e));
}

/* Rows as long as they fit; the result is how many did. */
static uint64_t put_rows(struct mg_buf *out, mg_str rows) {
  uint64_t n = 0;
  while (rows.n) {
    size_t row = mg_str_find(rows, '\n') + 1;
    if (out->n + row > REPORT_MAX - TAIL_MAX) break;
    mg_buf_put(out, (mg_str){rows.p, row});
    rows = mg_str_from(rows, row);
    n++;
  }
  return n;
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  struct mg_buf *out = &sink->out;
  uint64_t left = 0;
  mg_buf_put(out, t->outcomes[MG_OUT_DENY] ? MG_S("### mlgate: denied\n\n")
                  : t->errors              ? MG_S("### mlgate: not all could be read\n\n")
                                           : MG_S("### mlgate: nothing denied\n\n"));
  mg_put_totals(out, t);
  mg_buf_byte(out, '\n');
  for (size_t i = 0; i < MG_SINK_PARTS; i++) left += sink->counts[i];
  if (left) mg_buf_lit(out, "\n| | Where | What |\n| --- | --- | --- |\n");
  for (size_t i = 0; i < MG_SINK_PARTS; i++) {
    uint64_t done = put_rows(out, mg_buf_str(&sink->parts[i]));
    left -= done;
    if (done < sink->counts[i]) break; /* what is softer does not go before what is left out */
  }
  if (left) mg_buf_printf(out, "\nand %" PRIu64 " more\n", left);
}

const struct mg_format mg_format_markdown = {"markdown", "a table, for a comment or a summary", result, error, exception, end};
