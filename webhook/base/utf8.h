/* UTF-8 by the byte: what is valid, and how far text needs no attention. */
#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/str.h"

/* Bytes of the character at p, 1 to 4; 0 where no well-formed one begins (overlong, surrogate, above U+10FFFF, cut off). */
static inline size_t mg_utf8_len(const char *p, const char *end) {
  const unsigned char *s = (const unsigned char *)p;
  size_t left = (size_t)(end - p);
  if (left == 0) return 0;
  if (s[0] < 0x80) return 1;
  if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
  size_t n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
  if (left < n) return 0;
  unsigned low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
  unsigned high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < n; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  return n;
}

/* The code point of a well-formed character of n bytes. */
static inline uint32_t mg_utf8_point(const char *p, size_t n) {
  const unsigned char *s = (const unsigned char *)p;
  uint32_t point = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
  for (size_t i = 1; i < n; i++) point = point << 6 | (s[i] & 0x3Fu);
  return point;
}

/* Eight bytes as a number whose lowest byte is the first. */
static inline uint64_t mg_utf8_word(const char *p) {
  uint64_t x;
  memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  return x;
}

#ifdef __SSE2__
/* One bit for each of 16 bytes that mg_utf8_plain stops at: as a signed number, what is not ASCII is below 0x20 too. */
static inline unsigned mg_utf8_stops(const char *p) {
  __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i quotes = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
  return (unsigned)_mm_movemask_epi8(_mm_or_si128(quotes, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20))));
}
#else
/* The top bit of each byte that is `"`, a backslash, below 0x20 or above 0x7F. A borrow can spoil only bytes above the
 * lowest hit, so that one is always true. */
static inline uint64_t mg_utf8_hits(uint64_t x) {
  const uint64_t ones = 0x0101010101010101u;
  return (((x ^ ones * '"') - ones) | ((x ^ ones * '\\') - ones) | (x - ones * 0x20) | x) & ones * 0x80;
}
#endif

/* The first byte at or behind p that is '"', '\\', a control character below 0x20 or not ASCII; else end. */
static inline const char *mg_utf8_plain(const char *p, const char *end) {
  for (; end - p >= 16; p += 16) { /* most strings end here, and the branch is foreseen */
#ifdef __SSE2__
    unsigned stops = mg_utf8_stops(p);
    if (stops) return p + __builtin_ctz(stops);
#else
    uint64_t low = mg_utf8_hits(mg_utf8_word(p)), high = mg_utf8_hits(mg_utf8_word(p + 8));
    if (low | high) return p + (low ? 0 : 8) + (__builtin_ctzll(low ? low : high) >> 3);
#endif
  }
  for (; p < end; p++) {
    unsigned char c = (unsigned char)*p;
    if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80) break;
  }
  return p;
}

/* So many bytes from the front, less where a character would be cut. */
static inline mg_str mg_utf8_first(mg_str s, size_t most) {
  if (s.n <= most) return s;
  while (most && ((unsigned char)s.p[most] & 0xC0) == 0x80) most--;
  return (mg_str){s.p, most};
}

/* What moves the cursor, turns text around or cannot be seen: never shown to a person as it is. */
static inline bool mg_utf8_is_hidden(uint32_t point) {
  static const struct {
    uint32_t from, to;
  } hidden[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0x061C, 0x061C}, {0x200E, 0x200F},
                {0x2028, 0x2029}, {0x202A, 0x202E}, {0x2066, 0x2069}, {0xFEFF, 0xFEFF}};
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
    if (point >= hidden[i].from && point <= hidden[i].to) return true;
  return false;
}
