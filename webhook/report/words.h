/* What formats say alike. The texts are raw: whoever writes them out cleans them. */
#pragma once
#include "report/format.h"

/* Each in sink->text, until the next of them. */
mg_str mg_say_object(struct mg_sink *sink, const struct mg_report_result *result);         /* Pod ml/a */
mg_str mg_say_rule(struct mg_sink *sink, const struct mg_violation *violation);            /* policy/rule */
mg_str mg_say_finding(struct mg_sink *sink, const struct mg_violation *violation);         /* path: message */
mg_str mg_say_exception(struct mg_sink *sink, const struct mg_report_exception *exception); /* Exception x ends soon: … */
/* Pod ml/a: text */
mg_str mg_say_warning(struct mg_sink *sink, const struct mg_report_result *result, const struct mg_report_warning *warning);
/* Why a finding denies nothing: an exception with its owner and reason, or the baseline; empty: nothing of the kind. */
mg_str mg_say_excuse(struct mg_sink *sink, const struct mg_violation *violation);

/* path: message (fix: …) (excuse), where there are such. */
mg_str mg_say_finding_and(struct mg_sink *sink, const struct mg_violation *violation, bool excuse);

/* The line that sums up, without its end. */
void mg_put_totals(struct mg_buf *to, const struct mg_report_totals *totals);

/* Stays the same while the finding does, wherever it stands in its file. */
uint64_t mg_finding_hash(const struct mg_report_result *result, const struct mg_violation *violation);
