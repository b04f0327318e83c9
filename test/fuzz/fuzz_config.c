/* A command (one byte) and its file of defaults. What the file gives is what the same texts give when they are typed. */
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "doc/yaml.h"
#include "fuzz.h"

#define DIR "/proc/self/fd/" /* that of fuzz_file, from which paths in the file start */
#define TYPED_MAX 512

static const struct mg_command *const commands[] = {&mg_command_check, &mg_command_fix, &mg_command_test, &mg_command_replay,
                                                    &mg_command_explain, &mg_command_serve};

struct set {
  void *options;
  struct mg_options_given given;
};

static struct set take(const struct mg_command *command, int argc, char **argv, struct mg_arena *arena) {
  struct set set = {.options = mg_arena_zero(arena, 1, command->size)};
  struct mg_strings args;
  enum mg_help help;
  struct mg_err err = {0};
  FUZZ_CHECK(set.options, "out of memory");
  FUZZ_CHECK(mg_options_take(command->options, argc, argv, arena, set.options, &args, &help, &set.given, &err) == 0,
             "the file gives what cannot be typed: %s", err.text);
  FUZZ_CHECK(!help && !args.count, "typed, it is no option");
  return set;
}

/* ---- the same, typed ---- */

static char *typed(struct mg_arena *arena, const struct mg_option *row, mg_node value) {
  mg_str text = mg_text(value);
  size_t at = row->path == MG_PATH_BEHIND_EQUALS ? mg_str_find(text, '=') + 1 : 0;
  mg_str rest = mg_str_from(text, at), before = {text.p, at < text.n ? at : text.n};
  bool is_path = row->path != MG_PATH_NONE && rest.n && rest.p[0] != '/' && !mg_str_is(rest, "-");
  if (is_path) text = mg_arena_printf(arena, "%.*s%s%.*s", MG_FMT(before), DIR, MG_FMT(rest));
  return (char *)(uintptr_t)mg_arena_printf(arena, "--%s=%.*s", row->name, MG_FMT(text)).p;
}

static const struct mg_option *row_of(const struct mg_command *command, mg_str key) {
  for (const struct mg_option *row = command->options; row->name; row++)
    if (mg_str_is(key, row->name)) return row;
  return NULL;
}

static int type_all(const struct mg_command *command, mg_str text, struct mg_arena *arena, char **argv) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {text.n, 32, 100000}};
  int argc = 0;
  FUZZ_CHECK(mg_yaml_read(&docs, arena, text, &how, NULL) == 0, "read once, and not again");
  mg_node root = docs ? mg_root(&docs->doc) : (mg_node){0};
  for (mg_node key = mg_is(root, MG_OBJECT) ? mg_first(root) : (mg_node){0}; key.at && argc < TYPED_MAX; key = mg_next(key)) {
    const struct mg_option *row = row_of(command, mg_text(key));
    mg_node value = mg_value(key);
    if (!row) continue;
    mg_node item = mg_first(mg_as(value, MG_ARRAY));
    if (!mg_is(value, MG_ARRAY)) argv[argc++] = typed(arena, row, value);
    for (; item.at && argc < TYPED_MAX; item = mg_next(item)) argv[argc++] = typed(arena, row, item);
  }
  return argc;
}

/* ---- compared ---- */

static bool same_strings(const struct mg_strings *a, const struct mg_strings *b) {
  bool same = a->count == b->count;
  for (size_t i = 0; same && i < a->count; i++) same = strcmp(a->items[i], b->items[i]) == 0;
  return same;
}

static bool same_value(const struct mg_option *row, const void *a, const void *b) {
  const char *const *x = a, *const *y = b;
  const struct mg_opt_int *m = a, *n = b;
  if (row->type == &mg_o_flag) return *(const bool *)a == *(const bool *)b;
  if (row->type == &mg_o_text) return !*x == !*y && (!*x || strcmp(*x, *y) == 0);
  if (row->type == &mg_o_list) return same_strings(a, b);
  if (row->type == &mg_o_word) return *(const uint32_t *)a == *(const uint32_t *)b;
  bool is_number = row->type == &mg_o_number || row->type == &mg_o_size || row->type == &mg_o_time;
  return !is_number || (m->set == n->set && m->value == n->value); /* else of a command's own */
}

static void check_same(const struct mg_command *command, const struct set *file, const struct set *typed_in) {
  for (const struct mg_option *row = command->options; row->name; row++) {
    if (strcmp(row->name, "config") == 0) continue;
    const char *a = file->options, *b = typed_in->options;
    FUZZ_CHECK(same_value(row, a + row->offset, b + row->offset), "--%s is another one when it is typed", row->name);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str text = {(const char *)data, size};
  struct mg_arena *arena = fuzz_arena(0);
  const struct mg_command *command = commands[fuzz_choice(&text, FUZZ_COUNT(commands))];
  char *argv[TYPED_MAX], name[] = "--config";
  struct mg_err err = {0};
  if (!mg_config_is_read(command)) return 0;
  struct set file = take(command, 2, (char *[]){name, (char *)(uintptr_t)fuzz_file(0, text)}, arena);
  fuzz_listen();
  int code = mg_config_apply(commands, FUZZ_COUNT(commands), command, arena, file.options, &file.given, &err);
  size_t lines = fuzz_heard();
  FUZZ_CHECK(code ? code == MG_E_INVALID && err.text[0] && lines : !lines, "code %d, and %zu lines", code, lines);
  fuzz_check_clean(mg_str_of(err.text), "an error");
  if (code) return 0;
  int argc = type_all(command, text, arena, argv);
  struct set same = take(command, argc, argv, arena);
  if (argc < TYPED_MAX) check_same(command, &file, &same);
  return 0;
}
