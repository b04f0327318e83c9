#include "report/place.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

#define SHOWN_BEFORE ((size_t)160) /* bytes of a line before the region */
#define SHOWN_AFTER ((size_t)240)
#define LINE_SEEN ((size_t)4096)   /* bytes of one line that are looked at, either way */

/* ---- regions ---- */

static mg_node step_of(mg_node n) {
  mg_node key = mg_key_of(n);
  return key.at ? key : n;
}

/* What mg_pos points at. */
static mg_node shown_of(mg_node n) {
  mg_node at = step_of(n);
  while (at.at && mg_cell_of(at)->fresh) at = step_of(mg_parent(at));
  return at;
}

static bool is_one_line(mg_str source, size_t start, size_t end) {
  return start < end && end <= source.n && end - start <= LINE_SEEN && !memchr(source.p + start, '\n', end - start);
}

/* Behind the member or item, if all of that is one line and no container, else behind its first token. */
static size_t end_of(mg_node at, mg_str source, size_t start) {
  const struct mg_cell *cell = mg_cell_of(at), *value = mg_is(at, MG_KEY) ? mg_cell_of(mg_value(at)) : cell;
  bool plain = value->kind < MG_ARRAY || !value->first;
  size_t end = plain && !value->fresh && value->end > cell->end ? value->end : cell->end;
  if (is_one_line(source, start, end) && (plain || mg_is(at, MG_KEY))) return end;
  if (mg_is(at, MG_KEY)) return is_one_line(source, start, cell->end) ? cell->end : start + 1;
  mg_node first = mg_first(at);
  const struct mg_cell *inner = mg_cell_of(first);
  /* Of a flow or JSON container the bracket is the token; of a block the first key. */
  bool block = first.at && !inner->fresh && inner->start == start;
  return block ? end_of(first, source, start) : start + 1;
}

static uint32_t code_points(mg_str s) {
  uint32_t n = 0;
  for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
  return n;
}

struct mg_region mg_region_of(const struct mg_report_result *result, const struct mg_violation *violation) {
  struct mg_region region = {.line = result->line, .column = result->column};
  mg_node at = shown_of(violation->where.node);
  struct mg_pos pos;
  if (!at.at || !mg_pos(violation->where.node, &pos)) {
    at = result->object;
    if (!at.at || !mg_value_pos(at, &pos)) pos = (struct mg_pos){result->file, result->line, result->column};
  }
  region.line = pos.line, region.column = region.end_column = pos.column;
  region.source = at.doc ? at.doc->source : (mg_str){0};
  region.start = mg_cell_of(at)->start;
  if (!at.at || region.start >= region.source.n) return (struct mg_region){.line = pos.line, .column = pos.column,
                                                                           .end_column = pos.column};
  region.end = end_of(at, region.source, region.start);
  region.end_column += code_points((mg_str){region.source.p + region.start, region.end - region.start});
  return region;
}

/* ---- excerpts ---- */

/* What of a line is looked at from some byte of it, either way: a file may be one line, and every finding asks. */
mg_str mg_line_at(mg_str source, size_t offset) {
  size_t begin = offset < source.n ? offset : source.n, end = begin;
  while (begin > 0 && source.p[begin - 1] != '\n' && offset - begin < LINE_SEEN) begin--;
  end += mg_str_find((mg_str){source.p + end, source.n - end < LINE_SEEN ? source.n - end : LINE_SEEN}, '\n');
  if (end > begin && source.p[end - 1] == '\r') end--;
  if (begin == 0 && mg_str_starts(source, MG_S("\xEF\xBB\xBF"))) begin = end < 3 ? end : 3;
  return (mg_str){source.p + begin, end - begin};
}

/* So many bytes from the end, less where a character would be cut. */
static mg_str last_of(mg_str s, size_t most) {
  size_t from = s.n > most ? s.n - most : 0;
  while (from && from < s.n && ((unsigned char)s.p[from] & 0xC0) == 0x80) from++;
  return (mg_str){s.p + from, s.n - from};
}

static struct mg_excerpt excerpt_line(mg_str line, size_t start, size_t end, uint32_t number) {
  if (start > line.n) start = line.n;
  if (end > line.n) end = line.n;
  mg_str before = {line.p, start}, marked = {line.p + start, end - start}, after = {line.p + end, line.n - end};
  struct mg_excerpt e = {.number = number,
                         .before = last_of(before, SHOWN_BEFORE),
                         .marked = mg_utf8_first(marked, SHOWN_AFTER),
                         .after = mg_utf8_first(after, SHOWN_AFTER)};
  if (e.marked.n < marked.n) e.after = (mg_str){0};
  e.cut_before = e.before.n < before.n;
  e.cut_after = e.marked.n < marked.n || e.after.n < after.n;
  return e;
}

static bool begins_line(mg_str source, size_t at) {
  return at == 0 || source.p[at - 1] == '\n' || (at == 3 && mg_str_starts(source, MG_S("\xEF\xBB\xBF")));
}

/* Behind the end of the line that is seen up to `at`; 0 where it goes on. */
static size_t next_line(mg_str source, size_t at) {
  if (at < source.n && source.p[at] == '\r') at++;
  return at < source.n && source.p[at] == '\n' ? at + 1 : 0;
}

size_t mg_excerpt_of(const struct mg_region *region, struct mg_excerpt lines[MG_EXCERPT_LINES]) {
  mg_str source = region->source, line = source.n ? mg_line_at(source, region->start) : (mg_str){0};
  uint32_t number = region->line, last = number + MG_EXCERPT_LINES / 2;
  size_t n = 0;
  if (!source.n) return 0;
  for (int i = 0; i < MG_EXCERPT_LINES / 2 && number > 1 && begins_line(source, (size_t)(line.p - source.p)); i++, number--)
    line = mg_line_at(source, (size_t)(line.p - source.p) - 1);
  for (; n < MG_EXCERPT_LINES && number <= last; number++) {
    size_t begin = (size_t)(line.p - source.p);
    bool here = number == region->line;
    lines[n] = excerpt_line(line, here ? region->start - begin : 0, here ? region->end - begin : 0, number);
    lines[n].cut_before |= !begins_line(source, begin);
    size_t next = next_line(source, begin + line.n);
    lines[n++].cut_after |= !next && begin + line.n < source.n;
    if (!next || next >= source.n) break;
    line = mg_line_at(source, next);
  }
  return n;
}

/* ---- names of files ---- */

/* Appends the path's parts to what is there, which is "" or starts with '/'; ".." takes one away. */
static void join(struct mg_buf *to, mg_str path) {
  while (path.n) {
    size_t n = mg_str_find(path, '/');
    mg_str part = {path.p, n};
    path = mg_str_from(path, n + 1);
    if (!part.n || mg_str_is(part, ".")) continue;
    if (mg_str_is(part, "..")) {
      while (to->n && to->p[--to->n] != '/') {}
      continue;
    }
    mg_buf_byte(to, '/');
    mg_buf_put(to, part);
  }
}

static bool is_top(const char *dir, size_t n) {
  char path[PATH_MAX + sizeof "/.git"];
  struct stat info;
  if (n > PATH_MAX) return false;
  memcpy(path, dir, n);
  memcpy(path + n, "/.git", sizeof "/.git");
  return stat(path, &info) == 0;
}

void mg_base_find(struct mg_base *base, struct mg_buf *to) {
  char here[PATH_MAX];
  *base = (struct mg_base){0};
  if (!getcwd(here, sizeof here) || here[0] != '/') return;
  mg_buf_put(to, mg_str_of(strcmp(here, "/") == 0 ? "" : here));
  if (to->failed) return;
  base->here = base->top = (mg_str){to->p ? to->p : "", to->n};
  for (size_t n = base->here.n, found = 0; !found; n--) {
    found = (n == base->here.n || base->here.p[n] == '/') && is_top(base->here.p, n);
    if (found) base->top.n = n;
    if (n == 0) return;
  }
}

mg_str mg_sink_path(struct mg_sink *sink, const char *file, bool *ret_inside) {
  struct mg_buf *to = &sink->path;
  const struct mg_base *base = sink->base;
  to->n = 0;
  *ret_inside = true;
  if (strcmp(file, "-") == 0) return MG_S("-");
  if (file[0] != '/') {
    if (!base || !base->here.p) return mg_str_of(file);
    mg_buf_put(to, base->here);
  }
  join(to, mg_str_of(file));
  mg_str path = mg_buf_str(to);
  *ret_inside = base && base->here.p && mg_str_starts(path, base->top) && path.n > base->top.n + 1 && path.p[base->top.n] == '/';
  return *ret_inside ? mg_str_from(path, base->top.n + 1) : path;
}
