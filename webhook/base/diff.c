#include "base/diff.h"

#include <stdlib.h>

#define CONTEXT 3
#define CELLS_MAX ((size_t)4 << 20) /* of the table of common lines */

struct lines {
  mg_str *items; /* with their line break, which the last may lack */
  size_t count;
};

/* What comes of a line: kept, only before, only after. */
struct step {
  char sign;
  mg_str line;
  size_t before, after; /* lines of the two texts that come first */
};

struct diff {
  struct lines before, after;
  size_t head, tail; /* common lines at both ends */
  uint16_t *common;  /* [i][j]: of the longest common run of lines from i and j on; NULL: the middle is one change */
  struct step *steps;
  size_t count;
};

static bool split(mg_str text, struct lines *ret) {
  size_t count = 1, n = 0;
  for (size_t i = 0; i < text.n; i++) count += text.p[i] == '\n';
  ret->items = calloc(count, sizeof *ret->items);
  if (!ret->items) return false;
  for (mg_str rest = text; rest.n; n++) {
    size_t end = mg_str_find(rest, '\n');
    ret->items[n] = (mg_str){rest.p, end < rest.n ? end + 1 : end};
    rest = mg_str_from(rest, ret->items[n].n);
  }
  ret->count = n;
  return true;
}

static bool same(const struct diff *d, size_t i, size_t j) {
  return mg_str_eq(d->before.items[i], d->after.items[j]);
}

static void trim(struct diff *d) {
  size_t least = d->before.count < d->after.count ? d->before.count : d->after.count;
  while (d->head < least && same(d, d->head, d->head)) d->head++;
  while (d->tail < least - d->head && same(d, d->before.count - 1 - d->tail, d->after.count - 1 - d->tail)) d->tail++;
}

/* Of what lies between the ends; the row and the column behind the last are zeros. */
static bool find_common(struct diff *d) {
  size_t rows = d->before.count - d->head - d->tail, columns = d->after.count - d->head - d->tail, wide = columns + 1;
  if (!rows || !columns || rows >= UINT16_MAX || wide > CELLS_MAX / (rows + 1)) return true;
  d->common = calloc((rows + 1) * wide, sizeof *d->common);
  if (!d->common) return false;
  for (size_t i = rows; i-- > 0;)
    for (size_t j = columns; j-- > 0;) {
      uint16_t down = d->common[(i + 1) * wide + j], right = d->common[i * wide + j + 1];
      uint16_t best = down > right ? down : right;
      if (same(d, d->head + i, d->head + j)) best = (uint16_t)(d->common[(i + 1) * wide + j + 1] + 1);
      d->common[i * wide + j] = best;
    }
  return true;
}

static void add(struct diff *d, char sign, size_t i, size_t j) {
  mg_str line = sign == '+' ? d->after.items[j] : d->before.items[i];
  d->steps[d->count++] = (struct step){sign, line, i, j};
}

static void walk_middle(struct diff *d, size_t *i, size_t *j) {
  size_t rows = d->before.count - d->tail, columns = d->after.count - d->tail, wide = columns - d->head + 1;
  while (*i < rows || *j < columns) {
    const uint16_t *at = d->common ? &d->common[(*i - d->head) * wide + *j - d->head] : NULL;
    if (*i < rows && *j < columns && at && same(d, *i, *j)) add(d, ' ', *i, *j), ++*i, ++*j;
    else if (*i < rows && (*j == columns || !at || at[wide] >= at[1])) add(d, '-', *i, *j), ++*i;
    else add(d, '+', *i, *j), ++*j;
  }
}

static bool walk(struct diff *d) {
  size_t i = 0, j = 0;
  d->steps = calloc(d->before.count + d->after.count + 1, sizeof *d->steps);
  if (!d->steps) return false;
  for (; i < d->head; i++, j++) add(d, ' ', i, j);
  walk_middle(d, &i, &j);
  for (; i < d->before.count; i++, j++) add(d, ' ', i, j);
  return true;
}

/* "12,3": the first of them, or what is before where there is none. */
static void range(struct mg_buf *out, char sign, size_t before, size_t count) {
  mg_buf_printf(out, "%c%zu", sign, count ? before + 1 : before);
  if (count != 1) mg_buf_printf(out, ",%zu", count);
}

static void write_hunk(struct mg_buf *out, const struct step *from, const struct step *to) {
  size_t before = 0, after = 0;
  for (const struct step *s = from; s < to; s++) before += s->sign != '+', after += s->sign != '-';
  mg_buf_lit(out, "@@ ");
  range(out, '-', from->before, before);
  mg_buf_byte(out, ' ');
  range(out, '+', from->after, after);
  mg_buf_lit(out, " @@\n");
  for (const struct step *s = from; s < to; s++) {
    mg_buf_byte(out, s->sign);
    mg_buf_put(out, s->line);
    if (!mg_str_ends(s->line, MG_S("\n"))) mg_buf_lit(out, "\n\\ No newline at end of file\n");
  }
}

/* Changes with at most twice the context between them are one hunk. */
static void write_hunks(struct mg_buf *out, const struct diff *d) {
  for (size_t at = 0; at < d->count;) {
    if (d->steps[at].sign == ' ') {
      at++;
      continue;
    }
    size_t from = at > CONTEXT ? at - CONTEXT : 0, end = at, quiet = 0;
    for (size_t i = at; i < d->count && quiet <= 2 * CONTEXT; i++) {
      quiet = d->steps[i].sign == ' ' ? quiet + 1 : 0;
      if (!quiet) end = i + 1;
    }
    size_t to = end + CONTEXT < d->count ? end + CONTEXT : d->count;
    write_hunk(out, &d->steps[from], &d->steps[to]);
    at = to;
  }
}

static void diff_fini(struct diff *d) {
  free(d->before.items);
  free(d->after.items);
  free(d->common);
  free(d->steps);
}

void mg_diff(struct mg_buf *out, mg_str before, mg_str after) {
  __attribute__((cleanup(diff_fini))) struct diff d = {0};
  bool good = split(before, &d.before) && split(after, &d.after);
  if (good) trim(&d);
  if (good && find_common(&d) && walk(&d)) write_hunks(out, &d);
  else out->failed = true;
}
