/* What a registry wants for an answer: WWW-Authenticate (RFC 9110 section 11.6.1). */
#pragma once
#include "base/arena.h"

enum mg_scheme { MG_SCHEME_NONE, MG_SCHEME_BASIC, MG_SCHEME_BEARER };

struct mg_challenge {
  enum mg_scheme scheme; /* Bearer where there are both */
  mg_str realm, service, scope;
};

/* `header`: all of them, joined by commas. Strings are in the arena. A scheme that is not known, or Bearer without a realm, is
 * none. */
void mg_challenge_read(struct mg_arena *arena, mg_str header, struct mg_challenge *ret);
