/* A tree in the brackets of JSON and of YAML's flow style, spaced and broken into lines like what stands around it. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"

struct mg_flow_layout {
  bool quoted;    /* every string and key in double quotes */
  bool json;      /* with quoted: with JSON's escapes, not YAML's, which knows more characters that need one */
  bool tight;     /* no space behind ':' and ',' */
  bool lines;     /* each key and item in a line of its own */
  mg_str indent;  /* with lines: what the line begins with in which the tree begins */
  mg_str unit;    /* with lines: what each level adds to it */
  mg_str newline;
};

/* A value, or a key with its value. */
void mg_flow_write(struct mg_buf *buf, mg_node n, const struct mg_flow_layout *layout);

/* Between two keys or items that stand `depth` levels further in than layout->indent. */
void mg_flow_write_comma(struct mg_buf *buf, const struct mg_flow_layout *layout, size_t depth);
/* Begins a line, with lines. */
void mg_flow_write_break(struct mg_buf *buf, const struct mg_flow_layout *layout, size_t depth);
