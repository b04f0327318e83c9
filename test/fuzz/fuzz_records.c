/* A file of records as `replay` reads it: reviews and events of the audit log. It is cut into the same records when it is
 * compressed; where each line is one JSON value to somebody else, the records are these lines; and what an event asks for is what
 * the rules of docs/ci.md say of it. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "app/recorded.h"
#include "app/records.h"
#include "fuzz.h"

#define ROOM ((size_t)16 << 20)
#define DEEP 1000 /* more than that is taken for records that were cut short */

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static mg_str trim(mg_str s) {
  while (s.n && is_blank(s.p[0])) s = mg_str_from(s, 1);
  while (s.n && is_blank(s.p[s.n - 1])) s.n--;
  return s;
}

/* "LINE BYTES", and the bytes, of each record; "LINE! CODE" of each that is spoiled. */
static void transcribe(const char *path, struct mg_buf *out) {
  MG_RECORDS_AUTO records = NULL;
  struct mg_record record;
  struct mg_err err = {0};
  int code;
  FUZZ_CHECK(mg_records_open(&records, path, &err) == 0, "cannot be opened: %s", err.text);
  while ((code = mg_records_next(records, &record, &err)) != 0) {
    if (code > 0) {
      FUZZ_CHECK(record.text.n && (record.yaml || record.text.p[0] == '{'), "a record that is none");
      mg_buf_printf(out, "%u %zu\n%.*s\n", record.line, record.text.n, MG_FMT(record.text));
    } else {
      FUZZ_CHECK(err.text[0], "spoiled without a word");
      mg_buf_printf(out, "%u! %d\n", err.line, code);
    }
    if (code == MG_E_IO || code == MG_E_NOMEM) break;
  }
  FUZZ_CHECK(!out->failed, "more records than there are bytes");
}

static mg_str compress_it(mg_str text, struct mg_buf *to) {
  z_stream z = {0};
  size_t room = text.n + 1024;
  FUZZ_CHECK(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "no gzip");
  z.next_in = (Bytef *)(uintptr_t)text.p;
  z.avail_in = (uInt)text.n;
  z.next_out = (Bytef *)mg_buf_room(to, room);
  z.avail_out = (uInt)room;
  FUZZ_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END, "no gzip");
  to->n = room - z.avail_out;
  deflateEnd(&z);
  return mg_buf_str(to);
}

/* False: not each line is one JSON value. */
static bool expect_lines(mg_str rest, struct mg_buf *out) {
  for (uint32_t line = 1; rest.n; line++) {
    mg_str all = {rest.p, mg_str_find(rest, '\n')}, text = trim(all);
    rest = mg_str_from(rest, all.n + 1);
    if (!text.n) continue;
    if (text.n > DEEP || text.p[0] != '{') return false;
    json_t *value = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    if (!value) return false;
    json_decref(value);
    mg_buf_printf(out, "%u %zu\n%.*s\n", line, text.n, MG_FMT(text));
  }
  return out->n > 0;
}

/* ---- what a record asks for ---- */

static bool says(const json_t *object, const char *key, const char *word) {
  const char *text = json_string_value(json_object_get(object, key));
  return text && strcmp(text, word) == 0;
}

static bool is_judged(const json_t *event) {
  const json_t *ref = json_object_get(event, "objectRef"), *sub = json_object_get(ref, "subresource");
  return !json_string_length(sub) || says(ref, "subresource", "ephemeralcontainers") || says(ref, "subresource", "resize");
}

static enum mg_unused why_unused(const json_t *event) {
  const json_t *sent = json_object_get(event, "requestObject"), *got = json_object_get(event, "responseObject");
  json_int_t status = json_integer_value(json_object_get(json_object_get(event, "responseStatus"), "code"));
  bool patch = says(event, "verb", "patch");
  if (!says(event, "stage", "ResponseComplete")) return MG_UNUSED_STAGE;
  if (!patch && !says(event, "verb", "create") && !says(event, "verb", "update")) return MG_UNUSED_VERB;
  if (!is_judged(event)) return MG_UNUSED_SUBRESOURCE;
  if (!patch) return json_is_object(sent) ? MG_UNUSED_COUNT : MG_UNUSED_NO_OBJECT;
  if (json_is_object(got) && status >= 200 && status <= 299) return MG_UNUSED_COUNT;
  return json_is_object(sent) || json_is_array(sent) ? MG_UNUSED_PATCH : MG_UNUSED_NO_OBJECT;
}

static void check_event(const json_t *event, const struct mg_recorded *r, enum mg_unused unused) {
  json_int_t status = json_integer_value(json_object_get(json_object_get(event, "responseStatus"), "code"));
  bool patch = says(event, "verb", "patch"), made = says(event, "verb", "create") || (patch && status == 201);
  FUZZ_CHECK(unused == why_unused(event), "left out for reason %u instead of %u", unused, why_unused(event));
  if (unused != MG_UNUSED_COUNT) return;
  FUZZ_CHECK(r->event && r->as_stored == patch && r->refused == (status >= 400), "another event than it is");
  FUZZ_CHECK(r->request.operation == (made ? MG_CREATE : MG_UPDATE) && r->no_old == !made, "another operation");
  fuzz_check_same(json_object_get(event, patch ? "responseObject" : "requestObject"), r->request.object, MG_S("the object"));
}

static void check_record(mg_str text) {
  struct mg_doc doc;
  struct mg_read how = {.limits = {ROOM, 256, 100000}, .last_wins = true};
  struct mg_recorded recorded;
  struct mg_err err = {0};
  enum mg_unused unused = MG_UNUSED_OTHER;
  if (mg_json_read(&doc, fuzz_arena(1), text, &how, &err)) return;
  int code = mg_recorded_read(mg_root(&doc), &recorded, &unused, &err);
  FUZZ_CHECK(code == 0 || (code == MG_E_INVALID && err.text[0]), "code %d", code);
  fuzz_check_clean(mg_str_of(err.text), "an error");
  json_t *theirs = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
  const char *version = theirs ? json_string_value(json_object_get(theirs, "apiVersion")) : NULL;
  if (version && strncmp(version, "audit.k8s.io/", 13) == 0 && says(theirs, "kind", "Event"))
    check_event(theirs, &recorded, unused);
  else if (theirs && code == 0 && unused == MG_UNUSED_COUNT)
    FUZZ_CHECK(says(theirs, "kind", "AdmissionReview") && json_object_get(theirs, "request"), "a request out of nothing");
  json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str text = {(const char *)data, size};
  MG_BUF_AUTO once, packed, again, lines;
  mg_buf_init(&once, NULL, ROOM);
  mg_buf_init(&packed, NULL, ROOM);
  mg_buf_init(&again, NULL, ROOM);
  mg_buf_init(&lines, NULL, ROOM);
  transcribe(fuzz_file(0, text), &once);
  if (!mg_str_starts(text, MG_S("\x1f"))) { /* else it is compressed already, or looks so */
    transcribe(fuzz_file(1, compress_it(text, &packed)), &again);
    FUZZ_CHECK(mg_str_eq(mg_buf_str(&once), mg_buf_str(&again)), "compressed it is <%.*s> instead of <%.*s>",
               MG_FMT(mg_buf_str(&again)), MG_FMT(mg_buf_str(&once)));
  }
  if (expect_lines(text, &lines))
    FUZZ_CHECK(mg_str_eq(mg_buf_str(&once), mg_buf_str(&lines)), "cut into <%.*s>", MG_FMT(mg_buf_str(&once)));
  for (mg_str rest = text; rest.n; rest = mg_str_from(rest, mg_str_find(rest, '\n') + 1))
    check_record(trim((mg_str){rest.p, mg_str_find(rest, '\n')}));
  return 0;
}
