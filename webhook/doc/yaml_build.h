/* One YAML document to one doc, from libyaml's events. Private to the YAML reader. */
#pragma once
#include "doc/json.h"

/* Reads the first document of the bytes [from, to) of the source, which libyaml sees alone. No root: there was none. */
int mg_yaml_build(struct mg_doc *ret, struct mg_arena *arena, mg_str source, size_t from, size_t to, struct mg_read *how,
                  struct mg_err *err);
