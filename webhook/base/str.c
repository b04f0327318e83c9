#define _GNU_SOURCE /* memmem */
#include "base/str.h"

#define COPIES 24 /* two for each MG_FMT of a call, which asks twice */

int mg_str_cmp(mg_str a, mg_str b) {
  size_t n = a.n < b.n ? a.n : b.n;
  int order = n ? memcmp(a.p, b.p, n) : 0;
  return order ? order : (a.n > b.n) - (a.n < b.n);
}

mg_str mg_str_shown(mg_str s) {
  static _Thread_local char copies[COPIES][MG_STR_SHOWN];
  static _Thread_local unsigned next;
  static const char mark[] = "\xEF\xBF\xBD";
  if (!s.n) return MG_S("");
  if (!memchr(s.p, '\0', s.n)) return s;
  char *copy = copies[next++ % COPIES];
  size_t n = 0;
  for (size_t i = 0; i < s.n && n + 3 <= MG_STR_SHOWN; i++) {
    if (s.p[i]) copy[n++] = s.p[i];
    else memcpy(copy + n, mark, 3), n += 3;
  }
  return (mg_str){copy, n};
}

size_t mg_str_find(mg_str s, char byte) {
  const char *hit = s.n ? memchr(s.p, byte, s.n) : NULL;
  return hit ? (size_t)(hit - s.p) : s.n;
}

bool mg_str_has(mg_str s, mg_str part) {
  if (part.n == 0) return true;
  return part.n <= s.n && memmem(s.p, s.n, part.p, part.n);
}
