#include "doc/splice.h"

#include <stdlib.h>

#include "doc/flow_write.h"
#include "doc/yaml_write.h"

#define TEXT_MAX ((size_t)64 << 20)
#define STEP_MAX 8    /* of indentation that is taken over; beyond it is chance */
#define LINE_LONG 60   /* bytes of a value in brackets that begins a list or object */
#define KEYS_LOOKED 64 /* at in one object for the indentation of others */

/* One tree on its way. `edited` nodes and cells of `before` have the same numbers, as far as they stand in the source. */
struct work {
  struct mg_splices *to;
  struct mg_doc *before;
  mg_str source;
  struct mg_err *err;
};

__attribute__((cold)) static int refuse(struct work *w, uint32_t at, const char *why) {
  mg_err_set(w->err, MG_E_INVALID, "%s", why);
  if (w->err) w->err->offset = at;
  return MG_E_INVALID;
}

static int no_memory(struct work *w) {
  return mg_err_set(w->err, MG_E_NOMEM, "out of memory for the edits");
}

static int add(struct work *w, uint32_t start, uint32_t end, mg_str text) {
  struct mg_splices *to = w->to;
  struct mg_splice *items = mg_arena_room(to->arena, to->items, &to->cap, to->count, sizeof *items);
  if (!items) return no_memory(w);
  to->items = items;
  items[to->count] = (struct mg_splice){start, end, to->count, text};
  to->count++;
  return 0;
}

static int add_buf(struct work *w, uint32_t start, uint32_t end, const struct mg_buf *text) {
  return text->failed ? no_memory(w) : add(w, start, end, mg_buf_str(text));
}

/* ---- the source ---- */

static char byte_at(const struct work *w, uint32_t at) {
  return at < w->source.n ? w->source.p[at] : '\0';
}

static bool is_break(char c) {
  return c == '\n' || c == '\r';
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

static uint32_t line_start(const struct work *w, uint32_t at) {
  while (at > 0 && !is_break(w->source.p[at - 1])) at--;
  return mg_str_starts(mg_str_from(w->source, at), MG_S("\xEF\xBB\xBF")) ? at + 3 : at;
}

static uint32_t column_of(const struct work *w, uint32_t at) {
  uint32_t start = line_start(w, at);
  return at > start ? at - start : 0;
}

static uint32_t behind_blanks(const struct work *w, uint32_t at) {
  while (is_blank(byte_at(w, at))) at++;
  return at;
}

static uint32_t before_blanks(const struct work *w, uint32_t at) {
  while (at > 0 && is_blank(w->source.p[at - 1])) at--;
  return at;
}

/* Nothing but blanks stand before it in its line, and it is not the first of the source. */
static bool begins_line(const struct work *w, uint32_t at) {
  at = before_blanks(w, at);
  return at > 0 && is_break(w->source.p[at - 1]);
}

/* What the line of this place begins with. */
static mg_str indent_of(const struct work *w, uint32_t at) {
  uint32_t start = line_start(w, at), end = start;
  while (end < at && is_blank(w->source.p[end])) end++;
  return (mg_str){w->source.p + start, end - start};
}

/* The end of the line, where nothing but a comment stands between. */
static bool ends_line(const struct work *w, uint32_t at, uint32_t *ret_end) {
  uint32_t end = behind_blanks(w, at);
  if (byte_at(w, end) == '#' && end > at)
    while (end < w->source.n && !is_break(w->source.p[end])) end++;
  *ret_end = end;
  return end >= w->source.n || is_break(w->source.p[end]);
}

static mg_str break_at(const struct work *w, uint32_t at) {
  if (byte_at(w, at) == '\r') return byte_at(w, at + 1) == '\n' ? MG_S("\r\n") : MG_S("\r");
  return MG_S("\n");
}

/* How the line before this one ends. */
static mg_str break_before(const struct work *w, uint32_t at) {
  while (at > 0 && !is_break(w->source.p[at - 1])) at--;
  if (at > 1 && w->source.p[at - 1] == '\n' && w->source.p[at - 2] == '\r') at--;
  return at > 0 ? break_at(w, at - 1) : MG_S("\n");
}

/* How the line that ends here ends; the last one is ended like the one before it. */
static mg_str newline_of(const struct work *w, uint32_t line_end) {
  return line_end < w->source.n ? break_at(w, line_end) : break_before(w, line_end);
}

/* ---- cells ---- */

static const struct mg_cell *cell_before(const struct work *w, mg_node n) {
  return &w->before->cells[n.at];
}

static mg_node node_before(const struct work *w, mg_node n) {
  return (mg_node){w->before, n.at};
}

static bool is_fresh(mg_node n) {
  return mg_cell_of(n)->fresh;
}

static mg_node value_of(mg_node child) {
  return mg_is(child, MG_KEY) ? mg_value(child) : child;
}

static uint32_t start_of(mg_node child) {
  return mg_cell_of(child)->start;
}

static uint32_t end_of(mg_node child) {
  uint32_t end = mg_cell_of(child)->end, value = mg_cell_of(value_of(child))->end;
  return value > end ? value : end;
}

static bool is_flow(const struct work *w, mg_node container) {
  char c = byte_at(w, start_of(container));
  return c == (mg_is(container, MG_OBJECT) ? '{' : '[');
}

/* It came by an alias, or by a merge key from one: it stands where that does. */
static bool is_shared(struct work *w, uint32_t at) {
  if (w->before->is_json || byte_at(w, at) != '*') return false;
  if (!w->to->shared) w->to->shared_at = at;
  w->to->shared = true;
  return true;
}

/* ---- brackets ---- */

/* As JSON writes keys: the nearest object in brackets decides. `*ret_tight`: and no space behind its colons. */
static bool is_quoted(const struct work *w, mg_node container, bool *ret_tight) {
  bool quoted = w->before->is_json;
  for (mg_node n = container; n.at; n = mg_parent(n)) {
    mg_node key = mg_is(n, MG_OBJECT) && is_flow(w, n) ? mg_first(n) : (mg_node){0};
    if (!key.at) continue;
    quoted = byte_at(w, start_of(key)) == '"';
    *ret_tight = quoted && start_of(mg_value(key)) == mg_cell_of(key)->end + 1;
    break;
  }
  return quoted;
}

/* How a further child of the container would be written, by one that is there. */
static struct mg_flow_layout flow_layout(const struct work *w, mg_node container, mg_node like) {
  struct mg_flow_layout layout = {0};
  if (!is_flow(w, container)) return layout;
  layout.quoted = is_quoted(w, container, &layout.tight);
  layout.json = w->before->is_json;
  layout.lines = begins_line(w, start_of(like));
  if (!layout.lines) return layout;
  mg_str outer = indent_of(w, start_of(container));
  layout.indent = indent_of(w, start_of(like));
  layout.unit = mg_str_starts(layout.indent, outer) ? mg_str_from(layout.indent, outer.n) : (mg_str){0};
  if (!layout.unit.n) layout.unit = MG_S("  ");
  layout.newline = break_before(w, start_of(like));
  return layout;
}

/* A neighbour in one line makes the new one stand in one line. */
static void put_flow_child(struct work *w, struct mg_buf *buf, mg_node child, const struct mg_flow_layout *layout, mg_node like) {
  struct mg_flow_layout own = *layout;
  mg_node inside = mg_first(value_of(like));
  if (inside.at) own.lines = begins_line(w, start_of(inside));
  mg_flow_write(buf, child, &own);
}

/* Behind the sibling. Where that is the last one and the new ones get lines of their own, a comment behind it stays with it. */
static int add_flow(struct work *w, mg_node container, mg_node sibling, mg_node first, mg_node end) {
  struct mg_flow_layout layout = flow_layout(w, container, sibling);
  uint32_t at = end_of(sibling), comma = behind_blanks(w, at), line_end;
  bool has_comma = byte_at(w, comma) == ',';
  bool own_line = !mg_next(sibling).at && layout.lines && ends_line(w, has_comma ? comma + 1 : at, &line_end);
  struct mg_buf text;
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  if (own_line && !has_comma && add(w, at, at, MG_S(","))) return MG_E_NOMEM;
  for (mg_node n = first; n.at != end.at; n = mg_next(n)) {
    if (!is_fresh(n)) continue;
    if (own_line && !text.n) mg_flow_write_break(&text, &layout, 0);
    else mg_flow_write_comma(&text, &layout, 0);
    put_flow_child(w, &text, n, &layout, sibling);
  }
  if (own_line && has_comma) mg_buf_byte(&text, ',');
  return add_buf(w, own_line ? line_end : at, own_line ? line_end : at, &text);
}

static int add_flow_before(struct work *w, mg_node container, mg_node sibling, mg_node first) {
  struct mg_flow_layout layout = flow_layout(w, container, sibling);
  struct mg_buf text;
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  for (mg_node n = first; is_fresh(n); n = mg_next(n)) {
    put_flow_child(w, &text, n, &layout, sibling);
    mg_flow_write_comma(&text, &layout, 0);
  }
  return add_buf(w, start_of(sibling), start_of(sibling), &text);
}

/* ---- blocks ---- */

/* How much further right than its key the nearest list, or object, around here stands. */
static size_t step_around(const struct work *w, mg_node from, enum mg_kind kind) {
  for (mg_node n = from; n.at; n = mg_parent(n)) {
    if (!mg_is(n, MG_OBJECT) || is_flow(w, n)) continue;
    uint32_t looked = 0;
    for (mg_node key = mg_first(n); key.at && looked < KEYS_LOOKED; key = mg_next(key), looked++) {
      mg_node value = mg_value(key);
      if (!mg_is(value, kind) || is_flow(w, value) || !begins_line(w, start_of(value))) continue;
      uint32_t inner = column_of(w, start_of(value)), outer = column_of(w, start_of(n));
      if (inner >= outer + (kind == MG_OBJECT) && inner <= outer + STEP_MAX) return inner - outer;
    }
  }
  return kind == MG_OBJECT ? 2 : 0;
}

/* Of items: how far behind the dash the first one begins. */
static size_t dash_of(const struct work *w, mg_node array) {
  uint32_t dash = start_of(array), first = start_of(mg_first(array));
  bool same_line = byte_at(w, dash) == '-' && behind_blanks(w, dash + 1) == first && first - dash <= STEP_MAX;
  return same_line && first - dash > 1 ? first - dash : 2;
}

static struct mg_yaml_layout block_layout(const struct work *w, mg_node container) {
  return (struct mg_yaml_layout){.column = column_of(w, start_of(container)),
                                 .step = step_around(w, container, MG_OBJECT),
                                 .list_step = step_around(w, container, MG_ARRAY),
                                 .dash = mg_is(container, MG_ARRAY) ? dash_of(w, container) : 2,
                                 .amounts = true};
}

static void put_lines(struct mg_buf *to, mg_str text, mg_str newline) {
  while (text.n) {
    size_t n = mg_str_find(text, '\n');
    mg_buf_put(to, (mg_str){text.p, n});
    if (n < text.n) mg_buf_put(to, newline);
    text = mg_str_from(text, n + 1);
  }
}

/* The fresh ones among the children from `first` up to `end`, each in lines of its own, the last of which is ended. */
static int put_block(struct work *w, struct mg_buf *text, mg_node first, mg_node end, const struct mg_yaml_layout *layout) {
  for (mg_node n = first; n.at != end.at; n = mg_next(n))
    if (is_fresh(n)) mg_yaml_write_child(text, n, layout);
  return text->failed ? no_memory(w) : 0;
}

/* Behind the comments that stand further right than `column` in the next lines: they are about what is above them. */
static uint32_t skip_comments(const struct work *w, uint32_t line_end, size_t column) {
  uint32_t end = line_end;
  while (end < w->source.n) {
    uint32_t start = end + (uint32_t)break_at(w, end).n, mark = start;
    while (byte_at(w, mark) == ' ') mark++;
    if (byte_at(w, mark) != '#' || mark - start <= column) break;
    for (end = mark; end < w->source.n && !is_break(w->source.p[end]);) end++;
  }
  return end;
}

/* What stands at the end of a source whose last line is not ended: a block scalar there is not the same to every reader. */
static bool is_unended(const struct work *w, uint32_t behind) {
  uint32_t end;
  return ends_line(w, behind, &end) && skip_comments(w, end, 0) == w->source.n && end > 0 && !is_break(w->source.p[end - 1]);
}

/* Lines behind the line in which something ends. A block scalar that keeps its line breaks ends behind them. */
static int add_lines(struct work *w, uint32_t behind, size_t column, mg_str lines) {
  struct mg_buf text;
  uint32_t end = behind;
  bool at_break = behind > 0 && is_break(w->source.p[behind - 1]);
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  if (!at_break && !ends_line(w, behind, &end)) return refuse(w, end, "more stands behind it in its line");
  if (!at_break) end = skip_comments(w, end, column);
  mg_str newline = at_break ? break_before(w, behind) : newline_of(w, end);
  if (!at_break) mg_buf_put(&text, newline), lines.n--;
  put_lines(&text, lines, newline);
  return add_buf(w, end, end, &text);
}

static int add_block(struct work *w, mg_node container, uint32_t behind, mg_node first, mg_node end) {
  struct mg_yaml_layout layout = block_layout(w, container);
  struct mg_buf text;
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  layout.no_blocks = is_unended(w, behind);
  int code = put_block(w, &text, first, end, &layout);
  return code ? code : add_lines(w, behind, layout.column, mg_buf_str(&text));
}

/* Items before the first: at the first dash, whose line has its indentation already. */
static int add_block_before(struct work *w, mg_node array, mg_node first, mg_node end) {
  struct mg_yaml_layout layout = block_layout(w, array);
  uint32_t at = start_of(array), line = line_start(w, at), line_end = at;
  struct mg_buf lines, text;
  mg_buf_init(&lines, w->to->arena, TEXT_MAX);
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  int code = put_block(w, &lines, first, end, &layout);
  if (code) return code;
  if (lines.n <= layout.column) return no_memory(w);
  while (line_end < w->source.n && !is_break(w->source.p[line_end])) line_end++;
  put_lines(&text, mg_str_from(mg_buf_str(&lines), layout.column), newline_of(w, line_end));
  for (uint32_t i = line; i < at; i++) mg_buf_byte(&text, ' '); /* a dash of an outer list stands only once */
  return add_buf(w, at, at, &text);
}

/* ---- values ---- */

/* Quoted as the old one was. */
static void put_scalar_like(struct work *w, struct mg_buf *buf, char first, mg_node value, const struct mg_flow_layout *layout) {
  mg_str s = mg_string(value);
  bool single = first == '\'';
  for (size_t i = 0; i < s.n && single; i++) single = s.p[i] >= ' ' && s.p[i] <= '~' && s.p[i] != '\'';
  if (!mg_is(value, MG_STRING) || (first != '"' && !single)) mg_flow_write(buf, value, layout);
  else if (single) mg_buf_printf(buf, "'%.*s'", MG_FMT(s));
  else if (w->before->is_json) mg_buf_json(buf, s);
  else mg_yaml_write_quoted(buf, s);
}

/* A value gives way to another, in brackets if it has children. */
static int rewrite(struct work *w, mg_node parent, mg_node child, mg_node value) {
  mg_node old = value_of(child);
  uint32_t start = start_of(old), end = mg_cell_of(old)->end;
  struct mg_flow_layout layout = flow_layout(w, parent, child);
  struct mg_buf text;
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  while (end > start && is_break(w->source.p[end - 1])) end--;
  bool as_key = mg_is(old, MG_ARRAY) && !is_flow(w, parent) && !is_flow(w, old); /* dashes may stand as far left as their key */
  if (as_key || (start == end && !is_blank(byte_at(w, start - 1)))) mg_buf_byte(&text, ' ');
  if (mg_kind_of(old) < MG_ARRAY && mg_kind_of(value) < MG_ARRAY)
    put_scalar_like(w, &text, byte_at(w, start), value, &layout);
  else
    mg_flow_write(&text, value, &layout);
  return add_buf(w, start, end, &text);
}

/* The value of a key that had none, or an empty one, below the key. */
static int open_block(struct work *w, mg_node parent, mg_node key, mg_node value) {
  struct mg_yaml_layout layout = block_layout(w, parent);
  mg_node none = mg_value(key);
  uint32_t start = start_of(none), end = mg_cell_of(none)->end;
  struct mg_buf text;
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  layout.no_blocks = is_unended(w, end);
  layout.column += mg_is(value, MG_ARRAY) ? layout.list_step : layout.step;
  int code = put_block(w, &text, mg_first(value), (mg_node){0}, &layout);
  if (code == 0 && end > start) code = add(w, before_blanks(w, start), end, (mg_str){0});
  return code ? code : add_lines(w, end, layout.column, mg_buf_str(&text));
}

static int replace(struct work *w, mg_node container, mg_node key) {
  mg_node parent = node_before(w, container), old_key = node_before(w, key), old = mg_value(old_key), value = mg_value(key);
  if (is_shared(w, start_of(old_key)) || is_shared(w, start_of(old))) return 0;
  bool opens = mg_is(old, MG_NULL) && mg_first(value).at && !is_flow(w, parent);
  return opens ? open_block(w, parent, old_key, value) : rewrite(w, parent, old_key, value);
}

/* ---- removals ---- */

/* It has lines of its own, in brackets with its comma. What JSON has at the end has none, and the one before it must go. */
static bool has_lines(const struct work *w, mg_node container, mg_node key, bool at_end, uint32_t *ret_end) {
  uint32_t end = end_of(key), comma = behind_blanks(w, end);
  if (!begins_line(w, start_of(key))) return false;
  if (!is_flow(w, container)) return ends_line(w, end, ret_end);
  bool has_comma = byte_at(w, comma) == ',';
  if (at_end ? w->before->is_json : !has_comma) return false;
  return ends_line(w, has_comma ? comma + 1 : end, ret_end);
}

/* Lines go with the break before them, not the one behind: what is added behind them stays behind what was before them.
 * `kept`: the last one that stays before it, or absent; of those that go at the end, the last one is asked for all. */
static int remove_key(struct work *w, mg_node container, mg_node kept, mg_node key, bool at_end) {
  mg_node next = mg_next(key);
  uint32_t start = start_of(key), line = line_start(w, start), line_end;
  if (is_shared(w, start)) return 0;
  if (has_lines(w, container, key, at_end, &line_end))
    return add(w, line - (uint32_t)break_before(w, line).n, line_end, (mg_str){0});
  if (next.at && !at_end && start_of(next) > start) return add(w, start, start_of(next), (mg_str){0});
  if (!kept.at || !is_flow(w, container)) return refuse(w, start, "it cannot be taken out");
  return next.at ? 0 : add(w, end_of(kept), end_of(key), (mg_str){0});
}

/* What `container` has no more. */
static int remove_keys(struct work *w, mg_node container) {
  mg_node old = node_before(w, container), now = mg_first(container), kept = {0};
  for (mg_node key = mg_first(old); key.at; key = mg_next(key)) {
    while (now.at && is_fresh(now)) now = mg_next(now);
    if (now.at == key.at) {
      kept = key;
      now = mg_next(now);
      continue;
    }
    int code = remove_key(w, old, kept, key, !now.at);
    if (code) return code;
  }
  return 0;
}

/* ---- containers ---- */

static int edit(struct work *w, mg_node container);

static int edit_children(struct work *w, mg_node container) {
  for (mg_node n = mg_first(container); n.at; n = mg_next(n)) {
    if (is_fresh(n)) continue;
    mg_node value = value_of(n);
    int code = 0;
    if (is_fresh(value)) code = replace(w, container, n);
    else if (mg_cell_of(value)->touched) code = edit(w, value);
    if (code) return code;
  }
  return 0;
}

static int add_behind(struct work *w, mg_node container, mg_node sibling, mg_node first, mg_node end, bool last) {
  if (is_flow(w, container)) return add_flow(w, container, sibling, first, end);
  uint32_t behind = last && !mg_next(sibling).at ? mg_cell_of(container)->end : end_of(sibling);
  return add_block(w, container, behind, first, end);
}

/* Keys are added at the end, wherever they are among the others. */
static int add_keys(struct work *w, mg_node object) {
  mg_node first = {0}, kept = {0};
  for (mg_node n = mg_first(object); n.at; n = mg_next(n)) {
    if (!is_fresh(n)) kept = n;
    else if (!first.at) first = n;
  }
  return first.at ? add_behind(w, node_before(w, object), node_before(w, kept), first, (mg_node){object.doc, 0}, true) : 0;
}

static int add_items(struct work *w, mg_node array) {
  mg_node old = node_before(w, array), kept = {0}, next;
  for (mg_node n = mg_first(array); n.at; n = next) {
    next = mg_next(n);
    if (!is_fresh(n)) {
      kept = n;
      continue;
    }
    while (next.at && is_fresh(next)) next = mg_next(next);
    int code;
    if (kept.at) code = add_behind(w, old, node_before(w, kept), n, next, !next.at);
    else if (is_flow(w, old)) code = add_flow_before(w, old, node_before(w, next), n);
    else code = add_block_before(w, old, n, next);
    if (code) return code;
  }
  return 0;
}

/* Nothing of it stays, which mostly was not there: `{}` or `[]`. What is long stands in lines of its own where that may be. */
static int fill(struct work *w, mg_node parent, mg_node child, mg_node container) {
  static const struct mg_flow_layout one_line = {0};
  struct mg_buf text;
  mg_buf_init(&text, w->to->arena, TEXT_MAX);
  mg_flow_write(&text, container, &one_line);
  bool opens = text.n > LINE_LONG && mg_is(child, MG_KEY) && !mg_first(value_of(child)).at && !is_flow(w, parent);
  return opens ? open_block(w, parent, child, container) : rewrite(w, parent, child, container);
}

/* No deeper than the source, which its reader limits. */
static int edit(struct work *w, mg_node container) {
  mg_node old = node_before(w, container), parent = mg_parent(old), key = mg_key_of(old);
  if (is_shared(w, start_of(old))) return 0;
  uint32_t kept = 0;
  for (mg_node n = mg_first(container); n.at && !kept; n = mg_next(n)) kept += !is_fresh(n);
  if (!kept && parent.at) return fill(w, parent, key.at ? key : old, container);
  if (!kept) return refuse(w, start_of(old), "nothing of it would stay");
  int code = edit_children(w, container);
  if (code == 0) code = remove_keys(w, container);
  if (code) return code;
  return mg_is(container, MG_OBJECT) ? add_keys(w, container) : add_items(w, container);
}

int mg_splice_add(struct mg_splices *splices, mg_node edited, struct mg_doc *before, struct mg_err *err) {
  struct work w = {.to = splices, .before = before, .source = before->source, .err = err};
  const struct mg_cell *now = mg_cell_of(edited), *old = edited.at < before->count ? cell_before(&w, edited) : NULL;
  if (!old || old->start != now->start || old->kind != now->kind) return refuse(&w, now->start, "it was not read alike twice");
  return now->touched ? edit(&w, edited) : 0;
}

static int by_place(const void *a, const void *b) {
  const struct mg_splice *x = a, *y = b;
  if (x->start != y->start) return x->start < y->start ? -1 : 1;
  if ((x->end > x->start) != (y->end > y->start)) return x->end > x->start ? 1 : -1; /* what only adds comes first */
  return x->order < y->order ? -1 : 1;
}

int mg_splice_write(struct mg_buf *buf, mg_str source, const struct mg_splices *splices, struct mg_err *err) {
  size_t at = 0;
  if (splices->count) qsort(splices->items, splices->count, sizeof *splices->items, by_place);
  for (uint32_t i = 0; i < splices->count; i++) {
    const struct mg_splice *s = &splices->items[i];
    if (s->start < at) {
      mg_err_set(err, MG_E_INVALID, "two edits change the same place");
      if (err) err->offset = s->start;
      return MG_E_INVALID;
    }
    mg_buf_put(buf, (mg_str){source.p + at, s->start - at});
    mg_buf_put(buf, s->text);
    at = s->end;
  }
  mg_buf_put(buf, mg_str_from(source, at));
  return buf->failed ? mg_err_set(err, MG_E_NOMEM, "out of memory for the edited text") : 0;
}
