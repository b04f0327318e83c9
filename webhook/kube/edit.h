/* The edits that rules make on a pod view. Each changes the doc at once and is recorded in the patch. */
#pragma once
#include "kube/places.h"
#include "kube/pod.h"

/* Where an item of oldObject's list goes in the list of now, so that applying the same file again changes nothing; UINT32_MAX,
 * the end, where it is absent or the list is too short. */
uint32_t mg_old_place(mg_node old_item, mg_node list);

/* Copies `toleration` (a node of any doc, or of the pod's) to the end, or to the place `at` where that is not UINT32_MAX. */
void mg_pod_add_toleration(struct mg_pod *pod, struct mg_patch *patch, mg_node toleration, uint32_t at);
/* The same of topologySpreadConstraints. */
void mg_pod_add_constraint(struct mg_pod *pod, struct mg_patch *patch, mg_node constraint, uint32_t at);
void mg_pod_set_node_label(struct mg_pod *pod, struct mg_patch *patch, mg_str key, mg_str value);
/* Sets or, with an absent value, removes a field of the pod spec. */
void mg_pod_set_field(struct mg_pod *pod, struct mg_patch *patch, mg_str field, mg_node value);
/* A memory-backed emptyDir; size text may be empty: no sizeLimit. `at` as above. */
void mg_pod_add_memory_volume(struct mg_pod *pod, struct mg_patch *patch, mg_str name, mg_str size, uint32_t at);
void mg_container_add_mount(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str volume, mg_str path,
                            uint32_t at);
/* Adds {name, value} to the container's environment. */
void mg_container_add_env(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str name, mg_str value,
                          uint32_t at);
/* Sets a field outside the templates; the objects on the way to it are made. */
void mg_place_set(struct mg_patch *patch, const struct mg_place *place, mg_node value);
/* Sets a resource of one side of `resources`, "limits" or "requests". The view has the amounts of before until mg_pod_refresh. */
void mg_container_set_amount(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str side, mg_str resource,
                             mg_node value);

/* An object or list of a template that may not be there yet: the first edit in it makes it, and what lies above it. */
struct mg_branch {
  struct mg_branch *up; /* NULL: `node` is there */
  mg_str key;
  enum mg_kind kind; /* MG_OBJECT or MG_ARRAY */
  mg_node node;      /* absent or null: not there yet */
  mg_node old;       /* the same of oldObject, or absent */
};
struct mg_branch mg_branch_below(struct mg_branch *up, mg_str key, enum mg_kind kind);
/* False where something of another kind stands there, which nothing can be added to. */
bool mg_branch_is_open(const struct mg_branch *branch);
void mg_branch_set(struct mg_pod *pod, struct mg_patch *patch, struct mg_branch *object, mg_str key, mg_node value);
/* Before the item `at`, or at the end where there are fewer. */
void mg_branch_insert(struct mg_pod *pod, struct mg_patch *patch, struct mg_branch *array, mg_node value, uint32_t at);
/* Reads the view of the template again, after edits in branches. */
void mg_pod_reread(struct mg_pod *pod);

/* The kind's schema has that pod field (WorkloadKind `without`). */
bool mg_pod_may_set(const struct mg_pod *pod, mg_str field);
/* What has the template's own labels and annotations; where it is not there, what is nearest to it, and the steps from there to
 * it. Absent: the kind has no place for them, or there are none and what its controller gives the Pods, as Argo does of
 * podMetadata, is seen when they come. */
mg_node mg_pod_metadata(const struct mg_pod *pod, struct mg_steps *ret_missing);
