/* Manifests, indexes and configs into facts: pure functions, no I/O. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "kube/image_facts.h"

/* One child of an index that can run. */
struct mg_manifest_child {
  mg_str digest, platform; /* platform: "" where the index does not say it */
  int64_t size;            /* of the child manifest; -1: no size that could be checked */
};

struct mg_manifest {
  bool is_index;
  /* Of an index: runnable ones for linux, attestations and unknown platforms left out, at most MG_PLATFORMS_MAX, those that
   * `platform` asks for first. */
  struct mg_manifest_child *children;
  uint32_t child_count;
  mg_str nested[2];                   /* digests of indexes in the index, where it has no children of its own */
  struct mg_platform_fact fact;       /* of a manifest: layers with sizes, artifact, malformed; no history yet */
  mg_str config_digest, config_media_type, config_inline; /* inline: decoded `data`, where that is small */
  int64_t config_size;
  mg_str toc[MG_LAYERS_MAX];          /* by layer: "offset:clen:ulen:type" of a zstd:chunked, "" without */
  mg_str toc_digest[MG_LAYERS_MAX];   /* of its compressed bytes; or of an eStargz's */
};

/* content_type: of the reply, parameters and all. MG_E_INVALID: what is wrong, for people; also schema 1. */
int mg_manifest_read(struct mg_arena *arena, mg_str body, mg_str content_type, mg_str platform, struct mg_manifest *ret,
                     struct mg_err *err);

/* Adds history, diff_ids, labels and platform of the image's config to the facts. MG_E_INVALID. */
int mg_manifest_config(struct mg_arena *arena, mg_str body, struct mg_platform_fact *fact, struct mg_err *err);

/* "sha256:<64 hex>" or "sha512:…": well-formed. */
bool mg_digest_is_valid(mg_str digest);
/* These bytes have this digest. */
bool mg_digest_matches(mg_str digest, mg_str bytes);
/* Their sha256 digest, for what was asked for by tag: registries often get the header wrong. {NULL, 0} when out of memory. */
mg_str mg_digest_of(struct mg_arena *arena, mg_str bytes);
