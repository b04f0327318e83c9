/* resource.Quantity by value, as k8s.io/apimachinery computes it. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "doc/doc.h"

__extension__ typedef __int128 mg_nano;

enum mg_quantity_format { MG_DECIMAL_SI, MG_BINARY_SI, MG_DECIMAL_EXPONENT };

struct mg_quantity {
  mg_nano nano; /* value in 10^-9; below that rounded away from zero */
  enum mg_quantity_format format;
};

/* Accepts exactly what Go does; surrounding white space is trimmed as in a JSON string. What it
 * refuses is MG_E_SYNTAX; beyond ±10^29 or 256 bytes MG_E_LIMIT. */
int mg_quantity_parse(mg_str text, struct mg_quantity *ret, struct mg_err *err);
/* A JSON string or number; anything else, also null, is MG_E_INVALID. */
int mg_quantity_read(mg_node n, struct mg_quantity *ret, struct mg_err *err);

static inline int mg_quantity_cmp(struct mg_quantity a, struct mg_quantity b) {
  return (a.nano > b.nano) - (a.nano < b.nano);
}
static inline bool mg_quantity_whole(struct mg_quantity q) {
  bool small = q.nano >= INT64_MIN && q.nano <= INT64_MAX; /* a division of 128 bits is a call */
  return small ? (int64_t)q.nano % 1000000000 == 0 : q.nano % 1000000000 == 0;
}
/* The format is that of the first operand that is not zero; saturates at ±10^29. */
struct mg_quantity mg_quantity_add(struct mg_quantity a, struct mg_quantity b);
/* Both saturate at ±10^29. */
struct mg_quantity mg_quantity_sub(struct mg_quantity a, struct mg_quantity b);
struct mg_quantity mg_quantity_times(struct mg_quantity q, int64_t n);
struct mg_quantity mg_quantity_of(int64_t units, enum mg_quantity_format format);
/* Units, rounded away from zero; saturates. */
int64_t mg_quantity_value(struct mg_quantity q);
/* Canonical text, at most 48 bytes. */
#define MG_QUANTITY_TEXT 48
mg_str mg_quantity_text(struct mg_quantity q, char buf[static MG_QUANTITY_TEXT]);
/* The API server shows a quantity that was written so as it was written, not in its canonical form: 1.500, 2e0, +1. */
bool mg_quantity_keeps(mg_str text);
mg_str mg_quantity_print(struct mg_arena *arena, struct mg_quantity q);
