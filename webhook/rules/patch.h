/* The parameters of `patch`, checked when policies are loaded (patch_check.c), and merged into templates (patch.c). */
#pragma once
#include "policy/rule.h"

/* A container of the patch: what is added to those whose name matches. */
struct mg_pod_patch_entry {
  struct mg_pattern *name;
  mg_node node;
  bool glob;
};

struct mg_pod_patch {
  mg_node pod, metadata, spec;
  struct mg_list init, main; /* of struct mg_pod_patch_entry */
};

extern const struct mg_field mg_pod_patch_fields[];
bool mg_pod_patch_compile(struct mg_load *load, mg_node at, void *params);
void mg_pod_patch_cross_check(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot);
/* The lists that are merged by patterns on names. */
bool mg_pod_patch_is_containers(mg_str key);
