/* GitLab's code quality report: a flat list, each entry with a fingerprint that no other has. */
#include <inttypes.h>

#include "report/place.h"
#include "report/words.h"

static const char *const severities[] = {"critical", "minor", "info", "info"}; /* by enum mg_outcome */

struct entry {
  const char *file, *severity;
  uint32_t line;
  uint64_t hash;
};

/* Ends with the key of the description, whose text is the caller's. */
static void open_entry(struct mg_sink *sink, const struct entry *entry, mg_str check) {
  struct mg_buf *out = &sink->out;
  uint64_t hash = mg_str_hash(entry->hash, mg_str_of(entry->file));
  bool inside;
  mg_buf_put(out, sink->begun ? MG_S(",\n") : MG_S("[\n"));
  sink->begun = true;
  mg_buf_lit(out, "{\"check_name\":");
  mg_sink_json(sink, out, check);
  mg_buf_printf(out, ",\"fingerprint\":\"%016" PRIx64 "-%u\",\"severity\":\"%s\",\"location\":{\"path\":", hash,
                ++*mg_seen_number(&sink->seen, hash), entry->severity);
  mg_buf_json(out, mg_sink_path(sink, entry->file, &inside));
  mg_buf_printf(out, ",\"lines\":{\"begin\":%u}},\"description\":", entry->line ? entry->line : 1);
}

static void close_entry(struct mg_sink *sink, mg_str description) {
  mg_sink_json(sink, &sink->out, description);
  mg_buf_byte(&sink->out, '}');
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_region at = mg_region_of(r, v);
  struct entry entry = {r->file, severities[v->outcome], at.line, mg_finding_hash(r, v)};
  open_entry(sink, &entry, mg_say_rule(sink, v));
  close_entry(sink, mg_say_finding_and(sink, v, true));
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(sink, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) {
    const struct mg_report_warning *w = &r->warnings[i];
    uint64_t hash = mg_str_hash(mg_str_hash(MG_HASH, r->name), w->text);
    open_entry(sink, &(struct entry){r->file, "minor", w->line, hash}, MG_S("warning"));
    close_entry(sink, mg_say_warning(sink, r, w));
  }
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  uint64_t hash = mg_str_hash(MG_HASH, MG_S("error"));
  open_entry(sink, &(struct entry){e->file, "blocker", e->line, hash}, MG_S("unreadable"));
  close_entry(sink, e->message);
}

static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state == MG_EXCEPTION_ACTIVE) return;
  const char *file = e->pos.file ? e->pos.file : "-";
  open_entry(sink, &(struct entry){file, "minor", e->pos.line, mg_str_hash(MG_HASH, e->name)}, MG_S("exception"));
  close_entry(sink, mg_say_exception(sink, e));
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  (void)t;
  mg_buf_put(&sink->out, sink->begun ? MG_S("\n]\n") : MG_S("[]\n"));
}

const struct mg_format mg_format_gitlab = {"gitlab", "GitLab's code quality report", result, error, exception, end};
