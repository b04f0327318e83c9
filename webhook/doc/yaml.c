#include "doc/yaml.h"

#include "doc/yaml_build.h"
#include "doc/yaml_scalar.h"

/* So that a file of nothing but separators costs no more than its size deserves. */
#define DOCUMENTS_MAX 65536
#define DIRECTIVES_MAX 16
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

struct stream {
  struct mg_lines *lines;
  struct mg_file_doc **tail;
  struct mg_arena *arena;
  mg_str source;
  struct mg_read *how;
  struct mg_err err; /* set also where another way of reading then succeeds */
  uint32_t number;   /* of the next document */
};

static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t skip_space(mg_str s, size_t at) {
  while (at < s.n && is_space(s.p[at])) at++;
  return at;
}

__attribute__((cold)) static int fail_at(struct stream *s, size_t at, int code, const char *text) {
  mg_err_set(&s->err, code, "%s", text);
  s->err.offset = at;
  mg_line_of(s->source, at, &s->err.line, &s->err.column);
  return code;
}

static int count_document(struct stream *s, size_t at) {
  return s->number < DOCUMENTS_MAX ? 0 : fail_at(s, at, MG_E_LIMIT, "more than " TEXT(DOCUMENTS_MAX) " documents");
}

/* Takes a document that was read; one that is empty or null only counts. */
static int add_document(struct stream *s, const struct mg_doc *doc, size_t at) {
  uint32_t number = s->number++;
  if (doc->count < 2 || doc->cells[1].kind == MG_NULL) return 0;
  struct mg_file_doc *file_doc = MG_NEW(s->arena, struct mg_file_doc);
  if (!file_doc) return fail_at(s, at, MG_E_NOMEM, "out of memory for the document");
  file_doc->number = number;
  file_doc->doc = *doc;
  file_doc->doc.lines = s->lines;
  *s->tail = file_doc;
  s->tail = &file_doc->next;
  return 0;
}

/* libyaml compares every %TAG with all before it, and knows line breaks that nobody else does; nobody has more than a few. */
static int check_directives(struct stream *s, size_t from, size_t to) {
  const char *p = s->source.p + from, *end = s->source.p + to;
  uint32_t count = 0;
  for (; p < end && (p = memchr(p, '%', (size_t)(end - p))); p++) {
    bool begins_line = p == s->source.p + from || (unsigned char)p[-1] >= 0x80 || p[-1] == '\n' || p[-1] == '\r';
    if (!begins_line || !mg_str_starts((mg_str){p, (size_t)(end - p)}, MG_S("%TAG"))) continue;
    if (++count > DIRECTIVES_MAX)
      return fail_at(s, (size_t)(p - s->source.p), MG_E_LIMIT, "more than " TEXT(DIRECTIVES_MAX) " %TAG directives");
  }
  return 0;
}

static int read_chunk(struct stream *s, size_t from, size_t to) {
  struct mg_doc doc;
  int code = count_document(s, from);
  if (!code) code = check_directives(s, from, to);
  if (!code) code = mg_yaml_build(&doc, s->arena, s->source, from, to, s->how, &s->err);
  return code ? code : add_document(s, &doc, from);
}

/* As kubectl splits: a line that starts with "---" ends the document before it and is gone; where none is before it, it is the
 * document's own. */
static int read_yaml(struct stream *s, size_t at) {
  size_t from = at, next;
  for (; at < s->source.n; at = next) {
    mg_str line = mg_str_from(s->source, at);
    line.n = mg_str_find(line, '\n');
    next = at + line.n < s->source.n ? at + line.n + 1 : s->source.n;
    if (!mg_str_starts(line, MG_S("---"))) continue;
    size_t behind = skip_space(line, 3);
    if (behind < line.n && line.p[behind] != '#') return fail_at(s, at + behind, MG_E_SYNTAX, "invalid Yaml document separator");
    if (at == from) continue;
    int code = read_chunk(s, from, at);
    if (code) return code;
    from = next;
  }
  return from < s->source.n ? read_chunk(s, from, s->source.n) : 0;
}

/* The reader of one value begins its list anew; this puts what earlier values told of behind it. */
static int read_json_value(struct stream *s, struct mg_doc *doc, size_t *at) {
  struct mg_duplicate *before = s->how->duplicates, **end = &s->how->duplicates;
  int code = mg_json_read_next(doc, s->arena, s->source, at, s->how, &s->err);
  if (code) s->how->duplicates = NULL;
  while (*end) end = &(*end)->next;
  *end = before;
  return code;
}

/* Values from *at on, which is left where the first one begins that cannot be read. */
static int read_json(struct stream *s, size_t *at) {
  for (;;) {
    struct mg_doc doc;
    size_t next = *at;
    int code = count_document(s, next);
    if (!code) code = read_json_value(s, &doc, &next);
    if (code) return code;
    if (doc.count < 2) return 0;
    code = add_document(s, &doc, *at);
    if (code) return code;
    *at = next;
  }
}

/* What begins like JSON and, up to its second value, is none may still be YAML, which then begins behind the line break. */
static int read_json_or_yaml(struct stream *s) {
  size_t at = 0;
  int code = read_json(s, &at);
  if (code != MG_E_SYNTAX || s->number > 1) return code;
  struct mg_err json_err = s->err;
  size_t from = skip_space(s->source, at);
  const char *line_break = from > at ? memchr(s->source.p + at, '\n', from - at) : NULL;
  code = read_yaml(s, line_break ? (size_t)(line_break - s->source.p) + 1 : from);
  /* The reader that came further knows better what was meant. */
  if (code && s->err.offset <= json_err.offset) s->err = json_err;
  return code ? s->err.code : 0;
}

int mg_yaml_read(struct mg_file_doc **ret, struct mg_arena *arena, mg_str source, struct mg_read *how, struct mg_err *err) {
  struct stream s = {.tail = ret, .arena = arena, .source = source, .how = how, .lines = MG_NEW(arena, struct mg_lines)};
  size_t most = how->limits.bytes < MG_DOC_MAX_BYTES ? how->limits.bytes : MG_DOC_MAX_BYTES - 1;
  *ret = NULL;
  how->duplicates = NULL;
  if (source.n > most) return mg_err_set(err, MG_E_LIMIT, "larger than %zu bytes", most);
  size_t first = skip_space(source, 0);
  int code = first < source.n && source.p[first] == '{' ? read_json_or_yaml(&s) : read_yaml(&s, 0);
  if (code && err) *err = s.err;
  return code;
}

bool mg_yaml_is_bare_bool(mg_node n) {
  const struct mg_cell *c = mg_cell_of(n);
  mg_str text = mg_text(n);
  if (!n.doc || c->end <= c->start || c->end > n.doc->source.n) return false;
  if (c->kind != MG_BOOL && !(c->kind == MG_KEY && (mg_str_is(text, "true") || mg_str_is(text, "false")))) return false;
  return mg_yaml_is_bare_word((mg_str){n.doc->source.p + c->start, c->end - c->start});
}
