/* metav1.LabelSelector, compiled. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "doc/doc.h"

struct mg_selector;

/* Reads {matchLabels, matchExpressions}; an absent or null node gives *ret == NULL, which matches nothing. Text is borrowed from
 * the doc. On MG_E_INVALID *ret_at is the node to point at: a value, or the key cell where the key is wrong. */
int mg_selector_read(mg_node n, struct mg_arena *arena, const struct mg_selector **ret, mg_node *ret_at, struct mg_err *err);

/* Labels as the caller has them: the value of a key, or false where it is absent. */
typedef bool (*mg_label_fn)(const void *ctx, mg_str key, mg_str *ret_value);

bool mg_selector_matches(const struct mg_selector *selector, mg_label_fn label, const void *ctx);
