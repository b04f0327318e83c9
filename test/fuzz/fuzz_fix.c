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

/* The next line that is nothing but a comment; {NULL, 0} at the end. One with a quote may be the end of a text. */
static mg_str next_comment(mg_str *rest) {
  while (rest->n) {
    mg_str line = {rest->p, mg_str_find(*rest, '\n')};
    *rest = mg_str_from(*rest, line.n + 1);
    while (line.n && line.p[0] == ' ') line = mg_str_from(line, 1);
    if (line.n && line.p[0] == '#' && mg_str_find(line, '"') == line.n && mg_str_find(line, '\'') == line.n) return line;
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

struct fixing {
  struct mg_judge judge;
  struct mg_judged file;
  struct mg_fixer fixer;
  struct mg_err err;
};

static void begin(struct fixing *f, unsigned pack, bool mend, mg_str text) {
  *f = (struct fixing){0};
  init(&f->judge, pack);
  mg_fixer_init(&f->fixer, &f->judge, mend);
  FUZZ_CHECK(mg_judge_text(&f->judge, "f", text, &f->file, &f->err) == 0, "%s", f->err.text);
}

static void fix(struct fixing *f) {
  FUZZ_CHECK(mg_fixer_run(&f->fixer, &f->file, &f->err) == 0, "%s", f->err.text);
}

static void end(struct fixing *f) {
  mg_fixer_fini(&f->fixer);
  mg_judge_fini(&f->judge);
}

/* Fixed once more, nothing changes. */
static void check_again(unsigned pack, bool mend, mg_str text) {
  struct fixing f;
  begin(&f, pack, mend, text);
  FUZZ_CHECK(f.file.read, "the fixed text was not read");
  fix(&f);
  FUZZ_CHECK(mg_str_eq(f.file.source, text), "<%.*s> and then <%.*s>", MG_FMT(text), MG_FMT(f.file.source));
  end(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  unsigned pack = (unsigned)(size % FUZZ_PACKS);
  bool mend = size / FUZZ_PACKS % 2;
  mg_str text = {(const char *)data, size};
  struct fixing f;
  begin(&f, pack, mend, text);
  size_t errors = errors_in(&f.file);
  if (f.file.read && !f.file.failed) {
    fix(&f);
    check_comments(text, f.file.source);
    if (errors_in(&f.file) == errors && !mg_str_eq(text, f.file.source)) check_again(pack, mend, f.file.source);
  }
  end(&f);
  return 0;
}
