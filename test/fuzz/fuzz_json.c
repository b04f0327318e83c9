/* The JSON reader against jansson: what one takes the other takes, and it is the same; what is written reads the same again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)

static const struct mg_limits limits = {(size_t)1 << 20, 2048, 1 << 20}; /* depth is jansson's own limit */

static bool has_nul(mg_str s) {
  return mg_str_find(s, '\0') < s.n;
}

/* Known differences: jansson cannot hold numbers beyond its C types nor a NUL in a key, and passes over a NUL behind a number or
 * a word. */
static bool is_known(const json_t *theirs, const json_error_t *error, mg_str text) {
  enum json_error_code why = theirs ? json_error_unknown : json_error_code(error);
  return why == json_error_numeric_overflow || why == json_error_null_byte_in_key || has_nul(text);
}

static void check_written(mg_node root, const json_t *theirs, void (*write)(struct mg_buf *buf, mg_node n)) {
  MG_BUF_AUTO buf;
  mg_buf_init(&buf, NULL, (size_t)64 << 20);
  write(&buf, root);
  FUZZ_CHECK(!buf.failed, "cannot be written");
  json_t *again = json_loadb(buf.p, buf.n, FLAGS, NULL);
  FUZZ_CHECK(again && json_equal(theirs, again), "written as something else: <%.*s>", (int)buf.n, buf.p);
  json_decref(again);
}

static void check_places(const struct mg_doc *doc, mg_str text) {
  for (uint32_t i = 1; i < doc->count; i++) {
    const struct mg_cell *c = &doc->cells[i];
    FUZZ_CHECK(c->start < c->end && c->end <= text.n, "a value that stands nowhere: <%.*s>", MG_FMT(text));
    FUZZ_CHECK(c->kind != MG_OBJECT || (text.p[c->start] == '{' && text.p[c->end - 1] == '}'), "an object without its braces");
    FUZZ_CHECK(c->kind != MG_ARRAY || (text.p[c->start] == '[' && text.p[c->end - 1] == ']'), "an array without its brackets");
  }
}

static void check_error(const struct mg_err *err, mg_str text) {
  uint32_t line, column;
  mg_line_of(text, err->offset, &line, &column);
  FUZZ_CHECK(err->offset <= text.n && err->line == line && err->column == column, "an error at %zu, %u:%u in <%.*s>", err->offset,
             err->line, err->column, MG_FMT(text));
  fuzz_check_clean(mg_str_of(err->text), "the text of an error");
}

/* Both strict (a second key of one name is an error) or both lenient (the last one holds). */
static void check(mg_str text, bool lenient) {
  struct mg_arena *arena = fuzz_arena(0);
  struct mg_read how = {.limits = limits, .last_wins = lenient};
  struct mg_err err = {0};
  struct mg_doc doc;
  json_error_t error;
  int code = mg_json_read(&doc, arena, text, &how, &err);
  json_t *theirs = json_loadb(text.p, text.n, FLAGS | (lenient ? 0 : JSON_REJECT_DUPLICATES), &error);
  FUZZ_CHECK((code == 0) == (theirs != NULL) || is_known(theirs, &error, text), "<%.*s>: %s; jansson: %s", MG_FMT(text),
             code ? err.text : "good", theirs ? "good" : error.text);
  if (code) check_error(&err, text);
  if (!code) check_places(&doc, text);
  if (!code && theirs) {
    fuzz_check_same(theirs, mg_root(&doc), text);
    check_written(mg_root(&doc), theirs, mg_json_write);
    check_written(mg_root(&doc), theirs, mg_json_write_pretty);
    doc.is_json = false; /* rebuilt from the cells */
    check_written(mg_root(&doc), theirs, mg_json_write);
  }
  json_decref(theirs);
}

/* One value after the other: each as jansson reads it from there, and the whole is what the one reader takes. */
static void check_next(mg_str text) {
  struct mg_arena *arena = fuzz_arena(0);
  size_t at = 0, values = 0;
  int code = 0;
  while (at < text.n && code == 0) {
    struct mg_read how = {.limits = limits, .last_wins = true};
    struct mg_doc doc;
    size_t before = at;
    code = mg_json_read_next(&doc, arena, text, &at, &how, NULL);
    FUZZ_CHECK(code || (at > before && at <= text.n), "does not move on");
    if (code || !mg_root(&doc).at) break;
    values++;
    json_t *theirs = json_loadb(text.p + before, text.n - before, FLAGS | JSON_DISABLE_EOF_CHECK, NULL);
    if (theirs && !has_nul(text)) fuzz_check_same(theirs, mg_root(&doc), text);
    json_decref(theirs);
  }
  struct mg_read how = {.limits = limits, .last_wins = true};
  struct mg_doc doc;
  bool one = mg_json_read(&doc, fuzz_arena(1), text, &how, NULL) == 0;
  FUZZ_CHECK(one == (code == 0 && values == 1), "one value for one reader, %zu for the other: <%.*s>", values, MG_FMT(text));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  return seed % 4 ? LLVMFuzzerMutate(data, size, max) : fuzz_mutate_json(data, size, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str text = {(const char *)data, size};
  check(text, false);
  check(text, true);
  check_next(text);
  return 0;
}
