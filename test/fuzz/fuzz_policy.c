/* A policy file: P and the text, or C and the text of a context file; behind a line %% a manifest that it is to judge. Errors
 * have places and are fit to be read; what loads answers as every policy does. */
#include <stdlib.h>

#include "doc/yaml.h"
#include "fuzz.h"
#include "rules/rules.h"

static const char pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"ml\",\"labels\":{\"app\":\"x\"}},"
    "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"env\":[{\"name\":\"A\",\"value\":\"b\"}],\"resources\":{"
    "\"limits\":{\"nvidia.com/gpu\":\"2\",\"memory\":\"8Gi\"},\"requests\":{\"cpu\":\"1\"}}}],\"nodeSelector\":{\"a\":\"b\"}}}";

static void check_said(const struct mg_diags *diags, bool failed) {
  FUZZ_CHECK(!failed || diags->error_count, "refused without a word");
  FUZZ_CHECK(failed || !diags->error_count, "loaded in spite of errors");
  fuzz_check_diags(diags);
}

static void judge(const struct mg_snapshot *snapshot, mg_str object) {
  MG_BUF_AUTO body;
  bool allowed;
  mg_buf_init(&body, NULL, (size_t)4 << 20);
  mg_buf_printf(&body,
                "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u\","
                "\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"namespace\":\"ml\",\"operation\":\"CREATE\","
                "\"userInfo\":{\"username\":\"ada\"},\"object\":%.*s}}",
                MG_FMT(object));
  json_decref(fuzz_check_review(snapshot, true, mg_buf_str(&body), &allowed));
  json_decref(fuzz_check_review(snapshot, false, mg_buf_str(&body), &allowed));
}

/* The built-in ones, read once. */
static struct mg_snapshot *tables(void) {
  static struct mg_snapshot *snapshot;
  struct mg_diags diags;
  struct mg_err err = {0};
  mg_diags_init(&diags, fuzz_arena(3));
  if (!snapshot) FUZZ_CHECK(mg_snapshot_new(&snapshot, mg_rules, NULL, 0, &diags, &err) == 0, "%s", err.text);
  return snapshot;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str rest = {(const char *)data, size};
  bool context = size && data[0] == 'C';
  rest = mg_str_from(rest, 1);
  mg_str text = fuzz_part(&rest);
  struct mg_source source = {.path = "p.yaml", .text = text, .context_only = context};
  struct mg_diags diags;
  struct mg_err err = {0};
  struct mg_snapshot *snapshot = NULL;
  struct mg_snapshot *built_in = tables();
  mg_diags_init(&diags, fuzz_arena(3));
  int code = mg_snapshot_new_beside(&snapshot, built_in, mg_rules, &source, 1, &diags, &err);
  FUZZ_CHECK((code == 0) == (snapshot != NULL), "code %d", code);
  check_said(&diags, code != 0);
  if (code == 0) judge(snapshot, mg_str_of(pod));
  if (code == 0 && rest.n) judge(snapshot, rest);
  mg_snapshot_unref(snapshot);
  return 0;
}
