/* Quantities, one a line, against a slow oracle: the value as a fraction of two big numbers. test/fuzz/quantity.sh holds what the
 * fuzzer found interesting against the real library, too. */
#include <openssl/bn.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kube/quantity.h"

#define LINES_MAX 8

/* nano = ceil(|mantissa| * scale), scale = 10^ten * 2^two * 10^9 */
struct exact {
  BIGNUM *up, *down;
  bool negative, binary, exponent;
};

static BN_CTX *work(void) {
  static BN_CTX *ctx;
  if (!ctx) ctx = BN_CTX_new();
  return ctx;
}

static void times_power(BIGNUM *n, unsigned base, unsigned long power) {
  BIGNUM *b = BN_new(), *p = BN_new();
  FUZZ_CHECK(b && p && BN_set_word(b, base) && BN_set_word(p, power) && BN_exp(b, b, p, work()) && BN_mul(n, n, b, work()), "bn");
  BN_free(b);
  BN_free(p);
}

/* The suffix as powers of ten and of two; false: none. Exponents of ten above 999 have no oracle: *ret_far. */
static bool suffix_of(const char *s, long *ret_ten, long *ret_two, struct exact *to, bool *ret_far) {
  static const char decimal[] = "num kMGTPE", binary[] = "KMGTPE";
  size_t n = strlen(s);
  *ret_ten = *ret_two = 0;
  if (n == 0) return true;
  const char *at = n == 1 && *s != ' ' ? strchr(decimal, *s) : NULL;
  if (at) {
    *ret_ten = 3 * (at - decimal) - 9;
    return true;
  }
  if (n == 2 && s[1] == 'i' && (at = strchr(binary, *s))) {
    *ret_two = 10 * (at - binary + 1);
    return to->binary = true;
  }
  to->exponent = true;
  if (*s != 'e' && *s != 'E') return false;
  const char *digits = s + 1 + (s[1] == '-' || s[1] == '+');
  size_t count = strspn(digits, "0123456789");
  if (!count || digits[count]) return false;
  *ret_ten = (s[1] == '-' ? -1 : 1) * strtol(digits, NULL, 10);
  *ret_far = strspn(digits, "0") + 3 < count;
  return true;
}

/* False: no quantity. */
static bool read_exact(const char *s, struct exact *to, bool *ret_far) {
  char digits[300];
  size_t n = 0, fraction;
  long ten, two;
  *ret_far = false;
  if (*s == '-' || *s == '+') to->negative = *s++ == '-';
  size_t whole = strspn(s, "0123456789");
  memcpy(digits, s, whole);
  n = whole;
  s += whole;
  fraction = 0;
  if (*s == '.') {
    fraction = strspn(++s, "0123456789");
    memcpy(digits + n, s, fraction);
    n += fraction;
    s += fraction;
  }
  if (!suffix_of(s, &ten, &two, to, ret_far)) return false;
  if (n == 0) *ret_far = true; /* Go takes some of these and not others; a table in the unit tests says which */
  digits[n] = '\0';
  if (*ret_far) return true;
  BN_dec2bn(&to->up, n ? digits : "0");
  BN_set_word(to->down, 1);
  times_power(ten < 0 ? to->down : to->up, 10, (unsigned long)labs(ten));
  times_power(to->down, 10, fraction);
  times_power(to->up, 2, (unsigned long)two);
  times_power(to->up, 10, 9);
  return true;
}

/* up / down in whole nanos, away from zero; a binary one is at most 2^63 - 1. */
static void round_up(struct exact *e) {
  BIGNUM *rest = BN_new(), *cap = BN_new();
  BN_div(e->up, rest, e->up, e->down, work());
  if (!BN_is_zero(rest)) BN_add_word(e->up, 1);
  BN_dec2bn(&cap, "9223372036854775807000000000");
  if (e->binary && BN_cmp(e->up, cap) > 0) BN_copy(e->up, cap);
  BN_free(rest);
  BN_free(cap);
}

static void decimal_of(mg_nano value, char to[44]) {
  char text[44];
  size_t at = sizeof text - 1;
  mg_nano rest = value < 0 ? -value : value;
  text[at] = '\0';
  do text[--at] = (char)('0' + (int)(rest % 10));
  while ((rest /= 10));
  if (value < 0) text[--at] = '-';
  memcpy(to, text + at, sizeof text - at);
}

static void check_value(const char *line, const struct mg_quantity *q, struct exact *e) {
  char ours[44];
  decimal_of(q->nano, ours);
  if (e->negative) BN_set_negative(e->up, 1);
  char *theirs = BN_bn2dec(e->up);
  FUZZ_CHECK(strcmp(theirs, ours) == 0, "<%s> is %s nano, read as %s", line, theirs, ours);
  OPENSSL_free(theirs);
}

static bool is_over(const struct exact *e) {
  BIGNUM *limit = NULL;
  BN_dec2bn(&limit, "100000000000000000000000000000000000000");
  bool over = BN_cmp(e->up, limit) > 0;
  BN_free(limit);
  return over;
}

/* White space is a matter of its own. */
static bool is_spaced(mg_str line) {
  for (size_t i = 0; i < line.n; i++)
    if (line.p[i] == ' ' || (signed char)line.p[i] <= 0) return true;
  return false;
}

static bool check_line(mg_str line, struct mg_quantity *ret) {
  char text[300];
  struct exact e = {BN_new(), BN_new(), false, false, false};
  bool far;
  char *exact = fuzz_exact(line);
  int code = mg_quantity_parse((mg_str){exact, line.n}, ret, NULL);
  free(exact);
  if (line.n < 256 && !is_spaced(line)) {
    memcpy(text, line.p, line.n);
    text[line.n] = '\0';
    bool good = line.n && read_exact(text, &e, &far);
    if (good && !far) round_up(&e);
    int expected = !good ? MG_E_SYNTAX : !far && is_over(&e) ? MG_E_LIMIT : 0;
    FUZZ_CHECK((good && far) || code == expected, "<%s>: %d instead of %d", text, code, expected);
    if (good && !far && code == 0) check_value(text, ret, &e);
  }
  BN_free(e.up);
  BN_free(e.down);
  return code == 0;
}

/* Its canonical text is the same quantity, and canonical. A sum may be too large to be read with a binary suffix. */
static void check_text(struct mg_quantity q) {
  mg_nano most = (mg_nano)INT64_MAX * 1000000000;
  char text[MG_QUANTITY_TEXT], more[MG_QUANTITY_TEXT];
  struct mg_quantity again;
  mg_str s = mg_quantity_text(q, text);
  if (q.format == MG_BINARY_SI && (q.nano > most || q.nano < -most)) return;
  FUZZ_CHECK(mg_quantity_parse(s, &again, NULL) == 0 && again.nano == q.nano, "written as <%.*s>", MG_FMT(s));
  mg_str second = mg_quantity_text(again, more);
  FUZZ_CHECK(mg_str_eq(s, second) || again.format != q.format, "<%.*s> and then <%.*s>", MG_FMT(s), MG_FMT(second));
}

static void check_pair(struct mg_quantity a, struct mg_quantity b) {
  struct mg_quantity sum = mg_quantity_add(a, b), less = mg_quantity_sub(a, b);
  check_text(sum);
  check_text(less);
  check_text(mg_quantity_times(a, (int64_t)(b.nano % 1000000)));
  FUZZ_CHECK(sum.nano == mg_quantity_add(b, a).nano, "a sum depends on the order");
  FUZZ_CHECK(less.nano == -mg_quantity_sub(b, a).nano, "a difference depends on the order");
  FUZZ_CHECK((mg_quantity_cmp(a, b) > 0) == (less.nano > 0), "more, and the difference says otherwise");
  FUZZ_CHECK(mg_quantity_cmp(a, b) != 0 || mg_quantity_value(a) == mg_quantity_value(b), "the same, of another value");
  FUZZ_CHECK(mg_quantity_cmp(a, b) <= 0 || mg_quantity_value(a) >= mg_quantity_value(b), "more, of less value");
}

/* "TEXT<tab>NANO CANONICAL", "TEXT<tab>error", or "TEXT<tab>far", whose value has too many digits to be written down. Of 10^21
 * and more the library loses the suffix when it writes them. */
static void check_row(mg_str row) {
  struct mg_quantity q;
  mg_str text = {row.p, mg_str_find(row, '\t')}, said = mg_str_from(row, text.n + 1);
  char ours[44 + 1 + MG_QUANTITY_TEXT] = "", canonical[MG_QUANTITY_TEXT];
  int code = mg_quantity_parse(text, &q, NULL);
  if (code == 0) {
    mg_str s = mg_quantity_text(q, canonical);
    decimal_of(q.nano, ours);
    size_t n = strlen(ours);
    snprintf(ours + n, sizeof ours - n, " %.*s", MG_FMT(s));
  }
  size_t digits = mg_str_find(said, ' ');
  size_t exponent = mg_str_find(text, text.n && memchr(text.p, 'e', text.n) ? 'e' : 'E');
  if (code == MG_E_LIMIT && text.n - exponent > 10) return; /* the library cuts exponents to 32 bits, and may then take them */
  bool large = mg_str_is(said, "far") || (digits < said.n && digits >= 39); /* ours ends at 10^38 nano */
  if (digits > 30 && code == 0) ours[strcspn(ours, " ")] = '\0', said.n = digits;
  bool same = code == MG_E_LIMIT ? large : code ? mg_str_is(said, "error") : mg_str_is(said, ours);
  FUZZ_CHECK(same, "<%.*s> is %s (%d), and to the library %.*s", MG_FMT(text), ours, code, MG_FMT(said));
}

static int check_table(mg_str rest) {
  size_t rows = 0;
  for (; rest.n; rows++) {
    mg_str row = {rest.p, mg_str_find(rest, '\n')};
    rest = mg_str_from(rest, row.n + 1);
    check_row(row);
  }
  printf("# note: %zu quantities as the library has them\n", rows);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str rest = {(const char *)data, size};
  struct mg_quantity q[LINES_MAX];
  size_t count = 0;
  if (getenv("QUANTITY_TABLE")) return check_table(rest); /* the file is such a table */
  for (int lines = 0; lines < LINES_MAX && rest.n; lines++) {
    mg_str line = {rest.p, mg_str_find(rest, '\n')};
    rest = mg_str_from(rest, line.n + 1);
    if (!check_line(line, &q[count])) continue;
    check_text(q[count]);
    (void)mg_quantity_keeps(line);
    for (size_t i = 0; i <= count; i++) check_pair(q[i], q[count]);
    count++;
  }
  return 0;
}
