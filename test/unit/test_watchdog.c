/* Pieces of work that end, one that does not, and what the watchdog makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "app/watchdog.h"
#include "base/log.h"
#include "base/pulse.h"

static void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* ---- pieces ---- */

static void test_a_piece_that_goes_on_is_counted(void **state) {
  struct mg_pulse_watch watch = {0};
  const char *name = NULL;
  (void)state;
  assert_int_equal(mg_pulse_look(&watch, &name), 0);
  mg_pulse_begin("a long one");
  assert_int_equal(mg_pulse_look(&watch, &name), 1);
  assert_int_equal(mg_pulse_look(&watch, &name), 2);
  assert_string_equal(name, "a long one");
  mg_pulse_end();
  assert_int_equal(mg_pulse_look(&watch, &name), 0);
}

static void test_another_piece_counts_anew(void **state) {
  struct mg_pulse_watch watch = {0};
  const char *name;
  (void)state;
  mg_pulse_begin("one");
  mg_pulse_look(&watch, &name);
  mg_pulse_look(&watch, &name);
  mg_pulse_end();
  mg_pulse_begin("two");
  assert_int_equal(mg_pulse_look(&watch, &name), 1);
  mg_pulse_look(&watch, &name);
  mg_pulse_forget(&watch);
  assert_int_equal(mg_pulse_look(&watch, &name), 1);
  mg_pulse_end();
}

static void *one_piece(void *arg) {
  mg_pulse_begin("short lived");
  *(bool *)arg = mg_pulse_mine() != NULL;
  return NULL;
}

/* Also in the middle of a piece; and more threads come and go than there are rows. */
static void test_a_thread_that_ends_leaves_its_row(void **state) {
  struct mg_pulse_watch watch = {0};
  const char *name;
  (void)state;
  for (int i = 0; i < MG_PULSES_MAX + 10; i++) {
    pthread_t thread;
    bool had = false;
    assert_int_equal(pthread_create(&thread, NULL, one_piece, &had), 0);
    pthread_join(thread, NULL);
    assert_true(had);
  }
  assert_int_equal(mg_pulse_look(&watch, &name), 0);
}

/* ---- the watchdog ---- */

static struct {
  atomic_int over;
  atomic_bool stay;
} seen;

static void over(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&seen.over, 1);
}

static void *stuck(void *arg) {
  (void)arg;
  mg_pulse_begin("stuck one");
  while (atomic_load(&seen.stay)) sleep_ms(1);
  mg_pulse_end();
  return NULL;
}

static bool becomes(const struct mg_watchdog *dog, bool healthy, int ms) {
  for (; ms > 0 && mg_watchdog_healthy(dog) != healthy; ms--) sleep_ms(1);
  return mg_watchdog_healthy(dog) == healthy;
}

static struct mg_watchdog *start(int64_t limit_ms) {
  struct mg_watchdog_options options = {.limit_ms = limit_ms, .over = over};
  struct mg_watchdog *dog;
  struct mg_err err;
  atomic_store(&seen.over, 0);
  atomic_store(&seen.stay, true);
  assert_int_equal(mg_watchdog_start(&dog, &options, &err), 0);
  return dog;
}

static void test_unhealthy_then_over(void **state) {
  struct mg_watchdog *dog = start(200);
  pthread_t thread;
  (void)state;
  assert_true(mg_watchdog_healthy(dog));
  assert_int_equal(pthread_create(&thread, NULL, stuck, NULL), 0);
  assert_true(becomes(dog, false, 10000));
  for (int i = 0; i < 10000 && !atomic_load(&seen.over); i++) sleep_ms(1);
  assert_int_equal(atomic_load(&seen.over), 1);
  atomic_store(&seen.stay, false);
  pthread_join(thread, NULL);
  assert_true(becomes(dog, true, 10000));
  mg_watchdog_stop(dog);
  assert_int_equal(atomic_load(&seen.over), 1);
}

static void test_who_comes_back_in_time_is_forgiven(void **state) {
  struct mg_watchdog *dog = start(2000);
  pthread_t thread;
  (void)state;
  assert_int_equal(pthread_create(&thread, NULL, stuck, NULL), 0);
  assert_true(becomes(dog, false, 20000));
  atomic_store(&seen.stay, false);
  pthread_join(thread, NULL);
  assert_true(becomes(dog, true, 20000));
  assert_int_equal(atomic_load(&seen.over), 0);
  mg_watchdog_stop(dog);
}

static void test_many_short_pieces_are_healthy(void **state) {
  struct mg_watchdog *dog = start(400);
  (void)state;
  for (int i = 0; i < 1200; i++) {
    mg_pulse_begin("short");
    sleep_ms(1);
    mg_pulse_end();
    assert_true(mg_watchdog_healthy(dog));
  }
  assert_int_equal(atomic_load(&seen.over), 0);
  mg_watchdog_stop(dog);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_piece_that_goes_on_is_counted), cmocka_unit_test(test_another_piece_counts_anew),
      cmocka_unit_test(test_a_thread_that_ends_leaves_its_row), cmocka_unit_test(test_unhealthy_then_over),
      cmocka_unit_test(test_who_comes_back_in_time_is_forgiven), cmocka_unit_test(test_many_short_pieces_are_healthy),
  };
  mg_log_init(MG_LOG_ERROR, -1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
