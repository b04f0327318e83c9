/* mg_equal: exact, without memory and at a bounded cost whatever the documents are. */
#include "doc/doc.h"

/* A compare that needs more steps or levels than these ends in "different". */
#define STEPS_MAX ((uint32_t)1 << 22)
#define DEPTH_MAX 2048

/* Past this an exponent is not added up any more; numbers that have such a one are equal only where their texts are. */
#define EXPONENT_MAX ((int64_t)1 << 40)

/* 0.DIGITS * 10^exponent; digits begins at the first that counts, and may have the point among them. */
struct decimal {
  const char *digits;
  size_t count;
  int64_t exponent;
  bool minus, huge;
};

static int64_t read_exponent(const char *p, const char *end) {
  bool minus = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  int64_t value = 0;
  for (; p < end && value <= EXPONENT_MAX; p++) value = value * 10 + (*p - '0');
  return minus ? -value : value;
}

static struct decimal read_decimal(mg_str s) {
  struct decimal ret = {.minus = s.n > 0 && s.p[0] == '-'};
  bool behind = false;
  size_t seen = 0, i = ret.minus;
  int64_t place = 0; /* of the digit, counted from the first that counts */
  for (; i < s.n && s.p[i] != 'e' && s.p[i] != 'E'; i++) {
    if (s.p[i] == '.') {
      behind = true;
      continue;
    }
    if (!ret.digits && s.p[i] != '0') ret.digits = s.p + i;
    if (ret.digits) seen++;
    if (ret.digits ? !behind : behind) place += behind ? -1 : 1;
    if (s.p[i] != '0') ret.count = seen;
  }
  if (!ret.digits) return (struct decimal){0}; /* every zero is the same */
  int64_t exponent = i < s.n ? read_exponent(s.p + i + 1, s.p + s.n) : 0;
  ret.huge = exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX;
  ret.exponent = place + exponent;
  return ret;
}

static bool equal_numbers(mg_str a, mg_str b) {
  if (mg_str_eq(a, b)) return true;
  struct decimal x = read_decimal(a), y = read_decimal(b);
  if (x.huge || y.huge || x.minus != y.minus || x.count != y.count || x.exponent != y.exponent) return false;
  for (size_t i = 0; i < x.count; i++, x.digits++, y.digits++) {
    if (*x.digits == '.') x.digits++;
    if (*y.digits == '.') y.digits++;
    if (*x.digits != *y.digits) return false;
  }
  return true;
}

/* The key of b like `key`, looked for from `from` on and then from the start: documents mostly agree in their order. */
static mg_node find_like(mg_node object, mg_node from, mg_str key, uint32_t *steps) {
  for (mg_node n = from; n.at && *steps; n = mg_next(n), --*steps)
    if (mg_str_eq(mg_text(n), key)) return n;
  for (mg_node n = mg_first(object); n.at && n.at != from.at && *steps; n = mg_next(n), --*steps)
    if (mg_str_eq(mg_text(n), key)) return n;
  return (mg_node){object.doc, 0};
}

static bool equal(mg_node a, mg_node b, uint32_t depth, uint32_t *steps);

static bool equal_objects(mg_node a, mg_node b, uint32_t depth, uint32_t *steps) {
  mg_node from = mg_first(b);
  uint32_t count = 0;
  for (mg_node key = mg_first(a); key.at; key = mg_next(key), count++) {
    mg_node like = find_like(b, from, mg_text(key), steps);
    if (!like.at || !equal(mg_value(key), mg_value(like), depth, steps)) return false;
    from = mg_next(like);
  }
  return count == mg_count(b);
}

static bool equal_arrays(mg_node a, mg_node b, uint32_t depth, uint32_t *steps) {
  mg_node x = mg_first(a), y = mg_first(b);
  for (; x.at && y.at; x = mg_next(x), y = mg_next(y))
    if (!equal(x, y, depth, steps)) return false;
  return !x.at && !y.at;
}

static bool equal(mg_node a, mg_node b, uint32_t depth, uint32_t *steps) {
  if (mg_same(a, b)) return true;
  if (mg_kind_of(a) != mg_kind_of(b) || depth == 0 || *steps == 0) return false;
  --*steps;
  switch (mg_kind_of(a)) {
  case MG_ABSENT:
  case MG_NULL:
    return true;
  case MG_NUMBER:
    return equal_numbers(mg_text(a), mg_text(b));
  case MG_ARRAY:
    return equal_arrays(a, b, depth - 1, steps);
  case MG_OBJECT:
    return equal_objects(a, b, depth - 1, steps);
  case MG_BOOL:
  case MG_STRING:
  case MG_KEY:
    break;
  }
  return mg_str_eq(mg_text(a), mg_text(b));
}

bool mg_equal(mg_node a, mg_node b) {
  uint32_t steps = STEPS_MAX;
  return equal(a, b, DEPTH_MAX, &steps);
}
