#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "kube/pattern.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static struct mg_arena arena;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, 1 << 20, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return 0;
}

static struct mg_pattern *compile(mg_str text) {
  struct mg_pattern *p = NULL;
  struct mg_err err = {0};
  if (mg_pattern_compile(text, &arena, &p, &err) != 0) fail_msg("%.*s: %s", MG_FMT(text), err.text);
  assert_true(mg_str_eq(mg_pattern_text(p), text));
  return p;
}

static int match(mg_str text, mg_str value) {
  struct mg_pattern *p = compile(text);
  int r = mg_pattern_match(p, value);
  mg_pattern_free(p);
  return r;
}

struct row {
  const char *pattern, *value;
  int want;
};

static void check(const struct row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int got = match(mg_str_of(rows[i].pattern), mg_str_of(rows[i].value));
    if (got != rows[i].want) fail_msg("%s on %s: %d", rows[i].pattern, rows[i].value, got);
  }
}

static void globs(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", "", 1},           {"", "a", 0},          {"a", "", 0},          {"a", "a", 1},         {"a", "ab", 0},
      {"ab", "a", 0},        {"a", "A", 0},         {"ml-*", "ml-", 1},    {"ml-*", "ml-a/b", 1}, {"ml-*", "ml", 0},
      {"ml-*", "xml-a", 0},  {"*", "", 1},          {"*", "a\nb/c", 1},    {"**", "", 1},         {"***a", "a", 1},
      {"*a", "ba", 1},       {"*a", "ab", 0},       {"*a*", "bab", 1},     {"*a*", "bbb", 0},     {"a*b", "ab", 1},
      {"a*b", "axxb", 1},    {"a*b", "axxbc", 0},   {"a*b*c", "abbc", 1},  {"a*b*c", "acb", 0},   {"*ab", "aab", 1},
      {"*abab", "ababab", 1}, {"*aab*", "aaaab", 1}, {"*.*.*", "a.b.c", 1}, {"*.*.*", "a.b", 0},   {"?", "", 0},
      {"?", "a", 1},         {"?", "ab", 0},        {"?", "\n", 1},        {"a?c", "a/c", 1},     {"*?", "", 0},
      {"*?", "a", 1},        {"?*", "abc", 1},      {"*??", "a", 0},       {"*??", "ab", 1},      {"\\*", "\\x", 1},
      {"\\*", "*", 0},       {"a\\", "a\\", 1},     {"a.c", "abc", 0},     {"^a$", "^a$", 1},     {"a]", "a]", 1},
      {"*:latest", "nginx:latest", 1}, {"*:latest", "nginx:latest2", 0}, {"nvidia.com/*", "nvidia.com/gpu", 1},
      {"*a?c*", "aaabc", 1}, {"*[ab]c", "xxacbc", 1},
  };
  check(rows, COUNT(rows));
}

static void classes(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"[a]", "a", 1}, {"[a]", "b", 0}, {"[a]", "", 0}, {"[a]", "aa", 0}, {"[a-c]x", "bx", 1}, {"[a-c]x", "dx", 0},
      {"[a-c]", "B", 0}, {"[abx-z]", "y", 1}, {"[abx-z]", "c", 0}, {"[!a]", "a", 0}, {"[!a]", "b", 1}, {"[^a]", "a", 0},
      {"[^a]", "b", 1}, {"[!a]", "", 0}, {"[!a]", "\n", 1}, {"[a!]", "!", 1}, {"[a^]", "^", 1}, {"[!!]", "!", 0},
      {"[-a]", "-", 1}, {"[a-]", "-", 1}, {"[a-]", "b", 0}, {"[!-]", "-", 0}, {"[]]", "]", 1}, {"[!]]", "]", 0},
      {"[!]]", "a", 1}, {"[]a]", "a", 1}, {"[a-a]", "a", 1}, {"[*]", "*", 1}, {"[*]", "a", 0}, {"[?]", "a", 0}, {"[[]", "[", 1},
      {"[/]", "/", 1}, {"[\\]", "\\", 1}, {"[+--]", ",", 1}, {"v[0-9]*", "v1beta", 1}, {"v[0-9]*", "vb", 0},
      {"*[0-9]", "a1b2", 1}, {"*[0-9]", "a1b", 0}, {"[a-c-e]", "-", 1}, {"[a-c-e]", "d", 0},
  };
  check(rows, COUNT(rows));
}

static void code_points(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"?", "é", 1},
      {"?", "€", 1},
      {"?", "😀", 1},
      {"??", "é", 0},
      {"[é]", "é", 1},
      {"[é]", "è", 0},
      {"[à-é]", "è", 1},
      {"[!é]", "e", 1},
      {"*é", "aéé", 1},
      {"é*", "éa", 1},
      {"a?c", "a€c", 1},
      {"[😀-😂]", "😁", 1},
      {"[a-😂]", "é", 1},
      {"é", "e\u0301", 0},
      {"é?", "éa", 1},
      {"*[é]*", "xéy", 1},
      /* bytes that are no UTF-8 count as one character each, and as none that a pattern can name */
      {"?", "\xFF", 1},
      {"?", "\xC3", 1},
      {"??", "\xC3(", 1},
      {"???", "\xE2\x82(", 1},
      {"??", "\xC0\x80", 1},
      {"???", "\xED\xA0\x80", 1},
      {"*", "\xFF\xFE", 1},
      {"[!a]", "\xFF", 1},
      {"[a-😂]", "\xFF", 0},
      {"\uFFFD", "\xFF", 0},
      {"é", "\xC3", 0},
      {"????", "\xF5\x80\x80\x80", 1},
      {"*é", "\xC3é", 1},
      {"a*", "a\x80", 1},
  };
  check(rows, COUNT(rows));
  assert_int_equal(match(MG_S("a\0*"), MG_S("a\0b")), 1);
  assert_int_equal(match(MG_S("a?b"), MG_S("a\0b")), 1);
  assert_int_equal(match(MG_S("a"), MG_S("a\0")), 0);
  assert_int_equal(match(MG_S(""), (mg_str){0}), 1);
  assert_int_equal(match((mg_str){0}, MG_S("")), 1);
}

static void bad_globs(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t offset;
  } cases[] = {
      {"[", 0}, {"[a", 0}, {"ab[", 2}, {"x[a-", 1}, {"[]", 0}, {"[!]", 0}, {"[^", 0}, {"[!", 0}, {"*[]", 1}, {"[z-a]", 0},
      {"[a-", 0}, {"[a]b[c", 4}, {"[😂-a]", 0}, {"[a-b", 0}, {"\xFF", 0}, {"abc\xC3", 3}, {"[\x80]", 1}, {"/a\xFF/", 2},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct mg_pattern *p = (void *)&arena;
    struct mg_err err = {0};
    int r = mg_pattern_compile(mg_str_of(cases[i].text), &arena, &p, &err);
    if (r != MG_E_SYNTAX || err.code != r || err.offset != cases[i].offset || !err.text[0] || p)
      fail_msg("%s: %d at %zu %s", cases[i].text, r, err.offset, err.text);
    assert_int_equal(mg_pattern_compile(mg_str_of(cases[i].text), &arena, &p, NULL), MG_E_SYNTAX);
  }
}

static void regexes(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"/a+/", "aa", 1}, {"/a+/", "aab", 0}, {"/a+/", "baa", 0}, {"/a+/", "", 0}, {"/a+/", "a\n", 0}, {"/^a$/", "a", 1},
      {"/^a$/", "a\n", 0}, {"/a|ab/", "ab", 1}, {"/a|ab/", "abc", 0}, {"/a|b/", "xb", 0}, {"/.*/", "ab", 1},
      {"/.*/", "a\nb", 0}, {"/(?s).*/", "a\nb", 1}, {"/A/", "a", 0}, {"/(?i)A/", "a", 1}, {"/a\\/b/", "a/b", 1},
      {"/a/b/", "a/b", 1}, {"/[^:]*:latest/", "x:latest", 1}, {"/\\d+/", "12", 1}, {"/\\d+/", "١", 0}, {"/./", "é", 1},
      {"/../", "é", 0}, {"/é+/", "éé", 1}, {"/\\p{L}+/", "éa", 1}, {"/(a)(b)(c)/", "abc", 1}, {"/(?m)^b$/", "a\nb", 0},
      {"/(?!prod-).*/", "dev-a", 1}, {"/(?!prod-).*/", "prod-a", 0}, {"/(a+)\\1/", "aaaa", 1}, {"/(a+)\\1/", "aaa", 0},
      /* a value that is no UTF-8 matches nothing */
      {"/.*/", "\xFF", 0}, {"/(?s).*/", "a\xC3", 0}, {"/a.*/", "a\xED\xA0\x80", 0}, {"/.*/", "\xF5\x80\x80\x80", 0},
      {"/.*/", "\x80", 0},
  };
  check(rows, COUNT(rows));
  assert_int_equal(match(MG_S("/a.b/"), MG_S("a\0b")), 1);
  assert_int_equal(match(MG_S("/a\0b/"), MG_S("a\0b")), 1);
  assert_int_equal(match(MG_S("/a/"), MG_S("a\0")), 0);
  assert_int_equal(match(MG_S("/a*/"), (mg_str){0}), 1);
}

static void slashes(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"/", "/", 1},  {"/", "", 0},       {"//", "", 1},   {"//", "//", 0},     {"//", "a", 0},     {"///", "/", 1},
      {"/a", "/a", 1}, {"/a*", "/abc", 1}, {"a/", "a/", 1}, {"a/*/", "a/b/", 1}, {"/dev/*", "/dev/x", 1}, {"/dev/", "dev", 1},
  };
  check(rows, COUNT(rows));
}

static void bad_regexes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t offset;
  } cases[] = {{"/(/", 2}, {"/a)/", 2}, {"/[a/", 3}, {"/ab*+*/", 5}, {"/\\/", 2}, {"/\\C/", 3}, {"/(?<n/", 5}, {"/a{2,1}/", 6}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct mg_pattern *p = (void *)&arena;
    struct mg_err err = {0};
    int r = mg_pattern_compile(mg_str_of(cases[i].text), &arena, &p, &err);
    if (r != MG_E_SYNTAX || err.offset != cases[i].offset || !err.text[0] || p)
      fail_msg("%s: %d at %zu %s", cases[i].text, r, err.offset, err.text);
  }
}

static void length_limit(void **state) {
  (void)state;
  char text[1026];
  memset(text, 'a', sizeof text);
  for (int regex = 0; regex < 2; regex++) {
    for (size_t n = 1023; n <= 1025; n++) {
      struct mg_pattern *p = NULL;
      struct mg_err err = {0};
      if (regex) text[0] = text[n - 1] = '/';
      int r = mg_pattern_compile((mg_str){text, n}, &arena, &p, &err);
      assert_int_equal(r, n <= 1024 ? 0 : MG_E_LIMIT);
      assert_int_equal(p != NULL, r == 0);
      mg_pattern_free(p);
      text[n - 1] = 'a';
    }
  }
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Neither language lets a value cost more than its share. */
static void hostile_values(void **state) {
  (void)state;
  static char value[65536];
  memset(value, 'a', sizeof value);
  static const char *const slow[] = {
      "*a*a*a*a*a*a*a*a*a*a*b", "*aaaaaaaaaaaaaaaaaaaaaaaaab", "*?a?a?a?a?b*", "*[a][a][a][a][b]",
  };
  static const char *const limited[] = {
      "/(a+)+[bc]/", "/(a|a)*[bc]/", "/(a*)*[bc]/", "/(?:a?){30}a{30}[bc]/", "/(.*)*(.*)*[xy]/",
  };
  double start = seconds();
  for (size_t i = 0; i < COUNT(slow); i++)
    assert_int_equal(match(mg_str_of(slow[i]), (mg_str){value, sizeof value}), 0);
  for (size_t i = 0; i < COUNT(limited); i++) {
    int r = match(mg_str_of(limited[i]), (mg_str){value, 2000});
    if (r != MG_E_LIMIT && r != 0) fail_msg("%s: %d", limited[i], r);
  }
  assert_int_equal(match(MG_S("/(*NO_JIT)(a+)+[bc]/"), (mg_str){value, 2000}), MG_E_LIMIT);
  assert_int_equal(match(MG_S("/(*LIMIT_MATCH=4000000000)(*NO_JIT)(a+)+[bc]/"), (mg_str){value, 2000}), MG_E_LIMIT);
  assert_int_equal(match(MG_S("/(a+)+[bc]/"), (mg_str){value, 2000}), MG_E_LIMIT);
  assert_int_equal(match(MG_S("/(?:(a)|b)*(?R)?[cd]/"), (mg_str){value, sizeof value}), MG_E_LIMIT);
  assert_true(seconds() - start < 5);
}

/* After a match that ran into its limits, the next one is as good as new. */
static void limits_leave_nothing_behind(void **state) {
  (void)state;
  static char value[2000];
  memset(value, 'a', sizeof value);
  struct mg_pattern *p = compile(MG_S("/(a+)+[bc]/"));
  assert_int_equal(mg_pattern_match(p, (mg_str){value, sizeof value}), MG_E_LIMIT);
  assert_int_equal(mg_pattern_match(p, MG_S("aab")), 1);
  assert_int_equal(mg_pattern_match(p, MG_S("aaba")), 0);
  mg_pattern_free(p);
}

static void prefixes(void **state) {
  (void)state;
  static const struct {
    const char *text, *prefix;
    bool whole;
  } cases[] = {
      {"abc", "abc", true}, {"", "", true},   {"ab*", "ab", false}, {"a?c", "a", false}, {"*", "", false},  {"a[b]", "a", false},
      {"é*", "é", false},   {"/", "/", true}, {"/ab", "/ab", true}, {"/ab/", "", false}, {"//", "", false}, {"a]", "a]", true},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct mg_pattern *p = compile(mg_str_of(cases[i].text));
    bool whole = !cases[i].whole;
    mg_str prefix = mg_pattern_prefix(p, &whole);
    if (!mg_str_is(prefix, cases[i].prefix) || whole != cases[i].whole) fail_msg("%s: %.*s", cases[i].text, MG_FMT(prefix));
    mg_pattern_free(p);
  }
}

static void text_is_copied(void **state) {
  (void)state;
  char text[] = "ab*", regex[] = "/ab+/";
  struct mg_pattern *p = compile(mg_str_of(text)), *q = compile(mg_str_of(regex));
  memset(text, 'x', sizeof text - 1);
  memset(regex, 'x', sizeof regex - 1);
  assert_int_equal(mg_pattern_match(p, MG_S("abc")), 1);
  assert_true(mg_str_is(mg_pattern_text(q), "/ab+/"));
  mg_pattern_free(p);
  mg_pattern_free(q);
}

static void free_takes_anything(void **state) {
  (void)state;
  struct mg_pattern *p = compile(MG_S("/a/"));
  mg_pattern_free(p);
  mg_pattern_free(p);
  mg_pattern_free(NULL);
}

static void out_of_memory(void **state) {
  (void)state;
  int r = MG_E_NOMEM, failures = 0;
  for (size_t memory = 0; memory < 4096 && r != 0; memory += 8) {
    struct mg_arena small;
    struct mg_pattern *p = NULL;
    struct mg_err err = {0};
    mg_arena_init(&small, memory, 0);
    r = mg_pattern_compile(MG_S("/a+/"), &small, &p, &err);
    assert_true(r == 0 ? p != NULL : r == MG_E_NOMEM && err.code == r && !p);
    failures += r != 0;
    mg_pattern_free(p);
    mg_arena_fini(&small);
  }
  assert_int_equal(r, 0);
  assert_true(failures > 3);
}

static void *match_often(void *arg) {
  const struct mg_pattern *const *patterns = arg;
  for (int i = 0; i < 2000; i++) {
    if (mg_pattern_match(patterns[0], MG_S("team-abc")) != 1) return arg;
    if (mg_pattern_match(patterns[0], MG_S("team-ABC")) != 0) return arg;
    if (mg_pattern_match(patterns[1], MG_S("ml-abc")) != 1) return arg;
  }
  return NULL;
}

/* Threads that come and go share the patterns; under the sanitizers, what each made for itself is gone with it. */
static void threads(void **state) {
  (void)state;
  struct mg_pattern *patterns[] = {compile(MG_S("/(?:team|user)-[a-z]+/")), compile(MG_S("ml-*"))};
  for (int round = 0; round < 3; round++) {
    pthread_t ids[4];
    for (size_t i = 0; i < COUNT(ids); i++) assert_int_equal(pthread_create(&ids[i], NULL, match_often, patterns), 0);
    for (size_t i = 0; i < COUNT(ids); i++) {
      void *wrong = patterns;
      assert_int_equal(pthread_join(ids[i], &wrong), 0);
      assert_null(wrong);
    }
  }
  mg_pattern_free(patterns[0]);
  mg_pattern_free(patterns[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(globs),
      cmocka_unit_test(classes),
      cmocka_unit_test(code_points),
      cmocka_unit_test(bad_globs),
      cmocka_unit_test(regexes),
      cmocka_unit_test(slashes),
      cmocka_unit_test(bad_regexes),
      cmocka_unit_test(length_limit),
      cmocka_unit_test(hostile_values),
      cmocka_unit_test(limits_leave_nothing_behind),
      cmocka_unit_test(prefixes),
      cmocka_unit_test(text_is_copied),
      cmocka_unit_test(free_takes_anything),
      cmocka_unit_test(out_of_memory),
      cmocka_unit_test(threads),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
