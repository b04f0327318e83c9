/* An output buffer with a limit, in an arena or on the heap. Failure is sticky: write everything, look once at the end. */
#pragma once
#include "base/arena.h"

struct mg_buf {
  char *p;
  size_t n, cap, max;
  struct mg_arena *arena; /* NULL: the heap, and mg_buf_fini frees it */
  bool failed;            /* out of memory or over max; nothing was lost silently */
};

void mg_buf_init(struct mg_buf *buf, struct mg_arena *arena, size_t max);
void mg_buf_fini(struct mg_buf *buf);

void mg_buf_put(struct mg_buf *buf, mg_str s);
void mg_buf_byte(struct mg_buf *buf, char c);
void mg_buf_printf(struct mg_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define mg_buf_lit(buf, literal) mg_buf_put((buf), MG_S(literal))

/* Room for `want` bytes at the end, to be filled by the caller, who then adds to n. NULL when over the limit. */
char *mg_buf_room(struct mg_buf *buf, size_t want);

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void mg_buf_json(struct mg_buf *buf, mg_str s);
/* Text for people: control characters, bidirectional controls, line and paragraph separators and bad UTF-8 become U+FFFD. */
void mg_buf_clean(struct mg_buf *buf, mg_str s);
/* Text for people as a JSON string: cleaned, then escaped. */
void mg_buf_json_clean(struct mg_buf *buf, mg_str s);
/* Standard padded base64. */
void mg_buf_base64(struct mg_buf *buf, mg_str s);

static inline mg_str mg_buf_str(const struct mg_buf *buf) {
  return (mg_str){buf->p, buf->n};
}

static inline void mg_buf_finip(struct mg_buf *buf) {
  mg_buf_fini(buf);
}
#define MG_BUF_AUTO __attribute__((cleanup(mg_buf_finip))) struct mg_buf
