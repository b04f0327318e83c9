#include "doc/json.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "doc/keyset.h"

/* Objects up to this many keys are searched one by one. */
#define KEYS_LINEAR 16
#define KEY_MAX_SHOWN ((size_t)64) /* in the message of an error */
/* Down to this depth a word of bits tells that a key is new without a search. */
#define FILTER_DEPTH 64
#define ALL_SEEN UINT64_MAX

/* While a container is open, its `end` is its last child and its `next` the number of its children. */
struct reader {
  struct mg_doc *doc;
  struct mg_arena *arena;
  struct mg_read *how;
  struct mg_err *err;
  const char *base, *end;
  struct mg_cell *cells; /* the doc's */
  uint32_t room;         /* cells that there may be before make_room */
  uint32_t open;  /* the innermost open container */
  uint32_t key;   /* the key that waits for its value */
  uint32_t depth; /* of open */
  int code;
  uint64_t seen;                 /* a bit for each key of the open object, or all */
  uint64_t outer[FILTER_DEPTH];  /* the same of those around it, by depth */
  struct mg_keyset keys;         /* of the objects over KEYS_LINEAR */
  struct mg_key_slot *slot;      /* where the key in hand belongs in there */
};

__attribute__((format(printf, 4, 5), cold)) static const char *fail(struct reader *r, const char *at, int code,
                                                                    const char *format, ...) {
  char text[MG_ERR_TEXT];
  va_list args;
  va_start(args, format);
  if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
  va_end(args);
  r->code = mg_err_set(r->err, code, "%s", text);
  if (r->err) {
    r->err->offset = (size_t)(at - r->base);
    mg_line_of(r->doc->source, r->err->offset, &r->err->line, &r->err->column);
  }
  return NULL;
}

static const char *fail_memory(struct reader *r, const char *at) {
  return fail(r, at, MG_E_NOMEM, "out of memory for the document");
}

__attribute__((cold)) static const char *fail_found(struct reader *r, const char *p, const char *wanted) {
  if (p >= r->end) return fail(r, p, MG_E_SYNTAX, "expected %s, found the end of the input", wanted);
  unsigned char c = (unsigned char)*p;
  if (c > 0x20 && c < 0x7F) return fail(r, p, MG_E_SYNTAX, "expected %s, found '%c'", wanted, c);
  if (mg_str_starts((mg_str){p, (size_t)(r->end - p)}, MG_S("\xEF\xBB\xBF")))
    return fail(r, p, MG_E_SYNTAX, "expected %s, found a byte order mark", wanted);
  return fail(r, p, MG_E_SYNTAX, "expected %s, found byte 0x%02x", wanted, c);
}

static inline const char *skip_space(const struct reader *r, const char *p) {
  if (p < r->end && (unsigned char)*p > ' ') return p;
  while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
  return p;
}

static void take_cells(struct reader *r) {
  uint32_t most = r->how->limits.cells;
  r->cells = r->doc->cells;
  r->room = r->doc->cap <= most ? r->doc->cap : most + 1;
}

/* Grows the doc by doubling, or sets the error. */
__attribute__((cold, noinline)) static bool make_room(struct reader *r, const char *p) {
  uint32_t most = r->how->limits.cells;
  if (mg_doc_add(r->doc, MG_ABSENT, 0, most)) {
    r->doc->count--;
    take_cells(r);
    return true;
  }
  if (r->arena->failed || r->doc->count <= most) fail_memory(r, p);
  else fail(r, p, MG_E_LIMIT, "more than %u values", (unsigned)most);
  return false;
}

/* A cell that begins at p; 0 with the error set. Field by field: gcc makes a detour of a whole struct with bit fields. */
static inline uint32_t add_cell(struct reader *r, enum mg_kind kind, uint32_t parent, mg_str text, const char *p,
                                const char *end) {
  uint32_t at = r->doc->count;
  if (at >= r->room && !make_room(r, p)) return 0;
  r->doc->count = at + 1;
  struct mg_cell *c = &r->cells[at];
  c->text = text.p;
  c->len = (uint32_t)text.n & (MG_DOC_MAX_BYTES - 1);
  c->kind = (uint32_t)kind & 7u;
  c->fresh = 0;
  c->touched = 0;
  c->start = (uint32_t)(p - r->base);
  c->end = (uint32_t)(end - r->base);
  c->parent = parent;
  c->next = 0;
  c->first = 0;
  return at;
}

static inline void link_child(struct mg_cell *cells, uint32_t container, uint32_t child) {
  struct mg_cell *c = &cells[container];
  if (c->end) cells[c->end].next = child;
  else c->first = child;
  c->end = child;
  c->next++;
}

/* Adds a value in its place; returns `end`, or NULL. */
static inline const char *add_value(struct reader *r, enum mg_kind kind, mg_str text, const char *p, const char *end) {
  uint32_t at = add_cell(r, kind, r->key ? r->key : r->open, text, p, end);
  if (!at) return NULL;
  if (r->key) r->cells[r->key].first = at;
  else if (r->open) link_child(r->cells, r->open, at);
  r->key = 0;
  return end;
}

/* Four hexadecimal digits, or -1. */
static int read_hex(const char *p, const char *end) {
  int value = 0;
  if (end - p < 4) return -1;
  for (int i = 0; i < 4; i++) {
    char c = p[i], lower = (char)(c | 0x20);
    int digit = mg_is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

/* What stands for itself, or for a control character, behind a backslash. */
static const char escapes[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                  ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

static bool is_high(int unit) {
  return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(int unit) {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* Behind the escape of a code point at p, or NULL. */
static const char *check_escape(struct reader *r, const char *p) {
  if (r->end - p < 2) return fail(r, r->end, MG_E_SYNTAX, "unexpected end of the input in a string");
  if (p[1] != 'u') return fail(r, p, MG_E_SYNTAX, "unknown escape in a string");
  int unit = read_hex(p + 2, r->end);
  if (unit < 0) return fail(r, p, MG_E_SYNTAX, "\\u wants four hexadecimal digits");
  if (is_low(unit)) return fail(r, p, MG_E_SYNTAX, "lone surrogate in a string");
  if (!is_high(unit)) return p + 6;
  bool pair = r->end - p >= 12 && p[6] == '\\' && p[7] == 'u' && is_low(read_hex(p + 8, r->end));
  return pair ? p + 12 : fail(r, p, MG_E_SYNTAX, "lone surrogate in a string");
}

/* From the first byte of a string that is not plain to the closing quote, or NULL. */
static const char *scan_string(struct reader *r, const char *p, bool *escaped) {
  for (;; p = mg_utf8_plain(p, r->end)) {
    if (p == r->end) return fail(r, p, MG_E_SYNTAX, "unexpected end of the input in a string");
    unsigned char c = (unsigned char)*p;
    if (c == '"') return p;
    if (c == '\\') {
      *escaped = true;
      bool simple = r->end - p >= 2 && (unsigned char)p[1] < 128 && escapes[(unsigned char)p[1]];
      p = simple ? p + 2 : check_escape(r, p);
      if (!p) return NULL;
    } else if (c < 0x20) {
      return fail(r, p, MG_E_SYNTAX, "control character 0x%02x in a string", c);
    } else {
      do { /* such characters come in runs */
        size_t n = mg_utf8_len(p, r->end);
        if (!n) return fail(r, p, MG_E_SYNTAX, "bytes that are not UTF-8 in a string");
        p += n;
      } while (p < r->end && (unsigned char)*p >= 0x80);
    }
  }
}

static char *put_point(char *to, uint32_t point) {
  static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  if (n == 1) {
    *to = (char)point;
    return to + 1;
  }
  for (size_t i = n; i-- > 1; point >>= 6) to[i] = (char)(0x80 | (point & 0x3F));
  to[0] = (char)(lead[n] | point);
  return to + n;
}

/* The bytes before the next backslash. */
static inline size_t plain_run(const char *p, const char *end) {
  const uint64_t ones = 0x0101010101010101u;
  const char *from = p;
  for (; end - p >= 8; p += 8) {
    uint64_t x = mg_utf8_word(p) ^ ones * '\\', hit = (x - ones) & ~x & ones * 0x80;
    if (hit) return (size_t)(p - from) + ((size_t)__builtin_ctzll(hit) >> 3);
  }
  while (p < end && *p != '\\') p++;
  return (size_t)(p - from);
}

/* The content of a checked string; every escape is at least as long as what it stands for. */
static bool decode_string(struct reader *r, const char *p, const char *end, mg_str *ret) {
  size_t room = (size_t)(end - p);
  char *text = mg_arena_alloc(r->arena, room), *to = text;
  if (!text) return false;
  while (p < end) {
    if (*p != '\\') {
      size_t plain = plain_run(p, end);
      memcpy(to, p, plain);
      to += plain;
      p += plain;
      continue;
    }
    p += 2;
    if (p[-1] != 'u') {
      *to++ = escapes[(unsigned char)p[-1]];
      continue;
    }
    uint32_t point = (uint32_t)read_hex(p, end);
    p += 4;
    if (is_high((int)point)) {
      point = 0x10000 + ((point - 0xD800) << 10) + ((uint32_t)read_hex(p + 2, end) - 0xDC00);
      p += 6;
    }
    to = put_point(to, point);
  }
  *ret = (mg_str){text, (size_t)(to - text)};
  mg_arena_grow(r->arena, text, room, ret->n);
  return true;
}

__attribute__((noinline)) static const char *read_hard_text(struct reader *r, const char *p, const char *from, mg_str *ret) {
  bool escaped = false;
  const char *end = scan_string(r, from, &escaped);
  if (!end) return NULL;
  *ret = (mg_str){p + 1, (size_t)(end - p - 1)};
  if (escaped && !decode_string(r, p + 1, end, ret)) return fail_memory(r, p);
  return end + 1;
}

/* Reads the string whose opening quote is at p. Behind it, or NULL. */
static inline const char *read_text(struct reader *r, const char *p, mg_str *ret) {
  const char *end = mg_utf8_plain(p + 1, r->end);
  if (end == r->end || *end != '"') return read_hard_text(r, p, end, ret);
  *ret = (mg_str){p + 1, (size_t)(end - p - 1)};
  return end + 1;
}

static const char *read_string(struct reader *r, const char *p) {
  mg_str text;
  const char *end = read_text(r, p, &text);
  return end ? add_value(r, MG_STRING, text, p, end) : NULL;
}

static inline const char *skip_digits(const struct reader *r, const char *p) {
  while (p < r->end && mg_is_digit(*p)) p++;
  return p;
}

static const char *read_number(struct reader *r, const char *p) {
  const char *start = p, *digits = p + (*p == '-');
  p = skip_digits(r, digits);
  if (p == digits) return fail_found(r, p, "a digit");
  if (*digits == '0' && p > digits + 1) return fail(r, start, MG_E_SYNTAX, "a number with a leading zero");
  if (p < r->end && *p == '.') {
    digits = p + 1;
    p = skip_digits(r, digits);
    if (p == digits) return fail_found(r, p, "a digit");
  }
  if (p < r->end && (*p == 'e' || *p == 'E')) {
    digits = p + 1;
    if (digits < r->end && (*digits == '+' || *digits == '-')) digits++;
    p = skip_digits(r, digits);
    if (p == digits) return fail_found(r, p, "a digit");
  }
  return add_value(r, MG_NUMBER, (mg_str){start, (size_t)(p - start)}, start, p);
}

static const char *read_word(struct reader *r, const char *p) {
  static const struct {
    mg_str word;
    enum mg_kind kind;
  } words[] = {{{"true", 4}, MG_BOOL}, {{"false", 5}, MG_BOOL}, {{"null", 4}, MG_NULL}};
  for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
    if (!mg_str_starts((mg_str){p, (size_t)(r->end - p)}, words[i].word)) continue;
    return add_value(r, words[i].kind, words[i].kind == MG_NULL ? (mg_str){0} : words[i].word, p, p + words[i].word.n);
  }
  return fail_found(r, p, "a value");
}

static uint32_t find_linear(const struct mg_cell *cells, uint32_t object, mg_str key) {
  uint32_t at = cells[object].first;
  while (at && (cells[at].len != key.n || memcmp(cells[at].text, key.p, key.n) != 0)) at = cells[at].next;
  return at;
}

/* Only the lowest six bits of the sum tell. A key without bytes stands between its quotes, and so has some around it. */
static inline uint64_t filter_bit(mg_str key) {
  size_t ends = (size_t)(unsigned char)key.p[0] * 3 + (size_t)(unsigned char)key.p[key.n - (key.n > 0)] * 5;
  return (uint64_t)1 << ((ends + key.n * 9) & 63);
}

/* The key of the open object that says the same, or 0. False when out of memory. */
__attribute__((noinline)) static bool find_key(struct reader *r, mg_str key, uint32_t *ret) {
  const struct mg_cell *cells = r->cells;
  if (cells[r->open].next <= KEYS_LINEAR) {
    *ret = find_linear(cells, r->open, key);
    return true;
  }
  r->slot = mg_keyset_slot(&r->keys, r->arena, cells, r->open, key);
  *ret = r->slot ? r->slot->cell : 0;
  return r->slot;
}

/* Remembers the newest key of an object that has grown large, or all of them where it has just become so. */
__attribute__((noinline)) static bool remember_key(struct reader *r, uint32_t key) {
  const struct mg_cell *cells = r->cells;
  if (cells[r->open].next > KEYS_LINEAR + 1) {
    mg_keyset_fill(&r->keys, r->slot, key);
    return true;
  }
  r->seen = ALL_SEEN;
  for (uint32_t at = cells[r->open].first; at; at = cells[at].next) {
    struct mg_key_slot *slot = mg_keyset_slot(&r->keys, r->arena, cells, r->open, (mg_str){cells[at].text, cells[at].len});
    if (!slot) return false;
    mg_keyset_fill(&r->keys, slot, at);
  }
  return true;
}

/* True where the open object surely has no such key yet. */
static inline bool is_new_key(struct reader *r, mg_str key) {
  uint64_t bit = filter_bit(key), seen = r->seen;
  r->seen = seen | bit;
  return !(seen & bit);
}

/* A key that was there: an error, or the new value takes the place of the old one. */
__attribute__((noinline)) static const char *again(struct reader *r, uint32_t key, mg_str text, const char *p, const char *end) {
  if (!r->how->last_wins) {
    struct mg_buf shown;
    mg_str first = mg_utf8_first(text, KEY_MAX_SHOWN);
    mg_buf_init(&shown, r->arena, 4 * KEY_MAX_SHOWN);
    mg_buf_clean(&shown, first);
    return fail(r, p, MG_E_SYNTAX, "duplicate key \"%.*s\"%s", MG_FMT(mg_buf_str(&shown)), first.n < text.n ? " (cut)" : "");
  }
  struct mg_duplicate *d = MG_NEW(r->arena, struct mg_duplicate);
  if (!d) return fail_memory(r, p);
  struct mg_cell *cells = r->cells;
  *d = (struct mg_duplicate){.next = r->how->duplicates, .key = text, .first = cells[key].start};
  d->again = (uint32_t)(p - r->base);
  r->how->duplicates = d;
  cells[key].start = d->again;
  cells[key].end = (uint32_t)(end - r->base);
  /* The source says more than the tree from here on up. */
  for (uint32_t at = key; at && !cells[at].touched; at = cells[at].parent) cells[at].touched = cells[at].kind != MG_KEY;
  r->key = key;
  return end;
}

/* Reads a key with its colon. By force: as a function of its own it costs a tenth of the reader. */
static inline __attribute__((always_inline)) const char *read_key(struct reader *r, const char *p, const char *wanted) {
  mg_str text;
  uint32_t at = 0;
  if (p >= r->end || *p != '"') return fail_found(r, p, wanted);
  const char *end = read_text(r, p, &text);
  if (!end) return NULL;
  if (!is_new_key(r, text) && !find_key(r, text, &at)) return fail_memory(r, p);
  if (at) {
    if (!again(r, at, text, p, end)) return NULL;
  } else {
    at = add_cell(r, MG_KEY, r->open, text, p, end);
    if (!at) return NULL;
    link_child(r->cells, r->open, at);
    if (r->cells[r->open].next > KEYS_LINEAR && !remember_key(r, at)) return fail_memory(r, p);
    r->key = at;
  }
  end = skip_space(r, end);
  return end < r->end && *end == ':' ? end + 1 : fail_found(r, end, "':'");
}

static const char *open_container(struct reader *r, const char *p) {
  if (r->depth >= r->how->limits.depth) return fail(r, p, MG_E_LIMIT, "nested deeper than %u", (unsigned)r->how->limits.depth);
  uint32_t at = r->doc->count;
  if (!add_value(r, *p == '{' ? MG_OBJECT : MG_ARRAY, (mg_str){0}, p, r->base)) return NULL;
  r->open = at;
  if (r->depth < FILTER_DEPTH) r->outer[r->depth] = r->seen;
  r->depth++;
  r->seen = 0;
  return p + 1;
}

static inline const char *close_container(struct reader *r, const char *p) {
  struct mg_cell *cells = r->cells, *c = &cells[r->open];
  c->next = 0;
  c->end = (uint32_t)(p + 1 - r->base);
  r->open = cells[c->parent].kind == MG_KEY ? cells[c->parent].parent : c->parent;
  r->depth--;
  r->seen = r->depth < FILTER_DEPTH ? r->outer[r->depth] : ALL_SEEN;
  return p + 1;
}

static inline const char *read_scalar(struct reader *r, const char *p) {
  if (p >= r->end) return fail_found(r, p, "a value");
  if (*p == '"') return read_string(r, p);
  if (*p == '-' || mg_is_digit(*p)) return read_number(r, p);
  return read_word(r, p);
}

/* Closes what ends behind a value and reads up to where the next one begins. */
static inline const char *read_between(struct reader *r, const char *p) {
  while (r->open) {
    bool object = r->cells[r->open].kind == MG_OBJECT;
    p = skip_space(r, p);
    char c = p < r->end ? *p : '\0';
    if (c == ',') {
      p = skip_space(r, p + 1);
      return object ? read_key(r, p, "a key") : p;
    }
    if (c != (object ? '}' : ']')) return fail_found(r, p, object ? "',' or '}'" : "',' or ']'");
    p = close_container(r, p);
  }
  return p;
}

/* Reads the value at p. Behind it, or NULL. */
static const char *read_value(struct reader *r, const char *p) {
  do {
    p = skip_space(r, p);
    bool object = p < r->end && *p == '{';
    if (object || (p < r->end && *p == '[')) {
      if (!(p = open_container(r, p))) return NULL;
      p = skip_space(r, p);
      if (p >= r->end || *p != (object ? '}' : ']')) {
        if (object) p = read_key(r, p, "a key or '}'");
        if (!p) return NULL;
        continue;
      }
      p = close_container(r, p);
    } else if (!(p = read_scalar(r, p))) {
      return NULL;
    }
    p = read_between(r, p);
  } while (p && r->open);
  return p;
}

static int begin(struct reader *r, struct mg_doc *ret, struct mg_arena *arena, mg_str source, struct mg_read *how,
                 struct mg_err *err) {
  size_t most = how->limits.bytes < MG_DOC_MAX_BYTES ? how->limits.bytes : MG_DOC_MAX_BYTES - 1;
  const char *p = source.n ? source.p : "";
  *r = (struct reader){.doc = ret, .arena = arena, .how = how, .err = err, .base = p, .end = p + source.n};
  how->duplicates = NULL;
  *ret = (struct mg_doc){0};
  if (source.n <= most) return 0;
  mg_doc_init(ret, arena, (mg_str){0}, how->file, 0);
  return mg_err_set(err, MG_E_LIMIT, "larger than %zu bytes", most);
}

static int start(struct reader *r, mg_str source, uint32_t expect) {
  if (expect > r->how->limits.cells) expect = r->how->limits.cells + 1;
  if (mg_doc_init(r->doc, r->arena, source, r->how->file, expect))
    return mg_err_set(r->err, MG_E_NOMEM, "out of memory for the document");
  r->doc->is_json = true;
  take_cells(r);
  return 0;
}

/* A doc that could not be read has no root. */
static int give_up(struct reader *r) {
  r->doc->count = 1;
  return r->code;
}

int mg_json_read(struct mg_doc *ret, struct mg_arena *arena, mg_str source, struct mg_read *how, struct mg_err *err) {
  struct reader r;
  int code = begin(&r, ret, arena, source, how, err);
  if (!code) code = start(&r, source, (uint32_t)(source.n / 8 + 64));
  if (code) return code;
  const char *p = read_value(&r, r.base);
  if (p) p = skip_space(&r, p);
  if (p && p < r.end) p = fail_found(&r, p, "nothing behind the value");
  return p ? 0 : give_up(&r);
}

int mg_json_read_next(struct mg_doc *ret, struct mg_arena *arena, mg_str source, size_t *offset, struct mg_read *how,
                      struct mg_err *err) {
  struct reader r;
  int code = begin(&r, ret, arena, source, how, err);
  if (!code) code = start(&r, source, 64);
  if (code) return code;
  const char *p = skip_space(&r, r.base + (*offset < source.n ? *offset : source.n));
  if (p < r.end && !(p = read_value(&r, p))) return give_up(&r);
  *offset = (size_t)(p - r.base);
  return 0;
}
