/* What `mlgate manifests` is made of: variables, worked out from options, policies and files, put into app/manifests.yaml.
 * Variables are the members of one object; all of it lives in one doc. */
#pragma once
#include "app/policies.h"
#include "doc/patch.h"

#define MG_MANIFESTS_FILE_MAX ((size_t)1000000) /* of one policy file: what an object of the API may hold */
#define MG_MANIFESTS_MAP_MAX ((size_t)128 << 10) /* of one with several: `kubectl apply` keeps a copy of at most 256 KiB */

/* One rendered object. */
typedef int (*mg_manifest_fn)(void *ctx, mg_str file, mg_node object, struct mg_err *err);

/* Renders the objects of a template; each goes to the function, under its file's name without an ending. */
int mg_manifests_expand(mg_node skeleton, mg_node variables, mg_manifest_fn emit, void *ctx, struct mg_err *err);

/* The name in "${name}" at the start; false where there is none. */
bool mg_manifests_reference(mg_str s, mg_str *ret_name);

/* The same template as those of a Helm chart, and the variables as its values. */
typedef int (*mg_manifest_text_fn)(void *ctx, mg_str file, mg_str text, struct mg_err *err);
int mg_manifests_chart(mg_node skeleton, mg_manifest_text_fn emit, void *ctx, struct mg_err *err);
void mg_manifests_values(mg_node variables, struct mg_buf *out);

/* validatePods, validateWorkloads, mutatePods, mutateWorkloads: lists of webhook rules for the kinds that some policy can match;
 * `validate`, `mutate` where there is one. Resources that had to be guessed are told of in the buffer. */
void mg_manifests_rules(mg_node variables, const struct mg_snapshot *snapshot, struct mg_buf *notes);

bool mg_manifests_is_pod(const struct mg_kind_row *row);
/* Objects of the kind go to the server for this policy, to be judged or to be changed. */
bool mg_manifests_asks(const struct mg_policy *policy, const struct mg_kind_row *row, bool mutate);

/* validatePodsConditions, validateWorkloadsConditions, mutatePodsConditions, mutateWorkloadsConditions: lists of match conditions
 * that hold for every request in which a policy finds or changes anything; those that would always hold are left out. */
void mg_manifests_conditions(mg_node variables, const struct mg_snapshot *snapshot);

/* Takes the files out that are nothing but Tests, which no server needs. */
void mg_manifests_leave_tests(struct mg_policy_sources *sources);

/* configmaps, policySources, contextSources, digest. MG_E_LIMIT, MG_E_NOMEM. */
int mg_manifests_files(mg_node variables, mg_str name, const struct mg_policy_sources *sources, struct mg_err *err);

/* classes: the PriorityClasses that policies set and --context lacks, as a policy file describes them, else with a value to be
 * thought about, which the notes say. */
void mg_manifests_classes(mg_node variables, const struct mg_snapshot *snapshot, const struct mg_policy_sources *sources,
                          struct mg_buf *notes);
