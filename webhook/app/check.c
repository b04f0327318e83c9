/* mlgate check: what the webhook would answer to the objects of files, as a report. */
#include <stdio.h>
#include <time.h>

#include "app/command.h"
#include "app/exceptions.h"
#include "app/images.h"
#include "app/inputs.h"
#include "app/judge.h"
#include "app/policies.h"

struct check_options {
  struct mg_policy_files files;
  const char *ns, *user, *cache_dir;
  uint32_t operation;
  struct mg_strings groups, formats;
  struct mg_opt_int warn_exit_code, now;
  bool allow_empty, offline;
};

#define ROUND_MS (60 * 1000)

#define AT(member) offsetof(struct check_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct check_options, files),
    {"namespace", "NS", &mg_o_text, AT(ns), .doc = "of objects that name none", .def = "default"},
    {"operation", "OP", &mg_o_word, AT(operation), .doc = "CREATE, UPDATE, DELETE or CONNECT", .def = "CREATE",
     .words = mg_operation_words},
    {"user", "USER", &mg_o_text, AT(user), .doc = "who asks"},
    {"group", "GROUP", &mg_o_list, AT(groups), .doc = "a group of the user; repeats"},
    {"format", "F[=FILE]", &mg_o_list, AT(formats), .doc = "text or json, to FILE; repeats [text]"},
    {"warn-exit-code", "N", &mg_o_number, AT(warn_exit_code), .doc = "exit with N where something warns",
     .max = 255},
    {"offline", NULL, &mg_o_flag, AT(offline), .doc = "ask no registry; without a cache no imageSize"},
    MG_IMAGE_CACHE_OPTION(struct check_options, cache_dir),
    {"allow-empty", NULL, &mg_o_flag, AT(allow_empty), .doc = "nothing to check is no error"},
    {"now", "TIME", &mg_o_time, AT(now), .doc = "date or timestamp for exceptions [now]"},
    MG_OPTIONS_END,
};

static int exit_status(const struct check_options *o, const struct mg_report_totals *t, bool any_document) {
  if (t->errors || (!any_document && !o->allow_empty)) return MG_EXIT_INPUT;
  if (t->outcomes[MG_OUT_DENY]) return MG_EXIT_DENIED;
  return t->outcomes[MG_OUT_WARN] && o->warn_exit_code.set ? (int)o->warn_exit_code.value : MG_EXIT_OK;
}

static int find_inputs(struct mg_inputs *inputs, const struct mg_strings *args, struct mg_err *err) {
  for (size_t i = 0; i < args->count; i++) {
    int code = mg_inputs_add(inputs, args->items[i], err);
    if (code < 0) return mg_err_wrap(err, "%s", args->items[i]);
  }
  return 0;
}

/* All files before any is judged, so that registries are asked for all images at one time. */
static int ask_registries(struct mg_judge *judge, struct mg_registry_session *session, const struct mg_inputs *inputs,
                          struct mg_err *err) {
  int code = 0;
  for (int i = 0; i < MG_IMAGES_ROUNDS && code == 0; i++) {
    judge->waiting = false;
    for (size_t f = 0; f < inputs->count && code == 0; f++) code = mg_judge_ask(judge, &inputs->items[f], err);
    if (!judge->waiting || !mg_images_wait(session, ROUND_MS)) break;
  }
  mg_registry_session_late(session);
  return code;
}

/* Registries, where a policy needs them. */
struct asking {
  struct mg_registry *registry;
  struct mg_registry_session *session;
  struct mg_images images;
};

static void asking_fini(struct asking *asking) {
  mg_registry_session_free(asking->session);
  mg_registry_free(asking->registry);
}

static int open_registries(const struct check_options *o, struct mg_judge *judge, struct asking *ret, struct mg_err *err) {
  if (!mg_images_needed(judge->snapshot)) return 0;
  if (o->offline && !o->cache_dir) {
    fputs("mlgate check: --offline: no registry is asked, and imageSize is left out\n", stderr);
    return 0;
  }
  const struct mg_images_options how = {
      .auth_file = mg_images_own_auth(&judge->keep), .cache_dir = o->cache_dir, .offline = o->offline};
  int code = mg_images_use(&ret->registry, judge->snapshot, &how, err);
  if (code < 0) return code;
  if (mg_registry_session_new(&ret->session, ret->registry) < 0) return mg_err_set(err, MG_E_NOMEM, "out of memory");
  mg_registry_session_patient(ret->session);
  ret->images = mg_registry_session_images(ret->session);
  judge->visitor.usual.images = &ret->images;
  return 0;
}

static int check(const struct check_options *o, struct mg_judge *judge, const struct mg_strings *args, struct mg_err *err) {
  __attribute__((cleanup(asking_fini))) struct asking asking = {0};
  struct mg_inputs inputs = {.arena = &judge->keep};
  int code = find_inputs(&inputs, args, err);
  if (code == 0) code = open_registries(o, judge, &asking, err);
  if (code == 0 && asking.session) code = ask_registries(judge, asking.session, &inputs, err);
  for (size_t i = 0; code == 0 && i < inputs.count; i++) code = mg_judge_file(judge, &inputs.items[i], err);
  if (code < 0) return code;
  mg_exceptions_report(judge->report, judge->snapshot, judge->matched, judge->now);
  code = mg_report_end(judge->report, err);
  struct mg_report_totals *totals = mg_report_totals(judge->report);
  bool any_document = totals->objects || totals->skipped;
  if (!any_document && !totals->errors && !o->allow_empty) fputs("mlgate check: nothing found to check\n", stderr);
  return code < 0 ? code : exit_status(o, totals, any_document);
}

static void free_reportp(struct mg_report **report) {
  mg_report_free(*report);
}

static int run(const void *given, const struct mg_strings *args) {
  const struct check_options *o = given;
  MG_SNAPSHOT_AUTO snapshot = NULL;
  __attribute__((cleanup(free_reportp))) struct mg_report *report = NULL;
  __attribute__((cleanup(mg_judge_fini))) struct mg_judge judge = {0};
  struct mg_err err = {0};
  int code = mg_report_new(&report, o->formats.items, o->formats.count, &err);
  if (code == 0 && mg_load_policies(&o->files, &snapshot) < 0) return MG_EXIT_USAGE;
  if (code == 0) {
    struct mg_request usual = {.ns = mg_str_of(o->ns),
                               .user = mg_str_of(o->user),
                               .operation = (enum mg_operation)o->operation,
                               .as_written = true};
    code = mg_judge_init(&judge, snapshot, report, &usual, &o->groups, &err);
  }
  if (code == 0) {
    judge.now = o->now.set ? o->now.value : (int64_t)time(NULL);
    code = check(o, &judge, args, &err);
  }
  if (code < 0) fprintf(stderr, "mlgate check: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : code;
}

const struct mg_command mg_command_check = {
    .name = "check", .args = "[FILE|DIR|-]...", .doc = "judge manifests as the webhook would", .options = options,
    .size = sizeof(struct check_options), .run = run,
    .more = "Without --policies: ./policies if it exists, else the built-in pack.\n"
            "Exit: 0 nothing denied, 1 denied, 2 usage or policies, 3 unreadable or empty."};
