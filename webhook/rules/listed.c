#include "rules/listed.h"

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
