/* Private to policy/: one evaluation, and one rule at work in it. */
#pragma once
#include "policy/snapshot.h"

/* Which containers a policy's containers, images and exclude leave of a template. */
struct mg_selection {
  bool matched;
  bool template_ok; /* no exclude names a container */
  bool *sees;       /* by container; NULL: all */
};

/* What a match with its excludes comes to for the object, worked out when it is asked for. */
struct mg_selected {
  const struct mg_policy *policy; /* for whom; NULL: not yet */
  bool object;                    /* the keys of the object hold */
  struct mg_selected_pod {
    uint32_t known; /* after so many edits, and one more; 0: not yet */
    struct mg_selection selection;
  } pods[];
};

#define MG_KNOWN_SLOTS 512

/* What an edit or a violation is known by when object and oldObject are compared. */
struct mg_known {
  struct mg_known *next;
  mg_str template_id, container, subject;
  struct mg_measure measure;
};

struct mg_eval {
  const struct mg_snapshot *snapshot;
  const struct mg_request *request;
  struct mg_request subject; /* the request as policies see it */
  struct mg_arena *arena;
  struct mg_verdict *verdict;
  int64_t now;
  struct mg_workload *workload;   /* of the object */
  struct mg_workload *old;        /* of oldObject; nothing ever edits it */
  bool is_update, may_mutate;
  uint32_t missing;               /* of the context, that the policy at work needs */
  mg_bits *candidates;
  struct mg_selected *selected;   /* of the policy at work, where no other shares it */
  struct mg_selected **shared;    /* by policy->shared; NULL: the object has too many templates */
};

enum mg_mode {
  MG_MODE_EDIT,  /* mutating rule of an enforcing policy on the object */
  MG_MODE_JUDGE, /* violations of the object, and edits that are only told of */
  MG_MODE_OLD,   /* either of them on oldObject, before: only remembered */
};

struct mg_run {
  struct mg_eval *eval;
  const struct mg_policy *policy;
  const struct mg_rule *rule;
  enum mg_mode mode;
  struct mg_pod *pod;       /* at work on; NULL: the workload */
  struct mg_pod *now;       /* the object's template, also while its likeness in oldObject is at work */
  struct mg_pod *other;     /* its template in oldObject, for the place of edits */
  const struct mg_selection *selection;
  struct mg_known **known;  /* edits or violations of oldObject: MG_KNOWN_SLOTS lists by hash; NULL: none */
  struct mg_violation *found, **found_end; /* of this rule, before they are compared */
  uint32_t stored[4], more[4]; /* how many of them by outcome, and those past the limit, which are only counted */
};

/* Object-level and template-level match of a policy with its excludes. */
bool mg_select_object(const struct mg_eval *eval, const struct mg_policy *policy);
void mg_select_template(const struct mg_eval *eval, const struct mg_policy *policy, struct mg_pod *pod, struct mg_selection *ret);

/* The exception that exempts such a finding, or holds back such an edit, or NULL; the verdict keeps in mind that it did. pod
 * NULL: object-level. */
const struct mg_exception *mg_exempted(const struct mg_eval *eval, const struct mg_rule *rule, struct mg_pod *pod,
                                       struct mg_container *c);

/* A container's name, or its place where it has none; "" for the template. */
mg_str mg_container_id(struct mg_arena *arena, const struct mg_container *c);
/* The same container in object and oldObject: by name where one has it, else by list and number. */
bool mg_same_container(const struct mg_container *a, const struct mg_container *b);
/* The template of the other object with the same id; NULL where there is none. */
struct mg_pod *mg_same_pod(const struct mg_workload *workload, const struct mg_pod *pod);
/* The action of a policy, dry run considered. */
enum mg_action mg_action_of(const struct mg_eval *eval, const struct mg_policy *policy);

/* True where the policy might match and something that it needs is not known: then its context_rule tells of eval->missing. */
bool mg_lacks_what_matters(struct mg_eval *eval, const struct mg_policy *policy);
static inline bool mg_lacks_context(struct mg_eval *eval, const struct mg_policy *policy) {
  return (eval->snapshot->context->missing & policy->needs) && mg_lacks_what_matters(eval, policy);
}

void mg_verdict_warn(struct mg_verdict *verdict, struct mg_arena *arena, mg_str text);
