/* Sees a thread that no longer comes out of what it does: first the process is said to be unhealthy, then it is ended, so that
 * whoever started it starts it again. The thread that reads files anew is not watched: while a disk hangs, what was read before
 * serves on. */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct mg_watchdog;

struct mg_watchdog_options {
  int64_t limit_ms; /* of one piece of work: unhealthy from then on, and after twice that it is over */
  void (*over)(void *ctx); /* NULL: abort(), with a core where the system keeps them */
  void *ctx;
};

int mg_watchdog_start(struct mg_watchdog **ret, const struct mg_watchdog_options *options, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_watchdog_stop(struct mg_watchdog *watchdog); /* NULL is fine */
bool mg_watchdog_healthy(const struct mg_watchdog *watchdog); /* true for NULL */
