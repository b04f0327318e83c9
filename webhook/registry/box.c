#include "registry/box.h"

#include <stdlib.h>

#include "kube/image_layers.h"

#define BASES_MAX 64 /* more than that are not looked at for credit */

/* Copies into one block. Without a block it only adds up. */
struct packer {
  char *p;
  size_t n;
};

static void *take(struct packer *pack, size_t size) {
  void *at = pack->p ? pack->p + pack->n : NULL;
  pack->n += (size + 15) & ~(size_t)15;
  return at;
}

static mg_str pack_str(struct packer *pack, mg_str s) {
  char *to = pack->p ? pack->p + pack->n : NULL;
  pack->n += s.n; /* bytes need no alignment; who does comes before them */
  if (to && s.n) memcpy(to, s.p, s.n);
  return to ? (mg_str){to, s.n} : (mg_str){0};
}

/* What holds pointers comes first, then the bytes. */
static struct mg_box *pack_frame(struct packer *pack, const struct mg_image_facts *facts) {
  struct mg_box *box = take(pack, sizeof *box);
  struct mg_platform_fact *platforms = take(pack, facts->platform_count * sizeof *platforms);
  if (box) {
    *box = (struct mg_box){.facts = {.platforms = platforms, .platform_count = facts->platform_count}};
    atomic_init(&box->refs, 1);
  }
  for (uint32_t i = 0; i < facts->platform_count; i++) {
    size_t count = facts->platforms[i].layer_count;
    struct mg_layer_fact *layers = take(pack, count * sizeof *layers);
    struct mg_box_layer *more = take(pack, count * sizeof *more);
    if (!box) continue;
    platforms[i] = facts->platforms[i];
    platforms[i].layers = layers;
    box->more[i] = more;
  }
  return box;
}

static void pack_layer(struct packer *pack, struct mg_layer_fact *to, const struct mg_layer_fact *from) {
  struct mg_layer_fact layer = *from;
  layer.digest = pack_str(pack, from->digest);
  layer.diff_id = pack_str(pack, from->diff_id);
  layer.media_type = pack_str(pack, from->media_type);
  layer.command = pack_str(pack, from->command);
  layer.what = pack_str(pack, from->what);
  layer.unread = pack_str(pack, from->unread);
  if (to) *to = layer;
}

static void pack_more(struct packer *pack, struct mg_box_layer *to, const struct mg_box_layer *from) {
  static const struct mg_box_layer none;
  struct mg_box_layer more = from ? *from : none;
  more.toc = pack_str(pack, more.toc);
  more.toc_digest = pack_str(pack, more.toc_digest);
  if (to) *to = more;
}

static void pack_platform(struct packer *pack, struct mg_platform_fact *to, const struct mg_platform_fact *from) {
  const mg_str texts[] = {pack_str(pack, from->platform), pack_str(pack, from->digest), pack_str(pack, from->malformed),
                          pack_str(pack, from->artifact), pack_str(pack, from->what), pack_str(pack, from->unknown)};
  if (!to) return;
  to->platform = texts[0];
  to->digest = texts[1];
  to->malformed = texts[2];
  to->artifact = texts[3];
  to->what = texts[4];
  to->unknown = texts[5];
}

static struct mg_box *pack_all(struct packer *pack, const struct mg_image_facts *facts, struct mg_box_layer *const *more) {
  struct mg_box *box = pack_frame(pack, facts);
  mg_str digest = pack_str(pack, facts->digest);
  if (box) box->facts.digest = digest;
  for (uint32_t i = 0; i < facts->platform_count; i++) {
    const struct mg_platform_fact *from = &facts->platforms[i];
    struct mg_platform_fact *to = box ? &box->facts.platforms[i] : NULL;
    pack_platform(pack, to, from);
    for (uint32_t k = 0; k < from->layer_count; k++) {
      pack_layer(pack, to ? &to->layers[k] : NULL, &from->layers[k]);
      pack_more(pack, to ? &box->more[i][k] : NULL, more[i] ? &more[i][k] : NULL);
    }
  }
  return box;
}

struct mg_box *mg_box_new(const struct mg_image_facts *facts, struct mg_box_layer *const more[MG_PLATFORMS_MAX]) {
  struct packer pack = {0};
  pack_all(&pack, facts, more);
  pack = (struct packer){.p = malloc(pack.n)};
  return pack.p ? pack_all(&pack, facts, more) : NULL;
}

struct mg_box *mg_box_ref(struct mg_box *box) {
  atomic_fetch_add_explicit(&box->refs, 1, memory_order_relaxed);
  return box;
}

void mg_box_unref(struct mg_box *box) {
  if (box && atomic_fetch_sub(&box->refs, 1) == 1) free(box);
}

uint32_t mg_box_credit(const struct mg_box *box, uint32_t platform, struct mg_box *const *bases, uint32_t base_count) {
  const struct mg_image_facts *facts[BASES_MAX];
  if (base_count > BASES_MAX) base_count = BASES_MAX;
  for (uint32_t i = 0; i < base_count; i++) facts[i] = bases[i] ? &bases[i]->facts : NULL;
  return base_count ? mg_image_credit(&box->facts.platforms[platform], facts, base_count).layers : 0;
}

static enum mg_box_want want_of(const struct mg_box *box, uint32_t platform, uint32_t layer, const struct mg_box_question *q) {
  const struct mg_platform_fact *p = &box->facts.platforms[platform];
  const struct mg_layer_fact *l = &p->layers[layer];
  const struct mg_box_layer *more = &box->more[platform][layer];
  if (p->malformed.n || p->artifact.n || l->proof == MG_PROOF_MEDIA_TYPE) return MG_WANT_NOTHING;
  if (l->size >= q->evidence_size) return more->tried_until <= q->now ? MG_WANT_BYTES : MG_WANT_NOTHING;
  bool told = l->proof == MG_PROOF_HISTORY || p->proof == MG_PROOF_HISTORY;
  return told && more->measured_until <= q->now ? MG_WANT_SIZE : MG_WANT_NOTHING;
}

uint32_t mg_box_wants(const struct mg_box *box, const struct mg_box_question *q, enum mg_box_want ret[][MG_LAYERS_MAX]) {
  uint32_t wants = 0;
  for (uint32_t i = 0; i < box->facts.platform_count; i++) {
    uint32_t skip = mg_box_credit(box, i, q->bases, q->base_count);
    for (uint32_t k = 0; k < box->facts.platforms[i].layer_count; k++) {
      ret[i][k] = k < skip ? MG_WANT_NOTHING : want_of(box, i, k, q);
      wants += ret[i][k] != MG_WANT_NOTHING;
    }
  }
  return wants;
}

bool mg_box_wants_any(const struct mg_box *box, const struct mg_box_question *q) {
  for (uint32_t i = 0; i < box->facts.platform_count; i++)
    for (uint32_t k = 0; k < box->facts.platforms[i].layer_count; k++)
      if (want_of(box, i, k, q)) { /* rare, and what bases have is dearer to tell */
        uint32_t skip = mg_box_credit(box, i, q->bases, q->base_count);
        for (; k < box->facts.platforms[i].layer_count; k++)
          if (k >= skip && want_of(box, i, k, q)) return true;
      }
  return false;
}

struct mg_box *mg_box_unread(const struct mg_box *box, const struct mg_box_question *q, mg_str why) {
  enum mg_box_want wants[MG_PLATFORMS_MAX][MG_LAYERS_MAX];
  struct mg_box *draft = mg_box_new(&box->facts, box->more), *copy = NULL;
  if (!draft) return NULL;
  mg_box_wants(box, q, wants);
  for (uint32_t i = 0; i < box->facts.platform_count; i++)
    for (uint32_t k = 0; k < box->facts.platforms[i].layer_count; k++)
      if (wants[i][k] == MG_WANT_BYTES) draft->facts.platforms[i].layers[k].unread = why;
  copy = mg_box_new(&draft->facts, draft->more);
  mg_box_unref(draft);
  return copy;
}
