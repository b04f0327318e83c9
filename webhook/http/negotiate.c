/* OpenMetrics 1.0 out of text 0.0.4: a counter's family has no `_total`, and the end is marked. */
#include <stdlib.h>
#include <strings.h>

#include "base/ascii.h"
#include "http/metrics.h"

#define WHOLE 1000 /* of a weight */

static mg_str trim(mg_str s) {
  while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
    s = mg_str_from(s, 1);
  }
  while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
    s.n--;
  }
  return s;
}

/* The text before the byte; *rest goes on behind it. */
static mg_str cut(mg_str *rest, char byte) {
  mg_str first = {rest->p, mg_str_find(*rest, byte)};
  *rest = mg_str_from(*rest, first.n + 1);
  return trim(first);
}

static bool same(mg_str s, const char *word) {
  return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* "1", "0.75"; what is no weight is none. */
static int weight(mg_str s) {
  int sum = s.n > 0 && s.p[0] == '1' ? WHOLE : 0, of = WHOLE / 10;
  for (size_t i = 2; i < s.n && of > 0 && mg_is_digit(s.p[i]); i++, of /= 10) {
    sum += of * (s.p[i] - '0');
  }
  return sum < WHOLE ? sum : WHOLE;
}

/* How much the header wants that type, in a version that we have. */
static int wanted(mg_str accept, const char *type, const char *version) {
  int most = 0;
  while (accept.n > 0) {
    mg_str item = cut(&accept, ',');
    bool good = same(cut(&item, ';'), type);
    int q = WHOLE;
    while (item.n > 0) {
      mg_str value = cut(&item, ';'), name = cut(&value, '=');
      value = trim(value);
      good = good && (!same(name, "version") || same(value, version));
      q = same(name, "q") ? weight(value) : q;
    }
    most = good && q > most ? q : most;
  }
  return most;
}

/* Only ever makes it shorter, so that it can stay where it is. */
static void drop_suffixes(struct mg_buf *text) {
  static const mg_str suffix = {"_total", 6};
  mg_str rest = mg_buf_str(text);
  size_t n = 0;
  while (rest.n > 0) {
    size_t end = mg_str_find(rest, '\n'), size = end < rest.n ? end + 1 : end;
    mg_str line = {rest.p, size};
    rest = mg_str_from(rest, size);
    bool head = mg_str_starts(line, MG_S("# HELP ")) || mg_str_starts(line, MG_S("# TYPE "));
    size_t name = head ? 7 + mg_str_find(mg_str_from(line, 7), ' ') : 0;
    size_t kept = head && mg_str_ends((mg_str){line.p, name}, suffix) ? name - suffix.n : name;
    memmove(text->p + n, line.p, kept);
    memmove(text->p + n + kept, line.p + name, size - name);
    n += kept + size - name;
  }
  text->n = n;
}

const char *mg_metrics_negotiate(mg_str accept, struct mg_buf *text) {
  int open = wanted(accept, "application/openmetrics-text", "1.0.0");
  if (open == 0 || open < wanted(accept, "text/plain", "0.0.4") || text->failed) {
    return MG_METRICS_TEXT;
  }
  drop_suffixes(text);
  mg_buf_lit(text, "# EOF\n");
  return MG_METRICS_OPEN;
}
