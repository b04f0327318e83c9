#include "report/diff.h"

#include "base/ascii.h"
#include "base/utf8.h"
#include "doc/json.h"
#include "doc/yaml_write.h"
#include "report/place.h"

#define LINE_MAX_SHOWN ((size_t)400)

/* One operation, and where it acts. */
struct spot {
  mg_node parent; /* the container, as it is after the patch */
  mg_str key;     /* its last step, unescaped */
};

static mg_str unescape(struct mg_arena *arena, mg_str step) {
  char *to = mg_arena_alloc(arena, step.n + 1);
  size_t n = 0;
  if (!to) return (mg_str){0};
  for (size_t i = 0; i < step.n; i++) {
    bool escaped = step.p[i] == '~' && i + 1 < step.n;
    if (escaped) i++;
    to[n++] = !escaped ? step.p[i] : step.p[i] == '0' ? '~' : '/';
  }
  return (mg_str){to, n};
}

static mg_node child_of(mg_node container, mg_str step) {
  uint32_t index = 0;
  if (!mg_is(container, MG_ARRAY)) return mg_get(container, step);
  for (size_t i = 0; i < step.n; i++) {
    if (!mg_is_digit(step.p[i]) || index > UINT32_MAX / 10 - 1) return (mg_node){0};
    index = 10 * index + (uint32_t)(step.p[i] - '0');
  }
  return mg_item(container, index);
}

static struct spot spot_of(const struct mg_report_result *r, mg_str pointer) {
  struct spot spot = {.parent = r->object};
  mg_str rest = mg_str_from(pointer, 1);
  for (;;) {
    size_t n = mg_str_find(rest, '/');
    spot.key = unescape(r->object.doc->arena, (mg_str){rest.p, n});
    if (n >= rest.n) return spot;
    spot.parent = child_of(spot.parent, spot.key);
    rest = mg_str_from(rest, n + 1);
  }
}

/* The first character of what stands in the file: its line. */
static bool line_of(mg_node n, mg_str *ret_line, uint32_t *ret_number) {
  struct mg_pos pos;
  mg_node key = mg_key_of(n), at = key.at ? key : n;
  if (!at.at || mg_cell_of(at)->fresh || !mg_pos(n, &pos)) return false;
  *ret_line = mg_line_at(at.doc->source, mg_cell_of(at)->start);
  *ret_number = pos.line;
  return true;
}

static size_t indentation_of(mg_str line) {
  size_t n = 0;
  while (n < line.n && line.p[n] == ' ') n++;
  return n;
}

/* Where a sibling stands, else two more than the parent: for a list in YAML no more than its key. */
static size_t indentation(const struct spot *spot, mg_str parent_line) {
  for (mg_node n = mg_first(spot->parent); n.at; n = mg_next(n)) {
    mg_str line;
    uint32_t number;
    if (!line_of(n, &line, &number)) continue;
    size_t start = mg_cell_of(n)->start, begin = (size_t)(line.p - n.doc->source.p);
    bool list = mg_is(spot->parent, MG_ARRAY);
    bool own_line = line.n && (list || indentation_of(line) == start - begin);
    if (own_line && (line.p != parent_line.p || list)) return indentation_of(line);
    if (own_line) return start - begin;
  }
  return indentation_of(parent_line) + (mg_is(spot->parent, MG_ARRAY) && !spot->parent.doc->is_json ? 0 : 2);
}

static void lines(struct mg_buf *to, char sign, size_t indent, mg_str text) {
  while (text.n) {
    size_t n = mg_str_find(text, '\n');
    mg_buf_printf(to, "%c%*s", sign, (int)(indent < 200 ? indent : 200), "");
    mg_buf_put(to, (mg_str){text.p, n});
    mg_buf_byte(to, '\n');
    text = mg_str_from(text, n + 1);
  }
}

static void cut_line(struct mg_buf *to, char sign, mg_str line) {
  mg_str shown = mg_utf8_first(line, LINE_MAX_SHOWN);
  mg_buf_byte(to, sign);
  mg_buf_put(to, shown);
  if (shown.n < line.n) mg_buf_lit(to, " …");
  mg_buf_byte(to, '\n');
}

/* The new member or item, as the file would have it. */
static void addition(struct mg_buf *to, const struct spot *spot, mg_node value, size_t indent) {
  struct mg_doc *doc = spot->parent.doc;
  bool list = mg_is(spot->parent, MG_ARRAY);
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_SINK_MAX);
  if (doc->is_json) {
    if (!list) mg_buf_json(&text, spot->key);
    if (!list) mg_buf_lit(&text, ": ");
    mg_json_write_pretty(&text, value);
  } else {
    mg_node whole = mg_make(doc, list ? MG_ARRAY : MG_OBJECT);
    if (list) mg_push(whole, mg_make_copy(doc, value));
    else mg_put(whole, spot->key, mg_make_copy(doc, value));
    mg_yaml_write(&text, whole);
  }
  if (text.failed) to->failed = true;
  lines(to, '+', indent, mg_buf_str(&text));
}

static void hunk(struct mg_buf *to, const struct mg_report_result *r, const struct mg_op *op) {
  struct spot spot = spot_of(r, op->pointer);
  mg_str line = {0}, old = {0};
  uint32_t number = 0;
  mg_node above = spot.parent;
  if (!spot.parent.at) return;
  while (above.at && !line_of(above, &line, &number)) above = mg_parent(above);
  bool replaced = op->kind == MG_OP_REPLACE && line_of(child_of(spot.parent, spot.key), &old, &number);
  mg_buf_printf(to, "@@ line %u: ", number);
  mg_str path = mg_path(spot.parent.doc->arena, r->object, spot.parent);
  mg_buf_put(to, path.n ? path : MG_S("the object"));
  mg_buf_lit(to, " @@\n");
  if (replaced) cut_line(to, '-', old);
  else if (line.n) cut_line(to, ' ', line);
  if (op->kind == MG_OP_REMOVE) {
    lines(to, '-', indentation(&spot, line), spot.key);
    return;
  }
  addition(to, &spot, op->value, replaced ? indentation_of(old) : indentation(&spot, line));
}

void mg_diff_write(struct mg_buf *to, const struct mg_report_result *result) {
  const struct mg_patch *patch = &result->verdict->patch;
  if (!result->object.doc || !result->object.doc->arena) return;
  for (uint32_t i = 0; i < patch->count; i++) hunk(to, result, &patch->ops[i]);
}
