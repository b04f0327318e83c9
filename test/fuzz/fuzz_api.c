/* T and a token, as a file and as text; J and a reply of an API server. A token is what somebody else finds fit for a header; a
 * reply that is read is what the reader of reviews reads of it, and what that one reads within the limits is read. */
#include <stdlib.h>
#include <string.h>

#include "base/token.h"
#include "cluster/api.h"
#include "fuzz.h"

static bool is_white(char c) {
  return c && strchr(" \r\n", c);
}

static void check_token(mg_str text) {
  static struct mg_token file, taken;
  struct mg_err err = {0};
  mg_str wanted = text;
  bool good = true;
  while (wanted.n && is_white(wanted.p[wanted.n - 1])) wanted.n--;
  for (size_t i = 0; i < wanted.n; i++) good &= wanted.p[i] > ' ' && wanted.p[i] < 0x7F;
  good = good && wanted.n;
  int code = mg_token_read(&file, fuzz_file(0, text), &err);
  FUZZ_CHECK((code == 0) == good && (good || err.text[0]), "code %d of a file: %s", code, err.text);
  FUZZ_CHECK(!good || (mg_str_is(wanted, file.text) && file.n == wanted.n), "another token");
  fuzz_check_clean(mg_str_of(err.text), "an error");
  if (text.n && memchr(text.p, '\0', text.n)) return;
  char *z = malloc(text.n + 1);
  FUZZ_CHECK(z, "out of memory");
  if (text.n) memcpy(z, text.p, text.n);
  z[text.n] = '\0';
  FUZZ_CHECK((mg_token_take(&taken, z, &err) == 0) == good, "as text it is another one");
  free(z);
}

/* Within what mg_api_json takes. */
static bool is_small(mg_str text) {
  size_t deep = 0;
  for (size_t i = 0; i < text.n; i++) deep += text.p[i] == '{' || text.p[i] == '[';
  return deep < MG_API_DEPTH_MAX;
}

static void check_json(mg_str text) {
  struct mg_doc doc;
  struct mg_read how = {.limits = {text.n, MG_API_DEPTH_MAX, 100000}};
  struct mg_err err = {0};
  json_t *json = NULL;
  int code = mg_api_json(text, &json, &err), ours = mg_json_read(&doc, fuzz_arena(0), text, &how, NULL);
  FUZZ_CHECK((code == 0) == (json != NULL) && (code == 0 || err.text[0]), "code %d", code);
  if (code == 0) {
    FUZZ_CHECK(ours == 0, "read here and not there: <%.*s>", MG_FMT(text));
    fuzz_check_same(json, mg_root(&doc), text);
  } else if (ours == 0 && is_small(text) && (mg_is(mg_root(&doc), MG_OBJECT) || mg_is(mg_root(&doc), MG_ARRAY))) {
    json_error_t why;
    json_t *theirs = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why); /* NULs and huge numbers it refuses */
    FUZZ_CHECK(!theirs, "refused, %s: <%.*s>", err.text, MG_FMT(text));
  }
  json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  mg_str text = {(const char *)data + 1, size - 1};
  if (data[0] == 'T') check_token(text);
  else if (!text.n || !memchr(text.p, 0, text.n)) check_json(text); /* jansson passes over a NUL behind a number */
  return 0;
}
