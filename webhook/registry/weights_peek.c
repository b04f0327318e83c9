#include "registry/weights_parts.h"

#define MODEL_DIRS 8
#define HEAD_WANTED 64 /* bytes of a file that its magic may need */

struct walk {
  struct mg_tar tar;
  mg_str dirs[MODEL_DIRS]; /* that have a config.json of a model; names in the tar */
  unsigned dir_count;
  bool short_head; /* the last file is large enough, and its first bytes are not there yet */
};

static bool in_model_dir(const struct walk *w, mg_str path) {
  for (unsigned i = 0; i < w->dir_count; i++)
    if (mg_str_eq(w->dirs[i], mg_weights_dir(path))) return true;
  return false;
}

/* Remembers where a model's config.json is: beside it, .bin means weights. */
static void note(struct walk *w, struct mg_arena *arena, const struct mg_tar_file *file) {
  if (w->dir_count == MODEL_DIRS || file->size > (int64_t)1 << 20) return;
  if (!mg_str_is(mg_weights_base(file->path), "config.json") || !mg_str_has(file->head, MG_S("\"architectures\""))) return;
  mg_str dir = mg_arena_dup(arena, mg_weights_dir(file->path));
  if (dir.p) w->dirs[w->dir_count++] = dir;
}

static bool judge(struct walk *w, const struct mg_tar_file *file) {
  w->short_head = file->size >= MG_WEIGHT_FILE_MIN && file->head.n < HEAD_WANTED;
  if (mg_weights_file(file->path, file->size, file->head)) return true;
  return file->size >= MG_WEIGHT_FILE_MIN && mg_weights_ends(file->path, ".bin") && in_model_dir(w, file->path);
}

static enum mg_peek prove(struct mg_arena *arena, const struct mg_tar_file *file, struct mg_finding_in_layer *ret) {
  *ret = (struct mg_finding_in_layer){MG_PROOF_FILE, mg_weights_clean_path(arena, file->path), file->size, 0};
  return MG_PEEK_PROOF;
}

/* `more`: there may be more bytes than those that the walk has seen. */
static enum mg_peek end(const struct walk *w, enum mg_tar_step step, bool any, bool more) {
  if (step == MG_TAR_END) return MG_PEEK_NOTHING;
  if (step == MG_TAR_BAD) return any ? MG_PEEK_NOTHING : MG_PEEK_UNREADABLE;
  if (!more) return any ? MG_PEEK_NOTHING : MG_PEEK_UNREADABLE;
  bool out_of_reach = w->tar.at >= MG_PEEK_OUTPUT_MAX;
  return out_of_reach && !w->short_head ? MG_PEEK_NOTHING : MG_PEEK_UNDECIDED;
}

enum mg_peek mg_weights_peek(struct mg_arena *arena, mg_str bytes, bool whole, struct mg_finding_in_layer *ret) {
  MG_BUF_AUTO buf;
  bool ended = false, any = false;
  mg_buf_init(&buf, NULL, MG_PEEK_OUTPUT_MAX);
  *ret = (struct mg_finding_in_layer){.file_size = -1};
  bool good = mg_weights_unpack(&buf, bytes, &ended);
  struct walk w = {.tar.data = mg_buf_str(&buf)};
  struct mg_tar_file file;
  enum mg_tar_step step;
  uint64_t at = 0;
  while ((step = mg_tar_next(&w.tar, &file)) == MG_TAR_FILE) {
    any = true;
    if (judge(&w, &file)) return prove(arena, &file, ret);
    note(&w, arena, &file);
    at = w.tar.at;
  }
  if (any && step == MG_TAR_CUT && mg_weights_unpacked(bytes)) ret->next = (int64_t)at;
  if (buf.failed) return MG_PEEK_UNDECIDED;
  return end(&w, step, any, good && !ended && !whole && buf.n < buf.max);
}
