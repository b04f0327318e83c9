#include "report/markup.h"

#include "base/ascii.h"
#include "base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* Also what XML has no form for at all. */
static bool is_odd(uint32_t point) {
  return mg_utf8_is_hidden(point) || (point & 0xFFFE) == 0xFFFE;
}

/* Bytes of the next character; *ret_good is false where U+FFFD stands for it. */
static size_t next(const char *p, const char *end, bool *ret_good) {
  size_t n = mg_utf8_len(p, end);
  *ret_good = n && !is_odd(mg_utf8_point(p, n));
  return n ? n : 1;
}

void mg_buf_markup(struct mg_buf *to, mg_str text) {
  static const mg_str forms[128] = {
      ['&'] = {"&amp;", 5}, ['<'] = {"&lt;", 4}, ['>'] = {"&gt;", 4}, ['"'] = {"&quot;", 6}, ['\''] = {"&#39;", 5}};
  const char *p = text.n ? text.p : "", *end = p + text.n, *from = p;
  while (p < end) {
    bool good;
    size_t n = next(p, end, &good);
    mg_str form = !good ? MG_S(REPLACEMENT) : n == 1 ? forms[(unsigned char)*p] : (mg_str){0};
    if (form.n) {
      mg_buf_put(to, (mg_str){from, (size_t)(p - from)});
      mg_buf_put(to, form);
      from = p + n;
    }
    p += n;
  }
  mg_buf_put(to, (mg_str){from, (size_t)(end - from)});
}

static void percent(struct mg_buf *to, mg_str text, const char *kept) {
  for (size_t i = 0; i < text.n; i++) {
    char c = text.p[i];
    if (mg_is_alnum(c) || (c && strchr(kept, c))) mg_buf_byte(to, c);
    else mg_buf_printf(to, "%%%02X", (unsigned)(unsigned char)c);
  }
}

void mg_buf_uri(struct mg_buf *to, mg_str path) {
  percent(to, path, "-._~/");
}

bool mg_is_link(mg_str text) {
  mg_str http = MG_S("http://"), https = MG_S("https://");
  return (mg_str_starts(text, http) && text.n > http.n) || (mg_str_starts(text, https) && text.n > https.n);
}

void mg_buf_link(struct mg_buf *to, mg_str link) {
  percent(to, link, "-._~/:?#@!$&+,;=%*");
}

/* The colon or the dot that makes an address of what follows. */
static bool begins_address(const char *begin, const char *p, const char *end) {
  if (*p == ':') return end - p > 2 && p[1] == '/' && p[2] == '/';
  return *p == '.' && p - begin >= 3 && (p[-1] | 0x20) == 'w' && (p[-2] | 0x20) == 'w' && (p[-3] | 0x20) == 'w';
}

/* Entities are read as text by every Markdown. Mentions, issues and the like are looked for in the text that comes out, so a
 * comment, which nobody sees, parts them. */
void mg_buf_markdown(struct mg_buf *to, mg_str text) {
  const char *p = text.n ? text.p : "", *end = p + text.n;
  bool good;
  for (size_t n; p < end; p += n) {
    n = next(p, end, &good);
    if (!good) mg_buf_lit(to, REPLACEMENT);
    else if (strchr("\\`*_{}[]<>|~&$", *p) || begins_address(text.p, p, end)) mg_buf_printf(to, "&#%d;", *p);
    else mg_buf_put(to, (mg_str){p, n});
    if (good && strchr("@#!%~&$", *p) && end - p > 1 && (mg_is_alnum(p[1]) || p[1] == '"')) mg_buf_lit(to, "<!-- -->");
  }
}

static size_t longest_fence(mg_str text) {
  size_t longest = 0, run = 0;
  for (size_t i = 0; i < text.n; i++) {
    run = text.p[i] == '`' ? run + 1 : 0;
    if (run > longest) longest = run;
  }
  return longest + 1;
}

void mg_buf_code(struct mg_buf *to, mg_str text) {
  if (!text.n) return;
  size_t fence = longest_fence(text);
  bool pad = fence > 1 || text.p[0] == ' ' || text.p[text.n - 1] == ' ';
  for (size_t i = 0; i < fence; i++) mg_buf_byte(to, '`');
  if (pad) mg_buf_byte(to, ' ');
  const char *p = text.p, *end = p + text.n;
  bool good;
  for (size_t n; p < end; p += n) {
    n = next(p, end, &good);
    if (*p == '|') mg_buf_byte(to, '\\');
    mg_buf_put(to, good ? (mg_str){p, n} : MG_S(REPLACEMENT));
  }
  if (pad) mg_buf_byte(to, ' ');
  for (size_t i = 0; i < fence; i++) mg_buf_byte(to, '`');
}

void mg_buf_cut(struct mg_buf *to, mg_str text, size_t most) {
  mg_str first = mg_utf8_first(text, most);
  mg_buf_put(to, first);
  if (first.n < text.n) mg_buf_lit(to, "…");
}
