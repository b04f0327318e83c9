#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/trace.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void good(void **state) {
  static const struct {
    const char *header;
    bool sampled;
  } cases[] = {
      {"00-" TRACE "-" SPAN "-01", true},
      {"00-" TRACE "-" SPAN "-00", false},
      {"00-" TRACE "-" SPAN "-02", false}, /* other flags say nothing of that */
      {"00-" TRACE "-" SPAN "-ff", true},
      {"01-" TRACE "-" SPAN "-01", true}, /* a later version, as long or longer */
      {"cc-" TRACE "-" SPAN "-01-what-comes-then", true},
      {"cc-" TRACE "-" SPAN "-01-", true},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct mg_trace t;
    if (!mg_trace_read(mg_str_of(cases[i].header), &t)) fail_msg("%s", cases[i].header);
    assert_true(t.known);
    assert_int_equal(t.sampled, cases[i].sampled);
    assert_true(mg_str_is(mg_trace_id(&t), TRACE));
    assert_true(mg_str_is(mg_trace_span(&t), SPAN));
  }
}

static void bad(void **state) {
  static const char *const headers[] = {
      "", "00", "nonsense",
      "00-" TRACE "-" SPAN, "00-" TRACE "-" SPAN "-", "00-" TRACE "-" SPAN "-0", "00-" TRACE "-" SPAN "-011",
      "00-" TRACE "-" SPAN "-01-", "00-" TRACE "-" SPAN "-01 ", " 00-" TRACE "-" SPAN "-01",
      "ff-" TRACE "-" SPAN "-01", "0g-" TRACE "-" SPAN "-01", "FE-" TRACE "-" SPAN "-01",
      "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", "00-" TRACE "-B7AD6B7169203331-01", "00-" TRACE "-" SPAN "-0A",
      "00-00000000000000000000000000000000-" SPAN "-01", "00-" TRACE "-0000000000000000-01",
      "00_" TRACE "-" SPAN "-01", "00-" TRACE "_" SPAN "-01", "00-" TRACE "-" SPAN "_01",
      "00-0af7651916cd43dd8448eb211c80319-" SPAN "-001", "00-" TRACE "-" SPAN "-0-", "cc-" TRACE "-" SPAN "-01x",
      "00-0af7651916cd43dd8448eb211c80319\"-" SPAN "-01",
  };
  (void)state;
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    struct mg_trace t = {.known = true, .sampled = true};
    if (mg_trace_read(mg_str_of(headers[i]), &t)) fail_msg("%s", headers[i]);
    assert_false(t.known);
    assert_false(t.sampled);
  }
  struct mg_trace t;
  assert_false(mg_trace_read((mg_str){0}, &t));
  assert_false(mg_trace_read((mg_str){"00-" TRACE "-" SPAN "\0" "01", 55}, &t));
}

/* Every header that is one byte away from a good one is read as something that stands in it, or not at all. */
static void one_byte_off(void **state) {
  static const char header[] = "00-" TRACE "-" SPAN "-01";
  unsigned taken = 0;
  (void)state;
  for (size_t at = 0; at < sizeof header - 1; at++)
    for (int byte = 0; byte < 256; byte++) {
      char text[sizeof header];
      struct mg_trace t;
      memcpy(text, header, sizeof text);
      text[at] = (char)byte;
      if (!mg_trace_read((mg_str){text, sizeof text - 1}, &t)) continue;
      taken++;
      assert_true(memcmp(t.trace, text + 3, MG_TRACE_ID) == 0 && memcmp(t.span, text + 36, MG_SPAN_ID) == 0);
      assert_non_null(memchr("0123456789abcdef-", byte, 17));
    }
  assert_int_equal(taken, (2 + MG_TRACE_ID + MG_SPAN_ID + 2) * 16 + 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad), cmocka_unit_test(one_byte_off)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
