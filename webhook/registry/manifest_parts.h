/* What the files of manifest.h share. */
#pragma once
#include "doc/json.h"
#include "registry/manifest.h"

#define MG_BLOB_SIZE_MAX ((int64_t)1 << 53) /* above it is no size that anything can have */

/* A value as container runtimes find it, which are written in Go: keys are taken without regard to case, and the last of several
 * holds. What stands under another spelling must not be overlooked here and pulled there. */
mg_node mg_manifest_field(mg_node object, const char *name);

/* MG_E_INVALID with the reader's text, MG_E_NOMEM. */
int mg_manifest_json(struct mg_doc *ret, struct mg_arena *scratch, mg_str body, size_t max, struct mg_err *err);

/* A string's content for facts and people: in the arena, cleaned and of bounded length. */
mg_str mg_manifest_text(struct mg_arena *arena, mg_node n);

/* A whole number of bytes that a blob may have; -1 of anything else. */
int64_t mg_manifest_size(mg_node n);

/* "linux/amd64", "linux/arm/v7" of an object with os, architecture and variant, in the names that the kubelet uses; "" where it
 * says neither. */
mg_str mg_manifest_platform(struct mg_arena *arena, mg_node from);

/* The children of an index; those that are not kept leave nothing in the arena. */
int mg_manifest_index(struct mg_arena *arena, struct mg_arena *scratch, mg_node root, mg_str platform, struct mg_manifest *ret,
                      struct mg_err *err);

/* The first proof that is as strong stays: media types, then history, then labels. */
void mg_manifest_prove(struct mg_platform_fact *fact, enum mg_proof proof, mg_str what);

static inline void mg_manifest_scratch_fini(struct mg_arena *scratch) {
  mg_arena_fini(scratch);
}
#define MG_MANIFEST_SCRATCH __attribute__((cleanup(mg_manifest_scratch_fini))) struct mg_arena
#define MG_MANIFEST_SCRATCH_MAX ((size_t)64 << 20)
