/* YAML as sigs.k8s.io/yaml (go-yaml v2, YAML 1.1) reads it into JSON. */
#pragma once
#include "doc/json.h"

/* Reads every document of a file into docs of their own: YAML split at lines that start with "---", or, where the first byte that
 * is no white space is '{', concatenated JSON. Empty documents and null ones are skipped but counted in `number`. A document that
 * cannot be read is an error; what was read before it stays in the list. Positions are those of the whole file. */
struct mg_file_doc {
  struct mg_file_doc *next;
  uint32_t number; /* 0-based index in the file */
  struct mg_doc doc;
};

int mg_yaml_read(struct mg_file_doc **ret, struct mg_arena *arena, mg_str source, struct mg_read *how, struct mg_err *err);

/* True where the scalar at n was written without quotes as one of YAML 1.1's y, n, yes, no, on, off. */
bool mg_yaml_is_bare_bool(mg_node n);
