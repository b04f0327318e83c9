/* What others wrote, made fit to be shown. Commands of an image's history hold what their builders had at hand: build arguments,
 * tokens, passwords in URLs. Too much hidden is a blemish, too little is a leak: whatever is called like a secret goes. */
#include "registry/weights_parts.h"

#define HIDDEN "***"
#define READ_MAX ((size_t)4096) /* of one text; far more than is ever shown */

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_quote(char c) {
  return c == '"' || c == '\'' || c == '`';
}

struct scan {
  mg_str s;
  size_t at;
  struct mg_buf *out;
  size_t word; /* where the word began */
  size_t env;  /* where the name stands in "ENV NAME value"; 0: nowhere */
  char quote;  /* that is open; 0: none */
  bool hot;    /* the word so far is called like a secret */
};

static mg_str rest(const struct scan *x) {
  return mg_str_from(x->s, x->at);
}

static mg_str next_word(const struct scan *x) {
  mg_str s = rest(x);
  for (size_t i = 0; i < s.n; i++)
    if (is_blank(s.p[i])) return (mg_str){s.p, i};
  return s;
}

static void skip_blanks(struct scan *x) {
  while (x->at < x->s.n && is_blank(x->s.p[x->at])) x->at++;
}

/* Over a value: up to white space outside of quotes of its own, or to the quote that was open before it. */
static void skip_value(struct scan *x) {
  size_t start = x->at;
  for (char own = 0; x->at < x->s.n; x->at++) {
    char c = x->s.p[x->at];
    if (own) own = c == own ? 0 : own;
    else if (is_blank(c) || (c == x->quote && x->at > start)) return;
    else if (is_quote(c)) own = c;
  }
}

/* What stands before a secret: in a header, in a .netrc. */
static bool announces(mg_str word) {
  static const char *const heralds[] = {"bearer", "basic", "token", "password", "passwd"};
  while (word.n && is_quote(word.p[0])) word = mg_str_from(word, 1);
  for (size_t i = 0; i < sizeof heralds / sizeof *heralds; i++)
    if (word.n == strlen(heralds[i]) && mg_weights_starts(word, heralds[i])) return true;
  return false;
}

static void hide_value(struct scan *x) {
  mg_str value = next_word(x);
  mg_buf_lit(x->out, HIDDEN);
  skip_value(x);
  if (!announces(value)) return;
  skip_blanks(x);
  skip_value(x);
}

/* "NAME=…", "NAME: …" of a name with a telling part in it. */
static bool hide_assigned(struct scan *x) {
  char c = x->s.p[x->at];
  if (!x->hot || (c != '=' && c != ':') || mg_str_starts(rest(x), MG_S("://"))) return false;
  x->at++;
  mg_buf_byte(x->out, c);
  if (c == ':' && x->at < x->s.n && is_blank(x->s.p[x->at])) {
    mg_buf_byte(x->out, ' ');
    skip_blanks(x);
  }
  hide_value(x);
  x->hot = false;
  return true;
}

/* "://user:password@host" */
static bool hide_user(struct scan *x) {
  mg_str s = rest(x);
  if (!mg_str_starts(s, MG_S("://"))) return false;
  size_t end = 3, at = 0;
  for (; end < s.n && !is_blank(s.p[end]) && !is_quote(s.p[end]) && !memchr("/?#", s.p[end], 3); end++)
    if (s.p[end] == '@') at = end;
  mg_buf_lit(x->out, "://");
  if (at) mg_buf_lit(x->out, HIDDEN "@");
  x->at += at ? at + 1 : 3;
  return true;
}

/* "hf_" and letters or digits, save the words of Hugging Face's own programs. */
static bool is_hub_token(mg_str s) {
  static const char *const plain[] = {"hub", "transfer", "xet", "api", "home", "cache", "model", "token", "file", "path"};
  size_t n = 3;
  if (!mg_str_starts(s, MG_S("hf_"))) return false;
  while (n < s.n && is_alnum(s.p[n])) n++;
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (n == 3 + strlen(plain[i]) && mg_weights_starts(mg_str_from(s, 3), plain[i])) return false;
  return n > 3;
}

/* How tokens of known services begin. */
static bool is_known_token(mg_str s) {
  static const char *const starts[] = {"ghp_",   "gho_",   "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-",    "sk-",   "xoxb-",
                                       "xoxp-",  "nvapi-", "AKIA", "ASIA", "eyJ",  "AIza",        "dckr_pat_", "npm_", "pypi-"};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    size_t n = strlen(starts[i]), end = n;
    if (!mg_str_starts(s, mg_str_of(starts[i]))) continue;
    while (end < s.n && (is_alnum(s.p[end]) || s.p[end] == '_' || s.p[end] == '-')) end++;
    if (end >= n + 10) return true;
  }
  return false;
}

static bool hide_token(struct scan *x) {
  bool inside = x->at > 0 && is_alnum(x->s.p[x->at - 1]);
  if (!is_hub_token(rest(x)) && (inside || !is_known_token(rest(x)))) return false;
  mg_buf_lit(x->out, HIDDEN);
  while (x->at < x->s.n && (is_alnum(x->s.p[x->at]) || memchr("_-.", x->s.p[x->at], 3))) x->at++;
  return true;
}

/* A blank: what the word before it was decides about the next one. */
static void pass_blank(struct scan *x) {
  mg_str word = {x->s.p + x->word, x->at - x->word};
  bool login = mg_str_is(word, "-u") || mg_str_is(word, "--user") || mg_str_is(word, "--proxy-user");
  bool hide = (x->hot && (word.p[0] == '-' || x->word == x->env)) || announces(word);
  skip_blanks(x);
  mg_buf_byte(x->out, ' ');
  x->word = x->at;
  x->hot = false;
  mg_str next = next_word(x);
  if (hide && next.n && next.p[0] != '-') hide_value(x); /* else the option takes no argument */
  else if (login && mg_str_find(next, ':') < next.n) hide_value(x);
}

static void step(struct scan *x) {
  static const char *const telling[] = {"token", "key", "secret", "pass", "pwd", "credential", "auth", "sig"};
  char c = x->s.p[x->at];
  if (is_blank(c)) {
    pass_blank(x);
    return;
  }
  if (hide_assigned(x) || hide_user(x) || hide_token(x)) return;
  for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) x->hot |= mg_weights_starts(rest(x), telling[i]);
  if (is_quote(c)) x->quote = x->quote == c ? 0 : x->quote ? x->quote : c;
  mg_buf_byte(x->out, c);
  x->at++;
}

void mg_weights_redact(struct mg_buf *buf, mg_str s) {
  struct scan x = {.s = {s.p, s.n < READ_MAX ? s.n : READ_MAX}, .out = buf};
  while (x.s.n && is_blank(x.s.p[x.s.n - 1])) x.s.n--;
  skip_blanks(&x);
  x.word = x.at;
  if (mg_str_starts(rest(&x), MG_S("ENV "))) x.env = x.at + 4;
  while (x.at < x.s.n) step(&x);
}

#define MORE "\xE2\x80\xA6" /* an ellipsis */

/* At most MG_COMMAND_MAX bytes of it, without cutting a character in two. */
static mg_str cut(struct mg_arena *arena, mg_str s, bool keep_end) {
  size_t n = MG_COMMAND_MAX - (sizeof MORE - 1);
  if (s.n <= MG_COMMAND_MAX) return mg_arena_dup(arena, s);
  if (keep_end) {
    mg_str end = mg_str_from(s, s.n - n);
    while (end.n && ((unsigned char)end.p[0] & 0xC0) == 0x80) end = mg_str_from(end, 1);
    return mg_arena_printf(arena, MORE "%.*s", MG_FMT(end));
  }
  while (n && ((unsigned char)s.p[n] & 0xC0) == 0x80) n--;
  return mg_arena_printf(arena, "%.*s" MORE, (int)n, s.p);
}

static mg_str clean(struct mg_arena *arena, mg_str s, bool keep_end) {
  MG_BUF_AUTO plain, shown;
  mg_buf_init(&plain, NULL, 4 * READ_MAX);
  mg_buf_init(&shown, NULL, 16 * READ_MAX);
  mg_weights_redact(&plain, s);
  mg_buf_clean(&shown, mg_buf_str(&plain));
  if (plain.failed || shown.failed) {
    arena->failed = true; /* out of memory is told by the arena */
    return (mg_str){0};
  }
  return cut(arena, mg_buf_str(&shown), keep_end);
}

mg_str mg_weights_clean(struct mg_arena *arena, mg_str s) {
  return clean(arena, s, false);
}

mg_str mg_weights_clean_path(struct mg_arena *arena, mg_str path) {
  while (path.n && (path.p[0] == '/' || mg_str_starts(path, MG_S("./")))) path = mg_str_from(path, path.p[0] == '/' ? 1 : 2);
  if (path.n > READ_MAX) path = mg_str_from(path, path.n - READ_MAX);
  return clean(arena, path, true);
}
