/* SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0), as code scanning takes it. */
#include <inttypes.h>

#include "base/embedded.h"
#include "report/markup.h"
#include "report/place.h"
#include "report/words.h"

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"
#define BASE_ID "%SRCROOT%"
#define TEXT_MAX 1000 /* bytes of a description; longer ones are refused by code scanning */

enum part { RESULTS, RULES, EXECUTION, CONFIGURATION };
enum { RULE_COUNT }; /* of sink->counts */

static const char *const levels[] = {"error", "warning", "note"};         /* by enum mg_action; outcomes begin alike */
static const char *const severities[] = {"error", "warning", "recommendation"};

static void separate(struct mg_buf *to) {
  mg_buf_put(to, to->n ? MG_S(",\n    ") : MG_S("\n    "));
}

/* ---- texts ---- */

/* A message's braces would be placeholders and are written twice (3.11.5); its links would be links, so a blank parts them. The
 * text may be that of the sink. */
static void put_text(struct mg_sink *sink, struct mg_buf *to, mg_str text) {
  struct mg_buf *cleaned = &sink->scratch, *made = &sink->text;
  cleaned->n = 0;
  mg_buf_clean(cleaned, text);
  made->n = 0;
  for (size_t i = 0; i < cleaned->n; i++) {
    char c = cleaned->p[i];
    mg_buf_byte(made, c);
    if (c == '{' || c == '}') mg_buf_byte(made, c);
    if (c == ']' && i + 1 < cleaned->n && cleaned->p[i + 1] == '(') mg_buf_byte(made, ' ');
  }
  mg_buf_json(to, mg_buf_str(made));
}

static void message(struct mg_sink *sink, struct mg_buf *to, const char *key, mg_str text) {
  mg_buf_printf(to, "\"%s\":{\"text\":", key);
  put_text(sink, to, text);
  mg_buf_byte(to, '}');
}

/* ---- places ---- */

static void artifact(struct mg_sink *sink, struct mg_buf *to, const char *file) {
  bool inside;
  mg_str path = mg_sink_path(sink, file, &inside);
  mg_buf_put(to, inside ? MG_S("\"artifactLocation\":{\"uri\":\"") : MG_S("\"artifactLocation\":{\"uri\":\"file://"));
  mg_buf_uri(to, path);
  mg_buf_put(to, inside ? MG_S("\",\"uriBaseId\":\"" BASE_ID "\"}") : MG_S("\"}"));
}

static void location(struct mg_sink *sink, struct mg_buf *to, const char *file, uint32_t line, uint32_t column) {
  mg_buf_lit(to, "{\"physicalLocation\":{");
  artifact(sink, to, file);
  if (line) mg_buf_printf(to, ",\"region\":{\"startLine\":%u,\"startColumn\":%u}", line, column ? column : 1);
  mg_buf_lit(to, "}}");
}

static void region(struct mg_sink *sink, struct mg_buf *to, const struct mg_region *at) {
  mg_buf_printf(to, ",\"region\":{\"startLine\":%u,\"startColumn\":%u", at->line, at->column);
  if (at->end_column > at->column) {
    mg_str snippet = {at->source.p + at->start, at->end - at->start};
    mg_buf_printf(to, ",\"endLine\":%u,\"endColumn\":%u", at->line, at->end_column);
    if (snippet.n <= TEXT_MAX) {
      mg_buf_lit(to, ",\"snippet\":{\"text\":");
      mg_sink_json(sink, to, snippet);
      mg_buf_byte(to, '}');
    }
  }
  mg_buf_byte(to, '}');
}

static void locations(struct mg_sink *sink, struct mg_buf *to, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_region at = mg_region_of(r, v);
  mg_buf_lit(to, ",\"locations\":[{\"physicalLocation\":{");
  artifact(sink, to, r->file);
  region(sink, to, &at);
  mg_buf_lit(to, "},\"logicalLocations\":[{\"name\":");
  mg_sink_json(sink, to, r->name);
  mg_buf_lit(to, ",\"fullyQualifiedName\":");
  mg_sink_json(sink, to, mg_say_object(sink, r));
  mg_buf_lit(to, ",\"kind\":\"resource\"}]}]");
}

/* ---- rules ---- */

static void rule_help(struct mg_sink *sink, struct mg_buf *to, const struct mg_violation *v, mg_str said) {
  mg_str docs = v->policy->docs, doc = mg_str_of(v->rule->type ? v->rule->type->doc : NULL);
  const char *name = v->rule->type ? v->rule->type->name : "";
  struct mg_buf *text = &sink->text;
  text->n = 0;
  mg_buf_cut(text, said, TEXT_MAX);
  if (doc.n && !mg_str_eq(doc, said)) mg_buf_printf(text, " %s: %.*s", name, MG_FMT(doc));
  if (docs.n) mg_buf_lit(text, " See ");
  mg_buf_put(text, docs);
  mg_buf_lit(to, ",\"help\":{\"text\":");
  put_text(sink, to, mg_buf_str(text));
  text->n = 0;
  mg_buf_cut(text, said, TEXT_MAX);
  sink->scratch.n = 0;
  mg_buf_markdown(&sink->scratch, mg_buf_str(text));
  if (doc.n && !mg_str_eq(doc, said)) {
    mg_buf_printf(&sink->scratch, "\n\n`%s`: ", name);
    mg_buf_markdown(&sink->scratch, doc);
  }
  if (mg_is_link(docs)) {
    text->n = 0;
    mg_buf_link(text, docs);
    mg_buf_lit(&sink->scratch, "\n\n[docs](");
    mg_buf_markup(&sink->scratch, mg_buf_str(text));
    mg_buf_byte(&sink->scratch, ')');
  }
  mg_buf_lit(to, ",\"markdown\":");
  mg_buf_json(to, mg_buf_str(&sink->scratch));
  mg_buf_byte(to, '}');
}

static void add_rule(struct mg_sink *sink, const struct mg_violation *v) {
  struct mg_buf *to = &sink->parts[RULES];
  mg_str doc = mg_str_of(v->rule->type ? v->rule->type->doc : NULL), said = v->policy->description;
  if (!said.n) said = doc.n ? doc : v->rule->name;
  separate(to);
  mg_buf_lit(to, "{\"id\":");
  mg_sink_json(sink, to, mg_say_rule(sink, v));
  mg_buf_lit(to, ",\"name\":");
  mg_sink_json(sink, to, v->rule->name);
  sink->text.n = 0;
  mg_buf_cut(&sink->text, said, TEXT_MAX);
  mg_buf_byte(to, ',');
  message(sink, to, "shortDescription", mg_buf_str(&sink->text));
  mg_buf_byte(to, ',');
  message(sink, to, "fullDescription", doc.n ? doc : said);
  rule_help(sink, to, v, said);
  if (mg_is_link(v->policy->docs)) {
    mg_buf_lit(to, ",\"helpUri\":\"");
    mg_buf_link(to, v->policy->docs);
    mg_buf_byte(to, '"');
  }
  uint32_t action = v->policy->action;
  mg_buf_printf(to, ",\"defaultConfiguration\":{\"level\":\"%s\"},\"properties\":{\"tags\":[\"kubernetes\",\"machine-learning\"],"
                "\"precision\":\"high\",\"problem.severity\":\"%s\"}}", levels[action], severities[action]);
}

/* The rule's place in the list, which is that of its first finding. */
static uint32_t rule_index(struct mg_sink *sink, const struct mg_violation *v) {
  uint64_t hash = mg_str_hash(mg_str_hash(mg_str_hash(MG_HASH, MG_S("rule")), v->policy->name), v->rule->name);
  uint32_t *number = mg_seen_number(&sink->seen, hash);
  if (!*number) {
    *number = (uint32_t)++sink->counts[RULE_COUNT];
    add_rule(sink, v);
  }
  return *number - 1;
}

/* ---- results ---- */

/* The second of two that are alike, in one file, must not pass for the first. */
static void fingerprints(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_buf *to = &sink->parts[RESULTS];
  uint64_t hash = mg_finding_hash(r, v);
  uint32_t number = ++*mg_seen_number(&sink->seen, mg_str_hash(hash, mg_str_of(r->file)));
  mg_buf_printf(to, ",\"partialFingerprints\":{\"mlgateFinding/v1\":\"%016" PRIx64 ":%u\",", hash, number);
  mg_buf_printf(to, "\"primaryLocationLineHash\":\"%016" PRIx64 ":%u\"}", hash, number);
}

static void optional(struct mg_sink *sink, struct mg_buf *to, const char *key, mg_str text) {
  if (!text.n) return;
  mg_buf_printf(to, ",\"%s\":", key);
  mg_sink_json(sink, to, text);
}

static void properties(struct mg_sink *sink, struct mg_buf *to, const struct mg_violation *v) {
  mg_buf_printf(to, ",\"properties\":{\"action\":\"%s\",\"pointer\":", mg_outcome_words[v->outcome]);
  mg_buf_json(to, mg_violation_pointer(v));
  optional(sink, to, "fix", v->fix);
  optional(sink, to, "exception", v->exception);
  if (v->baseline) mg_buf_lit(to, ",\"baseline\":true");
  mg_buf_byte(to, '}');
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_buf *to = &sink->parts[RESULTS];
  uint32_t index = rule_index(sink, v);
  bool own = v->outcome <= MG_OUT_AUDIT && !v->baseline;
  separate(to);
  mg_buf_lit(to, "{\"ruleId\":");
  mg_sink_json(sink, to, mg_say_rule(sink, v));
  mg_buf_printf(to, ",\"ruleIndex\":%u,\"level\":\"%s\",", index, levels[own ? (uint32_t)v->outcome : v->policy->action]);
  message(sink, to, "message", mg_say_finding_and(sink, v, false));
  locations(sink, to, r, v);
  fingerprints(sink, r, v);
  mg_str excuse = mg_say_excuse(sink, v);
  if (excuse.n) {
    mg_buf_lit(to, ",\"suppressions\":[{\"kind\":\"external\",\"status\":\"accepted\",\"justification\":");
    mg_sink_json(sink, to, excuse);
    mg_buf_lit(to, "}]");
  }
  properties(sink, to, v);
  mg_buf_byte(to, '}');
}

static void notify(struct mg_sink *sink, struct mg_buf *to, const char *level, mg_str text) {
  separate(to);
  mg_buf_printf(to, "{\"level\":\"%s\",", level);
  message(sink, to, "message", text);
}

static void notify_at(struct mg_sink *sink, struct mg_buf *to, const char *file, uint32_t line, uint32_t column) {
  mg_buf_lit(to, ",\"locations\":[");
  location(sink, to, file, line, column);
  mg_buf_lit(to, "]}");
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(sink, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) {
    const struct mg_report_warning *w = &r->warnings[i];
    notify(sink, &sink->parts[EXECUTION], "warning", mg_say_warning(sink, r, w));
    notify_at(sink, &sink->parts[EXECUTION], r->file, w->line, w->column);
  }
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  notify(sink, &sink->parts[EXECUTION], "error", e->message);
  notify_at(sink, &sink->parts[EXECUTION], e->file, e->line, e->column);
}

static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state == MG_EXCEPTION_ACTIVE) return;
  notify(sink, &sink->parts[CONFIGURATION], "warning", mg_say_exception(sink, e));
  if (e->pos.file) notify_at(sink, &sink->parts[CONFIGURATION], e->pos.file, e->pos.line, e->pos.column);
  else mg_buf_byte(&sink->parts[CONFIGURATION], '}');
}

static void part(struct mg_sink *sink, const char *before, enum part which, const char *after) {
  mg_buf_printf(&sink->out, "%s[", before);
  mg_sink_write(sink, &sink->out);
  mg_sink_write(sink, &sink->parts[which]);
  mg_buf_printf(&sink->out, "]%s", after);
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  struct mg_buf *out = &sink->out;
  mg_buf_lit(out, "{\"$schema\":\"" SCHEMA "\",\n\"version\":\"2.1.0\",\n\"runs\":[{\n"
                  "  \"tool\":{\"driver\":{\"name\":\"mlgate\",\"version\":");
  mg_buf_json(out, mg_str_of(mg_version));
  part(sink, ",\"rules\":", RULES, "}},\n");
  mg_buf_lit(out, "  \"columnKind\":\"unicodeCodePoints\",\n  \"originalUriBaseIds\":{\"" BASE_ID "\":{\"description\":{\"text\":"
                  "\"The top of the repository, or the working directory outside of one.\"}}},\n");
  mg_buf_printf(out, "  \"invocations\":[{\"executionSuccessful\":%s,", t->errors ? "false" : "true");
  part(sink, "\"toolExecutionNotifications\":", EXECUTION, ",");
  part(sink, "\"toolConfigurationNotifications\":", CONFIGURATION, "}],\n");
  part(sink, "  \"results\":", RESULTS, "\n}]}\n");
}

const struct mg_format mg_format_sarif = {"sarif", "SARIF 2.1.0, for code scanning", result, error, exception, end};
