#include "app/image_report.h"

#include <inttypes.h>

#include "kube/image_layers.h"
#include "rules/rules.h"

static const char *const proof_words[] = {
    [MG_PROOF_NONE] = "none",     [MG_PROOF_MEDIA_TYPE] = "mediaType", [MG_PROOF_HISTORY] = "history",
    [MG_PROOF_FILE] = "file",     [MG_PROOF_LABEL] = "label",
};

/* The next violation of imageSize, from v on. */
static const struct mg_violation *of_images(const struct mg_violation *v) {
  while (v && v->rule->type != &mg_rule_image_size) v = v->next;
  return v;
}

bool mg_image_report_denied(const struct mg_image_report *r) {
  for (const struct mg_violation *v = of_images(r->verdict.violations); v; v = of_images(v->next))
    if (v->outcome == MG_OUT_DENY) return true;
  return false;
}

static struct mg_credit credit_of(const struct mg_image_report *r, const struct mg_platform_fact *p) {
  return mg_image_credit(p, r->base_facts, r->base_count);
}

/* ---- text ---- */

static void put_size(struct mg_buf *out, struct mg_arena *arena, int64_t bytes) {
  if (bytes < 0) mg_buf_lit(out, "?");
  else mg_buf_put(out, mg_size_text(arena, bytes));
}

static void text_layer(struct mg_buf *out, struct mg_arena *arena, const struct mg_layer_fact *layer, uint32_t number,
                       bool base) {
  mg_buf_printf(out, "  %4u  %10.*s  %s ", number, MG_FMT(mg_size_text(arena, layer->size)), base ? "base" : "    ");
  mg_buf_clean(out, layer->command);
  mg_buf_byte(out, '\n');
  if (layer->held > 0) mg_buf_printf(out, "        the registry has %.*s of it\n", MG_FMT(mg_size_text(arena, layer->held)));
  if (layer->unread.n) {
    mg_buf_lit(out, "        not looked into: ");
    mg_buf_clean(out, layer->unread);
    mg_buf_byte(out, '\n');
  }
  if (layer->proof == MG_PROOF_NONE) return;
  mg_buf_lit(out, "        model weights: ");
  mg_buf_clean(out, layer->what);
  if (layer->file_size >= 0) mg_buf_printf(out, " (%.*s)", MG_FMT(mg_size_text(arena, layer->file_size)));
  mg_buf_printf(out, ", by its %s\n", layer->proof == MG_PROOF_FILE ? "content" : proof_words[layer->proof]);
}

static void text_platform(struct mg_buf *out, struct mg_arena *arena, const struct mg_image_report *r,
                          const struct mg_platform_fact *p) {
  struct mg_credit credit = credit_of(r, p);
  mg_buf_lit(out, "  ");
  mg_buf_clean(out, p->platform.n ? p->platform : p->digest);
  mg_buf_lit(out, "  ");
  if (p->unknown.n) {
    mg_buf_lit(out, "not known: ");
    mg_buf_clean(out, p->unknown);
    mg_buf_byte(out, '\n');
    return;
  }
  put_size(out, arena, p->total);
  mg_buf_printf(out, " in %u layers", p->layer_count);
  if (credit.layers) {
    mg_buf_printf(out, ", %.*s over base ", MG_FMT(mg_size_text(arena, credit.over)));
    mg_buf_clean(out, r->bases[credit.base]);
  }
  mg_buf_byte(out, '\n');
  if (p->malformed.n) {
    mg_buf_lit(out, "  malformed: ");
    mg_buf_clean(out, p->malformed);
    mg_buf_byte(out, '\n');
  }
  if (p->artifact.n) {
    mg_buf_lit(out, "  no image but an artifact: ");
    mg_buf_clean(out, p->artifact);
    mg_buf_byte(out, '\n');
  }
  for (uint32_t i = 0; i < p->layer_count; i++) text_layer(out, arena, &p->layers[i], i + 1, i < credit.layers);
  if (p->proof == MG_PROOF_NONE) return;
  mg_buf_printf(out, "  model weights, by its %s: ", proof_words[p->proof]);
  mg_buf_clean(out, p->what);
  mg_buf_byte(out, '\n');
}

void mg_image_report_text(struct mg_buf *out, struct mg_arena *arena, const struct mg_image_report *r) {
  mg_buf_clean(out, r->normalised);
  mg_buf_byte(out, '\n');
  if (r->answer != MG_IMAGE_KNOWN) {
    mg_buf_lit(out, "  not known: ");
    mg_buf_clean(out, r->why);
    mg_buf_byte(out, '\n');
  } else {
    mg_buf_lit(out, "  ");
    mg_buf_clean(out, r->facts->digest);
    mg_buf_byte(out, '\n');
    for (uint32_t i = 0; i < r->facts->platform_count; i++) text_platform(out, arena, r, &r->facts->platforms[i]);
  }
  for (const struct mg_violation *v = of_images(r->verdict.violations); v; v = of_images(v->next)) {
    mg_buf_printf(out, "  %s ", mg_outcome_words[v->outcome]);
    mg_buf_clean(out, v->policy->name);
    mg_buf_byte(out, '/');
    mg_buf_clean(out, v->rule->name);
    mg_buf_lit(out, ": ");
    mg_buf_clean(out, v->message);
    mg_buf_byte(out, '\n');
  }
}

/* ---- json ---- */

static void member(struct mg_buf *out, const char *key, mg_str text) {
  mg_buf_printf(out, ",\"%s\":", key);
  mg_buf_json_clean(out, text);
}

static void json_proof(struct mg_buf *out, enum mg_proof proof, mg_str what, int64_t size) {
  if (proof == MG_PROOF_NONE) {
    mg_buf_lit(out, ",\"proof\":null");
    return;
  }
  mg_buf_printf(out, ",\"proof\":{\"by\":\"%s\"", proof_words[proof]);
  member(out, "what", what);
  if (size >= 0) mg_buf_printf(out, ",\"size\":%" PRId64, size);
  mg_buf_byte(out, '}');
}

static void json_layer(struct mg_buf *out, const struct mg_layer_fact *layer, bool base) {
  mg_buf_lit(out, "{\"digest\":");
  mg_buf_json_clean(out, layer->digest);
  mg_buf_printf(out, ",\"size\":%" PRId64, layer->size);
  member(out, "mediaType", layer->media_type);
  member(out, "command", layer->command);
  mg_buf_printf(out, ",\"base\":%s,\"lookedInto\":%s", base ? "true" : "false", layer->looked_into ? "true" : "false");
  if (layer->held > 0) mg_buf_printf(out, ",\"held\":%" PRId64, layer->held);
  if (layer->unread.n) member(out, "unread", layer->unread);
  json_proof(out, layer->proof, layer->what, layer->file_size);
  mg_buf_byte(out, '}');
}

static void json_platform(struct mg_buf *out, const struct mg_image_report *r, const struct mg_platform_fact *p) {
  struct mg_credit credit = credit_of(r, p);
  mg_buf_lit(out, "{\"platform\":");
  mg_buf_json_clean(out, p->platform);
  member(out, "digest", p->digest);
  if (p->unknown.n) member(out, "error", p->unknown);
  mg_buf_printf(out, ",\"total\":%" PRId64 ",\"largestLayer\":%" PRId64 ",\"overBase\":%" PRId64, p->total,
                p->layer_count ? p->layers[mg_image_largest(p)].size : -1, credit.over);
  if (credit.layers) member(out, "base", r->bases[credit.base]);
  if (p->malformed.n) member(out, "malformed", p->malformed);
  if (p->artifact.n) member(out, "artifact", p->artifact);
  json_proof(out, p->proof, p->what, -1);
  mg_buf_lit(out, ",\"layers\":[");
  for (uint32_t i = 0; i < p->layer_count; i++) {
    if (i) mg_buf_byte(out, ',');
    json_layer(out, &p->layers[i], i < credit.layers);
  }
  mg_buf_lit(out, "]}");
}

static void json_violation(struct mg_buf *out, const struct mg_violation *v) {
  mg_buf_lit(out, "{\"policy\":");
  mg_buf_json_clean(out, v->policy->name);
  member(out, "rule", v->rule->name);
  member(out, "action", mg_str_of(mg_outcome_words[v->outcome]));
  member(out, "message", v->message);
  if (v->fix.n) member(out, "fix", v->fix);
  mg_buf_byte(out, '}');
}

void mg_image_report_json(struct mg_buf *out, const struct mg_image_report *r) {
  mg_buf_lit(out, "{\"image\":");
  mg_buf_json_clean(out, r->reference);
  member(out, "reference", r->normalised);
  if (r->answer != MG_IMAGE_KNOWN) member(out, "error", r->why);
  else member(out, "digest", r->facts->digest);
  mg_buf_lit(out, ",\"platforms\":[");
  for (uint32_t i = 0; r->answer == MG_IMAGE_KNOWN && i < r->facts->platform_count; i++) {
    if (i) mg_buf_byte(out, ',');
    json_platform(out, r, &r->facts->platforms[i]);
  }
  mg_buf_lit(out, "],\"violations\":[");
  const struct mg_violation *first = of_images(r->verdict.violations);
  for (const struct mg_violation *v = first; v; v = of_images(v->next)) {
    if (v != first) mg_buf_byte(out, ',');
    json_violation(out, v);
  }
  mg_buf_lit(out, "]}");
}
