#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/line_diff.h"

static struct mg_buf diff, made, before, after;

static int set_up(void **state) {
  (void)state;
  mg_buf_init(&diff, NULL, (size_t)64 << 20);
  mg_buf_init(&made, NULL, (size_t)64 << 20);
  mg_buf_init(&before, NULL, (size_t)64 << 20);
  mg_buf_init(&after, NULL, (size_t)64 << 20);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mg_buf_fini(&diff);
  mg_buf_fini(&made);
  mg_buf_fini(&before);
  mg_buf_fini(&after);
  return 0;
}

static mg_str cut_line(mg_str *rest) {
  size_t n = mg_str_find(*rest, '\n');
  mg_str line = {rest->p, n < rest->n ? n + 1 : n};
  *rest = mg_str_from(*rest, line.n);
  return line;
}

/* The line of a row without its mark, and without the newline that it has not. */
static mg_str row_text(mg_str row, mg_str rest) {
  mg_str text = mg_str_from(row, 1);
  if (rest.n && *rest.p == '\\') text.n--;
  return text;
}

/* Every line that the diff says it leaves or takes away must be the next one of the text. */
static void apply(mg_str text, mg_str rest) {
  unsigned line = 1;
  made.n = 0;
  if (rest.n) cut_line(&rest), cut_line(&rest);
  while (rest.n) {
    mg_str row = cut_line(&rest);
    unsigned from = 0, count = 1;
    if (*row.p == '@') {
      assert_true(sscanf(row.p, "@@ -%u,%u ", &from, &count) >= 1);
      for (from += count == 0; line < from; line++) mg_buf_put(&made, cut_line(&text));
      continue;
    }
    mg_str shown = row_text(row, rest);
    if (*row.p == ' ' || *row.p == '-') {
      mg_str old = cut_line(&text);
      assert_true(mg_str_eq(old, shown));
      line++;
    }
    if (*row.p == ' ' || *row.p == '+') mg_buf_put(&made, shown);
  }
  mg_buf_put(&made, text);
}

static void expect_round(void) {
  diff.n = 0;
  mg_line_diff(&diff, MG_S("x"), mg_buf_str(&before), mg_buf_str(&after));
  assert_false(diff.failed);
  assert_int_equal(diff.n == 0, mg_str_eq(mg_buf_str(&before), mg_buf_str(&after)));
  apply(mg_buf_str(&before), mg_buf_str(&diff));
  assert_true(mg_str_eq(mg_buf_str(&made), mg_buf_str(&after)));
}

static void expect_diff(const char *a, const char *b, const char *wanted) {
  diff.n = 0;
  mg_line_diff(&diff, MG_S("/dir/x.yaml"), mg_str_of(a), mg_str_of(b));
  mg_buf_byte(&diff, '\0');
  assert_string_equal(diff.p, wanted);
}

static void test_form(void **state) {
  (void)state;
  expect_diff("a\n", "a\n", "");
  expect_diff("a\nb\n", "a\nc\nb\n", "--- a/dir/x.yaml\n+++ b/dir/x.yaml\n@@ -1,2 +1,3 @@\n a\n+c\n b\n");
  expect_diff("", "a\n", "--- a/dir/x.yaml\n+++ b/dir/x.yaml\n@@ -0,0 +1 @@\n+a\n");
  expect_diff("a", "a\nb", "--- a/dir/x.yaml\n+++ b/dir/x.yaml\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n"
              "+a\n+b\n\\ No newline at end of file\n");
  expect_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n6\n7\n8\n9\n",
              "--- a/dir/x.yaml\n+++ b/dir/x.yaml\n@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n");
}

/* Lines of few kinds, so that the two agree by chance everywhere. */
static void test_random_edits(void **state) {
  (void)state;
  srand(7);
  for (int round = 0; round < 3000; round++) {
    int lines = rand() % 40, kinds = 1 + rand() % 6, often = 1 + rand() % 10;
    before.n = after.n = 0;
    for (int i = 0; i < lines; i++) {
      int kind = rand() % kinds, what = rand() % often;
      const char *end = i + 1 == lines && rand() % 3 == 0 ? "" : "\n";
      if (what != 1) mg_buf_printf(&before, "%c%s", 'a' + kind, end);
      if (what == 2) mg_buf_printf(&after, "%c\n", 'a' + rand() % kinds);
      if (what != 3) mg_buf_printf(&after, "%c%s", 'a' + kind, end);
    }
    expect_round();
  }
}

/* More lines than are looked at for an agreement, and than are compared with each other. */
static void test_large_changes(void **state) {
  (void)state;
  for (int round = 0; round < 4; round++) {
    before.n = after.n = 0;
    for (int i = 0; i < 5000; i++) mg_buf_printf(&before, "%d\n", i);
    for (int i = 0; i < 5000; i++) {
      if (round == 0 && i == 2500)
        for (int k = 0; k < 3000; k++) mg_buf_printf(&after, "new %d\n", k);
      bool kept = round == 0 || (round == 1 && (i < 10 || i > 4000)) || (round == 2 && i % 5) || (round == 3 && i < 100);
      if (kept) mg_buf_printf(&after, "%d\n", i);
    }
    expect_round();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_form),
    cmocka_unit_test(test_random_edits),
    cmocka_unit_test(test_large_changes),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
