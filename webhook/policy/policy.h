/* Policies, compiled, and the snapshot that one review sees: immutable and counted. */
#pragma once
#include "kube/selector.h"
#include "kube/review.h"
#include "policy/rule.h"

/* One match or exclude block. A list that is not there holds. */
struct mg_match {
  struct mg_list kinds;       /* of struct mg_kind_pattern */
  struct mg_list operations;  /* of uint32_t (enum mg_operation) */
  struct mg_list namespaces, names, users, groups; /* of struct mg_pattern * */
  const struct mg_selector *namespace_selector, *selector;
  bool has_namespace_selector, has_selector;
  struct mg_list annotations; /* of struct mg_pattern_pair */
  struct mg_list roles;       /* of uint32_t (index into the six words) */
  struct {
    enum { MG_ACC_ANY, MG_ACC_SOME, MG_ACC_NONE, MG_ACC_LIST } kind;
    struct mg_list names; /* of struct mg_pattern * */
  } accelerators;
  struct mg_list containers, images; /* of struct mg_pattern * */
  bool has_empty; /* a list without entries: as if not given, but an exclude or exception with one exempts nothing */
  bool has_kinds, has_operations, has_namespaces, has_names, has_users, has_groups, has_roles, has_containers, has_images;
};

enum mg_on_missing { MG_MISSING_WARN, MG_MISSING_DENY, MG_MISSING_IGNORE };

struct mg_policy {
  mg_str name;
  mg_str docs; /* the mlgate.dev/docs annotation */
  mg_str description;
  uint32_t action; /* enum mg_action */
  uint32_t on_missing; /* enum mg_on_missing */
  uint32_t needs; /* what match, exclude and rules ask of the context: bits of its kinds */
  const struct mg_rule *context_rule; /* in whose name it is told that the context is not known */
  struct mg_match match;
  struct mg_list exclude; /* of struct mg_match */
  struct mg_rule *rules;
  uint32_t rule_count;
  uint32_t index; /* in the snapshot */
  uint32_t shared; /* the number of its selection, if other policies have the same match and excludes; else MG_NOT_SHARED */
  mg_node at;     /* its document */
};
#define MG_NOT_SHARED UINT32_MAX

struct mg_exception {
  mg_str name;
  struct mg_list policies, rules; /* of mg_str */
  struct mg_match match;
  mg_str owner, reason;
  int64_t expires; /* the first second (Unix) at which it holds no more */
  mg_node at;
};

/* One `kind: Registry` document. */
struct mg_registry_host {
  mg_str host;                /* "registry.example:5000" */
  mg_str mirror;              /* HOST[:PORT] that is asked first; "": none */
  mg_str ca_file, auth_file;  /* "": none; auth_file: a Docker config.json */
  mg_str platform;            /* "": any */
  bool insecure;              /* TLS without verification, then plain HTTP */
  int64_t timeout_ms;         /* of one request; 0: not said */
  mg_node at;                 /* its document's spec, for messages */
};

/* Expiring: it ends within fourteen days. */
enum mg_exception_state { MG_EXCEPTION_ACTIVE, MG_EXCEPTION_EXPIRING, MG_EXCEPTION_EXPIRED, MG_EXCEPTION_STATES };
extern const char *const mg_exception_state_words[MG_EXCEPTION_STATES];
enum mg_exception_state mg_exception_state(const struct mg_exception *exception, int64_t now);

struct mg_snapshot;

struct mg_source {
  const char *path; /* as it is shown */
  mg_str text;      /* borrowed; must outlive the snapshot unless `copy` is set */
  bool copy;
  bool context_only; /* from --context: a policy in it is an error */
  bool pack;         /* shipped: its documents give way to others of the same kind and name */
};

/* Compiles files in the given order, the built-in tables first. On any error *ret is NULL and the errors are in diags; warnings
 * may be there either way. */
int mg_snapshot_new(struct mg_snapshot **ret, mg_rule_types types, const struct mg_source *sources, size_t count,
                    struct mg_diags *diags, struct mg_err *err);
/* The same for who loads many: with the tables of `tables`, which was loaded from no files, instead of reading them anew. */
int mg_snapshot_new_beside(struct mg_snapshot **ret, struct mg_snapshot *tables, mg_rule_types types,
                           const struct mg_source *sources, size_t count, struct mg_diags *diags, struct mg_err *err);
struct mg_snapshot *mg_snapshot_ref(struct mg_snapshot *snapshot);
void mg_snapshot_unref(struct mg_snapshot *snapshot); /* NULL is fine */
static inline void mg_snapshot_unrefp(struct mg_snapshot **snapshot) {
  mg_snapshot_unref(*snapshot);
}
#define MG_SNAPSHOT_AUTO __attribute__((cleanup(mg_snapshot_unrefp))) struct mg_snapshot *

/* The same policies and files with what is watched beside them; of two objects of one name the files' holds. What policies need
 * and is not among live->known is then missing. NULL: out of memory. */
struct mg_snapshot *mg_snapshot_with(struct mg_snapshot *snapshot, const struct mg_context *live);
/* Bits of the kinds of context that policies and exceptions ask for. */
uint32_t mg_snapshot_needs(const struct mg_snapshot *snapshot);

/* Every policy acts as audit, whatever it says (serve --dry-run). Before the first review only. */
void mg_snapshot_set_dry_run(struct mg_snapshot *snapshot);

/* Tells files apart from others: a hash of their names and texts, in their order; 48 bits, so that a double holds it. */
uint64_t mg_snapshot_content(const struct mg_snapshot *snapshot);
uint32_t mg_snapshot_policy_count(const struct mg_snapshot *snapshot);
const struct mg_policy *mg_snapshot_policy(const struct mg_snapshot *snapshot, uint32_t index);
const struct mg_kind_table *mg_snapshot_kinds(const struct mg_snapshot *snapshot);
const struct mg_context *mg_snapshot_context(const struct mg_snapshot *snapshot);
const struct mg_accelerators *mg_snapshot_accelerators(const struct mg_snapshot *snapshot);
const struct mg_registry_host *mg_snapshot_registries(const struct mg_snapshot *snapshot, uint32_t *ret_count);
uint32_t mg_snapshot_exception_count(const struct mg_snapshot *snapshot);
const struct mg_exception *mg_snapshot_exception(const struct mg_snapshot *snapshot, uint32_t index);

enum mg_phase { MG_PHASE_MUTATE = 1, MG_PHASE_VALIDATE = 2 };

/* Judges one request. `phases` is one phase (the webhook) or both, mutation first (check). The verdict's patch and the request's
 * object, which is edited in place, belong to the arena. `now` is Unix seconds, for exceptions. 0, MG_E_NOMEM. */
int mg_evaluate(const struct mg_snapshot *snapshot, const struct mg_request *request, unsigned phases, int64_t now,
                struct mg_arena *arena, struct mg_verdict *ret, struct mg_err *err);
