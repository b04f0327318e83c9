/* Facts of an image as they are shared: counted, immutable, one block of memory. */
#pragma once
#include <stdatomic.h>

#include "kube/image_facts.h"

/* What the facts for rules do not say of a layer. */
struct mg_box_layer {
  mg_str toc, toc_digest; /* registry/manifest.h */
  bool tried;             /* nothing more is to be had from it */
};

struct mg_box {
  atomic_uint refs;
  struct mg_image_facts facts;
  struct mg_box_layer *more[MG_PLATFORMS_MAX]; /* by platform and layer */
};

/* Copies; `more` by platform, an entry may be NULL. NULL: out of memory. */
struct mg_box *mg_box_new(const struct mg_image_facts *facts, struct mg_box_layer *const more[MG_PLATFORMS_MAX]);
struct mg_box *mg_box_ref(struct mg_box *box);
void mg_box_unref(struct mg_box *box); /* NULL is fine */

/* The first bytes of the layer are to be read: it is that large, no base has it, and nothing is known of it yet. `skip`: layers
 * that a base has. */
bool mg_box_layer_wants(const struct mg_box *box, uint32_t platform, uint32_t layer, int64_t evidence_size, uint32_t skip);
/* Whether any does; bases may hold NULL. */
bool mg_box_wants(const struct mg_box *box, int64_t evidence_size, struct mg_box *const *bases, uint32_t base_count);
/* Layers of the platform, from the first, that a base has. */
uint32_t mg_box_credit(const struct mg_box *box, uint32_t platform, struct mg_box *const *bases, uint32_t base_count);
