/* A tree as YAML for people and for kubectl: block style; whatever reads YAML 1.1 or 1.2 reads the same back. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"

/* One document without "---", ended by a newline. Strings of several lines become literal blocks where every character may
 * stand in one, else one line in double quotes; other strings are quoted unless every reader takes them for strings. Bytes that
 * are no UTF-8 become U+FFFD; a number keeps its text. */
void mg_yaml_write(struct mg_buf *buf, mg_node n);

/* Where it stands, and how much further right than its key or dash what belongs to it stands. */
struct mg_yaml_layout {
  size_t column;    /* of the first key or dash */
  size_t step;      /* of an object below its key */
  size_t list_step; /* of a list below its key */
  size_t dash;      /* of an item behind its dash */
  bool amounts;     /* mg_yaml_write_string */
  bool no_blocks;   /* strings of several lines in quotes, too */
};

/* One key or item in the same form, with all that is below it. */
void mg_yaml_write_child(struct mg_buf *buf, mg_node child, const struct mg_yaml_layout *layout);

/* A string in one line: in double quotes if it needs them, or always. `amounts`: 16Gi, which no reader takes for a number, is
 * written as people write it. */
void mg_yaml_write_string(struct mg_buf *buf, mg_str s, bool amounts);
void mg_yaml_write_quoted(struct mg_buf *buf, mg_str s);
