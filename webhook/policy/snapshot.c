#include "policy/snapshot.h"

#include <stdlib.h>

#include "kube/limit_range.h"

#define ENDS_SOON ((int64_t)14 * 86400)

const char *const mg_exception_state_words[MG_EXCEPTION_STATES] = {"active", "expiring", "expired"};

enum mg_exception_state mg_exception_state(const struct mg_exception *e, int64_t now) {
  if (e->expires <= now) return MG_EXCEPTION_EXPIRED;
  return e->expires - now <= ENDS_SOON ? MG_EXCEPTION_EXPIRING : MG_EXCEPTION_ACTIVE;
}

struct mg_snapshot *mg_snapshot_ref(struct mg_snapshot *snapshot) {
  atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
  return snapshot;
}

void mg_snapshot_unref(struct mg_snapshot *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  mg_context_unref(s->context); /* first: it may hold objects of the files */
  if (s->base) {
    mg_snapshot_unref(s->base);
  } else {
    mg_pattern_owner_free(&s->patterns);
    mg_arena_fini(&s->arena);
    mg_snapshot_unref(s->tables);
  }
  free(s);
}

#define GIVING_ARENA ((size_t)4 << 20)

/* Loading has told of those in files; of others the metrics do. */
static uint32_t count_giving(const struct mg_context *context, const struct mg_accelerators *accelerators) {
  const struct mg_context_table *table = context->tables[MG_CTX_LIMIT_RANGE];
  struct mg_arena arena;
  uint32_t n = 0;
  mg_arena_init(&arena, GIVING_ARENA, 0);
  for (uint32_t i = 0; table && i < table->count; i++) {
    n += mg_limit_range_gives(table->items[i]->object, accelerators, &arena).at != 0;
    mg_arena_reset(&arena);
  }
  mg_arena_fini(&arena);
  return n;
}

struct mg_snapshot *mg_snapshot_with(struct mg_snapshot *s, const struct mg_context *live) {
  if (s->base) s = s->base;
  struct mg_snapshot *other = malloc(sizeof *other);
  struct mg_context *context = mg_context_join(s->context, live);
  if (!other || !context) {
    free(other);
    mg_context_unref(context);
    return NULL;
  }
  context->missing = s->needs & ~live->known;
  context->giving = count_giving(context, &s->accelerators);
  memcpy(other, s, sizeof *other);
  atomic_init(&other->refs, 1);
  other->base = mg_snapshot_ref(s);
  other->context = context;
  return other;
}

uint32_t mg_snapshot_needs(const struct mg_snapshot *s) {
  return s->needs;
}

void mg_snapshot_set_dry_run(struct mg_snapshot *s) {
  s->dry_run = true;
}

uint64_t mg_snapshot_content(const struct mg_snapshot *s) {
  return s->content & ((UINT64_C(1) << 48) - 1);
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
  return s->context;
}

uint32_t mg_snapshot_exception_count(const struct mg_snapshot *s) {
  return s->exception_count;
}

const struct mg_exception *mg_snapshot_exception(const struct mg_snapshot *s, uint32_t index) {
  return &s->exceptions[index];
}

const struct mg_registry_host *mg_snapshot_registries(const struct mg_snapshot *s, uint32_t *ret_count) {
  *ret_count = s->registry_count;
  return s->registries;
}
