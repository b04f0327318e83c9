#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "doc/json.h"
#include "kube/quantity.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define NANO ((mg_nano)1000000000)

static struct mg_quantity parse(const char *text) {
  struct mg_quantity q = {0};
  struct mg_err err = {0};
  if (mg_quantity_parse(mg_str_of(text), &q, &err) != 0) fail_msg("%s: %s", text, err.text);
  return q;
}

static void check_text(const char *in, struct mg_quantity q, const char *want) {
  char buf[MG_QUANTITY_TEXT];
  mg_str got = mg_quantity_text(q, buf);
  if (!mg_str_is(got, want)) fail_msg("%s: %.*s, wanted %s", in, MG_FMT(got), want);
}

static void check_fails(const char *in, int want) {
  struct mg_quantity q = {.nano = 7, .format = MG_BINARY_SI};
  struct mg_err err = {0};
  int r = mg_quantity_parse(mg_str_of(in), &q, &err);
  if (r != want || err.code != want || err.text[0] == '\0') fail_msg("\"%s\": %d %s", in, r, err.text);
  assert_true(q.nano == 7 && q.format == MG_BINARY_SI);
}

/* MilliValue: away from zero. */
static int64_t milli(struct mg_quantity q) {
  mg_nano value = q.nano / 1000000, rest = q.nano % 1000000;
  return (int64_t)(value + (rest > 0) - (rest < 0));
}

struct row {
  const char *in, *out;
  int64_t value, milli;
};

/* Text of the form "kept" in Go (the original where its fast path thinks it canonical) is canonical here: see kept_in_go. */
static const struct row rows[] = {
    {"0", "0", 0, 0},
    {"-0", "0", 0, 0},
    {"00", "0", 0, 0},
    {"0.0", "0", 0, 0},
    {"0m", "0", 0, 0},
    {"0Ki", "0", 0, 0},
    {"0e5", "0", 0, 0},
    {"1", "1", 1, 1000},
    {"1.0", "1", 1, 1000},
    {"1000m", "1", 1, 1000},
    {"0.5", "500m", 1, 500},
    {".5", "500m", 1, 500},
    {"500m", "500m", 1, 500},
    {"00.5", "500m", 1, 500},
    {"+0.5", "500m", 1, 500},
    {"1.5", "1500m", 2, 1500},
    {"1000", "1k", 1000, 1000000},
    {"10000", "10k", 10000, 10000000},
    {"120000", "120k", 120000, 120000000},
    {"1.5k", "1500", 1500, 1500000},
    {"1000k", "1M", 1000000, 1000000000},
    {"1e3", "1e3", 1000, 1000000},
    {"12e6", "12e6", 12000000, 12000000000},
    {"1e18", "1e18", 1000000000000000000, -1},
    {"1e1", "10", 10, 10000},
    {"1e2", "100", 100, 100000},
    {"1e4", "10e3", 10000, 10000000},
    {"1e5", "100e3", 100000, 100000000},
    {"1.5e1", "15", 15, 15000},
    {"1.5e3", "1500", 1500, 1500000},
    {"1e-1", "100e-3", 1, 100},
    {"1e-3", "1e-3", 1, 1},
    {"1e-10", "1e-9", 1, 1},
    {"0.0001", "100u", 1, 1},
    {"0.1m", "100u", 1, 1},
    {"-0.1m", "-100u", -1, -1},
    {"1Ki", "1Ki", 1024, 1024000},
    {"1024", "1024", 1024, 1024000},
    {"1024Ki", "1Mi", 1048576, 1048576000},
    {"1024Mi", "1Gi", 1073741824, 1073741824000},
    {"1.5Ki", "1536", 1536, 1536000},
    {"1.5Gi", "1536Mi", 1610612736, 1610612736000},
    {"2.5Gi", "2560Mi", 2684354560, 2684354560000},
    {".5Gi", "512Mi", 536870912, 536870912000},
    {"0.5Ki", "512", 512, 512000},
    {"1.1Ki", "1126400m", 1127, 1126400},
    {"0.1Ki", "102400m", 103, 102400},
    {"0.1Gi", "107374182400m", 107374183, 107374182400},
    {"1.0Gi", "1Gi", 1073741824, 1073741824000},
    {"1000Ki", "1000Ki", 1024000, 1024000000},
    {"1023Ki", "1023Ki", 1047552, 1047552000},
    {"7Ei", "7Ei", 8070450532247928832, -1},
    {"8Ei", "9223372036854775807", INT64_MAX, -1},
    {"16Ei", "9223372036854775807", INT64_MAX, -1},
    {"-8Ei", "-9223372036854775807", -INT64_MAX, -1},
    {"-1Ki", "-1Ki", -1024, -1024000},
    {"-1.5", "-1500m", -2, -1500},
    {"100m", "100m", 1, 100},
    {"1.00000000001Gi", "1073741824010737419n", 1073741825, 1073741824011},
    {"123456789.123456789123", "123456789123456790n", 123456790, 123456789124},
    {"0.1n", "1n", 1, 1},
    {"-0.1n", "-1n", -1, -1},
    {"1E", "1E", 1000000000000000000, -1},
};

static void table(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++) {
    struct mg_quantity q = parse(rows[i].in);
    check_text(rows[i].in, q, rows[i].out);
    if (mg_quantity_value(q) != rows[i].value) fail_msg("%s: value %lld", rows[i].in, (long long)mg_quantity_value(q));
    if (rows[i].milli != -1 && milli(q) != rows[i].milli) fail_msg("%s: milli %lld", rows[i].in, (long long)milli(q));
  }
}

/* Canonical text is a fixed point, of the same value and format. */
static void text_reads_back(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++) {
    struct mg_quantity q = parse(rows[i].in), again = parse(rows[i].out);
    assert_true(q.nano == again.nano);
    check_text(rows[i].out, again, rows[i].out);
  }
}

/* Go keeps these as they are written; here text is made from the value. Nobody may compare text. */
static void kept_in_go(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"+1", "1"},       {"01", "1"},     {"007", "7"},    {"1.", "1"},     {"+500m", "500m"},   {"0500m", "500m"},
      {"+1Gi", "1Gi"},   {"1E3", "1e3"},  {"1e+3", "1e3"}, {"1.5e1", "15"}, {"36.25k", "36250"}, {"0041M", "41M"},
  };
  for (size_t i = 0; i < COUNT(pairs); i++) check_text(pairs[i][0], parse(pairs[i][0]), pairs[i][1]);
}

/* Above 10^20 Go has no suffix and prints a wrong number ("1000E" as "1"); the largest one is taken here. */
static void large_text(void **state) {
  (void)state;
  check_text("1000E", parse("1000E"), "1000E");
  check_text("1e21", parse("1e21"), "1e21");
  check_text("1e19", parse("1e19"), "10e18");
  check_text("10e27", parse("10e27"), "10e27");
  check_text("10Ei", mg_quantity_add(parse("4Ei"), parse("6Ei")), "10Ei");
  check_text("2^70", (struct mg_quantity){((mg_nano)1 << 70) * NANO, MG_BINARY_SI}, "1024Ei");
  check_text("longest", parse("-99999999999999999999999999999.999999999"), "-99999999999999999999999999999999999999n");
}

static void missing_digits_are_zero(void **state) {
  (void)state;
  static const char *const zeros[] = {".", "-", "+", "-.", "m", "k", "E", "Ki", "Ti",
                                      "e3", "E3", "e28", "e-9", ".e-9", "+.Mi", ".m"};
  for (size_t i = 0; i < COUNT(zeros); i++) assert_true(parse(zeros[i]).nano == 0);
  assert_true(parse("1.").nano == NANO);
  assert_true(parse("1.Ki").nano == 1024 * NANO);
  assert_true(parse(".5").nano == NANO / 2);
}

static void errors(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "",    "1K",   "1e",    "1e+",  "1i",   "1Gib",  "1GB", "1g",   "1Zi",  "1 Gi", "1e1.5", "1e--3", "1e3Gi", "1..2",
      "1-",  "1+2",  "1Mi5",  "5m-2", "0x10", "1_000", "NaN", "inf",  "--1",  "+-1",  "1,5",   "e",     "1ee3",  "1Em",
      "i",   "1mi",  "1KI",   "$GPUS", "{{n}}", "one", "1e+-3", " ",  "-+",   "1.2.3", "1e3e3", "٣",   "1m m",  "1ki",
      /* Go takes missing digits for zero on its fast path only */
      "Pi",  "Ei",   ".Ei",   "-Pi",  "e-10", ".e-10", "+e-999",
  };
  for (size_t i = 0; i < COUNT(wrong); i++) check_fails(wrong[i], MG_E_SYNTAX);
  struct mg_quantity q;
  assert_int_equal(mg_quantity_parse((mg_str){0}, &q, NULL), MG_E_SYNTAX);
  assert_int_equal(mg_quantity_parse((mg_str){"1\0", 2}, &q, NULL), MG_E_SYNTAX);
  assert_int_equal(mg_quantity_parse((mg_str){"1\0002", 3}, &q, NULL), MG_E_SYNTAX);
}

static void white_space(void **state) {
  (void)state;
  static const char *const same[] = {" 1", "1 ", "   1   ", "\u00A01", "1\u3000", "\u2028 1\u2009\u200A", "1\xC2\x85"};
  for (size_t i = 0; i < COUNT(same); i++) assert_true(parse(same[i]).nano == NANO);
  /* Go sees these as the escapes of the JSON string. */
  check_fails("1\t", MG_E_SYNTAX);
  check_fails("\n1", MG_E_SYNTAX);
  check_fails("- 1", MG_E_SYNTAX);
  check_fails("1\u200B", MG_E_SYNTAX); /* zero width space is none */
}

static void formats(void **state) {
  (void)state;
  assert_int_equal(parse("1k").format, MG_DECIMAL_SI);
  assert_int_equal(parse("1").format, MG_DECIMAL_SI);
  assert_int_equal(parse("1E").format, MG_DECIMAL_SI);
  assert_int_equal(parse("1E0").format, MG_DECIMAL_EXPONENT);
  assert_int_equal(parse("1Ki").format, MG_BINARY_SI);
  assert_int_equal(parse("0.1Ki").format, MG_BINARY_SI);
  assert_int_equal(parse("0.0009Ki").format, MG_DECIMAL_SI); /* below one */
  assert_int_equal(parse("-0.0009Ki").format, MG_DECIMAL_SI);
}

static void rounds_away_from_zero(void **state) {
  (void)state;
  static const struct {
    const char *in;
    int64_t nano;
  } cases[] = {
      {"0.000000001", 1},
      {"0.0000000010", 1},
      {"0.0000000011", 2},
      {"0.00000000100000000000000000001", 2},
      {"-0.0000000011", -2},
      {"1e-999999999", 1},
      {"-1e-2147483647", -1},
      {"0.999999999999", 1000000000},
      {"1.0000000001n", 2},
      {"0e-999999999", 0},
      {"0.00e-30", 0},
      {"0.000000000000001Ki", 1},
      {"0.0000000009765625Ki", 1000},
      {"0.00000000097656251Ki", 1001},
      {"0000000000000000000000000.000", 0},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    if (parse(cases[i].in).nano != cases[i].nano) fail_msg("%s: %lld", cases[i].in, (long long)parse(cases[i].in).nano);
}

static void binary_clamp(void **state) {
  (void)state;
  static const char *const over[] = {
      "8Ei",   "9223372036854775808Ki",      "9007199254740992Ki", "8192Pi", "99999999999999999999999999999Ki",
      "100Ei", "7.9999999999999999999999Ei", "8796093022208.5Mi",
  };
  for (size_t i = 0; i < COUNT(over); i++)
    if (parse(over[i]).nano != INT64_MAX * NANO) fail_msg("%s", over[i]);
  assert_true(parse("9007199254740991Ki").nano == (INT64_MAX - 1023) * NANO);
  assert_true(parse("-9007199254740993Ki").nano == -INT64_MAX * NANO);
}

static void range(void **state) {
  (void)state;
  mg_nano most = (mg_nano)10000000000000000000u * (mg_nano)10000000000000000000u;
  assert_true(parse("1e29").nano == most);
  assert_true(parse("-1e29").nano == -most);
  assert_true(parse("100000000000E").nano == most);
  assert_true(parse("0.001e32").nano == most);
  assert_true(parse("100000000000000000000000000000").nano == most);
  assert_true(parse("99999999999999999999999999999.9999999999").nano == most);
  assert_true(parse("99999999999999999999999999999.999999999").nano == most - 1);
  static const char *const over[] = {
      "100000000000000000000000000000.0000000001", "400000000000000000000000000000", "100000000001E", "1.1e29", "2e29", "9e29",
      "1e30", "-1e30", "1e999999999", "1e2147483647", "1e2147483648", "1e-2147483648", "0e2147483648", "1e4294967296",
      "1e9223372036854775807", "-1e-9223372036854775807",
  };
  for (size_t i = 0; i < COUNT(over); i++) check_fails(over[i], MG_E_LIMIT);
  check_fails("1e9223372036854775808", MG_E_SYNTAX); /* Go's own limit */
  assert_true(parse("0e2147483647").nano == 0);
}

static void length_limit(void **state) {
  (void)state;
  char text[258];
  memset(text, '0', sizeof text);
  text[254] = '4';
  text[255] = '2';
  struct mg_quantity q;
  struct mg_err err;
  assert_int_equal(mg_quantity_parse((mg_str){text, 255}, &q, &err), 0);
  assert_true(q.nano == 4 * NANO);
  assert_int_equal(mg_quantity_parse((mg_str){text, 256}, &q, &err), 0);
  assert_true(q.nano == 42 * NANO);
  assert_int_equal(mg_quantity_parse((mg_str){text, 257}, &q, &err), MG_E_LIMIT);
  memset(text, '9', sizeof text);
  assert_int_equal(mg_quantity_parse((mg_str){text, 256}, &q, &err), MG_E_LIMIT);
  text[0] = '.';
  assert_int_equal(mg_quantity_parse((mg_str){text, 256}, &q, &err), 0);
  assert_true(q.nano == NANO);
  memcpy(text + 254, "Ki", 2);
  assert_int_equal(mg_quantity_parse((mg_str){text, 256}, &q, &err), 0);
  assert_true(q.nano == 1024 * NANO);
  memset(text, ' ', sizeof text);
  assert_int_equal(mg_quantity_parse((mg_str){text, 257}, &q, &err), MG_E_LIMIT);
}

static void sums(void **state) {
  (void)state;
  static const struct {
    const char *a, *b, *sum;
  } cases[] = {
      {"1Gi", "500M", "1573741824"}, {"1Ki", "100m", "1024100m"}, {"0", "1Ki", "1Ki"}, {"0Ki", "1k", "1k"}, {"1k", "1Ki", "2024"},
      {"1024", "1Ki", "2048"},       {"1Ki", "1024", "2Ki"},      {"1e3", "1k", "2e3"}, {"1", "-1", "0"},   {"0", "0", "0"},
      {"8Ei", "1", "8Ei"},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    check_text(cases[i].a, mg_quantity_add(parse(cases[i].a), parse(cases[i].b)), cases[i].sum);
}

static void sums_saturate(void **state) {
  (void)state;
  struct mg_quantity most = parse("1e29"), least = parse("-1e29");
  assert_true(mg_quantity_add(most, most).nano == most.nano);
  assert_true(mg_quantity_add(least, least).nano == least.nano);
  assert_true(mg_quantity_add(most, parse("1n")).nano == most.nano);
  assert_true(mg_quantity_add(most, least).nano == 0);
  struct mg_quantity huge = {.nano = most.nano + (most.nano - most.nano / 2)};
  assert_true(mg_quantity_add(huge, huge).nano == most.nano);
}

static void compares(void **state) {
  (void)state;
  static const struct {
    const char *a, *b;
    int want;
  } cases[] = {
      {"1", "1000m", 0},   {"1Gi", "1G", 1},    {"1024Mi", "1Gi", 0}, {"1e3", "1k", 0},         {"16Ei", "8Ei", 0},
      {"100E", "8Ei", 1},  {"0.1n", "1n", 0},   {"-1", "1", -1},      {"-1", "-1001m", 1},      {"0", "-0", 0},
      {"1n", "0", 1},      {"-0.1n", "0", -1},  {"1e29", "1e28", 1},  {"9223372036854775807", "8Ei", 0},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    int got = mg_quantity_cmp(parse(cases[i].a), parse(cases[i].b));
    if (got != cases[i].want) fail_msg("%s %s: %d", cases[i].a, cases[i].b, got);
    assert_int_equal(mg_quantity_cmp(parse(cases[i].b), parse(cases[i].a)), -cases[i].want);
  }
}

static void values(void **state) {
  (void)state;
  assert_true(mg_quantity_value(parse("1e29")) == INT64_MAX);
  assert_true(mg_quantity_value(parse("-1e29")) == INT64_MIN);
  assert_true(mg_quantity_value(parse("9223372036854775807")) == INT64_MAX);
  assert_true(mg_quantity_value(parse("9223372036854775806.1")) == INT64_MAX);
  assert_true(mg_quantity_value(parse("9223372036854775807.1")) == INT64_MAX);
  assert_true(mg_quantity_value(parse("-9223372036854775808")) == INT64_MIN);
  assert_true(mg_quantity_value(parse("1n")) == 1);
  assert_true(mg_quantity_value(parse("-1n")) == -1);
  assert_true(mg_quantity_value(mg_quantity_of(INT64_MIN, MG_DECIMAL_SI)) == INT64_MIN);
  assert_true(mg_quantity_value(mg_quantity_of(8, MG_DECIMAL_SI)) == 8);
  check_text("of", mg_quantity_of(2048, MG_BINARY_SI), "2Ki");
  assert_true(mg_quantity_whole(parse("8.000")) && mg_quantity_whole(parse("-8k")) && mg_quantity_whole(parse("0")));
  assert_false(mg_quantity_whole(parse("0.5")) || mg_quantity_whole(parse("-1n")) || mg_quantity_whole(parse("1.1Ki")));
}

static int read_json(const char *json, struct mg_quantity *ret) {
  struct mg_arena arena;
  struct mg_doc doc;
  struct mg_err err = {0};
  struct mg_read how = {.limits = {1024, 8, 64}};
  mg_arena_init(&arena, 1 << 16, 0);
  assert_int_equal(mg_json_read(&doc, &arena, mg_str_of(json), &how, &err), 0);
  int r = mg_quantity_read(mg_root(&doc), ret, &err);
  mg_arena_fini(&arena);
  return r;
}

static void nodes(void **state) {
  (void)state;
  struct mg_quantity q;
  assert_int_equal(read_json("\"1Gi\"", &q), 0);
  assert_true(q.nano == 1073741824 * NANO);
  assert_int_equal(read_json("\" 8 \"", &q), 0);
  assert_true(q.nano == 8 * NANO);
  assert_int_equal(read_json("8", &q), 0);
  assert_true(q.nano == 8 * NANO);
  assert_int_equal(read_json("-1.5E1", &q), 0);
  assert_true(q.nano == -15 * NANO);
  static const char *const wrong[] = {"null", "true", "{}", "[]", "[1]"};
  for (size_t i = 0; i < COUNT(wrong); i++) assert_int_equal(read_json(wrong[i], &q), MG_E_INVALID);
  assert_int_equal(read_json("\"\"", &q), MG_E_SYNTAX);
  assert_int_equal(read_json("\"1 GPU\"", &q), MG_E_SYNTAX);
  assert_int_equal(read_json("1e400", &q), MG_E_LIMIT);
  struct mg_err err;
  assert_int_equal(mg_quantity_read((mg_node){0}, &q, &err), MG_E_INVALID);
}

static void message_is_short(void **state) {
  (void)state;
  char text[200];
  memset(text, 'x', sizeof text);
  struct mg_quantity q;
  struct mg_err err;
  assert_int_equal(mg_quantity_parse((mg_str){text, sizeof text}, &q, &err), MG_E_SYNTAX);
  assert_true(strlen(err.text) < 100);
  for (size_t i = 1; i < sizeof text; i++) text[i] = i % 2 ? (char)0xC3 : (char)0xA9; /* é from 1 on: byte 64 is within one */
  assert_int_equal(mg_quantity_parse((mg_str){text, sizeof text}, &q, &err), MG_E_SYNTAX);
  const char *last = strstr(err.text, "…");
  assert_non_null(last);
  assert_int_equal(last[-1] & 0xC0, 0x80);
}

static void products(void **state) {
  const struct mg_quantity most = parse("1e29");
  (void)state;
  check_text("8 x 1500m", mg_quantity_times(parse("1500m"), 8), "12");
  check_text("3 x 1Gi", mg_quantity_times(parse("1Gi"), 3), "3Gi");
  check_text("0 x 1Gi", mg_quantity_times(parse("1Gi"), 0), "0");
  check_text("-2 x 1500m", mg_quantity_times(parse("1500m"), -2), "-3");
  check_text("-2 x -1500m", mg_quantity_times(parse("-1500m"), -2), "3");
  assert_true(mg_quantity_times(parse("1e20"), INT64_MAX).nano == most.nano);
  assert_true(mg_quantity_times(parse("-1e20"), INT64_MAX).nano == -most.nano);
  assert_true(mg_quantity_times(parse("1"), INT64_MIN).nano == (mg_nano)INT64_MIN * NANO);
}

static void differences(void **state) {
  (void)state;
  check_text("32 - 16", mg_quantity_sub(parse("32"), parse("16")), "16");
  check_text("1Gi - 512Mi", mg_quantity_sub(parse("1Gi"), parse("512Mi")), "512Mi");
  check_text("1 - 1500m", mg_quantity_sub(parse("1"), parse("1500m")), "-500m");
  check_text("0 - 1Gi", mg_quantity_sub(parse("0"), parse("1Gi")), "-1Gi");
}

/* As Go's own parser keeps or forgets the text, after rounding to thousandths. */
static void keeps(void **state) {
  static const char *const kept[] = {"0", "1", "+1", "01", "007", "1.", "500m", "0500m", "+500m", "+1Gi", "1E3", "1e+3", "2e0",
                                     "1.500", "1.234k", "1.5e1", "4063715e-3", "1Ki", "100M"};
  static const char *const forgotten[] = {"", "00", "-0", "0.5", ".5", "1000", "1.5", "1000m", "1e1", "1e4", "1u", "1n", "1.5Gi",
                                          "8Ki", "1024Mi", "1Kib", "x", "1234567890123456789", "1.000", "0.001k"};
  (void)state;
  for (size_t i = 0; i < COUNT(kept); i++)
    if (!mg_quantity_keeps(mg_str_of(kept[i]))) fail_msg("%s is forgotten", kept[i]);
  for (size_t i = 0; i < COUNT(forgotten); i++)
    if (mg_quantity_keeps(mg_str_of(forgotten[i]))) fail_msg("%s is kept", forgotten[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table),
      cmocka_unit_test(text_reads_back),
      cmocka_unit_test(kept_in_go),
      cmocka_unit_test(large_text),
      cmocka_unit_test(missing_digits_are_zero),
      cmocka_unit_test(errors),
      cmocka_unit_test(white_space),
      cmocka_unit_test(formats),
      cmocka_unit_test(rounds_away_from_zero),
      cmocka_unit_test(binary_clamp),
      cmocka_unit_test(range),
      cmocka_unit_test(length_limit),
      cmocka_unit_test(sums),
      cmocka_unit_test(sums_saturate),
      cmocka_unit_test(products),
      cmocka_unit_test(differences),
      cmocka_unit_test(keeps),
      cmocka_unit_test(compares),
      cmocka_unit_test(values),
      cmocka_unit_test(nodes),
      cmocka_unit_test(message_is_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
