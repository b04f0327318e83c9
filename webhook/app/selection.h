/* What `check` and `fix` are asked to judge, by what and in whose name: the options that they share, and the way through the
 * files. */
#pragma once
#include "app/config.h"
#include "app/crew.h"
#include "app/images.h"
#include "app/judge.h"
#include "app/policies.h"

struct mg_selection {
  struct mg_config_options config;
  struct mg_policy_files files;
  const char *ns, *user, *cache_dir;
  uint32_t operation, color;
  struct mg_strings groups, formats;
  const char *git_diff, *baseline, *write_baseline;
  struct mg_opt_int warn_exit_code, now, jobs;
  bool allow_empty, offline;
};

#define MG_SELECTION_OPTIONS(type, member)                                                                                     \
  MG_POLICY_OPTIONS(type, member.files),                                                                                       \
    {"namespace", "NS", &mg_o_text, offsetof(type, member.ns), .doc = "of objects that name none", .def = "default"},          \
    {"operation", "OP", &mg_o_word, offsetof(type, member.operation), .doc = "CREATE, UPDATE, DELETE or CONNECT",              \
     .def = "CREATE", .words = mg_operation_words},                                                                            \
    {"user", "USER", &mg_o_text, offsetof(type, member.user), .doc = "who asks"},                                              \
    {"group", "GROUP", &mg_o_list, offsetof(type, member.groups), .doc = "a group of the user; repeats"},                      \
    {"format", "F[=FILE]", &mg_o_list, offsetof(type, member.formats), .doc = "the report, to FILE; repeats [text]",           \
     .path = MG_PATH_BEHIND_EQUALS},                                                                                           \
    {"color", "WHEN", &mg_o_word, offsetof(type, member.color), .doc = "auto, always or never: text in colour", .def = "auto",   \
      .words = mg_color_words},                                                                                                 \
    {"warn-exit-code", "N", &mg_o_number, offsetof(type, member.warn_exit_code), .doc = "exit with N where something warns",   \
     .max = 255},                                                                                                              \
    {"git-diff", "REF", &mg_o_text, offsetof(type, member.git_diff), .doc = "only what changed since HEAD left REF"},           \
    {"baseline", "FILE", &mg_o_text, offsetof(type, member.baseline), .doc = "findings that are known and deny nothing",       \
     .path = MG_PATH_VALUE},                                                                                                   \
    {"write-baseline", "FILE", &mg_o_text, offsetof(type, member.write_baseline), .doc = "write down the findings of now",     \
     .path = MG_PATH_VALUE},                                                                                                   \
    {"jobs", "N", &mg_o_number, offsetof(type, member.jobs), .doc = "files judged at one time [one a CPU]", .min = 1,          \
     .max = MG_CREW_MAX, .aside = true},                                                                                       \
    {"offline", NULL, &mg_o_flag, offsetof(type, member.offline), .doc = "ask no registry; without a cache no imageSize"},     \
    MG_IMAGE_CACHE_OPTION(type, member.cache_dir),                                                                             \
    {"allow-empty", NULL, &mg_o_flag, offsetof(type, member.allow_empty), .doc = "nothing to check is no error",               \
     .aside = true},                                                                                                           \
    MG_CONFIG_OPTIONS(type, member.config),                                                                                    \
    {"now", "TIME", &mg_o_time, offsetof(type, member.now), .doc = "date or timestamp for exceptions [now]",                     \
     .aside = true}

/* Called once a file, in the order of the report and on the thread of the caller, before the file's items are reported: it may
 * change what will be reported. A negative result ends the run. */
struct mg_selection_visitor {
  const char *command; /* for messages */
  void *ctx;
  void (*begin)(void *ctx, const struct mg_judge *judge); /* NULL, or called once before any file: how all are judged */
  /* NULL: nothing is done beside the report. One that is there may write files that are judged later: there is one job then. */
  int (*judged)(void *ctx, struct mg_judged *file, struct mg_err *err);
};

/* Loads the policies, judges what args name and writes the report; the result is the exit status, errors are told. */
int mg_selection_run(const struct mg_selection *selection, const struct mg_strings *args,
                     const struct mg_selection_visitor *visitor);
