/* What `check` and `fix` are asked to judge, by what and in whose name: the options that they share, and the way through the
 * files. */
#pragma once
#include "app/images.h"
#include "app/judge.h"
#include "app/policies.h"

struct mg_selection {
  struct mg_policy_files files;
  const char *ns, *user, *cache_dir;
  uint32_t operation;
  struct mg_strings groups, formats;
  struct mg_opt_int warn_exit_code, now;
  bool allow_empty, offline;
};

#define MG_SELECTION_OPTIONS(type, member)                                                                                     \
  MG_POLICY_OPTIONS(type, member.files),                                                                                       \
    {"namespace", "NS", &mg_o_text, offsetof(type, member.ns), .doc = "of objects that name none", .def = "default"},          \
    {"operation", "OP", &mg_o_word, offsetof(type, member.operation), .doc = "CREATE, UPDATE, DELETE or CONNECT",              \
     .def = "CREATE", .words = mg_operation_words},                                                                            \
    {"user", "USER", &mg_o_text, offsetof(type, member.user), .doc = "who asks"},                                              \
    {"group", "GROUP", &mg_o_list, offsetof(type, member.groups), .doc = "a group of the user; repeats"},                      \
    {"format", "F[=FILE]", &mg_o_list, offsetof(type, member.formats), .doc = "text or json, to FILE; repeats [text]"},        \
    {"warn-exit-code", "N", &mg_o_number, offsetof(type, member.warn_exit_code), .doc = "exit with N where something warns",   \
     .max = 255},                                                                                                              \
    {"offline", NULL, &mg_o_flag, offsetof(type, member.offline), .doc = "ask no registry; without a cache no imageSize"},     \
    MG_IMAGE_CACHE_OPTION(type, member.cache_dir),                                                                             \
    {"allow-empty", NULL, &mg_o_flag, offsetof(type, member.allow_empty), .doc = "nothing to check is no error"},              \
    {"now", "TIME", &mg_o_time, offsetof(type, member.now), .doc = "date or timestamp for exceptions [now]"}

/* Called once a file, in the order of the report, before the file's items are reported: it may change what will be reported.
 * A negative result ends the run. */
struct mg_selection_visitor {
  const char *command; /* for messages */
  void *ctx;
  void (*begin)(void *ctx, const struct mg_judge *judge); /* NULL, or called once before any file: how all are judged */
  int (*judged)(void *ctx, struct mg_judged *file, struct mg_err *err); /* NULL: nothing is done beside the report */
};

/* Loads the policies, judges what args name and writes the report; the result is the exit status, errors are told. */
int mg_selection_run(const struct mg_selection *selection, const struct mg_strings *args,
                     const struct mg_selection_visitor *visitor);
