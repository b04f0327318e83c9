#define _GNU_SOURCE /* memmem */
#include "base/str.h"

int mg_str_cmp(mg_str a, mg_str b) {
  size_t n = a.n < b.n ? a.n : b.n;
  int order = n ? memcmp(a.p, b.p, n) : 0;
  return order ? order : (a.n > b.n) - (a.n < b.n);
}

size_t mg_str_find(mg_str s, char byte) {
  const char *hit = s.n ? memchr(s.p, byte, s.n) : NULL;
  return hit ? (size_t)(hit - s.p) : s.n;
}

bool mg_str_has(mg_str s, mg_str part) {
  if (part.n == 0) return true;
  return part.n <= s.n && memmem(s.p, s.n, part.p, part.n);
}
