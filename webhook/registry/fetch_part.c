/* One platform of what a reference names: its manifest and config; then all of them, as facts. */
#include <stdio.h>

#include "registry/fetch_parts.h"

/* ---- all that is known, into a box ---- */

/* Of a platform that could not be had there is its name, and why. */
static void pack_part(struct mg_fetch_part *p, struct mg_platform_fact *fact, struct mg_box_layer **ret_more) {
  const struct mg_manifest *m = p->manifest;
  if (p->result != MG_REGISTRY_FETCHED) {
    *fact = (struct mg_platform_fact){.platform = p->child->platform, .digest = p->child->digest, .total = -1, .unknown = p->why};
    return;
  }
  *fact = m->fact;
  *ret_more = MG_NEW_N(&p->fetch->arena, struct mg_box_layer, m->fact.layer_count ? m->fact.layer_count : 1);
  for (uint32_t k = 0; *ret_more && k < m->fact.layer_count; k++)
    (*ret_more)[k] = (struct mg_box_layer){.toc = m->toc[k], .toc_digest = m->toc_digest[k]};
}

/* What went wrong with a part is asked for again as soon as if all had. */
static void pack(struct mg_fetch *f) {
  struct mg_image_facts facts = {.digest = f->digest, .platform_count = f->part_count};
  struct mg_box_layer *more[MG_PLATFORMS_MAX] = {0};
  int64_t until = 0, now = mg_clock_ms();
  facts.platforms = MG_NEW_N(&f->arena, struct mg_platform_fact, f->part_count);
  for (uint32_t i = 0; facts.platforms && i < f->part_count; i++) {
    struct mg_fetch_part *p = &f->parts[i];
    pack_part(p, &facts.platforms[i], &more[i]);
    if (p->result == MG_REGISTRY_FETCHED) continue;
    int64_t again = now + mg_cache_trouble_ms(p->result);
    if (!until || again < until) until = again;
    f->result = p->result;
  }
  struct mg_box *box = f->arena.failed ? NULL : mg_box_new(&facts, more);
  if (!box) {
    mg_fetch_fail_memory(f);
    return;
  }
  box->until = until;
  mg_fetch_keep_box(f, box);
  mg_disk_keep_box(f->settings->cache_dir, f->place, box);
  mg_fetch_finish(f, box);
  mg_box_unref(box);
}

/* What is wrong with all of them is told as what is wrong with the first. */
static void part_done(struct mg_fetch *f) {
  bool any = false;
  if (--f->outstanding) return;
  for (uint32_t i = 0; i < f->part_count; i++) any |= f->parts[i].result == MG_REGISTRY_FETCHED;
  if (any) pack(f);
  else mg_fetch_fail(f, f->parts[0].result, f->parts[0].why.n ? f->parts[0].why.p : MG_FETCH_NO_MEMORY);
}

void mg_fetch_part_failed(struct mg_fetch_part *p, enum mg_registry_result result, const char *why) {
  p->result = result;
  p->why = mg_arena_dup(&p->fetch->arena, mg_str_of(why));
  part_done(p->fetch);
}

static void part_invalid(struct mg_fetch_part *p, const char *what, const struct mg_err *err) {
  char why[MG_WHY_MAX];
  mg_fetch_say_invalid(p->fetch, why, what, err);
  mg_fetch_part_failed(p, MG_REGISTRY_INVALID, why);
}

/* ---- configs ---- */

static void read_config(struct mg_fetch_part *p, mg_str body) {
  struct mg_err err = {0};
  struct mg_fetch *f = p->fetch;
  struct mg_platform_fact *fact = &p->manifest->fact;
  if ((int64_t)body.n != p->manifest->config_size) { /* some runtimes would run it all the same */
    fact->malformed = MG_S("the config is not of the size that the manifest says");
    fact->total = -1;
  }
  int code = mg_manifest_config(&f->arena, body, fact, &err);
  if (code < 0) part_invalid(p, "its config cannot be read", &err);
  else part_done(f);
}

static void on_config(void *ctx, const struct mg_answer *a) {
  struct mg_fetch_part *p = ctx;
  if (a->result != MG_REGISTRY_FETCHED) {
    mg_fetch_part_failed(p, a->result, a->why);
  } else if (!mg_digest_matches(p->manifest->config_digest, a->body)) {
    part_invalid(p, "a config that is not what its digest says", NULL);
  } else {
    read_config(p, a->body);
  }
}

/* What no container can run, and what is malformed, is judged without. */
static void ask_config(struct mg_fetch_part *p) {
  struct mg_fetch *f = p->fetch;
  struct mg_manifest *m = p->manifest;
  if (m->fact.artifact.n || m->fact.malformed.n || !m->config_digest.n) {
    part_done(f);
  } else if (m->config_inline.n) {
    read_config(p, m->config_inline);
  } else {
    struct mg_errand_order o = {.method = "GET", .max = MG_REGISTRY_CONFIG_MAX, .done = on_config, .ctx = p};
    if (mg_fetch_order(f, &o, "blobs", m->config_digest)) return;
    mg_fetch_part_failed(p, MG_REGISTRY_UNREACHABLE, MG_FETCH_NO_MEMORY);
  }
}

/* ---- children of an index ---- */

void mg_fetch_take_manifest(struct mg_fetch_part *p, struct mg_manifest *m, mg_str digest) {
  p->manifest = m;
  m->fact.digest = digest;
  if (p->child && !m->fact.platform.n) m->fact.platform = p->child->platform;
  ask_config(p);
}

void mg_fetch_on_child(void *ctx, const struct mg_answer *a) {
  struct mg_fetch_part *p = ctx;
  struct mg_fetch *f = p->fetch;
  struct mg_err err = {0};
  struct mg_manifest *m = NULL;
  if (a->result != MG_REGISTRY_FETCHED) {
    mg_fetch_part_failed(p, a->result, a->why);
  } else if (!mg_digest_matches(p->child->digest, a->body) || (p->child->size >= 0 && p->child->size != (int64_t)a->body.n)) {
    part_invalid(p, "a manifest that is not what its index says", NULL);
  } else if (!(m = MG_NEW(&f->arena, struct mg_manifest)) ||
             mg_manifest_read(&f->arena, a->body, a->content_type, f->platform, m, &err) < 0) {
    part_invalid(p, "a manifest that cannot be read", m ? &err : NULL);
  } else if (m->is_index) {
    part_invalid(p, "an index that its index calls a manifest", NULL);
  } else {
    mg_fetch_take_manifest(p, m, p->child->digest);
  }
}
