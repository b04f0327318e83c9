/* What `patch` may add to a pod template, as tables of fields: they check it when policies are loaded, and say how it merges. */
#pragma once
#include "doc/decode.h"

extern const struct mg_field mg_pod_template_fields[]; /* metadata, spec */
extern const struct mg_field mg_pod_metadata_fields[];
extern const struct mg_field mg_pod_spec_fields[];
extern const struct mg_field mg_pod_container_fields[];

/* Every row reads to the start of one of these; what counts is the node that was read. */
union mg_pod_scratch {
  mg_str text;
  bool truth;
  struct mg_opt_int number;
  struct mg_list list;
  mg_node node;
};

extern const struct mg_type mg_t_amounts; /* a map of quantities; nothing is stored */

enum mg_list_merge {
  MG_MERGE_VALUE, /* an item that is not there as a whole is added */
  MG_MERGE_KEY,   /* an item is known by one of its fields; one that is there stays as it is */
  MG_MERGE_WHOLE, /* the list is added where there is none */
};
/* How the list of that name merges, as the strategic merge of Kubernetes has it; *ret_key is set for MG_MERGE_KEY. */
enum mg_list_merge mg_pod_list_merge(mg_str list, mg_str *ret_key);

/* Fields that the API server has filled in before a webhook sees a Pod or a built-in workload. */
bool mg_pod_field_is_defaulted(mg_str field);

/* The row of a key, or NULL. */
const struct mg_field *mg_pod_field_of(const struct mg_field *table, mg_str key);
/* The item of a list that has the same `key` as `like`, or with an empty key the same value; absent where there is none. */
mg_node mg_pod_find_item(mg_node list, mg_node like, mg_str key, uint32_t *ret_index);
