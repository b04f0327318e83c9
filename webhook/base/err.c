#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

/* Errors quote names of files and what is in them, and are shown on terminals and in logs. */
static char shown(char c) {
  if (c == '\n' || c == '\t') return ' ';
  return (unsigned char)c < 0x20 || c == 0x7F ? '?' : c;
}

/* Copies as much of `from` as fits behind the n bytes that are there, without cutting a character in two, as it is shown. */
static size_t append(char *to, size_t n, const char *from) {
  mg_str first = mg_utf8_first(mg_str_of(from), MG_ERR_TEXT - 1 - n);
  memcpy(to + n, first.p, first.n);
  to[n + first.n] = '\0';
  for (char *p = to + n; *p; p++) *p = shown(*p);
  return n + first.n;
}

/* One byte more than a text, so that append sees where a cut falls; arguments may point into err itself. */
#define SCRATCH (MG_ERR_TEXT + 1)

int mg_err_set(struct mg_err *err, int code, const char *format, ...) {
  if (!err) return code;
  char text[SCRATCH];
  va_list args;
  va_start(args, format);
  if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
  va_end(args);
  err->code = code;
  err->line = err->column = 0;
  err->offset = 0;
  append(err->text, 0, text);
  return code;
}

int mg_err_nomem(struct mg_err *err) {
  return mg_err_set(err, MG_E_NOMEM, "out of memory");
}

int mg_err_wrap(struct mg_err *err, const char *format, ...) {
  if (!err) return MG_E_INVALID;
  char context[SCRATCH], old[MG_ERR_TEXT];
  va_list args;
  va_start(args, format);
  if (vsnprintf(context, sizeof(context), format, args) < 0) context[0] = '\0';
  va_end(args);
  old[append(old, 0, err->text)] = '\0';
  size_t n = append(err->text, 0, context);
  n = append(err->text, n, ": ");
  append(err->text, n, old);
  return err->code;
}
