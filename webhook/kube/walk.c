#include "kube/walk.h"

#include "base/buf.h"

struct visit {
  struct mg_steps path;
  mg_walk_seen *seen;
  void *context;
};

static bool has_wild_card(const struct visit *v, uint32_t step) {
  for (; step < v->path.count; step++)
    if (v->path.steps[step].kind != MG_STEP_KEY) return true;
  return false;
}

/* Recursion is bounded by the steps of the path, at most 32. */
static void walk(const struct visit *v, uint32_t step, mg_node at, const struct mg_choice *outer) {
  struct mg_walked place = {.node = at, .choice = outer};
  for (; step < v->path.count; step++) {
    const struct mg_step *s = &v->path.steps[step];
    if (s->kind != MG_STEP_KEY) {
      struct mg_choice choice = {.outer = outer};
      if (!mg_is(place.node, s->kind == MG_STEP_ITEMS ? MG_ARRAY : MG_OBJECT)) return;
      for (choice.at = mg_first(place.node); choice.at.at; choice.at = mg_next(choice.at), choice.number++)
        walk(v, step + 1, s->kind == MG_STEP_ITEMS ? choice.at : mg_value(choice.at), &choice);
      return;
    }
    mg_node next = mg_get(place.node, s->key);
    if (!next.at) {
      if (has_wild_card(v, step)) return;
      place.missing = s;
      place.missing_count = v->path.count - step;
      break;
    }
    place.node = next;
  }
  v->seen(v->context, &place);
}

void mg_walk(struct mg_steps path, mg_node from, mg_walk_seen *seen, void *context) {
  struct visit v = {path, seen, context};
  if (from.at) walk(&v, 0, from, NULL);
}

mg_str mg_item_name(mg_node item) {
  mg_str name = mg_string(MG_GET(item, "name"));
  return name.n ? name : mg_string(MG_GET(item, "groupName"));
}

mg_str mg_walked_id(struct mg_arena *arena, const struct mg_walked *place, const char *nameless) {
  mg_str id = MG_S("");
  for (const struct mg_choice *c = place->choice; c; c = c->outer) {
    mg_str name = mg_is(c->at, MG_KEY) ? mg_text(c->at) : mg_item_name(c->at);
    if (name.n) id = mg_arena_printf(arena, "/[%.*s]%.*s", MG_FMT(name), MG_FMT(id));
    else if (nameless) id = mg_arena_printf(arena, "/%s%.*s", nameless, MG_FMT(id));
    else id = mg_arena_printf(arena, "/%u%.*s", c->number, MG_FMT(id));
  }
  return id;
}
