#include "doc/flow_write.h"

#include "doc/yaml_write.h"

/* In brackets a comma ends a plain string, and readers disagree on colons in one. */
static void put_string(struct mg_buf *buf, mg_str s, const struct mg_flow_layout *layout) {
  bool plain = !layout->quoted && mg_str_find(s, ',') == s.n && mg_str_find(s, ':') == s.n;
  if (plain) mg_yaml_write_string(buf, s, true);
  else if (layout->json) mg_buf_json(buf, s);
  else mg_yaml_write_quoted(buf, s);
}

static void put_scalar(struct mg_buf *buf, mg_node n, const struct mg_flow_layout *layout) {
  mg_str text = mg_text(n);
  if (mg_is(n, MG_STRING) || mg_is(n, MG_KEY)) put_string(buf, text, layout);
  else mg_buf_put(buf, text.n ? text : MG_S("null"));
}

void mg_flow_write_break(struct mg_buf *buf, const struct mg_flow_layout *layout, size_t depth) {
  if (!layout->lines) return;
  mg_buf_put(buf, layout->newline);
  mg_buf_put(buf, layout->indent);
  for (size_t i = 0; i < depth && !buf->failed; i++) mg_buf_put(buf, layout->unit);
}

void mg_flow_write_comma(struct mg_buf *buf, const struct mg_flow_layout *layout, size_t depth) {
  mg_buf_byte(buf, ',');
  if (layout->lines) mg_flow_write_break(buf, layout, depth);
  else if (!layout->tight) mg_buf_byte(buf, ' ');
}

/* No deeper than readers read. */
static void put(struct mg_buf *buf, mg_node n, const struct mg_flow_layout *layout, size_t depth) {
  if (mg_is(n, MG_KEY)) {
    put_scalar(buf, n, layout);
    mg_buf_put(buf, layout->tight ? MG_S(":") : MG_S(": "));
    n = mg_value(n);
  }
  bool object = mg_is(n, MG_OBJECT);
  if (!object && !mg_is(n, MG_ARRAY)) {
    put_scalar(buf, n, layout);
    return;
  }
  mg_buf_byte(buf, object ? '{' : '[');
  for (mg_node child = mg_first(n); child.at && !buf->failed; child = mg_next(child)) {
    if (child.at == mg_first(n).at) mg_flow_write_break(buf, layout, depth + 1);
    else mg_flow_write_comma(buf, layout, depth + 1);
    put(buf, child, layout, depth + 1);
  }
  if (mg_first(n).at) mg_flow_write_break(buf, layout, depth);
  mg_buf_byte(buf, object ? '}' : ']');
}

void mg_flow_write(struct mg_buf *buf, mg_node n, const struct mg_flow_layout *layout) {
  put(buf, n, layout, 0);
}
