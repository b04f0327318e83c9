/* match and exclude: declared, and held against a request, a template, a container. */
#pragma once
#include "policy/policy.h"

/* `Kind`, `Kind.group` or `Kind.version.group`; globs. What stands behind the kind is a group (which may have dots) or a version
 * and a group. */
struct mg_kind_pattern {
  struct mg_pattern *kind;
  struct mg_pattern *group;            /* NULL: any */
  struct mg_pattern *version, *beside; /* version NULL: any; else `beside` is its group, NULL for the core group */
};

struct mg_pattern_pair {
  mg_str key;
  struct mg_pattern *pattern;
};

extern const struct mg_type mg_t_pattern_pairs; /* struct mg_list of struct mg_pattern_pair */
extern const struct mg_type mg_t_match;       /* struct mg_match */
extern const struct mg_item mg_item_match;

/* Reports kinds that no row of the table has; called when the table is complete. `at` is the block that was read. */
void mg_match_check_kinds(struct mg_load *load, const struct mg_kind_table *kinds, const struct mg_match *match, mg_node at);

/* The row's kind can match, whatever the version: for the index. */
bool mg_match_kind_possible(const struct mg_match *match, const struct mg_kind_row *row);

/* How a match is meant: an error of a regex, and a device claim that cannot be resolved, always end on the side that exempts
 * nothing by accident. */
enum mg_sense { MG_SENSE_MATCH, MG_SENSE_EXCLUDE };

/* The keys of the object: kinds, operations, namespaces, namespaceSelector, names, users, groups. */
bool mg_match_object(const struct mg_match *match, enum mg_sense sense, const struct mg_request *request,
                     const struct mg_context *context);
/* The keys of the template: selector, annotations, roles, accelerators. */
bool mg_match_template(const struct mg_match *match, enum mg_sense sense, const struct mg_pod *pod);
/* The keys of a container; true where there are none. */
bool mg_match_container(const struct mg_match *match, enum mg_sense sense, struct mg_pod *pod, struct mg_container *c);
static inline bool mg_match_has_containers(const struct mg_match *match) {
  return match->has_containers || match->has_images;
}
/* It has a key of the template or of a container, which holds for nothing where there is no template. */
bool mg_match_needs_template(const struct mg_match *match);

/* For people who ask why: the first key of the block that does not hold for the object, or, where a pod is given, for the
 * template; NULL where all do. `operations` counts as a key that is always there. */
const char *mg_match_missed(const struct mg_match *match, enum mg_sense sense, const struct mg_request *request,
                            const struct mg_context *context, struct mg_pod *pod);
