/* Positioned diagnostics: `file:line:col: text`, the source line, a caret. Collected while loading, printed at the end. */
#pragma once
#include "base/buf.h"
#include "doc/json.h"

#define MG_DIAGS_SHOWN 20

struct mg_diag {
  struct mg_diag *next;
  struct mg_pos pos;
  uint32_t width; /* of the underlined text, in code points; at least 1 */
  mg_str line;    /* the source line */
  mg_str text;
};

struct mg_diags {
  struct mg_arena *arena;
  struct mg_diag *errors, **errors_end;     /* the first MG_DIAGS_SHOWN; error_count counts all */
  struct mg_diag *warnings, **warnings_end;
  uint32_t error_count, warning_count;
};

enum mg_spot { MG_AT_KEY, MG_AT_VALUE };

void mg_diags_init(struct mg_diags *diags, struct mg_arena *arena);

/* An error at a node: its key (an unknown or misplaced key, something missing below it), or its value (a wrong value). */
void mg_diag_error(struct mg_diags *diags, mg_node at, enum mg_spot spot, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void mg_diag_warn(struct mg_diags *diags, mg_node at, enum mg_spot spot, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "a second …; the first is at FILE:LINE:COLUMN", at the value `again`. */
void mg_diag_second(struct mg_diags *diags, mg_node again, mg_node first, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* An error of a reader, whose place is in err. */
void mg_diag_syntax(struct mg_diags *diags, const char *file, mg_str source, const struct mg_err *err);
/* A duplicate key that the reader let pass: an error in what is to be strict, else a warning. */
void mg_diag_duplicate(struct mg_diags *diags, const char *file, mg_str source, const struct mg_duplicate *dup, bool is_error);

/* Prints errors or warnings; `severity` ("warning: ") stands before each text. */
void mg_diags_print(struct mg_buf *out, const struct mg_diag *first, const char *severity);
