/* The workload table: where each kind keeps its pod templates, as data (contract section 5, reference ml-workloads.md section 1).
 */
#pragma once
#include "doc/decode.h"

enum mg_role {
  MG_ROLE_NONE,
  MG_ROLE_TRAINING,
  MG_ROLE_INFERENCE,
  MG_ROLE_BATCH,
  MG_ROLE_INTERACTIVE,
  MG_ROLE_SERVICE,
  MG_ROLE_SYSTEM
};
extern const char *const mg_role_words[]; /* by enum mg_role, NULL-terminated; the first is "" */
enum mg_role mg_role_of(mg_str word);     /* MG_ROLE_NONE for any other word */

enum mg_mutate { MG_MUTATE_TEMPLATE, MG_MUTATE_PODS, MG_MUTATE_NEVER };
enum mg_template_shape { MG_SHAPE_TEMPLATE, MG_SHAPE_SPEC, MG_SHAPE_FRAGMENT };

/* A path: keys, [] for every item, {} for every value. */
struct mg_step {
  enum { MG_STEP_KEY, MG_STEP_ITEMS, MG_STEP_VALUES } kind;
  mg_str key;
};
struct mg_steps {
  const struct mg_step *steps;
  uint32_t count;
  bool set;
};
extern const struct mg_type mg_t_steps; /* struct mg_steps */

struct mg_replicas_row {
  struct mg_steps path, max, max_when, minus_when;
  struct mg_opt_int minus;
};

struct mg_template_row {
  struct mg_steps path;
  uint32_t shape;            /* enum mg_template_shape */
  struct mg_list replicas;   /* of struct mg_replicas_row: factors of a product */
  struct mg_list containers; /* of struct mg_steps, relative: containers outside the usual lists */
  bool own_shared_memory;    /* the controller mounts /dev/shm itself */
  struct {
    struct mg_steps path; /* Kubeflow's own restartPolicy, which stands before the template's */
    mg_str def;
  } restart_policy;
};

struct mg_kind_row {
  mg_str group, kind;
  struct mg_list versions; /* of struct mg_pattern * */
  uint32_t role;           /* enum mg_role; MG_ROLE_NONE: the table does not say */
  uint32_t mutate;         /* enum mg_mutate */
  struct mg_list pod_labels; /* of mg_str */
  struct mg_list templates;  /* of struct mg_template_row */
  struct mg_list without;    /* of mg_str */
  struct {
    bool always;
    struct mg_steps path; /* a number above 0 means that a failure is retried */
    struct mg_opt_int def;
  } retried;
  mg_node run_policy;
  uint32_t scope;
  mg_node nested;
  uint32_t index; /* in the table */
  mg_node at;     /* its document, for messages */
};

struct mg_kind_table {
  struct mg_kind_row *rows;
  uint32_t count, cap;
};

/* Reads a WorkloadKind's spec to *ret. */
bool mg_kind_read(struct mg_load *load, mg_node spec, struct mg_kind_row *ret);
/* Adds a row, or replaces the one of the same group and kind. -1: out of memory. */
int mg_kind_add(struct mg_kind_table *table, struct mg_arena *arena, const struct mg_kind_row *row);
/* NULL where the table has no such kind. version may be empty: any. */
const struct mg_kind_row *mg_kind_find(const struct mg_kind_table *table, mg_str group, mg_str version, mg_str kind);

/* "apps/v1" -> "apps", "v1"; "v1" -> "", "v1". */
void mg_split_api_version(mg_str api_version, mg_str *ret_group, mg_str *ret_version);

/* Walks steps from a node: wild cards take the choice (item or member number) of `choices` in order, so that the replicas of a
 * group are found beside its template. Absent where a step leads nowhere. */
mg_node mg_steps_follow(struct mg_steps path, mg_node from, const uint32_t *choices, uint32_t choice_count);
