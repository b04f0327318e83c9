#include "rules/overlap.h"

#include "policy/match.h"

bool mg_overlap_patterns(const struct mg_pattern *a, const struct mg_pattern *b) {
  bool whole_a = false, whole_b = false;
  mg_str start_a = mg_pattern_prefix(a, &whole_a), start_b = mg_pattern_prefix(b, &whole_b);
  if (whole_a) return mg_pattern_match(b, start_a) != 0;
  if (whole_b) return mg_pattern_match(a, start_b) != 0;
  return mg_str_starts(start_a, start_b) || mg_str_starts(start_b, start_a);
}

static bool lists_meet(bool has_a, struct mg_list a, bool has_b, struct mg_list b) {
  if (!has_a || !has_b) return true;
  for (uint32_t i = 0; i < a.count; i++)
    for (uint32_t j = 0; j < b.count; j++)
      if (mg_overlap_patterns(MG_LIST_AT(a, struct mg_pattern *, i), MG_LIST_AT(b, struct mg_pattern *, j))) return true;
  return false;
}

static bool words_meet(bool has_a, struct mg_list a, bool has_b, struct mg_list b) {
  if (!has_a || !has_b) return true;
  for (uint32_t i = 0; i < a.count; i++)
    for (uint32_t j = 0; j < b.count; j++)
      if (MG_LIST_AT(a, uint32_t, i) == MG_LIST_AT(b, uint32_t, j)) return true;
  return false;
}

static bool kinds_meet(const struct mg_match *a, const struct mg_match *b) {
  if (!a->has_kinds || !b->has_kinds) return true;
  for (uint32_t i = 0; i < a->kinds.count; i++)
    for (uint32_t j = 0; j < b->kinds.count; j++)
      if (mg_overlap_patterns(MG_LIST_AT(a->kinds, struct mg_kind_pattern, i).kind,
                              MG_LIST_AT(b->kinds, struct mg_kind_pattern, j).kind))
        return true;
  return false;
}

static bool accelerators_meet(const struct mg_match *a, const struct mg_match *b) {
  const bool none_a = a->accelerators.kind == MG_ACC_NONE, none_b = b->accelerators.kind == MG_ACC_NONE;
  return !(none_a && !none_b && b->accelerators.kind != MG_ACC_ANY) && !(none_b && !none_a && a->accelerators.kind != MG_ACC_ANY);
}

static bool matches_meet(const struct mg_match *a, const struct mg_match *b) {
  return kinds_meet(a, b) && accelerators_meet(a, b) && words_meet(a->has_roles, a->roles, b->has_roles, b->roles) &&
         words_meet(a->has_operations, a->operations, b->has_operations, b->operations) &&
         lists_meet(a->has_namespaces, a->namespaces, b->has_namespaces, b->namespaces) &&
         lists_meet(a->has_names, a->names, b->has_names, b->names) && lists_meet(a->has_users, a->users, b->has_users, b->users);
}

const struct mg_rule *mg_overlap_next(const struct mg_snapshot *snapshot, const struct mg_rule *rule, uint64_t *state) {
  if (rule->policy->action != MG_ENFORCE) return NULL;
  for (uint32_t p = (uint32_t)(*state >> 32); p <= rule->policy->index; p++) {
    const struct mg_policy *policy = mg_snapshot_policy(snapshot, p);
    for (uint32_t r = (uint32_t)*state; r < policy->rule_count; r++) {
      const struct mg_rule *other = &policy->rules[r];
      if (other->index >= rule->index) return NULL;
      if (policy->action != MG_ENFORCE || other->type != rule->type) continue;
      if (policy != rule->policy && !matches_meet(&policy->match, &rule->policy->match)) continue;
      *state = (uint64_t)p << 32 | (r + 1);
      return other;
    }
    *state = (uint64_t)(p + 1) << 32;
  }
  return NULL;
}
