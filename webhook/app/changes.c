/* Which inputs changed, and which bytes of them. */
#include "app/changes.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

static int by_path(const void *key, const void *file) {
  return strcmp(key, ((const struct mg_changed *)file)->path);
}

/* path: absolute, without links. NULL: it did not change, or is of another place. */
static const struct mg_changed *find(const struct mg_changes *c, const char *path) {
  mg_str top = c->top, all = mg_str_of(path);
  if (top.n == 1) top.n = 0; /* the root */
  if (!mg_str_starts(all, top) || path[top.n] != '/' || !c->file_count) return NULL;
  return bsearch(path + top.n + 1, c->files, c->file_count, sizeof *c->files, by_path);
}

/* What a link leads to may have changed, or the link; a link that is new brings all of what it leads to. */
static const struct mg_changed *changed_of(const struct mg_changes *c, const char *path, bool *ret_all) {
  char real[PATH_MAX], folder[PATH_MAX];
  struct stat info;
  const struct mg_changed *found = realpath(path, real) ? find(c, real) : NULL;
  *ret_all = found && found->all;
  if (lstat(path, &info) != 0 || !S_ISLNK(info.st_mode)) return found;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  mg_str dir = slash ? (mg_str){path, (size_t)(slash - path) + 1} : MG_S(".");
  mg_str copy = mg_arena_dup(c->arena, dir);
  if (!copy.p || !realpath(copy.p, folder)) return found;
  mg_str link = mg_arena_printf(c->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
  const struct mg_changed *own = link.p ? find(c, link.p) : NULL;
  *ret_all |= own != NULL;
  return own ? own : found;
}

int mg_changes_keep(const struct mg_changes *c, struct mg_inputs *inputs, struct mg_err *err) {
  size_t kept = 0;
  for (size_t i = 0; i < inputs->count; i++) {
    struct mg_input *input = &inputs->items[i];
    bool all = false;
    const struct mg_changed *changed = input->problem ? NULL : changed_of(c, input->path, &all);
    if (!changed && !input->problem) continue;
    if (changed && !all) input->changes = c, input->changed = changed;
    inputs->items[kept++] = *input;
  }
  inputs->count = kept;
  return c->arena->failed ? mg_err_nomem(err) : 0;
}

/* Where the line of that byte begins. */
static size_t line_at(mg_str source, size_t at) {
  while (at && source.p[at - 1] != '\n') at--;
  return at;
}

static bool is_separator(mg_str source, size_t line) {
  return mg_str_starts(mg_str_from(source, line), MG_S("---"));
}

/* Where documents begin alike, git may take the beginning of the one for that of the next: the lines that it tells of end with a
 * beginning, and the same stands before them. True: it is so, and a document begins at *ret. */
static bool has_slid(mg_str source, size_t at, mg_str tail, size_t *ret) {
  if (tail.n > at || (tail.n && memcmp(source.p + at - tail.n, tail.p, tail.n) != 0)) return false;
  size_t begin = at - tail.n;
  if (begin && (source.p[begin - 1] != '\n' || !is_separator(source, line_at(source, begin - 1)))) return false;
  *ret = begin;
  return true;
}

/* What stands behind the last separator in these lines; p NULL: there is none. */
static mg_str tail_of(mg_str source, size_t start, size_t end) {
  for (size_t at = end; at > start;) {
    size_t line = line_at(source, at - 1);
    if (is_separator(source, line)) return (mg_str){source.p + at, end - at};
    at = line;
  }
  return (mg_str){0};
}

static size_t next_line(mg_str source, size_t line) {
  size_t next = line + mg_str_find(mg_str_from(source, line), '\n') + 1;
  return next < source.n ? next : source.n;
}

/* Where a separator came first or last, what stands beside it may have lost lines to another document, or begins with others. */
static struct mg_span widen(mg_str source, struct mg_span span) {
  if (span.start == span.end) return span;
  size_t last = line_at(source, span.end - 1);
  if (is_separator(source, span.start) && span.start) span.start = line_at(source, span.start - 1);
  if (is_separator(source, last)) span.end = next_line(source, span.end);
  return span;
}

/* Documents that came or went as a whole change none beside them. Not to before `least`, where the change before this one
 * ends. */
static struct mg_span correct(mg_str source, const struct mg_change *change, struct mg_span span, size_t least) {
  size_t at = span.start, begin;
  mg_str tail = change->tail;
  if (change->kind == MG_CHANGE_REPLACED) return widen(source, span);
  if (change->kind == MG_CHANGE_ADDED) tail = tail_of(source, span.start, span.end);
  else if (change->from) at = next_line(source, span.start);
  bool slid = tail.p && has_slid(source, at, tail, &begin) && begin >= least;
  if (change->kind == MG_CHANGE_GONE) return slid ? (struct mg_span){begin, begin} : span;
  if (slid) return (struct mg_span){begin, span.end - tail.n};
  bool at_end = span.end >= source.n || is_separator(source, span.end);
  return at_end ? span : widen(source, span);
}

int mg_changes_spans(const struct mg_input *input, mg_str source, struct mg_arena *arena, struct mg_spans *ret) {
  const struct mg_changed *changed = input->changed;
  const struct mg_change *ranges = changed->count ? input->changes->ranges + changed->first : NULL;
  size_t line = 1, at = 0; /* the line that begins at that byte */
  ret->items = MG_NEW_N(arena, struct mg_span, changed->count + 1);
  ret->count = changed->count;
  if (!ret->items) return MG_E_NOMEM;
  for (size_t i = 0; i < changed->count; i++) {
    for (; line < ranges[i].from && at < source.n; line++) at = next_line(source, at);
    size_t behind = line, end = at; /* the next range may begin with the last line of this one */
    for (; behind <= ranges[i].to && end < source.n; behind++) end = next_line(source, end);
    ret->items[i] = correct(source, &ranges[i], (struct mg_span){at, end}, i ? ret->items[i - 1].end : 0);
  }
  return 0;
}

bool mg_spans_touch(const struct mg_spans *spans, size_t start, size_t end) {
  size_t low = 0, high = spans->count; /* the first that ends behind start */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (spans->items[middle].end <= start) low = middle + 1;
    else high = middle;
  }
  return low < spans->count && spans->items[low].start < end;
}
