/* A program run to its end without a shell, found in PATH, its standard input empty. */
#pragma once
#include "base/err.h"

#define MG_SPAWN_SAID 400 /* bytes kept of standard error */

struct mg_spawn {
  const char *const *argv;        /* NULL-terminated */
  const char *const *environment; /* NAME=VALUE, instead of ours of these names; NULL-terminated */
  size_t max;                     /* bytes of standard output; more is MG_E_LIMIT */
  void *ctx;
  int (*out)(void *ctx, mg_str piece, struct mg_err *err); /* standard output as it comes; a negative result ends the program */
};

struct mg_spawned {
  int status; /* exit status; -1: a signal ended it */
  char said[MG_SPAWN_SAID + 1]; /* how standard error begins */
};

/* MG_E_IO: it cannot be run. Whatever is returned, it runs no more. */
int mg_spawn_run(const struct mg_spawn *spawn, struct mg_spawned *ret, struct mg_err *err);
