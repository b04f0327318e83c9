#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/place.h"

#define FLUSH_AT ((size_t)1 << 16)
#define BASE_MAX ((size_t)1 << 16)

#define F(name) &mg_format_##name,
static const struct mg_format *const formats[] = {MG_FORMATS(F)};
#undef F
#define F(name) #name,
const char *const mg_report_format_names[] = {MG_FORMATS(F) NULL};
#undef F
#define FORMAT_COUNT (sizeof formats / sizeof *formats)

const char *const mg_color_words[] = {"auto", "always", "never", NULL};

#define SINK_BUFS(s)                                                                                                           \
  {&(s)->out, &(s)->parts[0], &(s)->parts[1], &(s)->parts[2], &(s)->parts[3], &(s)->text, &(s)->path, &(s)->scratch}

struct output {
  const struct mg_format *format;
  struct mg_sink sink;
};

struct mg_report {
  struct output outputs[MG_REPORT_FORMATS_MAX];
  size_t count;
  struct mg_report_totals totals;
  bool failed; /* memory for what was told of a result */
  struct mg_base base;
  struct mg_buf base_text;
};

static bool is_given(const char *variable) {
  const char *value = getenv(variable);
  return value && *value;
}

/* The variables are those of https://no-color.org and its counterpart; what goes to a file is coloured for nobody's sake. */
static bool wants_color(int fd) {
  const char *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
  if (is_given("NO_COLOR")) return false;
  if (fd == STDOUT_FILENO && force && *force && strcmp(force, "0") != 0) return true;
  return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

static void sink_init(struct mg_sink *sink, const struct mg_output *to, const struct mg_base *base) {
  sink->to = *to;
  sink->base = base;
  sink->color = wants_color(to->fd);
  struct mg_buf *bufs[] = SINK_BUFS(sink);
  for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) mg_buf_init(bufs[i], NULL, MG_SINK_MAX);
}

static void sink_fini(struct mg_sink *sink) {
  mg_output_close(&sink->to);
  struct mg_buf *bufs[] = SINK_BUFS(sink);
  for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) mg_buf_fini(bufs[i]);
  mg_seen_fini(&sink->seen);
}

static bool sink_failed(struct mg_sink *sink) {
  struct mg_buf *bufs[] = SINK_BUFS(sink);
  bool failed = sink->seen.failed;
  for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) failed |= bufs[i]->failed;
  return failed;
}

void mg_sink_write(struct mg_sink *sink, struct mg_buf *buf) {
  if (!sink->error && mg_output_write(&sink->to, mg_buf_str(buf)) != 0) sink->error = errno;
  buf->n = 0;
}

void mg_sink_json(struct mg_sink *sink, struct mg_buf *to, mg_str text) {
  sink->scratch.n = 0;
  mg_buf_clean(&sink->scratch, text);
  mg_buf_json(to, mg_buf_str(&sink->scratch));
}

static const struct mg_format *format_of(mg_str name) {
  for (size_t i = 0; i < FORMAT_COUNT; i++)
    if (mg_str_is(name, formats[i]->name)) return formats[i];
  return NULL;
}

static int unknown_format(mg_str name, struct mg_err *err) {
  struct mg_arena arena;
  struct mg_buf all;
  mg_arena_init(&arena, 1 << 16, 0);
  mg_buf_init(&all, &arena, 1024);
  for (size_t i = 0; i < FORMAT_COUNT; i++) mg_buf_printf(&all, "%s%s", i ? ", " : "", formats[i]->name);
  mg_str hint = mg_did_you_mean(&arena, name, mg_report_format_names);
  int code = mg_err_set(err, MG_E_USAGE, "--format: there is no format \"%.*s\"; there are %.*s%.*s", MG_FMT(name),
                        MG_FMT(mg_buf_str(&all)), MG_FMT(hint));
  mg_arena_fini(&arena);
  return code;
}

static bool is_file(int fd, const struct stat *other) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_dev == other->st_dev && info.st_ino == other->st_ino;
}

static bool is_same_file(int a, int b) {
  struct stat other;
  return fstat(b, &other) == 0 && is_file(a, &other);
}

bool mg_report_goes_to(const struct mg_report *report, const char *path) {
  struct stat other;
  bool found = false, there = stat(path, &other) == 0;
  for (size_t i = 0; i < report->count && there; i++) found |= is_file(report->outputs[i].sink.to.fd, &other);
  return found;
}

const char *mg_report_file(const char *spec, mg_str *ret_name) {
  mg_str all = mg_str_of(spec);
  size_t equals = mg_str_find(all, '=');
  const char *file = equals < all.n ? spec + equals + 1 : NULL;
  *ret_name = (mg_str){spec, equals};
  return file && strcmp(file, "-") == 0 ? NULL : file;
}

static int add_output(struct mg_report *report, const char *spec, struct mg_err *err) {
  mg_str name;
  const char *file = mg_report_file(spec, &name);
  const struct mg_format *format = format_of(name);
  if (!format) return unknown_format(name, err);
  if (report->count == MG_REPORT_FORMATS_MAX) return mg_err_set(err, MG_E_USAGE, "--format: at most %d", MG_REPORT_FORMATS_MAX);
  for (size_t i = 0; !file && i < report->count; i++)
    if (report->outputs[i].sink.to.fd == STDOUT_FILENO)
      return mg_err_set(err, MG_E_USAGE, "--format: only one report can go to standard output; write --format %s=FILE",
                        format->name);
  if (file && !*file) return mg_err_set(err, MG_E_USAGE, "--format: no file behind \"%s\"", spec);
  struct mg_output to;
  if (mg_output_open(&to, file) < 0) return mg_err_set(err, MG_E_IO, "--format: %s: %s", file, strerror(errno));
  for (size_t i = 0; i < report->count; i++)
    if (is_same_file(to.fd, report->outputs[i].sink.to.fd)) {
      mg_output_close(&to);
      return mg_err_set(err, MG_E_USAGE, "--format: two reports for %s", file ? file : "standard output");
    }
  struct output *output = &report->outputs[report->count++];
  output->format = format;
  sink_init(&output->sink, &to, &report->base);
  return 0;
}

int mg_report_new(struct mg_report **ret_report, const char *const *specs, size_t count, struct mg_err *err) {
  static const char *const usual[] = {"text"};
  *ret_report = NULL;
  struct mg_report *report = calloc(1, sizeof *report);
  if (!report) return mg_err_nomem(err);
  mg_buf_init(&report->base_text, NULL, BASE_MAX);
  mg_base_find(&report->base, &report->base_text);
  if (count == 0) specs = usual, count = 1;
  for (size_t i = 0; i < count; i++) {
    int code = add_output(report, specs[i], err);
    if (code < 0) {
      mg_report_free(report);
      return code;
    }
  }
  *ret_report = report;
  return 0;
}

void mg_report_free(struct mg_report *report) {
  if (!report) return;
  for (size_t i = 0; i < report->count; i++) sink_fini(&report->outputs[i].sink);
  mg_buf_fini(&report->base_text);
  free(report);
}

void mg_report_color(struct mg_report *report, enum mg_color color) {
  for (size_t i = 0; color != MG_COLOR_AUTO && i < report->count; i++)
    report->outputs[i].sink.color = color == MG_COLOR_ALWAYS;
}

struct mg_report_totals *mg_report_totals(struct mg_report *report) {
  return &report->totals;
}

static void flush(struct mg_sink *sink, size_t at) {
  if (sink->out.n > at) mg_sink_write(sink, &sink->out);
}

void mg_report_result(struct mg_report *report, const struct mg_report_result *result) {
  const struct mg_verdict *verdict = result->verdict;
  report->totals.objects++;
  report->totals.mutated += verdict->patch.count > 0;
  for (size_t i = 0; i <= MG_OUT_EXEMPTED; i++)
    if (verdict->counts[i]) {
      report->totals.outcomes[i]++;
      break;
    }
  for (size_t i = 0; i < report->count; i++) {
    report->outputs[i].format->result(&report->outputs[i].sink, result);
    flush(&report->outputs[i].sink, FLUSH_AT);
  }
  /* Paths and diffs are made there. */
  const struct mg_doc *doc = result->object.doc;
  report->failed |= doc && doc->arena && doc->arena->failed;
}

void mg_report_error(struct mg_report *report, const struct mg_report_error *error) {
  report->totals.errors++;
  for (size_t i = 0; i < report->count; i++) {
    report->outputs[i].format->error(&report->outputs[i].sink, error);
    flush(&report->outputs[i].sink, FLUSH_AT);
  }
}

void mg_report_exception(struct mg_report *report, const struct mg_report_exception *exception) {
  for (size_t i = 0; i < report->count; i++) report->outputs[i].format->exception(&report->outputs[i].sink, exception);
}

int mg_report_end(struct mg_report *report, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < report->count; i++) {
    struct mg_sink *sink = &report->outputs[i].sink;
    const char *name = report->outputs[i].format->name;
    if (!sink_failed(sink)) report->outputs[i].format->end(sink, &report->totals);
    mg_sink_write(sink, &sink->out); /* an empty one, too */
    if (sink->error) code = mg_err_set(err, MG_E_IO, "the %s report cannot be written: %s", name, strerror(sink->error));
    else if (sink_failed(sink)) code = mg_err_set(err, MG_E_NOMEM, "the %s report is too large, or out of memory", name);
  }
  if (code == 0 && report->failed) code = mg_err_nomem(err);
  return code;
}
