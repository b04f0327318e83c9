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
#define GAP(first, last) {.from = (first), .to = (last), .kind = MG_CHANGE_GONE}
#define AT(first, last) {.from = (first), .to = (last)}
#define RANGES(...) (const struct mg_change[]){__VA_ARGS__}
#define SPANS(text, ...) spans_of(MG_S(text), RANGES(__VA_ARGS__), sizeof(RANGES(__VA_ARGS__)) / sizeof(struct mg_change))

static void assert_span(struct mg_spans spans, size_t at, size_t start, size_t end) {
  assert_int_equal(spans.items[at].start, start);
  assert_int_equal(spans.items[at].end, end);
}

static void test_lines(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(TEXT, AT(1, 1), AT(3, 4), AT(5, 5));
  assert_span(spans, 0, 0, 4);
  assert_span(spans, 1, 8, 19);
  assert_span(spans, 2, 19, 24);
  assert_span(SPANS(TEXT, AT(1, 5)), 0, 0, 24);
  assert_span(SPANS("one\r\ntwo", AT(2, 2)), 0, 5, 8);
}

/* Where lines went, both lines beside the gap count; one of them may be that of the next range, too. */
static void test_gaps(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(TEXT, GAP(0, 1), GAP(2, 3), AT(3, 3), GAP(5, 6));
  assert_span(spans, 0, 0, 4);
  assert_span(spans, 1, 4, 14);
  assert_span(spans, 2, 8, 14);
  assert_span(spans, 3, 19, 24);
}

#define LEFT "k\na\n---\nk\nc\n"
#define WENT(first, last, behind) {.from = (first), .to = (last), .kind = MG_CHANGE_GONE, .tail = MG_S(behind)}

/* a, then c; b, which began alike, went from between them, or has come. git may say so in several ways. */
static void test_documents(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(LEFT, WENT(4, 5, "k\n")); /* "b --- k" went behind k */
  assert_span(spans, 0, 8, 8);
  spans = SPANS(LEFT, WENT(3, 4, ""));
  assert_span(spans, 0, 8, 8);
  spans = SPANS(LEFT, {.from = 3, .to = 2, .kind = MG_CHANGE_GONE}); /* with the separator before it */
  assert_span(spans, 0, 4, 4);
  assert_false(mg_spans_touch(&spans, 0, 4));
  assert_true(mg_spans_touch(&spans, 0, 8));
  spans = SPANS(LEFT, WENT(4, 5, "x\n")); /* another beginning: c was changed */
  assert_span(spans, 0, 8, 12);
  spans = SPANS("k\na\n---\nk\nb\n---\nk\nc\n", {.from = 5, .to = 7, .kind = MG_CHANGE_ADDED});
  assert_span(spans, 0, 8, 16);
  spans = SPANS("k\na\n---\nk\nb\n---\nk\nc\n", {.from = 5, .to = 7}); /* in the place of others */
  assert_span(spans, 0, 10, 18);
  spans = SPANS("k\na\n---\nk\nb\n---\nk\nc\n", AT(4, 4), {.from = 5, .to = 7, .kind = MG_CHANGE_ADDED});
  assert_span(spans, 1, 10, 18);
}

/* A separator in the middle of a document ends it there, and what follows is another one. */
static void test_separators(void **state) {
  (void)state;
  struct mg_spans spans = SPANS("a\nb\n---\nc\nd\n", {.from = 3, .to = 4, .kind = MG_CHANGE_ADDED});
  assert_span(spans, 0, 2, 10);
  spans = SPANS("a\nb\nc\n---\nd\n", {.from = 3, .to = 4, .kind = MG_CHANGE_ADDED});
  assert_span(spans, 0, 4, 12);
  spans = SPANS("a\nb\n---\nc\n", {.from = 3, .to = 4, .kind = MG_CHANGE_ADDED}); /* a document behind it */
  assert_span(spans, 0, 4, 10);
  spans = SPANS("a\nb\n---\nc\n---\nd\n", {.from = 3, .to = 4, .kind = MG_CHANGE_ADDED});
  assert_span(spans, 0, 4, 10);
  spans = SPANS("a\n---\nc\n", AT(2, 2)); /* in the place of b */
  assert_span(spans, 0, 0, 8);
}

/* The file may be another one by the time that it is read. */
static void test_behind_the_end(void **state) {
  (void)state;
  assert_span(SPANS(TEXT, AT(5, 900)), 0, 19, 24);
  assert_span(SPANS(TEXT, AT(900, 901)), 0, 24, 24);
  assert_span(SPANS("one\ntwo", AT(9, 9)), 0, 7, 7); /* whose last line has no end */
  assert_span(SPANS("", AT(1, 2)), 0, 0, 0);
  assert_int_equal(spans_of(MG_S(TEXT), NULL, 0).count, 0); /* of a file whose mode changed */
  assert_false(mg_spans_touch(&(struct mg_spans){0}, 0, 100));
}

static void test_touch(void **state) {
  (void)state;
  struct mg_spans spans = SPANS(TEXT, AT(2, 2), AT(4, 4)); /* 4 to 8, 14 to 19 */
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
      cmocka_unit_test(test_documents), cmocka_unit_test(test_separators),
      cmocka_unit_test(test_lines), cmocka_unit_test(test_gaps),          cmocka_unit_test(test_behind_the_end),
      cmocka_unit_test(test_touch), cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests_name("changes", tests, setup, teardown);
}
