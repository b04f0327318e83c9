/* Fields of an object outside its templates, found by a path of the workload table. */
#pragma once
#include "kube/workload.h"

/* One field: there, or where it would be. */
struct mg_place {
  mg_node object; /* the nearest object on the way that exists */
  mg_str keys[5]; /* from there to the field: one to four, and an empty one at the end */
  mg_node value;  /* absent, or null, where the field is not there */
  mg_str id;      /* tells the fields of one path apart: items by name where they have one, else by number */
};

#define MG_MOST_PLACES 4096

/* Every field that the path leads to; the path ends in a key. Wild cards over nothing find nothing, and what is neither there nor
 * an object ends a way. Returns how many; 0 also when out of memory. */
uint32_t mg_places_find(struct mg_arena *arena, struct mg_steps path, mg_node object, struct mg_place **ret);
/* The place with that id, or NULL; most likely the one at `near`. */
const struct mg_place *mg_place_of(const struct mg_place *places, uint32_t count, mg_str id, uint32_t near);
