/* Patterns of policy files: a glob, or /PCRE2/; both anchored at both ends. */
#pragma once
#include "base/arena.h"
#include "base/err.h"

struct mg_pattern;

/* Glob: * any run (also of / and newline), ? one character (code point), [a-z] [!a] [^a] a class; no backslash. "/re/" is PCRE2
 * in UTF mode, ANCHORED | ENDANCHORED | DOLLAR_ENDONLY, JIT where there is one, with match, depth and heap limits. A bad class or
 * regex is MG_E_SYNTAX with err->offset, a byte of `text`. The text is copied. The pattern lives in the arena; mg_pattern_free
 * frees what does not. */
int mg_pattern_compile(mg_str text, struct mg_arena *arena, struct mg_pattern **ret, struct mg_err *err);
void mg_pattern_free(struct mg_pattern *pattern);

/* 1 matches, 0 does not, MG_E_LIMIT where a regex ran into its limits, MG_E_NOMEM at worst on a thread's first regex.
 * Thread-safe; allocates nothing in the steady state. */
int mg_pattern_match(const struct mg_pattern *pattern, mg_str value);

mg_str mg_pattern_text(const struct mg_pattern *pattern);
/* The bytes that every match starts with; for a glob without a special character all of it, with *ret_whole true. "" for a
 * regex. */
mg_str mg_pattern_prefix(const struct mg_pattern *pattern, bool *ret_whole);
