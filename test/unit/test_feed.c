/* cluster/feed.c: lists and watches as bytes, in whatever pieces they come, and what is known after them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/feed.h"

static struct mg_feed feed;
static struct mg_err err;

static int set_up(void **state) {
  (void)state;
  mg_feed_init(&feed, MG_CTX_NAMESPACE);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mg_feed_fini(&feed);
  return 0;
}

static int page(const char *text, bool *ret_more) {
  mg_feed_begin(&feed);
  int code = mg_feed_page_bytes(&feed, mg_str_of(text), &err);
  return code < 0 ? code : mg_feed_page_end(&feed, ret_more, &err);
}

static int watch(const char *text, bool *ret_gone) {
  return mg_feed_watch_bytes(&feed, mg_str_of(text), ret_gone, &err);
}

/* "a=x b=y @7": names with their label t, and the version; the list is sorted. */
static void expect_known(const char *want) {
  struct mg_buf text;
  mg_buf_init(&text, NULL, 65536);
  for (uint32_t i = 0; i < feed.known.count; i++) {
    mg_node labels = MG_GET(MG_GET(feed.known.items[i]->object, "metadata"), "labels");
    mg_buf_printf(&text, "%.*s=%.*s ", MG_FMT(feed.known.items[i]->name), MG_FMT(mg_string(MG_GET(labels, "t"))));
  }
  mg_buf_printf(&text, "@%s", feed.version);
  mg_buf_byte(&text, '\0');
  assert_string_equal(text.p, want);
  mg_buf_fini(&text);
}

#define ITEM(name, t) "{\"metadata\":{\"name\":\"" name "\",\"labels\":{\"t\":\"" t "\"}}}"
#define EVENT(type, name, t, version)                                                                                            \
  "{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version                        \
  "\",\"labels\":{\"t\":\"" t "\"}}}}\n"

static void list_two(void) {
  bool more = true;
  assert_int_equal(page("{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" ITEM("b", "1") "," ITEM("a", "2") "]}", &more),
                   0);
  assert_false(more);
}

static void test_pages(void **state) {
  (void)state;
  bool more = false;
  assert_int_equal(page("{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":\"x/y\"},\"items\":[" ITEM("b", "1") "]}", &more),
                   0);
  assert_true(more);
  assert_string_equal(feed.next, "x/y");
  assert_false(feed.changed);
  expect_known("@");
  assert_int_equal(page("{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" ITEM("a", "2") "]}", &more), 0);
  assert_false(more);
  assert_true(feed.changed);
  expect_known("a=2 b=1 @5");
  assert_int_equal(page("{\"metadata\":{\"resourceVersion\":\"6\"},\"items\":null}", &more), 0);
  expect_known("@6");
}

/* What was known stays until the next list is whole. */
static void test_restart(void **state) {
  (void)state;
  bool more = false;
  list_two();
  assert_int_equal(page("{\"metadata\":{\"resourceVersion\":\"8\",\"continue\":\"x\"},\"items\":[" ITEM("lost", "1") "]}", &more),
                   0);
  mg_feed_restart(&feed);
  expect_known("a=2 b=1 @");
  assert_string_equal(feed.next, "");
  assert_int_equal(page("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" ITEM("c", "3") "]}", &more), 0);
  expect_known("c=3 @9");
}

static const char events[] =
    EVENT("ADDED", "c", "3", "6") "\n" EVENT("MODIFIED", "a", "4", "7") "\r\n" EVENT("DELETED", "b", "1", "8") EVENT(
        "DELETED", "never", "",
        "9") "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"12\"}}}\n" EVENT("ADDED", "half", "", "13");

/* The same whatever the pieces are. */
static void test_events(void **state) {
  (void)state;
  for (size_t size = 1; size < sizeof events; size += 7) {
    bool gone = true;
    mg_feed_clear(&feed);
    list_two();
    feed.changed = false;
    uint64_t before = feed.events;
    for (size_t at = 0; at < sizeof events - 2; at += size) { /* all but the last newline */
      size_t n = size < sizeof events - 2 - at ? size : sizeof events - 2 - at;
      assert_int_equal(mg_feed_watch_bytes(&feed, (mg_str){events + at, n}, &gone, &err), 0);
      assert_false(gone);
    }
    expect_known("a=4 c=3 @12");
    assert_int_equal(feed.events - before, 5);
    assert_true(feed.changed);
  }
}

/* An event that changes nothing that a policy could read is no change. */
static void test_same(void **state) {
  (void)state;
  bool gone;
  list_two();
  feed.changed = false;
  assert_int_equal(watch(EVENT("MODIFIED", "a", "2", "30"), &gone), 0);
  assert_int_equal(watch(EVENT("DELETED", "never", "2", "31"), &gone), 0);
  assert_false(feed.changed);
  expect_known("a=2 b=1 @31");
  assert_int_equal(watch(EVENT("MODIFIED", "a", "3", "32"), &gone), 0);
  assert_true(feed.changed);
}

static void test_bad_events(void **state) {
  (void)state;
  static const char *const bad[] = {
      "{\"type\":\"SOMETHING\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n",
      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n",
      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n",
      "{\"type\":\"BOOKMARK\",\"object\":{}}\n",
      "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":9}}}\n",
      "{\"type\":\"ADDED\",\"object\":5}\n",
      "{\"type\":\"ADDED\",\"type\":\"ADDED\"}\n",
      "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"etcd\"}}\n",
      "[]\n",
      "null\n",
      "{}\n",
      "<html>\n",
      "{\n",
      "\xFF\n",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    bool gone = true;
    mg_feed_clear(&feed);
    list_two();
    if (watch(bad[i], &gone) >= 0) fail_msg("taken: %s", bad[i]);
    assert_false(gone);
    assert_string_equal(feed.version, "5");
  }
}

static void test_gone(void **state) {
  (void)state;
  bool gone = false;
  list_two();
  assert_int_equal(watch("{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}\n", &gone), MG_E_INVALID);
  assert_true(gone);
  assert_non_null(strstr(err.text, "too old"));
}

static void test_bad_pages(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "{",
      "[]",
      "5",
      "{}",
      "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":5}",
      "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[5]}",
      "{\"metadata\":{},\"items\":[]}",
      "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{}}]}",
      "\xFF\xFE",
      "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]} more",
  };
  list_two();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    bool more = false;
    mg_feed_restart(&feed);
    if (page(bad[i], &more) >= 0) fail_msg("taken: %s", bad[i]);
    expect_known("a=2 b=1 @");
  }
}

static void test_limits(void **state) {
  (void)state;
  size_t n = (size_t)1 << 20;
  char *block = malloc(n);
  bool gone, more = false;
  assert_non_null(block);
  memset(block, 'x', n);
  for (int i = 0; i < 4; i++) assert_int_equal(mg_feed_watch_bytes(&feed, (mg_str){block, n}, &gone, &err), 0);
  assert_int_equal(mg_feed_watch_bytes(&feed, (mg_str){block, 1}, &gone, &err), MG_E_LIMIT);
  mg_feed_begin(&feed);
  for (int i = 0; i < 32; i++) assert_int_equal(mg_feed_page_bytes(&feed, (mg_str){block, n}, &err), 0);
  assert_int_equal(mg_feed_page_bytes(&feed, (mg_str){block, 1}, &err), MG_E_LIMIT);
  mg_feed_restart(&feed);
  for (size_t i = 0; i < MG_FEED_LIST_MAX / n; i++) {
    mg_feed_begin(&feed);
    assert_int_equal(mg_feed_page_bytes(&feed, (mg_str){block, n}, &err), 0);
  }
  mg_feed_begin(&feed);
  assert_int_equal(mg_feed_page_bytes(&feed, (mg_str){block, 1}, &err), MG_E_LIMIT);
  mg_feed_restart(&feed);
  struct mg_buf text;
  mg_buf_init(&text, NULL, n);
  mg_buf_lit(&text, "{\"metadata\":{\"resourceVersion\":\"1\",\"continue\":\"");
  mg_buf_put(&text, (mg_str){block, MG_FEED_CONTINUE_MAX});
  mg_buf_lit(&text, "\"},\"items\":[]}");
  mg_buf_byte(&text, '\0');
  assert_int_equal(page(text.p, &more), MG_E_LIMIT);
  mg_buf_fini(&text);
  free(block);
}

/* Names in no order, some again, some gone: as a plain table would have it. */
static void test_many(void **state) {
  (void)state;
  enum { NAMES = 300, STEPS = 6000 };
  static int model[NAMES];
  unsigned random = 12345;
  bool gone;
  for (int i = 1; i <= STEPS; i++) {
    char text[256];
    random = random * 1103515245u + 12345u;
    unsigned name = random >> 8 & 0xFFFF;
    bool away = name % 3 == 0;
    name = name / 3 % NAMES;
    snprintf(text, sizeof text,
             "{\"type\":\"%s\",\"object\":{\"metadata\":{\"name\":\"n%u\",\"resourceVersion\":\"%d\"},\"is\":%d}}\n",
             away ? "DELETED" : "MODIFIED", name, i, i);
    model[name] = away ? 0 : i;
    assert_int_equal(watch(text, &gone), 0);
  }
  uint32_t count = 0;
  for (unsigned n = 0; n < NAMES; n++) count += model[n] != 0;
  assert_int_equal(feed.known.count, count);
  for (uint32_t i = 0; i < count; i++) {
    int64_t is = 0;
    const struct mg_context_object *o = feed.known.items[i];
    assert_true(mg_int64(MG_GET(o->object, "is"), &is));
    assert_int_equal(is, model[strtoul(o->name.p + 1, NULL, 10)]);
    assert_true(i == 0 || mg_context_object_compare(feed.known.items[i - 1], o) < 0);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_pages), TEST(test_restart),   TEST(test_events), TEST(test_same), TEST(test_bad_events),
      TEST(test_gone),  TEST(test_bad_pages), TEST(test_limits), TEST(test_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
