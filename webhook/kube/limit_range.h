/* LimitRanges as the API server's own LimitRanger reads and applies them to Pods. Only the arithmetic: who is
 * told, and whether a template gets its defaults now, is a rule's business. */
#pragma once
#include "kube/pod.h"

enum mg_limit_type { MG_LIMIT_CONTAINER, MG_LIMIT_POD, MG_LIMIT_CLAIM, MG_LIMIT_TYPES };
extern const char *const mg_limit_type_words[]; /* by enum mg_limit_type, NULL-terminated */

enum mg_limit_map { MG_LIMIT_MIN, MG_LIMIT_MAX, MG_LIMIT_RATIO, MG_LIMIT_DEFAULT, MG_LIMIT_DEFAULT_REQUEST, MG_LIMIT_MAPS };
extern const char *const mg_limit_map_words[]; /* by enum mg_limit_map, NULL-terminated */

enum mg_side { MG_SIDE_LIMIT, MG_SIDE_REQUEST };
extern const char *const mg_side_words[]; /* limits, requests: the keys in `resources` */

struct mg_resource {
  mg_str name;
  struct mg_quantity q;
  mg_node at;
};

struct mg_limit_item {
  uint32_t type; /* enum mg_limit_type */
  struct mg_list maps[MG_LIMIT_MAPS]; /* of struct mg_resource */
};

struct mg_limit_range {
  mg_str ns, name;     /* empty: written into a policy */
  struct mg_list items; /* of struct mg_limit_item */
};

/* Several, in the order in which they act: the first that has a default gives it. */
struct mg_limit_ranges {
  const struct mg_limit_range *items;
  uint32_t count;
};

/* Of a device or the like: named with a domain that is not Kubernetes' own. */
bool mg_resource_is_extended(mg_str name);
/* What a pod may ask for as a whole, in spec.resources. */
bool mg_resource_has_pod_level(mg_str name);
const struct mg_resource *mg_resource_find(struct mg_list resources, mg_str name);
/* Its quantity as the API server shows it. */
mg_str mg_resource_text(struct mg_arena *arena, const struct mg_resource *resource);

/* Reads spec.limits of a LimitRange as far as it can be read. False: out of memory. */
bool mg_limit_range_read(struct mg_arena *arena, mg_node spec, struct mg_limit_range *ret);
/* Adds the defaults that the API server adds when it stores a LimitRange. Not `stored`: none that comes from the bounds of an
 * extended resource, of which a container then asks for 0, not for nothing. False: out of memory. */
bool mg_limit_range_complete(struct mg_arena *arena, struct mg_limit_range *range, bool stored);
/* Those of a namespace, completed. */
struct mg_limit_ranges mg_limit_ranges_of(const struct mg_context *context, struct mg_arena *arena, mg_str ns);

/* The default on one side for a resource, and the range that gives it. */
const struct mg_resource *mg_limit_default(const struct mg_limit_ranges *ranges, enum mg_side side, mg_str resource,
                                           const struct mg_limit_range **ret_range);

/* What is asked of one resource on one side. */
struct mg_ask {
  enum mg_amount_state state;
  struct mg_quantity q;
  mg_node at;   /* the amount, or the largest of a sum; absent for a default */
  mg_node text; /* as somebody wrote it; absent for a sum */
};
/* As the Pod will have it: rounded up to milli, a request that is not there copied from the limit, else the default. `defaults`
 * may be NULL. */
struct mg_ask mg_container_ask(const struct mg_limit_ranges *defaults, const struct mg_container *c, enum mg_side side,
                               mg_str resource);
/* Of a pod: sidecars run beside everything behind them, a plain init container alone with the sidecars before it; pod-level
 * resources stand before the sum. Overhead is not counted. */
struct mg_ask mg_pod_ask(const struct mg_limit_ranges *defaults, const struct mg_pod *pod, enum mg_side side, mg_str resource);

/* A bound that a container or pod does not keep. */
struct mg_breach {
  const struct mg_limit_range *range;
  enum mg_limit_type type;
  enum mg_limit_map bound;          /* min, max or ratio */
  const struct mg_resource *wanted; /* the bound's own entry */
  struct mg_container *container;   /* NULL: the pod */
  enum mg_side side;                /* which amount is to blame */
  bool missing;                     /* there is none */
  struct mg_ask blamed;
  struct mg_ask limit, request;
  double ratio;
};
typedef void mg_breach_fn(void *ctx, const struct mg_breach *breach);
/* Calls for every bound that is not kept. `defaults` are taken for given; NULL: none. Amounts that cannot be read are not
 * judged. */
void mg_limit_check(const struct mg_limit_ranges *bounds, const struct mg_limit_ranges *defaults, struct mg_pod *pod,
                    mg_breach_fn *tell, void *ctx);
/* In the API server's own words. */
mg_str mg_breach_text(struct mg_arena *arena, const struct mg_breach *breach);

/* The first `max` of a stored LimitRange that alone gives accelerators to containers that ask for none; absent: there is none. */
mg_node mg_limit_range_gives(mg_node object, const struct mg_accelerators *accelerators, struct mg_arena *arena);

/* Adds to the amounts of a Pod what LimitRanges will give it on its way to the webhooks; the object stays as it is. */
void mg_limit_give(struct mg_pod *pod);
