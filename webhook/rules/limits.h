/* limitRange in two files: what a policy may say (limit_range_inline.c), and what is done with it (limit_range.c). */
#pragma once
#include "kube/limit_range.h"
#include "policy/rule.h"

/* A field of struct mg_limit_range: `{limits: […]}`, strictly. */
extern const struct mg_shape mg_limit_range_shape;

/* What the API server checks when it stores a LimitRange; adds errors and returns false. `at` is the `inline` value. */
bool mg_limit_range_fits(struct mg_load *load, mg_node at, const struct mg_limit_range *range);
