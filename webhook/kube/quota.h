/* ResourceQuotas as the API server's quota admission counts against them. */
#pragma once
#include "kube/limit_range.h"

struct mg_quota {
  mg_str ns, name;
  mg_node object;
  mg_node hard, used; /* what is enforced, and what is taken; as the status has it, else the spec and nothing */
};

/* The next quota of a namespace: *state starts at NULL. */
bool mg_quota_next(const struct mg_context *context, mg_str ns, const struct mg_context_object **state, struct mg_quota *ret);
/* A resource of `hard` and what `used` leaves of it, never below 0. False where it cannot be read. */
bool mg_quota_left(const struct mg_quota *quota, mg_node hard_key, struct mg_quantity *ret_hard, struct mg_quantity *ret_left);

/* Every scope of the quota holds for such a pod. `defaults`: those of its namespace. */
bool mg_quota_covers(const struct mg_quota *quota, const struct mg_limit_ranges *defaults, const struct mg_pod *pod);
/* What one pod counts under a key such as requests.nvidia.com/gpu, limits.memory or pods; no amount: the key is not about pods,
 * or the pod asks for none. */
struct mg_ask mg_quota_ask(const struct mg_limit_ranges *defaults, const struct mg_pod *pod, mg_str key);
/* count/jobs.batch and the like: the key counts objects of that kind. */
bool mg_quota_counts(const struct mg_quota *quota, const struct mg_kind_row *kind, mg_str key);
/* A quota with this key wants an amount of every container: of that resource, on that side. */
bool mg_quota_demands(mg_str key, enum mg_side *ret_side, mg_str *ret_resource);
