/* The rule types of the product: one file and one row each. */
#pragma once
#include "policy/rule.h"

extern const struct mg_rule_type *const mg_rules[];

extern const struct mg_rule_type mg_rule_gpu_limits;
extern const struct mg_rule_type mg_rule_tolerations;
extern const struct mg_rule_type mg_rule_node_selector;
extern const struct mg_rule_type mg_rule_shared_memory;
extern const struct mg_rule_type mg_rule_priority;
extern const struct mg_rule_type mg_rule_job_limits;
extern const struct mg_rule_type mg_rule_visible_devices;
extern const struct mg_rule_type mg_rule_topology_spread;
extern const struct mg_rule_type mg_rule_runtime_class;
extern const struct mg_rule_type mg_rule_queue;
extern const struct mg_rule_type mg_rule_limit_range;
extern const struct mg_rule_type mg_rule_quota;
extern const struct mg_rule_type mg_rule_labels;
extern const struct mg_rule_type mg_rule_namespace;
extern const struct mg_rule_type mg_rule_image_reference;
extern const struct mg_rule_type mg_rule_image_size;
extern const struct mg_rule_type mg_rule_require;
extern const struct mg_rule_type mg_rule_forbid;
extern const struct mg_rule_type mg_rule_patch;
