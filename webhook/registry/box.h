/* Facts of an image as they are shared: counted, immutable, one block of memory. */
#pragma once
#include <stdatomic.h>

#include "kube/image_facts.h"

#define MG_BOX_EVER INT64_MAX

/* What the facts for rules do not say of a layer. Times are of the monotonic clock, in ms. */
struct mg_box_layer {
  mg_str toc, toc_digest; /* registry/manifest.h */
  int64_t tried_until;    /* its bytes are not asked for before; MG_BOX_EVER: nothing more is to be had; 0: not tried yet */
  int64_t measured_until; /* the same of how many bytes the registry holds */
};

struct mg_box {
  atomic_uint refs;
  int64_t until; /* that the facts are good for; 0: for ever */
  struct mg_image_facts facts;
  struct mg_box_layer *more[MG_PLATFORMS_MAX]; /* by platform and layer */
};

/* Copies; `more` by platform, an entry may be NULL. NULL: out of memory. */
struct mg_box *mg_box_new(const struct mg_image_facts *facts, struct mg_box_layer *const more[MG_PLATFORMS_MAX]);
struct mg_box *mg_box_ref(struct mg_box *box);
void mg_box_unref(struct mg_box *box); /* NULL is fine */

/* What is to be asked of an image, and by whom it is explained; bases may hold NULL. */
struct mg_box_question {
  int64_t evidence_size, now;
  struct mg_box *const *bases;
  uint32_t base_count;
};
enum mg_box_want {
  MG_WANT_NOTHING,
  MG_WANT_BYTES, /* its first bytes: it is that large, no base has it, and nothing is known of it yet */
  MG_WANT_SIZE,  /* it is claimed to be smaller, and its history speaks of weights: is it? */
};
/* Of every layer; how many want something. */
uint32_t mg_box_wants(const struct mg_box *box, const struct mg_box_question *q, enum mg_box_want ret[][MG_LAYERS_MAX]);
bool mg_box_wants_any(const struct mg_box *box, const struct mg_box_question *q);
/* A copy that says why what it wants was not looked into. NULL: out of memory. */
struct mg_box *mg_box_unread(const struct mg_box *box, const struct mg_box_question *q, mg_str why);
/* Layers of the platform, from the first, that a base has. */
uint32_t mg_box_credit(const struct mg_box *box, uint32_t platform, struct mg_box *const *bases, uint32_t base_count);
