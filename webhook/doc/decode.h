/* Declared parameters: a table of fields reads a node into a struct, with strict keys, types, defaults and positions.
 * The same tables feed the schema and the reference pages. No other code compares keys. */
#pragma once
#include "doc/diag.h"

struct mg_load {
  struct mg_diags *diags;
  struct mg_arena *arena; /* what is read lives here, and so does the doc */
  bool lenient;           /* context documents: unknown keys are kept, as the API server would */
  void *owner;            /* for types of upper layers: what needs releasing is registered here */
};

struct mg_field;

struct mg_type {
  const char *name; /* "a string", for messages */
  /* Reads `value` to dst, or adds an error and returns false. */
  bool (*read)(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst);
  /* What it accepts, for `mlgate schema`: JSON Schema, written as YAML, or the fields of an object. Types that are made of others
   * (list, enum, object) have neither: their field's arg says it. */
  const char *schema;
  const struct mg_field *fields;
};

struct mg_field {
  const char *key;
  const struct mg_type *type;
  size_t offset;
  const void *arg;  /* what the type needs: words, item, fields */
  const char *def;  /* the default, as YAML; NULL: zeroed when absent */
  bool required;
  const char *doc;  /* one sentence */
};
#define MG_FIELDS_END {0}

struct mg_list {
  void *items; /* of the item's size each */
  uint32_t count;
};
#define MG_LIST_AT(list, type, i) (((const type *)(list).items)[i])

/* One of a list of mg_str is that. */
static inline bool mg_list_has(struct mg_list strings, mg_str s) {
  for (uint32_t i = 0; i < strings.count; i++)
    if (mg_str_eq(MG_LIST_AT(strings, mg_str, i), s)) return true;
  return false;
}

/* arg of mg_t_list and mg_t_map: what one item is. */
struct mg_item {
  const struct mg_type *type;
  size_t size;
  const void *arg;
};

/* arg of mg_t_object: the fields of a nested struct that lies in place. */
struct mg_shape {
  const struct mg_field *fields;
  const char *name; /* for "unknown key … in NAME" */
};

struct mg_pair {
  mg_str key;
  mg_str value;
};

extern const struct mg_type mg_t_string; /* mg_str, not empty */
extern const struct mg_type mg_t_text;   /* mg_str, may be empty */
/* What people are to read: mg_str in one line, since blocks of YAML end in a newline and go over several lines. */
extern const struct mg_type mg_t_words;      /* not empty */
extern const struct mg_type mg_t_some_words; /* may be empty */
extern const struct mg_type mg_t_bool;   /* bool */
extern const struct mg_type mg_t_count;  /* struct mg_opt_int, 0 or more */
extern const struct mg_type mg_t_enum;   /* uint32_t: index into arg, a NULL-terminated array of words */
extern const struct mg_type mg_t_list;   /* struct mg_list; arg: struct mg_item */
extern const struct mg_type mg_t_pairs;  /* struct mg_list of struct mg_pair: a map of strings */
extern const struct mg_type mg_t_object; /* the nested struct; arg: struct mg_shape */
extern const struct mg_type mg_t_node;   /* mg_node as it is */

#define MG_SCHEMA_STRING "{type: string, minLength: 1}"
#define MG_SCHEMA_WORDS "{type: string, pattern: '[^ \\t\\r\\n]'}"
#define MG_SCHEMA_PAIRS "{type: object, additionalProperties: {type: string}}"

extern const struct mg_item mg_item_string; /* list of mg_str */

struct mg_opt_int {
  bool set;
  int64_t value;
};

/* Reads an object by its fields; `name` is for messages. False when an error was added; what could be read is in dst (zeroed by
 * the caller). */
bool mg_decode(struct mg_load *load, const struct mg_field *fields, const char *name, mg_node object, void *dst);

/* "…; did you mean "x"?" or "": the word nearest to s, within two typing errors. */
mg_str mg_did_you_mean(struct mg_arena *arena, mg_str s, const char *const *words);
