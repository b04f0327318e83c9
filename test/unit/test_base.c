#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/when.h"

#define REPL "\xEF\xBF\xBD"

static void assert_str(mg_str got, const char *want) {
  if (!mg_str_is(got, want)) fail_msg("got \"%.*s\", want \"%s\"", MG_FMT(got), want);
}

/* --- str --- */

static void str_compares(void **state) {
  (void)state;
  assert_int_equal(mg_str_cmp(MG_S("a"), MG_S("a")), 0);
  assert_int_equal(mg_str_cmp((mg_str){0}, MG_S("")), 0);
  assert_true(mg_str_cmp((mg_str){0}, MG_S("a")) < 0);
  assert_true(mg_str_cmp(MG_S("ab"), MG_S("a")) > 0);
  assert_true(mg_str_cmp(MG_S("a\0b"), MG_S("a\0c")) < 0);
  assert_true(mg_str_cmp(MG_S("\xFF"), MG_S("a")) > 0);
  assert_true(mg_str_eq((mg_str){0}, MG_S("")));
  assert_false(mg_str_eq(MG_S("a\0b"), MG_S("a\0c")));
}

static void str_with_nul(void **state) {
  (void)state;
  char text[64], many[2 * MG_STR_SHOWN] = "";
  mg_str none = MG_S("a\xC3\xA4");
  assert_ptr_equal(mg_str_shown(none).p, none.p);
  assert_str(mg_str_shown((mg_str){0}), "");
  snprintf(text, sizeof text, "<%.*s> <%.*s>", MG_FMT(MG_S("c\0d")), MG_FMT(MG_S("\0")));
  assert_string_equal(text, "<c\xEF\xBF\xBD" "d> <\xEF\xBF\xBD>");
  assert_int_equal(mg_str_shown((mg_str){many, sizeof many}).n, MG_STR_SHOWN / 3 * 3);
}

static void str_searches(void **state) {
  (void)state;
  assert_int_equal(mg_str_find(MG_S("abc"), 'c'), 2);
  assert_int_equal(mg_str_find(MG_S("abc"), 'd'), 3);
  assert_int_equal(mg_str_find((mg_str){0}, 'd'), 0);
  mg_str rest = MG_S("a,,b");
  assert_str(mg_str_cut(&rest, ','), "a");
  assert_str(mg_str_cut(&rest, ','), "");
  assert_str(rest, "b");
  assert_str(mg_str_cut(&rest, ','), "b");
  assert_int_equal(rest.n, 0);
  assert_str(mg_str_cut(&rest, ','), "");
  assert_int_equal(mg_str_find(MG_S("a\0b"), 'b'), 2);
  assert_true(mg_str_has(MG_S("a\0bc"), MG_S("\0b")));
  assert_true(mg_str_has(MG_S("abc"), MG_S("")));
  assert_true(mg_str_has((mg_str){0}, (mg_str){0}));
  assert_false(mg_str_has((mg_str){0}, MG_S("a")));
  assert_false(mg_str_has(MG_S("ab"), MG_S("abc")));
  assert_str(mg_str_from(MG_S("abc"), 1), "bc");
  assert_int_equal(mg_str_from(MG_S("abc"), 4).n, 0);
  assert_true(mg_str_starts(MG_S("abc"), MG_S("ab")) && !mg_str_starts(MG_S("a"), MG_S("ab")));
  assert_true(mg_str_ends(MG_S("abc"), MG_S("bc")) && !mg_str_ends(MG_S("c"), MG_S("bc")));
}

/* Every byte sequence of up to four bytes from a set of borders, against the definition by code points. */
static size_t utf8_by_definition(const unsigned char *s, size_t left) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (left == 0) return 0;
  size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xE0) == 0xC0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : (s[0] & 0xF8) == 0xF0 ? 4 : 0;
  if (n < 2) return n;
  if (n > left) return 0;
  uint32_t point = s[0] & (0xFFu >> (n + 1));
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
    point = point << 6 | (s[i] & 0x3Fu);
  }
  return point < least[n] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF) ? 0 : n;
}

static void utf8_accepts_exactly_what_is_well_formed(void **state) {
  (void)state;
  static const unsigned char borders[] = {0x00, 0x22, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                          0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF};
  const size_t k = sizeof(borders);
  for (size_t i = 0; i < k * k * k * k; i++) {
    unsigned char s[4] = {borders[i % k], borders[i / k % k], borders[i / k / k % k], borders[i / k / k / k]};
    for (size_t n = 0; n <= 4; n++) {
      const char *p = (const char *)s;
      if (mg_utf8_len(p, p + n) != utf8_by_definition(s, n)) fail_msg("%02x %02x %02x %02x of %zu", s[0], s[1], s[2], s[3], n);
    }
  }
  assert_int_equal(mg_utf8_point("\xF4\x8F\xBF\xBF", 4), 0x10FFFF);
  assert_int_equal(mg_utf8_point("\xE2\x82\xAC", 3), 0x20AC);
  assert_int_equal(mg_utf8_point("\xC3\xA9", 2), 0xE9);
}

static void utf8_plain_stops_at_the_first_byte_that_matters(void **state) {
  (void)state;
  char text[40];
  for (int byte = 0; byte < 256; byte++) {
    bool stops = byte == '"' || byte == '\\' || byte < 0x20 || byte >= 0x80;
    for (size_t at = 0; at < 24; at++) {
      memset(text, 'a', sizeof(text));
      text[at] = (char)byte;
      text[at + 1] = (char)(at % 3 ? '"' : 0xFF); /* a second hit must not hide the first, nor pull it forward */
      assert_ptr_equal(mg_utf8_plain(text, text + sizeof(text)), text + at + !stops);
      assert_ptr_equal(mg_utf8_plain(text, text + at), text + at);
    }
  }
}

/* --- err --- */

static void err_is_filled_and_wrapped(void **state) {
  (void)state;
  struct mg_err err = {.line = 7, .column = 8, .offset = 9};
  assert_int_equal(mg_err_set(&err, MG_E_LIMIT, "more than %d", 5), MG_E_LIMIT);
  assert_int_equal(err.code, MG_E_LIMIT);
  assert_int_equal(err.line + err.column + err.offset, 0);
  assert_string_equal(err.text, "more than 5");
  err.line = 3;
  assert_int_equal(mg_err_wrap(&err, "file %s", "x.yaml"), MG_E_LIMIT);
  assert_string_equal(err.text, "file x.yaml: more than 5");
  assert_int_equal(err.line, 3);
  mg_err_set(&err, MG_E_IO, "again: %s", err.text);
  assert_string_equal(err.text, "again: file x.yaml: more than 5");
  mg_err_set(&err, MG_E_IO, "a\tb\nc\x1b[1m\x7f \u00fc");
  assert_string_equal(err.text, "a b c?[1m? \u00fc");
  assert_int_equal(mg_err_set(NULL, MG_E_IO, "x"), MG_E_IO);
  assert_true(mg_err_wrap(NULL, "x") < 0);
}

static void err_cuts_long_texts_between_characters(void **state) {
  (void)state;
  char text[2 * MG_ERR_TEXT];
  struct mg_err err;
  for (size_t n = MG_ERR_TEXT - 6; n < MG_ERR_TEXT + 6; n++) {
    memset(text, 'a', sizeof(text));
    memcpy(text + n, "\xF0\x9F\x98\x80zzzzzzzzzzzzz", 18);
    mg_err_set(&err, MG_E_IO, "%s", text);
    size_t want = n + 4 <= MG_ERR_TEXT - 1 ? MG_ERR_TEXT - 1 : n < MG_ERR_TEXT - 1 ? n : MG_ERR_TEXT - 1;
    assert_int_equal(strlen(err.text), n + 18 <= MG_ERR_TEXT ? n + 17 : want);
    mg_err_wrap(&err, "%s", text);
    assert_true(strlen(err.text) < MG_ERR_TEXT);
  }
  mg_err_set(&err, MG_E_IO, "b");
  memset(text, 'a', sizeof(text));
  text[MG_ERR_TEXT - 4] = '\0';
  mg_err_wrap(&err, "%s", text);
  assert_string_equal(err.text + MG_ERR_TEXT - 4, ": b");
}

/* --- when --- */

static void when_is_written(void **state) {
  (void)state;
  char room[MG_WHEN_ROOM];
  assert_string_equal(mg_when_text(0, room), "1970-01-01T00:00:00Z");
  assert_string_equal(mg_when_text(1801440000, room), "2027-02-01T00:00:00Z");
  assert_string_equal(mg_when_text(INT64_MAX, room), "?");
}

/* --- arena --- */

static void arena_gives_aligned_memory_that_stays(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, (size_t)8 << 20, 0);
  unsigned char *blocks[2000];
  for (size_t i = 0; i < 2000; i++) {
    blocks[i] = mg_arena_alloc(&arena, i);
    assert_non_null(blocks[i]);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    memset(blocks[i], (int)(i & 0xFF), i);
  }
  for (size_t i = 0; i < 2000; i++)
    for (size_t k = 0; k < i; k++) assert_int_equal(blocks[i][k], i & 0xFF);
  const char *zero = mg_arena_zero(&arena, 100, 100);
  for (size_t i = 0; i < 10000; i++) assert_int_equal(zero[i], 0);
  assert_false(arena.failed);
  mg_arena_fini(&arena);
  mg_arena_fini(&arena);
  struct mg_arena zeroed = {0};
  assert_null(mg_arena_alloc(&zeroed, 1));
  mg_arena_fini(&zeroed);
}

static void arena_keeps_its_limit(void **state) {
  (void)state;
  for (size_t max = 0; max <= 128; max += 16) {
    for (size_t want = 0; want <= 144; want++) {
      struct mg_arena arena;
      mg_arena_init(&arena, max, 0);
      size_t rounded = want ? (want + 15) / 16 * 16 : 16;
      void *p = mg_arena_alloc(&arena, want);
      assert_int_equal(p != NULL, rounded <= max);
      assert_int_equal(arena.failed, p == NULL);
      assert_true(arena.used <= max);
      mg_arena_fini(&arena);
    }
  }
}

static void arena_stays_failed_until_it_is_reset(void **state) {
  (void)state;
  volatile size_t huge = SIZE_MAX; /* not to be seen by the compiler */
  struct mg_arena arena;
  mg_arena_init(&arena, 1024, 1024);
  assert_null(mg_arena_alloc(&arena, 1025));
  assert_null(mg_arena_alloc(&arena, 1));
  assert_null(mg_arena_dup(&arena, MG_S("x")).p);
  assert_null(mg_arena_printf(&arena, "%d", 1).p);
  assert_true(arena.failed);
  mg_arena_reset(&arena);
  assert_non_null(mg_arena_alloc(&arena, 1024));
  assert_null(mg_arena_zero(&arena, huge / 2, 3));
  mg_arena_reset(&arena);
  assert_null(mg_arena_alloc(&arena, huge));
  mg_arena_reset(&arena);
  assert_null(mg_arena_dup(&arena, (mg_str){"x", huge}).p);
  mg_arena_fini(&arena);
}

static void arena_takes_from_a_budget(void **state) {
  (void)state;
  struct mg_budget budget = {.max = 100000};
  struct mg_arena one, two;
  mg_arena_init(&one, (size_t)1 << 20, 32768), mg_arena_init(&two, (size_t)1 << 20, 32768);
  one.budget = two.budget = &budget;
  assert_non_null(mg_arena_alloc(&one, 30000));
  assert_int_equal(budget.used, 0); /* it is kept */
  assert_non_null(mg_arena_alloc(&one, 60000));
  assert_in_range(budget.used, 60000, 100000);
  assert_non_null(mg_arena_alloc(&two, 30000));
  assert_null(mg_arena_alloc(&two, 60000));
  assert_true(two.failed && two.crowded);
  assert_in_range(budget.used, 60000, 100000);
  mg_arena_reset(&one);
  assert_int_equal(budget.used, 0);
  mg_arena_reset(&two);
  assert_false(two.failed || two.crowded);
  char *p = mg_arena_alloc(&two, 20000); /* grows from what is kept into what is not, alone in its chunk */
  p = mg_arena_grow(&two, p, 20000, 90000);
  assert_non_null(p);
  assert_in_range(budget.used, 90000, 100000);
  assert_null(mg_arena_grow(&two, p, 90000, 200000));
  assert_true(two.crowded);
  mg_arena_fini(&one);
  mg_arena_fini(&two);
  assert_int_equal(budget.used, 0);
}

static void budget_is_never_overdrawn(void **state) {
  (void)state;
  struct mg_budget budget = {.max = 10};
  assert_true(mg_budget_take(&budget, 10));
  assert_false(mg_budget_take(&budget, 1));
  assert_false(mg_budget_take(&budget, SIZE_MAX));
  mg_budget_give(&budget, 4);
  assert_true(mg_budget_take(&budget, 4));
  assert_false(mg_budget_take(&budget, SIZE_MAX - 3));
  assert_int_equal(budget.used, 10);
}

static void arena_reuses_what_a_reset_keeps(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, (size_t)4 << 20, (size_t)4 << 20);
  for (size_t i = 0; i < 100; i++) mg_arena_alloc(&arena, 3000);
  size_t used = arena.used;
  struct mg_arena_chunk *first = arena.first;
  for (int round = 0; round < 3; round++) {
    mg_arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_ptr_equal(arena.first, first);
    for (size_t i = 0; i < 100; i++) assert_non_null(mg_arena_alloc(&arena, 3000));
    assert_int_equal(arena.used, used);
  }
  arena.keep = 0;
  mg_arena_reset(&arena);
  assert_null(arena.first);
  /* What is kept never lets a later round pass the limit, whatever the order of sizes. */
  mg_arena_init(&arena, 400000, 400000);
  for (size_t round = 0; round < 40; round++) {
    for (size_t i = 0; i < 12; i++) {
      mg_arena_alloc(&arena, (round * 7919 + i * 104729) % 150000);
      assert_true(arena.used <= arena.max);
    }
    mg_arena_reset(&arena);
  }
  assert_non_null(mg_arena_alloc(&arena, 400000));
  mg_arena_fini(&arena);
}

static void arena_grows_blocks(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  char *p = mg_arena_grow(&arena, NULL, 0, 10);
  memcpy(p, "0123456789", 10);
  assert_ptr_equal(mg_arena_grow(&arena, p, 10, 4000), p); /* the newest one grows in place */
  char *other = mg_arena_alloc(&arena, 8);
  char *moved = mg_arena_grow(&arena, p, 4000, 5000);
  assert_ptr_not_equal(moved, p);
  assert_memory_equal(moved, "0123456789", 10);
  memset(other, 'x', 8);
  assert_ptr_equal(mg_arena_grow(&arena, moved, 5000, 16), moved); /* shrinks and gives the rest back */
  assert_ptr_equal(mg_arena_alloc(&arena, 8), moved + 16);
  assert_ptr_equal(mg_arena_grow(&arena, other, 8, 4), other);
  mg_arena_fini(&arena);
}

static void arena_doubles_a_large_block_without_leaving_copies(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  size_t size = 1000;
  unsigned char *p = mg_arena_alloc(&arena, size);
  for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(i * 31);
  while (size < (size_t)16 << 20) {
    assert_non_null(mg_arena_alloc(&arena, 24)); /* something always comes between */
    p = mg_arena_grow(&arena, p, size, size * 2);
    assert_non_null(p);
    for (size_t i = size; i < size * 2; i++) p[i] = (unsigned char)(i * 31);
    size *= 2;
  }
  for (size_t i = 0; i < size; i++) assert_int_equal(p[i], (unsigned char)(i * 31));
  assert_true(arena.used < size + ((size_t)2 << 20));
  size_t room = arena.max - arena.used;
  assert_null(mg_arena_grow(&arena, p, size, size + room + 8));
  assert_true(arena.failed);
  mg_arena_fini(&arena);
}

static void arena_makes_room_for_items(void **state) {
  (void)state;
  struct mg_arena arena;
  uint32_t *items = NULL;
  size_t cap = 0, count = 0;
  mg_arena_init(&arena, 100000, 0);
  for (; count < 1000; count++) {
    size_t before = cap;
    items = mg_arena_room(&arena, items, &cap, count, sizeof *items);
    assert_non_null(items);
    assert_true(cap > count);
    assert_true(cap == before || cap == 2 * before || !before);
    items[count] = (uint32_t)count;
  }
  for (size_t i = 0; i < count; i++) assert_int_equal(items[i], i);
  const size_t full = cap;
  assert_null(mg_arena_room(&arena, items, &cap, cap, 100));
  assert_int_equal(cap, full);
  mg_arena_fini(&arena);
}

/* Thousands of objects of one file are held in one arena, and each grows a little. */
static void arena_grows_small_blocks_among_many_chunks(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, SIZE_MAX, 0);
  for (int i = 0; i < 4000; i++) assert_non_null(mg_arena_alloc(&arena, (size_t)128 << 10));
  clock_t start = clock();
  for (int i = 0; i < 400000; i++) {
    char *p = mg_arena_alloc(&arena, 16);
    assert_non_null(mg_arena_alloc(&arena, 16)); /* so that it is not the newest one */
    assert_non_null(mg_arena_grow(&arena, p, 16, 32));
  }
  assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 3);
  mg_arena_fini(&arena);
}

static void arena_prints(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, 10000, 0);
  for (int n = 250; n < 260; n++) {
    mg_str s = mg_arena_printf(&arena, "%*d", n, 7);
    assert_int_equal(s.n, n);
    assert_int_equal(s.p[n - 1], '7');
    assert_int_equal(s.p[n], '\0');
  }
  mg_str copy = mg_arena_dup(&arena, (mg_str){0});
  assert_non_null(copy.p);
  assert_int_equal(copy.n, 0);
  assert_int_equal(copy.p[0], '\0');
  mg_arena_fini(&arena);
}

/* --- buf --- */

static void buf_keeps_its_limit_exactly(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, 100000, 0);
  for (int use_arena = 0; use_arena < 2; use_arena++) {
    for (size_t max = 0; max < 600; max += 37) {
      MG_BUF_AUTO buf;
      mg_buf_init(&buf, use_arena ? &arena : NULL, max);
      for (size_t i = 0; i < max; i++) mg_buf_byte(&buf, 'a');
      assert_false(buf.failed);
      assert_int_equal(buf.n, max);
      mg_buf_byte(&buf, 'b');
      assert_true(buf.failed);
      mg_buf_lit(&buf, "");
      mg_buf_lit(&buf, "x");
      assert_int_equal(buf.n, max);
      assert_null(mg_buf_room(&buf, 0));
    }
    MG_BUF_AUTO buf;
    mg_buf_init(&buf, use_arena ? &arena : NULL, 300);
    mg_buf_printf(&buf, "%299d", 1);
    mg_buf_printf(&buf, "%s", "x");
    assert_false(buf.failed);
    assert_int_equal(buf.n, 300);
    assert_int_equal(buf.p[299], 'x');
    mg_buf_printf(&buf, "%s", "");
    assert_false(buf.failed);
    mg_buf_printf(&buf, "y");
    assert_true(buf.failed);
    assert_int_equal(buf.n, 300);
  }
  mg_arena_fini(&arena);
}

static void buf_room_is_for_the_caller(void **state) {
  (void)state;
  MG_BUF_AUTO buf;
  mg_buf_init(&buf, NULL, SIZE_MAX);
  char *room = mg_buf_room(&buf, 5000);
  assert_non_null(room);
  memset(room, 'r', 5000);
  buf.n += 5000;
  mg_buf_lit(&buf, "!");
  assert_int_equal(buf.n, 5001);
  assert_int_equal(buf.p[5000], '!');
  assert_null(mg_buf_room(&buf, SIZE_MAX / 2));
  assert_true(buf.failed);
}

static void buf_fails_with_its_arena(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, 500, 0);
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 10000);
  for (int i = 0; i < 1000; i++) mg_buf_byte(&buf, 'a');
  assert_true(buf.failed);
  assert_true(arena.failed);
  mg_arena_fini(&arena);
}

typedef void (*put)(struct mg_buf *buf, mg_str s);

static void check_put(put f, mg_str in, const char *want) {
  MG_BUF_AUTO buf;
  mg_buf_init(&buf, NULL, 100000);
  f(&buf, in);
  mg_buf_byte(&buf, '|');
  assert_false(buf.failed);
  mg_str got = {buf.p, buf.n - 1};
  if (!mg_str_is(got, want)) fail_msg("got <%.*s>, want <%s>", MG_FMT(got), want);
}

static void buf_json_escapes(void **state) {
  (void)state;
  check_put(mg_buf_json, (mg_str){0}, "\"\"");
  check_put(mg_buf_json, MG_S("plain text of more than eight bytes"), "\"plain text of more than eight bytes\"");
  check_put(mg_buf_json, MG_S("\"\\/"), "\"\\\"\\\\/\"");
  check_put(mg_buf_json, MG_S("\n\t\r\b\f"), "\"\\n\\t\\r\\b\\f\"");
  check_put(mg_buf_json, MG_S("\0\x01\x1F\x0B"), "\"\\u0000\\u0001\\u001f\\u000b\"");
  check_put(mg_buf_json, MG_S("\x7F\xE2\x80\xA8\xE2\x80\xA9"), "\"\x7F\xE2\x80\xA8\xE2\x80\xA9\"");
  check_put(mg_buf_json, MG_S("h\xC3\xA9llo \xF0\x9F\x98\x80"), "\"h\xC3\xA9llo \xF0\x9F\x98\x80\"");
  check_put(mg_buf_json, MG_S("a\xFF" "b"), "\"a" REPL "b\"");
  check_put(mg_buf_json, MG_S("\xED\xA0\x80"), "\"" REPL REPL REPL "\"");
  check_put(mg_buf_json, MG_S("\xE2\x82"), "\"" REPL REPL "\"");
  check_put(mg_buf_json, MG_S("\xC0\xAF"), "\"" REPL REPL "\"");
}

static void buf_clean_shows_what_hides(void **state) {
  (void)state;
  check_put(mg_buf_clean, (mg_str){0}, "");
  check_put(mg_buf_clean, MG_S("a\tb\nc"), "a" REPL "b" REPL "c");
  check_put(mg_buf_clean, MG_S("\x1B[31m"), REPL "[31m");
  check_put(mg_buf_clean, MG_S("a\0b\x7F"), "a" REPL "b" REPL);
  check_put(mg_buf_clean, MG_S("\xC2\x80\xC2\x9F\xC2\xA0"), REPL REPL "\xC2\xA0");
  check_put(mg_buf_clean, MG_S("\xE2\x80\x8D\xE2\x80\x8E\xE2\x80\x8F\xE2\x80\x90"), "\xE2\x80\x8D" REPL REPL "\xE2\x80\x90");
  check_put(mg_buf_clean, MG_S("\xD8\x9C"), REPL);
  check_put(mg_buf_clean, MG_S("\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAA\xE2\x80\xAE\xE2\x80\xAF"),
            REPL REPL REPL REPL "\xE2\x80\xAF");
  check_put(mg_buf_clean, MG_S("\xE2\x81\xA5\xE2\x81\xA6\xE2\x81\xA9\xE2\x81\xAA"), "\xE2\x81\xA5" REPL REPL "\xE2\x81\xAA");
  check_put(mg_buf_clean, MG_S("\xEF\xBB\xBFx\xFFy"), REPL "x" REPL "y");
  check_put(mg_buf_clean, MG_S("\"\\ gr\xC3\xBC\xC3\x9F"), "\"\\ gr\xC3\xBC\xC3\x9F");
  check_put(mg_buf_json_clean, MG_S("a\x1B\"\n"), "\"a" REPL "\\\"" REPL "\"");
}

static void buf_base64_pads(void **state) {
  (void)state;
  check_put(mg_buf_base64, (mg_str){0}, "");
  check_put(mg_buf_base64, MG_S("f"), "Zg==");
  check_put(mg_buf_base64, MG_S("fo"), "Zm8=");
  check_put(mg_buf_base64, MG_S("foo"), "Zm9v");
  check_put(mg_buf_base64, MG_S("foob"), "Zm9vYg==");
  check_put(mg_buf_base64, MG_S("fooba"), "Zm9vYmE=");
  check_put(mg_buf_base64, MG_S("foobar"), "Zm9vYmFy");
  check_put(mg_buf_base64, MG_S("\xFF\xFE\xFB\x00"), "//77AA==");
  MG_BUF_AUTO buf;
  mg_buf_init(&buf, NULL, 7);
  mg_buf_base64(&buf, MG_S("foob"));
  assert_true(buf.failed);
  assert_int_equal(buf.n, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(str_compares),
    cmocka_unit_test(str_with_nul),
    cmocka_unit_test(str_searches),
    cmocka_unit_test(utf8_accepts_exactly_what_is_well_formed),
    cmocka_unit_test(utf8_plain_stops_at_the_first_byte_that_matters),
    cmocka_unit_test(err_is_filled_and_wrapped),
    cmocka_unit_test(err_cuts_long_texts_between_characters),
    cmocka_unit_test(when_is_written),
    cmocka_unit_test(arena_gives_aligned_memory_that_stays),
    cmocka_unit_test(arena_keeps_its_limit),
    cmocka_unit_test(arena_stays_failed_until_it_is_reset),
    cmocka_unit_test(arena_takes_from_a_budget),
    cmocka_unit_test(budget_is_never_overdrawn),
    cmocka_unit_test(arena_reuses_what_a_reset_keeps),
    cmocka_unit_test(arena_grows_blocks),
    cmocka_unit_test(arena_makes_room_for_items),
    cmocka_unit_test(arena_doubles_a_large_block_without_leaving_copies),
    cmocka_unit_test(arena_grows_small_blocks_among_many_chunks),
    cmocka_unit_test(arena_prints),
    cmocka_unit_test(buf_keeps_its_limit_exactly),
    cmocka_unit_test(buf_room_is_for_the_caller),
    cmocka_unit_test(buf_fails_with_its_arena),
    cmocka_unit_test(buf_json_escapes),
    cmocka_unit_test(buf_clean_shows_what_hides),
    cmocka_unit_test(buf_base64_pads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
