/* Private to policy/: what a snapshot is made of. */
#pragma once
#include <stdatomic.h>

#include "policy/match.h"

typedef uint64_t mg_bits; /* sets of policies, 64 a word */

struct mg_index {
  uint32_t words;
  mg_bits **by_kind;     /* by row of the workload table */
  mg_bits *by_operation[4];
  mg_bits *by_role[MG_ROLES];
  mg_bits *any_namespace; /* policies without `namespaces`, or with a pattern that has no literal beginning */
  /* The others by the bytes that a pattern begins with: an open-addressed table. */
  struct mg_prefix {
    mg_str text;
    mg_bits *starts, *equals; /* the namespace starts with the text; is the text */
  } *prefixes;
  uint32_t prefix_slots;
  mg_bits lengths; /* bit n: a prefix of n bytes is there; namespaces have at most 63 */
};

/* Policies and one context. With another context everything else is shared with the snapshot that was loaded, `base`. */
struct mg_snapshot {
  atomic_uint refs;
  struct mg_snapshot *base; /* NULL: it was loaded, and what is below is its own */
  struct mg_snapshot *tables; /* NULL: it has read the built-in ones itself */
  struct mg_arena arena;
  struct mg_pattern_owner patterns;
  struct mg_kind_table kinds;
  struct mg_accelerators accelerators;
  struct mg_context *context;
  uint32_t needs; /* of all policies and exceptions */
  struct mg_policy *policies;
  uint32_t policy_count;
  uint32_t shared_count; /* selections that several policies share */
  struct mg_exception *exceptions;
  uint32_t exception_count;
  struct mg_registry_host *registries;
  uint32_t registry_count;
  uint32_t rule_count;
  size_t policy_cap, exception_cap, registry_cap;
  struct mg_index index;
  bool dry_run;
  uint64_t content;
};

/* Works out what a policy needs of the context, when its rules are complete. */
void mg_policy_note_needs(struct mg_policy *policy, struct mg_arena *arena);
uint32_t mg_exception_needs(const struct mg_exception *exception);

/* Finds the policies whose match and excludes say the same, so that a review works out only once what they select. */
int mg_share_selections(struct mg_snapshot *snapshot);

int mg_index_build(struct mg_snapshot *snapshot);
/* Sets the bit of every policy that can match; `bits` has index.words words. */
void mg_index_find(const struct mg_snapshot *snapshot, const struct mg_kind_row *kind, enum mg_operation operation, mg_str ns,
                   mg_bits *bits);
/* Takes out the policies that are for roles which no template has; without templates, all that are for roles. */
void mg_index_roles(const struct mg_snapshot *snapshot, const struct mg_workload *workload, mg_bits *bits);
