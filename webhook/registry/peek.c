/* The first bytes of layers, or their tables of contents: a few at a time, the largest layers first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube/image.h"
#include "registry/inner.h"
#include "registry/manifest.h"
#include "registry/weights.h"

#define ARENA_MAX ((size_t)64 << 20)
#define PEEKS_MAX 128 /* layers at a time; the next look goes on with smaller ones */
#define PEEKS_AT_ONCE 4

enum stage { STAGE_TOC, STAGE_FIRST, STAGE_MORE };
enum outcome { NOT_READ, SEEN, ABSENT };

struct peek {
  struct mg_peeks *peeks;
  uint32_t platform, layer;
  int64_t size;
  enum stage stage;
  enum outcome outcome;
  struct mg_finding_in_layer found;
};

struct mg_peeks {
  struct mg_peeks *next, *prev;
  struct mg_peeks_order order; /* without the bases */
  bool left;                   /* nobody wants to know */
  struct mg_arena arena;
  struct mg_image image;
  struct peek list[PEEKS_MAX];
  uint32_t count, begun, outstanding;
  enum mg_registry_result result;
  char why[MG_WHY_MAX];
};

/* ---- the end ---- */

static void drop(struct mg_peeks *p) {
  *(p->prev ? &p->prev->next : &p->order.registry->peeks) = p->next;
  if (p->next) p->next->prev = p->prev;
  mg_box_unref(p->order.box);
  mg_settings_unref(p->order.settings);
  mg_arena_fini(&p->arena);
  free(p);
}

/* A file is a better proof than what the history says; where a layer shows nothing, the history's word stays. What is the same
 * blob elsewhere has the same in it. */
static void note(struct mg_box *box, const struct peek *at) {
  mg_str digest = box->facts.platforms[at->platform].layers[at->layer].digest;
  for (uint32_t i = 0; i < box->facts.platform_count; i++)
    for (uint32_t k = 0; k < box->facts.platforms[i].layer_count; k++) {
      struct mg_layer_fact *layer = &box->facts.platforms[i].layers[k];
      if (!mg_str_eq(layer->digest, digest)) continue;
      box->more[i][k].tried = true;
      layer->looked_into = at->outcome == SEEN;
      if (at->found.proof == MG_PROOF_NONE) continue;
      layer->proof = at->found.proof;
      layer->what = at->found.what;
      layer->file_size = at->found.file_size;
    }
}

/* A copy to write in, and one of that with the new strings in its own memory. */
static struct mg_box *updated(const struct mg_peeks *p) {
  struct mg_box *draft = mg_box_new(&p->order.box->facts, p->order.box->more), *box = NULL;
  for (uint32_t i = 0; draft && i < p->count; i++)
    if (p->list[i].outcome != NOT_READ) note(draft, &p->list[i]);
  if (draft && !p->arena.failed) box = mg_box_new(&draft->facts, draft->more);
  mg_box_unref(draft);
  return box;
}

static void finish(struct mg_peeks *p) {
  struct mg_registry *r = p->order.registry;
  struct mg_box *box = updated(p);
  if (box) {
    pthread_mutex_lock(&r->lock);
    mg_cache_keep_box(&r->cache, p->order.platform, box);
    pthread_mutex_unlock(&r->lock);
    mg_disk_keep_box(p->order.settings->cache_dir, p->order.platform, box);
  }
  if (!p->left) p->order.done(p->order.ctx, box, p->result, p->why);
  mg_box_unref(box);
  drop(p);
}

/* ---- one layer ---- */

static void go_on(struct mg_peeks *p);

static void end_peek(struct peek *at, enum outcome outcome) {
  at->outcome = outcome;
  at->peeks->outstanding--;
  go_on(at->peeks);
}

static void fail_peek(struct peek *at, enum mg_registry_result result, const char *why) {
  struct mg_peeks *p = at->peeks;
  if (p->result == MG_REGISTRY_FETCHED) {
    p->result = result;
    snprintf(p->why, sizeof p->why, "%s", why);
  }
  p->begun = p->count; /* the others would fare no better */
  end_peek(at, NOT_READ);
}

/* "offset:clen:ulen:type" of the table of contents. */
static bool toc_place(mg_str toc, int64_t *ret_from, int64_t *ret_size) {
  char text[128];
  if (!toc.n || toc.n >= sizeof text) return false;
  snprintf(text, sizeof text, "%.*s", MG_FMT(toc));
  if (sscanf(text, "%15" SCNd64 ":%15" SCNd64 ":", ret_from, ret_size) != 2) return false;
  return *ret_size > 0 && *ret_size <= (int64_t)MG_TOC_MAX;
}

static void ask(struct peek *at);

static void read_toc(struct peek *at, const struct mg_answer *a) {
  struct mg_peeks *p = at->peeks;
  const struct mg_box_layer *more = &p->order.box->more[at->platform][at->layer];
  if (mg_digest_matches(more->toc_digest, a->body) && mg_weights_toc(&p->arena, a->body, &at->found) == MG_PEEK_PROOF) {
    end_peek(at, SEEN);
    return;
  }
  at->found = (struct mg_finding_in_layer){0}; /* the bytes may show what the names do not */
  at->stage = STAGE_FIRST;
  ask(at);
}

static void read_bytes(struct peek *at, const struct mg_answer *a) {
  size_t max = at->stage == STAGE_FIRST ? MG_REGISTRY_PEEK : MG_REGISTRY_PEEK_MORE;
  enum mg_peek seen = mg_weights_peek(&at->peeks->arena, a->body, a->body.n < max, &at->found);
  if (seen != MG_PEEK_PROOF) at->found = (struct mg_finding_in_layer){0};
  if (seen == MG_PEEK_UNDECIDED && at->stage == STAGE_FIRST && a->body.n >= max) {
    at->stage = STAGE_MORE;
    ask(at);
  } else {
    end_peek(at, SEEN);
  }
}

static void on_bytes(void *ctx, const struct mg_answer *a) {
  struct peek *at = ctx;
  if (a->result == MG_REGISTRY_FETCHED) {
    if (at->stage == STAGE_TOC) read_toc(at, a);
    else read_bytes(at, a);
  } else if (at->stage == STAGE_TOC && a->result == MG_REGISTRY_INVALID) {
    at->stage = STAGE_FIRST;
    ask(at);
  } else if (a->result == MG_REGISTRY_NOT_FOUND || a->status == 416) { /* no such blob, or nothing in it */
    end_peek(at, ABSENT);
  } else {
    fail_peek(at, a->result, a->why);
  }
}

static void ask(struct peek *at) {
  struct mg_peeks *p = at->peeks;
  char what[256], range[64];
  int64_t from = 0, size = at->stage == STAGE_FIRST ? (int64_t)MG_REGISTRY_PEEK : (int64_t)MG_REGISTRY_PEEK_MORE;
  if (at->stage == STAGE_TOC && !toc_place(p->order.box->more[at->platform][at->layer].toc, &from, &size)) {
    at->stage = STAGE_FIRST;
    size = (int64_t)MG_REGISTRY_PEEK;
    from = 0;
  }
  snprintf(what, sizeof what, "blobs/%.*s", MG_FMT(p->order.box->facts.platforms[at->platform].layers[at->layer].digest));
  snprintf(range, sizeof range, "bytes=%" PRId64 "-%" PRId64, from, from + size - 1);
  struct mg_errand_order o = {
      .domain = p->image.domain, .repository = p->image.path, .what = what, .method = "GET", .range = range, .max = (size_t)size,
      .cut = true, .done = on_bytes, .ctx = at};
  if (!mg_errand_start(&p->order.registry->errands, p->order.settings, &o))
    fail_peek(at, MG_REGISTRY_UNREACHABLE, "too little memory to look into its layers");
}

/* ---- all of them ---- */

/* Counts itself too, so that what ends at once does not end everything. */
static void go_on(struct mg_peeks *p) {
  p->outstanding++;
  while (p->begun < p->count && p->outstanding <= PEEKS_AT_ONCE) {
    p->outstanding++;
    ask(&p->list[p->begun++]);
  }
  if (--p->outstanding == 0) finish(p);
}

static bool is_listed(const struct mg_peeks *p, mg_str digest) {
  for (uint32_t i = 0; i < p->count; i++)
    if (mg_str_eq(p->order.box->facts.platforms[p->list[i].platform].layers[p->list[i].layer].digest, digest)) return true;
  return false;
}

static void add(struct mg_peeks *p, uint32_t platform, uint32_t layer) {
  const struct mg_layer_fact *l = &p->order.box->facts.platforms[platform].layers[layer];
  if (is_listed(p, l->digest)) return;
  uint32_t at = p->count;
  while (at > 0 && p->list[at - 1].size < l->size) at--;
  if (at == PEEKS_MAX) return;
  if (p->count == PEEKS_MAX) p->count--;
  memmove(&p->list[at + 1], &p->list[at], (p->count - at) * sizeof *p->list);
  p->list[at] = (struct peek){.peeks = p, .platform = platform, .layer = layer, .size = l->size, .stage = STAGE_TOC};
  p->count++;
}

static void plan(struct mg_peeks *p, const struct mg_peeks_order *order) {
  for (uint32_t i = 0; i < order->box->facts.platform_count; i++) {
    uint32_t skip = mg_box_credit(order->box, i, order->bases, order->base_count);
    for (uint32_t k = skip; k < order->box->facts.platforms[i].layer_count; k++)
      if (mg_box_layer_wants(order->box, i, k, order->evidence_size, skip)) add(p, i, k);
  }
}

struct mg_peeks *mg_peeks_start(const struct mg_peeks_order *order) {
  struct mg_peeks *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->order = *order;
  p->order.bases = NULL;
  p->result = MG_REGISTRY_FETCHED;
  mg_arena_init(&p->arena, ARENA_MAX, 0);
  p->order.box = mg_box_ref(order->box);
  p->order.settings = mg_settings_ref(order->settings);
  p->order.platform = mg_arena_dup(&p->arena, order->platform);
  p->next = order->registry->peeks;
  if (p->next) p->next->prev = p;
  order->registry->peeks = p;
  p->order.reference = mg_arena_dup(&p->arena, order->reference);
  if (!mg_image_parse(&p->arena, p->order.reference, &p->image)) {
    drop(p);
    return NULL;
  }
  plan(p, order);
  p->outstanding++; /* so that it does not end before this returns */
  go_on(p);
  p->outstanding--;
  if (p->outstanding) return p;
  drop(p); /* none could be begun */
  return NULL;
}

void mg_peeks_leave(struct mg_peeks *p) {
  p->left = true;
}

void mg_peeks_free(struct mg_registry *r) {
  while (r->peeks) drop(r->peeks);
}
