/* app/records: where records begin and end, whatever the pieces that they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "app/records.h"

static char path[64];

static int setup(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/mlgate-records-XXXXXX");
  int fd = mkstemp(path);
  return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state) {
  (void)state;
  return unlink(path);
}

static void put(mg_str text) {
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
  assert_int_equal(fclose(file), 0);
}

/* Each record as LINE:TEXT, each error as LINE!, with a space behind. */
static const char *all_of(mg_str text) {
  static char out[4096];
  MG_RECORDS_AUTO records = NULL;
  struct mg_err err = {0};
  struct mg_record record;
  size_t n = 0;
  put(text);
  assert_int_equal(mg_records_open(&records, path, &err), 0);
  for (int i = 0; i < 100; i++) {
    int code = mg_records_next(records, &record, &err);
    if (code == 0) {
      out[n] = '\0';
      return out;
    }
    if (code > 0) n += (size_t)snprintf(out + n, sizeof out - n, "%u:%.*s ", record.line, MG_FMT(record.text));
    else n += (size_t)snprintf(out + n, sizeof out - n, "%u! ", err.line);
    assert_true(n < sizeof out);
  }
  fail_msg("no end: %s", out);
  return NULL;
}

static void test_places(void **state) {
  static const struct {
    const char *text, *wanted;
  } rows[] = {
      {"", ""},
      {" \n\t\r\n", ""},
      {"{}", "1:{} "},
      {"{}{}\n{}\n", "1:{} 1:{} 2:{} "},
      {"\n{\"a\":\n\"}{\"}\n{}", "2:{\"a\":\n\"}{\"} 4:{} "},
      {"{\"a\":\"\\\"}\\\\\"}{}", "1:{\"a\":\"\\\"}\\\\\"} 1:{} "},
      {"[{},\n{}]\n", "1:{} 2:{} "},
      {"[[{}],{}][{}]", "1:{} 1:{} 1:{} "},
      {"[]", ""},
      {"{}\n]\n{}\n", "1:{} 2! 3:{} "},
      {"{}\nx\ny\n{}\n", "1:{} 2! 4:{} "},
      {"{\"a\":\"b\n{}\n", "1! 2:{} "},
      {"{\"a\":1\n{}\n", "1! 2:{} "},
      {"{\"a\":\n{}\n{}\n", "1! 3:{} "}, /* cut where an object might follow: that one goes with it */
      {"{", "1! "},
      {"{}\n{\"a", "1:{} 2! "},
      {"{}\n{\"a\\", "1:{} 2! "},
      {"\x1e{}\n\x1e{}\n", "1:{} 2:{} "}, /* RFC 7464 */
      {"a: b\n---\nc\n", "1:a: b\n---\nc\n "},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_string_equal(all_of(mg_str_of(rows[i].text)), rows[i].wanted);
  assert_string_equal(all_of(MG_S("\xEF\xBB\xBF{}\n")), "1:{} ");
  assert_string_equal(all_of(MG_S("{}\n\0\n{}\n")), "1:{} 2! 3:{} ");
}

/* Records around the size of the pieces that are read, so that each of their characters is somewhere the first of one. */
static void test_pieces(void **state) {
  enum { PIECE = 1 << 17, AROUND = 40 };
  MG_BUF_AUTO text;
  (void)state;
  mg_buf_init(&text, NULL, (size_t)1 << 20);
  for (int shift = -AROUND; shift < AROUND; shift++) {
    MG_RECORDS_AUTO records = NULL;
    struct mg_err err = {0};
    struct mg_record record;
    text.n = 0;
    mg_buf_printf(&text, "{\"a\":\"%*s\"}\n{\"b\":\"\\\"\"}\n{}\n", PIECE + shift, "");
    put(mg_buf_str(&text));
    assert_int_equal(mg_records_open(&records, path, &err), 0);
    assert_int_equal(mg_records_next(records, &record, &err), 1);
    assert_int_equal(record.text.n, PIECE + shift + 8);
    assert_int_equal(mg_records_next(records, &record, &err), 1);
    assert_true(mg_str_is(record.text, "{\"b\":\"\\\"\"}"));
    assert_int_equal(mg_records_next(records, &record, &err), 1);
    assert_int_equal(record.line, 3);
    assert_int_equal(mg_records_next(records, &record, &err), 0);
    assert_int_equal(mg_records_next(records, &record, &err), 0);
  }
}

/* One that is too large is left out, and the next one found. */
static void test_limit(void **state) {
  MG_RECORDS_AUTO records = NULL;
  struct mg_err err = {0};
  struct mg_record record;
  (void)state;
  char *text = malloc(MG_RECORD_MAX + 64);
  assert_non_null(text);
  memset(text, ' ', MG_RECORD_MAX + 64);
  text[0] = '{', text[MG_RECORD_MAX - 1] = '}', text[MG_RECORD_MAX] = '\n';
  memcpy(text + MG_RECORD_MAX + 1, "{\"n\":1}", 7);
  put((mg_str){text, MG_RECORD_MAX + 64});
  assert_int_equal(mg_records_open(&records, path, &err), 0);
  assert_int_equal(mg_records_next(records, &record, &err), 1);
  assert_int_equal(record.text.n, MG_RECORD_MAX);
  mg_records_close(records);
  text[MG_RECORD_MAX - 1] = ' ', text[MG_RECORD_MAX] = '}', text[MG_RECORD_MAX + 1] = '\n';
  memcpy(text + MG_RECORD_MAX + 2, "{\"n\":1}", 7);
  put((mg_str){text, MG_RECORD_MAX + 64});
  free(text);
  assert_int_equal(mg_records_open(&records, path, &err), 0);
  assert_int_equal(mg_records_next(records, &record, &err), MG_E_LIMIT);
  assert_int_equal(err.line, 1);
  assert_int_equal(mg_records_next(records, &record, &err), 1);
  assert_true(mg_str_is(record.text, "{\"n\":1}"));
  assert_int_equal(mg_records_next(records, &record, &err), 0);
}

static void test_no_file(void **state) {
  struct mg_records *records;
  struct mg_err err = {0};
  (void)state;
  assert_int_equal(mg_records_open(&records, "/not/there", &err), MG_E_IO);
  assert_int_equal(mg_records_open(&records, "/tmp", &err), MG_E_IO);
  assert_string_equal(err.text, "Is a directory");
  mg_records_close(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_places),
      cmocka_unit_test(test_pieces),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_no_file),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
