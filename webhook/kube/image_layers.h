/* What the layers of an image come to: the largest, and what no base explains. */
#pragma once
#include "base/arena.h"
#include "kube/image_facts.h"

/* What a platform of an image has of a base: the layers that it begins with. */
struct mg_credit {
  uint32_t layers; /* of the image, from the first; 0: it shares none with any base */
  uint32_t base;   /* whose; among those that were given */
  int64_t over;    /* bytes that are not of the base, config included; all of them without one; -1: sizes are malformed */
};
/* The base with the longest beginning in common; bases may hold NULL. Layers are the same by digest, or by diff_id where a copy
 * was compressed anew. */
struct mg_credit mg_image_credit(const struct mg_platform_fact *platform, const struct mg_image_facts *const *bases,
                                 uint32_t count);

/* Its number; the first of several, and layer_count where there is none. */
uint32_t mg_image_largest(const struct mg_platform_fact *platform);

/* The platform is the one that is asked for: "linux/arm64/v8" is "linux/arm64". "" asks for any. */
bool mg_platform_is(mg_str platform, mg_str asked);

/* Bytes as people read them, in the units of quantities and rounded up, so that what is above a limit never looks like it:
 * "512 B", "1.5 MiB", "20.01 GiB". */
mg_str mg_size_text(struct mg_arena *arena, int64_t bytes);
