/* Edits of a doc, recorded as an RFC 6902 patch that the API server's library applies: parents exist
 * before children, append is "/-", nothing absent is removed. The tree changes at once. An edit inside something that the same
 * patch added needs no operation of its own: the added value is written when the patch is. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"

enum mg_op_kind { MG_OP_ADD, MG_OP_REPLACE, MG_OP_REMOVE };

struct mg_op {
  enum mg_op_kind kind;
  mg_str pointer; /* from the patch's root */
  mg_node value;  /* absent for remove */
};

struct mg_patch {
  struct mg_arena *arena;
  mg_node root; /* the object that pointers start from */
  struct mg_op *ops;
  uint32_t count, cap;
  uint32_t edits; /* of the tree, whether an operation of their own tells of them or not */
};

void mg_patch_init(struct mg_patch *patch, struct mg_arena *arena, mg_node root);

/* New values, in the doc's arena; text is borrowed and must outlive the doc. Absent when out of memory, and everything takes
 * absent. */
mg_node mg_make(struct mg_doc *doc, enum mg_kind kind); /* null, {} or [] */
mg_node mg_make_text(struct mg_doc *doc, enum mg_kind kind, mg_str text); /* string, number or boolean */
mg_node mg_make_copy(struct mg_doc *doc, mg_node from); /* deep, from any doc; text is borrowed */

/* Gives a fresh value a place under some keys of `object`, which does not get it: for messages about what somebody else will put
 * there. */
mg_node mg_make_aside(mg_node object, const mg_str *keys, size_t count, mg_node value);

/* Builds fresh values; records nothing. */
void mg_put(mg_node object, mg_str key, mg_node value); /* adds, or replaces in its place */
void mg_push(mg_node array, mg_node value); /* walks the whole array */
void mg_push_first(mg_node array, mg_node value);
/* Makes a container hold copies of what another of its kind holds, and nothing else; its place in the source stays. */
void mg_put_all(mg_node container, mg_node from);

/* Recorded edits. A null container counts as absent where it is to be created. */
void mg_patch_set(struct mg_patch *patch, mg_node object, mg_str key, mg_node value);
void mg_patch_append(struct mg_patch *patch, mg_node array, mg_node value);
void mg_patch_insert(struct mg_patch *patch, mg_node array, uint32_t index, mg_node value); /* before index; at the end: append */
void mg_patch_remove(struct mg_patch *patch, mg_node object, mg_str key);
/* The object or array under key, made if it is absent or null; absent if something else is there. */
mg_node mg_patch_child(struct mg_patch *patch, mg_node object, mg_str key, enum mg_kind kind);

/* The JSON array; "[]" when there is nothing. */
void mg_patch_write(struct mg_buf *buf, const struct mg_patch *patch);
