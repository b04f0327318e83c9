/* --update: what came of the cases becomes what they expect. Only the values that differ are written anew; the rest of a file
 * stays as it is, byte for byte. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/cases.h"
#include "app/inputs.h"
#include "app/replace.h"
#include "base/ascii.h"
#include "doc/patch.h"
#include "doc/yaml.h"
#include "doc/yaml_write.h"

#define DEPTH 256
#define CELLS 4000000

struct mg_case_written {
  struct mg_case_written *next;
  mg_str path;
};

/* ---- values in the Test's own file ---- */

/* A value of an object in the file, and how it is written there. */
struct place {
  mg_str text;          /* of the file */
  mg_node value;
  size_t colon;         /* behind it */
  size_t start, end;    /* of the value */
  size_t indent;        /* of its key, in bytes */
  bool json, flow;      /* flow: the object that holds it */
};

static bool is_blank(mg_str text, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    if (!strchr(" \t\r\n", text.p[i])) return false;
  return true;
}

/* False where it does not stand there plainly: an alias, a merge, an anchor or a comment in between. */
static bool find_place(const struct mg_case_file *file, mg_node value, struct place *ret) {
  mg_node key = mg_key_of(value);
  const struct mg_cell *k = mg_cell_of(key), *v = mg_cell_of(value), *o = mg_cell_of(mg_parent(value));
  size_t colon = k->end, line = k->start;
  if (!k->end || k->end >= file->text.n || o->fresh) return false;
  while (colon < file->text.n && file->text.p[colon] == ' ') colon++;
  if (colon >= file->text.n || file->text.p[colon++] != ':') return false;
  while (line && file->text.p[line - 1] != '\n') line--;
  *ret = (struct place){.text = file->text, .value = value, .colon = colon, .indent = k->start - line};
  ret->json = value.doc->is_json;
  ret->flow = ret->json || file->text.p[o->start] == '{';
  ret->start = v->start > colon ? v->start : colon;
  ret->end = v->end > ret->start ? v->end : ret->start;
  return is_blank(file->text, colon, ret->start);
}

static bool is_plain(mg_str s) {
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (!mg_is_letter(c) && !(i && (mg_is_digit(c) || c == '.' || c == '/' || c == '_' || c == '-'))) return false;
  }
  return s.n > 0;
}

/* A word of the program's, a name or a path. */
static void put_scalar(struct mg_buf *out, mg_node n, bool json) {
  bool quoted = mg_is(n, MG_STRING) && (json || !is_plain(mg_text(n)));
  if (quoted) mg_buf_json(out, mg_text(n));
  else mg_buf_put(out, mg_is(n, MG_NULL) ? MG_S("null") : mg_text(n));
}

static void put_flow_list(struct mg_buf *out, mg_node list, bool json) {
  mg_buf_byte(out, '[');
  for (mg_node n = mg_first(list); n.at; n = mg_next(n)) {
    if (n.at != mg_first(list).at) mg_buf_lit(out, ", ");
    put_scalar(out, n, json);
  }
  mg_buf_byte(out, ']');
}

/* Each on a new line, ended as the file's first one is. */
static void put_lines(struct mg_buf *out, mg_str file, mg_str lines, size_t indent) {
  size_t first = mg_str_find(file, '\n');
  bool carriage = first < file.n && first && file.p[first - 1] == '\r';
  for (mg_str rest = lines; rest.n;) {
    mg_str line = {rest.p, mg_str_find(rest, '\n')};
    mg_buf_put(out, carriage ? MG_S("\r\n") : MG_S("\n"));
    for (size_t i = 0; i < indent && line.n; i++) mg_buf_byte(out, ' ');
    mg_buf_put(out, line);
    rest = mg_str_from(rest, line.n + 1);
  }
}

/* The value's new text; what it takes the place of begins at *ret_start. */
static void put_value(struct mg_buf *out, const struct place *place, mg_node value, struct mg_arena *arena, size_t *ret_start) {
  bool block = !place->flow && place->text.p[place->start] == '-' && mg_is(place->value, MG_ARRAY);
  *ret_start = place->start > place->colon && !block ? place->start : place->colon;
  struct mg_buf yaml;
  mg_buf_init(&yaml, arena, MG_CASE_TEXT);
  if (mg_is(value, MG_OBJECT) && !place->flow) {
    *ret_start = place->colon;
    mg_yaml_write(&yaml, value);
    put_lines(out, place->text, mg_buf_str(&yaml), place->indent + 2);
    return;
  }
  if (mg_is(value, MG_ARRAY) && mg_count(value) && block) {
    size_t line = place->start;
    while (line && place->text.p[line - 1] != '\n') line--;
    mg_yaml_write(&yaml, value);
    put_lines(out, place->text, mg_buf_str(&yaml), place->start - line);
    return;
  }
  /* In the place of a block, behind the colon; where nothing stood, a space is needed. */
  bool moved = mg_kind_of(place->value) >= MG_ARRAY && !place->flow && !memchr("[{", place->text.p[place->start], 2);
  if (moved) *ret_start = place->colon;
  if (*ret_start == place->colon) mg_buf_byte(out, ' ');
  if (mg_is(value, MG_OBJECT)) mg_json_write(out, value);
  else if (mg_is(value, MG_ARRAY)) put_flow_list(out, value, place->json);
  else put_scalar(out, value, place->json);
}

/* Notes the edit, and makes it in the document that was read, with which the new file is then compared. */
static bool set_value(struct mg_case_work *work, mg_str key, mg_node value) {
  struct mg_case_file *file = work->result->test->file;
  mg_node old = mg_case_expects(work->result->c, key);
  struct mg_case_edit *edit = MG_NEW(work->keep, struct mg_case_edit);
  struct place place;
  struct mg_buf text;
  mg_buf_init(&text, work->keep, MG_CASE_TEXT);
  if (!edit || !value.at || !find_place(file, old, &place)) return false;
  put_value(&text, &place, value, work->arena, &edit->start);
  if (text.failed) return false;
  edit->end = place.end;
  edit->text = mg_buf_str(&text);
  struct mg_case_edit **at = &file->edits;
  while (*at && (*at)->start > edit->start) at = &(*at)->next;
  edit->next = *at;
  *at = edit;
  file->edit_count++;
  mg_put(mg_parent(old), key, value);
  return true;
}

/* ---- files ---- */

/* What stands at the head of the file that is there: comments, which are kept. */
static void put_head(struct mg_buf *out, const char *path) {
  MG_BUF_AUTO old;
  mg_buf_init(&old, NULL, MG_INPUT_MAX_BYTES + 1);
  if (mg_input_read(path, &old, NULL) < 0) return;
  for (mg_str rest = mg_buf_str(&old); rest.n && rest.p[0] == '#';) {
    size_t n = mg_str_find(rest, '\n');
    mg_buf_put(out, (mg_str){rest.p, n});
    mg_buf_byte(out, '\n');
    rest = mg_str_from(rest, n + 1);
  }
}

static bool is_written(const struct mg_cases *cases, mg_str path) {
  for (const struct mg_case_written *w = cases->written; w; w = w->next)
    if (mg_str_eq(w->path, path)) return true;
  return false;
}

/* Two cases that expect different objects in one file cannot both be right. */
static bool write_patched(struct mg_cases *cases, struct mg_case_work *work, mg_str path) {
  struct mg_case_written *w = MG_NEW(work->keep, struct mg_case_written);
  if (!w || is_written(cases, path)) return false;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_CASE_TEXT);
  if (mg_str_ends(path, MG_S(".json"))) {
    mg_json_write_pretty(&text, work->actual.object);
    mg_buf_byte(&text, '\n');
  } else {
    put_head(&text, path.p);
    mg_yaml_write(&text, work->actual.object);
  }
  *w = (struct mg_case_written){cases->written, mg_arena_dup(work->keep, path)};
  cases->written = w;
  return !text.failed && mg_replace_file(path.p, mg_buf_str(&text), NULL) == 0;
}

/* ---- what a problem comes to ---- */

/* In memory that outlives the case. */
static mg_node kept(struct mg_case_work *work, mg_str json) {
  struct mg_doc *doc = MG_NEW(work->keep, struct mg_doc);
  struct mg_read how = {.limits = {MG_INPUT_MAX_BYTES, DEPTH, CELLS}, .last_wins = true};
  mg_str text = mg_arena_dup(work->keep, json);
  if (!doc || !text.p || mg_json_read(doc, work->keep, text, &how, NULL) < 0) return (mg_node){0};
  return mg_root(doc);
}

/* The file is there and says what came of the case. */
static bool holds(struct mg_case_work *work, mg_str path) {
  MG_BUF_AUTO text;
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {MG_INPUT_MAX_BYTES, DEPTH, CELLS}, .last_wins = true};
  mg_buf_init(&text, NULL, MG_INPUT_MAX_BYTES + 1);
  if (mg_input_read(path.p, &text, NULL) < 0 || mg_yaml_read(&docs, work->arena, mg_buf_str(&text), &how, NULL) < 0) return false;
  return docs && !docs->next && mg_equal(mg_root(&docs->doc), work->actual.object);
}

/* pods/a.yaml -> pods/a.patched.yaml, unless that is a file of something else. */
static mg_str beside(struct mg_case_work *work, mg_str object) {
  size_t dot = object.n;
  while (dot && object.p[dot - 1] != '.' && object.p[dot - 1] != '/') dot--;
  if (!dot || object.p[dot - 1] == '/') return (mg_str){0};
  mg_str end = mg_str_from(object, dot - 1);
  mg_str name = mg_arena_printf(work->arena, "%.*s.patched%.*s", (int)dot - 1, object.p, MG_FMT(end));
  mg_str path = mg_case_path(work->arena, work->result->test->file, name);
  return access(path.p, F_OK) != 0 || holds(work, path) ? name : (mg_str){0};
}

static bool update_patched(struct mg_cases *cases, struct mg_case_work *work) {
  const struct mg_case *c = work->result->c;
  mg_node expected = c->expect.patched;
  if (!work->actual.patched) return set_value(work, MG_S("patched"), kept(work, MG_S("null")));
  if (mg_is(expected, MG_STRING))
    return write_patched(cases, work, mg_case_path(work->arena, work->result->test->file, mg_text(expected)));
  if (mg_is(expected, MG_OBJECT) || !mg_is(c->object, MG_STRING))
    return set_value(work, MG_S("patched"), kept(work, mg_json_text(work->arena, work->actual.object)));
  mg_str name = beside(work, mg_text(c->object));
  struct mg_buf json;
  mg_buf_init(&json, work->arena, MG_CASE_TEXT);
  mg_buf_json(&json, name);
  if (!name.n || !set_value(work, MG_S("patched"), kept(work, mg_buf_str(&json)))) return false;
  mg_str path = mg_case_path(work->arena, work->result->test->file, name);
  return holds(work, path) || write_patched(cases, work, path);
}

static bool mend(struct mg_cases *cases, struct mg_case_work *work, const struct mg_case_problem *problem) {
  if (strcmp(problem->key, "patched") == 0) return update_patched(cases, work);
  if (strcmp(problem->key, "message") == 0) return false; /* what a pattern is to leave open, only its author knows */
  return set_value(work, mg_str_of(problem->key), kept(work, problem->actual));
}

void mg_case_update(struct mg_cases *cases, struct mg_case_work *work) {
  struct mg_case_result *result = work->result;
  bool all = true;
  if (result->state != MG_CASE_FAILED) return;
  for (struct mg_case_problem *p = result->problems; p; p = p->next) {
    const size_t edits = result->test->file->edit_count;
    p->mended = mend(cases, work, p);
    p->in_test = result->test->file->edit_count > edits;
    all &= p->mended;
    if (!p->mended && strcmp(p->key, "message") != 0)
      p->text = mg_arena_printf(work->keep, "%.*s\n    to be written by hand: %s: %.*s", MG_FMT(p->text), p->key,
                                MG_FMT(p->actual));
  }
  if (all) result->state = MG_CASE_UPDATED;
}

/* ---- the end ---- */

/* The new text says what the documents say in which the values were set. */
static bool says(struct mg_cases *cases, const struct mg_case_file *file, mg_str text) {
  struct mg_arena arena;
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {MG_INPUT_MAX_BYTES, DEPTH, CELLS}, .file = file->path, .last_wins = true};
  mg_arena_init(&arena, MG_CASE_ARENA, 0);
  bool good = mg_yaml_read(&docs, &arena, text, &how, NULL) == 0;
  for (size_t i = 0; i < cases->count && good; i++) {
    if (cases->tests[i].file != file) continue;
    while (docs && !mg_str_is(mg_string(MG_GET(mg_root(&docs->doc), "kind")), "Test")) docs = docs->next;
    good = docs && mg_equal(mg_root(&docs->doc), cases->tests[i].test.at);
    if (docs) docs = docs->next;
  }
  mg_arena_fini(&arena);
  return good;
}

/* They are kept with the last first, where most new ones belong. */
static struct mg_case_edit *in_order(struct mg_case_edit *edits) {
  struct mg_case_edit *first = NULL;
  for (struct mg_case_edit *next; edits; edits = next) {
    next = edits->next;
    edits->next = first;
    first = edits;
  }
  return first;
}

static bool write_back(struct mg_cases *cases, const struct mg_case_file *file) {
  MG_BUF_AUTO text;
  struct mg_err err = {0};
  size_t done = 0;
  mg_buf_init(&text, NULL, 2 * MG_INPUT_MAX_BYTES);
  for (const struct mg_case_edit *e = in_order(file->edits); e; done = e->end, e = e->next) {
    mg_buf_put(&text, (mg_str){file->text.p + done, e->start - done});
    mg_buf_put(&text, e->text);
  }
  mg_buf_put(&text, mg_str_from(file->text, done));
  if (text.failed || !says(cases, file, mg_buf_str(&text))) {
    fprintf(stderr, "mlgate test: %s: cannot be written anew without changing more of it; it is left alone\n", file->path);
    return false;
  }
  if (mg_replace_file(file->path, mg_buf_str(&text), &err) == 0) return true;
  fprintf(stderr, "mlgate test: %s: %s\n", file->path, err.text);
  return false;
}

/* What was noted for a file that is left alone is not mended. */
static void take_back(struct mg_case_result *result) {
  for (struct mg_case_problem *p = result->problems; p; p = p->next) {
    if (!p->in_test) continue;
    p->mended = false;
    if (result->state == MG_CASE_UPDATED) result->state = MG_CASE_FAILED;
  }
}

bool mg_cases_write_back(struct mg_cases *cases, struct mg_case_result *results, size_t count) {
  bool good = true;
  for (size_t i = 0; i < cases->count; i++) {
    struct mg_case_file *file = cases->tests[i].file;
    if (!file->edits) continue;
    file->left = !write_back(cases, file);
    file->edits = NULL;
    good &= !file->left;
  }
  for (size_t i = 0; i < count; i++)
    if (results[i].test->file->left) take_back(&results[i]);
  return good;
}
