/* Exceptions in a report: those that matched something, have ended or end soon. */
#pragma once
#include "report/report.h"

/* `matched` is by exception of the snapshot. */
void mg_exceptions_note(const struct mg_snapshot *snapshot, const struct mg_verdict *verdict, bool *matched);
void mg_exceptions_report(struct mg_report *report, const struct mg_snapshot *snapshot, const bool *matched, int64_t now);
