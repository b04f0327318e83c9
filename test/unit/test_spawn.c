/* app/spawn: other programs, what they print, how they end, and what stops them. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "app/spawn.h"
#include "base/buf.h"

static struct mg_err err;
static struct mg_spawned end;
static struct mg_buf printed;

static int gather(void *ctx, mg_str piece, struct mg_err *ret) {
  (void)ret;
  mg_buf_put(ctx, piece);
  return 0;
}

static int refuse(void *ctx, mg_str piece, struct mg_err *ret) {
  (void)ctx, (void)piece;
  return mg_err_set(ret, MG_E_SYNTAX, "that is not it");
}

static int run(const char *script, size_t max, int (*out)(void *, mg_str, struct mg_err *)) {
  static const char *const environment[] = {"MLGATE_TEST_A=ours", NULL};
  const char *argv[] = {"sh", "-c", script, NULL};
  struct mg_spawn spawn = {.argv = argv, .environment = environment, .max = max, .ctx = &printed, .out = out};
  mg_buf_fini(&printed);
  mg_buf_init(&printed, NULL, 1 << 22);
  err = (struct mg_err){0};
  return mg_spawn_run(&spawn, &end, &err);
}

static void assert_printed(const char *text) {
  assert_int_equal(printed.n, strlen(text));
  if (printed.n) assert_memory_equal(printed.p, text, printed.n);
}

/* Nothing that was started is left. */
static void assert_no_child(void) {
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

static void test_ends(void **state) {
  (void)state;
  assert_int_equal(run("echo out; echo said >&2; exit 7", 1000, gather), 0);
  assert_int_equal(end.status, 7);
  assert_string_equal(end.said, "said\n");
  assert_printed("out\n");
  assert_int_equal(run("true", 0, gather), 0);
  assert_int_equal(end.status, 0);
  assert_string_equal(end.said, "");
  assert_int_equal(run("kill -9 $$", 0, gather), 0);
  assert_int_equal(end.status, -1);
  assert_no_child();
}

static void test_input_and_environment(void **state) {
  (void)state;
  setenv("MLGATE_TEST_A", "before", 1);
  setenv("MLGATE_TEST_B", "kept", 1);
  assert_int_equal(run("cat; echo $MLGATE_TEST_A $MLGATE_TEST_B", 1000, gather), 0);
  assert_printed("ours kept\n");
  unsetenv("MLGATE_TEST_A");
  unsetenv("MLGATE_TEST_B");
}

static void test_much(void **state) {
  (void)state;
  const char *script = "i=0; while [ $i -lt 2000 ]; do printf %01000d $i; printf %0900d $i >&2; i=$((i+1)); done";
  assert_int_equal(run(script, 2000000, gather), 0);
  assert_int_equal(end.status, 0);
  assert_int_equal(printed.n, 2000000);
  assert_int_equal(strlen(end.said), MG_SPAWN_SAID);
}

static void test_is_stopped(void **state) {
  (void)state;
  assert_int_equal(run("while :; do echo x; done", 100000, gather), MG_E_LIMIT);
  assert_int_equal(end.status, -1);
  assert_no_child();
  assert_int_equal(run("while :; do echo x; done", 100000000, refuse), MG_E_SYNTAX);
  assert_string_equal(err.text, "that is not it");
  assert_no_child();
}

static void test_not_there(void **state) {
  const char *argv[] = {"mlgate-no-such-program", NULL}, *const none[] = {NULL};
  struct mg_spawn spawn = {.argv = argv, .environment = none, .max = 10, .out = gather};
  (void)state;
  assert_int_equal(mg_spawn_run(&spawn, &end, &err), MG_E_IO);
  assert_string_equal(err.text, "mlgate-no-such-program cannot be run: No such file or directory");
  assert_no_child();
}

static int teardown(void **state) {
  (void)state;
  mg_buf_fini(&printed);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ends),       cmocka_unit_test(test_input_and_environment), cmocka_unit_test(test_much),
      cmocka_unit_test(test_is_stopped), cmocka_unit_test(test_not_there),
  };
  return cmocka_run_group_tests_name("spawn", tests, NULL, teardown);
}
