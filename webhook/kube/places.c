#include "kube/places.h"

#include "kube/walk.h"

#define MOST_MISSING 4 /* keys of a place */

struct search {
  struct mg_arena *arena;
  struct mg_place *places;
  uint32_t count, cap;
};

static struct mg_place *add_place(struct search *s) {
  if (s->count == MG_MOST_PLACES) return NULL;
  if (s->count == s->cap) {
    uint32_t cap = s->cap ? 2 * s->cap : 4;
    struct mg_place *more = mg_arena_grow(s->arena, s->places, s->cap * sizeof *more, cap * sizeof *more);
    if (!more) return NULL;
    s->places = more;
    s->cap = cap;
  }
  return &s->places[s->count];
}

/* What a wild card took is there as it is: a null among it is nobody's to replace. */
static bool is_taken(const struct mg_walked *walked) {
  const struct mg_choice *c = walked->choice;
  return c && (mg_same(c->at, walked->node) || mg_same(mg_value(c->at), walked->node));
}

/* What is neither there nor an object ends a way; in the place of a null an object can be made. */
static void take(void *context, const struct mg_walked *walked) {
  struct search *s = context;
  const bool named = !walked->missing_count || (mg_missing(walked->node) && !is_taken(walked));
  mg_node object = named ? mg_parent(walked->node) : walked->node;
  if (!mg_is(object, MG_OBJECT) || walked->missing_count + named > MOST_MISSING) return;
  struct mg_place *place = add_place(s);
  if (!place) return;
  *place = (struct mg_place){.object = object, .id = mg_walked_id(s->arena, walked, NULL)};
  if (named) place->keys[0] = mg_text(mg_key_of(walked->node));
  if (!walked->missing_count) place->value = walked->node;
  for (uint32_t i = 0; i < walked->missing_count; i++) place->keys[i + named] = walked->missing[i].key;
  s->count++;
}

uint32_t mg_places_find(struct mg_arena *arena, struct mg_steps path, mg_node object, struct mg_place **ret) {
  struct search s = {.arena = arena};
  if (path.count && path.steps[path.count - 1].kind == MG_STEP_KEY) mg_walk(path, object, take, &s);
  *ret = s.places;
  return arena->failed ? 0 : s.count;
}

const struct mg_place *mg_place_of(const struct mg_place *places, uint32_t count, mg_str id, uint32_t near) {
  if (near < count && mg_str_eq(places[near].id, id)) return &places[near];
  for (uint32_t i = 0; i < count; i++)
    if (mg_str_eq(places[i].id, id)) return &places[i];
  return NULL;
}
