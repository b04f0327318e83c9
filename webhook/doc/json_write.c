#include "doc/json.h"

struct writer {
  struct mg_buf *buf;
  bool pretty;
  uint32_t depth;
};

static void new_line(struct writer *w) {
  static const char spaces[] = "                                                                ";
  if (!w->pretty) return;
  mg_buf_byte(w->buf, '\n');
  for (size_t left = (size_t)w->depth * 2; left && !w->buf->failed;) {
    size_t n = left < sizeof(spaces) - 1 ? left : sizeof(spaces) - 1;
    mg_buf_put(w->buf, (mg_str){spaces, n});
    left -= n;
  }
}

/* Cells that no edit touched stand in the source as they are; an edit marks every container around it. */
static bool is_verbatim(const struct writer *w, mg_node n) {
  const struct mg_cell *c = mg_cell_of(n);
  return n.doc && n.doc->is_json && !w->pretty && !c->fresh && !c->touched;
}

static void put_verbatim(struct writer *w, mg_node n) {
  const struct mg_cell *c = mg_cell_of(n);
  mg_buf_put(w->buf, (mg_str){n.doc->source.p + c->start, c->end - c->start});
}

static void put_scalar(struct writer *w, mg_node n) {
  mg_str text = mg_text(n);
  if (mg_is(n, MG_STRING) || mg_is(n, MG_KEY)) mg_buf_json(w->buf, text);
  else mg_buf_put(w->buf, text.n ? text : MG_S("null"));
}

/* Begins a value, with its key before it. True where its children are to be written next. */
static bool begin(struct writer *w, mg_node n) {
  if (mg_is(n, MG_KEY)) {
    if (is_verbatim(w, n)) put_verbatim(w, n);
    else put_scalar(w, n);
    mg_buf_put(w->buf, w->pretty ? MG_S(": ") : MG_S(":"));
    n = mg_value(n);
  }
  bool object = mg_is(n, MG_OBJECT);
  if (!n.at) mg_buf_lit(w->buf, "null");
  else if (is_verbatim(w, n)) put_verbatim(w, n);
  else if (!object && !mg_is(n, MG_ARRAY)) put_scalar(w, n);
  else if (!mg_first(n).at) mg_buf_put(w->buf, object ? MG_S("{}") : MG_S("[]"));
  else {
    mg_buf_byte(w->buf, object ? '{' : '[');
    w->depth++;
    new_line(w);
    return true;
  }
  return false;
}

static void end(struct writer *w, mg_node container) {
  w->depth--;
  new_line(w);
  mg_buf_byte(w->buf, mg_is(container, MG_OBJECT) ? '}' : ']');
}

/* Walks without recursion: `at` is a key or an item below `top`, or top itself. */
static void write_value(struct writer *w, mg_node top) {
  if (!begin(w, top)) return;
  mg_node at = mg_first(top);
  while (!w->buf->failed) {
    mg_node value = mg_is(at, MG_KEY) ? mg_value(at) : at;
    if (begin(w, at)) {
      at = mg_first(value);
      continue;
    }
    while (!mg_next(at).at) {
      mg_node container = mg_parent(at);
      end(w, container);
      if (container.at == top.at) return;
      at = mg_key_of(container).at ? mg_key_of(container) : container;
    }
    mg_buf_byte(w->buf, ',');
    new_line(w);
    at = mg_next(at);
  }
}

void mg_json_write(struct mg_buf *buf, mg_node n) {
  write_value(&(struct writer){.buf = buf}, mg_is(n, MG_KEY) ? mg_value(n) : n);
}

void mg_json_write_pretty(struct mg_buf *buf, mg_node n) {
  write_value(&(struct writer){.buf = buf, .pretty = true}, mg_is(n, MG_KEY) ? mg_value(n) : n);
}

mg_str mg_json_text(struct mg_arena *arena, mg_node n) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, SIZE_MAX);
  mg_json_write(&buf, n);
  return mg_buf_str(&buf);
}
