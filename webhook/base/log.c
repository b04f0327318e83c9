#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_queue.h"
#include "base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"
#define CUT ",\"cut\":true"
#define RESERVED (sizeof CUT - 1 + sizeof "}\n" - 1) /* bytes that fields leave free for the end of the line */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static _Atomic int log_level = MG_LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic uint64_t log_dropped, log_held;

void mg_log_init(enum mg_log_level level, int fd) {
  atomic_store(&log_level, (int)level);
  atomic_store(&log_fd, fd);
}

bool mg_log_is_on(enum mg_log_level level) {
  return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

uint64_t mg_log_dropped(void) {
  return atomic_load_explicit(&log_dropped, memory_order_relaxed);
}

uint64_t mg_log_held(void) {
  return atomic_load_explicit(&log_held, memory_order_relaxed);
}

int mg_log_start(struct mg_err *err) {
  return mg_log_queue_start(err);
}

void mg_log_stop(int64_t ms) {
  mg_log_queue_stop(ms);
}

/* What fields may fill; behind it there is always room to end the line. */
static void put(struct mg_log_line *line, mg_str s) {
  if (line->cut || s.n > sizeof line->text - RESERVED - line->n) {
    line->cut = true;
    return;
  }
  if (s.n > 0) memcpy(line->text + line->n, s.p, s.n);
  line->n += s.n;
}

/* How the character at p, of n bytes, is written; n == 0: a byte that is none. */
static mg_str escape(const char *p, size_t n) {
  switch (n == 1 ? *p : '\0') {
  case '"': return MG_S("\\\"");
  case '\\': return MG_S("\\\\");
  case '\n': return MG_S("\\n");
  case '\t': return MG_S("\\t");
  default: return n == 0 || mg_utf8_is_hidden(mg_utf8_point(p, n)) ? MG_S(REPLACEMENT) : (mg_str){p, n};
  }
}

static void put_string(struct mg_log_line *line, mg_str s) {
  put(line, MG_S("\""));
  for (size_t i = 0, n; i < s.n; i += n > 0 ? n : 1) {
    n = mg_utf8_len(s.p + i, s.p + s.n);
    if (i + (n > 0 ? n : 1) > MG_LOG_VALUE) break;
    put(line, escape(s.p + i, n));
  }
  put(line, MG_S("\""));
}

/* Writes a field, whole or not at all: a string if there is one, else what `raw` holds, which is JSON. */
static void put_field(struct mg_log_line *line, const char *key, mg_str raw, const mg_str *string) {
  if (line->off) return;
  size_t before = line->n;
  put(line, before == 0 ? MG_S("{") : MG_S(","));
  put_string(line, mg_str_of(key));
  put(line, MG_S(":"));
  if (string) put_string(line, *string);
  else put(line, raw);
  if (line->cut) line->n = before;
}

/* RFC 3339, UTC. */
static void put_time(struct mg_log_line *line) {
  struct timespec now = {0};
  struct tm tm = {0};
  char text[96];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &tm);
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
           tm.tm_min, tm.tm_sec, now.tv_nsec);
  mg_log_str(line, "time", mg_str_of(text));
}

void mg_log_begin(struct mg_log_line *line, enum mg_log_level level, const char *msg) {
  line->off = !mg_log_is_on(level);
  line->cut = false;
  line->n = 0;
  if (line->off) return;
  put_time(line);
  mg_log_str(line, "level", mg_str_of(level_names[level]));
  mg_log_str(line, "msg", mg_str_of(msg));
}

void mg_log_str(struct mg_log_line *line, const char *key, mg_str value) {
  put_field(line, key, (mg_str){0}, &value);
}

void mg_log_int(struct mg_log_line *line, const char *key, int64_t value) {
  char text[24];
  int n = snprintf(text, sizeof text, "%" PRId64, value);
  put_field(line, key, (mg_str){text, (size_t)n}, NULL);
}

void mg_log_bool(struct mg_log_line *line, const char *key, bool value) {
  put_field(line, key, value ? MG_S("true") : MG_S("false"), NULL);
}

static void drop(void) {
  atomic_fetch_add_explicit(&log_dropped, 1, memory_order_relaxed);
}

/* In the thread of the queue, a descriptor that does not block and is full is waited for; else nobody waits for it. */
void mg_log_write(const char *line, size_t n) {
  int fd = atomic_load_explicit(&log_fd, memory_order_relaxed);
  struct pollfd full = {.fd = fd, .events = POLLOUT};
  ssize_t r;
  do r = write(fd, line, n);
  while (r < 0 && (errno == EINTR || (errno == EAGAIN && mg_log_queue_is_on() && poll(&full, 1, -1) >= 0)));
  if (r != (ssize_t)n) drop();
}

void mg_log_end(struct mg_log_line *line) {
  if (line->off) return;
  mg_str tail = line->cut ? MG_S(CUT "}\n") : MG_S("}\n");
  memcpy(line->text + line->n, tail.p, tail.n);
  line->n += tail.n;
  line->off = true;
  if (!mg_log_queue_is_on()) mg_log_write(line->text, line->n);
  else if (!mg_log_queue_put(line->text, line->n)) drop();
}

/* The bucket as one number: the time at which it is full again. */
bool mg_log_let(struct mg_log_rate *rate, uint64_t *ret_held) {
  if (rate->each_second == 0) return true;
  const int64_t now = (int64_t)mg_clock_ns(), one = 1000000000 / rate->each_second;
  int64_t full = atomic_load_explicit(&rate->full, memory_order_relaxed), next;
  do {
    next = (full > now ? full : now) + one;
    if (next - now > one * rate->burst) {
      atomic_fetch_add_explicit(&log_held, 1, memory_order_relaxed);
      atomic_fetch_add_explicit(&rate->held, 1, memory_order_relaxed);
      return false;
    }
  } while (!atomic_compare_exchange_weak_explicit(&rate->full, &full, next, memory_order_relaxed, memory_order_relaxed));
  *ret_held = atomic_exchange_explicit(&rate->held, 0, memory_order_relaxed);
  return true;
}
