/* mlgate replay: what policies say to requests that were recorded, and what others would say. */
#include "app/replay.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "app/command.h"
#include "app/images.h"
#include "app/inputs.h"
#include "app/judge.h"
#include "app/policies.h"
#include "app/records.h"
#include "base/write.h"
#include "doc/yaml.h"
#include "report/report.h"

#define ARENA_KEEP ((size_t)8 << 20)
#define INPUTS_ARENA ((size_t)512 << 20)
#define REPORT_MAX ((size_t)256 << 20)
#define LISTS_MAX 4 /* a List in a List in … */

struct replay_options {
  struct mg_policy_files files;
  struct mg_strings against, formats;
  struct mg_opt_int warn_exit_code, now, examples;
  bool allow_empty;
};

#define AT(member) offsetof(struct replay_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct replay_options, files),
    {"against", "PATH", &mg_o_list, AT(against), .doc = "other policies: tell what they would change; repeats"},
    {"examples", "N", &mg_o_number, AT(examples), .doc = "requests to show of each policy", .def = "3", .max = 100},
    {"format", "F[=FILE]", &mg_o_list, AT(formats), .doc = "text or json, to FILE; repeats [text]"},
    {"warn-exit-code", "N", &mg_o_number, AT(warn_exit_code), .doc = "exit with N where something warns, or newly",
     .max = 255},
    {"allow-empty", NULL, &mg_o_flag, AT(allow_empty), .doc = "nothing recorded is no error"},
    {"now", "TIME", &mg_o_time, AT(now), .doc = "date or timestamp for exceptions [now]"},
    MG_OPTIONS_END,
};

/* ---- where the report goes ---- */

struct output {
  void (*write)(struct mg_buf *out, const struct mg_replay *replay);
  const char *name;
  struct mg_output to;
};
#define OUTPUTS_MAX 8
struct outputs {
  struct output items[OUTPUTS_MAX];
  size_t count;
};

static const struct output formats[] = {{mg_replay_text, "text", {0}}, {mg_replay_json, "json", {0}}};

static int open_output(struct outputs *outputs, const char *spec, struct mg_err *err) {
  mg_str name;
  const char *file = mg_report_file(spec, &name);
  size_t i = 0, n = sizeof formats / sizeof *formats;
  while (i < n && !mg_str_is(name, formats[i].name)) i++;
  if (i == n) return mg_err_set(err, MG_E_USAGE, "--format: there is no format \"%.*s\"; there are text, json", MG_FMT(name));
  if (outputs->count == OUTPUTS_MAX) return mg_err_set(err, MG_E_USAGE, "--format: at most %d", OUTPUTS_MAX);
  for (size_t o = 0; !file && o < outputs->count; o++)
    if (outputs->items[o].to.fd == STDOUT_FILENO)
      return mg_err_set(err, MG_E_USAGE, "--format: only one report can go to standard output; write --format %s=FILE",
                        formats[i].name);
  if (file && !*file) return mg_err_set(err, MG_E_USAGE, "--format: no file behind \"%s\"", spec);
  struct output output = formats[i];
  if (mg_output_open(&output.to, file) < 0) return mg_err_set(err, MG_E_IO, "--format: %s: %s", file, strerror(errno));
  outputs->items[outputs->count++] = output;
  return 0;
}

static int open_outputs(struct outputs *outputs, const struct mg_strings *specs, struct mg_err *err) {
  int code = specs->count ? 0 : open_output(outputs, "text", err);
  for (size_t i = 0; i < specs->count && code == 0; i++) code = open_output(outputs, specs->items[i], err);
  return code;
}

static void close_outputs(struct outputs *outputs) {
  for (size_t i = 0; i < outputs->count; i++) mg_output_close(&outputs->items[i].to);
}

static int write_output(struct output *output, const struct mg_replay *replay, struct mg_err *err) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, REPORT_MAX);
  output->write(&out, replay);
  if (out.failed) return mg_err_set(err, MG_E_NOMEM, "the %s report is too large, or out of memory", output->name);
  if (mg_output_write(&output->to, mg_buf_str(&out)) == 0) return 0;
  return mg_err_set(err, MG_E_IO, "the %s report cannot be written: %s", output->name, strerror(errno));
}

/* ---- records ---- */

/* One set of policies with what it makes of the record at hand. */
struct set {
  struct mg_snapshot *snapshot;
  struct mg_arena arena; /* of the record */
  struct mg_file_doc *docs;
  struct mg_verdict verdict;
};

struct replaying {
  struct mg_replay replay;
  struct set sets[2];
  size_t count; /* of sets */
  int64_t now;
  const char *file;
  uint32_t line; /* of the record */
};

static void replaying_fini(struct replaying *r) {
  for (size_t i = 0; i < 2; i++) {
    mg_snapshot_unref(r->sets[i].snapshot);
    mg_arena_fini(&r->sets[i].arena);
  }
  mg_replay_fini(&r->replay);
}

static uint32_t line_of(const struct replaying *r, mg_node node) {
  struct mg_pos pos;
  return mg_value_pos(node, &pos) ? r->line + pos.line - 1 : r->line;
}

static bool is_known(const struct replaying *r, const struct mg_request *request) {
  for (size_t i = 0; i < r->count; i++)
    if (mg_kind_find(mg_snapshot_kinds(r->sets[i].snapshot), request->group, request->version, request->kind)) return true;
  return false;
}

static void unused(struct replaying *r, enum mg_unused why) {
  r->replay.unused[why]++;
  r->replay.totals[0].skipped++;
}

/* The same node in the documents of each set: judging edits them. */
static int judge_node(struct replaying *r, const mg_node nodes[2], struct mg_err *err) {
  struct mg_recorded recorded[2];
  struct mg_replay_judged judged = {.file = r->file, .line = line_of(r, nodes[0]), .recorded = recorded};
  for (size_t i = 0; i < r->count; i++) {
    enum mg_unused why;
    struct mg_err wrong = {0};
    struct set *set = &r->sets[i];
    if (mg_recorded_read(nodes[i], &recorded[i], &why, &wrong) < 0) {
      mg_replay_error(&r->replay, r->file, judged.line, wrong.text);
      return 0;
    }
    if (why == MG_UNUSED_COUNT && !is_known(r, &recorded[i].request)) why = MG_UNUSED_KIND;
    if (why != MG_UNUSED_COUNT) {
      unused(r, why);
      return 0;
    }
    int code = mg_evaluate(set->snapshot, &recorded[i].request, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, r->now, &set->arena,
                           &set->verdict, err);
    if (code < 0) return code;
    judged.verdicts[i] = &set->verdict;
  }
  return mg_replay_add(&r->replay, &judged, &r->sets[0].arena, err);
}

static int judge_nodes(struct replaying *r, const mg_node nodes[2], unsigned depth, struct mg_err *err) {
  mg_node items = MG_GET(nodes[0], "items");
  int code = 0;
  if (!mg_is(items, MG_ARRAY) || depth == LISTS_MAX) return judge_node(r, nodes, err);
  for (mg_node item = mg_first(items); item.at && code == 0; item = mg_next(item))
    code = judge_nodes(r, (mg_node[2]){item, {nodes[1].doc, nodes[1].doc ? item.at : 0}}, depth + 1, err);
  return code;
}

static int read_docs(struct set *set, const struct mg_record *record, const char *file, struct mg_err *err) {
  struct mg_read how = {.limits = {MG_RECORD_MAX, MG_MANIFEST_DEPTH, MG_MANIFEST_CELLS}, .file = file};
  mg_arena_reset(&set->arena);
  set->docs = NULL;
  if (record->yaml) return mg_yaml_read(&set->docs, &set->arena, record->text, &how, err);
  struct mg_file_doc *doc = MG_NEW(&set->arena, struct mg_file_doc);
  if (!doc) return mg_err_nomem(err);
  int code = mg_json_read(&doc->doc, &set->arena, record->text, &how, err);
  if (code == 0) set->docs = doc;
  return code;
}

/* What is wrong with a record is told, and the next one is read. */
static void replay_record(struct replaying *r, const struct mg_record *record) {
  struct mg_file_doc *docs[2] = {NULL};
  struct mg_err err = {0};
  int code = 0;
  r->line = record->line;
  for (size_t i = 0; i < r->count && code != MG_E_NOMEM; i++) {
    code = read_docs(&r->sets[i], record, r->file, &err);
    docs[i] = r->sets[i].docs;
  }
  if (code < 0) {
    mg_replay_error(&r->replay, r->file, err.line ? r->line + err.line - 1 : r->line, err.text);
    return;
  }
  for (code = 0; docs[0] && code == 0; docs[0] = docs[0]->next, docs[1] = docs[1] ? docs[1]->next : NULL)
    code = judge_nodes(r, (mg_node[2]){mg_root(&docs[0]->doc), docs[1] ? mg_root(&docs[1]->doc) : (mg_node){0}}, 0, &err);
  if (code < 0) mg_replay_error(&r->replay, r->file, r->line, err.text);
}

static void replay_file(struct replaying *r, const struct mg_input *input) {
  MG_RECORDS_AUTO records = NULL;
  struct mg_err err = {0};
  r->file = input->path;
  if (input->problem || mg_records_open(&records, input->path, &err) < 0) {
    mg_replay_error(&r->replay, r->file, 0, input->problem ? input->problem : err.text);
    return;
  }
  r->replay.totals[0].files++;
  for (;;) {
    struct mg_record record;
    int code = mg_records_next(records, &record, &err);
    if (code == 0) return;
    if (code > 0) replay_record(r, &record);
    else mg_replay_error(&r->replay, r->file, err.line, err.text);
    if (code == MG_E_IO || code == MG_E_NOMEM) return;
  }
}

/* ---- the command ---- */

static int find_inputs(struct mg_inputs *inputs, const struct mg_strings *args, struct mg_err *err) {
  for (size_t i = 0; i < args->count; i++) {
    int code = mg_inputs_add(inputs, args->items[i], err);
    if (code < 0) return mg_err_wrap(err, "%s", args->items[i]);
  }
  return 0;
}

static int load_sets(struct replaying *r, const struct replay_options *o) {
  const struct mg_policy_files files[2] = {o->files, {.policies = o->against, .context = o->files.context}};
  r->count = o->against.count ? 2 : 1;
  for (size_t i = 0; i < r->count; i++) {
    mg_arena_init(&r->sets[i].arena, MG_JUDGE_ARENA, ARENA_KEEP);
    if (mg_load_policies(&files[i], &r->sets[i].snapshot) < 0) return MG_E_INVALID;
    if (mg_images_needed(r->sets[i].snapshot)) fputs("mlgate replay: no registry is asked, and imageSize is left out\n", stderr);
  }
  return 0;
}

static int exit_status(const struct replay_options *o, const struct mg_replay *replay) {
  const struct mg_report_totals *t = replay->totals;
  bool any = t->objects || t->skipped > replay->unused[MG_UNUSED_OTHER];
  uint64_t denied = replay->two ? replay->groups[MG_GROUP_NEWLY_DENIED].requests : t->outcomes[MG_OUT_DENY];
  uint64_t warned = replay->two ? replay->groups[MG_GROUP_OTHER_WARNINGS].requests : t->outcomes[MG_OUT_WARN];
  bool empty = !any && !o->allow_empty;
  if (empty && !t->errors) fputs("mlgate replay: nothing recorded was found\n", stderr);
  return mg_exit_status(t->errors || empty, denied, warned, &o->warn_exit_code);
}

static int replay(struct replaying *r, struct outputs *outputs, const struct mg_strings *args, struct mg_err *err) {
  static const char *const suffixes[] = {".json", ".jsonl", ".ndjson", ".log", ".gz", ".yaml", ".yml", NULL};
  struct mg_arena arena;
  struct mg_inputs inputs = {.arena = &arena, .suffixes = suffixes};
  mg_arena_init(&arena, INPUTS_ARENA, 0);
  int code = find_inputs(&inputs, args, err);
  for (size_t i = 0; i < inputs.count && code == 0; i++) replay_file(r, &inputs.items[i]);
  for (size_t g = 0; g < MG_GROUPS; g++)
    for (size_t i = 0; i < MG_OF_COUNT; i++) mg_tally_sort(&r->replay.groups[g].tallies[i]);
  for (size_t i = 0; i < outputs->count && code == 0; i++) code = write_output(&outputs->items[i], &r->replay, err);
  mg_arena_fini(&arena);
  return code;
}

static int run(const void *given, const struct mg_strings *args) {
  const struct replay_options *o = given;
  __attribute__((cleanup(replaying_fini))) struct replaying r = {0};
  __attribute__((cleanup(close_outputs))) struct outputs outputs = {0};
  struct mg_err err = {0};
  int code = args->count ? open_outputs(&outputs, &o->formats, &err)
                         : mg_err_set(&err, MG_E_USAGE, "no file is named; \"-\" is standard input");
  mg_replay_init(&r.replay, o->against.count > 0, (uint32_t)o->examples.value);
  if (code == 0 && load_sets(&r, o) < 0) return MG_EXIT_USAGE;
  r.now = o->now.set ? o->now.value : (int64_t)time(NULL);
  if (code == 0) code = replay(&r, &outputs, args, &err);
  if (code < 0) fprintf(stderr, "mlgate replay: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : exit_status(o, &r.replay);
}

const struct mg_command mg_command_replay = {
    .name = "replay", .args = "FILE|DIR|-...", .doc = "judge recorded requests, and by other policies", .options = options,
    .size = sizeof(struct replay_options), .run = run,
    .more = "Recorded: AdmissionReviews and the API server's audit log, as JSON, JSON lines\n"
            "or YAML, gzip or not.\n"
            "Exit: 0 nothing denied (--against: newly), 1 denied, 2 usage or policies,\n"
            "3 unreadable or empty."};
