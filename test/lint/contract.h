/* Read before each file that is analysed: what base/err.h and base/str.h promise, for what sees one file at a time. */
#pragma once
#include "base/err.h"

static inline int mg_promised(int returned, int promised) {
  (void)returned;
  return promised;
}
#define mg_err_set(err, code, ...) mg_promised((mg_err_set)((err), (code), __VA_ARGS__), (code))
#define mg_err_nomem(err) mg_promised((mg_err_nomem)(err), MG_E_NOMEM)
#define mg_err_wrap(err, ...) mg_promised((mg_err_wrap)((err), __VA_ARGS__), MG_E_INVALID)

static inline size_t mg_promised_place(mg_str s, char byte) {
  size_t at = 0;
  while (at < s.n && s.p[at] != byte) at++;
  return at;
}
#define mg_str_find(...) mg_promised_place(__VA_ARGS__) /* a compound literal has commas */
