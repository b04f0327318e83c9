/* The verdict: the one value from which every answer is built. Everything in it lives in the review's arena. */
#pragma once
#include "kube/pod.h"

enum mg_action { MG_ENFORCE, MG_WARN, MG_AUDIT };                                    /* of a policy */
enum mg_outcome { MG_OUT_DENY, MG_OUT_WARN, MG_OUT_AUDIT, MG_OUT_EXEMPTED };         /* of a violation */
extern const char *const mg_action_words[];  /* enforce, warn, audit */
extern const char *const mg_outcome_words[]; /* deny, warn, audit, exempted */

struct mg_policy;
struct mg_rule;
struct mg_exception;

/* What a violation measures, so that an UPDATE can be told apart from a change for the worse. */
struct mg_measure {
  enum { MG_MEASURE_NONE, MG_MEASURE_TEXT, MG_MEASURE_MORE_IS_WORSE, MG_MEASURE_LESS_IS_WORSE } kind;
  mg_str text;
  mg_nano amount;
};

/* A field that a finding points at: the nearest node that exists, and the keys below it that do not. */
#define MG_WHERE_KEYS 12
struct mg_where {
  mg_node node;
  mg_str more[MG_WHERE_KEYS];
};

/* An edit that ends a violation and takes nothing from the author: `value`, of the same object, goes under `key` of what
 * `where` says, or in its place where the key is empty. An absent value: there is none. */
struct mg_mend {
  mg_str key;
  mg_node value;
};

struct mg_violation {
  struct mg_violation *next;
  const struct mg_policy *policy;
  const struct mg_rule *rule;
  enum mg_outcome outcome;
  bool baseline;      /* known before and hidden for that: the outcome is audit then */
  mg_str template_id; /* empty: the object */
  mg_str container;   /* name, or its place where it has none; empty: the template */
  mg_str subject;     /* what it is about: with policy, rule, template and container its identity */
  struct mg_measure measure;
  struct mg_where where;      /* in `object`; mg_violation_path and mg_violation_pointer spell it out */
  mg_node object;
  mg_str message;     /* what is there and what is wanted; the rule's own message stands before it */
  mg_str fix;         /* one line that mends it; may be empty */
  struct mg_mend mend;
  mg_str exception;   /* name, when exempted */
  const struct mg_exception *exempted_by; /* the whole of it; NULL: not exempted */
};

/* The field from the object, for people and as RFC 6901 pointer; in the arena of the object's doc. Worked out when asked, since
 * it counts the items of lists, and a hostile object has a hundred thousand violations. */
mg_str mg_violation_path(const struct mg_violation *violation);
mg_str mg_violation_pointer(const struct mg_violation *violation);

struct mg_verdict;
/* Violations that count and are not in the list, which has at most a thousand of one rule; the exempted left out. */
uint32_t mg_verdict_unlisted(const struct mg_verdict *verdict);

struct mg_warning {
  struct mg_warning *next;
  mg_str text;
};

struct mg_verdict {
  struct mg_violation *violations, **violations_end;
  uint32_t counts[4]; /* by enum mg_outcome */
  struct mg_warning *warnings, **warnings_end;
  struct mg_patch patch;     /* of the object */
  bool waiting;              /* for a registry: not final, to be asked for again */
  bool known_kind;           /* the workload table has the kind */
  bool allowed;              /* computed once, at the end: no violation denies */
  /* What each policy came to, for metrics: by policy index. */
  uint8_t *policy_results;   /* enum mg_policy_result */
  uint64_t *policy_ns;       /* that each took, of those that matched; NULL: the request has no clock */
  bool *exempting;           /* by exception index: those that spared something, edits too; NULL: none did */
  const struct mg_policy *undecided; /* at work when memory ran out; NULL: none */
};

enum mg_policy_result {
  MG_RESULT_NO_MATCH,
  MG_RESULT_PASS,
  MG_RESULT_MUTATED, /* by the first phase; what a second one says goes before it */
  MG_RESULT_EXEMPTED,
  MG_RESULT_AUDIT,
  MG_RESULT_WARN,
  MG_RESULT_DENY,
  MG_RESULTS
};
extern const char *const mg_policy_result_words[];
