#include "doc/diag.h"

#include <stdio.h>

#define LONGEST_LINE 400 /* bytes of a source line that is shown */

void mg_diags_init(struct mg_diags *diags, struct mg_arena *arena) {
  *diags = (struct mg_diags){.arena = arena};
  diags->errors_end = &diags->errors;
  diags->warnings_end = &diags->warnings;
}

/* The whole line that holds the offset, without its end and a byte order mark. */
static mg_str line_at(mg_str source, size_t offset) {
  if (offset > source.n) offset = source.n;
  size_t begin = offset, end = offset;
  while (begin > 0 && source.p[begin - 1] != '\n') begin--;
  while (end < source.n && source.p[end] != '\n') end++;
  if (end > begin && source.p[end - 1] == '\r') end--;
  if (begin == 0 && end >= 3 && memcmp(source.p, "\xEF\xBB\xBF", 3) == 0) begin = 3;
  return (mg_str){source.p + begin, end - begin};
}

static uint32_t code_points(mg_str s) {
  uint32_t n = 0;
  for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
  return n;
}

/* Nothing in a diagnostic is borrowed: it is read when the files, and what was made of them, may be gone. */
static struct mg_diag *new_diag(struct mg_diags *diags, const char *file, mg_str source, size_t start, size_t end, mg_str text) {
  struct mg_diag *d = MG_NEW(diags->arena, struct mg_diag);
  if (!d) return NULL;
  if (!source.p) source = MG_S("");
  if (start > source.n) start = source.n;
  mg_str line = line_at(source, start);
  size_t line_end = (size_t)(line.p - source.p) + line.n;
  if (end > line_end) end = line_end;
  d->width = end > start ? code_points((mg_str){source.p + start, end - start}) : 1;
  mg_line_of(source, start, &d->pos.line, &d->pos.column);
  d->pos.file = mg_arena_dup(diags->arena, mg_str_of(file)).p;
  if (line.n <= LONGEST_LINE) d->line = mg_arena_dup(diags->arena, line);
  d->text = text;
  return d;
}

/* What is not shown is counted all the same, also where memory is short: an error must never pass for none. */
static void add_error(struct mg_diags *diags, struct mg_diag *d) {
  if (++diags->error_count > MG_DIAGS_SHOWN || !d) return;
  *diags->errors_end = d;
  diags->errors_end = &d->next;
}

static void add_warning(struct mg_diags *diags, struct mg_diag *d) {
  if (++diags->warning_count > MG_DIAGS_SHOWN || !d) return;
  *diags->warnings_end = d;
  diags->warnings_end = &d->next;
}

/* The cell to underline: the key of a member, or the value itself; of a fresh cell, what stands in the source above it. */
static const struct mg_cell *spot_cell(mg_node at, enum mg_spot spot) {
  mg_node key = mg_key_of(at);
  if (spot == MG_AT_KEY && key.at) at.at = key.at;
  while (mg_cell_of(at)->fresh && mg_cell_of(at)->parent) at.at = mg_cell_of(at)->parent;
  return mg_cell_of(at);
}

__attribute__((format(printf, 4, 0)))
static struct mg_diag *diag_of(struct mg_diags *diags, mg_node at, enum mg_spot spot, const char *format, va_list args) {
  const struct mg_cell *c = spot_cell(at, spot);
  mg_str text = mg_arena_vprintf(diags->arena, format, args);
  mg_str source = at.doc ? at.doc->source : (mg_str){0};
  return new_diag(diags, at.doc && at.doc->file ? at.doc->file : "", source, c->start, c->end, text);
}

void mg_diag_error(struct mg_diags *diags, mg_node at, enum mg_spot spot, const char *format, ...) {
  va_list args;
  va_start(args, format);
  add_error(diags, diags->error_count < MG_DIAGS_SHOWN ? diag_of(diags, at, spot, format, args) : NULL);
  va_end(args);
}

void mg_diag_second(struct mg_diags *diags, mg_node again, mg_node first, const char *format, ...) {
  struct mg_pos pos = {0};
  va_list args;
  va_start(args, format);
  mg_str what = mg_arena_vprintf(diags->arena, format, args);
  va_end(args);
  mg_value_pos(first, &pos);
  mg_diag_error(diags, again, MG_AT_VALUE, "a second %.*s; the first is at %s:%u:%u", MG_FMT(what), pos.file ? pos.file : "",
                pos.line, pos.column);
}

void mg_diag_warn(struct mg_diags *diags, mg_node at, enum mg_spot spot, const char *format, ...) {
  va_list args;
  va_start(args, format);
  add_warning(diags, diags->warning_count < MG_DIAGS_SHOWN ? diag_of(diags, at, spot, format, args) : NULL);
  va_end(args);
}

void mg_diag_syntax(struct mg_diags *diags, const char *file, mg_str source, const struct mg_err *err) {
  mg_str text = mg_arena_dup(diags->arena, mg_str_of(err->text));
  struct mg_diag *d = new_diag(diags, file, source, err->offset < source.n ? err->offset : source.n, 0, text);
  if (d && err->line) d->pos.line = err->line, d->pos.column = err->column;
  add_error(diags, d);
}

static struct mg_diag *duplicate_diag(struct mg_diags *diags, const char *file, mg_str source, const struct mg_duplicate *dup,
                                      bool is_error) {
  uint32_t line, column;
  mg_line_of(source, dup->first, &line, &column);
  const char *what = dup->merge ? "the merge key overwrites" : "duplicate key",
             *then = dup->merge || is_error ? "" : "; this one wins";
  mg_str text = mg_arena_printf(diags->arena, "%s \"%.*s\" of line %u, column %u%s", what, MG_FMT(dup->key), line, column, then);
  size_t quotes = dup->again < source.n && (source.p[dup->again] == '"' || source.p[dup->again] == '\'') ? 2 : 0;
  return new_diag(diags, file, source, dup->again, dup->again + (dup->merge ? 2 : dup->key.n + quotes), text);
}

void mg_diag_duplicate(struct mg_diags *diags, const char *file, mg_str source, const struct mg_duplicate *dup, bool is_error) {
  bool shown = (is_error ? diags->error_count : diags->warning_count) < MG_DIAGS_SHOWN;
  struct mg_diag *d = shown ? duplicate_diag(diags, file, source, dup, is_error) : NULL;
  if (is_error)
    add_error(diags, d);
  else
    add_warning(diags, d);
}

/* `file:line:col: text` and, where there is one, the line with a caret; tabs stay tabs so that the caret stays in place. */
static void print_one(struct mg_buf *out, const struct mg_diag *d, const char *severity) {
  mg_buf_clean(out, mg_str_of(d->pos.file ? d->pos.file : "-"));
  mg_buf_printf(out, ":%u:%u: %s", d->pos.line, d->pos.column, severity);
  mg_buf_clean(out, d->text);
  if (!d->line.p) {
    mg_buf_byte(out, '\n');
    return;
  }
  mg_buf_printf(out, "\n%5u | ", d->pos.line);
  for (size_t i = 0, from = 0; i <= d->line.n; i++) {
    if (i < d->line.n && d->line.p[i] != '\t') continue;
    mg_buf_clean(out, (mg_str){d->line.p + from, i - from});
    if (i < d->line.n) mg_buf_byte(out, '\t');
    from = i + 1;
  }
  mg_buf_lit(out, "\n      | ");
  uint32_t column = 1;
  for (size_t i = 0; i < d->line.n && column < d->pos.column; i++) {
    if (((unsigned char)d->line.p[i] & 0xC0) == 0x80) continue;
    mg_buf_byte(out, d->line.p[i] == '\t' ? '\t' : ' ');
    column++;
  }
  while (column++ < d->pos.column) mg_buf_byte(out, ' ');
  mg_buf_byte(out, '^');
  for (uint32_t i = 1; i < d->width; i++) mg_buf_byte(out, '~');
  mg_buf_byte(out, '\n');
}

void mg_diags_print(struct mg_buf *out, const struct mg_diag *first, const char *severity) {
  for (const struct mg_diag *d = first; d; d = d->next) print_one(out, d, severity);
}
