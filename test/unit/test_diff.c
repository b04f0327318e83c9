/* base/diff: hunks, their ranges, texts of every odd form, and that each diff makes the new text of the old one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/diff.h"

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
  mg_diff_file(&diff, MG_S("x"), mg_buf_str(&before), mg_buf_str(&after));
  assert_false(diff.failed);
  assert_int_equal(diff.n == 0, mg_str_eq(mg_buf_str(&before), mg_buf_str(&after)));
  apply(mg_buf_str(&before), mg_buf_str(&diff));
  assert_true(mg_str_eq(mg_buf_str(&made), mg_buf_str(&after)));
}

static void expect_diff(const char *a, const char *b, const char *wanted) {
  diff.n = 0;
  mg_diff_file(&diff, MG_S("/dir/x.yaml"), mg_str_of(a), mg_str_of(b));
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

static void expect_hunks(const char *a, const char *b, const char *expected) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 1 << 20);
  mg_diff(&out, mg_str_of(a), mg_str_of(b));
  assert_false(out.failed);
  mg_str got = mg_buf_str(&out);
  if (!mg_str_is(got, expected)) fail_msg("got:\n%.*s\nexpected:\n%s", MG_FMT(got), expected);
}

static void same_texts(void **state) {
  (void)state;
  expect_hunks("", "", "");
  expect_hunks("a\nb\n", "a\nb\n", "");
}

static void whole_texts(void **state) {
  (void)state;
  expect_hunks("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
  expect_hunks("a\n", "", "@@ -1 +0,0 @@\n-a\n");
  expect_hunks("a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n");
}

static void context(void **state) {
  (void)state;
  expect_hunks("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n", "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
  expect_hunks("a\nb\nc\nd\n", "a\nb\nc\nd\ne\n", "@@ -2,3 +2,4 @@\n b\n c\n d\n+e\n");
  expect_hunks("a\nb\nc\nd\n", "z\na\nb\nc\nd\n", "@@ -1,3 +1,4 @@\n+z\n a\n b\n c\n");
}

/* Six lines between two changes are the context of both; one more parts them. */
static void hunks(void **state) {
  (void)state;
  expect_hunks("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
       "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
  expect_hunks("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
       "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

static void last_lines(void **state) {
  (void)state;
  expect_hunks("a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  expect_hunks("a\nb", "a\nc", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n");
  expect_hunks("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n");
}

static void shortest(void **state) {
  (void)state;
  expect_hunks("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", "@@ -1,7 +1,6 @@\n-a\n-b\n c\n-a\n b\n+a\n b\n a\n+c\n");
}

static void over_the_limit(void **state) {
  MG_BUF_AUTO out;
  (void)state;
  mg_buf_init(&out, NULL, 8);
  mg_diff(&out, MG_S("a\n"), MG_S("b\n"));
  assert_true(out.failed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_form),   cmocka_unit_test(test_random_edits), cmocka_unit_test(test_large_changes),
      cmocka_unit_test(same_texts),  cmocka_unit_test(whole_texts),       cmocka_unit_test(context),
      cmocka_unit_test(hunks),       cmocka_unit_test(last_lines),        cmocka_unit_test(shortest),
      cmocka_unit_test(over_the_limit),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
