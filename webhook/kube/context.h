/* What the cluster knows: documents in their own core form, from files or watched, looked up by kind, namespace and name. A
 * context is immutable and counted, and so is what it is made of: one table a kind, which the contexts before and after a change
 * share where the kind did not change, and the objects, each in memory of its own. */
#pragma once
#include <stdatomic.h>

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
#define MG_CTX_BIT(kind) (UINT32_C(1) << (kind))
/* What tells whether the device claims of a pod are accelerators. Claims that pods name themselves come from files only: every
 * Pod with a claim changes them, and few pods name one. */
#define MG_CTX_CLAIMS (MG_CTX_BIT(MG_CTX_RESOURCE_CLAIM_TEMPLATE) | MG_CTX_BIT(MG_CTX_DEVICE_CLASS))

/* The kind of a document, or -1 where it is no context document. */
int mg_context_kind_of(mg_str api_version, mg_str kind);
const char *mg_context_kind_name(enum mg_context_kind kind);
bool mg_context_cluster_scoped(enum mg_context_kind kind);
/* Its group and resource, as they stand in paths and roles. */
const char *mg_context_group(enum mg_context_kind kind);
const char *mg_context_resource(enum mg_context_kind kind);

#define MG_CONTEXT_NAME_MAX 253 /* bytes of a name or namespace */

struct mg_context_object {
  atomic_uint refs;
  bool borrowed; /* of a file: belongs to the policies it was read with */
  uint32_t hash; /* of namespace and name */
  mg_str ns, name;
  mg_node object;
  struct mg_doc doc;
};

/* A copy of the object without what no policy reads: status (but a quota's), managed fields, the annotation that repeats it.
 * MG_E_INVALID (no name, or one that is too long), MG_E_LIMIT, MG_E_NOMEM. */
int mg_context_object_new(struct mg_context_object **ret, enum mg_context_kind kind, mg_node object, struct mg_err *err)
  __attribute__((warn_unused_result));
struct mg_context_object *mg_context_object_ref(struct mg_context_object *object);
void mg_context_object_unref(struct mg_context_object *object); /* NULL is fine */
/* Where an object is: that of a file without a namespace is where kubectl would put it. "" of kinds that have none. */
mg_str mg_context_namespace(enum mg_context_kind kind, mg_node object);
/* Sets what an object is found by. */
void mg_context_identify(struct mg_context_object *o, enum mg_context_kind kind, mg_node object);
/* Whether both say the same. */
bool mg_context_object_same(const struct mg_context_object *a, const struct mg_context_object *b);
/* By namespace, then by name. */
int mg_context_object_compare(const struct mg_context_object *a, const struct mg_context_object *b);

/* The objects of one kind, by namespace and name. */
struct mg_context_table {
  atomic_uint refs;
  uint32_t count, mask; /* slots: mask + 1 */
  struct mg_context_object **items;
  uint32_t *slots; /* item number + 1, by the hash of namespace and name; by that of the namespace, its first */
};

struct mg_context {
  atomic_uint refs;
  struct mg_context_table *tables[MG_CTX_KINDS]; /* NULL: none */
  mg_str default_class; /* the PriorityClass with globalDefault and the lowest value; empty: none known */
  uint32_t known;       /* bits of kinds that are watched, and known recently enough to be relied on */
  uint32_t missing;     /* bits of kinds that policies need and that are not known */
  uint32_t giving;      /* LimitRanges whose maximum alone gives accelerators to containers that ask for none */
};

/* Empty. NULL: out of memory. */
struct mg_context *mg_context_new(void);
struct mg_context *mg_context_ref(struct mg_context *context);
void mg_context_unref(struct mg_context *context); /* NULL is fine */

/* ---- while one is made, and nobody else sees it ---- */

/* Takes in an object of a file, which must outlive the context. -1: out of memory. */
int mg_context_add(struct mg_context *context, struct mg_arena *arena, enum mg_context_kind kind, mg_node object);
/* Puts in what `items` has, in any order and no two of one name, instead of what there is; takes references of its own. -1: out
 * of memory. */
int mg_context_fill(struct mg_context *context, enum mg_context_kind kind, struct mg_context_object *const *items,
                    uint32_t count);
/* The same table as another context. */
void mg_context_share(struct mg_context *context, enum mg_context_kind kind, const struct mg_context *from);
/* Works out what is derived, once, when all are in. -1: out of memory. */
int mg_context_seal(struct mg_context *context);

/* Both in one; of two objects of one kind and name that of `files` holds. NULL: out of memory. */
struct mg_context *mg_context_join(const struct mg_context *files, const struct mg_context *live);

/* ---- looking up ---- */

/* The object, or absent where it is not known. The namespace of a kind of the whole cluster does not count. */
mg_node mg_context_find(const struct mg_context *context, enum mg_context_kind kind, mg_str ns, mg_str name);

/* The objects of a namespace, or all of a kind of the whole cluster, by name: the first behind NULL, NULL behind the last. */
const struct mg_context_object *mg_context_next(const struct mg_context *context, enum mg_context_kind kind, mg_str ns,
                                                const struct mg_context_object *behind);
