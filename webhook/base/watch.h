/* Waits until directories change: inotify where there is some, and a time-out for where there is none or it tells nothing
 * (network file systems, a link in the middle of a path). It says that something happened, never what: the caller looks. */
#pragma once
#include "base/err.h"

#define MG_WATCH_DIRS_MAX 4096

struct mg_watch;

enum mg_watch_why {
  MG_WATCH_TIME,    /* the time is over */
  MG_WATCH_CHANGED, /* something changed, and then nothing for a moment */
  MG_WATCH_POKED,
  MG_WATCH_STOPPED,
};

int mg_watch_new(struct mg_watch **ret, struct mg_err *err) __attribute__((warn_unused_result));
void mg_watch_free(struct mg_watch *watch); /* NULL is fine */

/* A directory more; one that is watched already counts once. Where it cannot be watched the time-out has to do. */
void mg_watch_add(struct mg_watch *watch, const char *dir);

/* Some directory could not be watched, for want of descriptors, memory or watches: changes there are seen at the time-out. */
bool mg_watch_blind(const struct mg_watch *watch);

/* After a change it waits for quiet_ms without another, but not for more than ten times that. */
enum mg_watch_why mg_watch_wait(struct mg_watch *watch, int64_t timeout_ms, int64_t quiet_ms);

/* From any thread. */
void mg_watch_poke(struct mg_watch *watch);
void mg_watch_stop(struct mg_watch *watch);
