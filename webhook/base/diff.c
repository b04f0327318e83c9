#include "base/diff.h"

#include <stdlib.h>

#define CONTEXT 3
#define WINDOW 1000 /* lines in which the two are looked for to agree again */
#define TABLE 1000000 /* lines times lines of one change that are compared */
#define AGREE 3     /* lines that must be the same for that */

struct lines {
  mg_str text;
  uint32_t *starts; /* count + 1 of them */
  uint32_t count;
};

/* The lines [a, a_end) of the one text become [b, b_end) of the other. */
struct change {
  uint32_t a, a_end, b, b_end;
};

struct diff {
  struct lines a, b;
  struct mg_buf *out;
};

static bool split(struct lines *lines, mg_str text) {
  uint32_t count = 0;
  for (size_t at = 0; at < text.n; at += mg_str_find(mg_str_from(text, at), '\n') + 1) count++;
  *lines = (struct lines){.text = text, .count = count, .starts = malloc((count + 1) * sizeof *lines->starts)};
  if (!lines->starts) return false;
  size_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    lines->starts[i] = (uint32_t)at;
    at += mg_str_find(mg_str_from(text, at), '\n') + 1;
  }
  lines->starts[count] = (uint32_t)text.n;
  return true;
}

static mg_str line_of(const struct lines *lines, uint32_t i) {
  return (mg_str){lines->text.p + lines->starts[i], lines->starts[i + 1] - lines->starts[i]};
}

static bool same(const struct diff *d, uint32_t a, uint32_t b) {
  return a < d->a.count && b < d->b.count && mg_str_eq(line_of(&d->a, a), line_of(&d->b, b));
}

/* From here on they agree, for a while or to the end of both. */
static bool agree(const struct diff *d, uint32_t a, uint32_t b) {
  for (uint32_t i = 0; i < AGREE; i++) {
    if (a + i >= d->a.count && b + i >= d->b.count) return true;
    if (!same(d, a + i, b + i)) return false;
  }
  return true;
}

/* The nearest place at which they agree again; the end of both where none is near. */
static struct change change_at(const struct diff *d, uint32_t a, uint32_t b) {
  for (uint32_t sum = 1; sum < WINDOW; sum++)
    for (uint32_t i = 0; i <= sum; i++) {
      uint32_t x = a + i, y = b + sum - i;
      if (x <= d->a.count && y <= d->b.count && agree(d, x, y)) return (struct change){a, x, b, y};
    }
  uint32_t x = d->a.count, y = d->b.count;
  while (x > a && y > b && same(d, x - 1, y - 1)) x--, y--;
  return (struct change){a, x, b, y};
}

static bool next_change(const struct diff *d, uint32_t a, uint32_t b, struct change *ret) {
  while (same(d, a, b)) a++, b++;
  if (a == d->a.count && b == d->b.count) return false;
  *ret = change_at(d, a, b);
  return true;
}

static void put_lines(const struct diff *d, char mark, const struct lines *lines, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) {
    mg_str line = line_of(lines, i);
    mg_buf_byte(d->out, mark);
    mg_buf_put(d->out, line);
    if (line.p[line.n - 1] != '\n') mg_buf_lit(d->out, "\n\\ No newline at end of file\n");
  }
}

/* One change; lines that it leaves as they are stay so, if it is not too large to look for them. */
static void put_change(const struct diff *d, const struct change *c) {
  size_t n = c->a_end - c->a, m = c->b_end - c->b, width = m + 1;
  uint16_t *longest = n && m && n < UINT16_MAX && n * m <= TABLE ? calloc((n + 1) * width, sizeof *longest) : NULL;
  for (size_t i = n; longest && i-- > 0;)
    for (size_t j = m; j-- > 0;) {
      uint16_t down = longest[(i + 1) * width + j], right = longest[i * width + j + 1];
      uint16_t both = (uint16_t)(longest[(i + 1) * width + j + 1] + 1);
      longest[i * width + j] = same(d, c->a + (uint32_t)i, c->b + (uint32_t)j) ? both : down > right ? down : right;
    }
  uint32_t a = c->a, b = c->b;
  while (longest && a < c->a_end && b < c->b_end) {
    const uint16_t *at = &longest[(a - c->a) * width + (b - c->b)];
    if (same(d, a, b)) put_lines(d, ' ', &d->a, a, a + 1), a++, b++;
    else if (at[width] >= at[1]) put_lines(d, '-', &d->a, a, a + 1), a++;
    else put_lines(d, '+', &d->b, b, b + 1), b++;
  }
  put_lines(d, '-', &d->a, a, c->a_end);
  put_lines(d, '+', &d->b, b, c->b_end);
  free(longest);
}

/* As diff counts: of no line, the one before it. */
static void put_range(const struct diff *d, char mark, uint32_t from, uint32_t to) {
  mg_buf_printf(d->out, "%c%u", mark, from + (to > from));
  if (to - from != 1) mg_buf_printf(d->out, ",%u", to - from);
}

/* The changes [0, count) with what stands around them. */
static void put_hunk(const struct diff *d, const struct change *changes, uint32_t count) {
  const struct change *first = &changes[0], *last = &changes[count - 1];
  uint32_t before = first->a < CONTEXT ? first->a : CONTEXT, left = d->a.count - last->a_end;
  uint32_t behind = left < CONTEXT ? left : CONTEXT;
  mg_buf_lit(d->out, "@@ ");
  put_range(d, '-', first->a - before, last->a_end + behind);
  mg_buf_byte(d->out, ' ');
  put_range(d, '+', first->b - before, last->b_end + behind);
  mg_buf_lit(d->out, " @@\n");
  uint32_t a = first->a - before;
  for (uint32_t i = 0; i < count; i++) {
    put_lines(d, ' ', &d->a, a, changes[i].a);
    put_change(d, &changes[i]);
    a = changes[i].a_end;
  }
  put_lines(d, ' ', &d->a, a, a + behind);
}

/* git takes no name that has a part like "." or none between two slashes. 0: it begins with none of them. */
static size_t empty_part(mg_str path) {
  if (mg_str_starts(path, MG_S("./"))) return 2;
  return path.n && *path.p == '/';
}

/* As git quotes names. */
static void put_name(struct mg_buf *out, const char *mark, char side, mg_str path) {
  bool quoted = false;
  for (size_t n; (n = empty_part(path));) path = mg_str_from(path, n);
  for (size_t i = 0; i < path.n; i++) quoted |= path.p[i] < ' ' || path.p[i] > '~' || path.p[i] == '"' || path.p[i] == '\\';
  mg_buf_printf(out, "%s %s%c/", mark, quoted ? "\"" : "", side);
  for (size_t i = 0; i < path.n && !out->failed; i++) {
    for (size_t n; i && path.p[i - 1] == '/' && (n = empty_part(mg_str_from(path, i)));) i += n;
    unsigned char c = (unsigned char)path.p[i];
    if (c == '"' || c == '\\') mg_buf_printf(out, "\\%c", c);
    else if (c < ' ' || c > '~') mg_buf_printf(out, "\\%03o", c);
    else mg_buf_byte(out, (char)c);
  }
  if (quoted) mg_buf_byte(out, '"');
  else if (mg_str_find(path, ' ') < path.n) mg_buf_byte(out, '\t'); /* else the name would end there */
  mg_buf_byte(out, '\n');
}

/* Changes that have so few lines between them that their hunks would touch are one. */
static void put_hunks(const struct diff *d) {
  struct change changes[64], next;
  uint32_t count = 0, a = 0, b = 0;
  while (!d->out->failed && next_change(d, a, b, &next)) {
    bool near = count && next.a - changes[count - 1].a_end <= 2 * CONTEXT;
    if (count && near && count == sizeof changes / sizeof *changes) { /* what lies between goes along */
      changes[count - 1].a_end = next.a_end, changes[count - 1].b_end = next.b_end;
      a = next.a_end, b = next.b_end;
      continue;
    }
    if (count && !near) put_hunk(d, changes, count), count = 0;
    changes[count++] = next;
    a = next.a_end, b = next.b_end;
  }
  if (count) put_hunk(d, changes, count);
}

void mg_diff(struct mg_buf *out, mg_str before, mg_str after) {
  struct diff d = {.out = out};
  if (split(&d.a, before) && split(&d.b, after)) put_hunks(&d);
  else out->failed = true;
  free(d.a.starts);
  free(d.b.starts);
}

void mg_diff_file(struct mg_buf *out, mg_str path, mg_str before, mg_str after) {
  if (mg_str_eq(before, after)) return;
  put_name(out, "---", 'a', path);
  put_name(out, "+++", 'b', path);
  mg_diff(out, before, after);
}
