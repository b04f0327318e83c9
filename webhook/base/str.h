/* Strings as {pointer, length}: a NUL inside is data, and nothing here owns memory. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct mg_str {
  const char *p;
  size_t n;
} mg_str;

/* A string literal as mg_str, and the pair that printf's %.*s wants. */
#define MG_S(literal) ((mg_str){("" literal), sizeof("" literal) - 1})
#define MG_FMT(s) (int)mg_str_shown(s).n, mg_str_shown(s).p

/* The string as printf may have it, which ends at a NUL: a short-lived copy with U+FFFD in place of each NUL, cut after
 * MG_STR_SHOWN bytes; without a NUL the string itself. The last dozen of a thread's copies are there. */
#define MG_STR_SHOWN 256
mg_str mg_str_shown(mg_str s);

static inline mg_str mg_str_of(const char *z) {
  return (mg_str){z, z ? strlen(z) : 0};
}

static inline bool mg_str_eq(mg_str a, mg_str b) {
  /* The first byte spares most calls where names are compared with a list of names. */
  return a.n == b.n && (a.n == 0 || (a.p[0] == b.p[0] && memcmp(a.p, b.p, a.n) == 0));
}

static inline bool mg_str_is(mg_str a, const char *z) {
  return mg_str_eq(a, mg_str_of(z));
}

static inline bool mg_str_starts(mg_str s, mg_str prefix) {
  return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool mg_str_ends(mg_str s, mg_str suffix) {
  return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static inline mg_str mg_str_from(mg_str s, size_t at) {
  return at >= s.n ? (mg_str){0} : (mg_str){s.p + at, s.n - at};
}

/* FNV-1a, with a mark behind each string, so that `a` and `b` are not `ab` and "". The first of several starts with MG_HASH. */
#define MG_HASH UINT64_C(1469598103934665603)
static inline uint64_t mg_str_hash(uint64_t h, mg_str s) {
  for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
  h = (h ^ 0xFF) * UINT64_C(1099511628211);
  return h ^ h >> 29; /* the low bits, which tables take, are the weak ones */
}

/* Byte order, shorter first among equal prefixes: <0, 0, >0. */
int mg_str_cmp(mg_str a, mg_str b);

/* Index of the byte, or s.n when it is not there. */
size_t mg_str_find(mg_str s, char byte);

/* Takes what stands before the first such byte, or all; *rest is what stands behind it. */
static inline mg_str mg_str_cut(mg_str *rest, char byte) {
  mg_str part = {rest->p, mg_str_find(*rest, byte)};
  *rest = mg_str_from(*rest, part.n + 1);
  return part;
}

/* True where `part` stands anywhere in `s`. */
bool mg_str_has(mg_str s, mg_str part);
