#include "doc/yaml_scalar.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "base/utf8.h"

struct word {
  const char *word;
  enum mg_kind kind;
  const char *text;
  bool bare; /* a boolean in YAML 1.1 only */
};

static const struct word words[] = {
  {"", MG_NULL, NULL, false},         {"~", MG_NULL, NULL, false},        {"null", MG_NULL, NULL, false},
  {"Null", MG_NULL, NULL, false},     {"NULL", MG_NULL, NULL, false},     {"true", MG_BOOL, "true", false},
  {"True", MG_BOOL, "true", false},   {"TRUE", MG_BOOL, "true", false},   {"false", MG_BOOL, "false", false},
  {"False", MG_BOOL, "false", false}, {"FALSE", MG_BOOL, "false", false}, {"y", MG_BOOL, "true", true},
  {"Y", MG_BOOL, "true", true},       {"yes", MG_BOOL, "true", true},     {"Yes", MG_BOOL, "true", true},
  {"YES", MG_BOOL, "true", true},     {"on", MG_BOOL, "true", true},      {"On", MG_BOOL, "true", true},
  {"ON", MG_BOOL, "true", true},      {"n", MG_BOOL, "false", true},      {"N", MG_BOOL, "false", true},
  {"no", MG_BOOL, "false", true},     {"No", MG_BOOL, "false", true},     {"NO", MG_BOOL, "false", true},
  {"off", MG_BOOL, "false", true},    {"Off", MG_BOOL, "false", true},    {"OFF", MG_BOOL, "false", true},
};
#define WORD_MAX 5 /* "false" */
#define SHOWN_MAX 60 /* bytes of a value in a message */

static const struct {
  const char *word, *key;
} not_finite[] = {
  {".inf", ".inf"},   {".Inf", ".inf"},   {".INF", ".inf"},   {"+.inf", ".inf"},  {"+.Inf", ".inf"}, {"+.INF", ".inf"},
  {"-.inf", "-.inf"}, {"-.Inf", "-.inf"}, {"-.INF", "-.inf"}, {".nan", ".nan"},   {".NaN", ".nan"},  {".NAN", ".nan"},
};

/* What a tag of YAML's own asks for; every other tag makes a string of its scalar. */
enum want { WANT_ANY, WANT_STRING, WANT_BINARY, WANT_NULL, WANT_BOOL, WANT_INT, WANT_FLOAT, WANT_TIME };

static const struct {
  const char *name;
  enum want want;
} tags[] = {
  {"str", WANT_STRING}, {"binary", WANT_BINARY}, {"null", WANT_NULL},      {"bool", WANT_BOOL},
  {"int", WANT_INT},    {"float", WANT_FLOAT},   {"timestamp", WANT_TIME},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define YAML_ORG MG_S("tag:yaml.org,2002:")

static enum want want_of(const char *tag, bool implicit) {
  if (!tag || !*tag) return implicit ? WANT_ANY : WANT_STRING;
  mg_str s = mg_str_of(tag);
  if (!mg_str_starts(s, YAML_ORG)) return WANT_STRING;
  for (size_t i = 0; i < COUNT(tags); i++)
    if (mg_str_is(mg_str_from(s, YAML_ORG.n), tags[i].name)) return tags[i].want;
  return WANT_STRING;
}

static const struct word *find_word(mg_str s) {
  if (s.n > WORD_MAX) return NULL;
  for (size_t i = 0; i < COUNT(words); i++)
    if (mg_str_is(s, words[i].word)) return &words[i];
  return NULL;
}

bool mg_yaml_is_bare_word(mg_str s) {
  const struct word *word = find_word(s);
  return word && word->bare;
}

static unsigned digit_value(char c) {
  if (mg_is_digit(c)) return (unsigned)(c - '0');
  char lower = (char)(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a' + 10) : 16;
}

static bool digits(mg_str s, unsigned base, uint64_t *ret) {
  uint64_t value = 0;
  for (size_t i = 0; i < s.n; i++) {
    unsigned digit = digit_value(s.p[i]);
    if (digit >= base || __builtin_mul_overflow(value, base, &value)) return false;
    if (__builtin_add_overflow(value, digit, &value)) return false;
  }
  *ret = value;
  return true;
}

/* Takes a prefix that names the base; a leading 0 is octal. */
static unsigned base_of(mg_str *s) {
  static const struct {
    char letter;
    unsigned base;
  } prefixes[] = {{'b', 2}, {'o', 8}, {'x', 16}};
  if (s->n == 0 || s->p[0] != '0') return 10;
  for (size_t i = 0; s->n >= 3 && i < COUNT(prefixes); i++)
    if ((s->p[1] | 0x20) == prefixes[i].letter) return *s = mg_str_from(*s, 2), prefixes[i].base;
  *s = mg_str_from(*s, 1);
  return 8;
}

/* Whole numbers as Go's ParseInt and then ParseUint take them: a sign only within int64. */
static bool parse_whole(mg_str s, bool *minus, uint64_t *ret) {
  bool sign = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
  *minus = sign && s.p[0] == '-';
  s = mg_str_from(s, sign);
  if (s.n == 0) return false;
  unsigned base = base_of(&s);
  if (digits(s, base, ret)) return !sign || *ret <= (uint64_t)INT64_MAX + *minus;
  /* go-yaml reads what stands behind 0b once more, and then takes a sign there. */
  if (base != 2 || sign || s.n < 2 || (s.p[0] != '-' && s.p[0] != '+')) return false;
  *minus = s.p[0] == '-';
  return digits(mg_str_from(s, 1), 2, ret) && *ret <= (uint64_t)INT64_MAX + *minus;
}

static size_t skip_digits(mg_str s, size_t at) {
  while (at < s.n && mg_is_digit(s.p[at])) at++;
  return at;
}

/* [-+]? ( .digits | digits [ . [digits] ] ) ( [eE] [-+]? digits )? */
static bool is_float(mg_str s) {
  size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
  size_t end = skip_digits(s, at), whole = end - at;
  if (end < s.n && s.p[end] == '.') {
    at = end + 1;
    end = skip_digits(s, at);
    if (whole == 0 && end == at) return false;
  } else if (whole == 0) {
    return false;
  }
  if (end == s.n) return true;
  if ((s.p[end] | 0x20) != 'e') return false;
  at = end + 1;
  at += at < s.n && (s.p[at] == '-' || s.p[at] == '+');
  end = skip_digits(s, at);
  return end > at && end == s.n;
}

/* The fewest digits that read back as the same number; the wanted form tells float32 from float64. */
struct decimal {
  bool minus;
  char digits[20];
  int count;
  int exponent; /* d.ddd × 10^exponent */
};

static bool reads_back(const char *text, double number, bool single) {
  return single ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number;
}

static void shortest(double number, bool single, struct decimal *ret) {
  char text[40];
  int precision = single ? 5 : 14, most = single ? 8 : 16;
  if (fabs(number) < (single ? (double)FLT_MIN : DBL_MIN)) precision = 0; /* subnormal: fewer digits are certain */
  do snprintf(text, sizeof(text), "%.*e", precision, number);
  while (precision++ < most && !reads_back(text, number, single));
  char *e = strchr(text, 'e'), *p = text;
  ret->exponent = (int)strtol(e + 1, NULL, 10);
  ret->minus = *p == '-';
  ret->count = 0;
  for (; p < e; p++)
    if (mg_is_digit(*p) && ret->count < (int)sizeof(ret->digits)) ret->digits[ret->count++] = *p;
  while (ret->count > 1 && ret->digits[ret->count - 1] == '0') ret->count--;
}

static size_t put_digits(char *to, size_t n, const char *from, int count) {
  for (int i = 0; i < count; i++) to[n++] = from[i];
  return n;
}

static size_t put_zeros(char *to, size_t n, int count) {
  for (int i = 0; i < count; i++) to[n++] = '0';
  return n;
}

static size_t format_plain(char *to, const struct decimal *d) {
  int whole = d->exponent + 1, count = d->count;
  size_t n = put_digits(to, 0, "-", d->minus);
  if (whole <= 0) {
    n = put_digits(to, n, "0.", 2);
    n = put_zeros(to, n, -whole);
    return put_digits(to, n, d->digits, count);
  }
  n = put_digits(to, n, d->digits, count < whole ? count : whole);
  if (count <= whole) return put_zeros(to, n, whole - count);
  n = put_digits(to, n, ".", 1);
  return put_digits(to, n, d->digits + whole, count - whole);
}

static size_t format_exponent(char *to, size_t room, const struct decimal *d, int exponent_digits) {
  size_t n = put_digits(to, 0, "-", d->minus);
  n = put_digits(to, n, d->digits, 1);
  n = put_digits(to, n, ".", d->count > 1);
  n = put_digits(to, n, d->digits + 1, d->count - 1);
  int more = snprintf(to + n, room - n, "e%c%0*d", d->exponent < 0 ? '-' : '+', exponent_digits, abs(d->exponent));
  return n + (size_t)more;
}

/* As encoding/json writes a float64. */
static mg_str json_number(struct mg_arena *arena, double number) {
  char text[64];
  struct decimal d = {0};
  shortest(number, false, &d);
  bool plain = number == 0 || (fabs(number) >= 1e-6 && fabs(number) < 1e21);
  size_t n = plain ? format_plain(text, &d) : format_exponent(text, sizeof(text), &d, 1);
  return mg_arena_dup(arena, (mg_str){text, n});
}

/* As strconv.FormatFloat(number, 'g', -1, 32) writes it, single precision and all. */
static mg_str key_number(struct mg_arena *arena, double number) {
  char text[64];
  struct decimal d = {0};
  if (fabs(number) > 0x1.fffffefffffffp127) return number < 0 ? MG_S("-.inf") : MG_S(".inf");
  shortest((double)(float)number, true, &d);
  bool plain = d.exponent >= -4 && d.exponent < 6;
  size_t n = plain ? format_plain(text, &d) : format_exponent(text, sizeof(text), &d, 2);
  return mg_arena_dup(arena, (mg_str){text, n});
}

/* Up to 15 digits, a point and no zero at the end are already the shortest form; most floats are written so. */
static bool is_shortest(mg_str s) {
  size_t point = mg_str_find(s, '.'), from = s.p[0] == '-';
  if (point == s.n || point <= from || s.n > 16 || s.p[s.n - 1] == '0' || s.p[s.n - 1] == '.') return false;
  if (skip_digits(s, from) != point || skip_digits(s, point + 1) != s.n) return false;
  if (s.p[from] != '0') return true;
  /* Far enough from 1e-6 that the exponent form does not begin. */
  return point == from + 1 && s.n <= point + 6;
}

static int set_float(struct mg_arena *arena, mg_str value, double number, struct mg_yaml_scalar *ret) {
  *ret = (struct mg_yaml_scalar){.kind = MG_NUMBER, .real = true, .number = number};
  ret->text = value.n && is_shortest(value) ? value : json_number(arena, number);
  return ret->text.p ? 0 : MG_E_NOMEM;
}

static bool is_json_whole(mg_str s) {
  size_t from = s.p[0] == '-';
  return skip_digits(s, from) == s.n && s.n > from && (s.p[from] != '0' || (s.n == 1 && !from));
}

static int set_whole(struct mg_arena *arena, mg_str value, bool minus, uint64_t magnitude, struct mg_yaml_scalar *ret) {
  *ret = (struct mg_yaml_scalar){.kind = MG_NUMBER, .no_key = !minus && magnitude > INT64_MAX, .number = (double)magnitude};
  if (minus) ret->number = -ret->number;
  const char *sign = minus && magnitude ? "-" : "";
  ret->text = is_json_whole(value) ? value : mg_arena_printf(arena, "%s%llu", sign, (unsigned long long)magnitude);
  return ret->text.p ? 0 : MG_E_NOMEM;
}

/* In a float that begins with a point Go wants underscores between digits; elsewhere go-yaml drops them all. */
static bool underscores_fit(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] == '_' && (i == 0 || i + 1 == s.n || !mg_is_digit(s.p[i - 1]) || !mg_is_digit(s.p[i + 1]))) return false;
  return true;
}

static mg_str without_underscores(struct mg_arena *arena, mg_str s) {
  if (mg_str_find(s, '_') == s.n) return s;
  char *p = mg_arena_alloc(arena, s.n + 1);
  size_t n = 0;
  for (size_t i = 0; p && i < s.n; i++)
    if (s.p[i] != '_') p[n++] = s.p[i];
  if (p) p[n] = '\0';
  return (mg_str){p, n};
}

/* 1 where `value` is a number, 0 where it is none. */
static int resolve_number(struct mg_arena *arena, mg_str value, struct mg_yaml_scalar *ret) {
  bool minus;
  uint64_t magnitude = 0;
  for (size_t i = 0; i < COUNT(not_finite); i++)
    if (mg_str_is(value, not_finite[i].word)) {
      *ret = (struct mg_yaml_scalar){.kind = MG_NUMBER, .real = true, .no_value = true, .text = mg_str_of(not_finite[i].key)};
      return 1;
    }
  bool point = value.p[0] == '.';
  if (point && !underscores_fit(value)) return 0;
  mg_str plain = without_underscores(arena, value);
  if (!plain.p) return MG_E_NOMEM;
  if (!point && parse_whole(plain, &minus, &magnitude)) return set_whole(arena, plain, minus, magnitude, ret) ?: 1;
  if (!is_float(plain)) return 0;
  double number = strtod(plain.p, NULL);
  if (!isfinite(number)) return 0;
  return set_float(arena, plain, number, ret) ?: 1;
}

static int resolve_plain(struct mg_arena *arena, mg_str value, struct mg_yaml_scalar *ret) {
  const struct word *word = find_word(value);
  if (word) {
    *ret = (struct mg_yaml_scalar){.kind = word->kind, .text = mg_str_of(word->text), .no_key = word->kind == MG_NULL};
    return 0;
  }
  *ret = (struct mg_yaml_scalar){.kind = MG_STRING, .text = value};
  char c = value.p[0];
  if (!mg_is_digit(c) && c != '-' && c != '+' && c != '.') return 0;
  int code = resolve_number(arena, value, ret);
  if (code == 0) *ret = (struct mg_yaml_scalar){.kind = MG_STRING, .text = value};
  return code < 0 ? code : 0;
}

static int base64_value(char c) {
  if (mg_is_digit(c)) return c - '0' + 52;
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes padded base64 with line breaks in it; false if it is not. */
static bool decode_base64(mg_str s, char *to, size_t *ret_n) {
  uint32_t bits = 0;
  size_t count = 0, pads = 0, n = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] == '\n' || s.p[i] == '\r') continue;
    int value = base64_value(s.p[i]);
    if (s.p[i] == '=' && count % 4 >= 2) value = 0, pads++;
    else if (pads) return false;
    if (value < 0) return false;
    bits = bits << 6 | (uint32_t)value;
    if (++count % 4) continue;
    for (int shift = 16; shift >= 0; shift -= 8) to[n++] = (char)(bits >> shift & 0xFF);
  }
  *ret_n = n - pads;
  return count % 4 == 0 && pads <= 2;
}

/* Bytes that are no UTF-8 become U+FFFD, as in the JSON that Go would write. */
static int resolve_binary(struct mg_arena *arena, mg_str value, struct mg_yaml_scalar *ret, struct mg_err *err) {
  size_t n;
  char *bytes = mg_arena_alloc(arena, value.n + 3);
  if (!bytes) return mg_err_nomem(err);
  if (!decode_base64(value, bytes, &n)) return mg_err_set(err, MG_E_INVALID, "!!binary value is not valid base64");
  struct mg_buf text;
  mg_buf_init(&text, arena, MG_DOC_MAX_BYTES);
  for (size_t i = 0, step; i < n; i += step ? step : 1) {
    step = mg_utf8_len(bytes + i, bytes + n);
    mg_buf_put(&text, step ? (mg_str){bytes + i, step} : MG_S("\xEF\xBF\xBD"));
  }
  if (text.failed) return mg_err_nomem(err);
  *ret = (struct mg_yaml_scalar){.kind = MG_STRING, .text = {text.p ? text.p : bytes, text.n}};
  return 0;
}

static bool looks_like_date(mg_str s) {
  return s.n > 4 && skip_digits(s, 0) == 4 && s.p[4] == '-';
}

static bool meets(enum want want, const struct mg_yaml_scalar *s, mg_str value) {
  switch (want) {
  case WANT_NULL: return s->kind == MG_NULL;
  case WANT_BOOL: return s->kind == MG_BOOL;
  case WANT_INT: return s->kind == MG_NUMBER && !s->real;
  case WANT_FLOAT: return s->kind == MG_NUMBER && (s->real || !s->no_key);
  case WANT_TIME: return looks_like_date(value);
  default: return true;
  }
}

int mg_yaml_resolve(struct mg_arena *arena, mg_str value, const char *tag, bool implicit, struct mg_yaml_scalar *ret,
                    struct mg_err *err) {
  enum want want = want_of(tag, implicit);
  *ret = (struct mg_yaml_scalar){.kind = MG_STRING, .text = value};
  if (want == WANT_STRING) return 0;
  if (want == WANT_BINARY) return resolve_binary(arena, value, ret, err);
  if (resolve_plain(arena, value, ret)) return mg_err_nomem(err);
  if (!meets(want, ret, value)) {
    mg_str shown = mg_utf8_first(value, SHOWN_MAX);
    return mg_err_set(err, MG_E_INVALID, "\"%.*s\" is no !!%s", MG_FMT(shown), tag + YAML_ORG.n);
  }
  if (want != WANT_FLOAT || ret->real || !set_float(arena, (mg_str){0}, ret->number, ret)) return 0;
  return mg_err_nomem(err);
}

mg_str mg_yaml_key_text(struct mg_arena *arena, const struct mg_yaml_scalar *scalar) {
  return scalar->real && !scalar->no_value ? key_number(arena, scalar->number) : scalar->text;
}
