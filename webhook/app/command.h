/* What a command is: one row in main.c. */
#pragma once
#include "app/options.h"

enum mg_exit { MG_EXIT_OK, MG_EXIT_DENIED, MG_EXIT_USAGE, MG_EXIT_INPUT };

/* Of what was judged: 3 beats 1 beats --warn-exit-code. */
static inline int mg_exit_status(bool bad_input, uint64_t denied, uint64_t warned, const struct mg_opt_int *warn_code) {
  if (bad_input) return MG_EXIT_INPUT;
  if (denied) return MG_EXIT_DENIED;
  return warned && warn_code->set ? (int)warn_code->value : MG_EXIT_OK;
}

struct mg_command {
  const char *name;
  const char *args; /* what may follow the options; NULL: nothing */
  const char *doc;  /* one line */
  const char *more; /* behind the options in the help; NULL: none */
  const struct mg_option *options;
  size_t size; /* of what the options are read to */
  /* The result is the exit status. */
  int (*run)(const void *options, const struct mg_strings *args);
};

/* All of them, in the order in which they are listed to people; NULL-terminated. */
extern const struct mg_command *const mg_commands[];

/* Writes the text to standard output, whole or with a word of what is wrong, in the name of `who` ("mlgate schema"); the result
 * is the exit status. */
int mg_command_print(const char *who, const struct mg_buf *text);

extern const struct mg_command mg_command_serve;
extern const struct mg_command mg_command_check;
extern const struct mg_command mg_command_test;
extern const struct mg_command mg_command_fix;
extern const struct mg_command mg_command_certs;
extern const struct mg_command mg_command_manifests;
extern const struct mg_command mg_command_schema;
extern const struct mg_command mg_command_explain;
extern const struct mg_command mg_command_image;
extern const struct mg_command mg_command_completion;
extern const struct mg_command mg_command_man;
extern const struct mg_command mg_command_replay;
extern const struct mg_command mg_command_scan;
