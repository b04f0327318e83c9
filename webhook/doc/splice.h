/* The edits of a doc, written back into the text that it was read from. What no edit needs stays as it is, byte for byte:
 * comments, order, quotes, indentation, line ends. What is added is written like what stands around it. Nothing here knows
 * whether the new text means what it should: the caller reads it again and compares. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"

/* Bytes [start, end) of the source give way to the text. */
struct mg_splice {
  uint32_t start, end;
  uint32_t order; /* of those that begin at one place, by when they were added */
  mg_str text;
};

struct mg_splices {
  struct mg_arena *arena;
  struct mg_splice *items;
  size_t cap;
  uint32_t count;
  bool shared;        /* an edit of what an alias brought was left out: it is right if the anchor's own value is edited alike */
  uint32_t shared_at; /* where the first such alias stands */
};

/* Adds what writes the edits of the tree at `edited`. `before`: the same source, read again in the same way. MG_E_INVALID: there
 * is an edit that cannot be written, at err->offset; MG_E_NOMEM. Some may have been added then. */
int mg_splice_add(struct mg_splices *splices, mg_node edited, struct mg_doc *before, struct mg_err *err);

/* The source with all of it. MG_E_INVALID: two edits want the same bytes. */
int mg_splice_write(struct mg_buf *buf, mg_str source, const struct mg_splices *splices, struct mg_err *err);
