/* The rule types of the product: one file and one row each. */
#pragma once
#include "policy/rule.h"

extern const struct mg_rule_type *const mg_rules[];

extern const struct mg_rule_type mg_rule_gpu_limits;
extern const struct mg_rule_type mg_rule_tolerations;
extern const struct mg_rule_type mg_rule_node_selector;
extern const struct mg_rule_type mg_rule_shared_memory;
extern const struct mg_rule_type mg_rule_priority;
