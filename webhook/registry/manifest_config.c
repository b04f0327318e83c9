#include "registry/manifest_parts.h"
#include "registry/registry.h"
#include "registry/weights_parts.h"

/* The list of a config, or an absent node. */
static mg_node list(mg_node at, const char *name) {
  mg_node found = mg_manifest_field(at, name);
  return mg_as(found, MG_ARRAY);
}

static bool makes_layer(mg_node entry) {
  return !mg_true(mg_manifest_field(entry, "empty_layer"));
}

static uint32_t count_layers(mg_node history) {
  uint32_t count = 0;
  for (mg_node entry = mg_first(history); entry.at; entry = mg_next(entry)) count += makes_layer(entry);
  return count;
}

/* One command. Where a layer is known to be its own, it is that layer's; what gives weights away elsewhere is the image's:
 * buildah writes all files into one layer and calls every COPY empty. */
static void read_entry(struct mg_arena *arena, mg_node entry, struct mg_layer_fact *layer, struct mg_platform_fact *fact) {
  mg_str command = mg_string(mg_manifest_field(entry, "created_by")), words = {0};
  if (!layer && fact->proof == MG_PROOF_HISTORY) return; /* one is enough */
  bool proof = mg_weights_command(arena, command, &words);
  if (layer) layer->command = mg_weights_clean_command(arena, command);
  if (proof && !layer) mg_manifest_prove(fact, MG_PROOF_HISTORY, words);
  if (!proof || !layer || layer->proof != MG_PROOF_NONE) return;
  layer->proof = MG_PROOF_HISTORY;
  layer->what = words;
}

static void read_history(struct mg_arena *arena, mg_node history, mg_node diff_ids, struct mg_platform_fact *fact) {
  uint32_t count = count_layers(history), at = 0;
  bool aligned = count == fact->layer_count && mg_count(diff_ids) == count;
  for (mg_node entry = mg_first(history); entry.at; entry = mg_next(entry))
    read_entry(arena, entry, aligned && makes_layer(entry) ? &fact->layers[at++] : NULL, fact);
}

static void read_diff_ids(struct mg_arena *arena, mg_node diff_ids, struct mg_platform_fact *fact) {
  uint32_t at = 0;
  if (mg_count(diff_ids) != fact->layer_count) return;
  for (mg_node item = mg_first(diff_ids); item.at; item = mg_next(item), at++)
    if (mg_digest_is_valid(mg_string(item))) fact->layers[at].diff_id = mg_arena_dup(arena, mg_string(item));
}

int mg_manifest_config(struct mg_arena *arena, mg_str body, struct mg_platform_fact *fact, struct mg_err *err) {
  MG_MANIFEST_SCRATCH scratch;
  struct mg_doc doc;
  mg_arena_init(&scratch, MG_MANIFEST_SCRATCH_MAX, 0);
  int code = mg_manifest_json(&doc, &scratch, body, MG_REGISTRY_CONFIG_MAX, err);
  if (code) return code;
  mg_node root = mg_root(&doc), diff_ids = list(mg_manifest_field(root, "rootfs"), "diff_ids");
  mg_str platform = mg_manifest_platform(arena, root);
  if (platform.n) fact->platform = platform;
  read_diff_ids(arena, diff_ids, fact);
  read_history(arena, list(root, "history"), diff_ids, fact);
  mg_node labels = mg_manifest_field(mg_manifest_field(root, "config"), "Labels");
  for (mg_node key = mg_first(labels); key.at; key = mg_next(key))
    if (mg_is(labels, MG_OBJECT) && mg_weights_label(mg_text(key)))
      mg_manifest_prove(fact, MG_PROOF_LABEL, mg_weights_clean(arena, mg_text(key)));
  return arena->failed ? mg_err_nomem(err) : 0;
}
