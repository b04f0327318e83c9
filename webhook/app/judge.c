#include "app/judge.h"

#include "app/changes.h"

#define JUDGE_KEEP ((size_t)8 << 20)
#define KEEP_MAX ((size_t)512 << 20)
#define TEXT_KEEP ((size_t)256 << 10)

/* One document on its way. */
struct document {
  struct mg_judge *judge;
  struct mg_judged *file;
  uint32_t number, ordinal; /* of the document; of the next object in the file */
  const char *path;           /* under which it is reported */
  bool all;                   /* of it counts; else what the spans touch */
  struct mg_spans spans;
  struct mg_duplicate **duplicates; /* of the whole file, by place */
  size_t duplicate_count, duplicates_left;
};

static struct mg_judged_item *add_item(struct mg_judge *judge, struct mg_judged *file, enum mg_judged_kind kind) {
  struct mg_judged_item *item = MG_NEW(&judge->arena, struct mg_judged_item);
  if (!item) {
    file->failed = true;
    return NULL;
  }
  item->kind = kind;
  *file->end = item;
  file->end = &item->next;
  return item;
}

static void add_error(struct mg_judge *judge, struct mg_judged *file, uint32_t line, uint32_t column, mg_str message) {
  struct mg_judged_item *item = add_item(judge, file, MG_JUDGED_ERROR);
  mg_str kept = mg_arena_dup(&judge->arena, message);
  if (item) item->error = (struct mg_report_error){file->path, line, column, kept};
}

/* ---- duplicate keys ---- */

#define LAST_HOLDS "; the last one holds"

static size_t gather_duplicates(struct document *d, struct mg_duplicate *newest, struct mg_arena *arena) {
  size_t all = 0, n = 0;
  for (struct mg_duplicate *x = newest; x; x = x->next) all++;
  size_t skip = all > MG_JUDGE_DUPLICATES ? all - MG_JUDGE_DUPLICATES : 0;
  d->duplicate_count = all - skip;
  d->duplicates = MG_NEW_N(arena, struct mg_duplicate *, d->duplicate_count + 1);
  if (!d->duplicates) d->duplicate_count = 0;
  for (struct mg_duplicate *x = newest; x && n < d->duplicate_count; x = x->next, skip -= skip > 0)
    if (!skip) d->duplicates[d->duplicate_count - ++n] = x;
  d->duplicates_left = n;
  return all - n;
}

/* `outcome` says what becomes of the two. */
static mg_str duplicate_text(struct mg_arena *arena, mg_str source, const struct mg_duplicate *x, const char *outcome) {
  uint32_t line, column, line2, column2;
  mg_line_of(source, x->first, &line, &column);
  mg_line_of(source, x->again, &line2, &column2);
  if (x->merge)
    return mg_arena_printf(arena, "key \"%.*s\" at %u:%u is overwritten by the merge key at %u:%u", MG_FMT(x->key), line, column,
                           line2, column2);
  return mg_arena_printf(arena, "key \"%.*s\" is there twice, at %u:%u and at %u:%u%s", MG_FMT(x->key), line, column, line2,
                         column2, outcome);
}

/* Takes the next one from *i on that stands inside the node, so that it belongs to one object only; NULL: there is none. */
static const struct mg_duplicate *take_duplicate(struct document *d, mg_node node, size_t *i) {
  const struct mg_cell *cell = mg_cell_of(node);
  for (; *i < d->duplicate_count && d->duplicates_left; (*i)++) {
    const struct mg_duplicate *x = d->duplicates[*i];
    if (!x || x->again < cell->start || x->again >= cell->end) continue;
    d->duplicates[*i] = NULL;
    d->duplicates_left--;
    return x;
  }
  return NULL;
}

static uint32_t take_duplicates(struct document *d, mg_node node, struct mg_arena *arena, const char *outcome,
                                struct mg_report_warning *to) {
  const struct mg_duplicate *x;
  uint32_t n = 0;
  for (size_t i = 0; (x = take_duplicate(d, node, &i)); n++) {
    to[n].text = duplicate_text(arena, node.doc->source, x, outcome);
    mg_line_of(node.doc->source, x->again, &to[n].line, &to[n].column);
  }
  return n;
}

static void drop_duplicates(struct document *d, mg_node node) {
  for (size_t i = 0; take_duplicate(d, node, &i);) {}
}

static void add_note(struct document *d, uint32_t line, uint32_t column, mg_str text) {
  struct mg_judged_item *item = add_item(d->judge, d->file, MG_JUDGED_NOTE);
  if (item) item->note = (struct mg_report_warning){line, column, text};
}

/* Those of nothing that was judged. */
static void left_duplicates(struct document *d, mg_str source, size_t more) {
  for (size_t i = 0; i < d->duplicate_count; i++) {
    struct mg_duplicate *x = d->duplicates[i];
    uint32_t line, column;
    if (!x) continue;
    mg_line_of(source, x->again, &line, &column);
    mg_str text = duplicate_text(&d->judge->arena, source, x, LAST_HOLDS);
    add_note(d, line, column, text);
  }
  if (more) add_note(d, 0, 0, mg_arena_printf(&d->judge->arena, "%zu more duplicate keys", more));
}

/* ---- objects ---- */

static int gather_warnings(struct document *d, mg_node object, struct mg_report_result *result, struct mg_err *err) {
  struct mg_arena *arena = &d->judge->arena;
  size_t most = d->duplicates_left;
  for (const struct mg_warning *w = result->verdict->warnings; w; w = w->next) most++;
  if (!most) return 0;
  struct mg_report_warning *all = MG_NEW_N(arena, struct mg_report_warning, most);
  if (!all) return mg_err_nomem(err);
  uint32_t n = take_duplicates(d, object, arena, LAST_HOLDS, all);
  for (const struct mg_warning *w = result->verdict->warnings; w; w = w->next)
    all[n++] = (struct mg_report_warning){result->line, result->column, w->text};
  result->warnings = all;
  result->warning_count = n;
  return 0;
}

static bool is_changed(const struct document *d, mg_node object) {
  return d->all || mg_spans_touch(&d->spans, mg_cell_of(object)->start, mg_cell_of(object)->end);
}

static int judge_object(void *ctx, const struct mg_request *request, mg_str api_version, struct mg_err *err) {
  struct document *d = ctx;
  struct mg_judge *judge = d->judge;
  struct mg_verdict *verdict = MG_NEW(&judge->arena, struct mg_verdict);
  mg_node object = request->object.at ? request->object : request->old_object;
  struct mg_pos pos;
  if (!verdict) return mg_err_nomem(err);
  uint32_t ordinal = d->ordinal++;
  if (!is_changed(d, object)) {
    drop_duplicates(d, object);
    return 0;
  }
  if (!mg_value_pos(object, &pos)) pos = (struct mg_pos){d->file->path, 1, 1};
  int code = mg_evaluate(judge->snapshot, request, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, judge->now, &judge->arena, verdict, err);
  if (code < 0) return code;
  struct mg_report_result result = {.file = d->path, .document = d->number, .ordinal = ordinal,
                                    .line = pos.line, .column = pos.column, .api_version = api_version,
                                    .kind = request->kind, .ns = request->ns, .name = request->name,
                                    .object = object, .verdict = verdict};
  code = gather_warnings(d, object, &result, err);
  struct mg_judged_item *item = code < 0 ? NULL : add_item(judge, d->file, MG_JUDGED_RESULT);
  if (item) item->result = result;
  return code;
}

static void skip_object(void *ctx, mg_node node) {
  struct document *d = ctx;
  d->file->skipped += is_changed(d, node);
}

static int object_error(void *ctx, mg_node at, const char *message) {
  struct document *d = ctx;
  struct mg_pos pos;
  bool placed = mg_value_pos(at, &pos);
  add_error(d->judge, d->file, placed ? pos.line : 0, placed ? pos.column : 0, mg_str_of(message));
  return 0;
}

/* ---- files ---- */

/* A review comes from an API server, which never sends a key twice. */
static bool is_odd_review(struct document *d, mg_node root) {
  if (!d->duplicates_left || !mg_objects_is_review(root)) return false;
  struct mg_report_warning *all = MG_NEW_N(&d->judge->arena, struct mg_report_warning, d->duplicates_left);
  uint32_t n = all ? take_duplicates(d, root, &d->judge->arena, "", all) : 0;
  for (uint32_t i = 0; i < n; i++) add_error(d->judge, d->file, all[i].line, all[i].column, all[i].text);
  return n > 0;
}

/* The path of the topmost `# Source: PATH` among the comments right above the document, where it can be shown; else `path`. */
static const char *template_of(struct mg_arena *arena, mg_node root, const char *path) {
  const mg_str source = root.doc->source, word = MG_S("# Source: ");
  size_t at = mg_cell_of(root)->start;
  mg_str found = {0};
  while (at && source.p[at - 1] != '\n') at--;
  while (at) {
    size_t end = --at;
    while (at && source.p[at - 1] != '\n') at--;
    while (end > at && (unsigned char)source.p[end - 1] <= ' ') end--;
    mg_str line = {source.p + at, end - at};
    if (line.n && *line.p != '#') break;
    if (mg_str_starts(line, word) && line.n > word.n) found = mg_str_from(line, word.n);
  }
  if (!found.n || found.n > MG_JUDGE_SOURCE) return path;
  for (size_t i = 0; i < found.n; i++)
    if ((unsigned char)found.p[i] < ' ' || found.p[i] == 0x7F) return path;
  const char *copy = mg_arena_dup(arena, found).p;
  return copy ? copy : path;
}

/* An object of a List may be changed by a line elsewhere, where an anchor stands; a review is one thing. */
static bool counts_whole(mg_node root) {
  const struct mg_cell *all = mg_cell_of(root);
  mg_str text = {root.doc->source.p + all->start, all->end - all->start};
  return mg_objects_is_review(root) || (!root.doc->is_json && mg_str_has(text, MG_S("&")));
}

static int judge_document(struct document *d, mg_node root, bool whole_file, struct mg_err *err) {
  struct mg_object_visitor visitor = d->judge->visitor;
  d->all = whole_file;
  d->path = mg_is_standard(d->file->path) ? template_of(&d->judge->arena, root, d->file->path) : d->file->path;
  if (!is_changed(d, root)) {
    drop_duplicates(d, root);
    return 0;
  }
  d->all = whole_file || counts_whole(root);
  if (is_odd_review(d, root)) return 0;
  visitor.ctx = d;
  return mg_objects_visit(&visitor, root, &d->judge->arena, err);
}

static int judge_documents(struct document *d, const struct mg_input *input, struct mg_err *err) {
  int code = 0;
  bool whole = !input->changed;
  if (!whole) code = mg_changes_spans(input, d->file->source, &d->judge->arena, &d->spans);
  if (code < 0) return mg_err_set(err, code, "out of memory");
  for (struct mg_file_doc *docs = d->file->docs; docs && code == 0; docs = docs->next) {
    mg_node root = mg_root(&docs->doc);
    d->number = docs->number;
    d->file->documents += root.at != 0;
    if (root.at) code = judge_document(d, root, whole, err);
  }
  return code;
}

static void judge_source(struct mg_judge *judge, const struct mg_input *input, struct mg_judged *file) {
  struct mg_err err = {0};
  struct mg_read how = mg_manifest_reading(file->path);
  struct document document = {.judge = judge, .file = file};
  if (mg_yaml_read(&file->docs, &judge->arena, file->source, &how, &err) < 0) {
    add_error(judge, file, err.line, err.column, mg_str_of(err.text));
    file->docs = NULL; /* one bad document is an error of the whole file */
    return;
  }
  size_t more = gather_duplicates(&document, how.duplicates, &judge->arena);
  if (judge_documents(&document, input, &err) < 0) add_error(judge, file, 0, 0, mg_str_of(err.text));
  left_duplicates(&document, file->source, more);
}

/* ---- what registries are asked ---- */

static int ask_object(void *ctx, const struct mg_request *request, mg_str api_version, struct mg_err *err) {
  struct mg_judge *judge = ctx;
  struct mg_verdict verdict;
  (void)api_version;
  int code = mg_evaluate(judge->snapshot, request, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, judge->now, &judge->arena, &verdict, err);
  if (code == 0) judge->waiting |= verdict.waiting;
  return code;
}

static void ask_nothing(void *ctx, mg_node node) {
  (void)ctx, (void)node;
}

static int ask_on(void *ctx, mg_node at, const char *message) {
  (void)ctx, (void)at, (void)message;
  return 0;
}

/* Standard input can be read only once. */
static int read_input(struct mg_judge *judge, const char *path, struct mg_err *err) {
  if (!mg_is_standard(path) || !judge->standard.p) return mg_input_read(path, &judge->text, err);
  judge->text.n = 0;
  mg_buf_put(&judge->text, judge->standard);
  return judge->text.failed ? mg_err_nomem(err) : 0;
}

static int keep_standard(struct mg_judge *judge, const char *path, struct mg_err *err) {
  if (!mg_is_standard(path) || judge->standard.p) return 0;
  judge->standard = mg_arena_dup(&judge->keep, mg_buf_str(&judge->text));
  return judge->standard.p ? 0 : mg_err_nomem(err);
}

int mg_judge_ask(struct mg_judge *judge, const struct mg_input *input, struct mg_err *err) {
  struct mg_file_doc *docs = NULL;
  struct mg_err why = {0};
  struct mg_read how = mg_manifest_reading(input->path);
  struct mg_object_visitor visitor = judge->visitor;
  visitor.ctx = judge, visitor.object = ask_object, visitor.skipped = ask_nothing, visitor.error = ask_on;
  mg_arena_reset(&judge->arena);
  if (input->problem || read_input(judge, input->path, &why) < 0) return 0; /* it is told when the file is judged */
  if (keep_standard(judge, input->path, err) < 0) return MG_E_NOMEM;
  if (mg_yaml_read(&docs, &judge->arena, mg_buf_str(&judge->text), &how, &why) < 0) return 0;
  for (; docs; docs = docs->next)
    if (mg_root(&docs->doc).at && mg_objects_visit(&visitor, mg_root(&docs->doc), &judge->arena, &why) < 0) return 0;
  return 0;
}

void mg_judge_rest(struct mg_judge *judge) {
  mg_arena_reset(&judge->arena);
  if (judge->text.cap > TEXT_KEEP) mg_buf_fini(&judge->text);
}

int mg_judge_file(struct mg_judge *judge, const struct mg_input *input, struct mg_judged *ret, struct mg_err *err) {
  struct mg_err why = {0};
  mg_judge_rest(judge);
  *ret = (struct mg_judged){.path = input->path};
  ret->end = &ret->items;
  ret->read = !input->problem && read_input(judge, input->path, &why) == 0;
  ret->source = ret->read ? mg_buf_str(&judge->text) : (mg_str){0};
  if (ret->read) judge_source(judge, input, ret);
  else add_error(judge, ret, 0, 0, mg_str_of(input->problem ? input->problem : why.text));
  return ret->failed || judge->text.failed ? mg_err_set(err, MG_E_NOMEM, "%s: out of memory", input->path) : 0;
}

int mg_judge_text(struct mg_judge *judge, const char *path, mg_str text, struct mg_judged *ret, struct mg_err *err) {
  mg_arena_reset(&judge->arena);
  *ret = (struct mg_judged){.path = path, .read = true, .source = text};
  ret->end = &ret->items;
  judge_source(judge, &(struct mg_input){.path = path}, ret);
  return ret->failed ? mg_err_set(err, MG_E_NOMEM, "%s: out of memory", path) : 0;
}

int mg_judge_init(struct mg_judge *judge, const struct mg_snapshot *snapshot, const struct mg_request *usual,
                  const struct mg_strings *groups, struct mg_err *err) {
  *judge = (struct mg_judge){.snapshot = snapshot};
  mg_arena_init(&judge->keep, KEEP_MAX, 0);
  mg_arena_init(&judge->arena, MG_JUDGE_ARENA, JUDGE_KEEP);
  mg_buf_init(&judge->text, NULL, MG_INPUT_MAX_BYTES + 1);
  mg_str *list = MG_NEW_N(&judge->keep, mg_str, groups->count + 1);
  if (!list) return mg_err_nomem(err);
  for (size_t i = 0; i < groups->count; i++) list[i] = mg_str_of(groups->items[i]);
  judge->visitor = (struct mg_object_visitor){.kinds = mg_snapshot_kinds(snapshot), .usual = *usual, .object = judge_object,
                                              .skipped = skip_object, .error = object_error};
  judge->visitor.usual.group_list = list;
  judge->visitor.usual.group_count = (uint32_t)groups->count;
  return 0;
}

void mg_judge_like(struct mg_judge *ret, const struct mg_judge *judge) {
  *ret = *judge;
  mg_arena_init(&ret->keep, KEEP_MAX, 0);
  mg_arena_init(&ret->arena, MG_JUDGE_ARENA, TEXT_KEEP);
  mg_buf_init(&ret->text, NULL, MG_INPUT_MAX_BYTES + 1);
}

void mg_judge_fini(struct mg_judge *judge) {
  mg_arena_fini(&judge->keep);
  mg_arena_fini(&judge->arena);
  mg_buf_fini(&judge->text);
}
