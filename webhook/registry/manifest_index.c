#include "registry/manifest_parts.h"

static bool is_index(mg_node child) {
  mg_str type = mg_string(mg_manifest_field(child, "mediaType"));
  return mg_str_is(type, "application/vnd.oci.image.index.v1+json") ||
         mg_str_is(type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

static bool is_image(mg_node child) {
  mg_str type = mg_string(mg_manifest_field(child, "mediaType"));
  return mg_str_is(type, "application/vnd.oci.image.manifest.v1+json") ||
         mg_str_is(type, "application/vnd.docker.distribution.manifest.v2+json");
}

/* Which children are looked at first: an index can list more than MG_PLATFORMS_MAX, and the one that the nodes will pull must not
 * be hidden behind harmless ones. Runtimes go by the platform; only without one does anything else count. */
static unsigned rank_of(mg_node child, mg_str platform, mg_str wanted) {
  static const char *const usual[] = {"linux/amd64", "linux/arm64", ""};
  if (wanted.n && mg_str_eq(platform, wanted)) return 0;
  if (wanted.n && mg_str_starts(platform, wanted) && platform.p[wanted.n] == '/') return 1;
  bool attestation = !mg_missing(mg_manifest_field(mg_manifest_field(child, "annotations"), "vnd.docker.reference.type"));
  if (platform.n == 0 && (attestation || !is_image(child))) return 6;
  for (unsigned i = 0; i < sizeof usual / sizeof *usual; i++)
    if (mg_str_is(platform, usual[i])) return i + 2;
  return 5;
}

static bool runs_on_linux(mg_str platform) {
  return platform.n == 0 || (mg_str_starts(platform, MG_S("linux/")) && !mg_str_has(platform, MG_S("unknown")));
}

/* Of children for one platform runtimes take the first. */
static bool is_there(const struct mg_manifest *index, const struct mg_manifest_child *child) {
  for (uint32_t i = 0; i < index->child_count; i++) {
    const struct mg_manifest_child *other = &index->children[i];
    if (mg_str_eq(other->digest, child->digest)) return true;
    if (child->platform.n && mg_str_eq(other->platform, child->platform)) return true;
  }
  return false;
}

struct best {
  unsigned ranks[MG_PLATFORMS_MAX];
  uint32_t nested;
};

/* Keeps the best MG_PLATFORMS_MAX in order of rank, the earlier before the later. */
static void insert(struct mg_arena *arena, struct mg_manifest *index, struct best *best, struct mg_manifest_child child,
                   unsigned rank) {
  uint32_t at = index->child_count;
  if (at == MG_PLATFORMS_MAX) {
    if (best->ranks[at - 1] <= rank) return;
    at--;
  } else {
    index->child_count++;
  }
  for (; at > 0 && best->ranks[at - 1] > rank; at--) {
    index->children[at] = index->children[at - 1];
    best->ranks[at] = best->ranks[at - 1];
  }
  child.digest = mg_arena_dup(arena, child.digest);
  child.platform = mg_arena_dup(arena, child.platform);
  index->children[at] = child;
  best->ranks[at] = rank;
}

/* The child with strings that are borrowed; false: none that a Linux node could run. */
static bool read_child(struct mg_arena *scratch, mg_node item, struct mg_manifest_child *ret) {
  mg_node platform = mg_manifest_field(item, "platform");
  *ret = (struct mg_manifest_child){.digest = mg_string(mg_manifest_field(item, "digest")),
                                    .size = mg_manifest_size(mg_manifest_field(item, "size")),
                                    .platform = mg_manifest_platform(scratch, platform)};
  bool odd = mg_string(mg_manifest_field(item, "mediaType")).n && !is_image(item) && !is_index(item);
  if (!mg_is(platform, MG_OBJECT) && (odd || !mg_missing(mg_manifest_field(item, "artifactType")))) return false;
  return mg_digest_is_valid(ret->digest) && runs_on_linux(ret->platform);
}

int mg_manifest_index(struct mg_arena *arena, struct mg_arena *scratch, mg_node root, mg_str platform, struct mg_manifest *ret,
                      struct mg_err *err) {
  struct best best = {0};
  struct mg_manifest_child child;
  mg_node manifests = mg_manifest_field(root, "manifests");
  if (!mg_is(manifests, MG_ARRAY) && !mg_missing(manifests))
    return mg_err_set(err, MG_E_INVALID, "an index whose manifests are no list");
  ret->is_index = true;
  ret->children = MG_NEW_N(arena, struct mg_manifest_child, MG_PLATFORMS_MAX);
  if (!ret->children) return mg_err_nomem(err);
  for (mg_node item = mg_first(manifests); item.at; item = mg_next(item)) {
    bool runs = read_child(scratch, item, &child), nested = is_index(item);
    if (nested && mg_digest_is_valid(child.digest) && best.nested < 2)
      ret->nested[best.nested++] = mg_arena_dup(arena, child.digest);
    if (!nested && runs && !is_there(ret, &child)) insert(arena, ret, &best, child, rank_of(item, child.platform, platform));
  }
  if (ret->child_count) ret->nested[0] = ret->nested[1] = (mg_str){0};
  return arena->failed || scratch->failed ? mg_err_nomem(err) : 0;
}
