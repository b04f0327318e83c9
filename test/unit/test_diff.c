/* base/diff: hunks, their ranges, and texts of every odd form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "base/diff.h"

static void diff(const char *before, const char *after, const char *expected) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 1 << 20);
  mg_diff(&out, mg_str_of(before), mg_str_of(after));
  assert_false(out.failed);
  mg_str got = mg_buf_str(&out);
  if (!mg_str_is(got, expected)) fail_msg("got:\n%.*s\nexpected:\n%s", MG_FMT(got), expected);
}

static void same_texts(void **state) {
  (void)state;
  diff("", "", "");
  diff("a\nb\n", "a\nb\n", "");
}

static void whole_texts(void **state) {
  (void)state;
  diff("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
  diff("a\n", "", "@@ -1 +0,0 @@\n-a\n");
  diff("a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n");
}

static void context(void **state) {
  (void)state;
  diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n", "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
  diff("a\nb\nc\nd\n", "a\nb\nc\nd\ne\n", "@@ -2,3 +2,4 @@\n b\n c\n d\n+e\n");
  diff("a\nb\nc\nd\n", "z\na\nb\nc\nd\n", "@@ -1,3 +1,4 @@\n+z\n a\n b\n c\n");
}

/* Six lines between two changes are the context of both; one more parts them. */
static void hunks(void **state) {
  (void)state;
  diff("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
       "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
  diff("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
       "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

static void last_lines(void **state) {
  (void)state;
  diff("a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  diff("a\nb", "a\nc", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n");
  diff("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n");
}

static void shortest(void **state) {
  (void)state;
  diff("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", "@@ -1,7 +1,6 @@\n-a\n-b\n c\n-a\n b\n+a\n b\n a\n+c\n");
}

/* The table would be too large: everything between the common ends is one change, and nothing is lost. */
static void large(void **state) {
  MG_BUF_AUTO before, after, out;
  (void)state;
  mg_buf_init(&before, NULL, 1 << 20);
  mg_buf_init(&after, NULL, 1 << 20);
  mg_buf_init(&out, NULL, 1 << 20);
  for (int i = 0; i < 5000; i++) mg_buf_printf(&before, "%d\n", i), mg_buf_printf(&after, "%d\n", i == 10 || i == 4990 ? -i : i);
  mg_diff(&out, mg_buf_str(&before), mg_buf_str(&after));
  assert_false(out.failed);
  assert_true(mg_str_starts(mg_buf_str(&out), MG_S("@@ -8,4987 +8,4987 @@\n 7\n 8\n 9\n-10\n-11\n")));
  assert_true(mg_str_ends(mg_buf_str(&out), MG_S("+4989\n+-4990\n 4991\n 4992\n 4993\n")));
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
      cmocka_unit_test(same_texts), cmocka_unit_test(whole_texts), cmocka_unit_test(context),  cmocka_unit_test(hunks),
      cmocka_unit_test(last_lines), cmocka_unit_test(shortest),    cmocka_unit_test(large), cmocka_unit_test(over_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
