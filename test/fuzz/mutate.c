/* Changes of JSON documents: what a mutation of bytes takes long to find, and most often breaks. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define CHANGES_MAX 4

struct change {
  uint64_t random;
  uint32_t seen;    /* places that the walk has come by */
  json_t *parent;   /* what it has chosen */
  json_t *value;
  char key[128];
  size_t index;
};

static uint32_t chance(struct change *c, uint32_t below) {
  c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(c->random >> 33) % below;
}

/* Every place with the same chance. */
static void offer(struct change *c, json_t *parent, const char *key, size_t index, json_t *value) {
  if (chance(c, ++c->seen) != 0) return;
  c->parent = parent;
  c->value = value;
  c->index = index;
  snprintf(c->key, sizeof c->key, "%s", key ? key : "");
}

static void walk(struct change *c, json_t *value) {
  const char *key;
  json_t *item;
  size_t i;
  json_object_foreach(value, key, item) {
    offer(c, value, key, 0, item);
    walk(c, item);
  }
  json_array_foreach(value, i, item) {
    offer(c, value, NULL, i, item);
    walk(c, item);
  }
}

static bool choose(struct change *c, json_t *root) {
  c->seen = 0;
  c->parent = c->value = NULL;
  walk(c, root);
  return c->parent;
}

static json_t *scalar(struct change *c) {
  static const char *const words[] = {
      "null", "true", "false", "0", "1", "-1", "8", "1.5", "1e3", "9223372036854775807", "-9223372036854775808", "{}", "[]",
      "[{}]", "{\"\":null}", "\"\"", "\"a\"", "\"0\"", "\"1\"", "\"8\"", "\"-1\"", "\"1500m\"", "\"16Gi\"", "\"1e30\"",
      "\"nvidia.com/gpu\"", "\"/dev/shm\"", "\"Memory\"", "\"Exists\"", "\"Never\"", "\"a/b~c\"", "\"..\"", "\"\\n\"",
      "\"\\u202e\"", "\"\\u0001\"", "\"UPDATE\"", "\"CREATE\"", "\"DELETE\"", "\"Pod\"", "\"Job\"", "[\"a\",\"b\"]", "[[]]",
      "{\"nvidia.com/gpu\":\"2\"}", "{\"name\":\"a\"}", "[{\"name\":\"a\"},{\"name\":\"a\"}]", "{\"medium\":\"Memory\"}"};
  return json_loads(words[chance(c, FUZZ_COUNT(words))], JSON_DECODE_ANY, NULL);
}

static json_t *bytes_of(struct change *c) {
  char text[256] = "";
  size_t n = json_string_length(c->value);
  if (n > sizeof text) n = sizeof text;
  if (n) memcpy(text, json_string_value(c->value), n);
  n = LLVMFuzzerMutate((uint8_t *)text, n, sizeof text);
  json_t *value = json_stringn(text, n);
  return value ? value : scalar(c); /* no UTF-8 */
}

static void put(struct change *c, json_t *value) {
  if (!value) return;
  if (json_is_array(c->parent)) json_array_set_new(c->parent, c->index, value);
  else json_object_set_new(c->parent, c->key, value);
}

static void take_out(struct change *c) {
  if (json_is_array(c->parent)) json_array_remove(c->parent, c->index);
  else json_object_del(c->parent, c->key);
}

/* The value of one place to another one, beside what is there or in its stead, under its own key or that of there. */
static void copy(struct change *c, json_t *root) {
  struct change from = *c;
  json_t *value = json_deep_copy(c->value);
  if (!choose(c, root)) return json_decref(value);
  if (json_is_array(c->parent) && chance(c, 2)) json_array_insert_new(c->parent, c->index, value);
  else if (json_is_object(c->parent) && from.key[0] && chance(c, 2)) json_object_set_new(c->parent, from.key, value);
  else put(c, value);
}

static void change(struct change *c, json_t *root) {
  if (!choose(c, root)) return;
  switch (chance(c, 6)) {
    case 0: take_out(c); break;
    case 1:
    case 2: copy(c, root); break;
    case 3: put(c, scalar(c)); break;
    case 4:
      if (json_is_object(c->value)) json_object_set_new(c->value, json_is_object(c->parent) ? c->key : "name", scalar(c));
      else if (json_is_array(c->value)) json_array_append_new(c->value, scalar(c));
      break;
    default: put(c, json_is_string(c->value) ? bytes_of(c) : scalar(c));
  }
}

size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max, unsigned seed) {
  struct change c = {.random = seed};
  json_t *root = chance(&c, 8) ? json_loadb((const char *)data, size, 0, NULL) : NULL;
  if (!root) return LLVMFuzzerMutate(data, size, max);
  for (uint32_t left = 1 + chance(&c, CHANGES_MAX); left; left--) change(&c, root);
  size_t n = json_dumpb(root, (char *)data, max, JSON_COMPACT);
  json_decref(root);
  return n <= max && n > 0 ? n : LLVMFuzzerMutate(data, size, max);
}
