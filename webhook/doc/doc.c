#include "doc/doc.h"

#include "base/ascii.h"

#define CELLS_MAX ((uint32_t)1 << 28)

/* Stands for the cells of a doc that got no memory, so that every accessor may look at cell 0. Never written. */
static struct mg_cell no_cells[1];

int mg_doc_init(struct mg_doc *doc, struct mg_arena *arena, mg_str source, const char *file, uint32_t expect) {
  uint32_t cap = expect < 2 ? 2 : expect < CELLS_MAX ? expect : CELLS_MAX;
  struct mg_cell *cells = mg_arena_alloc(arena, cap * sizeof(*cells));
  *doc = (struct mg_doc){.cells = cells ? cells : no_cells, .count = 1, .cap = 1, .arena = arena, .source = source, .file = file};
  if (!cells) return MG_E_NOMEM;
  doc->cap = cap;
  cells[0] = (struct mg_cell){0};
  return 0;
}

uint32_t mg_doc_add(struct mg_doc *doc, enum mg_kind kind, uint32_t parent, uint32_t max_cells) {
  if (doc->count > max_cells || !doc->arena || doc->cells == no_cells) return 0;
  if (doc->count >= doc->cap) {
    if (doc->cap >= CELLS_MAX) return 0;
    uint32_t cap = doc->cap * 2;
    if (max_cells < cap) cap = max_cells + 1;
    size_t size = sizeof(struct mg_cell);
    struct mg_cell *cells = mg_arena_grow(doc->arena, doc->cells, doc->cap * size, cap * size);
    if (!cells) return 0;
    doc->cells = cells;
    doc->cap = cap;
  }
  doc->cells[doc->count] = (struct mg_cell){.kind = (uint32_t)kind & 7u, .parent = parent};
  return doc->count++;
}

mg_node mg_get_key(mg_node object, mg_str key) {
  if (!mg_is(object, MG_OBJECT)) return (mg_node){object.doc, 0};
  const struct mg_cell *cells = object.doc->cells;
  uint32_t at = cells[object.at].first;
  while (at && !mg_str_eq((mg_str){cells[at].text, cells[at].len}, key)) at = cells[at].next;
  return (mg_node){object.doc, at};
}

mg_node mg_get(mg_node object, mg_str key) {
  return mg_value(mg_get_key(object, key));
}

mg_node mg_item(mg_node array, uint32_t index) {
  if (!mg_is(array, MG_ARRAY)) return (mg_node){array.doc, 0};
  mg_node n = mg_first(array);
  while (n.at && index-- > 0) n = mg_next(n);
  return n;
}

uint32_t mg_count(mg_node container) {
  uint32_t count = 0;
  for (mg_node n = mg_first(container); n.at; n = mg_next(n)) count++;
  return count;
}

static mg_node up(mg_node n) {
  return (mg_node){n.doc, mg_cell_of(n)->parent};
}

mg_node mg_parent(mg_node n) {
  mg_node p = up(n);
  return mg_is(p, MG_KEY) ? up(p) : p;
}

mg_node mg_key_of(mg_node value) {
  mg_node p = up(value);
  return mg_is(p, MG_KEY) ? p : (mg_node){value.doc, 0};
}

uint32_t mg_index_of(mg_node item) {
  mg_node array = up(item);
  uint32_t index = 0;
  if (!mg_is(array, MG_ARRAY)) return 0;
  for (mg_node n = mg_first(array); n.at && n.at != item.at; n = mg_next(n)) index++;
  return index;
}

bool mg_true(mg_node n) {
  return mg_is(n, MG_BOOL) && mg_str_eq(mg_text(n), MG_S("true"));
}

bool mg_int64(mg_node n, int64_t *ret) {
  mg_str s = mg_is(n, MG_NUMBER) ? mg_text(n) : (mg_str){0};
  bool minus = s.n > 0 && s.p[0] == '-';
  if (s.n == minus) return false;
  int64_t value = 0;
  for (size_t i = minus; i < s.n; i++) {
    if (!mg_is_digit(s.p[i])) return false;
    /* Built downwards: the least int64 has no positive counterpart. */
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, s.p[i] - '0', &value)) return false;
  }
  if (!minus && value == INT64_MIN) return false;
  *ret = minus ? value : -value;
  return true;
}

/* The two written forms of a place: a function writes one step so that it ends before `end` (NULL: only measures). */
typedef size_t (*step_writer)(char *end, mg_node key_or_item, bool first);

static void put_back(char *end, size_t *n, char c) {
  ++*n;
  if (end) *(end - *n) = c;
}

static void put_index(char *end, size_t *n, uint32_t index) {
  do put_back(end, n, (char)('0' + index % 10));
  while (index /= 10);
}

static size_t pointer_step(char *end, mg_node step, bool first) {
  size_t n = 0;
  (void)first;
  if (!mg_is(step, MG_KEY)) put_index(end, &n, mg_index_of(step));
  mg_str key = mg_is(step, MG_KEY) ? mg_text(step) : (mg_str){0};
  for (size_t i = key.n; i-- > 0;) {
    bool escaped = key.p[i] == '~' || key.p[i] == '/';
    put_back(end, &n, key.p[i] == '~' ? '0' : key.p[i] == '/' ? '1' : key.p[i]);
    if (escaped) put_back(end, &n, '~');
  }
  put_back(end, &n, '/');
  return n;
}

bool mg_path_is_plain(mg_str key) {
  for (size_t i = 0; i < key.n; i++) {
    char c = key.p[i];
    if (!mg_is_alnum(c) && c != '_' && c != '-') return false;
  }
  return key.n > 0;
}

static size_t path_step(char *end, mg_node step, bool first) {
  size_t n = 0;
  mg_str key = mg_text(step);
  if (!mg_is(step, MG_KEY)) {
    put_back(end, &n, ']');
    put_index(end, &n, mg_index_of(step));
    put_back(end, &n, '[');
    return n;
  }
  bool plain = mg_path_is_plain(key);
  if (!plain) put_back(end, &n, ']'), put_back(end, &n, '"');
  for (size_t i = key.n; i-- > 0;) {
    put_back(end, &n, key.p[i]);
    if (key.p[i] == '"' || key.p[i] == '\\') put_back(end, &n, '\\');
  }
  if (!plain) put_back(end, &n, '"'), put_back(end, &n, '[');
  else if (!first) put_back(end, &n, '.');
  return n;
}

/* The next step outwards: keys and items are steps, an object's value is not. */
static mg_node step_of(mg_node n) {
  return mg_is(up(n), MG_KEY) ? up(n) : n;
}

static mg_str write_steps(struct mg_arena *arena, mg_node base, mg_node n, step_writer write) {
  size_t total = 0;
  char *end = NULL;
  if (mg_is(base, MG_KEY)) base = mg_value(base);
  for (int pass = 0; pass < 2; pass++) {
    size_t done = 0;
    for (mg_node at = n; at.at && at.at != base.at;) {
      mg_node step = step_of(at), outer = up(step);
      if (!outer.at) break;
      done += write(end ? end - done : NULL, step, !up(outer).at || outer.at == base.at);
      at = outer;
    }
    if (pass == 1) break;
    total = done;
    char *p = mg_arena_alloc(arena, total + 1);
    if (!p) return (mg_str){0};
    end = p + total;
    *end = '\0';
  }
  return (mg_str){end - total, total};
}

mg_str mg_pointer(struct mg_arena *arena, mg_node base, mg_node n) {
  return write_steps(arena, base, n, pointer_step);
}

mg_str mg_path(struct mg_arena *arena, mg_node base, mg_node n) {
  return write_steps(arena, base, n, path_step);
}

#define BOM MG_S("\xEF\xBB\xBF")
#define MARK_BYTES 1024 /* at most from one mark to the next */

static uint32_t characters(const char *p, const char *end) {
  uint32_t n = 0;
  for (; p < end; p++) n += ((unsigned char)*p & 0xC0) != 0x80;
  return n;
}

static bool find_lines(struct mg_doc *doc) {
  struct mg_lines *lines = doc->lines;
  if (!lines || lines->marks) return lines != NULL;
  mg_str source = doc->source;
  size_t most = 2 + source.n / MARK_BYTES;
  for (size_t at = 0; (at += mg_str_find(mg_str_from(source, at), '\n')) < source.n; at++) most++;
  struct mg_mark mark = {mg_str_starts(source, BOM) ? 3 : 0, 1, 1};
  lines->marks = mg_arena_alloc(doc->arena, most * sizeof *lines->marks);
  if (!lines->marks) return false;
  for (;;) {
    lines->marks[lines->count++] = mark;
    mg_str rest = mg_str_from(source, mark.offset);
    rest.n = rest.n < MARK_BYTES ? rest.n : MARK_BYTES;
    size_t step = mg_str_find(rest, '\n');
    if (step < rest.n) mark = (struct mg_mark){mark.offset + (uint32_t)step + 1, mark.line + 1, 1};
    else if (rest.n < MARK_BYTES) return true;
    else mark.offset += MARK_BYTES, mark.column += characters(rest.p, rest.p + rest.n);
  }
}

/* Many findings in one file, or in one line, would make counting from its beginning quadratic. */
static void line_of(struct mg_doc *doc, uint32_t offset, struct mg_pos *ret) {
  if (!find_lines(doc)) {
    mg_line_of(doc->source, offset, &ret->line, &ret->column);
    return;
  }
  uint32_t low = 0, high = doc->lines->count;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    *(doc->lines->marks[middle].offset <= offset ? &low : &high) = middle;
  }
  const struct mg_mark *mark = &doc->lines->marks[low];
  ret->line = mark->line;
  ret->column = mark->column;
  if (offset > mark->offset) ret->column += characters(doc->source.p + mark->offset, doc->source.p + offset);
}

static bool place(mg_node n, struct mg_pos *ret) {
  *ret = (struct mg_pos){0};
  if (!n.doc || !n.doc->file || !n.at) return false;
  ret->file = n.doc->file;
  line_of(n.doc, mg_cell_of(n)->start, ret);
  return true;
}

bool mg_pos(mg_node n, struct mg_pos *ret) {
  mg_node at = step_of(n);
  while (at.at && mg_cell_of(at)->fresh) at = step_of(up(at));
  return place(at, ret);
}

bool mg_value_pos(mg_node n, struct mg_pos *ret) {
  mg_node at = mg_is(n, MG_KEY) && mg_value(n).at ? mg_value(n) : n;
  while (at.at && mg_cell_of(at)->fresh) at = up(at);
  return place(at, ret);
}

void mg_line_of(mg_str source, size_t offset, uint32_t *ret_line, uint32_t *ret_column) {
  if (offset > source.n) offset = source.n;
  const char *line = source.n ? source.p : "", *end = line + offset;
  uint32_t lines = 1;
  if (mg_str_starts(source, BOM) && offset >= 3) line += 3;
  for (const char *hit; line < end && (hit = memchr(line, '\n', (size_t)(end - line))); line = hit + 1) lines++;
  *ret_line = lines;
  *ret_column = 1 + characters(line, end);
}
