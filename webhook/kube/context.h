/* What the cluster knows: documents in their own core form, from files or (later) watched, looked up by kind, namespace and name.
 * Immutable once sealed. */
#pragma once
#include "doc/doc.h"

enum mg_context_kind {
  MG_CTX_NAMESPACE,
  MG_CTX_LIMIT_RANGE,
  MG_CTX_RESOURCE_QUOTA,
  MG_CTX_PRIORITY_CLASS,
  MG_CTX_RESOURCE_CLAIM,
  MG_CTX_RESOURCE_CLAIM_TEMPLATE,
  MG_CTX_DEVICE_CLASS,
  MG_CTX_KINDS
};

struct mg_context_object {
  struct mg_context_object *next; /* of the same kind, in the order of reading */
  mg_str ns, name;
  mg_node object;
};

struct mg_context {
  struct mg_context_object *first[MG_CTX_KINDS], *last[MG_CTX_KINDS];
  mg_str default_class; /* the PriorityClass with globalDefault and the lowest value; empty: none known */
};

/* The kind of a document, or -1 where it is no context document. */
int mg_context_kind_of(mg_str api_version, mg_str kind);
bool mg_context_cluster_scoped(enum mg_context_kind kind);
/* Adds an object of that kind at the end. -1: out of memory. */
int mg_context_add(struct mg_context *context, struct mg_arena *arena, enum mg_context_kind kind, mg_node object);
/* Works out what is derived, once, when all are in. */
void mg_context_seal(struct mg_context *context);
/* The object, or absent where it is not known. */
mg_node mg_context_find(const struct mg_context *context, enum mg_context_kind kind, mg_str ns, mg_str name);
