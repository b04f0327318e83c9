#include "kube/pattern.h"

#include <pthread.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/utf8.h"

#define PATTERN_MAX 1024 /* bytes */
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 10000
#define HEAP_LIMIT 1024 /* KiB */
#define JIT_STACK_MIN ((size_t)32 << 10)
#define JIT_STACK_MAX ((size_t)256 << 10)

struct mg_pattern {
  mg_str text;
  mg_str prefix;     /* of a glob: what stands before its first special character */
  pcre2_code *regex; /* NULL: a glob */
};

/* One character: its length and code point. A byte that is no UTF-8 is a character of its own, above all others. */
static size_t decode(mg_str s, size_t at, uint32_t *ret) {
  size_t n = mg_utf8_len(s.p + at, s.p + s.n);
  *ret = n > 0 ? mg_utf8_point(s.p + at, n) : (uint8_t)s.p[at] | UINT32_C(1) << 31;
  return n > 0 ? n : 1;
}

/* The class that begins at `at`: its length, or 0 where it is malformed. A ] at its very start and a - at either end stand for
 * themselves. */
static size_t read_class(mg_str glob, size_t at, uint32_t code, bool *ret_in) {
  size_t i = at + 1;
  bool negated = i < glob.n && (glob.p[i] == '!' || glob.p[i] == '^'), in = false;
  if (negated) i++;
  for (size_t start = i; i < glob.n && (i == start || glob.p[i] != ']');) {
    uint32_t low, high;
    i += decode(glob, i, &low);
    high = low;
    if (glob.n - i >= 2 && glob.p[i] == '-' && glob.p[i + 1] != ']') i += 1 + decode(glob, i + 1, &high);
    if (high < low) return 0;
    in |= low <= code && code <= high;
  }
  *ret_in = in != negated;
  return i < glob.n ? i + 1 - at : 0;
}

/* Length of the glob's element at `at` if it takes the character, else 0. */
static size_t take(mg_str glob, size_t at, uint32_t code) {
  if (glob.p[at] == '?') return 1;
  if (glob.p[at] == '[') {
    bool in = false;
    size_t length = read_class(glob, at, code, &in);
    return in ? length : 0;
  }
  uint32_t literal;
  size_t length = decode(glob, at, &literal);
  return literal == code ? length : 0;
}

static bool is_special(char c) {
  return c == '*' || c == '?' || c == '[';
}

/* Where the element behind a star can first match, from `at` on; s.n for nowhere. A byte that a character begins with stands
 * nowhere but at a beginning. */
static size_t next_start(mg_str glob, size_t element, mg_str s, size_t at) {
  if (at >= s.n || is_special(glob.p[element])) return at;
  const char *p = memchr(s.p + at, glob.p[element], s.n - at);
  return p ? (size_t)(p - s.p) : s.n;
}

/* Only the last star is ever tried again, since an earlier one could give nothing that it cannot. */
static bool match_glob(mg_str glob, mg_str s) {
  size_t g = 0, i = 0, star = SIZE_MAX, mark = 0;
  while (i < s.n) {
    uint32_t code;
    if (g < glob.n && glob.p[g] == '*') {
      star = ++g;
      if (g == glob.n) return true;
      i = mark = next_start(glob, g, s, i);
      continue;
    }
    size_t length = decode(s, i, &code), element = g < glob.n ? take(glob, g, code) : 0;
    if (element > 0) {
      g += element;
      i += length;
    } else if (star == SIZE_MAX) {
      return false;
    } else {
      g = star;
      i = mark = next_start(glob, star, s, mark + decode(s, mark, &code));
    }
  }
  while (g < glob.n && glob.p[g] == '*') g++;
  return g == glob.n;
}

static int bad(struct mg_err *err, size_t offset, const char *text) {
  mg_err_set(err, MG_E_SYNTAX, "%s", text);
  if (err) err->offset = offset;
  return MG_E_SYNTAX;
}

static int compile_glob(struct mg_pattern *pattern, struct mg_err *err) {
  mg_str text = pattern->text;
  size_t prefix = SIZE_MAX;
  for (size_t i = 0, length; i < text.n; i += length) {
    uint32_t code;
    bool in;
    if (is_special(text.p[i]) && prefix == SIZE_MAX) prefix = i;
    length = text.p[i] == '[' ? read_class(text, i, 0, &in) : decode(text, i, &code);
    if (length == 0) return bad(err, i, "bad class in glob: no closing ], or a range that runs backwards");
  }
  pattern->prefix = (mg_str){text.p, prefix < text.n ? prefix : text.n};
  return 0;
}

static int compile_regex(struct mg_pattern *pattern, struct mg_err *err) {
  const uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
  int code = 0;
  PCRE2_SIZE offset = 0;
  pattern->regex = pcre2_compile((PCRE2_SPTR)pattern->text.p + 1, pattern->text.n - 2, options, &code, &offset, NULL);
  if (!pattern->regex) {
    char why[160] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED) return mg_err_nomem(err);
    mg_err_set(err, MG_E_SYNTAX, "bad regular expression: %s", why);
    if (err) err->offset = offset + 1;
    return MG_E_SYNTAX;
  }
  pcre2_jit_compile(pattern->regex, PCRE2_JIT_COMPLETE); /* where it fails, pcre2_match interprets */
  return 0;
}

int mg_pattern_compile(mg_str text, struct mg_arena *arena, struct mg_pattern **ret, struct mg_err *err) {
  *ret = NULL;
  if (text.n > PATTERN_MAX) return mg_err_set(err, MG_E_LIMIT, "a pattern is longer than %d bytes", PATTERN_MAX);
  for (size_t i = 0, n; i < text.n; i += n) {
    n = mg_utf8_len(text.p + i, text.p + text.n);
    if (n == 0) return bad(err, i, "a pattern must be UTF-8");
  }
  struct mg_pattern *pattern = MG_NEW(arena, struct mg_pattern);
  if (pattern) pattern->text = mg_arena_dup(arena, text);
  if (!pattern || !pattern->text.p) return mg_err_nomem(err);
  bool regex = text.n >= 2 && text.p[0] == '/' && text.p[text.n - 1] == '/';
  int r = regex ? compile_regex(pattern, err) : compile_glob(pattern, err);
  if (r == 0) *ret = pattern;
  return r;
}

void mg_pattern_free(struct mg_pattern *pattern) {
  if (!pattern) return;
  pcre2_code_free(pattern->regex);
  pattern->regex = NULL;
}

/* What a match writes to: one per thread, made by its first regex and freed when it ends. */
struct workspace {
  pcre2_match_data *data;
  pcre2_match_context *context;
  pcre2_jit_stack *stack; /* NULL where there is no JIT */
};

static pthread_once_t workspace_once = PTHREAD_ONCE_INIT;
static pthread_key_t workspace_key;
static bool workspace_key_made;

static void free_workspace(void *p) {
  struct workspace *w = p;
  pcre2_match_data_free(w->data);
  pcre2_match_context_free(w->context);
  pcre2_jit_stack_free(w->stack);
  free(w);
}

static void make_workspace_key(void) {
  workspace_key_made = pthread_key_create(&workspace_key, free_workspace) == 0;
}

static struct workspace *make_workspace(void) {
  struct workspace *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  w->data = pcre2_match_data_create(1, NULL);
  w->context = pcre2_match_context_create(NULL);
  if (!w->data || !w->context || pthread_setspecific(workspace_key, w) != 0) {
    free_workspace(w);
    return NULL;
  }
  pcre2_set_match_limit(w->context, MATCH_LIMIT);
  pcre2_set_depth_limit(w->context, DEPTH_LIMIT);
  pcre2_set_heap_limit(w->context, HEAP_LIMIT);
  w->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
  pcre2_jit_stack_assign(w->context, NULL, w->stack);
  return w;
}

static struct workspace *get_workspace(void) {
  pthread_once(&workspace_once, make_workspace_key);
  if (!workspace_key_made) return NULL;
  struct workspace *w = pthread_getspecific(workspace_key);
  return w ? w : make_workspace();
}

static int match_regex(const pcre2_code *regex, mg_str value) {
  struct workspace *w = get_workspace();
  if (!w) return MG_E_NOMEM;
  int r = pcre2_match(regex, (PCRE2_SPTR)(value.p ? value.p : ""), value.n, 0, 0, w->data, w->context);
  if (r >= 0) return 1;
  if (r == PCRE2_ERROR_NOMATCH) return 0;
  if (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21) return 0;
  return r == PCRE2_ERROR_NOMEMORY ? MG_E_NOMEM : MG_E_LIMIT;
}

int mg_pattern_match(const struct mg_pattern *pattern, mg_str value) {
  if (pattern->regex) return match_regex(pattern->regex, value);
  if (!mg_str_starts(value, pattern->prefix)) return 0;
  size_t skip = pattern->prefix.n;
  return match_glob(mg_str_from(pattern->text, skip), mg_str_from(value, skip));
}

mg_str mg_pattern_text(const struct mg_pattern *pattern) {
  return pattern->text;
}

mg_str mg_pattern_prefix(const struct mg_pattern *pattern, bool *ret_whole) {
  *ret_whole = !pattern->regex && pattern->prefix.n == pattern->text.n;
  return pattern->regex ? MG_S("") : pattern->prefix;
}
