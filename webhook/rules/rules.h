/* The rule types of the product: one file and one row each, in the order in which they are listed to people. */
#pragma once
#include "policy/rule.h"

#define MG_RULES(RULE) \
  RULE(gpu_limits) \
  RULE(tolerations) \
  RULE(node_selector) \
  RULE(shared_memory) \
  RULE(priority) \
  RULE(job_limits) \
  RULE(visible_devices) \
  RULE(topology_spread) \
  RULE(runtime_class) \
  RULE(queue) \
  RULE(limit_range) \
  RULE(quota) \
  RULE(labels) \
  RULE(namespace) \
  RULE(image_reference) \
  RULE(image_size) \
  RULE(require) \
  RULE(forbid) \
  RULE(patch)

#define MG_RULE_DECLARED(name) extern const struct mg_rule_type mg_rule_##name;
MG_RULES(MG_RULE_DECLARED)
#undef MG_RULE_DECLARED

extern const struct mg_rule_type *const mg_rules[]; /* NULL-terminated */
