/* PATTERN, a line %%, VALUE: a glob against an oracle that goes through all that could be; a regular expression must end. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kube/pattern.h"

#define POINTS 64


/* Bytes that are no UTF-8 are characters of their own. */
static size_t points_of(mg_str s, uint32_t to[POINTS]) {
  size_t n = 0, i = 0;
  while (i < s.n && n < POINTS) {
    unsigned char c = (unsigned char)s.p[i];
    size_t length = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    uint32_t code = length == 1 ? c : length ? c & (0x7Fu >> length) : 0;
    bool good = length > 0 && i + length <= s.n;
    for (size_t k = 1; good && k < length; k++) {
      good = ((unsigned char)s.p[i + k] & 0xC0) == 0x80;
      code = code << 6 | ((unsigned char)s.p[i + k] & 0x3Fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    good = good && code >= least[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    to[n++] = good ? code : c | UINT32_C(1) << 31;
    i += good ? length : 1;
  }
  return i == s.n ? n : SIZE_MAX;
}

/* Index behind the class that begins at i, or 0. */
static size_t class_end(const uint32_t *glob, size_t n, size_t i) {
  size_t at = i + 1;
  if (at < n && (glob[at] == '!' || glob[at] == '^')) at++;
  if (at < n && glob[at] == ']') at++;
  while (at < n && glob[at] != ']') at++;
  return at < n ? at + 1 : 0;
}

static bool in_class(const uint32_t *glob, size_t i, size_t end, uint32_t c) {
  size_t at = i + 1;
  bool negated = glob[at] == '!' || glob[at] == '^', in = false;
  if (negated) at++;
  while (at < end - 1) {
    bool range = at + 2 < end - 1 && glob[at + 1] == '-';
    in |= range ? glob[at] <= c && c <= glob[at + 2] : glob[at] == c;
    at += range ? 3 : 1;
  }
  return in != negated;
}

/* reach[k]: the glob so far can take the first k characters. */
static bool oracle(const uint32_t *glob, size_t n, const uint32_t *value, size_t m) {
  bool reach[POINTS + 1] = {true};
  for (size_t i = 0; i < n;) {
    bool next[POINTS + 1] = {false}, star = glob[i] == '*';
    size_t end = glob[i] == '[' ? class_end(glob, n, i) : i + 1;
    for (size_t k = 0; k <= m; k++) {
      if (star) next[k] = reach[k] || (k > 0 && next[k - 1]);
      else if (k > 0 && reach[k - 1])
        next[k] = glob[i] == '?' || (glob[i] == '[' ? in_class(glob, i, end, value[k - 1]) : glob[i] == value[k - 1]);
    }
    memcpy(reach, next, sizeof reach);
    i = end;
  }
  return reach[m];
}

static void check_prefix(const struct mg_pattern *pattern, mg_str value, int matches) {
  bool whole;
  mg_str prefix = mg_pattern_prefix(pattern, &whole);
  FUZZ_CHECK(matches <= 0 || mg_str_starts(value, prefix), "matches what does not begin as every match does");
  FUZZ_CHECK(!whole || (matches == 1) == mg_str_eq(value, prefix), "a pattern without special characters");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str value = {(const char *)data, size}, text = fuzz_part(&value);
  struct mg_pattern *pattern = NULL;
  struct mg_err err = {0};
  uint32_t glob[POINTS], points[POINTS];
  int code = mg_pattern_compile(text, fuzz_arena(0), &pattern, &err);
  if (code < 0) {
    FUZZ_CHECK(err.offset <= text.n && err.text[0], "an error at %zu of %zu", err.offset, text.n);
    return 0;
  }
  FUZZ_CHECK(mg_str_eq(mg_pattern_text(pattern), text), "another text");
  int matches = mg_pattern_match(pattern, value);
  FUZZ_CHECK(matches == 0 || matches == 1 || matches == MG_E_LIMIT, "matches: %d", matches);
  check_prefix(pattern, value, matches);
  size_t n = points_of(text, glob), m = points_of(value, points);
  bool regex = text.n > 1 && text.p[0] == '/' && text.p[text.n - 1] == '/';
  if (!regex && n != SIZE_MAX && m != SIZE_MAX)
    FUZZ_CHECK(matches == oracle(glob, n, points, m), "<%.*s> and <%.*s>: %d", MG_FMT(text), MG_FMT(value), matches);
  mg_pattern_free(pattern);
  return 0;
}
