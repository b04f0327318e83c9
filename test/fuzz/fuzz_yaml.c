/* The YAML reader against itself: what it has read stands where it says, is JSON, and reads the same when it is written as YAML
 * or as JSON and read again. */
#include <stdlib.h>
#include <string.h>

#include "doc/yaml.h"
#include "doc/yaml_write.h"
#include "fuzz.h"

static const struct mg_limits limits = {(size_t)1 << 20, 64, 1 << 16};

static uint32_t lines_of(mg_str text) {
  uint32_t lines = 1;
  for (size_t i = 0; i < text.n; i++) lines += text.p[i] == '\n' || text.p[i] == '\r';
  return lines;
}

static void check_places(struct mg_doc *doc, mg_str text) {
  uint32_t lines = lines_of(text);
  for (uint32_t i = 1; i < doc->count; i++) {
    struct mg_pos pos, value;
    const struct mg_cell *c = &doc->cells[i];
    FUZZ_CHECK(c->start <= c->end && c->end <= text.n, "a value that stands nowhere");
    bool known = mg_pos((mg_node){doc, i}, &pos) && mg_value_pos((mg_node){doc, i}, &value);
    FUZZ_CHECK(known && pos.line && pos.column && value.line, "no place");
    FUZZ_CHECK(pos.line <= lines && value.line <= lines, "line %u of %u", pos.line, lines);
  }
}

static struct mg_file_doc *read_again(mg_str text, const char *form) {
  struct mg_file_doc *docs = NULL;
  struct mg_err err = {0};
  struct mg_read how = {.limits = {limits.bytes * 16, limits.depth, limits.cells}, .file = "again"};
  int code = mg_yaml_read(&docs, fuzz_arena(1), text, &how, &err);
  FUZZ_CHECK(code == 0 && docs, "%s cannot be read again: %s: <%.*s>", form, err.text, MG_FMT(text));
  return docs;
}

/* A number of a document in JSON keeps its digits and exponent; as YAML it is a float64, as it is to Kubernetes, or a string
 * where no float64 is so large. Fifteen digits without an exponent are the same in both. */
static bool has_numbers_of_json(const struct mg_doc *doc, mg_str source) {
  for (uint32_t i = 1; i < doc->count; i++) {
    const struct mg_cell *c = &doc->cells[i];
    if (c->kind != MG_NUMBER || c->text < source.p || c->text >= source.p + source.n) continue;
    if (c->len > 15 || memchr(c->text, 'e', c->len) || memchr(c->text, 'E', c->len)) return true;
  }
  return false;
}

static void check_document(struct mg_doc *doc, mg_str source) {
  struct mg_arena *arena = fuzz_arena(2);
  mg_str json = mg_json_text(arena, mg_root(doc));
  json_t *theirs = fuzz_check_json(json, "a document as JSON");
  if (theirs) fuzz_check_same(theirs, mg_root(doc), json);
  json_decref(theirs);
  MG_BUF_AUTO yaml;
  mg_buf_init(&yaml, NULL, (size_t)16 << 20);
  mg_yaml_write(&yaml, mg_root(doc));
  FUZZ_CHECK(!yaml.failed, "cannot be written");
  struct mg_file_doc *again = read_again(mg_buf_str(&yaml), "YAML");
  bool same = has_numbers_of_json(doc, source) || mg_equal(mg_root(doc), mg_root(&again->doc));
  FUZZ_CHECK(same && !again->next, "written as <%.*s>, which is something else than %.*s",
             MG_FMT(mg_buf_str(&yaml)), MG_FMT(json));
  if (!mg_is(mg_root(doc), MG_OBJECT)) return;
  again = read_again(json, "JSON");
  FUZZ_CHECK(mg_equal(mg_root(doc), mg_root(&again->doc)), "another object as JSON: %.*s", MG_FMT(json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str text = {(const char *)data, size};
  struct mg_file_doc *docs = NULL;
  struct mg_err err = {0};
  struct mg_read how = {.limits = limits, .file = "f.yaml", .last_wins = size % 2};
  int code = mg_yaml_read(&docs, fuzz_arena(0), text, &how, &err);
  if (code) {
    FUZZ_CHECK(err.text[0], "an error without a word");
    fuzz_check_clean(mg_str_of(err.text), "the text of an error");
    FUZZ_CHECK(code == MG_E_NOMEM || err.line <= lines_of(text), "an error in line %u of %u", err.line, lines_of(text));
  }
  for (; docs; docs = docs->next) {
    FUZZ_CHECK(mg_root(&docs->doc).at && !mg_is(mg_root(&docs->doc), MG_NULL), "an empty document");
    check_places(&docs->doc, text);
    check_document(&docs->doc, text);
  }
  return 0;
}
