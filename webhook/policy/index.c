/* Which policies can match at all, so that the others cost nothing: by kind, operation, the beginning of the namespace patterns,
 * and the roles of the templates. */
#include "policy/snapshot.h"

static void set(mg_bits *bits, uint32_t i) {
  bits[i / 64] |= (mg_bits)1 << (i % 64);
}

static struct mg_prefix *slot_of(const struct mg_index *index, mg_str text) {
  uint64_t at = mg_str_hash(MG_HASH, text) & (index->prefix_slots - 1);
  while (index->prefixes[at].text.p && !mg_str_eq(index->prefixes[at].text, text)) at = (at + 1) & (index->prefix_slots - 1);
  return &index->prefixes[at];
}

static int add_prefix(struct mg_snapshot *s, mg_str text, bool whole, uint32_t policy) {
  struct mg_index *index = &s->index;
  struct mg_prefix *p = slot_of(index, text);
  if (!p->text.p) {
    p->starts = MG_NEW_N(&s->arena, mg_bits, index->words);
    p->equals = MG_NEW_N(&s->arena, mg_bits, index->words);
    if (!p->starts || !p->equals) return MG_E_NOMEM;
    p->text = text;
    index->lengths |= (mg_bits)1 << text.n;
  }
  set(whole ? p->equals : p->starts, policy);
  return 0;
}

static int index_namespaces(struct mg_snapshot *s, const struct mg_policy *policy) {
  const struct mg_match *m = &policy->match;
  bool any = !m->has_namespaces;
  for (uint32_t i = 0; i < m->namespaces.count && !any; i++) {
    bool whole;
    mg_str prefix = mg_pattern_prefix(MG_LIST_AT(m->namespaces, struct mg_pattern *, i), &whole);
    any = (prefix.n == 0 && !whole) || prefix.n > 63;
  }
  if (any) set(s->index.any_namespace, policy->index);
  for (uint32_t i = 0; i < m->namespaces.count && !any; i++) {
    bool whole;
    mg_str prefix = mg_pattern_prefix(MG_LIST_AT(m->namespaces, struct mg_pattern *, i), &whole);
    if (!prefix.p) prefix = MG_S("");
    if (add_prefix(s, prefix, whole, policy->index)) return MG_E_NOMEM;
  }
  return 0;
}

static bool has_operation(const struct mg_match *m, uint32_t operation) {
  if (!m->has_operations) return operation == MG_CREATE || operation == MG_UPDATE;
  for (uint32_t i = 0; i < m->operations.count; i++)
    if (MG_LIST_AT(m->operations, uint32_t, i) == operation) return true;
  return false;
}

static bool has_role(const struct mg_match *m, uint32_t role) {
  for (uint32_t i = 0; i < m->roles.count; i++)
    if (MG_LIST_AT(m->roles, uint32_t, i) == role) return true;
  return !m->has_roles;
}

int mg_index_build(struct mg_snapshot *s) {
  struct mg_index *index = &s->index;
  uint32_t patterns = 1;
  for (uint32_t p = 0; p < s->policy_count; p++) patterns += s->policies[p].match.namespaces.count;
  index->words = (s->policy_count + 63) / 64;
  if (!index->words) index->words = 1;
  for (index->prefix_slots = 16; index->prefix_slots < patterns * 2; index->prefix_slots *= 2) {}
  index->prefixes = MG_NEW_N(&s->arena, struct mg_prefix, index->prefix_slots);
  index->by_kind = MG_NEW_N(&s->arena, mg_bits *, s->kinds.count + 1);
  index->any_namespace = MG_NEW_N(&s->arena, mg_bits, index->words);
  for (int op = 0; op < 4; op++) index->by_operation[op] = MG_NEW_N(&s->arena, mg_bits, index->words);
  for (int role = 0; role < MG_ROLES; role++) index->by_role[role] = MG_NEW_N(&s->arena, mg_bits, index->words);
  if (s->arena.failed) return MG_E_NOMEM;
  for (uint32_t k = 0; k < s->kinds.count; k++) {
    if (!(index->by_kind[k] = MG_NEW_N(&s->arena, mg_bits, index->words))) return MG_E_NOMEM;
    for (uint32_t p = 0; p < s->policy_count; p++)
      if (mg_match_kind_possible(&s->policies[p].match, &s->kinds.rows[k])) set(index->by_kind[k], p);
  }
  for (uint32_t p = 0; p < s->policy_count; p++) {
    for (uint32_t op = 0; op < 4; op++)
      if (has_operation(&s->policies[p].match, op)) set(index->by_operation[op], p);
    for (uint32_t role = 0; role < MG_ROLES; role++)
      if (has_role(&s->policies[p].match, role)) set(index->by_role[role], p);
    if (index_namespaces(s, &s->policies[p])) return MG_E_NOMEM;
  }
  return 0;
}

void mg_index_find(const struct mg_snapshot *s, const struct mg_kind_row *kind, enum mg_operation operation, mg_str ns,
                   mg_bits *bits) {
  const struct mg_index *index = &s->index;
  memcpy(bits, index->any_namespace, index->words * sizeof *bits);
  for (size_t n = 0; n <= ns.n && n <= 63; n++) {
    if (!(index->lengths >> n & 1)) continue;
    const struct mg_prefix *p = slot_of(index, (mg_str){ns.p ? ns.p : "", n});
    if (!p->text.p) continue;
    for (uint32_t w = 0; w < index->words; w++) bits[w] |= p->starts[w] | (n == ns.n ? p->equals[w] : 0);
  }
  const mg_bits *by_kind = index->by_kind[kind->index], *by_operation = index->by_operation[operation];
  for (uint32_t w = 0; w < index->words; w++) bits[w] &= by_kind[w] & by_operation[w];
}

void mg_index_roles(const struct mg_snapshot *s, const struct mg_workload *workload, mg_bits *bits) {
  const struct mg_index *index = &s->index;
  uint32_t roles = 0;
  for (uint32_t i = 0; i < workload->pod_count; i++) roles |= 1u << workload->pods[i]->role;
  if (!workload->pod_count) roles = 1u << MG_ROLE_NONE; /* left are those that are for any */
  for (uint32_t w = 0; w < index->words; w++) {
    mg_bits any = 0;
    for (uint32_t left = roles; left; left &= left - 1) any |= index->by_role[__builtin_ctz(left)][w];
    bits[w] &= any;
  }
}
