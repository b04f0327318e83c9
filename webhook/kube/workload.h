/* The workload table: where each kind keeps its pod templates, as data. */
#pragma once
#include "doc/decode.h"

enum mg_role {
  MG_ROLE_NONE,
  MG_ROLE_TRAINING,
  MG_ROLE_INFERENCE,
  MG_ROLE_BATCH,
  MG_ROLE_INTERACTIVE,
  MG_ROLE_SERVICE,
  MG_ROLE_SYSTEM,
  MG_ROLES
};
extern const char *const mg_role_words[]; /* by enum mg_role, NULL-terminated; the first is "" */
#define MG_SCHEMA_ROLE "{enum: [training, inference, batch, interactive, service, system]}"
enum mg_role mg_role_of(mg_str word);     /* MG_ROLE_NONE for any other word */

enum mg_mutate { MG_MUTATE_TEMPLATE, MG_MUTATE_PODS, MG_MUTATE_NEVER };
enum mg_template_shape { MG_SHAPE_TEMPLATE, MG_SHAPE_SPEC, MG_SHAPE_FRAGMENT };

/* A path: keys, [] or [*] for every item, {} for every value; a key with dots in quotes: metadata.labels["a.b/c"], or
 * metadata.labels."a.b/c". */
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
  struct mg_opt_int minus, def;
};

enum mg_device_form { MG_DEVICE_LIMIT, MG_DEVICE_REQUEST, MG_DEVICE_SOME };

/* Devices that a kind asks for elsewhere than in a container's resources. */
struct mg_device_row {
  struct mg_steps path, resource_at; /* from the object, with the choices of the template's path */
  mg_str resource;                   /* where resource_at names none; "": nvidia.com/gpu */
  uint32_t form;                     /* enum mg_device_form */
};

struct mg_template_row {
  struct mg_steps path;
  uint32_t shape;            /* enum mg_template_shape */
  struct mg_list replicas;   /* of struct mg_replicas_row: factors of a product */
  struct mg_steps spec;           /* relative: where a fragment keeps its pod fields; not set: itself */
  struct mg_steps metadata;       /* from the object: what has the labels and annotations of a spec or fragment */
  struct mg_list containers;      /* of struct mg_steps, relative: containers outside the usual lists */
  struct mg_steps resources;      /* relative: the resources of the first of `containers`, where not its own */
  struct mg_list devices;         /* of struct mg_device_row; of the first of `containers`, else of the first container */
  bool own_shared_memory;    /* the controller mounts /dev/shm itself */
  struct {
    struct mg_steps path; /* Kubeflow's own restartPolicy, which stands before the template's */
    mg_str def;
  } restart_policy;
};

/* The limits that rules know of jobs, by the names that core gives them. */
enum mg_limit { MG_LIMIT_DEADLINE, MG_LIMIT_TTL, MG_LIMIT_BACKOFF, MG_LIMITS };
extern const char *const mg_limit_words[]; /* by enum mg_limit, NULL-terminated */

/* Where a kind keeps them: one path to what holds all of them, or a path for each that it has. */
struct mg_run_policy {
  mg_node at; /* as written; absent: the kind has none */
  struct mg_steps limits[MG_LIMITS];
};

/* Whole objects inside, such as an AppWrapper's. */
struct mg_nested_row {
  struct mg_steps path;
  struct mg_list replicas; /* of struct mg_replicas_row: how often each is made */
};

struct mg_kind_row {
  mg_str group, kind, source;
  struct mg_list versions; /* of struct mg_pattern * */
  uint32_t role;           /* enum mg_role; MG_ROLE_NONE: the table does not say */
  uint32_t mutate;         /* enum mg_mutate */
  struct mg_list pod_labels; /* of mg_str: KEY or KEY=VALUE */
  const struct mg_pair *labels; /* the same, taken apart; an empty value: any */
  struct mg_list templates;  /* of struct mg_template_row */
  struct mg_list without;    /* of mg_str */
  struct {
    bool always;
    struct mg_steps path; /* a number above 0 means that a failure is retried */
    struct mg_opt_int def;
  } retried;
  struct mg_run_policy run_policy;
  struct mg_steps priority_class; /* the PriorityClass of templates that name none */
  uint32_t scope;
  struct mg_list nested; /* of struct mg_nested_row */
  uint32_t index; /* in the table */
  mg_node at;     /* its document, for messages */
  bool built_in;  /* gives way to a user's */
};

struct mg_kind_table {
  struct mg_kind_row *rows;
  uint32_t count;
  size_t cap;
};

extern const struct mg_field mg_kind_fields[]; /* of a WorkloadKind's spec */
/* Reads a WorkloadKind's spec to *ret. */
bool mg_kind_read(struct mg_load *load, mg_node spec, struct mg_kind_row *ret);
/* Adds a row, or replaces the one of the same group and kind. -1: out of memory. */
int mg_kind_add(struct mg_kind_table *table, struct mg_arena *arena, const struct mg_kind_row *row);
/* NULL where the table has no such kind. version may be empty: any. */
const struct mg_kind_row *mg_kind_find(const struct mg_kind_table *table, mg_str group, mg_str version, mg_str kind);

/* "apps/v1" -> "apps", "v1"; "v1" -> "", "v1". */
void mg_split_api_version(mg_str api_version, mg_str *ret_group, mg_str *ret_version);

/* What a wild card took: the item or the value, and its number. */
struct mg_taken {
  mg_node at;
  uint32_t number;
};
#define MG_CHOICES 8

/* Walks steps from a node: wild cards take the choices in order, so that the replicas of a group are found beside its template.
 * Absent where a step leads nowhere. */
mg_node mg_steps_follow(struct mg_steps path, mg_node from, const struct mg_taken *choices, uint32_t choice_count);
/* The same as far as it leads, and the steps that it does not. */
mg_node mg_steps_nearest(struct mg_steps path, mg_node from, const struct mg_taken *choices, uint32_t choice_count,
                         struct mg_steps *ret_missing);
