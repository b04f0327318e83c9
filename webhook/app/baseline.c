#include "app/baseline.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "app/replace.h"
#include "doc/patch.h"
#include "doc/yaml_write.h"

#define FOUND_ARENA ((size_t)256 << 20)
#define FILE_MAX ((size_t)60 << 20) /* it must be readable again */
#define HEAD                                                                                                      \
  "# Findings that are known: with `--baseline` and this file they are reported and deny nothing. What is mended\n" \
  "# goes from here, too: `mlgate check --write-baseline` writes the file anew.\n"

static const char *const versions[] = {"mlgate.dev/v1", NULL};
static const char *const kinds[] = {"Baseline", NULL};

#define PART(name, part, text) {name, &mg_t_text, offsetof(struct mg_known, parts[part]), .doc = (text)}
#define NEEDED(name, part, text) {name, &mg_t_string, offsetof(struct mg_known, parts[part]), .required = true, .doc = (text)}
static const struct mg_field finding_fields[] = {
    NEEDED("kind", MG_KNOWN_KIND, "Of the object."),
    PART("namespace", MG_KNOWN_NAMESPACE, "Of the object."),
    PART("name", MG_KNOWN_NAME, "Of the object."),
    NEEDED("policy", MG_KNOWN_POLICY, "Whose finding it is."),
    NEEDED("rule", MG_KNOWN_RULE, "Of the policy."),
    PART("container", MG_KNOWN_CONTAINER, "Name, or its place where it has none; none: the template or object."),
    PART("subject", MG_KNOWN_SUBJECT, "What it is about, where a rule has more than one finding of a container."),
    MG_FIELDS_END,
};
static const struct mg_shape finding_shape = {finding_fields, "a finding"};
static const struct mg_item finding_item = {&mg_t_object, sizeof(struct mg_known), &finding_shape};

struct document {
  uint32_t api_version, kind;
  struct mg_list findings;
};
const struct mg_field mg_baseline_fields[] = {
    {"apiVersion", &mg_t_enum, offsetof(struct document, api_version), versions, .required = true,
     .doc = "mlgate.dev/v1."},
    {"kind", &mg_t_enum, offsetof(struct document, kind), kinds, .required = true, .doc = "The kind."},
    {"findings", &mg_t_list, offsetof(struct document, findings), &finding_item, .required = true,
     .doc = "Those that are known: reported as audits, and deny nothing."},
    MG_FIELDS_END,
};

static int compare(const struct mg_known *a, const struct mg_known *b, size_t parts) {
  int order = 0;
  for (size_t i = 0; i < parts && !order; i++) order = mg_str_cmp(a->parts[i], b->parts[i]);
  return order;
}

static int by_parts(const void *a, const void *b) {
  return compare(a, b, MG_KNOWN_PARTS);
}

static void sort(struct mg_known_list *list) {
  if (list->count) qsort(list->items, list->count, sizeof *list->items, by_parts);
}

/* The first that has the same first parts, and how many there are. */
static struct mg_known *find(const struct mg_known_list *list, const struct mg_known *like, size_t parts, size_t *ret_count) {
  size_t low = 0, high = list->count, n = 0;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare(&list->items[middle], like, parts) < 0) low = middle + 1;
    else high = middle;
  }
  while (low + n < list->count && compare(&list->items[low + n], like, parts) == 0) n++;
  *ret_count = n;
  return n ? &list->items[low] : NULL;
}

int mg_baseline_read(struct mg_baseline *b, const char *path, struct mg_err *err) {
  struct document document = {0};
  int code = mg_strict_read(&b->file, path, err);
  if (code < 0) return code;
  struct mg_diags *diags = &b->file.diags;
  if (b->file.root.at) mg_decode(&b->file.load, mg_baseline_fields, "a baseline", b->file.root, &document);
  else if (!diags->error_count) return mg_err_set(err, MG_E_INVALID, "%s: there is no baseline in it", path);
  code = mg_strict_end(&b->file, err);
  if (code < 0) return code;
  b->known = (struct mg_known_list){.items = (struct mg_known *)(uintptr_t)document.findings.items,
                                  .count = document.findings.count};
  mg_node at = mg_first(MG_GET(b->file.root, "findings"));
  for (size_t i = 0; i < b->known.count; i++, at = mg_next(at)) b->known.items[i].at = at;
  sort(&b->known);
  return 0;
}

void mg_baseline_fini(struct mg_baseline *b) {
  mg_strict_fini(&b->file);
  mg_arena_fini(&b->arena);
}

/* ---- what is found ---- */

static struct mg_known finding_of(const struct mg_report_result *r, const struct mg_violation *v) {
  return (struct mg_known){.parts = {r->kind, r->ns, r->name, v->policy->name, v->rule->name, v->container, v->subject}};
}

static int gather(struct mg_baseline *b, const struct mg_known *finding, struct mg_err *err) {
  struct mg_known_list *list = &b->found;
  if (!b->arena.max) mg_arena_init(&b->arena, FOUND_ARENA, 0);
  struct mg_known *items = mg_arena_room(&b->arena, list->items, &list->cap, list->count, sizeof *items);
  if (!items) return mg_err_set(err, MG_E_NOMEM, "too many findings for a baseline, or out of memory");
  list->items = items;
  struct mg_known *to = &items[list->count++];
  *to = *finding;
  for (size_t i = 0; i < MG_KNOWN_PARTS; i++) {
    to->parts[i] = mg_arena_dup(&b->arena, finding->parts[i].n ? finding->parts[i] : MG_S(""));
    if (!to->parts[i].p) return mg_err_set(err, MG_E_NOMEM, "too many findings for a baseline, or out of memory");
  }
  return 0;
}

static void hide(struct mg_violation *v, struct mg_verdict *verdict) {
  if (v->outcome == MG_OUT_EXEMPTED) return; /* which says more, and until when */
  verdict->counts[v->outcome]--;
  verdict->counts[MG_OUT_AUDIT]++;
  v->outcome = MG_OUT_AUDIT;
  v->baseline = true;
}

static int note_unlisted(struct mg_baseline *b, const struct mg_report_result *r, struct mg_err *err) {
  const uint32_t unlisted = mg_verdict_unlisted(r->verdict);
  b->unlisted += unlisted;
  if (!unlisted || b->unlisted_of++) return 0;
  if (!b->arena.max) mg_arena_init(&b->arena, FOUND_ARENA, 0);
  b->unlisted_in = mg_arena_printf(&b->arena, "%s:%u:%u: %.*s %.*s%s%.*s", r->file, r->line, r->column, MG_FMT(r->kind),
                                   MG_FMT(r->ns), r->ns.n ? "/" : "", MG_FMT(r->name));
  return b->unlisted_in.p ? 0 : mg_err_nomem(err);
}

int mg_baseline_apply(struct mg_baseline *b, const struct mg_report_result *r, struct mg_err *err) {
  struct mg_verdict *verdict = (struct mg_verdict *)(uintptr_t)r->verdict; /* nobody has reported it yet */
  struct mg_known object = {.parts = {r->kind, r->ns, r->name}};
  size_t count;
  int code = note_unlisted(b, r, err);
  if (code < 0) return code;
  struct mg_known *entries = find(&b->known, &object, MG_KNOWN_NAME + 1, &count);
  for (size_t i = 0; i < count; i++) entries[i].seen = true;
  for (struct mg_violation *v = verdict->violations; v; v = v->next) {
    struct mg_known finding = finding_of(r, v);
    code = b->gather && v->outcome != MG_OUT_EXEMPTED ? gather(b, &finding, err) : 0;
    if (code < 0) return code;
    struct mg_known *same = find(&b->known, &finding, MG_KNOWN_PARTS, &count);
    for (size_t i = 0; i < count; i++) same[i].stands = true;
    if (same) hide(v, verdict);
  }
  verdict->allowed = verdict->counts[MG_OUT_DENY] == 0;
  return 0;
}

static void tell_one(const struct mg_known *f, const char *path) {
  static const char *const before[MG_KNOWN_PARTS] = {"", " ", "/", ": ", "/", ", container ", ", "};
  MG_BUF_AUTO out;
  struct mg_pos pos;
  mg_buf_init(&out, NULL, 1 << 16);
  mg_value_pos(f->at, &pos);
  mg_buf_printf(&out, "%s:%u:%u: warning: not found any more: ", path, pos.line, pos.column);
  for (size_t i = 0; i < MG_KNOWN_PARTS; i++) {
    if (!f->parts[i].n) continue;
    mg_buf_put(&out, i == MG_KNOWN_NAME && !f->parts[MG_KNOWN_NAMESPACE].n ? MG_S(" ") : mg_str_of(before[i]));
    mg_buf_clean(&out, f->parts[i]);
  }
  fprintf(stderr, "%.*s\n", MG_FMT(mg_buf_str(&out)));
}

static void tell_unlisted(const struct mg_baseline *b) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 1 << 16);
  mg_buf_clean(&out, b->unlisted_in);
  fprintf(stderr, "%.*s: warning: no baseline can hide the %zu finding%s that %s not listed", MG_FMT(mg_buf_str(&out)),
          b->unlisted, b->unlisted == 1 ? "" : "s", b->unlisted == 1 ? "is" : "are");
  if (b->unlisted_of > 1) fprintf(stderr, ", of this and %zu more objects", b->unlisted_of - 1);
  fputs("; what is listed must be mended, or excepted, first\n", stderr);
}

static int by_place(const void *a, const void *b) {
  const struct mg_known *left = a, *right = b;
  return (left->at.at > right->at.at) - (left->at.at < right->at.at);
}

void mg_baseline_tell(struct mg_baseline *b, enum mg_baseline_scope scope) {
  size_t told = 0, unseen = 0;
  if (b->unlisted) tell_unlisted(b);
  if (b->known.count) qsort(b->known.items, b->known.count, sizeof *b->known.items, by_place);
  for (size_t i = 0; i < b->known.count; i++) {
    const struct mg_known *f = &b->known.items[i];
    unseen += !f->seen;
    if (!f->stands && (f->seen || scope == MG_BASELINE_ALL) && told++ < MG_BASELINE_TOLD) tell_one(f, b->file.path);
  }
  if (told > MG_BASELINE_TOLD)
    fprintf(stderr, "%s: warning: and %zu more that are not found any more\n", b->file.path, told - MG_BASELINE_TOLD);
  if (unseen && scope == MG_BASELINE_SOME_FILES)
    fprintf(stderr, "%s: note: %zu entr%s of objects that are not in these files\n", b->file.path, unseen,
            unseen == 1 ? "y is" : "ies are");
}

/* ---- writing ---- */

/* From the last one on: an item is cheap to put before all others, and there may be many. */
static mg_node list_of(struct mg_doc *doc, struct mg_known_list *found) {
  mg_node list = mg_make(doc, MG_ARRAY);
  sort(found);
  for (size_t i = found->count; i-- > 0;) {
    if (i && by_parts(&found->items[i - 1], &found->items[i]) == 0) continue;
    mg_node entry = mg_make(doc, MG_OBJECT);
    for (size_t p = 0; p < MG_KNOWN_PARTS; p++)
      if (found->items[i].parts[p].n)
        mg_put(entry, mg_str_of(finding_fields[p].key), mg_make_text(doc, MG_STRING, found->items[i].parts[p]));
    mg_push_first(list, entry);
  }
  return list;
}

int mg_baseline_may_write(const char *path, struct mg_err *err) {
  struct mg_strict file;
  struct stat info;
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || !info.st_size) return 0;
  int code = mg_strict_read(&file, path, err);
  bool ours = code == 0 && mg_str_is(mg_string(MG_GET(file.root, "kind")), *kinds);
  mg_strict_fini(&file);
  if (code < 0 || ours) return code;
  return mg_err_set(err, MG_E_USAGE, "%s: there is something else in this file; a baseline does not replace it", path);
}

int mg_baseline_write(struct mg_baseline *b, const char *path, struct mg_err *err) {
  MG_BUF_AUTO text;
  struct mg_arena arena;
  struct mg_doc doc;
  mg_arena_init(&arena, FOUND_ARENA, 0);
  mg_buf_init(&text, NULL, FILE_MAX);
  int code = mg_doc_init(&doc, &arena, (mg_str){0}, NULL, 0) < 0 ? MG_E_NOMEM : 0;
  if (code == 0) {
    mg_node root = mg_make(&doc, MG_OBJECT), list = list_of(&doc, &b->found);
    mg_put(root, MG_S("apiVersion"), mg_make_text(&doc, MG_STRING, mg_str_of(*versions)));
    mg_put(root, MG_S("kind"), mg_make_text(&doc, MG_STRING, mg_str_of(*kinds)));
    mg_put(root, MG_S("findings"), list);
    bool json = mg_str_ends(mg_str_of(path), MG_S(".json"));
    if (!json) mg_buf_lit(&text, HEAD);
    if (json) mg_json_write_pretty(&text, root), mg_buf_byte(&text, '\n');
    else mg_yaml_write(&text, root);
    if (mg_count(list) > MG_BASELINE_MAX)
      code = mg_err_set(err, MG_E_LIMIT, "%s: more than %d findings", path, MG_BASELINE_MAX);
    else if (arena.failed || text.failed) code = MG_E_NOMEM;
    else if ((code = mg_replace_file(path, mg_buf_str(&text), err)) < 0) code = mg_err_wrap(err, "%s", path);
  }
  mg_arena_fini(&arena);
  return code == MG_E_NOMEM ? mg_err_set(err, code, "%s: too many findings, or out of memory", path) : code;
}
