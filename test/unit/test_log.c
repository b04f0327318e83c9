#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "doc/json.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The log goes to ends[1] of a packet socket: one read gives what one write wrote. */
static int ends[2];
static struct mg_arena arena;
static struct mg_doc doc;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, 1 << 20, 0);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) return -1;
  mg_log_init(MG_LOG_INFO, ends[1]);
  return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static int tear_down(void **state) {
  (void)state;
  mg_log_init(MG_LOG_INFO, STDERR_FILENO);
  close(ends[0]);
  close(ends[1]);
  mg_arena_fini(&arena);
  return 0;
}

/* The next line, with its newline; empty when there is none. */
static mg_str take(void) {
  static char text[3 * MG_LOG_LINE];
  ssize_t n = recv(ends[0], text, sizeof text, 0);
  return (mg_str){text, n > 0 ? (size_t)n : 0};
}

/* The next line as an object, after what holds of every line. */
static mg_node take_object(void) {
  mg_str line = take();
  struct mg_read how = {.limits = {MG_LOG_LINE, 4, 4096}};
  struct mg_err err = {0};
  assert_in_range(line.n, 2, MG_LOG_LINE);
  assert_int_equal(mg_str_find(line, '\n'), line.n - 1);
  mg_arena_reset(&arena);
  mg_str copy = mg_arena_dup(&arena, (mg_str){line.p, line.n - 1});
  if (mg_json_read(&doc, &arena, copy, &how, &err) != 0) fail_msg("%s: %.*s", err.text, MG_FMT(copy));
  assert_true(mg_is(mg_root(&doc), MG_OBJECT));
  return mg_root(&doc);
}

static mg_node field(mg_node object, const char *key) {
  return mg_get(object, mg_str_of(key));
}

static void whole_line(void **state) {
  (void)state;
  struct mg_log_line l;
  mg_log_begin(&l, MG_LOG_WARN, "request denied");
  mg_log_str(&l, "policy", MG_S("gpu-limits"));
  mg_log_int(&l, "count", 3);
  mg_log_bool(&l, "dryRun", false);
  mg_log_bool(&l, "denied", true);
  mg_log_end(&l);
  mg_str line = take();
  const char *tail = ",\"level\":\"warn\",\"msg\":\"request denied\","
                     "\"policy\":\"gpu-limits\",\"count\":3,\"dryRun\":false,\"denied\":true}\n";
  assert_true(mg_str_starts(line, MG_S("{\"time\":\"")));
  assert_true(mg_str_ends(line, mg_str_of(tail)));
  assert_int_equal(line.n, strlen("{\"time\":\"2026-01-02T03:04:05.123456789Z\"") + strlen(tail));
  assert_int_equal(take().n, 0);
}

static void time_is_now(void **state) {
  (void)state;
  struct mg_log_line l;
  struct timespec before, after;
  struct tm tm = {0};
  char text[32] = "", zone = 0;
  long nanos = -1;
  clock_gettime(CLOCK_REALTIME, &before);
  mg_log_begin(&l, MG_LOG_INFO, "x");
  mg_log_end(&l);
  clock_gettime(CLOCK_REALTIME, &after);
  mg_str value = mg_text(field(take_object(), "time"));
  assert_int_equal(value.n, 30);
  memcpy(text, value.p, value.n);
  assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%9ld%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                          &tm.tm_sec, &nanos, &zone), 8);
  assert_int_equal(zone, 'Z');
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  int64_t at = (int64_t)timegm(&tm) * 1000000000 + nanos;
  assert_true(at >= (int64_t)before.tv_sec * 1000000000 + before.tv_nsec);
  assert_true(at <= (int64_t)after.tv_sec * 1000000000 + after.tv_nsec);
}

static void levels(void **state) {
  (void)state;
  static const char *const names[] = {"debug", "info", "warn", "error"};
  for (int least = MG_LOG_DEBUG; least <= MG_LOG_ERROR; least++) {
    mg_log_init((enum mg_log_level)least, ends[1]);
    for (int level = MG_LOG_DEBUG; level <= MG_LOG_ERROR; level++) {
      struct mg_log_line l;
      memset(&l, 0xA5, sizeof l);
      mg_log_begin(&l, (enum mg_log_level)level, "x");
      mg_log_str(&l, "a", MG_S("b"));
      mg_log_end(&l);
      if (level < least) assert_int_equal(take().n, 0);
      else assert_true(mg_str_is(mg_text(field(take_object(), "level")), names[level]));
    }
  }
}

static void check_string(mg_str in, mg_str want) {
  struct mg_log_line l;
  mg_log_begin(&l, MG_LOG_INFO, "x");
  mg_log_str(&l, "s", in);
  mg_log_int(&l, "after", 1);
  mg_log_end(&l);
  mg_node object = take_object();
  mg_str got = mg_text(field(object, "s"));
  if (!mg_str_eq(got, want)) fail_msg("%.*s gave %.*s", MG_FMT(in), MG_FMT(got));
  assert_true(mg_is(field(object, "after"), MG_NUMBER));
  assert_false(field(object, "cut").at);
}

#define BAD "\uFFFD"

static void strings(void **state) {
  (void)state;
  check_string(MG_S(""), MG_S(""));
  check_string((mg_str){0}, MG_S(""));
  check_string(MG_S("plain é € 😀 /<>&"), MG_S("plain é € 😀 /<>&"));
  check_string(MG_S("a\"b\\c\\"), MG_S("a\"b\\c\\"));
  check_string(MG_S("\",\"level\":\"error"), MG_S("\",\"level\":\"error"));
  check_string(MG_S("a\nb\tc"), MG_S("a\nb\tc"));
  check_string(MG_S("\0\x01\r\b\x1B[31m\x7F"), MG_S(BAD BAD BAD BAD BAD "[31m" BAD));
  check_string(MG_S("\xC2\x85\u2028\u2029"), MG_S(BAD BAD BAD));
  check_string(MG_S("\u202E\u2066\u2069\u200F\u061C"), MG_S(BAD BAD BAD BAD BAD));
  check_string(MG_S("\u200B\u00A0\u2027\u202F"), MG_S("\u200B\u00A0\u2027\u202F"));
  check_string(MG_S("\xFF" "a\xC3"), MG_S(BAD "a" BAD));
  check_string(MG_S("\xC0\xAF\xED\xA0\x80\xF4\x90\x80\x80"), MG_S(BAD BAD BAD BAD BAD BAD BAD BAD BAD));
}

/* Whatever the bytes, the line is JSON in UTF-8 and holds no control character but its newline. */
static void every_byte_pair(void **state) {
  (void)state;
  for (unsigned high = 0; high < 256; high++) {
    char text[256];
    struct mg_log_line l;
    mg_log_begin(&l, MG_LOG_INFO, "x");
    for (unsigned low = 0; low < 256; low += 2) {
      text[low] = (char)high;
      text[low + 1] = (char)(low + (high & 1));
    }
    mg_log_str(&l, "s", (mg_str){text, sizeof text});
    mg_log_end(&l);
    mg_node object = take_object();
    for (size_t i = 0; i + 1 < doc.source.n; i++) assert_in_range((unsigned char)doc.source.p[i], 0x20, 0xFF);
    assert_true(mg_is(field(object, "s"), MG_STRING));
  }
}

static void values_are_cut(void **state) {
  (void)state;
  char text[300];
  for (size_t n = 255; n <= 257; n++) {
    memset(text, 'a', sizeof text);
    check_string((mg_str){text, n}, (mg_str){text, n < 256 ? n : 256});
    memcpy(text + n - 3, "€", 3);
    check_string((mg_str){text, n}, (mg_str){text, n <= 256 ? n : n - 3});
    /* what comes out may be longer than what went in */
    memset(text, '"', sizeof text);
    check_string((mg_str){text, n}, (mg_str){text, n < 256 ? n : 256});
  }
}

static void message_and_key_are_cut_and_escaped(void **state) {
  (void)state;
  char text[1000];
  struct mg_log_line l;
  memset(text, 'a', sizeof text);
  text[0] = '"';
  text[999] = '\0';
  mg_log_begin(&l, MG_LOG_INFO, text);
  mg_log_bool(&l, text, true);
  mg_log_bool(&l, "\x1B\n\"", true);
  mg_log_end(&l);
  mg_node object = take_object();
  assert_true(mg_str_eq(mg_text(field(object, "msg")), (mg_str){text, 256}));
  assert_true(mg_true(mg_get(object, (mg_str){text, 256})));
  assert_true(mg_true(field(object, BAD "\n\"")));
  mg_log_begin(&l, MG_LOG_INFO, NULL);
  mg_log_end(&l);
  assert_true(mg_is(field(take_object(), "msg"), MG_STRING));
}

static void numbers(void **state) {
  (void)state;
  static const int64_t values[] = {0, -1, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < COUNT(values); i++) {
    struct mg_log_line l;
    int64_t got = 7;
    mg_log_begin(&l, MG_LOG_INFO, "x");
    mg_log_int(&l, "n", values[i]);
    mg_log_end(&l);
    assert_true(mg_int64(field(take_object(), "n"), &got));
    assert_true(got == values[i]);
  }
}

/* Fields up to the brim, the last one a byte longer each time: it is there whole, or the line says that it is cut. */
static void line_is_cut(void **state) {
  (void)state;
  char text[256];
  size_t longest = 0, shortest_cut = SIZE_MAX;
  memset(text, 'a', sizeof text);
  for (size_t n = 0; n <= sizeof text; n++) {
    struct mg_log_line l;
    char key[8];
    mg_log_begin(&l, MG_LOG_INFO, "x");
    for (int i = 0; i < 14; i++) {
      snprintf(key, sizeof key, "f%02d", i);
      mg_log_str(&l, key, (mg_str){text, sizeof text});
    }
    mg_log_str(&l, "f14", (mg_str){text, 100});
    mg_log_str(&l, "last", (mg_str){text, n});
    mg_log_bool(&l, "b", true);
    mg_log_end(&l);
    mg_node object = take_object();
    bool cut = mg_true(field(object, "cut"));
    assert_int_equal(mg_text(field(object, "f13")).n, sizeof text);
    if (field(object, "last").at) assert_int_equal(mg_text(field(object, "last")).n, n);
    assert_int_equal(cut, !field(object, "b").at);
    if (!cut && n > longest) longest = n;
    if (cut && n < shortest_cut) shortest_cut = n;
  }
  assert_int_equal(shortest_cut, longest + 1);
  assert_in_range(longest, 1, sizeof text - 1);
}

static void far_too_much(void **state) {
  (void)state;
  char text[256];
  struct mg_log_line l;
  memset(text, 0xFF, sizeof text); /* three bytes for each */
  mg_log_begin(&l, MG_LOG_INFO, "x");
  for (int i = 0; i < 100; i++) {
    char key[8];
    snprintf(key, sizeof key, "f%d", i);
    mg_log_str(&l, key, (mg_str){text, sizeof text});
  }
  mg_log_int(&l, "n", 1);
  mg_log_end(&l);
  mg_node object = take_object();
  assert_true(mg_true(field(object, "cut")));
  assert_int_equal(mg_text(field(object, "f0")).n, 3 * sizeof text);
  assert_false(field(object, "f99").at);
  assert_false(field(object, "n").at); /* nothing behind what was cut, so that a line never looks whole */
  assert_int_equal(take().n, 0);
}

static void log_one(void) {
  struct mg_log_line l;
  mg_log_begin(&l, MG_LOG_INFO, "one");
  mg_log_str(&l, "pad", MG_S("0123456789012345678901234567890123456789"));
  mg_log_end(&l);
  mg_log_end(&l); /* writes nothing */
}

static void end_writes_once(void **state) {
  (void)state;
  log_one();
  assert_true(take().n > 0);
  assert_int_equal(take().n, 0);
}

static void drops_are_counted(void **state) {
  (void)state;
  int pipe_ends[2];
  char block[4096] = {0};
  uint64_t before = mg_log_dropped();
  log_one();
  assert_int_equal(mg_log_dropped(), before);
  mg_log_init(MG_LOG_INFO, -1);
  log_one();
  assert_int_equal(mg_log_dropped(), before + 1);
  assert_int_equal(pipe2(pipe_ends, O_NONBLOCK), 0);
  while (write(pipe_ends[1], block, sizeof block) > 0) continue;
  assert_int_equal(errno, EAGAIN);
  mg_log_init(MG_LOG_INFO, pipe_ends[1]);
  log_one();
  assert_int_equal(mg_log_dropped(), before + 2);
  assert_int_equal(read(pipe_ends[0], block, sizeof block), (int)sizeof block);
  log_one();
  assert_int_equal(mg_log_dropped(), before + 2);
  signal(SIGPIPE, SIG_IGN);
  close(pipe_ends[0]);
  log_one();
  assert_int_equal(mg_log_dropped(), before + 3);
  close(pipe_ends[1]);
}

static void half_a_line_is_a_drop(void **state) {
  (void)state;
  struct rlimit old, small;
  FILE *file = tmpfile();
  assert_non_null(file);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 50;
  signal(SIGXFSZ, SIG_IGN);
  uint64_t before = mg_log_dropped();
  mg_log_init(MG_LOG_INFO, fileno(file));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  log_one();
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  assert_int_equal(mg_log_dropped(), before + 1);
  fclose(file);
}

static void *log_often(void *arg) {
  for (int i = 0; i < 50; i++) log_one();
  return arg;
}

/* Lines of several threads through one pipe do not mix. */
static void threads(void **state) {
  (void)state;
  int pipe_ends[2];
  pthread_t ids[4];
  uint64_t before = mg_log_dropped();
  assert_int_equal(pipe(pipe_ends), 0);
  mg_log_init(MG_LOG_INFO, pipe_ends[1]);
  for (size_t i = 0; i < COUNT(ids); i++) assert_int_equal(pthread_create(&ids[i], NULL, log_often, NULL), 0);
  for (size_t i = 0; i < COUNT(ids); i++) assert_int_equal(pthread_join(ids[i], NULL), 0);
  close(pipe_ends[1]);
  FILE *file = fdopen(pipe_ends[0], "r");
  char line[MG_LOG_LINE];
  int count = 0;
  while (fgets(line, sizeof line, file)) {
    assert_true(mg_str_starts(mg_str_of(line), MG_S("{\"time\":\"")));
    assert_true(mg_str_ends(mg_str_of(line), MG_S("0123456789\"}\n")));
    count++;
  }
  fclose(file);
  assert_int_equal(count, 200);
  assert_int_equal(mg_log_dropped(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(whole_line),
      TEST(time_is_now),
      TEST(levels),
      TEST(strings),
      TEST(every_byte_pair),
      TEST(values_are_cut),
      TEST(message_and_key_are_cut_and_escaped),
      TEST(numbers),
      TEST(line_is_cut),
      TEST(far_too_much),
      TEST(end_writes_once),
      TEST(drops_are_counted),
      TEST(half_a_line_is_a_drop),
      TEST(threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
