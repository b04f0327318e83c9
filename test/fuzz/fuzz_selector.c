/* [SELECTOR, LABELS] as JSON: against an oracle over jansson's values. */
#include <string.h>

#include "fuzz.h"
#include "kube/selector.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  return fuzz_mutate_json(data, size, max, seed);
}

static bool label(const void *ctx, mg_str key, mg_str *ret_value) {
  mg_node value = mg_get(*(const mg_node *)ctx, key);
  if (!mg_is(value, MG_STRING)) return false;
  *ret_value = mg_string(value);
  return true;
}

/* The value that a label has, or NULL. */
static const char *has(const json_t *labels, const char *key) {
  return json_string_value(json_object_get(labels, key));
}

static bool requirement(const json_t *expression, const json_t *labels) {
  const char *op = json_string_value(json_object_get(expression, "operator"));
  const char *key = json_string_value(json_object_get(expression, "key"));
  FUZZ_CHECK(op && key, "a requirement without key or operator was taken");
  const char *value = has(labels, key);
  json_t *item;
  size_t i;
  bool listed = false;
  json_array_foreach(json_object_get(expression, "values"), i, item) {
    FUZZ_CHECK(json_is_string(item), "a value that is no string was taken");
    listed |= value && strcmp(json_string_value(item), value) == 0;
  }
  FUZZ_CHECK((i > 0) == (strcmp(op, "In") == 0 || strcmp(op, "NotIn") == 0), "%s with %zu values was taken", op, i);
  if (strcmp(op, "In") == 0) return listed;
  if (strcmp(op, "NotIn") == 0) return !listed;
  FUZZ_CHECK(strcmp(op, "Exists") == 0 || strcmp(op, "DoesNotExist") == 0, "the operator %s was taken", op);
  return (value != NULL) == (strcmp(op, "Exists") == 0);
}

static bool oracle(const json_t *selector, const json_t *labels) {
  const char *key;
  json_t *item;
  size_t i;
  bool matches = true;
  json_object_foreach(json_object_get(selector, "matchLabels"), key, item) {
    const char *value = has(labels, key);
    FUZZ_CHECK(json_is_string(item), "a label that is no string was taken");
    matches &= value && strcmp(value, json_string_value(item)) == 0;
  }
  json_array_foreach(json_object_get(selector, "matchExpressions"), i, item) matches &= requirement(item, labels);
  return matches;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str text = {(const char *)data, size};
  struct mg_arena *arena = fuzz_arena(0);
  struct mg_read how = {.limits = {(size_t)1 << 20, 32, 10000}};
  struct mg_err err = {0};
  struct mg_doc doc;
  json_t *both = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
  if (both && mg_json_read(&doc, arena, text, &how, NULL) == 0) {
    const struct mg_selector *selector = NULL;
    mg_node at = {0}, labels = mg_item(mg_root(&doc), 1), first = mg_item(mg_root(&doc), 0);
    int code = mg_selector_read(first, fuzz_arena(1), &selector, &at, &err);
    FUZZ_CHECK(code == 0 || (at.at && err.text[0]), "refused without a place or a word");
    FUZZ_CHECK(code || !selector == mg_missing(first), "a selector out of nothing, or nothing out of one");
    if (code == 0) {
      bool expected = selector && oracle(json_array_get(both, 0), json_array_get(both, 1));
      FUZZ_CHECK(mg_selector_matches(selector, label, &labels) == expected, "matches: %d in %.*s", !expected, MG_FMT(text));
    }
  }
  json_decref(both);
  return 0;
}
