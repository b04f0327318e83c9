#include "base/trace.h"

#include "base/ascii.h"

/* version-trace-parent-flags */
enum { VERSION = 0, TRACE = 3, SPAN = TRACE + MG_TRACE_ID + 1, FLAGS = SPAN + MG_SPAN_ID + 1, WHOLE = FLAGS + 2 };

/* Lower case alone, as the standard has it; -1: another character. */
static int digit(char c) {
  return mg_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (digit(p[i]) < 0) return false;
  return true;
}

static bool is_zero(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != '0') return false;
  return true;
}

bool mg_trace_read(mg_str h, struct mg_trace *ret) {
  *ret = (struct mg_trace){.known = false};
  if (h.n < WHOLE || h.p[TRACE - 1] != '-' || h.p[SPAN - 1] != '-' || h.p[FLAGS - 1] != '-') return false;
  if (!is_hex(h.p, 2) || !is_hex(h.p + TRACE, MG_TRACE_ID) || !is_hex(h.p + SPAN, MG_SPAN_ID) || !is_hex(h.p + FLAGS, 2))
    return false;
  if (memcmp(h.p, "ff", 2) == 0 || is_zero(h.p + TRACE, MG_TRACE_ID) || is_zero(h.p + SPAN, MG_SPAN_ID)) return false;
  if (h.n > WHOLE && (is_zero(h.p, 2) || h.p[WHOLE] != '-')) return false;
  memcpy(ret->trace, h.p + TRACE, MG_TRACE_ID);
  memcpy(ret->span, h.p + SPAN, MG_SPAN_ID);
  ret->sampled = digit(h.p[FLAGS + 1]) & 1;
  return ret->known = true;
}
