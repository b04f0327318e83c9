#include "rules/rules.h"

const struct mg_rule_type *const mg_rules[] = {
    &mg_rule_gpu_limits,
    &mg_rule_tolerations,
    &mg_rule_node_selector,
    &mg_rule_shared_memory,
    &mg_rule_priority,
    &mg_rule_job_limits,
    &mg_rule_visible_devices,
    &mg_rule_topology_spread,
    &mg_rule_runtime_class,
    &mg_rule_queue,
    &mg_rule_limit_range,
    &mg_rule_quota,
    &mg_rule_labels,
    &mg_rule_namespace,
    &mg_rule_image_reference,
    &mg_rule_image_size,
    &mg_rule_require,
    &mg_rule_forbid,
    &mg_rule_patch,
    NULL,
};
