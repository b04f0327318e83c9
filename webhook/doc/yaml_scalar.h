/* What a YAML scalar means to go-yaml v2, whose answers kubectl turns into JSON. Private to the YAML reader. */
#pragma once
#include "doc/doc.h"

struct mg_yaml_scalar {
  enum mg_kind kind; /* MG_NULL, MG_BOOL, MG_NUMBER or MG_STRING */
  mg_str text;       /* of a cell; points into the value where that is right as it stands */
  bool real;         /* a float: `number` says which, and as a key it is written in another way */
  bool no_value;     /* .inf and .nan, which JSON lacks */
  bool no_key;       /* what sigs.k8s.io/yaml refuses as a key: null, and whole numbers above int64 */
  double number;
};

/* `value` has a NUL behind its length; `tag` may be NULL; `implicit`: plain, or tagged "!". A value that is not what its tag says
 * is MG_E_INVALID. */
int mg_yaml_resolve(struct mg_arena *arena, mg_str value, const char *tag, bool implicit, struct mg_yaml_scalar *ret,
                    struct mg_err *err);

/* The text of a key; {NULL, 0} when out of memory. */
mg_str mg_yaml_key_text(struct mg_arena *arena, const struct mg_yaml_scalar *scalar);

/* y, n, yes, no, on, off in a spelling that is a boolean. */
bool mg_yaml_is_bare_word(mg_str s);
