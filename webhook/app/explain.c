/* mlgate explain: what a rule type does, what the tables say, what mlgate sees in a manifest. */
#include "app/explain.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "app/config.h"
#include "app/inputs.h"
#include "rules/rules.h"

#define ARENA ((size_t)64 << 20)

struct explain_options {
  struct mg_config_options config;
  struct mg_policy_files files;
  const char *ns, *user;
  uint32_t operation;
  struct mg_strings groups;
  struct mg_opt_int now;
};

#define AT(member) offsetof(struct explain_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct explain_options, files),
    {"namespace", "NS", &mg_o_text, AT(ns), .doc = "of objects that name none", .def = "default"},
    {"operation", "OP", &mg_o_word, AT(operation), .doc = "CREATE, UPDATE, DELETE or CONNECT", .def = "CREATE",
     .words = mg_operation_words},
    {"user", "USER", &mg_o_text, AT(user), .doc = "who asks"},
    {"group", "GROUP", &mg_o_list, AT(groups), .doc = "a group of the user; repeats"},
    {"now", "TIME", &mg_o_time, AT(now), .doc = "date or timestamp for exceptions [now]"},
    MG_CONFIG_OPTIONS(struct explain_options, config),
    MG_OPTIONS_END,
};

static const struct mg_rule_type *rule_type(const char *name) {
  for (mg_rule_types type = mg_rules; *type; type++)
    if (strcmp((*type)->name, name) == 0) return *type;
  return NULL;
}

/* Nothing of the kind: a word that was mistyped, most likely. */
static int unknown(const char *word) {
  const char *words[64] = {"workloads", "accelerators"};
  struct mg_arena arena;
  size_t n = 2;
  for (mg_rule_types type = mg_rules; *type && n < 63; type++) words[n++] = (*type)->name;
  mg_arena_init(&arena, ARENA, 0);
  mg_str hint = mg_did_you_mean(&arena, mg_str_of(word), words);
  fprintf(stderr, "mlgate explain: \"%s\" is no rule type, topic or file%.*s\n", word, MG_FMT(hint));
  mg_arena_fini(&arena);
  return MG_EXIT_USAGE;
}

/* To leave out the rest without a word would be no answer. */
static int one_at_a_time(const char *word) {
  fprintf(stderr, "mlgate explain: \"%s\" stands alone: one rule type or topic at a time\n", word);
  return MG_EXIT_USAGE;
}

static int explain_files(struct mg_buf *out, const struct explain_options *o, const struct mg_snapshot *snapshot,
                         const struct mg_strings *args, size_t first) {
  struct mg_arena arena;
  struct mg_inputs inputs = {.arena = &arena};
  struct mg_err err = {0};
  int status = MG_EXIT_OK, code = 0;
  mg_arena_init(&arena, ARENA, 0);
  mg_str *groups = MG_NEW_N(&arena, mg_str, o->groups.count + 1);
  for (size_t i = 0; groups && i < o->groups.count; i++) groups[i] = mg_str_of(o->groups.items[i]);
  struct mg_request usual = {.ns = mg_str_of(o->ns), .user = mg_str_of(o->user), .operation = (enum mg_operation)o->operation,
                             .group_list = groups, .group_count = groups ? (uint32_t)o->groups.count : 0};
  int64_t now = o->now.set ? o->now.value : (int64_t)time(NULL);
  for (size_t i = first; i < args->count && code == 0; i++) code = mg_inputs_add(&inputs, args->items[i], &err);
  if (code < 0) fprintf(stderr, "mlgate explain: %s\n", err.text), status = MG_EXIT_INPUT;
  for (size_t i = 0; i < inputs.count && code == 0; i++) {
    const struct mg_input *input = &inputs.items[i];
    if (input->problem) fprintf(stderr, "%s: %s\n", input->path, input->problem);
    if (input->problem || !mg_explain_file(out, snapshot, &usual, now, input->path)) status = MG_EXIT_INPUT;
  }
  mg_arena_fini(&arena);
  return status;
}

/* What is about the tables of the policies at hand, a user's own WorkloadKinds included. */
static int explain_with_policies(struct mg_buf *out, const struct explain_options *o, const struct mg_strings *args) {
  MG_SNAPSHOT_AUTO snapshot = NULL;
  const char *word = args->items[0];
  struct stat info;
  bool workloads = strcmp(word, "workloads") == 0, accelerators = strcmp(word, "accelerators") == 0;
  size_t first = strcmp(word, "object") == 0 && args->count > 1 ? 1 : 0;
  if (!workloads && !accelerators && !first && !mg_is_standard(word) && stat(word, &info) != 0) return unknown(word);
  if ((workloads || accelerators) && args->count > 1) return one_at_a_time(word);
  if (mg_load_policies(&o->files, &snapshot) < 0) return MG_EXIT_USAGE;
  if (workloads) mg_explain_workloads(out, snapshot);
  else if (accelerators) mg_explain_accelerators(out, snapshot);
  else return explain_files(out, o, snapshot, args, first);
  return MG_EXIT_OK;
}

static int run(const void *given, const struct mg_strings *args) {
  const struct mg_rule_type *type = args->count ? rule_type(args->items[0]) : NULL;
  MG_BUF_AUTO out;
  int status = MG_EXIT_OK;
  mg_buf_init(&out, NULL, MG_EXPLAIN_MAX);
  if (!args->count) mg_explain_topics(&out);
  else if (type && args->count > 1) return one_at_a_time(type->name);
  else if (type) mg_explain_rule(&out, type);
  else status = explain_with_policies(&out, given, args);
  if (out.failed) {
    fprintf(stderr, "mlgate explain: out of memory, or more than %zu MiB to say\n", MG_EXPLAIN_MAX >> 20);
    return MG_EXIT_USAGE;
  }
  int printed = mg_command_print("mlgate explain", &out);
  return printed == MG_EXIT_OK ? status : printed;
}

const struct mg_command mg_command_explain = {
    .name = "explain", .args = "[RULE|workloads|accelerators|FILE...]", .doc = "what a rule does, what mlgate sees in a manifest",
    .options = options, .size = sizeof(struct explain_options), .run = run,
    .more = "Without arguments: the rule types. `explain object FILE...` is the same as `explain FILE...`."};
