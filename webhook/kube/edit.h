/* The edits that rules make on a pod view. Each changes the doc at once and is recorded in the patch. */
#pragma once
#include "kube/pod.h"

/* Copies `toleration` (a node of any doc, or of the pod's) to the end, or to the place `at` where that is not UINT32_MAX. */
void mg_pod_add_toleration(struct mg_pod *pod, struct mg_patch *patch, mg_node toleration, uint32_t at);
void mg_pod_set_node_label(struct mg_pod *pod, struct mg_patch *patch, mg_str key, mg_str value);
/* Sets or, with an absent value, removes a field of the pod spec. */
void mg_pod_set_field(struct mg_pod *pod, struct mg_patch *patch, mg_str field, mg_node value);
/* A memory-backed emptyDir; size text may be empty: no sizeLimit. */
void mg_pod_add_memory_volume(struct mg_pod *pod, struct mg_patch *patch, mg_str name, mg_str size);
void mg_container_add_mount(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str volume, mg_str path);

/* The kind's schema has that pod field (WorkloadKind `without`). */
bool mg_pod_may_set(const struct mg_pod *pod, mg_str field);
