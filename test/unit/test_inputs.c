/* app/inputs: which files a path stands for, in which order, and reading them. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "app/inputs.h"

static struct mg_arena arena;
static struct mg_err err;
static char folder[64];
static int before = -1; /* the working directory */

static int setup(void **state) {
  (void)state;
  mg_arena_init(&arena, 1 << 24, 0);
  snprintf(folder, sizeof folder, "/tmp/mlgate-test-XXXXXX");
  before = open(".", O_RDONLY | O_DIRECTORY);
  return before >= 0 && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static void remove_folder(void) {
  pid_t child = fork();
  if (child == 0) {
    execlp("rm", "rm", "-rf", "--", folder, (char *)NULL);
    _exit(127);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
}

static int teardown(void **state) {
  (void)state;
  assert_int_equal(fchdir(before), 0);
  close(before);
  remove_folder();
  mg_arena_fini(&arena);
  return 0;
}

static void put(const char *path, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  for (size_t i = 0; i < size; i++) fputc('a' + (int)(i % 26), file);
  assert_int_equal(fclose(file), 0);
}

/* The paths of what was found, one a line; a problem behind a blank. */
static const char *found(const char *path, bool policies) {
  struct mg_inputs inputs = {.arena = &arena, .policies = policies};
  struct mg_buf out;
  mg_buf_init(&out, &arena, 1 << 16);
  assert_int_equal(mg_inputs_add(&inputs, path, &err), 0);
  for (size_t i = 0; i < inputs.count; i++)
    mg_buf_printf(&out, "%s%s%s\n", inputs.items[i].path, inputs.items[i].problem ? " " : "",
                  inputs.items[i].problem ? inputs.items[i].problem : "");
  mg_buf_byte(&out, '\0');
  return out.p;
}

static void test_a_file_is_taken_whatever_its_name(void **state) {
  (void)state;
  put(".x", 1);
  assert_string_equal(found(".x", true), ".x\n");
  assert_string_equal(found("./.x", false), "./.x\n");
  assert_string_equal(found("-", false), "-\n");
  assert_string_equal(found("-", true), "- No such file or directory\n");
  assert_string_equal(found("gone", false), "gone No such file or directory\n");
  assert_string_equal(found("", false), " No such file or directory\n");
}

static void test_suffixes_and_order(void **state) {
  (void)state;
  mkdir("d", 0777), mkdir("d/a", 0777), mkdir("d/b.yaml", 0777);
  const char *const names[] = {"d/b.yml", "d/a.yaml", "d/a/z.json", "d/a-b.yaml", "d/B.yaml", "d/x.txt", "d/yaml", "d/x.yaml.bak",
                               "d/b.yaml/c.yaml", "d/x.YAML"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) put(names[i], 1);
  const char *const wanted = "d/B.yaml\nd/a-b.yaml\nd/a.yaml\nd/a/z.json\nd/b.yaml/c.yaml\nd/b.yml\n";
  assert_string_equal(found("d", false), wanted);
  assert_string_equal(found("d///", true), wanted);
  assert_int_equal(chdir("d/a"), 0);
  assert_string_equal(found(".", false), "z.json\n");
}

static void test_hidden_names(void **state) {
  (void)state;
  mkdir(".dir", 0777), mkdir("..data", 0777), mkdir(".git", 0777);
  put(".dir/a.yaml", 1), put("..data/b.yaml", 1), put(".git/c.yaml", 1), put(".d.yaml", 1), put("..e.yaml", 1), put("f.yaml", 1);
  assert_string_equal(found(".", true), "f.yaml\n");
  assert_string_equal(found(".", false), ".d.yaml\n.dir/a.yaml\nf.yaml\n");
  assert_string_equal(found(".dir", true), ".dir/a.yaml\n"); /* named, it is wanted */
}

static void test_links(void **state) {
  (void)state;
  mkdir("..1", 0777), mkdir("sub", 0777);
  put("..1/p.yaml", 1), put("sub/q.yaml", 1);
  const char *const links[][2] = {{"..1", "..data"},   {"..data/p.yaml", "p.yaml"}, {".", "self"},   {"..", "sub/up"},
                                  {"nowhere", "dead"}, {"sub", "other"},            {"loop", "loop"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) assert_int_equal(symlink(links[i][0], links[i][1]), 0);
  assert_string_equal(found(".", true), "other/q.yaml\np.yaml\nsub/q.yaml\n");
  assert_int_equal(symlink("nowhere", "dead.yaml"), 0);
  assert_string_equal(found(".", true), "dead.yaml No such file or directory\nother/q.yaml\np.yaml\nsub/q.yaml\n");
}

static void test_depth(void **state) {
  (void)state;
  char path[3 * MG_INPUT_MAX_DEPTH + 32] = "t";
  for (int i = 1; i < MG_INPUT_MAX_DEPTH; i++) {
    mkdir(path, 0777);
    memcpy(path + strlen(path), "/t", 3);
  }
  mkdir(path, 0777);
  size_t n = strlen(path);
  memcpy(path + n, "/x.yaml", 8);
  put(path, 1);
  path[n] = '\0';
  assert_non_null(strstr(found("t", false), "/x.yaml\n"));
  memcpy(path + n, "/t", 3);
  mkdir(path, 0777);
  assert_non_null(strstr(found("t", false), "/t directories are nested too deeply\n"));
  assert_non_null(strstr(found("t", false), "/x.yaml\n"));
}

static void test_what_is_no_file(void **state) {
  (void)state;
  assert_int_equal(mkfifo("pipe.yaml", 0666), 0);
  assert_string_equal(found(".", false), ""); /* opening it would wait for ever */
}

static void test_several_paths_keep_their_order(void **state) {
  (void)state;
  struct mg_inputs inputs = {.arena = &arena};
  put("z.yaml", 1), put("a.yaml", 1);
  const char *const paths[] = {"z.yaml", ".", "a.yaml"};
  for (size_t i = 0; i < 3; i++) assert_int_equal(mg_inputs_add(&inputs, paths[i], &err), 0);
  assert_int_equal(inputs.count, 4);
  assert_string_equal(inputs.items[0].path, "z.yaml");
  assert_string_equal(inputs.items[1].path, "a.yaml");
  assert_string_equal(inputs.items[3].path, "a.yaml");
}

static void test_out_of_memory(void **state) {
  (void)state;
  struct mg_arena small;
  mg_arena_init(&small, 1 << 10, 0);
  struct mg_inputs inputs = {.arena = &small};
  for (int i = 0; i < 100; i++) {
    char name[32];
    snprintf(name, sizeof name, "file-%d.yaml", i);
    put(name, 1);
  }
  assert_int_equal(mg_inputs_add(&inputs, ".", &err), MG_E_NOMEM);
  mg_arena_fini(&small);
}

static void test_read(void **state) {
  (void)state;
  MG_BUF_AUTO buf;
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  static const size_t sizes[] = {0, 1, 255, 65535, 65536, 65537, 200000, 3};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    put("f", sizes[i]);
    assert_int_equal(mg_input_read("f", &buf, &err), 0);
    assert_int_equal(buf.n, sizes[i]);
    for (size_t k = 0; k < buf.n; k += 97) assert_int_equal(buf.p[k], 'a' + (int)(k % 26));
  }
}

static void test_read_what_is_not_regular(void **state) {
  (void)state;
  MG_BUF_AUTO buf;
  int ends[2];
  char name[32];
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "text", 4), 4);
  close(ends[1]);
  snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
  assert_int_equal(mg_input_read(name, &buf, &err), 0);
  assert_memory_equal(buf.p, "text", 4);
  assert_int_equal(buf.n, 4);
  close(ends[0]);
  assert_int_equal(mg_input_read(".", &buf, &err), MG_E_IO);
  assert_int_equal(mg_input_read("gone", &buf, &err), MG_E_IO);
  assert_string_equal(err.text, "No such file or directory");
}

static void test_limit(void **state) {
  (void)state;
  MG_BUF_AUTO buf;
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  put("large", 1);
  assert_int_equal(truncate("large", (off_t)MG_INPUT_MAX_BYTES), 0);
  assert_int_equal(mg_input_read("large", &buf, &err), 0);
  assert_int_equal(buf.n, MG_INPUT_MAX_BYTES);
  assert_int_equal(truncate("large", (off_t)MG_INPUT_MAX_BYTES + 1), 0);
  assert_int_equal(mg_input_read("large", &buf, &err), MG_E_LIMIT);
  assert_string_equal(err.text, "larger than 64 MiB");
  /* A device has no size beforehand. */
  assert_int_equal(mg_input_read("/dev/zero", &buf, &err), MG_E_LIMIT);
  assert_false(buf.failed);
  put("small", 2);
  assert_int_equal(mg_input_read("small", &buf, &err), 0);
  assert_int_equal(buf.n, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_file_is_taken_whatever_its_name, setup, teardown),
    cmocka_unit_test_setup_teardown(test_suffixes_and_order, setup, teardown),
    cmocka_unit_test_setup_teardown(test_hidden_names, setup, teardown),
    cmocka_unit_test_setup_teardown(test_links, setup, teardown),
    cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
    cmocka_unit_test_setup_teardown(test_what_is_no_file, setup, teardown),
    cmocka_unit_test_setup_teardown(test_several_paths_keep_their_order, setup, teardown),
    cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    cmocka_unit_test_setup_teardown(test_read, setup, teardown),
    cmocka_unit_test_setup_teardown(test_read_what_is_not_regular, setup, teardown),
    cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
