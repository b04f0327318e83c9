/* Read before each file that is analysed: what base/err.h promises, for what sees one file at a time. */
#pragma once
#include "base/err.h"

static inline int mg_promised(int returned, int promised) {
  (void)returned;
  return promised;
}
#define mg_err_set(err, code, ...) mg_promised((mg_err_set)((err), (code), __VA_ARGS__), (code))
#define mg_err_wrap(err, ...) mg_promised((mg_err_wrap)((err), __VA_ARGS__), MG_E_INVALID)
