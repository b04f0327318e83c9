/* The stable JSON report. One result a line, so that two reports can be compared by any tool. */
#include <inttypes.h>

#include "report/format.h"

enum part { RESULTS, ERRORS, EXCEPTIONS };

/* `,"key":` and the text. */
static void member(struct mg_sink *sink, struct mg_buf *to, const char *key, mg_str text) {
  mg_buf_printf(to, ",\"%s\":", key);
  mg_sink_json(sink, to, text);
}

static void optional(struct mg_sink *sink, struct mg_buf *to, const char *key, mg_str text) {
  if (text.n) member(sink, to, key, text);
}

static void separate(struct mg_buf *to) {
  mg_buf_put(to, to->n ? MG_S(",\n  ") : MG_S("\n  "));
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_buf *to = &sink->parts[RESULTS];
  struct mg_pos pos;
  if (!mg_pos(v->where.node, &pos)) pos = (struct mg_pos){r->file, r->line, r->column};
  mg_buf_lit(to, "{\"policy\":");
  mg_sink_json(sink, to, v->policy->name);
  member(sink, to, "rule", v->rule->name);
  member(sink, to, "action", mg_str_of(mg_outcome_words[v->outcome]));
  member(sink, to, "path", mg_violation_path(v));
  mg_buf_lit(to, ",\"pointer\":");
  mg_buf_json(to, mg_violation_pointer(v));
  mg_buf_printf(to, ",\"line\":%u,\"column\":%u", pos.line, pos.column);
  member(sink, to, "message", v->message);
  optional(sink, to, "fix", v->fix);
  optional(sink, to, "docs", v->policy->docs);
  optional(sink, to, "exception", v->exception);
  if (v->baseline) mg_buf_lit(to, ",\"baseline\":true");
  mg_buf_byte(to, '}');
}

static void head(struct mg_sink *sink, const struct mg_report_result *r) {
  struct mg_buf *to = &sink->parts[RESULTS];
  mg_buf_lit(to, "{\"file\":");
  mg_buf_json(to, mg_str_of(r->file));
  mg_buf_printf(to, ",\"document\":%u,\"line\":%u", r->document, r->line);
  member(sink, to, "apiVersion", r->api_version);
  member(sink, to, "kind", r->kind);
  member(sink, to, "namespace", r->ns);
  member(sink, to, "name", r->name);
  mg_buf_put(to, r->verdict->allowed ? MG_S(",\"allowed\":true") : MG_S(",\"allowed\":false"));
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  struct mg_buf *to = &sink->parts[RESULTS];
  separate(to);
  head(sink, r);
  mg_buf_lit(to, ",\"violations\":[");
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) {
    if (v != r->verdict->violations) mg_buf_byte(to, ',');
    violation(sink, r, v);
  }
  mg_buf_lit(to, "],\"warnings\":[");
  for (uint32_t i = 0; i < r->warning_count; i++) {
    if (i) mg_buf_byte(to, ',');
    mg_sink_json(sink, to, r->warnings[i].text);
  }
  mg_buf_lit(to, "],\"patch\":");
  mg_patch_write(to, &r->verdict->patch);
  mg_buf_byte(to, '}');
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  struct mg_buf *to = &sink->parts[ERRORS];
  separate(to);
  mg_buf_lit(to, "{\"file\":");
  mg_buf_json(to, mg_str_of(e->file));
  mg_buf_printf(to, ",\"line\":%u,\"column\":%u", e->line ? e->line : 1, e->column ? e->column : 1);
  member(sink, to, "message", e->message);
  mg_buf_byte(to, '}');
}

static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  struct mg_buf *to = &sink->parts[EXCEPTIONS];
  separate(to);
  mg_buf_lit(to, "{\"name\":");
  mg_sink_json(sink, to, e->name);
  member(sink, to, "expires", e->expires);
  member(sink, to, "state", mg_str_of(mg_exception_state_words[e->state]));
  mg_buf_byte(to, '}');
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  const struct {
    const char *key;
    uint64_t count;
  } rows[] = {{"files", t->files},
              {"objects", t->objects},
              {"skipped", t->skipped},
              {"errors", t->errors},
              {"denied", t->outcomes[MG_OUT_DENY]},
              {"warned", t->outcomes[MG_OUT_WARN]},
              {"audited", t->outcomes[MG_OUT_AUDIT]},
              {"mutated", t->mutated},
              {"exempted", t->outcomes[MG_OUT_EXEMPTED]}};
  struct mg_buf *out = &sink->out;
  mg_buf_lit(out, "{\"mlgate\":1,\n\"summary\":{");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    mg_buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", rows[i].key, rows[i].count);
  mg_buf_lit(out, "},\n\"results\":[");
  mg_sink_write(sink, out);
  mg_sink_write(sink, &sink->parts[RESULTS]);
  mg_buf_lit(out, "],\n\"exceptions\":[");
  mg_sink_write(sink, out);
  mg_sink_write(sink, &sink->parts[EXCEPTIONS]);
  mg_buf_lit(out, "],\n\"errors\":[");
  mg_sink_write(sink, out);
  mg_sink_write(sink, &sink->parts[ERRORS]);
  mg_buf_lit(out, "]}\n");
}

const struct mg_format mg_format_json = {"json", "for programs; its shape is stable", result, error, exception, end};
