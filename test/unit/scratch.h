/* One arena, made for each test of a program and freed behind it, and JSON that is read into it. */
#pragma once
#include "doc/json.h"

static struct mg_arena arena;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, (size_t)512 << 20, (size_t)64 << 20);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return 0;
}

static inline mg_node json_of(mg_str text) {
  struct mg_doc *doc = MG_NEW(&arena, struct mg_doc);
  struct mg_read how = {.limits = {(size_t)64 << 20, 1000, 1000000}};
  struct mg_err err = {0};
  assert_non_null(doc);
  if (mg_json_read(doc, &arena, text, &how, &err)) fail_msg("%.*s: %s", MG_FMT(text), err.text);
  return mg_root(doc);
}

static inline mg_node json(const char *text) {
  return json_of(mg_str_of(text));
}
