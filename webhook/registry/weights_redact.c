/* What others wrote, made fit to be shown. Commands of an image's history hold what their builders had at hand: build arguments,
 * tokens, passwords in URLs. Too much hidden is a blemish, too little is a leak: whatever is called like a secret goes. */
#include "registry/weights_parts.h"

#include "base/ascii.h"

#define HIDDEN "***"

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
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
  bool piped;  /* somewhere a password is read from standard input */
  const char *letters; /* options of the program at hand that take a secret */
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
    if (c == '\\' && x->at + 1 < x->s.n) x->at++;
    else if (own) own = c == own ? 0 : own;
    else if (is_blank(c) || (c == x->quote && x->at > start)) return;
    else if (is_quote(c)) own = c;
  }
}

/* Without what quotes it or makes it an item of a list. */
static mg_str bare(mg_str word) {
  while (word.n && (is_quote(word.p[0]) || memchr("[({", word.p[0], 3))) word = mg_str_from(word, 1);
  while (word.n && (is_quote(word.p[word.n - 1]) || memchr("])},", word.p[word.n - 1], 4))) word.n--;
  return word;
}

static bool is_one_of(mg_str word, const char *const *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (word.n == strlen(list[i]) && mg_weights_starts(word, list[i])) return true;
  return false;
}
#define IS_ONE_OF(word, list) is_one_of(word, list, sizeof(list) / sizeof *(list))

/* What stands before a secret: in a header, in a .netrc. */
static bool announces(mg_str word) {
  static const char *const heralds[] = {"bearer", "basic", "token", "password", "passwd", "apikey"};
  return IS_ONE_OF(bare(word), heralds);
}

/* Where a command ends, or its words do. */
static bool is_operator(mg_str word) {
  return word.n && (memchr("|&;<>", word.p[0], 5) || word.p[word.n - 1] == ';');
}

static void hide_value(struct scan *x) {
  mg_str value = next_word(x);
  mg_buf_lit(x->out, HIDDEN);
  skip_value(x);
  if (!announces(value)) return;
  skip_blanks(x);
  skip_value(x);
}

/* The rest of a header, whose scheme has any number of words: to the end of its quotes, of a word that escapes its blanks, or of
 * the command. */
static void hide_header(struct scan *x) {
  bool escaped = false;
  mg_buf_lit(x->out, HIDDEN);
  while (x->at < x->s.n && x->s.p[x->at] != x->quote) {
    if (!x->quote && is_blank(x->s.p[x->at])) {
      size_t before = x->at;
      skip_blanks(x);
      if (!escaped && !is_operator(next_word(x))) continue;
      x->at = before;
      return;
    }
    bool escape = x->s.p[x->at] == '\\' && x->at + 1 < x->s.n;
    escaped |= escape;
    x->at += escape ? 2 : 1;
  }
}

static bool is_header(mg_str name) {
  while (name.n && (is_quote(name.p[name.n - 1]) || is_blank(name.p[name.n - 1]))) name.n--;
  return mg_weights_ends(name, "authorization") || mg_weights_ends(name, "cookie");
}

/* "NAME=…", "NAME: …", "NAME => …", "<NAME>…" of a name with a telling part in it. */
static bool hide_assigned(struct scan *x) {
  char c = x->s.p[x->at];
  mg_str name = {x->s.p + x->word, x->at - x->word};
  bool tag = c == '>' && mg_str_find(name, '<') < name.n;
  if (!x->hot || (c != '=' && c != ':' && !tag) || mg_str_starts(rest(x), MG_S("://"))) return false;
  bool loose = c == ':';
  for (bool first = true; x->at < x->s.n && (first || memchr("=>", x->s.p[x->at], 2)); first = false) {
    if (!first) loose = true;
    mg_buf_byte(x->out, x->s.p[x->at++]);
  }
  if (loose && x->at < x->s.n && is_blank(x->s.p[x->at])) {
    mg_buf_byte(x->out, ' ');
    skip_blanks(x);
  }
  if (c == ':' && is_header(name)) hide_header(x);
  else hide_value(x);
  x->hot = false;
  return true;
}

/* An option with its value in the same word: "-ume:…", "--user=me:…", and those of the program at hand. */
static bool hide_glued(struct scan *x) {
  static const char *const users[] = {"-u", "-U", "--user=", "--proxy-user="};
  mg_str word = next_word(x);
  size_t n = 0;
  bool quoted = x->at > 0 && is_quote(x->s.p[x->at - 1]);
  if (x->at != x->word && !quoted) return false;
  if (quoted && mg_str_find(word, x->s.p[x->at - 1]) <= 2) return false; /* the option alone */
  for (size_t i = 0; i < sizeof users / sizeof *users && mg_str_find(word, ':') < word.n; i++)
    if (mg_str_starts(word, mg_str_of(users[i]))) n = strlen(users[i]);
  if (x->letters && word.n > 2 && word.p[0] == '-' && word.p[1] != '-' && strchr(x->letters, word.p[1])) n = 2;
  if (!n || n >= word.n) return false;
  mg_buf_put(x->out, (mg_str){word.p, n});
  x->at += n;
  hide_value(x);
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

/* "user:password@host" without a scheme; a digest behind an image's tag is none. */
static bool hide_pair(struct scan *x) {
  mg_str s = rest(x);
  size_t end = 1;
  if (s.p[0] != ':' || x->at == x->word) return false;
  while (end < s.n && !is_blank(s.p[end]) && !is_quote(s.p[end]) && s.p[end] != '/' && s.p[end] != '@') end++;
  if (end == 1 || end >= s.n || s.p[end] != '@' || mg_str_starts(mg_str_from(s, end), MG_S("@sha"))) return false;
  mg_buf_lit(x->out, ":" HIDDEN);
  x->at += end;
  return true;
}

/* "hf_" and letters or digits, save the words of Hugging Face's own programs. */
static bool is_hub_token(mg_str s) {
  static const char *const plain[] = {"hub", "transfer", "xet", "api", "home", "cache", "model", "token", "file", "path"};
  size_t n = 3;
  if (!mg_str_starts(s, MG_S("hf_"))) return false;
  while (n < s.n && mg_is_alnum(s.p[n])) n++;
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
    while (end < s.n && (mg_is_alnum(s.p[end]) || s.p[end] == '_' || s.p[end] == '-')) end++;
    if (end >= n + 10) return true;
  }
  return false;
}

static bool hide_token(struct scan *x) {
  bool inside = x->at > 0 && mg_is_alnum(x->s.p[x->at - 1]);
  if (!is_hub_token(rest(x)) && (inside || !is_known_token(rest(x)))) return false;
  mg_buf_lit(x->out, HIDDEN);
  while (x->at < x->s.n && (mg_is_alnum(x->s.p[x->at]) || memchr("_-.", x->s.p[x->at], 3))) x->at++;
  return true;
}

/* ---- what the word before says of the next one ---- */

enum next { SHOWN, HIDDEN_PAIR, HIDDEN_VALUE, HIDDEN_ALWAYS };

/* Options of that name, and short ones of the program at hand, always have a value, be it one that looks like an option. */
static bool takes_secret(const struct scan *x, mg_str word) {
  static const char *const names[] = {"password", "passwd",  "pass",         "pwd",        "passphrase", "token", "secret",
                                      "api-key",  "api_key", "access-token", "auth-token", "secret-key", "apikey"};
  if (word.n == 2 && word.p[0] == '-') return x->letters && strchr(x->letters, word.p[1]);
  if (!word.n || word.p[0] != '-') return false;
  return IS_ONE_OF(mg_str_from(word, mg_str_starts(word, MG_S("--")) ? 2 : 1), names);
}

/* "aws_secret_access_key", "user.password": of a configuration, whose value comes next. */
static bool is_setting(mg_str word) {
  static const char *const ends[] = {"token", "key", "key_id", "secret", "password", "passwd", "pass", "pwd", "auth"};
  bool joined = false, ends_so = false;
  for (size_t i = 0; i < word.n; i++) joined |= memchr("_.:/", word.p[i], 4) != NULL;
  for (size_t i = 0; joined && i < sizeof ends / sizeof *ends; i++) ends_so |= mg_weights_ends(word, ends[i]);
  return ends_so;
}

static enum next next_of(const struct scan *x, mg_str word) {
  static const char *const logins[] = {"-u", "--user", "--proxy-user"};
  if (takes_secret(x, word) || (x->piped && mg_str_is(word, "<<<"))) return HIDDEN_ALWAYS;
  if (IS_ONE_OF(word, logins)) return HIDDEN_PAIR;
  bool takes_value = mg_str_starts(word, MG_S("-")) || x->word == x->env || is_setting(word);
  return announces(word) || (x->hot && takes_value) ? HIDDEN_VALUE : SHOWN;
}

/* Options that take a secret, by program. */
static void note_program(struct scan *x, mg_str word) {
  static const struct {
    const char *program, *letters;
  } known[] = {
      {"sshpass", "p"},   {"mysql", "p"},    {"mysqldump", "p"}, {"mysqladmin", "p"}, {"mariadb", "p"},   {"mongo", "p"},
      {"mongosh", "p"},   {"mongodump", "p"}, {"docker", "p"},   {"podman", "p"},     {"nerdctl", "p"},   {"buildah", "p"},
      {"helm", "p"},      {"oras", "p"},     {"crane", "p"},     {"az", "p"},         {"oc", "p"},        {"redis-cli", "a"},
      {"zip", "P"},       {"unzip", "P"},    {"7z", "p"},        {"7za", "p"},        {"7zr", "p"},       {"lftp", "u"},
      {"smbclient", "U"}, {"ldapsearch", "w"}, {"curl", "uUb"},  {"http", "a"},       {"ncftpget", "p"},
  };
  if (is_operator(word)) x->letters = NULL;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (mg_str_is(mg_weights_base(word), known[i].program)) x->letters = known[i].letters;
}

/* "echo … | chpasswd" */
static bool hide_piped(struct scan *x, mg_str word) {
  size_t n = mg_str_find(rest(x), '|');
  if (!x->piped || !(mg_str_is(word, "echo") || mg_str_is(word, "printf")) || x->at + n >= x->s.n) return false;
  mg_buf_lit(x->out, HIDDEN " ");
  x->at += n;
  return true;
}

/* "password = …", "key : …" */
static void pass_sign(struct scan *x) {
  static const char *const signs[] = {"=", ":", ":=", "=>", "=="};
  mg_str next = next_word(x);
  if (!IS_ONE_OF(next, signs)) return;
  mg_buf_put(x->out, next);
  mg_buf_byte(x->out, ' ');
  x->at += next.n;
  skip_blanks(x);
}

/* Behind a word: what it was decides about the next one. */
static void end_word(struct scan *x, mg_str word) {
  enum next what = next_of(x, word);
  bool named = x->hot || announces(word);
  note_program(x, word);
  x->word = x->at;
  x->hot = false;
  size_t before = x->at;
  if (hide_piped(x, word)) return;
  if (named) pass_sign(x);
  if (x->at != before) what = HIDDEN_ALWAYS;
  x->word = x->at;
  mg_str next = next_word(x);
  bool option = next.n && next.p[0] == '-';
  bool pair = mg_str_find(next, ':') < next.n;
  if (!next.n || (what != HIDDEN_ALWAYS && is_operator(next))) return;
  if (what == HIDDEN_ALWAYS || (what == HIDDEN_VALUE && !option) || (what == HIDDEN_PAIR && pair)) hide_value(x);
}

static void pass_blank(struct scan *x) {
  mg_str word = bare((mg_str){x->s.p + x->word, x->at - x->word});
  skip_blanks(x);
  mg_buf_byte(x->out, ' ');
  end_word(x, word);
}

/* Items of a list stand without blanks, too: ["curl","-u","me:…"]. */
static bool pass_comma(struct scan *x) {
  bool between = x->at > 0 && x->at + 1 < x->s.n && is_quote(x->s.p[x->at - 1]) && is_quote(x->s.p[x->at + 1]);
  if (x->s.p[x->at] != ',' || !between) return false;
  mg_str word = bare((mg_str){x->s.p + x->word, x->at - x->word});
  mg_buf_byte(x->out, ',');
  x->at++;
  x->quote = 0;
  end_word(x, word);
  return true;
}

static void step(struct scan *x) {
  static const char *const telling[] = {"token", "key", "secret", "pass", "pwd", "credential", "auth", "sig", "cookie"};
  char c = x->s.p[x->at];
  if (is_blank(c)) {
    pass_blank(x);
    return;
  }
  if (pass_comma(x) || hide_glued(x) || hide_assigned(x) || hide_user(x) || hide_pair(x) || hide_token(x)) return;
  for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) x->hot |= mg_weights_starts(rest(x), telling[i]);
  if (c == '\\' && x->at + 1 < x->s.n && is_quote(x->s.p[x->at + 1])) mg_buf_byte(x->out, x->s.p[x->at++]); /* opens nothing */
  else if (is_quote(c)) x->quote = x->quote == c ? 0 : x->quote ? x->quote : c;
  c = x->s.p[x->at];
  mg_buf_byte(x->out, c);
  x->at++;
}

void mg_weights_redact(struct mg_buf *buf, mg_str s) {
  static const char *const readers[] = {"chpasswd", "-stdin", "sudo -S", "passphrase-fd"};
  struct scan x = {.s = {s.p, s.n < MG_WEIGHTS_READ_MAX ? s.n : MG_WEIGHTS_READ_MAX}, .out = buf};
  while (x.s.n && is_blank(x.s.p[x.s.n - 1])) x.s.n--;
  skip_blanks(&x);
  x.word = x.at;
  for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) x.piped |= mg_weights_has(x.s, readers[i]);
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
  mg_buf_init(&plain, NULL, 4 * MG_WEIGHTS_READ_MAX);
  mg_buf_init(&shown, NULL, 16 * MG_WEIGHTS_READ_MAX);
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
  if (path.n > MG_WEIGHTS_READ_MAX) path = mg_str_from(path, path.n - MG_WEIGHTS_READ_MAX);
  return clean(arena, path, true);
}
