/* A bearer token out of a file that the kubelet renews. */
#pragma once
#include "base/err.h"

#define MG_TOKEN_MAX 16384

struct mg_token {
  char text[MG_TOKEN_MAX + 1];
  size_t n;
};

/* Without the white space at its end. Anything but visible ASCII in it is an error; what was there before then stays. */
int mg_token_read(struct mg_token *token, const char *path, struct mg_err *err) __attribute__((warn_unused_result));
/* The same of a text instead of a file. */
int mg_token_take(struct mg_token *token, const char *text, struct mg_err *err) __attribute__((warn_unused_result));
