/* JSON in and out. The reader is strict (RFC 8259), single pass, keeps numbers as text and NUL in strings, refuses
 * duplicate keys unless asked, bad UTF-8, lone surrogates and anything behind the value but white space. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"

/* A duplicate key, told to the caller of a lenient read; both places are byte offsets in the source. */
struct mg_duplicate {
  struct mg_duplicate *next;
  mg_str key;
  uint32_t first, again; /* start of the two keys */
  bool merge;            /* overwritten by a YAML merge key */
};

struct mg_read {
  struct mg_limits limits;
  const char *file;                 /* for positions; NULL: from the wire */
  bool last_wins;                   /* duplicate keys: the last one holds and is reported, as kubectl does; else an error */
  struct mg_duplicate *duplicates;  /* out, newest first, in the arena */
};

/* Reads one value that fills the whole source. err has offset, line and column. */
int mg_json_read(struct mg_doc *ret, struct mg_arena *arena, mg_str source, struct mg_read *how, struct mg_err *err);

/* Reads the value that begins at *offset (white space before it is skipped) and sets *offset behind it, for concatenated JSON. At
 * the end of the source: 0 and a doc with no root. Positions are those of the whole source. */
int mg_json_read_next(struct mg_doc *ret, struct mg_arena *arena, mg_str source, size_t *offset, struct mg_read *how,
                      struct mg_err *err);

/* Compact JSON. What no edit touched is copied byte for byte where the doc was read from JSON. */
void mg_json_write(struct mg_buf *buf, mg_node n);
mg_str mg_json_text(struct mg_arena *arena, mg_node n);
/* Indented by two spaces, for people and files. */
void mg_json_write_pretty(struct mg_buf *buf, mg_node n);
