/* A file of manifests through `check`, all report formats at one time, of a longer file JSON and some: what is JSON is JSON, and
 * says how many there were. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/judge.h"
#include "fuzz.h"

#define ROOM ((size_t)16 << 20)
#define SHORT 512 /* bytes */

/* What the format has written there. */
static mg_str written(int fd, struct mg_buf *buf) {
  off_t size = lseek(fd, 0, SEEK_END);
  char *to = size >= 0 ? mg_buf_room(buf, (size_t)size) : NULL;
  ssize_t n = to ? pread(fd, to, (size_t)size, 0) : -1;
  FUZZ_CHECK(n == size, "the report cannot be read");
  buf->n = (size_t)n;
  return mg_buf_str(buf);
}

static void report(struct mg_report *to, const struct mg_judged *judged) {
  for (const struct mg_judged_item *item = judged->items; item; item = item->next) {
    if (item->kind == MG_JUDGED_RESULT) mg_report_result(to, &item->result);
    if (item->kind == MG_JUDGED_ERROR) mg_report_error(to, &item->error);
    if (item->kind == MG_JUDGED_NOTE) fuzz_check_clean(item->note.text, "a note");
  }
  mg_report_totals(to)->files++;
  mg_report_totals(to)->skipped += judged->skipped;
}

static void check_json(mg_str text, const struct mg_report_totals *totals) {
  json_t *said = fuzz_check_json(text, "a report");
  FUZZ_CHECK(!said || json_array_size(json_object_get(said, "results")) == totals->objects, "results: %.*s", MG_FMT(text));
  FUZZ_CHECK(!said || json_array_size(json_object_get(said, "errors")) == totals->errors, "errors: %.*s", MG_FMT(text));
  json_decref(said);
}

/* No control but the newline gets through to a terminal. */
static void check_text(mg_str text) {
  while (text.n) {
    mg_str line = {text.p, mg_str_find(text, '\n')};
    fuzz_check_clean(line, "a line of the report");
    text = mg_str_from(text, line.n + 1);
  }
}

/* Reports take most of the time, and differ in little but their words. */
static bool is_wanted(size_t format, size_t size) {
  bool json = mg_str_is(mg_str_of(mg_report_format_names[format]), "json");
  return json || size <= SHORT || format % 4 == size / FUZZ_PACKS % 4;
}

static void check_formats(const struct mg_judged *judged, size_t size) {
  enum { FORMATS = 8 };
  const char *specs[FORMATS];
  char texts[FORMATS][80];
  size_t formats[FORMATS], count = 0;
  int fds[FORMATS];
  struct mg_report *to = NULL;
  struct mg_err err = {0};
  for (size_t i = 0; i < FORMATS && mg_report_format_names[i]; i++) {
    if (!is_wanted(i, size)) continue;
    formats[count] = i;
    fds[count] = memfd_create("report", MFD_CLOEXEC);
    snprintf(texts[count], sizeof texts[count], "%s=/proc/self/fd/%d", mg_report_format_names[i], fds[count]);
    specs[count] = texts[count];
    count++;
  }
  FUZZ_CHECK(mg_report_new(&to, specs, count, &err) == 0, "%s", err.text);
  report(to, judged);
  struct mg_report_totals totals = *mg_report_totals(to);
  FUZZ_CHECK(mg_report_end(to, &err) == 0, "%s", err.text);
  for (size_t i = 0; i < count; i++) {
    MG_BUF_AUTO buf;
    mg_buf_init(&buf, NULL, ROOM);
    mg_str text = written(fds[i], &buf);
    const char *name = mg_report_format_names[formats[i]];
    if (mg_str_is(mg_str_of(name), "json")) check_json(text, &totals);
    else if (text.n && (text.p[0] == '{' || text.p[0] == '[')) json_decref(fuzz_check_json(text, name));
    else check_text(text);
    close(fds[i]);
  }
  mg_report_free(to);
}

/* One for each pack: a run of `check` has one, too, for all of its files. */
static struct mg_judge *judge_of(unsigned pack) {
  static struct mg_judge judges[FUZZ_PACKS];
  static const struct mg_strings groups;
  struct mg_request usual = {.operation = MG_CREATE, .ns = MG_S("default"), .as_written = true};
  struct mg_judge *judge = &judges[pack];
  struct mg_err err = {0};
  if (!judge->snapshot) FUZZ_CHECK(mg_judge_init(judge, fuzz_pack(pack), &usual, &groups, &err) == 0, "%s", err.text);
  judge->now = INT64_C(1800000000);
  return judge;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct mg_judge *judge = judge_of((unsigned)(size % FUZZ_PACKS));
  struct mg_input input = {.path = "-"};
  struct mg_judged judged;
  struct mg_err err = {0};
  char *exact = fuzz_exact((mg_str){(const char *)data, size});
  judge->standard = (mg_str){exact, size};
  FUZZ_CHECK(mg_judge_file(judge, &input, &judged, &err) == 0 && !judged.failed, "%s", err.text);
  check_formats(&judged, size);
  free(exact);
  return 0;
}
