#define _GNU_SOURCE
#include "base/when.h"

#include <time.h>

#include "base/ascii.h"

static bool two_digits(const char *p, int *ret) {
  if (!mg_is_digit(p[0]) || !mg_is_digit(p[1])) return false;
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
  if (text.n < 10 || text.n >= sizeof z || memchr(text.p, 0, text.n)) return false;
  memcpy(z, text.p, text.n);
  if (z[4] != '-' || z[7] != '-') return false;
  const char *rest = strptime(z, "%Y-%m-%d", &tm);
  bool date = rest && !*rest;
  if (rest && !date) {
    rest = strptime(rest, "T%H:%M:%S", &tm);
    if (rest && *rest == '.')
      for (rest++; mg_is_digit(*rest); rest++) {}
    if (!rest || !zone(rest, &east)) return false;
  }
  if (!rest) return false;
  struct tm given = tm;
  time_t t = timegm(&tm);
  if (tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon) return false; /* 31 February */
  *ret = (int64_t)t - east + (date && end_of_day ? 86400 : 0);
  return true;
}

const char *mg_when_text(int64_t unix_time, char room[MG_WHEN_ROOM]) {
  struct tm tm;
  time_t t = (time_t)unix_time;
  return gmtime_r(&t, &tm) && strftime(room, MG_WHEN_ROOM, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0 ? room : "?";
}

/* ---- durations ---- */

/* Longer names before their beginnings. */
static const struct {
  const char *name;
  int64_t ns;
} units[] = {
    {"ns", 1},           {"us", 1000},           {"\302\265s", 1000},
    {"\316\274s", 1000}, {"ms", 1000 * 1000},    {"s", 1000 * 1000 * 1000},
    {"m", INT64_C(60) * 1000 * 1000 * 1000}, {"h", INT64_C(3600) * 1000 * 1000 * 1000},
};

static int64_t take_unit(mg_str *text) {
  for (size_t i = 0; text->n > 0 && i < sizeof units / sizeof *units; i++) {
    if (!mg_str_starts(*text, mg_str_of(units[i].name))) continue;
    *text = mg_str_from(*text, strlen(units[i].name));
    return units[i].ns;
  }
  return 0;
}

/* Digits, a fraction, a unit. False: not that. Numbers saturate at ns_max. */
static bool take_part(mg_str *text, int64_t ns_max, int64_t *ns) {
  int64_t whole = 0, part = 0, scale = 1;
  size_t digits = 0, dots = 0;
  for (; text->n > 0 && (text->p[0] == '.' || mg_is_digit(text->p[0])); *text = mg_str_from(*text, 1)) {
    int digit = text->p[0] - '0';
    if (text->p[0] == '.') {
      dots++;
      continue;
    }
    digits++;
    if (dots == 0) whole = whole > ns_max ? whole : whole * 10 + digit;
    else if (scale < 1000) part = part * 10 + digit, scale *= 10;
  }
  int64_t unit = take_unit(text);
  if (digits == 0 || dots > 1 || unit == 0) return false;
  *ns += (whole > ns_max / unit ? ns_max : whole * unit) + unit / scale * part;
  return true;
}

bool mg_duration_parse(mg_str text, int64_t max_ms, int64_t *ret_ms) {
  const int64_t most = INT64_C(1000) * 1000 * max_ms;
  int64_t ns = 0;
  if (text.n == 0 || text.n > 32) return false;
  while (text.n > 0) {
    if (!take_part(&text, 2 * most, &ns)) return false;
    if (ns > most) ns = most;
  }
  *ret_ms = ns / (1000 * 1000);
  return true;
}
