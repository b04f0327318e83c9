/* app/options: the command line, the environment, defaults, help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "app/options.h"

struct given {
  struct mg_strings policies;
  const char *user;
  struct mg_opt_int exit_code, now;
  uint32_t operation;
  bool dry_run;
};

static const char *const operations[] = {"CREATE", "UPDATE", "DELETE", NULL};
static const struct mg_option options[] = {
  {"policies", "PATH", &mg_o_list, offsetof(struct given, policies), .doc = "where policies are; repeats"},
  {"user", "USER", &mg_o_text, offsetof(struct given, user), .doc = "who", .def = "nobody"},
  {"warn-exit-code", "N", &mg_o_number, offsetof(struct given, exit_code), .doc = "a number", .min = 0, .max = 255},
  {"now", "TIME", &mg_o_time, offsetof(struct given, now), .doc = "a time"},
  {"operation", "OP", &mg_o_word, offsetof(struct given, operation), .doc = "what", .def = "CREATE", .words = operations},
  {"dry-run", NULL, &mg_o_flag, offsetof(struct given, dry_run), .doc = "only pretend"},
  MG_OPTIONS_END,
};

static struct mg_arena arena;
static struct given given;
static struct mg_strings args;
static struct mg_err err;
static enum mg_help help;

static int read_argv(char **argv) {
  int argc = 0;
  while (argv[argc]) argc++;
  given = (struct given){0};
  err = (struct mg_err){0};
  mg_arena_reset(&arena);
  return mg_options_read(options, argc, argv, &arena, &given, &args, &help, &err);
}
#define READ(...) read_argv((char *[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define T(text) ((char *)(uintptr_t)(text))

static int setup(void **state) {
  (void)state;
  mg_arena_init(&arena, 1 << 20, 1 << 16);
  unsetenv("MLGATE_POLICIES");
  unsetenv("MLGATE_USER");
  unsetenv("MLGATE_WARN_EXIT_CODE");
  unsetenv("MLGATE_DRY_RUN");
  unsetenv("MLGATE_OPERATION");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return setup(state);
}

static void assert_error(int code, const char *text) {
  assert_int_equal(code, MG_E_USAGE);
  assert_string_equal(err.text, text);
}

static void test_nothing(void **state) {
  (void)state;
  assert_int_equal(READ(), 0);
  assert_false(help);
  assert_int_equal(args.count, 0);
  assert_int_equal(given.policies.count, 0);
  assert_string_equal(given.user, "nobody");
  assert_false(given.exit_code.set);
  assert_int_equal(given.operation, 0);
  assert_false(given.dry_run);
}

static void test_both_forms(void **state) {
  (void)state;
  assert_int_equal(READ(T("--user"), T("ann"), T("--warn-exit-code=7"), T("--dry-run")), 0);
  assert_string_equal(given.user, "ann");
  assert_true(given.exit_code.set);
  assert_int_equal(given.exit_code.value, 7);
  assert_true(given.dry_run);
  assert_int_equal(READ(T("--user=a=b"), T("--dry-run=false")), 0);
  assert_string_equal(given.user, "a=b");
  assert_false(given.dry_run);
}

static void test_the_last_one_wins_and_lists_grow(void **state) {
  (void)state;
  assert_int_equal(READ(T("--user=a"), T("--user=b")), 0);
  assert_string_equal(given.user, "b");
  assert_int_equal(READ(T("--policies=a,b"), T("--policies"), T("c"), T("--policies=d")), 0);
  assert_int_equal(given.policies.count, 3);
  assert_string_equal(given.policies.items[0], "a,b"); /* a path may have a comma */
  assert_string_equal(given.policies.items[2], "d");
}

static void test_many_values(void **state) {
  (void)state;
  enum { N = 1000 };
  static char *argv[N + 1];
  for (int i = 0; i < N; i++) argv[i] = T(i % 2 ? "--policies=x" : "file");
  argv[N] = NULL;
  assert_int_equal(read_argv(argv), 0);
  assert_int_equal(given.policies.count, N / 2);
  assert_int_equal(args.count, N / 2);
  for (size_t i = 0; i < N / 2; i++) assert_string_equal(given.policies.items[i], "x");
  for (size_t i = 0; i < N / 2; i++) assert_string_equal(args.items[i], "file");
}

static void test_arguments(void **state) {
  (void)state;
  assert_int_equal(READ(T("a.yaml"), T("--user"), T("u"), T("-"), T(""), T("--"), T("--user"), T("-x")), 0);
  assert_int_equal(args.count, 5);
  assert_string_equal(args.items[0], "a.yaml");
  assert_string_equal(args.items[1], "-");
  assert_string_equal(args.items[2], "");
  assert_string_equal(args.items[3], "--user");
  assert_string_equal(args.items[4], "-x");
  assert_string_equal(given.user, "u");
}

static void test_a_value_may_look_like_an_option(void **state) {
  (void)state;
  assert_int_equal(READ(T("--user"), T("--help")), 0);
  assert_false(help);
  assert_string_equal(given.user, "--help");
}

static void test_unknown(void **state) {
  (void)state;
  assert_error(READ(T("--polices"), T("x")), "unknown option \"--polices\"; did you mean \"--policies\"?");
  assert_error(READ(T("--polices=x")), "unknown option \"--polices\"; did you mean \"--policies\"?");
  assert_error(READ(T("--dryrun")), "unknown option \"--dryrun\"; did you mean \"--dry-run\"?");
  assert_error(READ(T("--completely-different")), "unknown option \"--completely-different\"");
  assert_error(READ(T("-p")), "unknown option \"-p\"");
  assert_error(READ(T("--=x")), "unknown option \"--\"");
  assert_error(READ(T("--pol")), "unknown option \"--pol\""); /* no abbreviations: a later option would make them ambiguous */
}

static void test_wrong_values(void **state) {
  (void)state;
  assert_error(READ(T("--user")), "--user needs a value: USER");
  assert_error(READ(T("--user=")), "--user: must not be empty");
  assert_error(READ(T("--policies="), T("x")), "--policies: must not be empty");
  assert_error(READ(T("--dry-run=maybe")), "--dry-run: must be true or false, not \"maybe\"");
  assert_error(READ(T("--operation=UPDAT")),
               "--operation: cannot be \"UPDAT\"; it is one of CREATE, UPDATE, DELETE; did you mean \"UPDATE\"?");
}

static void test_words(void **state) {
  (void)state;
  assert_int_equal(READ(T("--operation"), T("delete")), 0);
  assert_int_equal(given.operation, 2);
  assert_int_equal(READ(T("--operation=Update")), 0);
  assert_int_equal(given.operation, 1);
}

static void test_numbers(void **state) {
  (void)state;
  static const char *const wrong[] = {"-1",  "256", "",   " 1", "1 ",  "+1", "0x10", "1.0", "1e2", "one", "99999999999999999999",
                                      "--1", "-",   "1k", "1,", "\t1", "٣"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(READ(T("--warn-exit-code"), T(wrong[i])), MG_E_USAGE);
    assert_non_null(strstr(err.text, "--warn-exit-code: must be a whole number from 0 to 255"));
    assert_false(given.exit_code.set);
  }
  assert_int_equal(READ(T("--warn-exit-code=0")), 0);
  assert_true(given.exit_code.set);
  assert_int_equal(READ(T("--warn-exit-code=255")), 0);
  assert_int_equal(given.exit_code.value, 255);
}

static void test_times(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t is;
  } good[] = {{"1970-01-01", 0},
              {"2027-01-31", 1801353600},
              {"2027-01-31T12:00:00Z", 1801396800},
              {"2027-01-31t12:00:00z", 1801396800},
              {"2027-01-31T12:00:00.999Z", 1801396800},
              {"2027-01-31T13:30:00+01:30", 1801396800},
              {"2027-01-31T11:00:00-01:00", 1801396800},
              {"2024-02-29", 1709164800},
              {"2016-12-31T23:59:60Z", 1483228800},
              {"9999-12-31T23:59:59Z", 253402300799}};
  static const char *const wrong[] = {
    "", "2027", "2027-1-31", "2027-01-32", "2027-02-29", "2027-04-31", "2027-13-01", "2027-00-01", "2027-01-00", "1969-12-31",
    "2027-01-31T", "2027-01-31T12:00Z", "2027-01-31T12:00:00", "2027-01-31T24:00:00Z", "2027-01-31T12:60:00Z",
    "2027-01-31T12:00:61Z", "2027-01-31 12:00:00Z", "2027-01-31T12:00:00.Z", "2027-01-31T12:00:00+24:00",
    "2027-01-31T12:00:00Zx", "2027-01-31x", "+027-01-31", "1801353600", "x",
  };
  int64_t is = -1;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_true(mg_time_read(good[i].text, &is));
    assert_int_equal(is, good[i].is);
  }
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (mg_time_read(wrong[i], &is)) fail_msg("\"%s\" is taken for a time", wrong[i]);
  assert_int_equal(READ(T("--now=2027-01-31")), 0);
  assert_true(given.now.set);
  assert_int_equal(given.now.value, 1801353600);
  assert_int_equal(READ(T("--now=soon")), MG_E_USAGE);
}

static void test_environment(void **state) {
  (void)state;
  setenv("MLGATE_POLICIES", "a,,b/c.yaml,", 1);
  setenv("MLGATE_USER", "x,y", 1);
  setenv("MLGATE_WARN_EXIT_CODE", "9", 1);
  setenv("MLGATE_DRY_RUN", "TRUE", 1);
  assert_int_equal(READ(), 0);
  assert_int_equal(given.policies.count, 2);
  assert_string_equal(given.policies.items[0], "a");
  assert_string_equal(given.policies.items[1], "b/c.yaml");
  assert_string_equal(given.user, "x,y");
  assert_int_equal(given.exit_code.value, 9);
  assert_true(given.dry_run);
}

static void test_the_command_line_wins(void **state) {
  (void)state;
  setenv("MLGATE_POLICIES", "a,b", 1);
  setenv("MLGATE_DRY_RUN", "1", 1);
  setenv("MLGATE_WARN_EXIT_CODE", "rubbish", 1);
  assert_int_equal(READ(T("--policies=c"), T("--dry-run=no"), T("--warn-exit-code=1")), 0);
  assert_int_equal(given.policies.count, 1);
  assert_string_equal(given.policies.items[0], "c");
  assert_false(given.dry_run);
  assert_int_equal(given.exit_code.value, 1);
}

static void test_wrong_environment(void **state) {
  (void)state;
  setenv("MLGATE_WARN_EXIT_CODE", "rubbish", 1);
  assert_int_equal(READ(), MG_E_USAGE);
  assert_non_null(strstr(err.text, "MLGATE_WARN_EXIT_CODE: must be a whole number"));
  setenv("MLGATE_WARN_EXIT_CODE", "", 1); /* as good as not set */
  assert_int_equal(READ(), 0);
  assert_false(given.exit_code.set);
}

/* Who is between the two halves gives what the command line and the environment left open, and the defaults leave that alone. */
static void test_in_halves(void **state) {
  (void)state;
  struct mg_options_given got;
  char *argv[] = {T("--dry-run"), NULL};
  setenv("MLGATE_POLICIES", "a,b", 1);
  given = (struct given){0};
  assert_int_equal(mg_options_take(options, 1, argv, &arena, &given, &args, &help, &got, &err), 0);
  assert_int_equal(got.typed, 1u << 5);
  assert_int_equal(got.given, 1u << 5 | 1u << 0);
  assert_null(given.user);
  assert_int_equal(mg_option_put(&options[1], "someone", &arena, &given, &err), 0);
  assert_int_equal(mg_option_put(&options[2], "256", &arena, &given, &err), MG_E_USAGE);
  got.given |= 1u << 1;
  given.operation = 2;
  assert_int_equal(mg_options_defaults(options, &arena, &given, &got, &err), 0);
  assert_string_equal(given.user, "someone");
  assert_int_equal(given.operation, 0);
  assert_true(given.dry_run);
  assert_int_equal(given.policies.count, 2);
}

static void test_help_flag(void **state) {
  (void)state;
  assert_int_equal(READ(T("x"), T("--help")), 0);
  assert_int_equal(help, MG_HELP);
  assert_int_equal(READ(T("--help-all")), 0);
  assert_int_equal(help, MG_HELP_ALL);
  assert_int_equal(READ(T("-h"), T("--nonsense")), 0);
  assert_true(help);
  setenv("MLGATE_WARN_EXIT_CODE", "rubbish", 1);
  assert_int_equal(READ(T("--help")), 0);
  assert_true(help);
  assert_int_equal(READ(T("--"), T("--help"), T("x")), MG_E_USAGE); /* that one is an argument, so the variable is read */
}

static void test_help_text(void **state) {
  (void)state;
  struct mg_buf out;
  mg_buf_init(&out, &arena, 4096);
  assert_true(mg_options_help(&out, options, false));
  mg_buf_byte(&out, '\0');
  assert_string_equal(out.p, "  --policies PATH     where policies are; repeats\n"
                             "  --user USER         who [nobody]\n"
                             "  --warn-exit-code N  a number\n"
                             "  --now TIME          a time\n"
                             "  --operation OP      what [CREATE]\n"
                             "  --dry-run           only pretend\n");
  const struct mg_option few[] = {{"usual", NULL, &mg_o_flag, 0, .doc = "shown"},
                                  {"rare", "N", &mg_o_number, 0, .doc = "hidden", .def = "7", .aside = true}, MG_OPTIONS_END};
  out.n = 0;
  assert_false(mg_options_help(&out, few, false));
  mg_buf_byte(&out, '\0');
  assert_string_equal(out.p, "  --usual  shown\n");
  out.n = 0;
  assert_true(mg_options_help(&out, few, true));
  mg_buf_byte(&out, '\0');
  assert_string_equal(out.p, "  --usual   shown\n  --rare N  hidden [7]\n");
}

static void test_sizes(void **state) {
  (void)state;
  const struct mg_option size[] = {{"size", "BYTES", &mg_o_size, 0, .min = 1 << 16, .max = 8 << 20}, MG_OPTIONS_END};
  const struct row {
    const char *text;
    int64_t bytes; /* 0: refused */
  } rows[] = {{"64Ki", 1 << 16}, {"8Mi", 8 << 20}, {"1M", 1000000}, {"70000", 70000}, {"0.5Mi", 1 << 19}, {"1e5", 100000},
              {"8388609", 0}, {"63Ki", 0}, {"-1Mi", 0}, {"", 0}, {"1 Mi", 0}, {"1MiB", 0}, {"100000.5", 0}, {"9e99", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_opt_int got = {0};
    char *argv[] = {T("--size"), T(rows[i].text)};
    int code = mg_options_read(size, 2, argv, &arena, &got, &args, &help, &err);
    if ((code == 0) != (rows[i].bytes != 0) || got.value != rows[i].bytes)
      fail_msg("%s: %d, %ld", rows[i].text, code, (long)got.value);
  }
}

static void test_out_of_memory(void **state) {
  (void)state;
  static char long_value[200];
  memset(long_value, 'a', sizeof long_value - 1);
  setenv("MLGATE_POLICIES", long_value, 1);
  struct mg_arena small;
  mg_arena_init(&small, 64, 0);
  given = (struct given){0};
  assert_int_equal(mg_options_read(options, 0, (char *[]){NULL}, &small, &given, &args, &help, &err), MG_E_NOMEM);
  mg_arena_fini(&small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(test_in_halves, setup, teardown),
    cmocka_unit_test_setup_teardown(test_both_forms, setup, teardown),
    cmocka_unit_test_setup_teardown(test_the_last_one_wins_and_lists_grow, setup, teardown),
    cmocka_unit_test_setup_teardown(test_many_values, setup, teardown),
    cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_value_may_look_like_an_option, setup, teardown),
    cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
    cmocka_unit_test_setup_teardown(test_wrong_values, setup, teardown),
    cmocka_unit_test_setup_teardown(test_words, setup, teardown),
    cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
    cmocka_unit_test_setup_teardown(test_times, setup, teardown),
    cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
    cmocka_unit_test_setup_teardown(test_the_command_line_wins, setup, teardown),
    cmocka_unit_test_setup_teardown(test_wrong_environment, setup, teardown),
    cmocka_unit_test_setup_teardown(test_help_flag, setup, teardown),
    cmocka_unit_test_setup_teardown(test_help_text, setup, teardown),
    cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
    cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
