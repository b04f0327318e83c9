/* The two halves of looking into layers: which of them, and one of them. */
#pragma once
#include "kube/image.h"
#include "registry/inner.h"
#include "registry/weights.h"

enum mg_peek_outcome { MG_PEEKED_NOT, MG_PEEKED, MG_PEEKED_ABSENT /* nothing is there to be read */ };
enum mg_peek_stage { MG_STAGE_FOOTER, MG_STAGE_TOC, MG_STAGE_HOP, MG_STAGE_BYTES, MG_STAGE_SIZE };

/* One layer. */
struct mg_peek_layer {
  struct mg_peeks *peeks;
  uint32_t platform, layer;
  int64_t size;
  bool only_size;               /* of the layer nothing else is wanted */
  bool again;                   /* more bytes may tell */
  enum mg_peek_stage stage;     /* of the request under way */
  int64_t room, asked;          /* that may be read of it now; of the request under way */
  bool no_ranges;               /* the server sends all of it, whatever it is asked */
  int64_t toc_at, toc_size;     /* 0: none, or it has been read */
  bool footer;                  /* that says where it is has still to be read */
  mg_str bytes;                 /* the first ones */
  int64_t next;                 /* the next file, behind them; 0: not known */
  uint32_t hops;
  bool hopping;                 /* all that was to be read before has been */
  enum mg_peek_outcome outcome;
  enum mg_registry_result result; /* why not */
  mg_str why;
  int64_t held;                 /* bytes that the registry has of it; -1: nobody says so */
  struct mg_finding_in_layer found;
};

struct mg_peek_list {
  struct mg_peek_layer *at; /* the largest first */
  uint32_t count, max;
};

struct mg_peeks {
  struct mg_peeks *next, *prev;
  struct mg_peeks_order order; /* without the bases */
  bool left;                   /* nobody wants to know */
  struct mg_arena arena;
  struct mg_image image;
  enum mg_box_want wants[MG_PLATFORMS_MAX][MG_LAYERS_MAX];
  struct mg_peek_list bytes, sizes;
  struct mg_peek_layer list[MG_REGISTRY_PEEKS_MAX + MG_REGISTRY_HEADS_MAX];
  uint32_t begun, outstanding;
  bool more; /* the second time */
  enum mg_registry_result result;
};

static inline const struct mg_layer_fact *mg_peek_fact(const struct mg_peek_layer *at) {
  return &at->peeks->order.box->facts.platforms[at->platform].layers[at->layer];
}

/* The registry has more of it than the manifest says. */
static inline bool mg_peek_belied(const struct mg_peek_layer *at) {
  return at->held > at->size;
}

/* Ends with mg_peek_ended, maybe before this returns. */
void mg_peek_begin(struct mg_peek_layer *at);
/* As far as its room allows. */
void mg_peek_go_on(struct mg_peek_layer *at);
void mg_peek_ended(struct mg_peek_layer *at);
