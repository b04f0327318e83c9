/* Between those who log and the descriptor, while a server runs: a bounded queue and a thread, so that a pipe that nobody reads
 * or a disk that hangs holds up the log alone. Private to base/log.c. */
#pragma once
#include "base/err.h"

#define MG_LOG_QUEUE ((size_t)256 << 10) /* bytes of lines that wait */

int mg_log_queue_start(struct mg_err *err) __attribute__((warn_unused_result));
/* Waits that long for what is in it, then ends the thread; one that hangs in a write is left behind. */
void mg_log_queue_stop(int64_t ms);
bool mg_log_queue_is_on(void);
/* False: full, or given up. Never waits for the descriptor. */
bool mg_log_queue_put(const char *line, size_t n);
/* What the thread calls for each line, one after the other. */
void mg_log_write(const char *line, size_t n);
