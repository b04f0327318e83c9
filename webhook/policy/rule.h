/* What a rule type is, and what a rule may do. A rule is pure: parameters and a view in, edits and violations out. */
#pragma once
#include "kube/edit.h"
#include "kube/image_facts.h"
#include "policy/verdict.h"

struct mg_snapshot; /* policy/policy.h: mg_snapshot_context, mg_snapshot_policy */
struct mg_run; /* one rule at work on one template or object; what it may ask and say is below */

struct mg_rule_type {
  const char *name; /* the YAML key */
  const char *doc;  /* one or two sentences, for explain and the reference */
  const struct mg_field *fields;
  size_t params_size;
  /* What one field alone cannot say; adds errors and returns false. May be NULL. */
  bool (*compile)(struct mg_load *load, mg_node at, void *params);
  /* Asks for edits (mg_run_wants) and makes them. */
  void (*mutate)(struct mg_run *run, const void *params, struct mg_pod *pod);
  void (*judge)(struct mg_run *run, const void *params, struct mg_pod *pod);
  /* What is outside the templates, and sums over all of them; called once an object if one template matches,
   * or if it has none and only keys of objects are given. */
  void (*mutate_workload)(struct mg_run *run, const void *params, struct mg_workload *workload);
  void (*judge_workload)(struct mg_run *run, const void *params, const struct mg_workload *workload);
  /* Checks that need the whole snapshot, such as two rules that contradict each other, or a class that context knows: adds errors
   * or warnings. */
  void (*cross_check)(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot);
  /* What a rule with these parameters asks of the context: bits `1u << enum mg_context_kind`. NULL: nothing. */
  uint32_t (*needs)(const void *params);
};

static inline bool mg_rule_type_mutates(const struct mg_rule_type *type) {
  return type->mutate || type->mutate_workload;
}

/* The table of rule types, NULL-terminated: rules/rules.h. Passed to the loader, so that policy/ knows rules only by this
 * interface. */
typedef const struct mg_rule_type *const *mg_rule_types;

struct mg_rule {
  const struct mg_rule_type *type;
  const struct mg_policy *policy;
  mg_str name;    /* default: the type's */
  mg_str message; /* stands before the built-in text */
  void *params;
  uint32_t index; /* among all rules of the snapshot, in order */
  mg_node at;     /* in the policy file */
};

/* Follows keys from a node as far as they exist; the list ends with (mg_str){0}. At most four. */
struct mg_where mg_where_of(mg_node from, const mg_str keys[5]);
#define MG_WHERE(from, ...) mg_where_of((from), (const mg_str[5]){__VA_ARGS__})

/* The arena of the review, and the context (never NULL; may be empty). */
struct mg_arena *mg_run_arena(const struct mg_run *run);
const struct mg_context *mg_run_context(const struct mg_run *run);

/* False where `containers`, `images` or an exclude leave this container out. Rules that judge containers see only the others. */
bool mg_run_sees(const struct mg_run *run, const struct mg_container *c);
/* False where an exclude names a container of the template: template-level checks and edits then leave the template alone. */
bool mg_run_sees_template(const struct mg_run *run);

/* CREATE, UPDATE …, and whether the request is an UPDATE with an oldObject. */
enum mg_operation mg_run_operation(const struct mg_run *run);
bool mg_run_is_update(const struct mg_run *run);
/* The view of the same template in oldObject, or NULL. */
struct mg_pod *mg_run_old_pod(const struct mg_run *run);
/* The row of the kind that controls the object; NULL where nothing does, or a kind that the table does not have. */
const struct mg_kind_row *mg_run_owner(const struct mg_run *run, mg_node object);
/* The same container of that template, or NULL. */
struct mg_container *mg_run_old_container(const struct mg_run *run, const struct mg_container *c);
/* The view of oldObject, or NULL: the request has none, or it is oldObject that is at work. */
const struct mg_workload *mg_run_old_workload(const struct mg_run *run);
/* What the rule's policy does, dry run considered. */
enum mg_action mg_run_action(const struct mg_run *run);

struct mg_finding {
  struct mg_mend mend;       /* an edit that is safe to make instead of the author */
  struct mg_pod *pod;        /* NULL: the object as a whole */
  struct mg_container *container; /* NULL: the template */
  struct mg_where where;
  mg_str subject; /* identity beside policy, rule, template, container: borrowed from params, a literal, or the arena */
  struct mg_measure measure;
  mg_str fix;                /* one line; empty: none */
  enum mg_outcome hardest;   /* what it comes to at most, whatever the policy's action */
};
/* Reports a violation. The text says what is there and what is wanted, without policy, rule or path: `container "a" requests 8
 * nvidia.com/gpu and sets no limit`. */
void mg_run_violation(struct mg_run *run, const struct mg_finding *finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A warning that is no violation. */
void mg_run_warning(struct mg_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks to make one edit: `subject` names the thing (which toleration, label key, mount path, resource key, field), not its value.
 * True: make it now. False: leave it, because the same rule would make it on oldObject too, or because the policy only warns or
 * audits (then the finding has become a violation whose fix says what would be added), or because the object is not to be
 * changed. */
bool mg_run_wants(struct mg_run *run, const struct mg_finding *finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* False where no finding becomes a violation, so that its texts (`fix` and the format's arguments) need not be made. */
bool mg_run_explains(const struct mg_run *run);
/* The patch to pass to the edits of kube/edit.h. */
struct mg_patch *mg_run_patch(struct mg_run *run);

/* What is known of an image; MG_IMAGE_WAIT marks the verdict as not final. MG_IMAGE_UNKNOWN without a *ret_why: nobody is asked
 * here, and there is nothing to say. */
enum mg_image_answer mg_run_image(struct mg_run *run, const struct mg_image_query *query, const struct mg_image_facts **ret_facts,
                                  const struct mg_image_facts **ret_bases, mg_str *ret_why);

/* The other matching rules of the same type on this template, in order; *state starts at 0. NULL at the end. */
const struct mg_rule *mg_run_next_rule(struct mg_run *run, const struct mg_rule_type *type, struct mg_pod *pod, uint64_t *state);
const struct mg_rule *mg_run_rule(const struct mg_run *run);

/* Types of fields that rules share. */
struct mg_opt_quantity {
  bool set;
  struct mg_quantity q;
};
extern const struct mg_type mg_t_quantity; /* struct mg_opt_quantity */
extern const struct mg_type mg_t_percent;  /* struct mg_opt_int: "50%" -> 50; 1 to 100 */
