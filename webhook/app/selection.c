#include "app/selection.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/baseline.h"
#include "app/changes.h"
#include "app/command.h"
#include "app/exceptions.h"
#include "app/progress.h"

#define ROUND_MS (60 * 1000)

/* One run on its way. */
struct run {
  const struct mg_selection *o;
  const struct mg_selection_visitor *visitor;
  struct mg_judge *judge;
  struct mg_report *report;
  bool *matched; /* by exception of the snapshot */
  struct mg_changes changes; /* --git-diff */
  struct mg_baseline baseline;
  struct mg_progress progress;
  size_t done; /* files */
  uint64_t documents;
};

/* A change that touches no manifest is a good one. */
static bool may_be_empty(const struct mg_selection *o) {
  return o->allow_empty || o->git_diff;
}

/* In a folder that is searched there may be the report that is being written. */
static void leave_out_reports(const struct mg_report *report, struct mg_inputs *inputs) {
  size_t kept = 0;
  for (size_t i = 0; i < inputs->count; i++) {
    const struct mg_input *input = &inputs->items[i];
    if (mg_is_standard(input->path) || !mg_report_goes_to(report, input->path)) inputs->items[kept++] = *input;
  }
  inputs->count = kept;
}

static int find_inputs(struct run *run, struct mg_inputs *inputs, const struct mg_strings *args, struct mg_err *err) {
  static const char *here[] = {"."};
  const struct mg_strings usual = {here, 1};
  const char *ref = run->o->git_diff;
  int code = 0;
  if (ref && !args->count) args = &usual;
  run->changes.arena = inputs->arena;
  if (ref) code = mg_changes_find(&run->changes, ref, args->items, args->count, err);
  if (code < 0) return mg_err_wrap(err, "--git-diff");
  for (size_t i = 0; i < args->count; i++) {
    code = mg_inputs_add(inputs, args->items[i], err);
    if (code < 0) return mg_err_wrap(err, "%s", args->items[i]);
  }
  leave_out_reports(run->report, inputs);
  return ref ? mg_changes_keep(&run->changes, inputs, err) : 0;
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

static int open_registries(struct run *run, struct asking *ret, struct mg_err *err) {
  const struct mg_selection *o = run->o;
  struct mg_judge *judge = run->judge;
  if (!mg_images_needed(judge->snapshot)) return 0;
  if (o->offline && !o->cache_dir) {
    fprintf(stderr, "mlgate %s: --offline: no registry is asked, and imageSize is left out\n", run->visitor->command);
    return 0;
  }
  const struct mg_images_options how = {
      .auth_file = mg_images_own_auth(&judge->keep), .cache_dir = o->cache_dir, .offline = o->offline};
  int code = mg_images_use(&ret->registry, judge->snapshot, &how, err);
  if (code < 0) return code;
  if (mg_registry_session_new(&ret->session, ret->registry) < 0) return mg_err_nomem(err);
  mg_registry_session_patient(ret->session);
  ret->images = mg_registry_session_images(ret->session);
  judge->visitor.usual.images = &ret->images;
  return 0;
}

/* ---- what came of a file ---- */

static void tell_note(const char *file, const struct mg_report_warning *note) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 1 << 16);
  mg_buf_clean(&out, mg_str_of(file));
  if (note->line) mg_buf_printf(&out, ":%u:%u", note->line, note->column);
  mg_buf_lit(&out, ": warning: ");
  mg_buf_clean(&out, note->text);
  fprintf(stderr, "%.*s\n", MG_FMT(mg_buf_str(&out)));
}

static void report_file(struct run *run, const struct mg_judged *file) {
  struct mg_report_totals *totals = mg_report_totals(run->report);
  totals->files += file->read;
  totals->skipped += file->skipped;
  run->documents += file->documents;
  for (const struct mg_judged_item *item = file->items; item; item = item->next) switch (item->kind) {
      case MG_JUDGED_RESULT:
        mg_exceptions_note(run->judge->snapshot, item->result.verdict, run->matched);
        mg_report_result(run->report, &item->result);
        break;
      case MG_JUDGED_ERROR: mg_report_error(run->report, &item->error); break;
      case MG_JUDGED_NOTE: tell_note(file->path, &item->note); break;
    }
}

static int apply_baseline(struct run *run, const struct mg_judged *file, struct mg_err *err) {
  int code = 0;
  if (!run->o->baseline && !run->o->write_baseline) return 0;
  for (const struct mg_judged_item *item = file->items; item && code == 0; item = item->next)
    if (item->kind == MG_JUDGED_RESULT) code = mg_baseline_apply(&run->baseline, &item->result, err);
  return code;
}

static int take_file(void *ctx, struct mg_judged *file, struct mg_err *err) {
  struct run *run = ctx;
  int code = run->visitor->judged ? run->visitor->judged(run->visitor->ctx, file, err) : 0;
  if (code == 0) code = apply_baseline(run, file, err); /* of what is left */
  if (code < 0) return code;
  if (file->items) mg_progress_erase(&run->progress);
  report_file(run, file);
  mg_progress_tell(&run->progress, ++run->done);
  return 0;
}

static void wait_for_file(void *ctx, size_t done) {
  struct run *run = ctx;
  mg_progress_tell(&run->progress, done);
}

/* What registries said is asked for by one thread only. */
static int judge_files(struct run *run, const struct mg_inputs *inputs, struct mg_err *err) {
  bool alone = run->visitor->judged || run->judge->visitor.usual.images;
  uint32_t jobs = alone ? 1 : (uint32_t)run->o->jobs.value;
  struct mg_crew crew = {.jobs = jobs, .ctx = run, .judged = take_file, .waits = wait_for_file};
  mg_progress_start(&run->progress, inputs->count);
  int code = mg_crew_run(&crew, run->judge, inputs, err);
  mg_progress_erase(&run->progress);
  return code;
}

/* ---- the baseline ---- */

/* A baseline that is to be written need not be there to be read. */
static int open_baseline(struct run *run, struct mg_err *err) {
  const struct mg_selection *o = run->o;
  run->baseline.gather = o->write_baseline != NULL;
  if (o->write_baseline && o->git_diff)
    return mg_err_set(err, MG_E_USAGE, "--write-baseline needs all findings, and --git-diff leaves some out");
  int code = o->write_baseline ? mg_baseline_may_write(o->write_baseline, err) : 0;
  if (code < 0) return mg_err_wrap(err, "--write-baseline");
  if (!o->baseline) return 0;
  if (o->write_baseline && strcmp(o->baseline, o->write_baseline) == 0 && access(o->baseline, F_OK) != 0) return 0;
  code = mg_baseline_read(&run->baseline, o->baseline, err);
  return code < 0 ? mg_err_wrap(err, "--baseline") : 0;
}

static enum mg_baseline_scope scope_of(const struct mg_selection *o, const struct mg_strings *args) {
  struct stat info;
  if (o->git_diff) return MG_BASELINE_SOME_OBJECTS;
  for (size_t i = 0; i < args->count; i++)
    if (stat(args->items[i], &info) == 0 && S_ISDIR(info.st_mode)) return MG_BASELINE_ALL;
  return MG_BASELINE_SOME_FILES;
}

static int close_baseline(struct run *run, const struct mg_strings *args, struct mg_err *err) {
  const struct mg_selection *o = run->o;
  mg_baseline_tell(&run->baseline, scope_of(o, args));
  int code = o->write_baseline ? mg_baseline_write(&run->baseline, o->write_baseline, err) : 0;
  return code < 0 ? mg_err_wrap(err, "--write-baseline") : 0;
}

static int judge_all(struct run *run, const struct mg_strings *args, struct mg_err *err) {
  __attribute__((cleanup(asking_fini))) struct asking asking = {0};
  struct mg_judge *judge = run->judge;
  struct mg_inputs inputs = {.arena = &judge->keep};
  run->matched = MG_NEW_N(&judge->keep, bool, mg_snapshot_exception_count(judge->snapshot) + 1);
  if (!run->matched) return mg_err_nomem(err);
  int code = open_baseline(run, err);
  if (code == 0) code = find_inputs(run, &inputs, args, err);
  if (code == 0) code = open_registries(run, &asking, err);
  if (code == 0 && asking.session) code = ask_registries(judge, asking.session, &inputs, err);
  if (code == 0 && run->visitor->begin) run->visitor->begin(run->visitor->ctx, judge);
  if (code == 0) code = judge_files(run, &inputs, err);
  if (code < 0) return code;
  mg_exceptions_report(run->report, judge->snapshot, run->matched, judge->now);
  code = mg_report_end(run->report, err);
  if (code == 0) code = close_baseline(run, args, err);
  struct mg_report_totals *totals = mg_report_totals(run->report);
  bool empty = !run->documents && !may_be_empty(run->o);
  if (empty && !totals->errors) fprintf(stderr, "mlgate %s: nothing found to check\n", run->visitor->command);
  if (code < 0) return code;
  return mg_exit_status(totals->errors || empty, totals->outcomes[MG_OUT_DENY], totals->outcomes[MG_OUT_WARN],
                        &run->o->warn_exit_code);
}

/* A report that is opened empties its file. */
static int spare_inputs(const struct mg_selection *o, const struct mg_strings *args, struct mg_err *err) {
  struct stat to, from;
  for (size_t f = 0; f < o->formats.count; f++) {
    const char *file = strchr(o->formats.items[f], '=');
    if (!file || stat(file + 1, &to) != 0 || !S_ISREG(to.st_mode)) continue;
    for (size_t i = 0; i < args->count; i++)
      if (stat(args->items[i], &from) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return mg_err_set(err, MG_E_USAGE, "--format %s: that file is to be judged", o->formats.items[f]);
  }
  return 0;
}

static void free_reportp(struct mg_report **report) {
  mg_report_free(*report);
}

int mg_selection_run(const struct mg_selection *o, const struct mg_strings *args, const struct mg_selection_visitor *visitor) {
  MG_SNAPSHOT_AUTO snapshot = NULL;
  __attribute__((cleanup(free_reportp))) struct mg_report *report = NULL;
  __attribute__((cleanup(mg_judge_fini))) struct mg_judge judge = {0};
  struct mg_err err = {0};
  int code = spare_inputs(o, args, &err);
  if (code == 0) code = mg_report_new(&report, o->formats.items, o->formats.count, &err);
  if (code == 0) mg_report_color(report, (enum mg_color)o->color);
  if (code == 0 && mg_load_policies(&o->files, &snapshot) < 0) return MG_EXIT_USAGE;
  if (code == 0) {
    struct mg_request usual = {.ns = mg_str_of(o->ns),
                               .user = mg_str_of(o->user),
                               .operation = (enum mg_operation)o->operation,
                               .as_written = true};
    code = mg_judge_init(&judge, snapshot, &usual, &o->groups, &err);
  }
  if (code == 0) {
    struct run run = {.o = o, .visitor = visitor, .judge = &judge, .report = report};
    judge.now = o->now.set ? o->now.value : (int64_t)time(NULL);
    code = judge_all(&run, args, &err);
    mg_baseline_fini(&run.baseline);
  }
  if (code < 0) fprintf(stderr, "mlgate %s: %s\n", visitor->command, err.text);
  return code < 0 ? MG_EXIT_USAGE : code;
}
