#include "policy/verdict.h"

const char *const mg_outcome_words[] = {"deny", "warn", "audit", "exempted", NULL};
const char *const mg_policy_result_words[] = {"no_match", "pass", "mutated", "exempted", "audit", "warn", "deny", NULL};

static mg_str join_pointer(struct mg_arena *arena, mg_str head, const mg_str *more) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, SIZE_MAX);
  mg_buf_put(&buf, head);
  for (int i = 0; i < MG_WHERE_KEYS && more[i].p; i++) {
    mg_buf_byte(&buf, '/');
    for (size_t c = 0; c < more[i].n; c++) {
      if (more[i].p[c] == '~' || more[i].p[c] == '/')
        mg_buf_put(&buf, more[i].p[c] == '~' ? MG_S("~0") : MG_S("~1"));
      else
        mg_buf_byte(&buf, more[i].p[c]);
    }
  }
  return mg_buf_str(&buf);
}

static mg_str join_path(struct mg_arena *arena, mg_str head, const mg_str *more) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, SIZE_MAX);
  mg_buf_put(&buf, head);
  for (int i = 0; i < MG_WHERE_KEYS && more[i].p; i++) {
    bool plain = mg_path_is_plain(more[i]);
    if (plain && buf.n) mg_buf_byte(&buf, '.');
    if (!plain) mg_buf_lit(&buf, "[\"");
    mg_buf_put(&buf, more[i]);
    if (!plain) mg_buf_lit(&buf, "\"]");
  }
  return mg_buf_str(&buf);
}

mg_str mg_violation_path(const struct mg_violation *v) {
  if (!v->object.doc) return MG_S("");
  struct mg_arena *arena = v->object.doc->arena;
  return join_path(arena, mg_path(arena, v->object, v->where.node), v->where.more);
}

mg_str mg_violation_pointer(const struct mg_violation *v) {
  if (!v->object.doc) return MG_S("");
  struct mg_arena *arena = v->object.doc->arena;
  return join_pointer(arena, mg_pointer(arena, v->object, v->where.node), v->where.more);
}

uint32_t mg_verdict_unlisted(const struct mg_verdict *verdict) {
  uint32_t counted = 0, listed = 0;
  for (int i = 0; i < MG_OUT_EXEMPTED; i++) counted += verdict->counts[i];
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) listed += v->outcome != MG_OUT_EXEMPTED;
  return counted > listed ? counted - listed : 0;
}
