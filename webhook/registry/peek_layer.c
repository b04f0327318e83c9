/* One layer: its table of contents where that is small, its first bytes, and what the registry says of its size. */
#include <inttypes.h>
#include <stdio.h>

#include "registry/manifest.h"
#include "registry/peek_parts.h"

static void end(struct mg_peek_layer *at, enum mg_peek_outcome outcome) {
  at->outcome = outcome;
  mg_peek_ended(at);
}

static void fail(struct mg_peek_layer *at, enum mg_registry_result result, const char *why) {
  at->result = result;
  at->why = mg_arena_dup(&at->peeks->arena, mg_str_of(why));
  end(at, MG_PEEKED_NOT);
}

/* ---- asking ---- */

static void on_answer(void *ctx, const struct mg_answer *a);

static void ask(struct mg_peek_layer *at, enum mg_peek_stage stage, int64_t from, int64_t size) {
  struct mg_peeks *p = at->peeks;
  char what[256], range[64];
  at->stage = stage;
  at->asked = size;
  snprintf(what, sizeof what, "blobs/%.*s", MG_FMT(mg_peek_fact(at)->digest));
  snprintf(range, sizeof range, "bytes=%" PRId64 "-%" PRId64, from, from + size - 1);
  struct mg_errand_order o = {
      .domain = p->image.domain, .repository = p->image.path, .what = what, .method = "GET", .range = range, .max = (size_t)size,
      .cut = true, .pulls = p->order.pulls, .scope = p->order.scope, .done = on_answer, .ctx = at};
  if (stage == MG_STAGE_SIZE) o.method = "HEAD", o.range = NULL;
  if (!mg_errand_start(&p->order.registry->errands, p->order.settings, &o))
    fail(at, MG_REGISTRY_UNREACHABLE, "too little memory to look into it");
}

/* The same blob may be another image's. What belies this one is not told of others: it may be a mistake, or one repository's
 * lie. */
static bool is_measured(struct mg_peek_layer *at) {
  struct mg_registry *r = at->peeks->order.registry;
  pthread_mutex_lock(&r->lock);
  at->held = mg_cache_size(&r->cache, at->peeks->image.domain, mg_peek_fact(at)->digest);
  pthread_mutex_unlock(&r->lock);
  return at->held >= 0;
}

static void keep_measure(const struct mg_peek_layer *at) {
  struct mg_registry *r = at->peeks->order.registry;
  pthread_mutex_lock(&r->lock);
  mg_cache_keep_size(&r->cache, at->peeks->image.domain, mg_peek_fact(at)->digest, at->held);
  pthread_mutex_unlock(&r->lock);
}

/* A table of contents is the whole truth where it fits; where it is larger than what may be read at first, the first bytes are
 * tried before it. */
static bool toc_fits(const struct mg_peek_layer *at) {
  return at->toc_size > 0 && (at->toc_size <= at->room || (at->peeks->more && at->toc_size <= (int64_t)MG_REGISTRY_TOC_MAX));
}

/* Where nothing is packed, the next file is looked at without reading what lies between. */
static bool can_hop(const struct mg_peek_layer *at) {
  int64_t gap = at->hopping ? (int64_t)MG_REGISTRY_HOP : at->room; /* what is nearer is read through */
  return at->peeks->more && !at->no_ranges && at->hops < MG_REGISTRY_HOPS_MAX && at->room >= (int64_t)MG_REGISTRY_HOP &&
         at->next >= (int64_t)at->bytes.n + gap && at->next < at->size;
}

/* What is left of the room where there may be files to hop to. */
static int64_t bytes_wanted(const struct mg_peek_layer *at) {
  int64_t hops = (int64_t)(MG_REGISTRY_HOP * MG_REGISTRY_HOPS_MAX);
  if (at->next && at->peeks->more && !at->no_ranges) return at->room - (at->room / 8 < hops ? at->room / 8 : hops);
  return at->room;
}

void mg_peek_go_on(struct mg_peek_layer *at) {
  int64_t have = (int64_t)at->bytes.n, rest = at->size - have;
  if (at->only_size && is_measured(at)) {
    end(at, MG_PEEKED);
  } else if (at->only_size) {
    ask(at, MG_STAGE_SIZE, 0, 0);
  } else if (at->footer) {
    ask(at, MG_STAGE_FOOTER, at->size - MG_STARGZ_FOOTER, MG_STARGZ_FOOTER);
  } else if (toc_fits(at)) {
    ask(at, MG_STAGE_TOC, at->toc_at, at->toc_size);
  } else if (can_hop(at)) {
    at->hopping = true;
    ask(at, MG_STAGE_HOP, at->next, (int64_t)MG_REGISTRY_HOP);
  } else if (at->room > 0 && rest > 0) {
    int64_t from = at->no_ranges ? 0 : have, wanted = bytes_wanted(at);
    at->hopping = at->peeks->more;
    ask(at, MG_STAGE_BYTES, from, have - from + (wanted < rest ? wanted : rest));
  } else {
    at->again = rest > 0 && !at->peeks->more;
    end(at, MG_PEEKED);
  }
}

/* "offset:clen:ulen:type" of the table of contents. */
static void read_place(struct mg_peek_layer *at, mg_str toc) {
  char text[128];
  int64_t from = 0, size = 0;
  if (!toc.n || toc.n >= sizeof text) return;
  snprintf(text, sizeof text, "%.*s", MG_FMT(toc));
  /* NOLINTNEXTLINE(cert-err34-c): no more digits than fit */
  if (sscanf(text, "%15" SCNd64 ":%15" SCNd64 ":", &from, &size) != 2 || from >= at->size) return;
  at->toc_at = from;
  at->toc_size = size;
}

void mg_peek_begin(struct mg_peek_layer *at) {
  const struct mg_box_layer *more = &at->peeks->order.box->more[at->platform][at->layer];
  read_place(at, more->toc);
  at->footer = !more->toc.n && more->toc_digest.n && at->size > MG_STARGZ_FOOTER;
  mg_peek_go_on(at);
}

/* ---- what comes back ---- */

static void take_footer(struct mg_peek_layer *at, const struct mg_answer *a) {
  int64_t from = 0, end_at = at->size - MG_STARGZ_FOOTER;
  at->footer = false;
  at->room -= (int64_t)a->body.n;
  if (a->status == 206 && mg_weights_footer(a->body, &from) && from < end_at) {
    at->toc_at = from;
    at->toc_size = end_at - from;
  }
  mg_peek_go_on(at);
}

static void take_toc(struct mg_peek_layer *at, const struct mg_answer *a) {
  const struct mg_box_layer *more = &at->peeks->order.box->more[at->platform][at->layer];
  bool stargz = !more->toc.n; /* what vouches for those is the digest of what is packed */
  mg_str digest = stargz ? more->toc_digest : (mg_str){0};
  at->toc_size = 0;
  at->room -= (int64_t)a->body.n;
  bool vouched = stargz || mg_digest_matches(more->toc_digest, a->body);
  if (vouched && mg_weights_toc(&at->peeks->arena, a->body, digest, &at->found) == MG_PEEK_PROOF) {
    end(at, MG_PEEKED);
    return;
  }
  at->found = (struct mg_finding_in_layer){0}; /* the bytes may show what the names do not */
  mg_peek_go_on(at);
}

static mg_str joined(struct mg_peek_layer *at, const struct mg_answer *a) {
  size_t have = at->no_ranges ? 0 : at->bytes.n;
  char *bytes = mg_arena_alloc(&at->peeks->arena, have + a->body.n + 1);
  if (!bytes) return (mg_str){0};
  if (have) memcpy(bytes, at->bytes.p, have);
  if (a->body.n) memcpy(bytes + have, a->body.p, a->body.n);
  return (mg_str){bytes, have + a->body.n};
}

static void take_bytes(struct mg_peek_layer *at, const struct mg_answer *a) {
  at->no_ranges = a->status != 206;
  mg_str bytes = joined(at, a);
  bool longer = bytes.n > at->bytes.n, whole = !longer || (int64_t)a->body.n < at->asked || (int64_t)bytes.n >= at->size;
  at->room -= longer ? (int64_t)(bytes.n - at->bytes.n) : at->room;
  if (longer) at->bytes = bytes;
  enum mg_peek seen = mg_weights_peek(&at->peeks->arena, at->bytes, whole, &at->found);
  at->next = at->found.next;
  if (seen != MG_PEEK_PROOF) at->found = (struct mg_finding_in_layer){0};
  bool open = seen == MG_PEEK_UNDECIDED || (seen != MG_PEEK_PROOF && (at->toc_size > 0 || at->next > 0));
  at->again = open && !whole && !at->peeks->more;
  if (open && !whole && can_hop(at)) mg_peek_go_on(at);
  else end(at, MG_PEEKED);
}

static void take_hop(struct mg_peek_layer *at, const struct mg_answer *a) {
  at->hops++;
  at->room -= (int64_t)a->body.n;
  bool there = a->status == 206 && a->body.n > 0;
  if (there && mg_weights_peek(&at->peeks->arena, a->body, false, &at->found) == MG_PEEK_PROOF) {
    end(at, MG_PEEKED);
    return;
  }
  int64_t step = there ? at->found.next : 0;
  at->found = (struct mg_finding_in_layer){0};
  at->next += step;
  if (step > 0 && can_hop(at)) mg_peek_go_on(at);
  else end(at, MG_PEEKED);
}

/* More than the manifest says is a lie. Less is nobody's gain, and may be an answer cut short on the way. */
static bool is_belied(struct mg_peek_layer *at, const struct mg_answer *a) {
  if (a->total >= 0) at->held = a->total;
  return a->total > at->size;
}

/* There is nothing more of it, by the registry's own word. */
static bool is_beyond(const struct mg_peek_layer *at, const struct mg_answer *a) {
  return a->status == 416 && a->total >= 0 && a->total <= (int64_t)at->bytes.n;
}

static void on_answer(void *ctx, const struct mg_answer *a) {
  static void (*const take[])(struct mg_peek_layer *, const struct mg_answer *) = {
      [MG_STAGE_FOOTER] = take_footer, [MG_STAGE_TOC] = take_toc, [MG_STAGE_HOP] = take_hop,
      [MG_STAGE_BYTES] = take_bytes};
  struct mg_peek_layer *at = ctx;
  bool belied = is_belied(at, a);
  if (at->stage == MG_STAGE_SIZE && at->held > 0 && !belied) keep_measure(at);
  if (belied) {
    end(at, MG_PEEKED);
  } else if (a->result == MG_REGISTRY_FETCHED) {
    if (at->stage != MG_STAGE_SIZE) take[at->stage](at, a);
    else end(at, MG_PEEKED);
  } else if (a->result == MG_REGISTRY_INVALID && at->stage < MG_STAGE_BYTES) { /* the range, perhaps */
    take[at->stage](at, &(struct mg_answer){.status = a->status});
  } else if (a->result == MG_REGISTRY_NOT_FOUND || is_beyond(at, a)) {
    end(at, at->bytes.n ? MG_PEEKED : MG_PEEKED_ABSENT);
  } else {
    fail(at, a->result, a->why);
  }
}
