#include "rules/listed.h"

#include "kube/name.h"
#include "kube/pattern.h"

enum { SHOWN = 10 };

mg_str mg_listed(struct mg_arena *arena, struct mg_list list, mg_str (*text_of)(struct mg_list list, uint32_t i)) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, 4096);
  for (uint32_t i = 0; i < list.count && i < SHOWN; i++) mg_buf_printf(&buf, "%s%.*s", i ? ", " : "", MG_FMT(text_of(list, i)));
  if (list.count > SHOWN) mg_buf_printf(&buf, " and %u more", list.count - SHOWN);
  return mg_buf_str(&buf);
}

mg_str mg_listed_string(struct mg_list list, uint32_t i) {
  return MG_LIST_AT(list, mg_str, i);
}

mg_str mg_listed_pattern(struct mg_list list, uint32_t i) {
  return mg_pattern_text(MG_LIST_AT(list, struct mg_pattern *, i));
}

static void check_name(struct mg_load *load, const char *kind, mg_node n) {
  if (n.at && !mg_name_is_dns_subdomain(mg_text(n)))
    mg_diag_error(load->diags, n, MG_AT_VALUE, "\"%.*s\" is no %s name", MG_FMT(mg_text(n)), kind);
}

void mg_listed_classes(struct mg_load *load, const char *kind, mg_node sets, mg_node allows, struct mg_list allowed) {
  check_name(load, kind, sets);
  for (mg_node n = mg_first(allows); n.at; n = mg_next(n)) check_name(load, kind, n);
  if (allows.at && !allowed.count)
    mg_diag_error(load->diags, allows, MG_AT_VALUE, "\"allowed\" must name at least one class");
  else if (allows.at && sets.at && !mg_list_has(allowed, mg_text(sets)))
    mg_diag_warn(load->diags, sets, MG_AT_VALUE, "\"%.*s\" is none of \"allowed\", so that what this rule sets it also judges",
                 MG_FMT(mg_text(sets)));
}
