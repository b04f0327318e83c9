/* Many policies say the same of where they hold. They share one selection: what it comes to for an object is worked out for the
 * first of them, and the others read it. */
#include <stdlib.h>

#include "doc/json.h"
#include "policy/snapshot.h"

#define TEXT_MAX ((size_t)64 << 10) /* of one match with its excludes; a longer one is not shared */

struct selection {
  mg_node match, exclude;
  uint64_t hash;
};

static void put(struct mg_buf *text, mg_node n) {
  if (!mg_missing(n)) mg_json_write(text, n);
  mg_buf_byte(text, '\n');
}

static bool read_selection(const struct mg_policy *policy, struct mg_arena *scratch, struct selection *ret) {
  struct mg_buf text;
  mg_node spec = MG_GET(policy->at, "spec");
  *ret = (struct selection){.match = MG_GET(spec, "match"), .exclude = MG_GET(spec, "exclude")};
  mg_arena_reset(scratch);
  mg_buf_init(&text, scratch, TEXT_MAX);
  put(&text, ret->match);
  put(&text, ret->exclude);
  ret->hash = mg_str_hash(MG_HASH, mg_buf_str(&text));
  return !text.failed;
}

static bool same_node(mg_node a, mg_node b) {
  return mg_missing(a) && mg_missing(b) ? true : mg_equal(a, b);
}

static bool same(const struct selection *a, const struct selection *b) {
  return a->hash == b->hash && same_node(a->match, b->match) && same_node(a->exclude, b->exclude);
}

/* Of each policy the first that has the same selection, itself among them. */
static void share(struct mg_snapshot *s, struct selection *all, uint32_t *slots, uint32_t slot_count, struct mg_arena *scratch) {
  for (uint32_t p = 0; p < s->policy_count; p++) {
    struct mg_policy *policy = &s->policies[p], *first;
    policy->shared = MG_NOT_SHARED;
    if (!read_selection(policy, scratch, &all[p])) continue;
    uint32_t at = (uint32_t)all[p].hash & (slot_count - 1);
    while (slots[at] && !same(&all[slots[at] - 1], &all[p])) at = (at + 1) & (slot_count - 1);
    if (!slots[at]) {
      slots[at] = p + 1;
      continue;
    }
    first = &s->policies[slots[at] - 1];
    if (first->shared == MG_NOT_SHARED) first->shared = s->shared_count++;
    policy->shared = first->shared;
  }
}

int mg_share_selections(struct mg_snapshot *s) {
  struct mg_arena scratch;
  uint32_t slot_count = 16;
  while (slot_count < s->policy_count * 2) slot_count *= 2;
  struct selection *all = calloc((size_t)s->policy_count + 1, sizeof *all);
  uint32_t *slots = calloc(slot_count, sizeof *slots);
  mg_arena_init(&scratch, 2 * TEXT_MAX, TEXT_MAX);
  if (all && slots) share(s, all, slots, slot_count, &scratch);
  mg_arena_fini(&scratch);
  free(slots);
  free(all);
  return all && slots ? 0 : MG_E_NOMEM;
}
