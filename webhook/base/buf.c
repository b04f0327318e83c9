#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"
#define CAP_MIN ((size_t)256)

void mg_buf_init(struct mg_buf *buf, struct mg_arena *arena, size_t max) {
  *buf = (struct mg_buf){.arena = arena, .max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4};
}

void mg_buf_fini(struct mg_buf *buf) {
  if (!buf->arena) free(buf->p);
  *buf = (struct mg_buf){.max = buf->max};
}

/* Memory is always one byte more than cap: vsnprintf writes a NUL behind what counts. */
static bool grow(struct mg_buf *buf, size_t want) {
  if (want > buf->max - buf->n) return false;
  size_t cap = buf->cap < CAP_MIN ? CAP_MIN : buf->cap * 2;
  if (cap < buf->n + want) cap = buf->n + want;
  if (cap > buf->max) cap = buf->max;
  char *p = buf->arena ? mg_arena_grow(buf->arena, buf->p, buf->p ? buf->cap + 1 : 0, cap + 1) : realloc(buf->p, cap + 1);
  if (!p) return false;
  buf->p = p;
  buf->cap = cap;
  return true;
}

char *mg_buf_room(struct mg_buf *buf, size_t want) {
  if (buf->failed) return NULL;
  if ((!buf->p || buf->cap - buf->n < want) && !grow(buf, want)) {
    buf->failed = true;
    return NULL;
  }
  return buf->p + buf->n;
}

void mg_buf_put(struct mg_buf *buf, mg_str s) {
  char *to = s.n ? mg_buf_room(buf, s.n) : NULL;
  if (!to) return;
  memcpy(to, s.p, s.n);
  buf->n += s.n;
}

void mg_buf_byte(struct mg_buf *buf, char c) {
  char *to = mg_buf_room(buf, 1);
  if (!to) return;
  *to = c;
  buf->n++;
}

void mg_buf_printf(struct mg_buf *buf, const char *format, ...) {
  char *to = mg_buf_room(buf, 0);
  if (!to) return;
  size_t room = buf->cap - buf->n;
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(to, room + 1, format, args);
  if (n < 0) {
    buf->failed = true;
  } else if ((size_t)n <= room) {
    buf->n += (size_t)n;
  } else if ((to = mg_buf_room(buf, (size_t)n))) {
    if (vsnprintf(to, (size_t)n + 1, format, again) == n) buf->n += (size_t)n;
    else buf->failed = true;
  }
  va_end(again);
  va_end(args);
}

static void put_span(struct mg_buf *buf, const char *from, const char *to) {
  mg_buf_put(buf, (mg_str){from, (size_t)(to - from)});
}

static void put_escape(struct mg_buf *buf, unsigned char c) {
  static const char digits[] = "0123456789abcdef";
  static const char shorts[128] = {['"'] = '"',  ['\\'] = '\\', ['\n'] = 'n', ['\t'] = 't',
                                   ['\r'] = 'r', ['\b'] = 'b',  ['\f'] = 'f'};
  if (shorts[c]) {
    mg_buf_put(buf, (mg_str){(const char[]){'\\', shorts[c]}, 2});
  } else {
    mg_buf_lit(buf, "\\u00");
    mg_buf_byte(buf, digits[c >> 4]);
    mg_buf_byte(buf, digits[c & 15]);
  }
}

void mg_buf_json(struct mg_buf *buf, mg_str s) {
  mg_buf_byte(buf, '"');
  const char *p = s.n ? s.p : "", *end = p + s.n, *from = p;
  while ((p = mg_utf8_plain(p, end)) < end) {
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0x80 ? 0 : mg_utf8_len(p, end);
    if (n) {
      p += n;
      continue;
    }
    put_span(buf, from, p);
    if (c < 0x80) put_escape(buf, c);
    else mg_buf_lit(buf, REPLACEMENT);
    from = ++p;
  }
  put_span(buf, from, end);
  mg_buf_byte(buf, '"');
}

void mg_buf_clean(struct mg_buf *buf, mg_str s) {
  const char *p = s.n ? s.p : "", *end = p + s.n, *from = p;
  while (p < end) {
    size_t n = mg_utf8_len(p, end);
    if (n && !mg_utf8_is_hidden(mg_utf8_point(p, n))) {
      p += n;
      continue;
    }
    put_span(buf, from, p);
    mg_buf_lit(buf, REPLACEMENT);
    from = p += n ? n : 1;
  }
  put_span(buf, from, end);
}

void mg_buf_json_clean(struct mg_buf *buf, mg_str s) {
  MG_BUF_AUTO clean;
  mg_buf_init(&clean, NULL, buf->max);
  mg_buf_clean(&clean, s);
  mg_buf_json(buf, mg_buf_str(&clean));
  buf->failed |= clean.failed;
}

void mg_buf_base64(struct mg_buf *buf, mg_str s) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (s.n > buf->max) {
    buf->failed = true;
    return;
  }
  size_t want = (s.n + 2) / 3 * 4;
  char *to = want ? mg_buf_room(buf, want) : NULL;
  if (!to) return;
  const unsigned char *p = (const unsigned char *)s.p;
  size_t left = s.n;
  for (; left >= 3; left -= 3, p += 3, to += 4) {
    uint32_t word = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    to[0] = digits[word >> 18];
    to[1] = digits[word >> 12 & 63];
    to[2] = digits[word >> 6 & 63];
    to[3] = digits[word & 63];
  }
  if (left) {
    uint32_t word = (uint32_t)p[0] << 16 | (left > 1 ? (uint32_t)p[1] << 8 : 0);
    to[0] = digits[word >> 18];
    to[1] = digits[word >> 12 & 63];
    to[2] = left > 1 ? digits[word >> 6 & 63] : '=';
    to[3] = '=';
  }
  buf->n += want;
}
