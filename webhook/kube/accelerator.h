/* What an accelerator is: data, the built-in document and those of policy files, compiled to one list. */
#pragma once
#include "doc/decode.h"
#include "kube/pattern.h"

enum mg_unit { MG_UNIT_COUNT, MG_UNIT_SIZE, MG_UNIT_NONE }; /* devices; memory or cores, never summed; no accelerator after all */

struct mg_accelerator_row {
  struct mg_pattern *name;
  uint32_t unit; /* enum mg_unit */
};

/* A document of kind Accelerators. Lists are of struct mg_pattern * unless said. */
struct mg_accelerators {
  struct mg_list resources; /* of struct mg_accelerator_row; the first match holds */
  struct mg_list device_classes;
  struct mg_list shares; /* of mg_str: annotation keys */
  struct {
    struct mg_list env; /* of mg_str */
    struct mg_list paths, mounts, runtime_classes, images;
  } back_doors;
  struct mg_list node_labels;
  struct mg_list infrastructure;
};

/* Compiles, and registers with load->owner, a struct mg_pattern_owner. An error is about `name`
 * and points at that spot of `at`. */
bool mg_pattern_load(struct mg_load *load, mg_str text, mg_str name, mg_node at, enum mg_spot spot, struct mg_pattern **ret);
extern const struct mg_type mg_t_pattern;     /* struct mg_pattern *; registered with load->owner, a struct mg_pattern_owner */
extern const struct mg_item mg_item_pattern;

/* Regexes hold heap memory: whoever owns a load's arena frees them through this list. */
struct mg_pattern_owner {
  struct mg_pattern_link {
    struct mg_pattern_link *next;
    struct mg_pattern *pattern;
  } *first;
};
void mg_pattern_owner_free(struct mg_pattern_owner *owner);

extern const struct mg_field mg_accelerator_fields[]; /* of an Accelerators' spec */
/* Reads one document's spec; later documents are put before earlier ones with mg_accelerators_extend. */
bool mg_accelerators_read(struct mg_load *load, mg_node spec, struct mg_accelerators *ret);
void mg_accelerators_extend(struct mg_arena *arena, struct mg_accelerators *all, const struct mg_accelerators *more);

/* The row of a resource name, or NULL where it is no accelerator. */
const struct mg_accelerator_row *mg_accelerator_of(const struct mg_accelerators *all, mg_str resource);

/* True where one pattern of a list of struct mg_pattern * matches. */
bool mg_any_pattern(struct mg_list patterns, mg_str value);
