#include "rules/rules.h"

const struct mg_rule_type *const mg_rules[] = {
    &mg_rule_gpu_limits,
    &mg_rule_tolerations,
    &mg_rule_node_selector,
    &mg_rule_shared_memory,
    &mg_rule_priority,
    NULL,
};
