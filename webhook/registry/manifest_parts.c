#include "registry/manifest_parts.h"

#include "registry/weights_parts.h"

#define CELLS 200000
#define DEPTH 32

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

/* Go folds two letters beyond ASCII onto ASCII ones: the long s and the Kelvin sign. */
static bool folds_to(mg_str key, const char *name) {
  static const struct {
    mg_str odd;
    char plain;
  } odds[] = {{{"\xC5\xBF", 2}, 's'}, {{"\xE2\x84\xAA", 3}, 'k'}};
  for (; key.n && *name; name++) {
    char c = lower(key.p[0]);
    size_t n = 1;
    for (size_t i = 0; i < sizeof odds / sizeof *odds; i++) {
      if (!mg_str_starts(key, odds[i].odd)) continue;
      c = odds[i].plain;
      n = odds[i].odd.n;
    }
    if (c != lower(*name)) return false;
    key = mg_str_from(key, n);
  }
  return key.n == 0 && *name == '\0';
}

mg_node mg_manifest_field(mg_node object, const char *name) {
  mg_node found = {0};
  if (!mg_is(object, MG_OBJECT)) return found;
  for (mg_node key = mg_first(object); key.at; key = mg_next(key)) {
    if (!folds_to(mg_text(key), name)) continue;
    if (!found.at || mg_cell_of(key)->start > mg_cell_of(found)->start) found = key;
  }
  return mg_value(found);
}

int mg_manifest_json(struct mg_doc *ret, struct mg_arena *scratch, mg_str body, size_t max, struct mg_err *err) {
  struct mg_read how = {.limits = {max, DEPTH, CELLS}, .last_wins = true};
  int code = mg_json_read(ret, scratch, body, &how, err);
  if (code == 0 && !mg_is(mg_root(ret), MG_OBJECT)) return mg_err_set(err, MG_E_INVALID, "not a JSON object");
  if (code == 0 || code == MG_E_NOMEM) return code;
  if (err) err->code = MG_E_INVALID;
  return MG_E_INVALID;
}

mg_str mg_manifest_text(struct mg_arena *arena, mg_node n) {
  return mg_weights_clean(arena, mg_string(n));
}

int64_t mg_manifest_size(mg_node n) {
  int64_t size;
  return mg_int64(n, &size) && size >= 0 && size <= MG_BLOB_SIZE_MAX ? size : -1;
}

/* Other names of an architecture, as containerd takes them, with the variant that they imply. */
static const struct architecture {
  const char *other, *name, *variant;
} architectures[] = {
    {"x86_64", "amd64", ""}, {"x86-64", "amd64", ""}, {"aarch64", "arm64", ""}, {"i386", "386", ""}, {"armhf", "arm", "v7"},
    {"armel", "arm", "v6"},
};

static mg_str lowered(struct mg_arena *arena, mg_node n) {
  mg_str text = mg_arena_dup(arena, mg_manifest_text(arena, n));
  if (!text.p) return text;
  char *p = (char *)(uintptr_t)text.p; /* the copy is ours */
  for (size_t i = 0; i < text.n; i++) p[i] = lower(p[i]);
  return text;
}

mg_str mg_manifest_platform(struct mg_arena *arena, mg_node from) {
  mg_str os = lowered(arena, mg_manifest_field(from, "os")), arch = lowered(arena, mg_manifest_field(from, "architecture"));
  mg_str variant = lowered(arena, mg_manifest_field(from, "variant"));
  if (arch.n == 0) return os.n == 0 || mg_str_is(os, "linux") ? MG_S("") : mg_arena_printf(arena, "%.*s/", MG_FMT(os));
  for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
    if (!mg_str_is(arch, architectures[i].other)) continue;
    arch = mg_str_of(architectures[i].name);
    if (variant.n == 0) variant = mg_str_of(architectures[i].variant);
  }
  if ((mg_str_is(arch, "arm64") && mg_str_is(variant, "v8")) || (mg_str_is(arch, "amd64") && mg_str_is(variant, "v1")))
    variant = MG_S("");
  if (os.n == 0) os = MG_S("linux");
  return mg_arena_printf(arena, "%.*s/%.*s%s%.*s", MG_FMT(os), MG_FMT(arch), variant.n ? "/" : "", MG_FMT(variant));
}

void mg_manifest_prove(struct mg_platform_fact *fact, enum mg_proof proof, mg_str what) {
  if (fact->proof != MG_PROOF_NONE && fact->proof <= proof) return;
  fact->proof = proof;
  fact->what = what;
}
