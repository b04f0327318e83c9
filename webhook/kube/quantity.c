#include "kube/quantity.h"

#include "base/ascii.h"
#include "base/utf8.h"

#define TEXT_MAX 256 /* bytes of input, white space included */
#define SHOWN 64     /* bytes of it in a message */

#define NANO ((mg_nano)1000000000)
#define NANO_DIGITS 9
#define LIMIT_DIGITS 38 /* the limit of 10^29, in nano, is 10^38 */
#define NARROW_DIGITS 18 /* fit into 64 bits, where a step costs a third */
#define LIMIT ((mg_nano)10000000000000000000u * (mg_nano)10000000000000000000u)
#define BINARY_CAP ((mg_nano)INT64_MAX * NANO)

struct suffix {
  char text[3];
  int16_t exponent; /* of 10, or of 2 */
};

/* In ascending order: canonical text takes the last one that loses nothing. */
static const struct suffix decimal_suffixes[] = {
    {"n", -9}, {"u", -6}, {"m", -3}, {"", 0}, {"k", 3}, {"M", 6}, {"G", 9}, {"T", 12}, {"P", 15}, {"E", 18}};
static const struct suffix binary_suffixes[] = {{"Ki", 10}, {"Mi", 20}, {"Gi", 30}, {"Ti", 40}, {"Pi", 50}, {"Ei", 60}};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The text in its parts: [sign] whole [. fraction] suffix. */
struct parts {
  bool negative, digits; /* digits: there is at least one */
  mg_str whole, fraction;
  enum mg_quantity_format format;
  int32_t exponent;
};

static const struct suffix *find_suffix(const struct suffix *table, size_t count, mg_str text) {
  char wanted[3] = "";
  if (text.n >= sizeof wanted) return NULL;
  for (size_t i = 0; i < text.n; i++) wanted[i] = text.p[i] ? text.p[i] : ' ';
  for (size_t i = 0; i < count; i++)
    if (memcmp(wanted, table[i].text, sizeof wanted) == 0) return &table[i];
  return NULL;
}

/* Bytes of white space that stand at one side, 0 for none. Go trims the raw bytes of the JSON string, where a tab or newline is
 * still an escape, which it does not decode there and refuses; a decoded one is therefore no white space here. */
static size_t space_at(mg_str s, bool (*side)(mg_str s, mg_str part)) {
  static const char *const spaces[] = {
      " ",      "\xC2\x85", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005",
      "\u2006", "\u2007", "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000",
  };
  for (size_t i = 0; i < COUNT(spaces); i++)
    if (side(s, mg_str_of(spaces[i]))) return strlen(spaces[i]);
  return 0;
}

static mg_str trim(mg_str s) {
  size_t n;
  if (s.n && (signed char)s.p[0] > ' ' && (signed char)s.p[s.n - 1] > ' ') return s; /* most are: ASCII at both ends, no space */
  while ((n = space_at(s, mg_str_starts)) > 0) s = (mg_str){s.p + n, s.n - n};
  while ((n = space_at(s, mg_str_ends)) > 0) s.n -= n;
  return s;
}

static mg_str take_digits(mg_str *rest) {
  size_t n = 0;
  while (n < rest->n && mg_is_digit(rest->p[n])) n++;
  mg_str digits = {rest->p, n};
  *rest = (mg_str){rest->p + n, rest->n - n};
  return digits;
}

static bool take_byte(mg_str *rest, char byte) {
  if (rest->n == 0 || rest->p[0] != byte) return false;
  *rest = (mg_str){rest->p + 1, rest->n - 1};
  return true;
}

/* What follows the e or E. Go refuses what int64 cannot hold and then cuts to int32; what would be cut is over a limit here. */
static int read_exponent(mg_str text, int32_t *ret) {
  bool negative = take_byte(&text, '-');
  if (!negative) take_byte(&text, '+');
  mg_str digits = take_digits(&text);
  if (digits.n == 0 || text.n != 0) return MG_E_SYNTAX;
  int64_t value = 0;
  for (size_t i = 0; i < digits.n; i++) {
    int digit = digits.p[i] - '0';
    if (value > (INT64_MAX - digit) / 10) return MG_E_SYNTAX;
    value = value * 10 + digit;
  }
  if (value > INT32_MAX) return MG_E_LIMIT;
  *ret = (int32_t)(negative ? -value : value);
  return 0;
}

static int read_suffix(mg_str text, struct parts *parts) {
  const struct suffix *s = find_suffix(decimal_suffixes, COUNT(decimal_suffixes), text);
  parts->format = MG_DECIMAL_SI;
  if (!s) {
    s = find_suffix(binary_suffixes, COUNT(binary_suffixes), text);
    parts->format = MG_BINARY_SI;
  }
  if (s) {
    parts->exponent = s->exponent;
    return 0;
  }
  parts->format = MG_DECIMAL_EXPONENT;
  if (!take_byte(&text, 'e') && !take_byte(&text, 'E')) return MG_E_SYNTAX;
  return read_exponent(text, &parts->exponent);
}

static int split(mg_str text, struct parts *parts) {
  *parts = (struct parts){0};
  if (text.n == 0) return MG_E_SYNTAX;
  parts->negative = take_byte(&text, '-');
  if (!parts->negative) take_byte(&text, '+');
  parts->whole = take_digits(&text);
  if (take_byte(&text, '.')) parts->fraction = take_digits(&text);
  parts->digits = parts->whole.n + parts->fraction.n > 0;
  return read_suffix(text, parts);
}

/* Go takes missing digits for zero only where the value fits the fast path that it would use for "0". */
static bool lacks_digits(const struct parts *parts) {
  if (parts->digits) return false;
  return parts->format == MG_BINARY_SI ? parts->exponent >= 50 : parts->exponent < -NANO_DIGITS;
}

static int digit_at(const struct parts *parts, int64_t i) {
  size_t at = (size_t)i;
  return (at < parts->whole.n ? parts->whole.p[at] : parts->fraction.p[at - parts->whole.n]) - '0';
}

/* Digits of both parts, as one number, times 10^exponent. Work is bounded by the text and LIMIT_DIGITS, never by the exponent. */
static int decimal_value(const struct parts *parts, mg_nano *ret) {
  int64_t count = (int64_t)(parts->whole.n + parts->fraction.n), first = 0;
  while (first < count && digit_at(parts, first) == 0) first++;
  *ret = 0;
  if (first == count) return 0;
  int64_t end = (int64_t)parts->whole.n + parts->exponent + NANO_DIGITS; /* where the digits of whole nanos end */
  if (end - first > LIMIT_DIGITS + 1) return MG_E_LIMIT;
  int64_t narrow = end - first < NARROW_DIGITS ? end : first + NARROW_DIGITS, i = first, low = 0;
  for (; i < narrow; i++) low = low * 10 + (i < count ? digit_at(parts, i) : 0);
  mg_nano value = low;
  for (; i < end; i++) {
    if (value > LIMIT / 10) return MG_E_LIMIT;
    value = value * 10 + (i < count ? digit_at(parts, i) : 0);
  }
  bool rest = false;
  for (i = end > first ? end : first; i < count && !rest; i++) rest = digit_at(parts, i) != 0;
  *ret = value + rest;
  return *ret > LIMIT ? MG_E_LIMIT : 0;
}

/* fraction * scale, rounded up. From the last digit on, each step divides by ten; to floor on the way loses nothing but
 * whether there was a rest. */
static mg_nano scaled_fraction(mg_str fraction, mg_nano scale) {
  mg_nano value = 0;
  bool rest = false;
  for (size_t i = fraction.n; i-- > 0;) {
    value += (fraction.p[i] - '0') * scale;
    rest |= value % 10 != 0;
    value /= 10;
  }
  return value + rest;
}

static mg_nano binary_value(const struct parts *parts) {
  mg_nano units = (mg_nano)1 << parts->exponent;
  int64_t whole = 0;
  for (size_t i = 0; i < parts->whole.n; i++) {
    whole = whole * 10 + (parts->whole.p[i] - '0');
    if (whole > INT64_MAX >> parts->exponent) return BINARY_CAP; /* at least Ki: ten times it has room */
  }
  mg_nano value = whole * units * NANO + scaled_fraction(parts->fraction, units * NANO);
  return value < BINARY_CAP ? value : BINARY_CAP;
}

static int fail(mg_str text, int code, struct mg_err *err) {
  mg_str shown = mg_utf8_first(text, SHOWN);
  const char *more = text.n > SHOWN ? "…" : "";
  if (code == MG_E_LIMIT) return mg_err_set(err, code, "quantity \"%.*s%s\" is out of range, ±10^29", MG_FMT(shown), more);
  return mg_err_set(err, code, "\"%.*s%s\" is not a quantity", MG_FMT(shown), more);
}

int mg_quantity_parse(mg_str text, struct mg_quantity *ret, struct mg_err *err) {
  if (text.n > TEXT_MAX) return mg_err_set(err, MG_E_LIMIT, "a quantity is longer than %d bytes", TEXT_MAX);
  struct parts parts;
  struct mg_quantity q = {0};
  int r = split(trim(text), &parts);
  if (r == 0 && lacks_digits(&parts)) r = MG_E_SYNTAX;
  if (r == 0 && parts.format == MG_BINARY_SI) q.nano = binary_value(&parts);
  if (r == 0 && parts.format != MG_BINARY_SI) r = decimal_value(&parts, &q.nano);
  if (r != 0) return fail(text, r, err);
  /* As Go has it: a fraction of one is never binary, so that a sum with it is not either. */
  q.format = parts.format == MG_BINARY_SI && q.nano > 0 && q.nano < NANO ? MG_DECIMAL_SI : parts.format;
  if (parts.negative) q.nano = -q.nano;
  *ret = q;
  return 0;
}

int mg_quantity_read(mg_node n, struct mg_quantity *ret, struct mg_err *err) {
  if (mg_is(n, MG_STRING) || mg_is(n, MG_NUMBER)) return mg_quantity_parse(mg_text(n), ret, err);
  return mg_err_set(err, MG_E_INVALID, "a quantity must be a string or a number");
}

struct mg_quantity mg_quantity_add(struct mg_quantity a, struct mg_quantity b) {
  struct mg_quantity sum = {.format = a.nano != 0 ? a.format : b.format};
  if (__builtin_add_overflow(a.nano, b.nano, &sum.nano)) sum.nano = a.nano < 0 ? -LIMIT : LIMIT;
  if (sum.nano > LIMIT) sum.nano = LIMIT;
  if (sum.nano < -LIMIT) sum.nano = -LIMIT;
  return sum;
}

struct mg_quantity mg_quantity_sub(struct mg_quantity a, struct mg_quantity b) {
  b.nano = -b.nano;
  return mg_quantity_add(a, b);
}

struct mg_quantity mg_quantity_times(struct mg_quantity q, int64_t n) {
  mg_nano size = q.nano < 0 ? -q.nano : q.nano, times = n < 0 ? -(mg_nano)n : n;
  bool negative = (q.nano < 0) != (n < 0);
  size = times && size > LIMIT / times ? LIMIT : size * times;
  q.nano = negative ? -size : size;
  return q;
}

struct mg_quantity mg_quantity_of(int64_t units, enum mg_quantity_format format) {
  return (struct mg_quantity){.nano = units * NANO, .format = format};
}

int64_t mg_quantity_value(struct mg_quantity q) {
  if (q.nano >= 0 && q.nano <= INT64_MAX) { /* devices are: a division of 128 bits is a call */
    int64_t small = (int64_t)q.nano;
    return small / 1000000000 + (small % 1000000000 > 0);
  }
  mg_nano value = q.nano / NANO, rest = q.nano % NANO;
  value += (rest > 0) - (rest < 0);
  if (value > INT64_MAX) return INT64_MAX;
  return value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

struct out {
  char *p;
  size_t n;
};

static void put(struct out *out, mg_str s) {
  memcpy(out->p + out->n, s.p, s.n);
  out->n += s.n;
}

static void put_number(struct out *out, mg_nano value) {
  char digits[LIMIT_DIGITS + 2];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  put(out, (mg_str){digits + at, sizeof digits - at});
}

static void put_binary(struct out *out, mg_nano nano) {
  mg_nano value = nano / NANO;
  size_t step = 0;
  for (; step < COUNT(binary_suffixes) && value % 1024 == 0; step++) value /= 1024;
  put_number(out, value);
  if (step > 0) put(out, mg_str_of(binary_suffixes[step - 1].text));
}

static void put_decimal(struct out *out, mg_nano value, bool exponential) {
  int exponent = -NANO_DIGITS;
  while (value % 1000 == 0 && (exponential || exponent < 18)) {
    value /= 1000;
    exponent += 3;
  }
  put_number(out, value);
  if (!exponential) {
    put(out, mg_str_of(decimal_suffixes[(exponent + NANO_DIGITS) / 3].text));
  } else if (exponent != 0) {
    put(out, exponent < 0 ? MG_S("e-") : MG_S("e"));
    put_number(out, exponent < 0 ? -exponent : exponent);
  }
}

mg_str mg_quantity_text(struct mg_quantity q, char buf[static MG_QUANTITY_TEXT]) {
  struct out out = {.p = buf};
  mg_nano value = q.nano < 0 ? -q.nano : q.nano;
  if (q.nano < 0) put(&out, MG_S("-"));
  if (value == 0) put(&out, MG_S("0"));
  else if (q.format == MG_BINARY_SI && value >= 1024 * NANO && mg_quantity_whole(q)) put_binary(&out, value);
  else put_decimal(&out, value, q.format == MG_DECIMAL_EXPONENT);
  return (mg_str){buf, out.n};
}

mg_str mg_quantity_print(struct mg_arena *arena, struct mg_quantity q) {
  char text[MG_QUANTITY_TEXT];
  return mg_arena_dup(arena, mg_quantity_text(q, text));
}

/* As its parser decides, whose fast path takes such a text for canonical; quantities of a Pod are then rounded up to thousandths,
 * which makes a finer one forget its text. */
bool mg_quantity_keeps(mg_str text) {
  enum { FAST_DIGITS = 18, FAST_BINARY_DIGITS = 14, MILLI_SCALE = -3 };
  struct parts parts;
  char tail[4] = "";
  int64_t value = 0;
  if (mg_str_is(text, "0")) return true;
  if (split(text, &parts) || !parts.digits) return false;
  while (parts.whole.n && parts.whole.p[0] == '0') parts.whole = mg_str_from(parts.whole, 1);
  int64_t count = (int64_t)(parts.whole.n + parts.fraction.n), scale = parts.exponent - (int64_t)parts.fraction.n;
  if (parts.whole.n == 0 || count > FAST_DIGITS) return false;
  for (int64_t i = 0; i < count; i++) {
    value = value * 10 + digit_at(&parts, i);
    if (i + 3 >= count) tail[i + 3 - count] = (char)('0' + digit_at(&parts, i));
  }
  if (parts.format == MG_BINARY_SI)
    return parts.fraction.n == 0 && count + parts.exponent * 3 / 10 <= FAST_BINARY_DIGITS && value % 8 != 0;
  return scale >= MILLI_SCALE && scale % 3 == 0 && strcmp(tail, "000") != 0;
}
