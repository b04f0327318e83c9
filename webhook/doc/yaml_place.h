/* From libyaml's marks, which count characters of one document, to bytes of the file. Private to the YAML reader. */
#pragma once
#include <yaml.h>

#include "base/str.h"

struct mg_yaml_span {
  uint32_t start, end;
};

struct mg_yaml_place {
  mg_str source;      /* the whole file */
  size_t from, to;    /* the document in it, without a byte order mark */
  bool ascii;         /* a character is a byte */
  size_t index, byte; /* one place, in characters and in bytes: marks come almost in order, so the walk from it is short */
};

/* False where the document has bytes that are not UTF-8, at *bad. */
bool mg_yaml_place_init(struct mg_yaml_place *place, mg_str source, size_t from, size_t to, size_t *bad);

size_t mg_yaml_byte(struct mg_yaml_place *place, size_t index);

/* The place of an event's node, without its anchor and tag; a block scalar ends with its last line. */
struct mg_yaml_span mg_yaml_span_of(struct mg_yaml_place *place, const yaml_event_t *event);
