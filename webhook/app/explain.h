/* What `mlgate explain` is made of: pages out of the tables, and one object taken apart. Text goes to the buffer. */
#pragma once
#include "app/policies.h"
#include "base/buf.h"
#include "kube/review.h"

#define MG_EXPLAIN_MAX ((size_t)64 << 20)

/* What may stand behind the command. */
void mg_explain_topics(struct mg_buf *out);
/* The page of a rule type. */
void mg_explain_rule(struct mg_buf *out, const struct mg_rule_type *type);
void mg_explain_workloads(struct mg_buf *out, const struct mg_snapshot *snapshot);
void mg_explain_accelerators(struct mg_buf *out, const struct mg_snapshot *snapshot);

/* Templates, roles and devices of every object in a file, and why each policy did or did not apply. `usual`: what objects are
 * asked with that do not say it themselves. False where the file could not be read or had nothing to explain; that is said on
 * standard error. */
bool mg_explain_file(struct mg_buf *out, const struct mg_snapshot *snapshot, const struct mg_request *usual, int64_t now,
                     const char *path);
