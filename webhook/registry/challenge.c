#include "registry/challenge.h"

#include <strings.h>

#include "base/ascii.h"

struct cursor {
  const char *p, *end;
};

static bool is_token(char c) {
  return mg_is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip(struct cursor *c, const char *set) {
  while (c->p < c->end && *c->p && strchr(set, *c->p)) c->p++;
}

static mg_str take_token(struct cursor *c) {
  const char *from = c->p;
  while (c->p < c->end && is_token(*c->p)) c->p++;
  return (mg_str){from, (size_t)(c->p - from)};
}

/* A comma in quotes separates nothing. */
static mg_str take_quoted(struct mg_arena *arena, struct cursor *c) {
  char *to = mg_arena_alloc(arena, (size_t)(c->end - c->p) + 1);
  size_t n = 0;
  if (!to) return (mg_str){0};
  for (c->p++; c->p < c->end && *c->p != '"'; c->p++) {
    if (*c->p == '\\' && c->p + 1 < c->end) c->p++;
    to[n++] = *c->p;
  }
  if (c->p < c->end) c->p++;
  to[n] = '\0';
  return (mg_str){to, n};
}

static bool is_word(mg_str s, const char *word) {
  return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static void take_parameter(struct mg_challenge *challenge, mg_str name, mg_str value) {
  const struct {
    const char *name;
    mg_str *to;
  } known[] = {{"realm", &challenge->realm}, {"service", &challenge->service}, {"scope", &challenge->scope}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (is_word(name, known[i].name) && !known[i].to->n) *known[i].to = value;
}

static enum mg_scheme scheme_of(mg_str word) {
  return is_word(word, "bearer") ? MG_SCHEME_BEARER : is_word(word, "basic") ? MG_SCHEME_BASIC : MG_SCHEME_NONE;
}

static void keep_better(struct mg_challenge *best, const struct mg_challenge *now) {
  if (now->scheme == MG_SCHEME_BEARER && !now->realm.n) return;
  if (now->scheme > best->scheme) *best = *now;
}

void mg_challenge_read(struct mg_arena *arena, mg_str header, struct mg_challenge *ret) {
  struct cursor c = {header.p, header.p + header.n};
  struct mg_challenge now = {0};
  *ret = (struct mg_challenge){0};
  for (skip(&c, " \t,"); c.p < c.end; skip(&c, " \t,")) {
    mg_str word = take_token(&c);
    skip(&c, " \t");
    if (word.n && (c.p == c.end || *c.p != '=')) { /* a word without a value begins the next challenge */
      keep_better(ret, &now);
      now = (struct mg_challenge){.scheme = scheme_of(word)};
      continue;
    }
    if (c.p < c.end) c.p++;
    if (!word.n) continue;
    skip(&c, " \t");
    mg_str value = c.p < c.end && *c.p == '"' ? take_quoted(arena, &c) : take_token(&c);
    take_parameter(&now, word, value);
  }
  keep_better(ret, &now);
}
