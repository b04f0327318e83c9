#include "policy/snapshot.h"

#include <stdlib.h>

struct mg_snapshot *mg_snapshot_ref(struct mg_snapshot *snapshot) {
  atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
  return snapshot;
}

void mg_snapshot_unref(struct mg_snapshot *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  mg_pattern_owner_free(&s->patterns);
  mg_arena_fini(&s->arena);
  free(s);
}

void mg_snapshot_set_dry_run(struct mg_snapshot *s) {
  s->dry_run = true;
}

uint32_t mg_snapshot_policy_count(const struct mg_snapshot *s) {
  return s->policy_count;
}

const struct mg_policy *mg_snapshot_policy(const struct mg_snapshot *s, uint32_t index) {
  return &s->policies[index];
}

const struct mg_kind_table *mg_snapshot_kinds(const struct mg_snapshot *s) {
  return &s->kinds;
}

const struct mg_accelerators *mg_snapshot_accelerators(const struct mg_snapshot *s) {
  return &s->accelerators;
}

const struct mg_context *mg_snapshot_context(const struct mg_snapshot *s) {
  return &s->context;
}

uint32_t mg_snapshot_exception_count(const struct mg_snapshot *s) {
  return s->exception_count;
}

const struct mg_exception *mg_snapshot_exception(const struct mg_snapshot *s, uint32_t index) {
  return &s->exceptions[index];
}
