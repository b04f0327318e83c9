#include "app/fixer.h"

#include "doc/splice.h"

#define KEEP ((size_t)8 << 20)
#define TEXT_MAX (MG_INPUT_MAX_BYTES + ((size_t)64 << 20))
#define ROUNDS_MAX 6    /* a mend may call for a mutation, and that for a mend */
#define TRIALS_MAX 200  /* of parts of a file's objects, where not all can be edited */
#define TRIAL_BYTES ((size_t)256 << 20) /* that all of them may read */

/* One object that has edits. */
struct target {
  mg_node object;
  bool taken;
  const char *why; /* NULL, or why it cannot be edited */
  uint32_t at;     /* where that is */
};

/* One text on its way to the next. */
struct round {
  struct mg_fixer *fixer;
  const struct mg_judged *file;
  struct mg_file_doc *before; /* the source, read again */
  struct target *targets;
  uint32_t count;
  bool anchors; /* the file may have some */
};

void mg_fixer_init(struct mg_fixer *fixer, const struct mg_judge *judge, bool mend) {
  *fixer = (struct mg_fixer){.mend = mend};
  for (int i = 0; i < 2; i++) {
    mg_judge_like(&fixer->judges[i], judge);
    mg_buf_init(&fixer->texts[i], NULL, TEXT_MAX);
  }
  mg_arena_init(&fixer->arena, MG_JUDGE_ARENA, KEEP);
  mg_arena_init(&fixer->trial, MG_JUDGE_ARENA, KEEP);
  mg_arena_init(&fixer->kept, MG_JUDGE_ARENA, KEEP);
}

void mg_fixer_fini(struct mg_fixer *fixer) {
  for (int i = 0; i < 2; i++) {
    mg_judge_fini(&fixer->judges[i]);
    mg_buf_fini(&fixer->texts[i]);
  }
  mg_arena_fini(&fixer->arena);
  mg_arena_fini(&fixer->trial);
  mg_arena_fini(&fixer->kept);
}

/* ---- what there is to do ---- */

static bool is_mendable(const struct mg_violation *v) {
  return v->mend.value.at && v->outcome != MG_OUT_EXEMPTED;
}

static bool has_mends(const struct mg_verdict *verdict) {
  for (const struct mg_violation *v = verdict->violations; v; v = v->next)
    if (is_mendable(v)) return true;
  return false;
}

static bool has_edits(const struct mg_fixer *fixer, const struct mg_judged_item *item) {
  if (item->kind != MG_JUDGED_RESULT) return false;
  const struct mg_verdict *verdict = item->result.verdict;
  return verdict->patch.count > 0 || (fixer->mend && has_mends(verdict));
}

bool mg_fixer_has_work(const struct mg_fixer *fixer, const struct mg_judged *file) {
  for (const struct mg_judged_item *item = file->items; item; item = item->next)
    if (has_edits(fixer, item)) return true;
  return false;
}

/* A key whose value is missing or null is the place to begin from, not that value. */
static void mend(struct mg_patch *patch, const struct mg_violation *v) {
  mg_node at = v->where.node;
  mg_str keys[MG_WHERE_KEYS + 2];
  uint32_t count = 0;
  if (at.doc != patch->root.doc) return;
  if (!v->mend.key.n || mg_is(at, MG_NULL)) {
    keys[count++] = mg_text(mg_key_of(at));
    at = mg_parent(at);
  }
  for (uint32_t i = 0; v->mend.key.n && i < MG_WHERE_KEYS && v->where.more[i].n; i++) keys[count++] = v->where.more[i];
  if (v->mend.key.n) keys[count++] = v->mend.key;
  for (uint32_t i = 0; i + 1 < count; i++) at = mg_patch_child(patch, at, keys[i], MG_OBJECT);
  mg_patch_set(patch, at, keys[count - 1], mg_make_copy(at.doc, v->mend.value));
}

static void mend_all(struct mg_fixer *fixer, const struct mg_report_result *result) {
  struct mg_patch patch;
  mg_patch_init(&patch, &fixer->arena, result->object);
  for (const struct mg_violation *v = result->verdict->violations; fixer->mend && v; v = v->next)
    if (is_mendable(v)) mend(&patch, v);
}

static bool in_review(mg_node object) {
  for (mg_node n = mg_parent(object); n.at; n = mg_parent(n))
    if (mg_objects_is_review(n)) return true;
  return false;
}

static int find_targets(struct round *r, struct mg_err *err) {
  uint32_t most = 0;
  for (const struct mg_judged_item *item = r->file->items; item; item = item->next) most += has_edits(r->fixer, item);
  r->targets = MG_NEW_N(&r->fixer->arena, struct target, most + 1);
  if (!r->targets) return mg_err_nomem(err);
  for (const struct mg_judged_item *item = r->file->items; item; item = item->next) {
    if (!has_edits(r->fixer, item)) continue;
    struct target *t = &r->targets[r->count++];
    t->object = item->result.object;
    t->at = mg_cell_of(t->object)->start;
    if (in_review(t->object)) t->why = "it is part of a recorded AdmissionReview, which is not a manifest";
    else mend_all(r->fixer, &item->result);
  }
  return 0;
}

/* ---- reading ---- */

static int read_again(struct mg_file_doc **ret, struct mg_arena *arena, const char *path, mg_str source, struct mg_err *err) {
  struct mg_read how = mg_manifest_reading(path);
  return mg_yaml_read(ret, arena, source, &how, err);
}

/* The way through two readings of one file: targets come in its order. */
struct pair {
  struct mg_file_doc *own, *like;
};

/* The document of n in the other reading. */
static struct mg_doc *doc_like(struct pair *pair, mg_node n) {
  while (pair->own && &pair->own->doc != n.doc) pair->own = pair->own->next;
  while (pair->like && pair->own && pair->like->number < pair->own->number) pair->like = pair->like->next;
  return pair->own && pair->like && pair->like->number == pair->own->number ? &pair->like->doc : NULL;
}

static bool same_documents(struct mg_file_doc *a, struct mg_file_doc *b) {
  for (; a && b; a = a->next, b = b->next)
    if (a->number != b->number || !mg_equal(mg_root(&a->doc), mg_root(&b->doc))) return false;
  return !a && !b;
}

/* ---- one text ---- */

/* The new text with the edits of all targets that are taken. */
static int splice(struct round *r, struct mg_splices *splices, struct mg_buf *text, struct mg_err *err) {
  struct pair pair = {r->file->docs, r->before};
  int code = 0;
  for (uint32_t i = 0; i < r->count && code == 0; i++) {
    struct target *t = &r->targets[i];
    if (!t->taken) continue;
    struct mg_doc *before = doc_like(&pair, t->object);
    code = before ? mg_splice_add(splices, t->object, before, err) : mg_err_set(err, MG_E_INVALID, "it was not read twice");
  }
  text->n = 0;
  return code < 0 ? code : mg_splice_write(text, r->file->source, splices, err);
}

/* What the new text should say: the source with the objects that are taken. */
static int expect(struct round *r, struct mg_file_doc **ret, struct mg_err *err) {
  int code = read_again(ret, &r->fixer->trial, r->file->path, r->file->source, err);
  struct pair pair = {r->file->docs, *ret};
  for (uint32_t i = 0; i < r->count && code == 0; i++) {
    const struct target *t = &r->targets[i];
    struct mg_doc *doc = t->taken ? doc_like(&pair, t->object) : NULL;
    if (doc) mg_put_all((mg_node){doc, t->object.at}, t->object);
  }
  return code == 0 && r->fixer->trial.failed ? mg_err_nomem(err) : code;
}

/* 1: the text is good. 0: it is not, and err says where and why. */
static int try_text(struct round *r, struct mg_buf *text, struct mg_err *err) {
  struct mg_fixer *fixer = r->fixer;
  struct mg_splices splices = {.arena = &fixer->trial};
  struct mg_file_doc *expected = NULL, *got = NULL;
  struct mg_err why = {0};
  mg_arena_reset(&fixer->trial);
  int code = splice(r, &splices, text, &why);
  if (code == 0) code = expect(r, &expected, &why);
  if (code == 0 && read_again(&got, &fixer->trial, r->file->path, mg_buf_str(text), &why) == 0 && same_documents(expected, got))
    return 1;
  if (fixer->trial.failed || code == MG_E_NOMEM || why.code == MG_E_NOMEM) return mg_err_nomem(err);
  *err = why;
  if (code < 0) return 0;
  err->offset = 0;
  if (splices.shared) {
    mg_err_set(err, MG_E_INVALID, "the edit lies in what an alias or a merge key brings; write it out there first");
    err->offset = splices.shared_at;
  } else if (r->anchors)
    mg_err_set(err, MG_E_INVALID, "the edit would change what an anchor shares, or what the text means elsewhere");
  else
    mg_err_set(err, MG_E_INVALID, "with the edit the text would mean something else");
  return 0;
}

static void leave(struct round *r, struct target *t, const struct mg_err *why) {
  mg_str text = mg_arena_dup(&r->fixer->kept, mg_str_of(why->text));
  t->taken = false;
  t->why = text.p ? text.p : "out of memory";
  if (why->offset) t->at = (uint32_t)why->offset;
}

static void take(struct round *r, uint32_t from, uint32_t count, bool taken) {
  for (uint32_t i = from; i < from + count; i++) r->targets[i].taken = taken && !r->targets[i].why;
}

/* What cannot be edited is left, all others are not. Half as many at a time after a bad text, twice as many after a good one. */
static int try_parts(struct round *r, struct mg_buf *text, struct mg_err *err) {
  static const struct mg_err too_many = {.text = "too many objects of the file had to be tried one by one"};
  size_t trials = 0, most = TRIAL_BYTES / (r->file->source.n + 1);
  bool good = false, any = false;
  if (most > TRIALS_MAX) most = TRIALS_MAX;
  take(r, 0, r->count, false);
  for (uint32_t i = 0, size = r->count / 2 + 1; i < r->count;) {
    struct mg_err why = too_many;
    bool may_try = trials++ < most;
    if (size > r->count - i) size = r->count - i;
    if (!may_try) size = 1;
    take(r, i, size, true);
    int code = may_try ? try_text(r, text, &why) : 0;
    if (code < 0) return mg_err_set(err, code, "%s", why.text);
    good = code == 1;
    any |= good;
    if (!good) take(r, i, size, false);
    if (!good && size == 1 && !r->targets[i].why) leave(r, &r->targets[i], &why);
    if (good || size == 1) i += size;
    size = good ? size * 2 : (size + 1) / 2;
  }
  return any && !good ? try_text(r, text, err) : any; /* the last one tried was not good */
}

/* 1: `text` is new. 0: nothing changes. */
static int make_text(struct round *r, struct mg_buf *text, struct mg_err *err) {
  uint32_t taken = 0;
  struct mg_err why = {0};
  for (uint32_t i = 0; i < r->count; i++) taken += r->targets[i].taken = !r->targets[i].why;
  if (!taken) return 0;
  int code = try_text(r, text, &why);
  if (code == 0) code = try_parts(r, text, &why);
  if (code < 0) return mg_err_set(err, code, "%s", why.text);
  return code == 1 && !mg_str_eq(mg_buf_str(text), r->file->source);
}

/* A file that cannot be read to its end is left alone: its errors are told already. */
static int run_round(struct round *r, struct mg_buf *text, struct mg_err *err) {
  struct mg_err why = {0};
  mg_arena_reset(&r->fixer->arena);
  int code = read_again(&r->before, &r->fixer->arena, r->file->path, r->file->source, &why);
  if (code < 0) return code == MG_E_NOMEM ? mg_err_nomem(err) : 0;
  mg_str source = r->file->source;
  r->anchors = mg_str_find(source, '&') < source.n;
  code = find_targets(r, err);
  if (code == 0) code = make_text(r, text, err);
  return r->fixer->arena.failed ? mg_err_nomem(err) : code;
}

/* ---- rounds ---- */

/* The results of `file` that were there before: not all objects of a file need have been asked for, and no edit moves one. */
static void keep_results(struct mg_judged *file, const uint32_t *ordinals, uint32_t count) {
  struct mg_judged_item **slot = &file->items;
  uint32_t at = 0;
  while (*slot) {
    struct mg_judged_item *item = *slot;
    bool keep = item->kind != MG_JUDGED_RESULT || (at < count && item->result.ordinal == ordinals[at]);
    if (keep && item->kind == MG_JUDGED_RESULT) at++;
    if (keep) slot = &item->next;
    else *slot = item->next;
  }
  file->end = slot;
}

static uint32_t *note_results(struct mg_arena *arena, const struct mg_judged *file, uint32_t *ret_count) {
  uint32_t count = 0, i = 0;
  for (const struct mg_judged_item *item = file->items; item; item = item->next) count += item->kind == MG_JUDGED_RESULT;
  uint32_t *all = MG_NEW_N(arena, uint32_t, count + 1);
  for (const struct mg_judged_item *item = file->items; all && item; item = item->next)
    if (item->kind == MG_JUDGED_RESULT) all[i++] = item->result.ordinal;
  *ret_count = i;
  return all;
}

static int add_errors(struct round *r, struct mg_judged *file, struct mg_err *err) {
  struct mg_arena *arena = &r->fixer->kept;
  for (uint32_t i = 0; i < r->count; i++) {
    const struct target *t = &r->targets[i];
    struct mg_judged_item *item = t->why ? MG_NEW(arena, struct mg_judged_item) : NULL;
    if (!t->why) continue;
    if (!item) return mg_err_nomem(err);
    item->kind = MG_JUDGED_ERROR;
    item->error.file = file->path;
    item->error.message = mg_arena_printf(arena, "not fixed: %s", t->why);
    mg_line_of(file->source, t->at, &item->error.line, &item->error.column);
    *file->end = item;
    file->end = &item->next;
  }
  return 0;
}

int mg_fixer_run(struct mg_fixer *fixer, struct mg_judged *file, struct mg_err *err) {
  uint32_t count;
  mg_arena_reset(&fixer->kept);
  uint32_t *asked = note_results(&fixer->kept, file, &count);
  if (!asked) return mg_err_nomem(err);
  for (int i = 0; i < ROUNDS_MAX; i++) {
    struct round round = {.fixer = fixer, .file = file};
    struct mg_buf *text = &fixer->texts[i % 2];
    int code = run_round(&round, text, err);
    if (code <= 0) return code < 0 ? code : add_errors(&round, file, err);
    struct mg_judged next;
    code = mg_judge_text(&fixer->judges[i % 2], file->path, mg_buf_str(text), &next, err);
    if (code < 0) return code;
    keep_results(&next, asked, count);
    *file = next;
    file->end = next.items ? file->end : &file->items;
  }
  return 0;
}
