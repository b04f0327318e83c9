/* app/changes: from changed lines to bytes, and which of them an object has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "app/changes.h"

#define TEXT "one\ntwo\nthree\nfour\nfive\n"

static struct mg_arena arena;

static struct mg_spans spans_of(mg_str text, const struct mg_change *ranges, size_t count) {
  struct mg_changed file = {.path = "x", .first = 0, .count = count};
  struct mg_changes changes = {.ranges = (struct mg_change *)(uintptr_t)ranges};
  struct mg_input input = {.path = "x", .changes = &changes, .changed = &file};
  struct mg_spans spans;
  mg_arena_reset(&arena);
  assert_int_equal(mg_changes_spans(&input, text, &arena, &spans), 0);
  assert_int_equal(spans.count, count);
  return spans;
}
#define RANGES(...) (const struct mg_change[]){__VA_ARGS__}
#define SPANS(text, ...) spans_of(MG_S(text), RANGES(__VA_ARGS__), sizeof(RANGES(__VA_ARGS__)) / sizeof(struct mg_change))

static void assert_span(struct mg_spans spans, size_t at, size_t start, size_t end) {
  assert_int_equal(spans.items[at].start, start);
  assert_int_equal(spans.items[at].end, end);
}

static void test_lines(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(TEXT, {1, 1}, {3, 4}, {5, 5});
  assert_span(spans, 0, 0, 4);
  assert_span(spans, 1, 8, 19);
  assert_span(spans, 2, 19, 24);
  assert_span(SPANS(TEXT, {1, 5}), 0, 0, 24);
  assert_span(SPANS("one\r\ntwo", {2, 2}), 0, 5, 8);
}

/* Where lines went, both lines beside the gap count; one of them may be that of the next range, too. */
static void test_gaps(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(TEXT, {0, 1}, {2, 3}, {3, 3}, {5, 6});
  assert_span(spans, 0, 0, 4);
  assert_span(spans, 1, 4, 14);
  assert_span(spans, 2, 8, 14);
  assert_span(spans, 3, 19, 24);
}

/* The file may be another one by the time that it is read. */
static void test_behind_the_end(void **state) {
  (void)state;
  assert_span(SPANS(TEXT, {5, 900}), 0, 19, 24);
  assert_span(SPANS(TEXT, {900, 901}), 0, 24, 24);
  assert_span(SPANS("", {1, 2}), 0, 0, 0);
  assert_false(mg_spans_touch(&(struct mg_spans){0}, 0, 100));
}

static void test_touch(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(TEXT, {2, 2}, {4, 4}); /* 4 to 8, 14 to 19 */
  static const struct {
    size_t start, end;
    bool touches;
  } rows[] = {{0, 4, false}, {0, 5, true},   {4, 5, true},    {7, 8, true},    {8, 14, false},
              {8, 15, true}, {18, 24, true}, {19, 24, false}, {0, 24, true},   {5, 6, true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(mg_spans_touch(&spans, rows[i].start, rows[i].end), rows[i].touches);
}

static void test_out_of_memory(void **state) {
  struct mg_changed file = {.count = 1000};
  struct mg_changes changes = {0};
  struct mg_input input = {.changes = &changes, .changed = &file};
  struct mg_arena small;
  struct mg_spans spans;
  (void)state;
  mg_arena_init(&small, 100, 0);
  assert_int_equal(mg_changes_spans(&input, MG_S(TEXT), &small, &spans), MG_E_NOMEM);
  mg_arena_fini(&small);
}

static int setup(void **state) {
  (void)state;
  mg_arena_init(&arena, 1 << 20, 1 << 16);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lines), cmocka_unit_test(test_gaps),          cmocka_unit_test(test_behind_the_end),
      cmocka_unit_test(test_touch), cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests_name("changes", tests, setup, teardown);
}
