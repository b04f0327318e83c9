/* Which rules can meet on one template: for warnings about rules that contradict each other. Errs on the side of "can". */
#pragma once
#include "policy/rule.h"

bool mg_overlap_patterns(const struct mg_pattern *a, const struct mg_pattern *b);

/* The rules of the same type before this one that can edit a template that it edits: policies that do not enforce edit nothing.
 * *state starts at 0. NULL at the end. */
const struct mg_rule *mg_overlap_next(const struct mg_snapshot *snapshot, const struct mg_rule *rule, uint64_t *state);
