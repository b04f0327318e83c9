/* A patch as a person reads it: the line that something is put under, and what is put there, in the language of the file. */
#pragma once
#include "report/report.h"

/* Each operation is a hunk: "@@ line N: path @@", the line of the parent after ' ', or of what is replaced after '-', and the new
 * lines after '+'. */
void mg_diff_write(struct mg_buf *to, const struct mg_report_result *result);
