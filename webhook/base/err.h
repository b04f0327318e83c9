/* The one error contract. A function that can fail returns 0 or a negative enum mg_code and takes a
 * caller-owned struct mg_err as its last parameter. The error is filled once, where it happened;
 * callers on the way up may put context before it. Setting an error never allocates. err may be NULL. */
#pragma once
#include "base/str.h"

enum mg_code {
  MG_OK = 0,
  MG_E_NOMEM = -1,   /* out of memory, or over a caller's memory limit */
  MG_E_LIMIT = -2,   /* input over a limit; the text names the limit */
  MG_E_SYNTAX = -3,  /* bytes that are not the language they should be */
  MG_E_INVALID = -4, /* well-formed, but not what is wanted */
  MG_E_IO = -5,      /* the operating system said no */
  MG_E_USAGE = -6,   /* command line */
};

#define MG_ERR_TEXT 480

struct mg_err {
  int code;
  uint32_t line, column; /* 1-based, columns in code points; 0: not known */
  size_t offset;         /* byte offset in the input, for syntax errors */
  char text[MG_ERR_TEXT];
};

/* Fills err and returns code. Text over the buffer is cut; a newline or tab becomes a space, other control characters "?". */
int mg_err_set(struct mg_err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Most often: MG_E_NOMEM, "out of memory". */
int mg_err_nomem(struct mg_err *err);

/* Puts "context: " before the text and returns the error's code. */
int mg_err_wrap(struct mg_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
