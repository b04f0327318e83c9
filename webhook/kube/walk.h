/* Every place that a path with wild cards leads to, whether something stands there or not. */
#pragma once
#include "kube/workload.h"

/* What a wild card took. */
struct mg_choice {
  const struct mg_choice *outer;
  mg_node at; /* the item, or the key of the member */
  uint32_t number;
};

struct mg_walked {
  mg_node node;                  /* the value, or what is nearest to it */
  const struct mg_step *missing; /* the keys below that are not there */
  uint32_t missing_count;
  const struct mg_choice *choice; /* the innermost; NULL: no wild card */
};

/* A null is not there. */
static inline bool mg_walked_is_set(const struct mg_walked *place) {
  return !place->missing_count && !mg_missing(place->node);
}

typedef void mg_walk_seen(void *context, const struct mg_walked *place);

/* A wild card over nothing, or over something else than its list or object, leads nowhere. */
void mg_walk(struct mg_steps path, mg_node from, mg_walk_seen *seen, void *context);

/* What tells the places of one path apart, in oldObject too: list items by name, else by number; or, with a word for the
 * nameless, all alike. "" without a wild card. */
mg_str mg_walked_id(struct mg_arena *arena, const struct mg_walked *place, const char *nameless);

/* A list item is known by its name or groupName; "" where it has none. */
mg_str mg_item_name(mg_node item);
