#include "doc/yaml_write.h"

#include <strings.h>

#include "base/ascii.h"
#include "base/utf8.h"

/* A key may be written without "? " only up to 1024 characters. */
#define KEY_MAX 1000

static void put_spaces(struct mg_buf *buf, size_t n) {
  static const char spaces[] = "                                                                ";
  for (size_t part; n && !buf->failed; n -= part) {
    part = n < sizeof(spaces) - 1 ? n : sizeof(spaces) - 1;
    mg_buf_put(buf, (mg_str){spaces, part});
  }
}

/* ---- strings ---- */

/* What some reader takes for a boolean or null; everything else of that kind does not begin with a letter. */
static bool is_word(mg_str s) {
  static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (s.n == strlen(words[i]) && strncasecmp(s.p, words[i], s.n) == 0) return true;
  return false;
}

/* May stand without quotes. Narrower than YAML, so that nobody has to know its fine print. */
static bool is_plain(mg_str s) {
  static const char others[] = "_./-@=+,()$;'%<> :";
  if (s.n == 0 || !(mg_is_letter(s.p[0]) || s.p[0] == '_' || s.p[0] == '/')) return false;
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (mg_is_alnum(c)) continue;
    if (!c || !strchr(others, c)) return false;
    if ((c == ' ' || c == ':') && i + 1 == s.n) return false;
    if (c == ':' && s.p[i + 1] == ' ') return false;
  }
  return !is_word(s);
}

/* 16Gi: digits, and a unit that no number of any reader has. */
static bool is_amount(mg_str s) {
  if (s.n < 3 || s.n > 20 || s.p[s.n - 1] != 'i' || !memchr("KMGTPE", s.p[s.n - 2], 6)) return false;
  for (size_t i = 0; i + 2 < s.n; i++)
    if (!mg_is_digit(s.p[i])) return false;
  return true;
}

/* Printable, and no end of a line in any version of YAML. */
static bool is_visible(uint32_t point) {
  if (point < 0xA0) return point >= 0x20 && point < 0x7F;
  return point != 0x2028 && point != 0x2029 && point != 0xFEFF && point != 0xFFFE && point != 0xFFFF;
}

static void put_escaped(struct mg_buf *buf, uint32_t point) {
  static const struct {
    uint32_t point;
    const char *text;
  } names[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\t', "\\t"}, {'\r', "\\r"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].point == point) {
      mg_buf_put(buf, mg_str_of(names[i].text));
      return;
    }
  if (point < 0x100) mg_buf_printf(buf, "\\x%02X", point);
  else mg_buf_printf(buf, "\\u%04X", point);
}

void mg_yaml_write_quoted(struct mg_buf *buf, mg_str s) {
  const char *p = s.p, *end = s.p + s.n;
  mg_buf_byte(buf, '"');
  while (p < end && !buf->failed) {
    size_t n = mg_utf8_len(p, end);
    uint32_t point = n ? mg_utf8_point(p, n) : 0xFFFD;
    if (!n) mg_buf_lit(buf, "\xEF\xBF\xBD");
    else if (is_visible(point) && point != '"' && point != '\\') mg_buf_put(buf, (mg_str){p, n});
    else put_escaped(buf, point);
    p += n ? n : 1;
  }
  mg_buf_byte(buf, '"');
}

/* Several lines, one of which is more than a newline, without a character that needs an escape. */
static bool is_literal(mg_str s) {
  bool lines = false, text = false;
  for (const char *p = s.p, *end = s.p + s.n; p < end;) {
    size_t n = mg_utf8_len(p, end);
    if (n == 0 || (*p != '\n' && *p != '\t' && !is_visible(mg_utf8_point(p, n)))) return false;
    lines |= *p == '\n';
    text |= *p != '\n';
    p += n;
  }
  return lines && text;
}

/* `column`: of the content. Ends with a newline. */
static void put_literal(struct mg_buf *buf, mg_str s, size_t column) {
  size_t newlines = 0;
  while (newlines < s.n && s.p[s.n - 1 - newlines] == '\n') newlines++;
  mg_buf_byte(buf, '|');
  if (strchr(" \t\n", s.p[0])) mg_buf_byte(buf, '2'); /* else a reader counts the first line's spaces */
  if (newlines != 1) mg_buf_byte(buf, newlines ? '+' : '-');
  mg_buf_byte(buf, '\n');
  while (s.n && !buf->failed) {
    size_t n = mg_str_find(s, '\n');
    if (n) put_spaces(buf, column);
    mg_buf_put(buf, (mg_str){s.p, n});
    mg_buf_byte(buf, '\n');
    s = mg_str_from(s, n + 1);
  }
}

/* ---- the tree ---- */

static bool is_branch(mg_node n) {
  return mg_first(n).at != 0;
}

void mg_yaml_write_string(struct mg_buf *buf, mg_str s, bool amounts) {
  if (is_plain(s) || (amounts && is_amount(s))) mg_buf_put(buf, s);
  else mg_yaml_write_quoted(buf, s);
}

/* Ends the line. */
static void put_leaf(struct mg_buf *buf, mg_node n, size_t column, const struct mg_yaml_layout *layout) {
  mg_str text = mg_text(n);
  if (mg_is(n, MG_STRING) && !layout->no_blocks && is_literal(text)) {
    put_literal(buf, text, column);
    return;
  }
  if (mg_is(n, MG_STRING)) mg_yaml_write_string(buf, text, layout->amounts);
  else if (mg_is(n, MG_OBJECT)) mg_buf_lit(buf, "{}");
  else if (mg_is(n, MG_ARRAY)) mg_buf_lit(buf, "[]");
  else mg_buf_put(buf, text.n ? text : MG_S("null"));
  mg_buf_byte(buf, '\n');
}

static void put_key(struct mg_buf *buf, mg_node key, size_t column) {
  bool is_long = mg_text(key).n > KEY_MAX / 4; /* every byte may take four */
  if (is_long) mg_buf_lit(buf, "? ");
  mg_yaml_write_string(buf, mg_text(key), false);
  if (is_long) mg_buf_byte(buf, '\n'), put_spaces(buf, column);
  mg_buf_byte(buf, ':');
}

/* How much further right the children of a branch stand than itself. */
static size_t step_of(const struct mg_yaml_layout *layout, mg_node branch) {
  if (!mg_key_of(branch).at) return layout->dash;
  return mg_is(branch, MG_ARRAY) ? layout->list_step : layout->step;
}

/* Walks without recursion: `at` is the child, or a key or an item below it. */
void mg_yaml_write_child(struct mg_buf *buf, mg_node child, const struct mg_yaml_layout *layout) {
  size_t column = layout->column;
  bool behind_dash = false;
  mg_node at = child;
  while (at.at && !buf->failed) {
    bool is_key = mg_is(at, MG_KEY);
    mg_node value = is_key ? mg_value(at) : at;
    if (!behind_dash) put_spaces(buf, column);
    behind_dash = false;
    if (is_key) put_key(buf, at, column);
    else mg_buf_byte(buf, '-'), put_spaces(buf, layout->dash - 1);
    if (is_branch(value)) {
      behind_dash = !is_key;
      if (is_key) mg_buf_byte(buf, '\n');
      column += step_of(layout, value);
      at = mg_first(value);
      continue;
    }
    if (is_key) mg_buf_byte(buf, ' ');
    put_leaf(buf, value, column + 2, layout);
    while (at.at != child.at && !mg_next(at).at) {
      mg_node branch = mg_parent(at), key = mg_key_of(branch);
      column -= step_of(layout, branch);
      at = key.at ? key : branch;
    }
    at = at.at == child.at ? (mg_node){0} : mg_next(at);
  }
}

/* A list below a key is not indented. */
void mg_yaml_write(struct mg_buf *buf, mg_node n) {
  static const struct mg_yaml_layout layout = {.step = 2, .dash = 2}, alone = {.no_blocks = true};
  mg_node top = mg_is(n, MG_KEY) ? mg_value(n) : n;
  if (!is_branch(top)) put_leaf(buf, top, 0, &alone);
  for (mg_node child = mg_first(top); child.at; child = mg_next(child)) mg_yaml_write_child(buf, child, &layout);
}
