/* Tables of contents: {"version": 1, "entries": [{"type": "reg", "name": …, "size": …}, …]}. There are as many entries as the
 * layer has files and pieces, so they are read one at a time and never as a whole. */
#include "doc/json.h"
#include "registry/manifest.h"
#include "registry/weights_parts.h"

#define ENTRY_CELLS 20000
#define ENTRY_BYTES ((size_t)1 << 20)

struct toc {
  mg_str text;
  size_t at;
  struct mg_arena scratch; /* of one value */
  struct mg_doc doc;
};

static bool next_is(struct toc *t, char wanted) {
  while (t->at < t->text.n && memchr(" \t\r\n", t->text.p[t->at], 4)) t->at++;
  return t->at < t->text.n && t->text.p[t->at] == wanted;
}

static bool accept(struct toc *t, char wanted) {
  if (!next_is(t, wanted)) return false;
  t->at++;
  return true;
}

static bool read_value(struct toc *t) {
  struct mg_read how = {.limits = {MG_TOC_MAX, 32, ENTRY_CELLS}, .last_wins = true};
  mg_arena_reset(&t->scratch);
  return mg_json_read_next(&t->doc, &t->scratch, t->text, &t->at, &how, NULL) == 0 && mg_root(&t->doc).at;
}

static bool judge(struct toc *t, struct mg_arena *arena, struct mg_finding_in_layer *ret) {
  mg_node entry = mg_root(&t->doc);
  mg_str name = mg_string(MG_GET(entry, "name"));
  int64_t size = 0;
  if (!mg_str_is(mg_string(MG_GET(entry, "type")), "reg") || !mg_int64(MG_GET(entry, "size"), &size)) return false;
  if (!mg_weights_file(name, size, MG_S(""))) return false;
  *ret = (struct mg_finding_in_layer){MG_PROOF_FILE, mg_weights_clean_path(arena, name), size, 0};
  return true;
}

static enum mg_peek read_entries(struct toc *t, struct mg_arena *arena, struct mg_finding_in_layer *ret) {
  if (!accept(t, '[')) return MG_PEEK_UNREADABLE;
  if (accept(t, ']')) return MG_PEEK_NOTHING;
  do {
    if (!read_value(t)) return MG_PEEK_UNREADABLE;
    if (judge(t, arena, ret)) return MG_PEEK_PROOF;
  } while (accept(t, ','));
  return accept(t, ']') ? MG_PEEK_NOTHING : MG_PEEK_UNREADABLE;
}

static enum mg_peek read_table(struct toc *t, struct mg_arena *arena, struct mg_finding_in_layer *ret) {
  if (!accept(t, '{')) return MG_PEEK_UNREADABLE;
  do {
    if (!next_is(t, '"') || !read_value(t)) return MG_PEEK_UNREADABLE;
    bool entries = mg_str_is(mg_string(mg_root(&t->doc)), "entries");
    if (!accept(t, ':')) return MG_PEEK_UNREADABLE;
    if (entries) return read_entries(t, arena, ret);
    if (!read_value(t)) return MG_PEEK_UNREADABLE;
  } while (accept(t, ','));
  return MG_PEEK_UNREADABLE;
}

/* The JSON itself, or that of the tar's one file. */
static mg_str table_in(mg_str bytes) {
  struct mg_tar tar = {.data = bytes};
  struct mg_tar_file file;
  if (bytes.n && memchr("{ \t\r\n", bytes.p[0], 5)) return bytes;
  while (mg_tar_next(&tar, &file) == MG_TAR_FILE)
    if (mg_str_is(mg_weights_base(file.path), "stargz.index.json")) return file.head;
  return (mg_str){0};
}

enum mg_peek mg_weights_toc(struct mg_arena *arena, mg_str bytes, mg_str digest, struct mg_finding_in_layer *ret) {
  MG_BUF_AUTO buf;
  bool ended;
  struct toc t = {0};
  mg_buf_init(&buf, NULL, MG_TOC_MAX);
  *ret = (struct mg_finding_in_layer){.file_size = -1};
  mg_weights_unpack(&buf, bytes, &ended);
  t.text = table_in(mg_buf_str(&buf));
  if (digest.n && !mg_digest_matches(digest, t.text)) return MG_PEEK_UNREADABLE;
  mg_arena_init(&t.scratch, ENTRY_BYTES, ENTRY_BYTES);
  enum mg_peek found = read_table(&t, arena, ret);
  mg_arena_fini(&t.scratch);
  return found;
}

/* An empty gzip member whose extra field is the place, in 16 hexadecimal digits, and a name. */
bool mg_weights_footer(mg_str bytes, int64_t *ret_at) {
  static const char head[] = {'\x1f', '\x8b', '\x08', '\x04'}, field[] = {26, 0, 'S', 'G', 22, 0};
  static const char digits[] = "0123456789abcdef";
  int64_t at = 0;
  if (bytes.n != MG_STARGZ_FOOTER || memcmp(bytes.p, head, sizeof head) != 0) return false;
  if (memcmp(bytes.p + 10, field, sizeof field) != 0 || memcmp(bytes.p + 32, "STARGZ", 6) != 0) return false;
  for (int i = 16; i < 32; i++) {
    const char *digit = memchr(digits, bytes.p[i], 16);
    if (!digit || at > INT64_MAX >> 4) return false;
    at = at << 4 | (digit - digits);
  }
  *ret_at = at;
  return true;
}
