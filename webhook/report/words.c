#include "report/words.h"

#include <inttypes.h>

mg_str mg_say_object(struct mg_sink *sink, const struct mg_report_result *result) {
  struct mg_buf *to = &sink->text;
  to->n = 0;
  mg_buf_put(to, result->kind);
  mg_buf_byte(to, ' ');
  mg_buf_put(to, result->ns);
  if (result->ns.n) mg_buf_byte(to, '/');
  mg_buf_put(to, result->name);
  return mg_buf_str(to);
}

mg_str mg_say_rule(struct mg_sink *sink, const struct mg_violation *violation) {
  struct mg_buf *to = &sink->text;
  to->n = 0;
  mg_buf_put(to, violation->policy->name);
  mg_buf_byte(to, '/');
  mg_buf_put(to, violation->rule->name);
  return mg_buf_str(to);
}

mg_str mg_say_finding(struct mg_sink *sink, const struct mg_violation *violation) {
  struct mg_buf *to = &sink->text;
  mg_str path = mg_violation_path(violation);
  to->n = 0;
  mg_buf_put(to, path);
  if (path.n) mg_buf_lit(to, ": ");
  mg_buf_put(to, violation->message);
  return mg_buf_str(to);
}

mg_str mg_say_exception(struct mg_sink *sink, const struct mg_report_exception *exception) {
  struct mg_buf *to = &sink->text;
  to->n = 0;
  mg_buf_lit(to, "Exception ");
  mg_buf_put(to, exception->name);
  mg_buf_put(to, exception->state == MG_EXCEPTION_EXPIRED ? MG_S(" has expired and exempts nothing: ") : MG_S(" ends soon: "));
  mg_buf_put(to, exception->expires);
  return mg_buf_str(to);
}

static void put_excuse(struct mg_buf *to, const struct mg_violation *violation) {
  const struct mg_exception *e = violation->exempted_by;
  if (violation->baseline) mg_buf_lit(to, "known before: it is in the baseline");
  else if (violation->exception.n) mg_buf_lit(to, "Exception ");
  mg_buf_put(to, violation->exception);
  if (!e) return;
  mg_str expires = mg_text(MG_GET(MG_GET(e->at, "spec"), "expires"));
  mg_buf_lit(to, " of ");
  mg_buf_put(to, e->owner);
  if (expires.n) mg_buf_lit(to, ", until ");
  mg_buf_put(to, expires);
  mg_buf_lit(to, ": ");
  mg_buf_put(to, e->reason);
}

mg_str mg_say_excuse(struct mg_sink *sink, const struct mg_violation *violation) {
  sink->text.n = 0;
  put_excuse(&sink->text, violation);
  return mg_buf_str(&sink->text);
}

mg_str mg_say_finding_and(struct mg_sink *sink, const struct mg_violation *violation, bool excuse) {
  struct mg_buf *to = &sink->text;
  (void)mg_say_finding(sink, violation);
  if (violation->fix.n) mg_buf_lit(to, " (fix: ");
  mg_buf_put(to, violation->fix);
  if (violation->fix.n) mg_buf_byte(to, ')');
  if (excuse && (violation->baseline || violation->exception.n)) {
    mg_buf_lit(to, " (");
    put_excuse(to, violation);
    mg_buf_byte(to, ')');
  }
  return mg_buf_str(to);
}

mg_str mg_say_warning(struct mg_sink *sink, const struct mg_report_result *result, const struct mg_report_warning *warning) {
  (void)mg_say_object(sink, result);
  mg_buf_lit(&sink->text, ": ");
  mg_buf_put(&sink->text, warning->text);
  return mg_buf_str(&sink->text);
}

void mg_put_totals(struct mg_buf *to, const struct mg_report_totals *t) {
  mg_buf_printf(to, "%" PRIu64 " file%s, %" PRIu64 " object%s: ", t->files, t->files == 1 ? "" : "s", t->objects,
                t->objects == 1 ? "" : "s");
  mg_buf_printf(to, "%" PRIu64 " denied, %" PRIu64 " warned, %" PRIu64 " audited, ", t->outcomes[MG_OUT_DENY],
                t->outcomes[MG_OUT_WARN], t->outcomes[MG_OUT_AUDIT]);
  mg_buf_printf(to, "%" PRIu64 " mutated, %" PRIu64 " exempted; ", t->mutated, t->outcomes[MG_OUT_EXEMPTED]);
  mg_buf_printf(to, "%" PRIu64 " skipped, %" PRIu64 " error%s", t->skipped, t->errors, t->errors == 1 ? "" : "s");
}

uint64_t mg_finding_hash(const struct mg_report_result *result, const struct mg_violation *violation) {
  const mg_str parts[] = {result->kind,          result->ns,           result->name,       violation->policy->name,
                          violation->rule->name, violation->container, violation->subject, violation->template_id};
  uint64_t hash = MG_HASH;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) hash = mg_str_hash(hash, parts[i]);
  return hash;
}
