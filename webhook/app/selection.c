#include "app/selection.h"

#include <stdio.h>
#include <time.h>

#include "app/command.h"

#define ROUND_MS (60 * 1000)

/* One run on its way. */
struct run {
  const struct mg_selection *o;
  const struct mg_selection_visitor *visitor;
  struct mg_judge *judge;
  struct mg_report *report;
  bool *matched; /* by exception of the snapshot */
};

static mg_str expires_text(const struct mg_exception *e, char *text, size_t size) {
  mg_str given = mg_string(MG_GET(MG_GET(e->at, "spec"), "expires"));
  time_t when = (time_t)e->expires;
  struct tm tm = {0};
  if (given.n) return given;
  gmtime_r(&when, &tm);
  return (mg_str){text, strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm)};
}

/* Those that matched, have ended or end soon. */
static void report_exceptions(struct mg_report *report, const struct mg_snapshot *snapshot, const bool *matched, int64_t now) {
  for (uint32_t i = 0; i < mg_snapshot_exception_count(snapshot); i++) {
    const struct mg_exception *e = mg_snapshot_exception(snapshot, i);
    struct mg_report_exception line = {.name = e->name, .state = mg_exception_state(e, now)};
    char text[32];
    if (line.state == MG_EXCEPTION_ACTIVE && !matched[i]) continue;
    line.expires = expires_text(e, text, sizeof text);
    mg_pos(e->at, &line.pos);
    mg_report_exception(report, &line);
  }
}

static int exit_status(const struct mg_selection *o, const struct mg_report_totals *t, bool any_document) {
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
  if (mg_registry_session_new(&ret->session, ret->registry) < 0) return mg_err_set(err, MG_E_NOMEM, "out of memory");
  mg_registry_session_patient(ret->session);
  ret->images = mg_registry_session_images(ret->session);
  judge->visitor.usual.images = &ret->images;
  return 0;
}

/* ---- what came of a file ---- */

static void note_exceptions(struct run *run, const struct mg_verdict *verdict) {
  const struct mg_snapshot *snapshot = run->judge->snapshot;
  for (const struct mg_violation *v = verdict->violations; v; v = v->next)
    for (uint32_t i = 0; v->exception.n && i < mg_snapshot_exception_count(snapshot); i++)
      if (mg_str_eq(v->exception, mg_snapshot_exception(snapshot, i)->name)) run->matched[i] = true;
}

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
  for (const struct mg_judged_item *item = file->items; item; item = item->next) switch (item->kind) {
      case MG_JUDGED_RESULT:
        note_exceptions(run, item->result.verdict);
        mg_report_result(run->report, &item->result);
        break;
      case MG_JUDGED_ERROR: mg_report_error(run->report, &item->error); break;
      case MG_JUDGED_NOTE: tell_note(file->path, &item->note); break;
    }
}

static int judge_files(struct run *run, const struct mg_inputs *inputs, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; code == 0 && i < inputs->count; i++) {
    struct mg_judged file;
    code = mg_judge_file(run->judge, &inputs->items[i], &file, err);
    if (code == 0 && run->visitor->judged) code = run->visitor->judged(run->visitor->ctx, &file, err);
    if (code == 0) report_file(run, &file);
  }
  return code;
}

static int judge_all(struct run *run, const struct mg_strings *args, struct mg_err *err) {
  __attribute__((cleanup(asking_fini))) struct asking asking = {0};
  struct mg_judge *judge = run->judge;
  struct mg_inputs inputs = {.arena = &judge->keep};
  run->matched = MG_NEW_N(&judge->keep, bool, mg_snapshot_exception_count(judge->snapshot) + 1);
  if (!run->matched) return mg_err_set(err, MG_E_NOMEM, "out of memory");
  int code = find_inputs(&inputs, args, err);
  if (code == 0) code = open_registries(run, &asking, err);
  if (code == 0 && asking.session) code = ask_registries(judge, asking.session, &inputs, err);
  if (code == 0 && run->visitor->begin) run->visitor->begin(run->visitor->ctx, judge);
  if (code == 0) code = judge_files(run, &inputs, err);
  if (code < 0) return code;
  report_exceptions(run->report, judge->snapshot, run->matched, judge->now);
  code = mg_report_end(run->report, err);
  struct mg_report_totals *totals = mg_report_totals(run->report);
  bool any_document = totals->objects || totals->skipped;
  if (!any_document && !totals->errors && !run->o->allow_empty)
    fprintf(stderr, "mlgate %s: nothing found to check\n", run->visitor->command);
  return code < 0 ? code : exit_status(run->o, totals, any_document);
}

static void free_reportp(struct mg_report **report) {
  mg_report_free(*report);
}

int mg_selection_run(const struct mg_selection *o, const struct mg_strings *args, const struct mg_selection_visitor *visitor) {
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
    code = mg_judge_init(&judge, snapshot, &usual, &o->groups, &err);
  }
  if (code == 0) {
    struct run run = {.o = o, .visitor = visitor, .judge = &judge, .report = report};
    judge.now = o->now.set ? o->now.value : (int64_t)time(NULL);
    code = judge_all(&run, args, &err);
  }
  if (code < 0) fprintf(stderr, "mlgate %s: %s\n", visitor->command, err.text);
  return code < 0 ? MG_EXIT_USAGE : code;
}
