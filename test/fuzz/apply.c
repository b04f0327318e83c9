/* RFC 6902 over jansson's values: add, replace and remove, which are all that there is in a patch of ours. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* The next token of a pointer, unescaped; *at moves to the slash behind it, or to the end. */
static char *token(const char **at) {
  size_t n = strcspn(*at + 1, "/"), to = 0;
  char *p = malloc(n + 1);
  FUZZ_CHECK(p && **at == '/', "a pointer that does not begin with a slash: %s", *at);
  for (size_t i = 1; i <= n; i++) {
    char c = (*at)[i];
    if (c == '~') {
      char next = (*at)[++i];
      FUZZ_CHECK(i <= n && (next == '0' || next == '1'), "a bad escape in a pointer: %s", *at);
      c = next == '0' ? '~' : '/';
    }
    p[to++] = c;
  }
  p[to] = '\0';
  *at += n + 1;
  return p;
}

/* Index of an item that is there, or with `end` the one behind the last. */
static size_t index_in(const json_t *array, const char *text, bool end) {
  char *rest;
  size_t count = json_array_size(array), i;
  if (end && strcmp(text, "-") == 0) return count;
  i = strtoul(text, &rest, 10);
  FUZZ_CHECK(*text >= '0' && *text <= '9' && !*rest && (*text != '0' || !text[1]), "no index: %s", text);
  FUZZ_CHECK(i < count || (end && i == count), "an index that is not there: %s", text);
  return i;
}

static json_t *step(json_t *from, const char *name) {
  json_t *to = json_is_array(from) ? json_array_get(from, index_in(from, name, false)) : json_object_get(from, name);
  FUZZ_CHECK(to, "a pointer through what is not there: %s", name);
  return to;
}

static void change(json_t *parent, const char *name, const char *op, json_t *value) {
  bool add = strcmp(op, "add") == 0, removes = strcmp(op, "remove") == 0, there = false;
  int failed;
  FUZZ_CHECK(add || removes || strcmp(op, "replace") == 0, "an unknown operation: %s", op);
  FUZZ_CHECK(removes == !value, "%s: a value too much or too few", op);
  if (json_is_array(parent)) {
    size_t i = index_in(parent, name, add);
    failed = add       ? json_array_insert(parent, i, value)
             : removes ? json_array_remove(parent, i)
                       : json_array_set(parent, i, value);
  } else {
    FUZZ_CHECK(json_is_object(parent), "%s in what is neither object nor array: %s", op, name);
    there = json_object_get(parent, name);
    FUZZ_CHECK(add || there, "%s of what is not there: %s", op, name);
    failed = removes ? json_object_del(parent, name) : json_object_set(parent, name, value);
  }
  FUZZ_CHECK(!failed, "jansson cannot %s %s", op, name);
}

json_t *fuzz_apply(const json_t *object, const json_t *patch) {
  json_t *result = json_deep_copy(object), *op;
  size_t i;
  FUZZ_CHECK(result && json_is_array(patch), "a patch that is no array");
  json_array_foreach(patch, i, op) {
    const char *path = json_string_value(json_object_get(op, "path"));
    const char *kind = json_string_value(json_object_get(op, "op"));
    FUZZ_CHECK(path && *path && kind, "an operation without path or kind");
    json_t *at = result;
    char *name = token(&path);
    while (*path) {
      at = step(at, name);
      free(name);
      name = token(&path);
    }
    json_t *value = json_deep_copy(json_object_get(op, "value"));
    change(at, name, kind, value);
    json_decref(value);
    free(name);
  }
  return result;
}
