#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "doc/yaml.h"
#include "unit/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int read_text(struct mg_file_doc **docs, mg_str text, struct mg_err *err) {
  struct mg_read how = {.limits = {1 << 20, 100, 10000}, .file = "t.yaml", .last_wins = true};
  return mg_yaml_read(docs, &arena, text, &how, err);
}

static void check_doc(const char *text, const char *want) {
  struct mg_file_doc *docs;
  struct mg_err err = {0};
  struct mg_buf buf;
  if (read_text(&docs, mg_str_of(text), &err)) fail_msg("<%s>: %u:%u: %s", text, err.line, err.column, err.text);
  mg_buf_init(&buf, &arena, 1 << 20);
  assert_non_null(docs);
  mg_json_write(&buf, mg_root(&docs->doc));
  mg_str got = mg_buf_str(&buf);
  if (!mg_str_is(got, want)) fail_msg("<%s>:\ngot  %.*s\nwant %s", text, MG_FMT(got), want);
}

static void check_error(const char *text, int code, uint32_t line, uint32_t column, const char *part) {
  struct mg_file_doc *docs;
  struct mg_err err = {0};
  int got = read_text(&docs, mg_str_of(text), &err);
  if (got != code || err.line != line || err.column != column || !strstr(err.text, part))
    fail_msg("<%s>: %d %u:%u %s; want %d %u:%u %s", text, got, err.line, err.column, err.text, code, line, column, part);
  assert_null(docs);
}

struct row {
  const char *yaml, *json;
};

static void check_values(const struct row *rows, size_t count) {
  char text[256], want[256];
  for (size_t i = 0; i < count; i++) {
    snprintf(text, sizeof(text), "v: %s\n", rows[i].yaml);
    snprintf(want, sizeof(want), "{\"v\":%s}", rows[i].json);
    check_doc(text, want);
  }
}

static void plain_words(void **state) {
  (void)state;
  static const char *const yes[] = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"};
  static const char *const no[] = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"};
  static const char *const null[] = {"", "~", "null", "Null", "NULL"};
  static const char *const text[] = {"tRue", "yES", "oN", "nULL", "oFF", "=", "<<", "100m", "1Gi", "yess", "o", "none"};
  for (size_t i = 0; i < COUNT(yes); i++) check_values(&(struct row){yes[i], "true"}, 1);
  for (size_t i = 0; i < COUNT(no); i++) check_values(&(struct row){no[i], "false"}, 1);
  for (size_t i = 0; i < COUNT(null); i++) check_values(&(struct row){null[i], "null"}, 1);
  for (size_t i = 0; i < COUNT(text); i++) {
    char want[64];
    snprintf(want, sizeof(want), "\"%s\"", text[i]);
    check_values(&(struct row){text[i], want}, 1);
  }
}

static void whole_numbers(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"0", "0"}, {"-0", "0"}, {"+1", "1"}, {"-1", "-1"}, {"00", "0"}, {"010", "8"}, {"-010", "-8"}, {"+010", "8"},
    {"0o10", "8"}, {"0O17", "15"}, {"0o8", "\"0o8\""}, {"0x1F", "31"}, {"0X1f", "31"}, {"-0x10", "-16"}, {"0xG", "\"0xG\""},
    {"0x", "\"0x\""}, {"0b101", "5"}, {"-0b11", "-3"}, {"0b12", "\"0b12\""}, {"0b-1", "-1"}, {"0b+1", "1"}, {"0b-", "\"0b-\""},
    {"1_000", "1000"}, {"1_", "1"}, {"_1", "\"_1\""}, {"+", "\"+\""}, {"08", "8"}, {"09", "9"}, {"-08", "-8"}, {"0_8", "8"},
    {"9223372036854775807", "9223372036854775807"}, {"9223372036854775808", "9223372036854775808"},
    {"-9223372036854775808", "-9223372036854775808"}, {"-9223372036854775809", "-9223372036854776000"},
    {"+9223372036854775808", "9223372036854776000"}, {"18446744073709551615", "18446744073709551615"},
    {"18446744073709551616", "18446744073709552000"}, {"12345678901234567890", "12345678901234567890"},
    {"123456789012345678901234567890", "1.2345678901234568e+29"}, {"0xFFFFFFFFFFFFFFFF", "18446744073709551615"},
    {"0x10000000000000000", "\"0x10000000000000000\""}, {"1:30", "\"1:30\""}, {"190:20:30", "\"190:20:30\""},
    {"2001-01-01", "\"2001-01-01\""}, {"2001-01-01 10:00:00", "\"2001-01-01 10:00:00\""},
  };
  check_values(rows, COUNT(rows));
}

static void floats(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"1e3", "1000"}, {"1E+3", "1000"}, {"1e-3", "0.001"}, {"1.0", "1"}, {"3.0", "3"}, {"1.", "1"}, {"1.e3", "1000"},
    {".5", "0.5"},
    {"-.5", "-0.5"}, {"+.5e1", "5"}, {"1.10", "1.1"}, {"00.5", "0.5"}, {"1_0.5", "10.5"}, {".1_5", "0.15"}, {"._5", "\"._5\""},
    {".5_", "\".5_\""}, {".5__5", "\".5__5\""}, {"0.1", "0.1"}, {"0.30000000000000004", "0.30000000000000004"},
    {"-0.0", "-0"}, {"0.00001", "0.00001"}, {"0.000001", "0.000001"}, {"0.0000012", "0.0000012"}, {"0.0000001", "1e-7"},
    {"1e20", "100000000000000000000"}, {"1e21", "1e+21"}, {"123456789.125", "123456789.125"}, {"1e400", "\"1e400\""},
    {"-.1e400", "\"-.1e400\""}, {"1e-400", "0"}, {"5e-324", "5e-324"}, {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"1e", "\"1e\""}, {"1.5e", "\"1.5e\""}, {"1.2.3", "\"1.2.3\""}, {".", "\".\""}, {"..", "\"..\""}, {"1e5x", "\"1e5x\""},
    {"-.nan", "\"-.nan\""}, {".iNF", "\".iNF\""}, {"123456789012345.5", "123456789012345.5"},
    {"12345678901234.50", "12345678901234.5"},
  };
  check_values(rows, COUNT(rows));
  static const char *const none[] = {".inf", ".Inf", ".INF", "+.inf", "-.inf", "-.INF", ".nan", ".NaN", ".NAN", "!!float .inf"};
  for (size_t i = 0; i < COUNT(none); i++) {
    char text[64];
    snprintf(text, sizeof(text), "a: 1\nv: %s\n", none[i]);
    check_error(text, MG_E_INVALID, 2, none[i][0] == '!' ? 12 : 4, "no number that JSON has");
  }
}

static void quoted_and_block_scalars_are_strings(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"'1'", "\"1\""}, {"\"yes\"", "\"yes\""}, {"''", "\"\""}, {"\"\"", "\"\""}, {"'it''s'", "\"it's\""},
    {"|\n  8\n", "\"8\\n\""},
    {">-\n  a\n  b\n\n  c\n", "\"a b\\nc\""}, {"|+\n  x\n\n", "\"x\\n\\n\\n\""}, {"|2\n    x\n", "\"  x\\n\""},
    {"\"a\\n\\x41\\u00e9\\U0001F600\\0\"", "\"a\\nA\xC3\xA9\xF0\x9F\x98\x80\\u0000\""}, {"\"a\\\n  b\"", "\"ab\""},
    {"\"a\n\n  b\"", "\"a\\nb\""},
    {"a\n  b\n\n  c", "\"a b\\nc\""}, {"\"\\\\/\"", "\"\\\\/\""},
  };
  check_values(rows, COUNT(rows));
  /* kubectl ends the last line, whether the file does or not. */
  check_doc("a: |\n  x", "{\"a\":\"x\\n\"}");
  check_doc("a: |-\n  x", "{\"a\":\"x\"}");
  check_error("a: \"x\\/y\"\n", MG_E_SYNTAX, 1, 6, "unknown escape");
  check_error("a: \"\\\\\\/\"\n", MG_E_SYNTAX, 1, 7, "unknown escape");
  check_error("a: \"\\q\"\n", MG_E_SYNTAX, 1, 5, "unknown escape");
}

static void tags(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"!!str 1", "\"1\""}, {"!!str", "\"\""}, {"!!str null", "\"null\""}, {"!!str ~", "\"~\""},
    {"!!int \"12\"", "12"}, {"!!int 0x10", "16"},
    {"!!float 1", "1"}, {"!!float .5", "0.5"}, {"!!float \"1e3\"", "1000"}, {"!!bool \"yes\"", "true"}, {"!!bool off", "false"},
    {"!!null \"\"", "null"}, {"!!null ~", "null"}, {"!!binary aGVsbG8=", "\"hello\""},
    {"!!binary \"aGVs\\nbG8=\"", "\"hello\""},
    {"!!binary /w==", "\"\xEF\xBF\xBD\""}, {"!!binary \"\"", "\"\""}, {"!foo 1", "\"1\""}, {"!!foo yes", "\"yes\""},
    {"! 1", "\"1\""}, {"! yes", "\"yes\""}, {"!<tag:yaml.org,2002:str> 1", "\"1\""},
    {"!!timestamp 2001-01-01", "\"2001-01-01\""},
    {"!!map {a: 1}", "{\"a\":1}"}, {"!foo [1]", "[1]"}, {"!!str [1]", "[1]"}, {"!!seq\n  - 1", "[1]"},
  };
  check_values(rows, COUNT(rows));
  static const struct row bad[] = {
    {"!!int x", "\"x\" is no !!int"}, {"!!int 1.0", "is no !!int"}, {"!!int", "\"\" is no !!int"},
    {"!!float x", "is no !!float"},
    {"!!float 12345678901234567890", "is no !!float"}, {"!!bool 1", "is no !!bool"}, {"!!null x", "is no !!null"},
    {"!!timestamp x", "is no !!timestamp"}, {"!!binary aGVsbG8", "base64"}, {"!!binary a===", "base64"},
    {"!!binary aGVsbG8=x", "base64"},
    {"!!binary aGk\xC3\xA9", "base64"}, {"!!binary ====", "base64"},
  };
  for (size_t i = 0; i < COUNT(bad); i++) {
    char text[128];
    snprintf(text, sizeof(text), "v: %s\n", bad[i].yaml);
    struct mg_file_doc *docs;
    struct mg_err err = {0};
    assert_int_equal(read_text(&docs, mg_str_of(text), &err), MG_E_INVALID);
    assert_int_equal(err.line, 1);
    assert_non_null(strstr(err.text, bad[i].json));
    assert_null(docs);
  }
}

static void keys_become_strings(void **state) {
  (void)state;
  static const struct row rows[] = {
    {"y", "true"}, {"yes", "true"}, {"on", "true"}, {"off", "false"}, {"True", "true"}, {"'on'", "on"}, {"8", "8"},
    {"010", "8"},
    {"08", "8"}, {"-0x10", "-16"}, {"1.0", "1"}, {"1.5", "1.5"}, {"1e6", "1e+06"}, {"123456.7", "123456.7"},
    {"1234567.5", "1.2345675e+06"},
    {"3.14159265358979", "3.1415927"}, {"16777217.0", "1.6777216e+07"}, {"0.0001", "0.0001"}, {"0.00001", "1e-05"},
    {".inf", ".inf"},
    {"-.INF", "-.inf"}, {".NaN", ".nan"}, {"1e39", ".inf"}, {"-1e39", "-.inf"}, {"1e-46", "0"}, {"-0.0", "-0"},
    {"!!str 1.50", "1.50"},
    {"9223372036854775807", "9223372036854775807"}, {"2001-01-01", "2001-01-01"}, {"!!binary aGk=", "hi"},
    {"\"a b\"", "a b"}, {"''", ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[128], want[128];
    snprintf(text, sizeof(text), "? %s\n: 1\n", rows[i].yaml);
    snprintf(want, sizeof(want), "{\"%s\":1}", rows[i].json);
    check_doc(text, want);
  }
  check_error("a: 1\nnull: 2\n", MG_E_INVALID, 2, 1, "null cannot be a key");
  check_error("? \n: 2\n", MG_E_INVALID, 1, 2, "null cannot be a key");
  check_error("9223372036854775808: 2\n", MG_E_INVALID, 1, 1, "cannot be a key");
  check_error("a: {[b]: 1}\n", MG_E_INVALID, 1, 5, "a list cannot be a key");
  check_error("a:\n  ? {b: c}\n  : 1\n", MG_E_INVALID, 2, 5, "a mapping cannot be a key");
}

/* What is long is a string, or a number whose text is not, but never slow or cut. */
static void long_scalars(void **state) {
  (void)state;
  static char text[70000], want[70016];
  memset(text, '9', 400);
  memcpy(text + 400, "\n", 2);
  char expected[512];
  snprintf(expected, sizeof(expected), "\"%.400s\"", text);
  check_doc(text, expected); /* above every float64 */
  memcpy(text, "0.", 2);
  check_doc(text, "1");
  memset(text, '1', 65536);
  memcpy(text + 65536, "x\n", 3);
  want[0] = '"';
  memcpy(want + 1, text, 65537);
  memcpy(want + 65538, "\"", 2);
  check_doc(text, want);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(plain_words), TEST(whole_numbers), TEST(floats), TEST(quoted_and_block_scalars_are_strings),
    TEST(tags),        TEST(keys_become_strings), TEST(long_scalars),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
