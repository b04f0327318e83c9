#include "doc/yaml_build.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "doc/keyset.h"
#include "doc/yaml_place.h"
#include "doc/yaml_scalar.h"

/* Objects up to this many keys are searched one by one. */
#define KEYS_LINEAR 16
#define NAME_MAX_SHOWN 60

/* While a container is open, its `end` is its last child and its `next` the number of its children. The key cell of `<<` is
 * `fresh` and hangs nowhere: when its value is complete, the members are copied into the object. Keys that came so are `touched`
 * until the object ends. Anchors are key cells without a parent whose child is what they name. */
struct builder {
  struct mg_doc *doc;
  struct mg_arena *arena;
  struct mg_read *how;
  struct mg_err *err;
  int code;
  struct mg_yaml_place place;
  size_t fed;                /* libyaml has been given the source up to here */
  bool ended;                /* and a last line break, which the source has or not */
  uint32_t open, key, depth; /* innermost open container; key that waits for its value; depth of open */
  uint32_t last;             /* where the newest token ended: there ends a block as well */
  struct mg_keyset keys;
  yaml_parser_t parser;
};

__attribute__((format(printf, 4, 5), cold)) static int fail(struct builder *b, size_t at, int code, const char *format, ...) {
  char text[MG_ERR_TEXT];
  va_list args;
  va_start(args, format);
  if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
  va_end(args);
  b->code = mg_err_set(b->err, code, "%s", text);
  if (b->err) {
    b->err->offset = at;
    mg_line_of(b->place.source, at, &b->err->line, &b->err->column);
  }
  return b->code;
}

static int fail_memory(struct builder *b) {
  return fail(b, b->last, MG_E_NOMEM, "out of memory for the document");
}

/* --- cells ----------------------------------------------------------------------------------------------------------- */

static uint32_t add_cell(struct builder *b, enum mg_kind kind, uint32_t parent, struct mg_yaml_span at) {
  uint32_t cell = mg_doc_add(b->doc, kind, parent, b->how->limits.cells);
  if (!cell) {
    if (b->arena->failed) fail_memory(b);
    else fail(b, at.start, MG_E_LIMIT, "more than %u values, aliases expanded", (unsigned)b->how->limits.cells);
    return 0;
  }
  b->doc->cells[cell].start = at.start;
  b->doc->cells[cell].end = at.end;
  return cell;
}

static int set_text(struct builder *b, uint32_t cell, mg_str text) {
  struct mg_cell *c = &b->doc->cells[cell];
  if (text.n >= MG_DOC_MAX_BYTES) return fail(b, c->start, MG_E_LIMIT, "a value of %zu bytes or more", MG_DOC_MAX_BYTES);
  c->text = text.p;
  c->len = (uint32_t)text.n & (MG_DOC_MAX_BYTES - 1);
  return 0;
}

static void link_child(struct builder *b, uint32_t container, uint32_t child) {
  struct mg_cell *cells = b->doc->cells, *c = &cells[container];
  if (c->end) cells[c->end].next = child;
  else c->first = child;
  c->end = child;
  c->next++;
}

static bool is_container(const struct builder *b, uint32_t cell) {
  return b->doc->cells[cell].kind >= MG_ARRAY;
}

static bool wants_key(const struct builder *b) {
  return b->open && !b->key && b->doc->cells[b->open].kind == MG_OBJECT;
}

static bool is_merge_key(const struct builder *b, uint32_t cell) {
  return cell && b->doc->cells[cell].kind == MG_KEY && b->doc->cells[cell].fresh;
}

/* Where the next value belongs. */
static uint32_t holder(const struct builder *b) {
  return b->key ? b->key : b->open;
}

static void attach(struct builder *b, uint32_t value) {
  if (b->key) b->doc->cells[b->key].first = value;
  else if (b->open) link_child(b, b->open, value);
  b->key = 0;
}

static uint32_t copy_cell(struct builder *b, uint32_t from, uint32_t parent, const struct mg_yaml_span *place, uint32_t depth) {
  struct mg_cell c = b->doc->cells[from];
  struct mg_yaml_span at = place ? *place : (struct mg_yaml_span){c.start, c.end};
  if (c.kind >= MG_ARRAY && depth >= b->how->limits.depth) {
    fail(b, at.start, MG_E_LIMIT, "nested deeper than %u, aliases expanded", (unsigned)b->how->limits.depth);
    return 0;
  }
  uint32_t to = add_cell(b, (enum mg_kind)c.kind, parent, at);
  if (!to) return 0;
  b->doc->cells[to].text = c.text;
  b->doc->cells[to].len = c.len;
  return to;
}

/* Copies a closed value or a member, without recursion. `place` (NULL: where they stand) is that of every cell of the copy. */
static uint32_t copy_tree(struct builder *b, uint32_t from, uint32_t parent, const struct mg_yaml_span *place) {
  uint32_t depth = b->depth, at = from, root = copy_cell(b, from, parent, place, depth), to = root;
  while (to) {
    uint32_t child = b->doc->cells[at].first, copy;
    if (child) {
      depth += is_container(b, at);
      copy = copy_cell(b, child, to, place, depth);
      b->doc->cells[to].first = copy;
      at = child;
      to = copy;
      continue;
    }
    while (at != from && !b->doc->cells[at].next) {
      at = b->doc->cells[at].parent;
      to = b->doc->cells[to].parent;
      depth -= is_container(b, at);
    }
    if (at == from) return root;
    at = b->doc->cells[at].next;
    copy = copy_cell(b, at, b->doc->cells[to].parent, place, depth);
    b->doc->cells[to].next = copy;
    to = copy;
  }
  return 0;
}

/* --- keys ------------------------------------------------------------------------------------------------------------ */

static int find_hashed(struct builder *b, uint32_t object, mg_str key, uint32_t *ret) {
  const struct mg_key_slot *slot = mg_keyset_slot(&b->keys, b->arena, b->doc->cells, object, key);
  *ret = slot ? slot->cell : 0;
  return slot ? 0 : fail_memory(b);
}

static int add_hashed(struct builder *b, uint32_t key) {
  const struct mg_cell *cells = b->doc->cells, *c = &cells[key];
  struct mg_key_slot *slot = mg_keyset_slot(&b->keys, b->arena, cells, c->parent, (mg_str){c->text, c->len});
  if (!slot) return fail_memory(b);
  if (!slot->cell) mg_keyset_fill(&b->keys, slot, key);
  return 0;
}

/* The key of an open object, or 0. */
static int find_key(struct builder *b, uint32_t object, mg_str key, uint32_t *ret) {
  const struct mg_cell *cells = b->doc->cells;
  if (cells[object].next > KEYS_LINEAR) return find_hashed(b, object, key, ret);
  uint32_t at = cells[object].first;
  while (at && (cells[at].len != key.n || memcmp(cells[at].text, key.p, key.n) != 0)) at = cells[at].next;
  *ret = at;
  return 0;
}

/* Hangs a key into its open object. */
static int link_key(struct builder *b, uint32_t object, uint32_t key) {
  link_child(b, object, key);
  const struct mg_cell *cells = b->doc->cells;
  if (cells[object].next <= KEYS_LINEAR) return 0;
  for (uint32_t at = cells[object].next == KEYS_LINEAR + 1 ? cells[object].first : key; at; at = cells[at].next)
    if (add_hashed(b, at)) return b->code;
  return 0;
}

/* The key was there: an error where duplicates are, else told of. `by`: the later key, which is a merge key or the same again. */
static int duplicate(struct builder *b, uint32_t old, struct mg_yaml_span by, bool merge) {
  const struct mg_cell *c = &b->doc->cells[old];
  mg_str key = {c->text, c->len};
  if (!b->how->last_wins) {
    const char *what = merge ? "the merge key overwrites" : "duplicate key";
    struct mg_buf name; /* of !!binary it is any bytes */
    mg_buf_init(&name, b->arena, (size_t)4 * NAME_MAX_SHOWN);
    mg_buf_clean(&name, mg_utf8_first(key, NAME_MAX_SHOWN));
    return fail(b, by.start, MG_E_INVALID, "%s \"%.*s\"", what, MG_FMT(mg_buf_str(&name)));
  }
  if (c->touched && !merge) return 0; /* to add to what a merge brought is what merge keys are for */
  struct mg_duplicate *d = MG_NEW(b->arena, struct mg_duplicate);
  if (!d) return fail_memory(b);
  *d = (struct mg_duplicate){.next = b->how->duplicates, .key = key, .first = c->start, .again = by.start, .merge = merge};
  b->how->duplicates = d;
  return 0;
}

/* A key of the open object; a duplicate takes the place of the first, with a position of its own. */
static int add_key(struct builder *b, mg_str text, struct mg_yaml_span at) {
  uint32_t key;
  if (find_key(b, b->open, text, &key)) return b->code;
  if (key) {
    if (duplicate(b, key, at, false)) return b->code;
    struct mg_cell *c = &b->doc->cells[key];
    c->start = at.start;
    c->end = at.end;
    c->touched = 0;
  } else {
    key = add_cell(b, MG_KEY, b->open, at);
    if (!key || set_text(b, key, text) || link_key(b, b->open, key)) return b->code;
  }
  b->key = key;
  return 0;
}

/* Takes one member of what a merge key brings. Of several maps under one `<<` the first wins: theirs are the cells from `mark`
 * on. */
static int merge_member(struct builder *b, uint32_t member, struct mg_yaml_span by, uint32_t mark,
                        const struct mg_yaml_span *place) {
  const struct mg_cell *m = &b->doc->cells[member];
  uint32_t key;
  if (find_key(b, b->open, (mg_str){m->text, m->len}, &key)) return b->code;
  bool first_wins = key && b->doc->cells[key].first >= mark;
  if (first_wins && b->how->last_wins) return 0;
  if (key && duplicate(b, key, by, true)) return b->code;
  if (key) {
    uint32_t value = copy_tree(b, m->first, key, place);
    if (!value) return b->code;
    struct mg_cell *cells = b->doc->cells;
    cells[key].first = value;
    cells[key].start = place ? place->start : cells[member].start;
    cells[key].end = place ? place->end : cells[member].end;
  } else {
    key = copy_tree(b, member, b->open, place);
    if (!key || link_key(b, b->open, key)) return b->code;
  }
  b->doc->cells[key].touched = 1;
  b->doc->cells[b->open].touched = 1;
  return 0;
}

static int fail_merge(struct builder *b, size_t at) {
  return fail(b, at, MG_E_INVALID, "a merge key wants a mapping or a list of mappings");
}

static int merge_object(struct builder *b, uint32_t object, struct mg_yaml_span by, uint32_t mark,
                        const struct mg_yaml_span *place) {
  if (b->doc->cells[object].kind != MG_OBJECT)
    return fail_merge(b, place ? place->start : b->doc->cells[object].start);
  for (uint32_t at = b->doc->cells[object].first; at; at = b->doc->cells[at].next)
    if (merge_member(b, at, by, mark, place)) return b->code;
  return 0;
}

/* The value of the merge key is complete; an alias stands for one mapping only. */
static int merge(struct builder *b, uint32_t merge_key, uint32_t value, const struct mg_yaml_span *place) {
  const struct mg_cell *key = &b->doc->cells[merge_key];
  struct mg_yaml_span by = {key->start, key->end};
  uint32_t mark = b->doc->count;
  if (place || b->doc->cells[value].kind != MG_ARRAY) return merge_object(b, value, by, mark, place);
  for (uint32_t at = b->doc->cells[value].first; at; at = b->doc->cells[at].next)
    if (merge_object(b, at, by, mark, NULL)) return b->code;
  return 0;
}

/* --- anchors --------------------------------------------------------------------------------------------------------- */

static int set_anchor(struct builder *b, const yaml_char_t *name, uint32_t cell) {
  if (!name) return 0;
  mg_str text = mg_str_of((const char *)name);
  uint32_t anchor;
  if (find_hashed(b, 0, text, &anchor)) return b->code;
  if (!anchor) {
    anchor = add_cell(b, MG_KEY, 0, (struct mg_yaml_span){b->last, b->last});
    text = mg_arena_dup(b->arena, text);
    if (!anchor) return b->code;
    if (!text.p) return fail_memory(b);
    if (set_text(b, anchor, text) || add_hashed(b, anchor)) return b->code;
  }
  b->doc->cells[anchor].first = cell;
  return 0;
}

static bool is_open(const struct builder *b, uint32_t cell) {
  uint32_t at = b->open;
  while (at && at != cell) at = b->doc->cells[at].parent;
  return at != 0;
}

/* --- events ---------------------------------------------------------------------------------------------------------- */

/* The text itself where the source has it as it is, else a copy: the event's own does not outlive it. */
static mg_str keep(struct builder *b, mg_str text, struct mg_yaml_span at, bool quoted) {
  mg_str there = {b->place.source.p + at.start + quoted, text.n};
  bool fits = at.start + quoted + text.n <= at.end;
  return fits && mg_str_eq(there, text) ? there : mg_arena_dup(b->arena, text);
}

/* libyaml takes the \/ of JSON in a quoted scalar, go-yaml v2 does not. */
static int check_escapes(struct builder *b, struct mg_yaml_span at) {
  const char *base = b->place.source.p, *end = base + at.end;
  for (const char *p = base + at.start; p < end && (p = memchr(p, '\\', (size_t)(end - p))); p += 2)
    if (p + 1 < end && p[1] == '/') return fail(b, (size_t)(p - base), MG_E_SYNTAX, "found unknown escape character \\/");
  return 0;
}

static int resolve(struct builder *b, const yaml_event_t *event, struct mg_yaml_span at, struct mg_yaml_scalar *ret) {
  mg_str value = {(const char *)event->data.scalar.value, event->data.scalar.length};
  const char *tag = (const char *)event->data.scalar.tag;
  yaml_scalar_style_t style = event->data.scalar.style;
  bool quoted = style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
  struct mg_err err = {0};
  if (style == YAML_DOUBLE_QUOTED_SCALAR_STYLE && check_escapes(b, at)) return b->code;
  int code = mg_yaml_resolve(b->arena, value, tag, event->data.scalar.plain_implicit, ret, &err);
  if (code) return fail(b, at.start, code, "%s", err.text);
  if (ret->text.p != value.p) return 0;
  ret->text = keep(b, ret->text, at, quoted);
  return ret->text.p ? 0 : fail_memory(b);
}

static bool is_merge(const yaml_event_t *event) {
  const char *tag = (const char *)event->data.scalar.tag;
  mg_str value = {(const char *)event->data.scalar.value, event->data.scalar.length};
  return mg_str_is(value, "<<") && (event->data.scalar.plain_implicit || (tag && strcmp(tag, "tag:yaml.org,2002:merge") == 0));
}

static uint32_t add_scalar(struct builder *b, const struct mg_yaml_scalar *scalar, uint32_t parent, struct mg_yaml_span at) {
  if (scalar->no_value) {
    fail(b, at.start, MG_E_INVALID, "%.*s is no number that JSON has", MG_FMT(scalar->text));
    return 0;
  }
  uint32_t cell = add_cell(b, scalar->kind, parent, at);
  return cell && !set_text(b, cell, scalar->text) ? cell : 0;
}

static int on_merge_key(struct builder *b, struct mg_yaml_span at) {
  b->key = add_cell(b, MG_KEY, b->open, at);
  if (!b->key) return b->code;
  b->doc->cells[b->key].fresh = 1;
  return 0;
}

static int on_key(struct builder *b, const yaml_event_t *event, const struct mg_yaml_scalar *scalar, struct mg_yaml_span at) {
  if (event->data.scalar.anchor) {
    uint32_t cell = add_scalar(b, scalar, 0, at);
    if (!cell || set_anchor(b, event->data.scalar.anchor, cell)) return b->code;
  }
  if (is_merge(event)) return on_merge_key(b, at);
  if (scalar->kind == MG_NULL) return fail(b, at.start, MG_E_INVALID, "null cannot be a key");
  if (scalar->no_key) return fail(b, at.start, MG_E_INVALID, "a whole number above 9223372036854775807 cannot be a key");
  mg_str text = mg_yaml_key_text(b->arena, scalar);
  return text.p ? add_key(b, text, at) : fail_memory(b);
}

static int on_scalar(struct builder *b, const yaml_event_t *event) {
  struct mg_yaml_scalar scalar;
  struct mg_yaml_span at = mg_yaml_span_of(&b->place, event);
  b->last = at.end;
  if (resolve(b, event, at, &scalar)) return b->code;
  if (wants_key(b)) return on_key(b, event, &scalar, at);
  if (is_merge_key(b, b->key)) return fail_merge(b, at.start);
  uint32_t cell = add_scalar(b, &scalar, holder(b), at);
  if (!cell) return b->code;
  attach(b, cell);
  return set_anchor(b, event->data.scalar.anchor, cell);
}

static int on_alias_key(struct builder *b, uint32_t target, struct mg_yaml_span at) {
  const struct mg_cell *c = &b->doc->cells[target];
  if (c->kind == MG_NULL || c->kind >= MG_ARRAY) return fail(b, at.start, MG_E_INVALID, "only a plain value can be a key");
  return add_key(b, (mg_str){c->text, c->len}, at);
}

static int on_alias(struct builder *b, const yaml_event_t *event) {
  struct mg_yaml_span at = mg_yaml_span_of(&b->place, event);
  mg_str name = mg_str_of((const char *)event->data.alias.anchor);
  b->last = at.end;
  uint32_t anchor;
  if (find_hashed(b, 0, name, &anchor)) return b->code;
  mg_str said = mg_utf8_first(name, NAME_MAX_SHOWN);
  if (!anchor) return fail(b, at.start, MG_E_SYNTAX, "unknown anchor \"%.*s\"", MG_FMT(said));
  uint32_t target = b->doc->cells[anchor].first;
  if (is_open(b, target)) return fail(b, at.start, MG_E_SYNTAX, "the value of anchor \"%.*s\" contains itself", MG_FMT(said));
  if (wants_key(b)) return on_alias_key(b, target, at);
  if (is_merge_key(b, b->key)) {
    uint32_t key = b->key;
    b->key = 0;
    return merge(b, key, target, &at);
  }
  uint32_t cell = copy_tree(b, target, holder(b), &at);
  if (!cell) return b->code;
  attach(b, cell);
  return 0;
}

static int open_container(struct builder *b, const yaml_event_t *event, enum mg_kind kind, const yaml_char_t *anchor) {
  struct mg_yaml_span at = mg_yaml_span_of(&b->place, event);
  if (wants_key(b)) return fail(b, at.start, MG_E_INVALID, "a %s cannot be a key", kind == MG_OBJECT ? "mapping" : "list");
  if (b->depth >= b->how->limits.depth)
    return fail(b, at.start, MG_E_LIMIT, "nested deeper than %u", (unsigned)b->how->limits.depth);
  uint32_t cell = add_cell(b, kind, holder(b), at);
  if (!cell) return b->code;
  b->doc->cells[cell].end = 0;
  attach(b, cell);
  b->open = cell;
  b->depth++;
  return set_anchor(b, anchor, cell);
}

static void clear_touched(struct builder *b, uint32_t object) {
  struct mg_cell *cells = b->doc->cells;
  cells[object].touched = 0;
  for (uint32_t at = cells[object].first; at; at = cells[at].next) cells[at].touched = 0;
}

static int close_container(struct builder *b, const yaml_event_t *event) {
  uint32_t cell = b->open;
  struct mg_cell *c = &b->doc->cells[cell];
  char first = c->start < b->place.to ? b->place.source.p[c->start] : '\0';
  bool flow = first == (c->kind == MG_OBJECT ? '{' : '[');
  if (flow) b->last = (uint32_t)mg_yaml_byte(&b->place, event->end_mark.index);
  c->end = b->last > c->start ? b->last : c->start;
  c->next = 0;
  if (c->touched) clear_touched(b, cell);
  uint32_t parent = c->parent;
  b->open = parent && b->doc->cells[parent].kind == MG_KEY ? b->doc->cells[parent].parent : parent;
  b->depth--;
  return is_merge_key(b, parent) ? merge(b, parent, cell, NULL) : 0;
}

static int on_document(struct builder *b, const yaml_event_t *event) {
  const yaml_version_directive_t *version = event->data.document_start.version_directive;
  if (!version || (version->major == 1 && version->minor == 1)) return 0;
  return fail(b, mg_yaml_byte(&b->place, event->start_mark.index), MG_E_SYNTAX, "found incompatible YAML document");
}

static int on_event(struct builder *b, const yaml_event_t *e) {
  switch (e->type) {
  case YAML_DOCUMENT_START_EVENT: return on_document(b, e);
  case YAML_SCALAR_EVENT: return on_scalar(b, e);
  case YAML_ALIAS_EVENT: return on_alias(b, e);
  case YAML_SEQUENCE_START_EVENT: return open_container(b, e, MG_ARRAY, e->data.sequence_start.anchor);
  case YAML_MAPPING_START_EVENT: return open_container(b, e, MG_OBJECT, e->data.mapping_start.anchor);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT: return close_container(b, e);
  default: return 0;
  }
}

/* --- the parser ------------------------------------------------------------------------------------------------------ */

/* kubectl ends every line of a document, so the last one, too. */
static int feed(void *data, unsigned char *buffer, size_t size, size_t *size_read) {
  struct builder *b = data;
  size_t n = b->place.to - b->fed < size ? b->place.to - b->fed : size;
  memcpy(buffer, b->place.source.p + b->fed, n);
  b->fed += n;
  if (n == 0 && size > 0 && !b->ended) {
    b->ended = true;
    buffer[0] = '\n';
    n = 1;
  }
  *size_read = n;
  return 1;
}

static int fail_parse(struct builder *b) {
  const yaml_parser_t *p = &b->parser;
  const char *problem = p->problem ? p->problem : "not YAML";
  if (p->error == YAML_MEMORY_ERROR) return fail_memory(b);
  if (p->error == YAML_READER_ERROR) {
    size_t at = b->place.from + p->problem_offset;
    return fail(b, at < b->place.to ? at : b->place.to, MG_E_SYNTAX, "%s", problem);
  }
  if (!p->context || p->context_mark.line == p->problem_mark.line)
    return fail(b, mg_yaml_byte(&b->place, p->problem_mark.index), MG_E_SYNTAX, "%s", problem);
  uint32_t line, column;
  mg_line_of(b->place.source, mg_yaml_byte(&b->place, p->context_mark.index), &line, &column);
  size_t at = mg_yaml_byte(&b->place, p->problem_mark.index);
  return fail(b, at, MG_E_SYNTAX, "%s, %s that begins in line %u", problem, p->context, (unsigned)line);
}

static void delete_event(yaml_event_t *event) {
  yaml_event_delete(event);
}

static void delete_parser(struct builder *b) {
  yaml_parser_delete(&b->parser);
}

static int parse(struct builder *b) {
  for (;;) {
    __attribute__((cleanup(delete_event))) yaml_event_t event = {0};
    if (!yaml_parser_parse(&b->parser, &event)) return fail_parse(b);
    if (event.type == YAML_STREAM_END_EVENT || event.type == YAML_DOCUMENT_END_EVENT) return 0;
    if (on_event(b, &event)) return b->code;
  }
}

int mg_yaml_build(struct mg_doc *ret, struct mg_arena *arena, mg_str source, size_t from, size_t to, struct mg_read *how,
                  struct mg_err *err) {
  if (mg_str_starts((mg_str){source.p + from, to - from}, MG_S("\xEF\xBB\xBF"))) from += 3;
  __attribute__((cleanup(delete_parser))) struct builder b = {.doc = ret, .arena = arena, .how = how, .err = err, .fed = from};
  size_t bad = 0;
  b.last = (uint32_t)from;
  b.ended = to > from && source.p[to - 1] == '\n';
  bool is_utf8 = mg_yaml_place_init(&b.place, source, from, to, &bad);
  if (mg_doc_init(ret, arena, source, how->file, (uint32_t)((to - from) / 16 + 16))) return fail_memory(&b);
  if (!is_utf8) return fail(&b, bad, MG_E_SYNTAX, "bytes that are not UTF-8");
  if (!yaml_parser_initialize(&b.parser)) return fail_memory(&b);
  yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input(&b.parser, feed, &b);
  if (parse(&b)) ret->count = 1; /* what could not be read has no root */
  return b.code;
}
