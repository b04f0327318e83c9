/* MANIFEST, a line %%, CONFIG, as a registry sends them: facts that hold together, and texts that are fit to be shown. */
#include "fuzz.h"
#include "registry/manifest.h"
#include "registry/manifest_parts.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  mg_str rest = {(const char *)data, size}, first = fuzz_part(&rest);
  if (first.n != size) return LLVMFuzzerMutate(data, size, max);
  return fuzz_mutate_json(data, size, max, seed); /* one part only */
}

static void check_proof(enum mg_proof proof, mg_str what) {
  FUZZ_CHECK(proof == MG_PROOF_NONE || what.n, "a proof without a word");
  fuzz_check_clean(what, "a proof");
}

static void check_fact(const struct mg_platform_fact *fact) {
  int64_t sum = 0;
  FUZZ_CHECK(fact->layer_count <= MG_LAYERS_MAX, "%u layers", fact->layer_count);
  fuzz_check_clean(fact->platform, "a platform");
  fuzz_check_clean(fact->malformed, "what is malformed");
  fuzz_check_clean(fact->artifact, "an artifact");
  check_proof(fact->proof, fact->what);
  for (uint32_t i = 0; i < fact->layer_count; i++) {
    const struct mg_layer_fact *layer = &fact->layers[i];
    FUZZ_CHECK(fact->malformed.n || mg_digest_is_valid(layer->digest), "a layer without a digest");
    FUZZ_CHECK(layer->size >= -1 && layer->size <= MG_BLOB_SIZE_MAX, "a size of %lld", (long long)layer->size);
    FUZZ_CHECK(layer->command.n <= MG_COMMAND_MAX, "a command of %zu bytes", layer->command.n);
    fuzz_check_clean(layer->command, "a command");
    fuzz_check_clean(layer->media_type, "a media type");
    check_proof(layer->proof, layer->what);
    sum += layer->size > 0 ? layer->size : 0;
  }
  FUZZ_CHECK(fact->total >= -1, "a total of %lld", (long long)fact->total);
  FUZZ_CHECK(fact->total <= sum + MG_BLOB_SIZE_MAX, "a total of more than its parts");
}

static void check_index(const struct mg_manifest *m) {
  FUZZ_CHECK(m->child_count <= MG_PLATFORMS_MAX, "%u children", m->child_count);
  for (uint32_t i = 0; i < m->child_count; i++) {
    FUZZ_CHECK(mg_digest_is_valid(m->children[i].digest), "a child without a digest");
    FUZZ_CHECK(m->children[i].size >= -1 && m->children[i].size <= MG_BLOB_SIZE_MAX, "a child's size");
    fuzz_check_clean(m->children[i].platform, "a child's platform");
  }
}

static void check(mg_str body, mg_str config, const char *type, const char *platform) {
  struct mg_arena *arena = fuzz_arena(0);
  struct mg_manifest m;
  struct mg_err err = {0};
  int code = mg_manifest_read(arena, body, mg_str_of(type), mg_str_of(platform), &m, &err);
  FUZZ_CHECK(code == 0 || err.text[0], "refused without a word");
  fuzz_check_clean(mg_str_of(err.text), "an error");
  if (code) return;
  if (m.is_index) return check_index(&m);
  check_fact(&m.fact);
  if (mg_manifest_config(arena, m.config_inline.n ? m.config_inline : config, &m.fact, &err) == 0) check_fact(&m.fact);
  fuzz_check_clean(mg_str_of(err.text), "an error of a config");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const types[] = {"", "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
                                      "application/vnd.oci.image.index.v1+json",
                                      "application/vnd.docker.distribution.manifest.v2+json"};
  mg_str config = {(const char *)data, size}, body = fuzz_part(&config);
  for (size_t i = 0; i < FUZZ_COUNT(types); i++) check(body, config, types[i], i % 2 ? "linux/arm64" : "");
  return 0;
}
