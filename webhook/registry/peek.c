/* Layers that are looked into: a few at a time, the largest first, within what may be read of an image. */
#include <stdio.h>
#include <stdlib.h>

#include "kube/image_layers.h"
#include "registry/peek_parts.h"

#define ARENA_MAX ((size_t)64 << 20)
#define AT_ONCE 8

/* ---- the end ---- */

static void drop(struct mg_peeks *p) {
  *(p->prev ? &p->prev->next : &p->order.registry->peeks) = p->next;
  if (p->next) p->next->prev = p->prev;
  mg_box_unref(p->order.box);
  mg_keyring_unref(p->order.pulls);
  mg_settings_unref(p->order.settings);
  mg_arena_fini(&p->arena);
  free(p);
}

/* A file is a better proof than what the history says; where a layer shows nothing, the history's word stays. */
static void note_bytes(struct mg_layer_fact *layer, struct mg_box_layer *more, const struct mg_peek_layer *at, int64_t now) {
  bool failed = at->outcome == MG_PEEKED_NOT;
  more->tried_until = failed ? now + mg_cache_trouble_ms(at->result) : MG_BOX_EVER;
  layer->unread = failed ? at->why : (mg_str){0};
  layer->looked_into = at->outcome == MG_PEEKED && !mg_peek_belied(at);
  if (at->found.proof == MG_PROOF_NONE) return;
  layer->proof = at->found.proof;
  layer->what = at->found.what;
  layer->file_size = at->found.file_size;
}

static void note_size(struct mg_peeks *p, struct mg_platform_fact *platform, uint32_t layer, const struct mg_peek_layer *at) {
  if (at->held > 0 && at->held < at->size) platform->layers[layer].held = at->held;
  if (!mg_peek_belied(at) || platform->malformed.n) return;
  platform->malformed = mg_arena_printf(&p->arena, "the registry holds %.*s of layer %u, its manifest says %.*s",
                                        MG_FMT(mg_size_text(&p->arena, at->held)), (unsigned)layer + 1,
                                        MG_FMT(mg_size_text(&p->arena, at->size)));
  platform->total = -1;
}

/* What is the same blob elsewhere has the same in it. */
static void note(struct mg_peeks *p, struct mg_box *box, const struct mg_peek_layer *at, int64_t now) {
  mg_str digest = mg_peek_fact(at)->digest;
  for (uint32_t i = 0; i < box->facts.platform_count; i++)
    for (uint32_t k = 0; k < box->facts.platforms[i].layer_count; k++) {
      struct mg_layer_fact *layer = &box->facts.platforms[i].layers[k];
      struct mg_box_layer *more = &box->more[i][k];
      if (!mg_str_eq(layer->digest, digest)) continue;
      if (!at->only_size) note_bytes(layer, more, at, now);
      more->measured_until = at->outcome == MG_PEEKED_NOT ? now + mg_cache_trouble_ms(at->result) : MG_BOX_EVER;
      note_size(p, &box->facts.platforms[i], k, at);
    }
}

/* More than are looked into at a time: the next look goes on with them. */
static void note_left_out(const struct mg_peeks *p, struct mg_box *box, int64_t now) {
  int64_t until = now + mg_cache_trouble_ms(MG_REGISTRY_INVALID);
  for (uint32_t i = 0; i < box->facts.platform_count; i++)
    for (uint32_t k = 0; k < box->facts.platforms[i].layer_count; k++) {
      struct mg_box_layer *more = &box->more[i][k];
      if (p->wants[i][k] == MG_WANT_BYTES && more->tried_until <= now) {
        more->tried_until = until;
        box->facts.platforms[i].layers[k].unread = MG_S("only the 40 largest of its layers are looked into at a time");
      }
      if (p->wants[i][k] == MG_WANT_SIZE && more->measured_until <= now) more->measured_until = until;
    }
}
_Static_assert(MG_REGISTRY_PEEKS_MAX == 40, "the text above says so");

/* A copy to write in, and one of that with the new strings in its own memory. What a registry says of a size may be a mistake
 * on the way, so it is not taken for good. */
static struct mg_box *updated(struct mg_peeks *p) {
  struct mg_box *draft = mg_box_new(&p->order.box->facts, p->order.box->more), *box = NULL;
  int64_t now = mg_clock_ms(), until = p->order.box->until;
  if (!draft) return NULL;
  for (uint32_t i = 0; i < p->bytes.count + p->sizes.count; i++) {
    const struct mg_peek_layer *at = i < p->bytes.count ? &p->bytes.at[i] : &p->sizes.at[i - p->bytes.count];
    note(p, draft, at, now);
    if (mg_peek_belied(at) && !until) until = now + mg_cache_trouble_ms(MG_REGISTRY_INVALID);
  }
  note_left_out(p, draft, now);
  if (!p->arena.failed) box = mg_box_new(&draft->facts, draft->more);
  if (box) box->until = until;
  mg_box_unref(draft);
  return box;
}

static void finish(struct mg_peeks *p) {
  struct mg_registry *r = p->order.registry;
  struct mg_box *box = updated(p);
  char room[MG_NAME_ROOM];
  mg_str place = mg_facts_place(p->order.reference, p->order.platform, room);
  if (box) {
    pthread_mutex_lock(&r->lock);
    mg_cache_keep_box(&r->cache, place, box);
    pthread_mutex_unlock(&r->lock);
    mg_disk_keep_box(p->order.settings->cache_dir, place, box);
  }
  if (!p->left) p->order.done(p->order.ctx, box, p->result);
  mg_box_unref(box);
  drop(p);
}

/* ---- all of them ---- */

static int64_t share_of(size_t all, uint32_t count, size_t most) {
  size_t share = count ? all / count : 0;
  return (int64_t)(share < most ? share : most);
}

/* Those whose first bytes did not tell share what may be read beyond them. */
static bool begin_more(struct mg_peeks *p) {
  uint32_t again = 0, most = MG_REGISTRY_MORE_ALL / MG_REGISTRY_MORE_MIN;
  for (uint32_t i = 0; i < p->bytes.count && !p->more; i++) {
    p->bytes.at[i].again &= again < most;
    again += p->bytes.at[i].again;
  }
  for (uint32_t i = 0; i < p->bytes.count; i++)
    p->bytes.at[i].room = share_of(MG_REGISTRY_MORE_ALL, again, MG_REGISTRY_MORE_ALL);
  p->more = true;
  p->begun = 0;
  return again > 0;
}

static void begin_one(struct mg_peeks *p) {
  uint32_t i = p->begun++;
  struct mg_peek_layer *at = i < p->bytes.count ? &p->bytes.at[i] : &p->sizes.at[i - p->bytes.count];
  if (p->more && (at->only_size || !at->again)) return;
  p->outstanding++;
  at->again = false;
  if (p->more) mg_peek_go_on(at);
  else mg_peek_begin(at);
}

/* Counts itself too, so that what ends at once does not end everything. */
static void go_on(struct mg_peeks *p) {
  p->outstanding++;
  while (p->begun < p->bytes.count + p->sizes.count && p->outstanding <= AT_ONCE) begin_one(p);
  if (--p->outstanding) return;
  if (!p->more && begin_more(p)) go_on(p);
  else finish(p);
}

/* Where the registry is out of reach, the others would fare no better. */
static void give_up(struct mg_peeks *p, const struct mg_peek_layer *why) {
  for (; p->begun < p->bytes.count + p->sizes.count; p->begun++) {
    bool bytes = p->begun < p->bytes.count;
    struct mg_peek_layer *at = bytes ? &p->bytes.at[p->begun] : &p->sizes.at[p->begun - p->bytes.count];
    if (p->more && (at->only_size || !at->again)) continue;
    at->outcome = MG_PEEKED_NOT;
    at->result = why->result;
    at->why = why->why;
  }
}

void mg_peek_ended(struct mg_peek_layer *at) {
  struct mg_peeks *p = at->peeks;
  if (at->outcome == MG_PEEKED_NOT && !at->only_size) {
    if (p->result == MG_REGISTRY_FETCHED) p->result = at->result;
    if (at->result != MG_REGISTRY_DENIED && at->result != MG_REGISTRY_INVALID) give_up(p, at);
  }
  p->outstanding--;
  go_on(p);
}

/* ---- which ---- */

static bool is_listed(const struct mg_peek_list *list, mg_str digest) {
  for (uint32_t i = 0; i < list->count; i++)
    if (mg_str_eq(mg_peek_fact(&list->at[i])->digest, digest)) return true;
  return false;
}

static void add(struct mg_peeks *p, struct mg_peek_list *list, uint32_t platform, uint32_t layer) {
  const struct mg_layer_fact *l = &p->order.box->facts.platforms[platform].layers[layer];
  if (is_listed(list, l->digest)) return;
  uint32_t at = list->count;
  while (at > 0 && list->at[at - 1].size < l->size) at--;
  if (at == list->max) return;
  if (list->count == list->max) list->count--;
  memmove(&list->at[at + 1], &list->at[at], (list->count - at) * sizeof *list->at);
  list->at[at] = (struct mg_peek_layer){
      .peeks = p, .platform = platform, .layer = layer, .size = l->size, .held = -1, .only_size = list == &p->sizes};
  list->count++;
}

static void plan(struct mg_peeks *p, const struct mg_box_question *question) {
  p->bytes = (struct mg_peek_list){.at = p->list, .max = MG_REGISTRY_PEEKS_MAX};
  p->sizes = (struct mg_peek_list){.at = p->list + MG_REGISTRY_PEEKS_MAX, .max = MG_REGISTRY_HEADS_MAX};
  mg_box_wants(p->order.box, question, p->wants);
  for (uint32_t i = 0; i < p->order.box->facts.platform_count; i++)
    for (uint32_t k = 0; k < p->order.box->facts.platforms[i].layer_count; k++) {
      if (p->wants[i][k] == MG_WANT_BYTES) add(p, &p->bytes, i, k);
      if (p->wants[i][k] == MG_WANT_SIZE) add(p, &p->sizes, i, k);
    }
  for (uint32_t i = 0; i < p->bytes.count; i++)
    p->bytes.at[i].room = share_of(MG_REGISTRY_PEEK_ALL, p->bytes.count, MG_REGISTRY_PEEK);
}

bool mg_peeks_start(const struct mg_peeks_order *order, struct mg_peeks **ret) {
  struct mg_peeks *p = calloc(1, sizeof *p);
  if (!p) return false;
  p->order = *order;
  p->order.question.bases = NULL;
  p->result = MG_REGISTRY_FETCHED;
  mg_arena_init(&p->arena, ARENA_MAX, 0);
  p->order.box = mg_box_ref(order->box);
  p->order.settings = mg_settings_ref(order->settings);
  p->order.pulls = mg_keyring_ref(order->pulls);
  p->order.scope = mg_arena_dup(&p->arena, order->scope);
  p->order.platform = mg_arena_dup(&p->arena, order->platform);
  p->next = order->registry->peeks;
  if (p->next) p->next->prev = p;
  order->registry->peeks = p;
  p->order.reference = mg_arena_dup(&p->arena, order->reference);
  if (!mg_image_parse_normalised(&p->arena, p->order.reference, &p->image)) {
    drop(p);
    return false;
  }
  *ret = p;
  plan(p, &order->question);
  go_on(p);
  return true;
}

void mg_peeks_leave(struct mg_peeks *p) {
  p->left = true;
}

void mg_peeks_free(struct mg_registry *r) {
  while (r->peeks) drop(r->peeks);
}
