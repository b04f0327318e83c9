/* The log: one JSON object a line, built whole on the caller's stack and written by one write(2); no allocation. A server has a
 * thread do the writing, so that nobody else waits for it.
 *
 *   struct mg_log_line l;
 *   mg_log_begin(&l, MG_LOG_INFO, "request denied");
 *   mg_log_str(&l, "policy", name);
 *   mg_log_end(&l);
 *
 * Strings are cut at MG_LOG_VALUE bytes. From the first field that does not fit into the line on, fields are left out, and the
 * line ends with "cut":true. Hidden characters (see mg_buf_clean) and bytes that are no UTF-8 become U+FFFD; newline and tab
 * stay, as \n and \t. */
#pragma once
#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"

#define MG_LOG_LINE 4096 /* with the newline; PIPE_BUF, so that a pipe takes all of it or nothing */
#define MG_LOG_VALUE 256

enum mg_log_level { MG_LOG_DEBUG, MG_LOG_INFO, MG_LOG_WARN, MG_LOG_ERROR };

struct mg_log_line {
  bool off; /* below the level: nothing is built or written */
  bool cut;
  size_t n;
  char text[MG_LOG_LINE];
};

/* What is below `level` is not logged. Before it is called: MG_LOG_INFO, standard error. */
void mg_log_init(enum mg_log_level level, int fd);
bool mg_log_is_on(enum mg_log_level level);

/* From now on lines wait in a queue for a thread that writes them; where that is full they are dropped. */
int mg_log_start(struct mg_err *err) __attribute__((warn_unused_result));
/* Ends that, when all is written or after so many ms; a write that hangs is left behind. */
void mg_log_stop(int64_t ms);

/* Keys and `msg` are the program's own, but escaped like anything else. */
void mg_log_begin(struct mg_log_line *line, enum mg_log_level level, const char *msg);
void mg_log_str(struct mg_log_line *line, const char *key, mg_str value);
void mg_log_int(struct mg_log_line *line, const char *key, int64_t value);
void mg_log_bool(struct mg_log_line *line, const char *key, bool value);
void mg_log_end(struct mg_log_line *line);

/* Lines that could not be written, or not whole, since the program began. */
uint64_t mg_log_dropped(void);

/* For lines that strangers can cause: `burst` at once, and so many in each second from then on. Zeroed but for these two. */
struct mg_log_rate {
  unsigned burst, each_second; /* 0: all of them */
  _Atomic int64_t full;
  _Atomic uint64_t held;
};

/* Whether there is to be a line, and how many were held back since the one before. */
bool mg_log_let(struct mg_log_rate *rate, uint64_t *ret_held);
/* Lines held back by all rates, ever. */
uint64_t mg_log_held(void);
