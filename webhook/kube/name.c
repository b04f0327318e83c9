#include "kube/name.h"

#include "base/ascii.h"

enum { LABEL_MAX = 63, SUBDOMAIN_MAX = 253 };

static bool is_low(char c) {
  return mg_is_lower(c) || mg_is_digit(c);
}

/* Letters and digits, at both ends nothing else, between them also `inner`. */
static bool is_word(mg_str s, bool (*letter)(char), mg_str inner) {
  if (s.n == 0 || !letter(s.p[0]) || !letter(s.p[s.n - 1])) return false;
  for (size_t i = 1; i + 1 < s.n; i++)
    if (!letter(s.p[i]) && mg_str_find(inner, s.p[i]) == inner.n) return false;
  return true;
}

bool mg_name_is_label_value(mg_str s) {
  return s.n == 0 || (s.n <= LABEL_MAX && is_word(s, mg_is_alnum, MG_S("-_.")));
}

bool mg_name_is_dns_label(mg_str s) {
  return s.n <= LABEL_MAX && is_word(s, is_low, MG_S("-"));
}

bool mg_name_is_dns_subdomain(mg_str s) {
  if (s.n > SUBDOMAIN_MAX) return false;
  for (;;) {
    size_t dot = mg_str_find(s, '.');
    if (!is_word((mg_str){s.p, dot}, is_low, MG_S("-"))) return false;
    if (dot == s.n) return true;
    s = (mg_str){s.p + dot + 1, s.n - dot - 1};
  }
}

bool mg_name_is_label_key(mg_str s) {
  size_t slash = mg_str_find(s, '/');
  if (slash == s.n) return s.n > 0 && mg_name_is_label_value(s);
  mg_str name = mg_str_from(s, slash + 1);
  return name.n > 0 && mg_name_is_label_value(name) && mg_name_is_dns_subdomain((mg_str){s.p, slash});
}
