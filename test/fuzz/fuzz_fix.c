/* A file of manifests through `fix`: what it makes of it needs no more fixing, and the lines that are comments are still there in
 * their order. */
#include <stdlib.h>

#include "app/fixer.h"
#include "fuzz.h"

#define NOW INT64_C(1800000000)

static void init(struct mg_judge *judge, unsigned pack) {
  static const struct mg_strings groups;
  struct mg_request usual = {.operation = MG_CREATE, .ns = MG_S("default"), .as_written = true};
  struct mg_err err = {0};
  FUZZ_CHECK(mg_judge_init(judge, fuzz_pack(pack), &usual, &groups, &err) == 0, "%s", err.text);
  judge->now = NOW;
}

static size_t errors_in(const struct mg_judged *file) {
  size_t errors = 0;
  for (const struct mg_judged_item *item = file->items; item; item = item->next) errors += item->kind == MG_JUDGED_ERROR;
  return errors;
}

/* The next line that is nothing but a comment; {NULL, 0} at the end. */
static mg_str next_comment(mg_str *rest) {
  while (rest->n) {
    mg_str line = {rest->p, mg_str_find(*rest, '\n')};
    *rest = mg_str_from(*rest, line.n + 1);
    while (line.n && line.p[0] == ' ') line = mg_str_from(line, 1);
    if (line.n && line.p[0] == '#') return line;
  }
  return (mg_str){0};
}

static void check_comments(mg_str before, mg_str after) {
  mg_str rest = after;
  for (mg_str wanted; (wanted = next_comment(&before)).n;) {
    mg_str there = next_comment(&rest);
    while (there.n && !mg_str_eq(there, wanted)) there = next_comment(&rest);
    FUZZ_CHECK(there.n, "a comment is lost: <%.*s> in <%.*s>", MG_FMT(wanted), MG_FMT(after));
  }
}

/* Fixed once more, nothing changes. */
static void check_again(unsigned pack, bool mend, mg_str text) {
  struct mg_judge judge;
  struct mg_judged file;
  struct mg_fixer fixer;
  struct mg_err err = {0};
  init(&judge, pack);
  mg_fixer_init(&fixer, &judge, mend);
  FUZZ_CHECK(mg_judge_text(&judge, "f", text, &file, &err) == 0 && file.read, "%s", err.text);
  FUZZ_CHECK(mg_fixer_run(&fixer, &file, &err) == 0, "%s", err.text);
  FUZZ_CHECK(mg_str_eq(file.source, text), "<%.*s> and then <%.*s>", MG_FMT(text), MG_FMT(file.source));
  mg_fixer_fini(&fixer);
  mg_judge_fini(&judge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  unsigned pack = (unsigned)(size % FUZZ_PACKS);
  bool mend = size / FUZZ_PACKS % 2;
  mg_str text = {(const char *)data, size};
  struct mg_judge judge;
  struct mg_judged file;
  struct mg_fixer fixer;
  struct mg_err err = {0};
  init(&judge, pack);
  mg_fixer_init(&fixer, &judge, mend);
  FUZZ_CHECK(mg_judge_text(&judge, "f", text, &file, &err) == 0, "%s", err.text);
  size_t errors = errors_in(&file);
  if (file.read && !file.failed) {
    FUZZ_CHECK(mg_fixer_run(&fixer, &file, &err) == 0, "%s", err.text);
    check_comments(text, file.source);
    if (errors_in(&file) == errors && !mg_str_eq(text, file.source)) check_again(pack, mend, file.source);
  }
  mg_fixer_fini(&fixer);
  mg_judge_fini(&judge);
  return 0;
}
