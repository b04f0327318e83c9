#include "registry/manifest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#include "base/ascii.h"
#include "registry/manifest_parts.h"
#include "registry/registry.h"
#include "registry/weights_parts.h"

#define TOC_POSITION_MAX 96
#define INLINE_MAX ((size_t)64 << 10) /* of a config in its manifest, which is kept; a larger one is asked for */

enum body { BODY_UNKNOWN, BODY_MANIFEST, BODY_INDEX, BODY_SCHEMA1 };

static const struct {
  const char *type;
  enum body body;
} types[] = {
    {"application/vnd.oci.image.manifest.v1+json", BODY_MANIFEST},
    {"application/vnd.docker.distribution.manifest.v2+json", BODY_MANIFEST},
    {"application/vnd.oci.image.index.v1+json", BODY_INDEX},
    {"application/vnd.docker.distribution.manifest.list.v2+json", BODY_INDEX},
    {"application/vnd.docker.distribution.manifest.v1+json", BODY_SCHEMA1},
    {"application/vnd.docker.distribution.manifest.v1+prettyjws", BODY_SCHEMA1},
};

static bool same_type(mg_str a, mg_str b) {
  return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static enum body body_of(mg_str type) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (same_type(type, mg_str_of(types[i].type))) return types[i].body;
  return BODY_UNKNOWN;
}

static mg_str without_parameters(mg_str content_type) {
  mg_str s = {content_type.p, mg_str_find(content_type, ';')};
  while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
  while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s = mg_str_from(s, 1);
  return s;
}

/* What the body is by the header, by what it says itself, and by its shape. */
static int tell(mg_node root, mg_str content_type, struct mg_arena *arena, enum body *ret, struct mg_err *err) {
  mg_str header = without_parameters(content_type), own = mg_string(mg_manifest_field(root, "mediaType"));
  bool children = !mg_missing(mg_manifest_field(root, "manifests")), layers = !mg_missing(mg_manifest_field(root, "layers"));
  int64_t version = 0;
  if (body_of(header) && own.n && !same_type(header, own))
    return mg_err_set(err, MG_E_INVALID, "sent as %.*s, but says that it is %.*s", MG_FMT(mg_weights_clean(arena, header)),
                      MG_FMT(mg_weights_clean(arena, own)));
  if (children && layers) return mg_err_set(err, MG_E_INVALID, "both an index and a manifest: it has manifests and layers");
  *ret = body_of(own);
  if (!*ret && !own.n) *ret = body_of(header);
  if (!*ret && !own.n) *ret = children ? BODY_INDEX : layers ? BODY_MANIFEST : BODY_UNKNOWN;
  bool old = mg_int64(mg_manifest_field(root, "schemaVersion"), &version) && version == 1;
  if (*ret == BODY_SCHEMA1 || (old && !children && !layers))
    return mg_err_set(err, MG_E_INVALID, "a manifest of schema 1, which has no sizes: push the image again with a newer tool");
  if (!*ret)
    return mg_err_set(err, MG_E_INVALID, "neither an image manifest nor an index: %s%.*s",
                      own.n ? "media type " : "no media type", MG_FMT(mg_weights_clean(arena, own)));
  return 0;
}

__attribute__((format(printf, 3, 4))) static void malform(struct mg_arena *arena, struct mg_platform_fact *fact,
                                                          const char *format, ...) {
  if (fact->malformed.n) return; /* the first is told */
  va_list args;
  va_start(args, format);
  fact->malformed = mg_arena_vprintf(arena, format, args);
  va_end(args);
}

/* Of nothing at all, which artifacts may have. */
#define EMPTY_DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Digest and size of a descriptor; `name` is for the text. A size of 0 is what runtimes make of a missing one. */
static int64_t read_descriptor(struct mg_arena *arena, mg_node at, const char *name, struct mg_platform_fact *fact,
                               mg_str *ret_digest) {
  mg_str digest = mg_string(mg_manifest_field(at, "digest"));
  mg_node says = mg_manifest_field(at, "size");
  int64_t size = mg_manifest_size(says);
  if (size == 0 && !mg_str_is(digest, EMPTY_DIGEST)) size = -1;
  if (size < 0 && mg_missing(says)) malform(arena, fact, "%s has no size", name);
  else if (size < 0 && mg_text(says).n)
    malform(arena, fact, "%s has a size of %s%.*s%s", name, mg_is(says, MG_STRING) ? "\"" : "",
            MG_FMT(mg_weights_clean(arena, mg_text(says))), mg_is(says, MG_STRING) ? "\"" : "");
  else if (size < 0) malform(arena, fact, "%s has a size that is no number", name);
  if (mg_digest_is_valid(digest)) *ret_digest = mg_arena_dup(arena, digest);
  else malform(arena, fact, "%s has no digest by sha256 or sha512", name);
  return size;
}

/* The place of a zstd:chunked table of contents and the digest that vouches for it, or an eStargz one's digest. */
static void read_toc(struct mg_arena *arena, mg_node annotations, mg_str *ret_toc, mg_str *ret_digest) {
  static const char *const positions[] = {"io.github.containers.zstd-chunked.manifest-position",
                                          "io.containers.zstd-chunked.manifest-position"};
  static const char *const digests[] = {"io.github.containers.zstd-chunked.manifest-checksum",
                                        "io.containers.zstd-chunked.manifest-checksum"};
  mg_str stargz = mg_string(mg_manifest_field(annotations, "containerd.io/snapshot/stargz/toc.digest"));
  if (mg_digest_is_valid(stargz)) *ret_digest = mg_arena_dup(arena, stargz);
  for (size_t i = 0; i < 2; i++) {
    mg_str position = mg_string(mg_manifest_field(annotations, positions[i]));
    mg_str digest = mg_string(mg_manifest_field(annotations, digests[i]));
    bool plain = position.n > 0 && position.n <= TOC_POSITION_MAX && mg_digest_is_valid(digest);
    for (size_t at = 0; plain && at < position.n; at++)
      plain = position.p[at] == ':' || mg_is_digit(position.p[at]);
    if (!plain) continue;
    *ret_toc = mg_arena_dup(arena, position);
    *ret_digest = mg_arena_dup(arena, digest);
    return;
  }
}

static void read_layer(struct mg_arena *arena, mg_node at, uint32_t index, struct mg_manifest *ret) {
  struct mg_layer_fact *layer = &ret->fact.layers[index];
  char name[32];
  snprintf(name, sizeof name, "layer %u", (unsigned)index + 1);
  mg_node type = mg_manifest_field(at, "mediaType");
  *layer = (struct mg_layer_fact){.media_type = mg_manifest_text(arena, type), .file_size = -1};
  layer->size = read_descriptor(arena, at, name, &ret->fact, &layer->digest);
  if (mg_weights_media_type(mg_string(type))) {
    layer->proof = MG_PROOF_MEDIA_TYPE;
    layer->what = layer->media_type;
    if (ret->fact.artifact.n == 0) ret->fact.artifact = layer->media_type;
  }
  read_toc(arena, mg_manifest_field(at, "annotations"), &ret->toc[index], &ret->toc_digest[index]);
}

/* Config and every distinct layer: a blob that is there twice is stored and pulled once. Nothing here can overflow. */
_Static_assert((MG_LAYERS_MAX + 1) <= INT64_MAX / MG_BLOB_SIZE_MAX, "the sum of all sizes fits");
static int64_t sum(struct mg_arena *arena, struct mg_manifest *m) {
  int64_t total = m->config_size;
  for (uint32_t i = 0; i < m->fact.layer_count; i++) {
    const struct mg_layer_fact *layer = &m->fact.layers[i];
    bool again = layer->digest.n && mg_str_eq(layer->digest, m->config_digest);
    for (uint32_t k = 0; k < i && !again; k++) {
      again = layer->digest.n && mg_str_eq(layer->digest, m->fact.layers[k].digest);
      if (again && layer->size != m->fact.layers[k].size)
        malform(arena, &m->fact, "layers %u and %u are the same blob with two sizes", (unsigned)k + 1, (unsigned)i + 1);
    }
    if (!again) total += layer->size;
  }
  return m->fact.malformed.n ? -1 : total;
}

static void read_layers(struct mg_arena *arena, mg_node layers, struct mg_manifest *ret) {
  uint32_t count = mg_count(layers);
  if (!mg_is(layers, MG_ARRAY)) malform(arena, &ret->fact, "no list of layers");
  if (count > MG_LAYERS_MAX) malform(arena, &ret->fact, "%u layers, more than %d", (unsigned)count, MG_LAYERS_MAX);
  if (count > MG_LAYERS_MAX) count = MG_LAYERS_MAX;
  ret->fact.layers = MG_NEW_N(arena, struct mg_layer_fact, count ? count : 1);
  if (!ret->fact.layers || !mg_is(layers, MG_ARRAY)) return;
  for (mg_node at = mg_first(layers); at.at && ret->fact.layer_count < count; at = mg_next(at))
    read_layer(arena, at, ret->fact.layer_count++, ret);
}

/* The bytes of `data`, if they are what the digest says. */
static mg_str inline_config(struct mg_arena *arena, mg_str data, mg_str digest, int64_t size) {
  size_t pad = 0;
  if (size < 0 || data.n == 0 || data.n % 4 || data.n > INLINE_MAX / 3 * 4) return (mg_str){0};
  while (pad < 2 && data.p[data.n - 1 - pad] == '=') pad++;
  unsigned char *bytes = mg_arena_alloc(arena, data.n / 4 * 3);
  int got = bytes ? EVP_DecodeBlock(bytes, (const unsigned char *)data.p, (int)data.n) : -1;
  mg_str ret = {(const char *)bytes, got < (int)pad ? 0 : (size_t)got - pad};
  return (int64_t)ret.n == size && mg_digest_matches(digest, ret) ? ret : (mg_str){0};
}

/* Configs of what a container runtime starts; Wasm modules need another runtime class, and are no models. */
static bool runs(mg_str config_type) {
  static const char *const runnable[] = {"application/vnd.oci.image.config.v1+json",
                                         "application/vnd.docker.container.image.v1+json",
                                         "application/vnd.wasm.config.v0+json", "application/octet-stream"};
  for (size_t i = 0; i < sizeof runnable / sizeof *runnable; i++)
    if (same_type(config_type, mg_str_of(runnable[i]))) return true;
  return config_type.n == 0;
}

static void read_image(struct mg_arena *arena, mg_node root, struct mg_manifest *ret) {
  struct mg_platform_fact *fact = &ret->fact;
  mg_node config = mg_manifest_field(root, "config"), annotations = mg_manifest_field(root, "annotations");
  mg_str kind = mg_manifest_text(arena, mg_manifest_field(root, "artifactType"));
  ret->config_size = read_descriptor(arena, config, "the config", fact, &ret->config_digest);
  ret->config_media_type = mg_manifest_text(arena, mg_manifest_field(config, "mediaType"));
  ret->config_inline = inline_config(arena, mg_string(mg_manifest_field(config, "data")), ret->config_digest, ret->config_size);
  if (!runs(ret->config_media_type)) fact->artifact = kind.n ? kind : ret->config_media_type;
  if (mg_weights_media_type(kind)) fact->artifact = kind;
  if (mg_weights_media_type(fact->artifact)) mg_manifest_prove(fact, MG_PROOF_MEDIA_TYPE, fact->artifact);
  read_layers(arena, mg_manifest_field(root, "layers"), ret);
  fact->total = sum(arena, ret);
  for (mg_node key = mg_first(annotations); key.at; key = mg_next(key))
    if (mg_is(annotations, MG_OBJECT) && mg_weights_label(mg_text(key)))
      mg_manifest_prove(fact, MG_PROOF_LABEL, mg_weights_clean(arena, mg_text(key)));
}

int mg_manifest_read(struct mg_arena *arena, mg_str body, mg_str content_type, mg_str platform, struct mg_manifest *ret,
                     struct mg_err *err) {
  MG_MANIFEST_SCRATCH scratch;
  struct mg_doc doc;
  enum body kind = BODY_UNKNOWN;
  mg_arena_init(&scratch, MG_MANIFEST_SCRATCH_MAX, 0);
  *ret = (struct mg_manifest){.config_size = -1};
  int code = mg_manifest_json(&doc, &scratch, body, MG_REGISTRY_MANIFEST_MAX, err);
  if (code) return code;
  mg_node root = mg_root(&doc);
  code = tell(root, content_type, &scratch, &kind, err);
  if (code) return code;
  ret->fact.digest = mg_digest_of(arena, body);
  if (kind == BODY_INDEX) return mg_manifest_index(arena, &scratch, root, platform, ret, err);
  read_image(arena, root, ret);
  return arena->failed ? mg_err_nomem(err) : 0;
}
