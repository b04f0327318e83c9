/* app/crew: every file once and in its order, whatever the number of threads, and an end in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "app/crew.h"
#include "rules/rules.h"

#define FILES 400

static struct mg_arena arena;
static struct mg_snapshot *snapshot;
static struct mg_judge judge;
static struct mg_input items[FILES];
static struct mg_inputs inputs = {.items = items, .count = FILES};
static char path[] = "/tmp/mlgate-test-XXXXXX";
static size_t seen, stop_at;

/* Paths that are not there and one that is, in turn; each has a name of its own by its place. */
static int setup(void **state) {
  static const struct mg_request usual = {.as_written = true};
  static const struct mg_strings none = {0};
  struct mg_diags diags;
  struct mg_err err;
  (void)state;
  mg_arena_init(&arena, 1 << 24, 0);
  mg_diags_init(&diags, &arena);
  int fd = mkstemp(path);
  if (fd < 0 || write(fd, "a: 1\n", 5) != 5) return -1;
  close(fd);
  for (size_t i = 0; i < FILES; i++)
    items[i].path = i % 3 ? mg_arena_dup(&arena, mg_str_of(path)).p : mg_arena_printf(&arena, "/nonexistent/%zu", i).p;
  if (mg_snapshot_new(&snapshot, mg_rules, NULL, 0, &diags, &err) < 0) return -1;
  return mg_judge_init(&judge, snapshot, &usual, &none, &err);
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  mg_judge_fini(&judge);
  mg_snapshot_unref(snapshot);
  mg_arena_fini(&arena);
  return 0;
}

static int take(void *ctx, struct mg_judged *file, struct mg_err *err) {
  assert_ptr_equal(ctx, &seen);
  assert_ptr_equal(file->path, items[seen].path);
  assert_int_equal(file->read, seen % 3 != 0);
  if (file->read) assert_int_equal(file->skipped, 1);
  else assert_int_equal(file->items->kind, MG_JUDGED_ERROR);
  return ++seen == stop_at ? mg_err_set(err, MG_E_IO, "enough") : 0;
}

static void wait(void *ctx, size_t done) {
  assert_ptr_equal(ctx, &seen);
  assert_int_equal(done, seen);
}

static int run(uint32_t jobs, size_t until, struct mg_err *err) {
  struct mg_crew crew = {.jobs = jobs, .ctx = &seen, .judged = take, .waits = wait};
  seen = 0;
  stop_at = until;
  return mg_crew_run(&crew, &judge, &inputs, err);
}

static void test_order(void **state) {
  static const uint32_t jobs[] = {0, 1, 2, 5, 64};
  struct mg_err err = {0};
  (void)state;
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
    assert_int_equal(run(jobs[i], 0, &err), 0);
    assert_int_equal(seen, FILES);
  }
}

static void test_ends_early(void **state) {
  struct mg_err err = {0};
  (void)state;
  for (uint32_t jobs = 1; jobs <= 8; jobs++)
    for (size_t until = 1; until <= FILES; until += 57) {
      assert_int_equal(run(jobs, until, &err), MG_E_IO);
      assert_string_equal(err.text, "enough");
      assert_int_equal(seen, until);
    }
}

static void test_nothing(void **state) {
  struct mg_err err = {0};
  (void)state;
  inputs.count = 0;
  assert_int_equal(run(4, 0, &err), 0);
  assert_int_equal(seen, 0);
  inputs.count = FILES;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_ends_early),
      cmocka_unit_test(test_nothing),
  };
  return cmocka_run_group_tests_name("crew", tests, setup, teardown);
}
