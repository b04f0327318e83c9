#define _GNU_SOURCE
#include "base/when.h"

#include <time.h>

static bool two_digits(const char *p, int *ret) {
  if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return false;
  *ret = (p[0] - '0') * 10 + p[1] - '0';
  return true;
}

/* "Z" or "+01:00": seconds east of UTC. */
static bool zone(const char *p, int *ret) {
  int hours, minutes;
  *ret = 0;
  if (p[0] == 'Z') return p[1] == 0;
  if ((p[0] != '+' && p[0] != '-') || strlen(p) != 6 || p[3] != ':') return false;
  if (!two_digits(p + 1, &hours) || !two_digits(p + 4, &minutes) || hours > 23 || minutes > 59) return false;
  *ret = (p[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  return true;
}

bool mg_when_parse(mg_str text, bool end_of_day, int64_t *ret) {
  char z[48] = {0};
  struct tm tm = {0};
  int east = 0;
  if (text.n >= sizeof z || memchr(text.p ? text.p : "", 0, text.n)) return false;
  memcpy(z, text.p, text.n);
  if (text.n < 10 || z[4] != '-' || z[7] != '-') return false;
  const char *rest = strptime(z, "%Y-%m-%d", &tm);
  bool date = rest && !*rest;
  if (rest && !date) {
    rest = strptime(rest, "T%H:%M:%S", &tm);
    if (rest && *rest == '.')
      for (rest++; *rest >= '0' && *rest <= '9'; rest++) {}
    if (!rest || !zone(rest, &east)) return false;
  }
  if (!rest) return false;
  struct tm given = tm;
  time_t t = timegm(&tm);
  if (tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon) return false; /* 31 February */
  *ret = (int64_t)t - east + (date && end_of_day ? 86400 : 0);
  return true;
}
