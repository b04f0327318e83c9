/* The log of a server: nobody waits for whoever reads it. */
#define _GNU_SOURCE /* pipe2, F_SETPIPE_SZ */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/log_queue.h"

static int ends[2];

static int set_up(void **state) {
  (void)state;
  if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[1], F_SETPIPE_SZ, 4096) < 0) return -1;
  mg_log_init(MG_LOG_INFO, ends[1]);
  return mg_log_start(NULL);
}

static int tear_down(void **state) {
  (void)state;
  close(ends[0]); /* whoever writes gets an error and goes on */
  mg_log_stop(2000);
  bool stopped = !mg_log_queue_is_on();
  mg_log_init(MG_LOG_INFO, STDERR_FILENO);
  close(ends[1]);
  return stopped ? 0 : -1;
}

static int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void log_number(int64_t n) {
  struct mg_log_line l;
  mg_log_begin(&l, MG_LOG_INFO, "one");
  mg_log_int(&l, "n", n);
  mg_log_str(&l, "pad", MG_S("0123456789012345678901234567890123456789012345678901234567890123456789"));
  mg_log_end(&l);
}

/* Reads whole lines until there are so many or none comes for a second. Their numbers rise; the last of them comes back. */
static int read_lines(int want, int64_t *last) {
  static char text[1 << 20];
  size_t n = 0;
  int count = 0;
  struct pollfd in = {.fd = ends[0], .events = POLLIN};
  while (count < want && poll(&in, 1, 1000) > 0) {
    ssize_t r = read(ends[0], text + n, sizeof text - n - 1);
    assert_true(r > 0);
    n += (size_t)r;
    text[n] = '\0';
    char *at = text;
    for (char *end; (end = strchr(at, '\n')); at = end + 1, count++) {
      const char *number = strstr(at, ",\"n\":");
      assert_true(strncmp(at, "{\"time\":\"", 9) == 0 && end[-1] == '}' && number && number < end);
      int64_t here = strtoll(number + 5, NULL, 10);
      assert_true(here > *last);
      *last = here;
    }
    n = (size_t)(text + n - at);
    memmove(text, at, n + 1);
  }
  return count;
}

/* Far more than pipe and queue hold, round and round through the queue. */
static void all_lines_in_order(void **state) {
  (void)state;
  int64_t last = -1;
  uint64_t dropped = mg_log_dropped();
  for (int i = 0; i < 20; i++) {
    for (int64_t n = 0; n < 1000; n++) log_number(i * 1000 + n);
    assert_int_equal(read_lines(1000, &last), 1000);
  }
  assert_int_equal(last, 19999);
  assert_int_equal(mg_log_dropped(), dropped);
}

static void nobody_reads(void **state) {
  (void)state;
  int64_t last = -1, longest = 0, begin = now_us();
  uint64_t dropped = mg_log_dropped();
  enum { LINES = 20000 };
  for (int i = 0; i < LINES; i++) {
    int64_t before = now_us();
    log_number(i);
    if (now_us() - before > longest) longest = now_us() - before;
  }
  assert_in_range(now_us() - begin, 1, 10000000);
  assert_in_range(longest, 0, 1000000); /* a stall of the machine, never a stall of the pipe, which is for good */
  dropped = mg_log_dropped() - dropped;
  assert_in_range(dropped, LINES / 2, LINES - 1);
  assert_int_equal(read_lines(LINES - (int)dropped, &last), LINES - (int)dropped); /* what was taken comes, when somebody reads */
  last = LINES;
  log_number(LINES + 1);
  assert_int_equal(read_lines(1, &last), 1);
}

/* It is told to end while its write hangs. */
static void ends_in_time(void **state) {
  (void)state;
  for (int i = 0; i < 1000; i++) log_number(i);
  int64_t before = now_us();
  mg_log_stop(100);
  assert_in_range(now_us() - before, 100000, 2000000);
  assert_true(mg_log_queue_is_on());
  uint64_t dropped = mg_log_dropped();
  log_number(1);
  assert_int_equal(mg_log_dropped(), dropped + 1); /* still nobody waits */
}

static void what_waits_is_written_at_the_end(void **state) {
  (void)state;
  int64_t last = -1;
  for (int i = 0; i < 20; i++) log_number(i);
  mg_log_stop(2000);
  assert_false(mg_log_queue_is_on());
  assert_int_equal(read_lines(20, &last), 20);
  assert_int_equal(mg_log_start(NULL), 0);
  assert_int_equal(mg_log_start(NULL), 0);
}

/* Whoever made the descriptor non-blocking does not lose us lines. */
static void waits_where_it_would_not_block(void **state) {
  (void)state;
  int64_t last = -1;
  uint64_t dropped = mg_log_dropped();
  assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  for (int i = 0; i < 500; i++) log_number(i);
  assert_int_equal(read_lines(500, &last), 500);
  assert_int_equal(mg_log_dropped(), dropped);
}

static void *log_often(void *arg) {
  for (int i = 0; i < 500; i++) log_number(i);
  return arg;
}

static void threads(void **state) {
  pthread_t ids[4];
  char c;
  int lines = 0;
  (void)state;
  uint64_t dropped = mg_log_dropped();
  for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&ids[i], NULL, log_often, NULL), 0);
  struct pollfd in = {.fd = ends[0], .events = POLLIN};
  while (lines + (int)(mg_log_dropped() - dropped) < 2000 && poll(&in, 1, 5000) > 0)
    if (read(ends[0], &c, 1) == 1) lines += c == '\n';
  for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_join(ids[i], NULL), 0);
  assert_int_equal(lines + (int)(mg_log_dropped() - dropped), 2000);
}

/* ---- rates ---- */

static void burst_then_rate(void **state) {
  struct mg_log_rate rate = {.burst = 5, .each_second = 20};
  uint64_t held = 7, before = mg_log_held();
  int let = 0;
  (void)state;
  for (int i = 0; i < 5; i++) {
    assert_true(mg_log_let(&rate, &held));
    assert_int_equal(held, 0);
  }
  for (int i = 0; i < 100; i++) assert_false(mg_log_let(&rate, &held)); /* 100 calls take less than 50 ms */
  assert_int_equal(mg_log_held() - before, 100);
  for (int64_t end = now_us() + 5000000; !let && now_us() < end;) let += mg_log_let(&rate, &held);
  assert_int_equal(let, 1);
  assert_true(held >= 100);
  assert_int_equal(mg_log_held() - before, held);
}

static void no_rate(void **state) {
  struct mg_log_rate rate = {.burst = 0, .each_second = 0};
  uint64_t held = 0, before = mg_log_held();
  (void)state;
  for (int i = 0; i < 100000; i++) assert_true(mg_log_let(&rate, &held));
  assert_int_equal(mg_log_held(), before);
}

static struct mg_log_rate shared = {.burst = 1000, .each_second = 1};
static atomic_int let_through;

static void *ask_often(void *arg) {
  uint64_t held;
  for (int i = 0; i < 5000; i++) atomic_fetch_add(&let_through, mg_log_let(&shared, &held));
  return arg;
}

static void rate_of_threads(void **state) {
  pthread_t ids[4];
  (void)state;
  for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&ids[i], NULL, ask_often, NULL), 0);
  for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_join(ids[i], NULL), 0);
  assert_in_range(atomic_load(&let_through), 1000, 1010);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  const struct CMUnitTest tests[] = {
      TEST(all_lines_in_order), TEST(nobody_reads), TEST(ends_in_time), TEST(what_waits_is_written_at_the_end),
      TEST(waits_where_it_would_not_block), TEST(threads), cmocka_unit_test(burst_then_rate), cmocka_unit_test(no_rate),
      cmocka_unit_test(rate_of_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
