#include "kube/limit_range.h"

#define NANO ((mg_nano)1000000000)
#define MILLI ((mg_nano)1000000)
/* Above it the API server compares whole units, since thousandths would not fit. */
#define MAX_MILLI_VALUE (INT64_MAX / 1000)

const char *const mg_limit_type_words[] = {"Container", "Pod", "PersistentVolumeClaim", NULL};
const char *const mg_limit_map_words[] = {"min", "max", "maxLimitRequestRatio", "default", "defaultRequest", NULL};
const char *const mg_side_words[] = {"limits", "requests", NULL};

/* ---- reading ---- */

bool mg_resource_is_extended(mg_str name) {
  const mg_str native = MG_S("kubernetes.io/");
  if (mg_str_find(name, '/') == name.n || mg_str_starts(name, MG_S("requests."))) return false;
  for (size_t i = 0; i + native.n <= name.n; i++)
    if (memcmp(name.p + i, native.p, native.n) == 0) return false;
  return true;
}

const struct mg_resource *mg_resource_find(struct mg_list resources, mg_str name) {
  for (uint32_t i = 0; i < resources.count; i++)
    if (mg_str_eq(MG_LIST_AT(resources, struct mg_resource, i).name, name)) return &MG_LIST_AT(resources, struct mg_resource, i);
  return NULL;
}

/* The API server rounds every quantity of a Pod up to thousandths. */
static struct mg_quantity rounded(struct mg_quantity q) {
  mg_nano rest = q.nano % MILLI;
  q.nano -= rest;
  q.nano += rest > 0 ? MILLI : rest < 0 ? -MILLI : 0;
  return q;
}

static bool read_map(struct mg_arena *arena, mg_node map, struct mg_list *ret) {
  uint32_t count = 0;
  if (!mg_is(map, MG_OBJECT)) return true;
  struct mg_resource *items = MG_NEW_N(arena, struct mg_resource, (size_t)mg_count(map) + 1);
  if (!items) return false;
  for (mg_node key = mg_first(map); key.at; key = mg_next(key)) {
    struct mg_resource r = {.name = mg_text(key), .at = mg_value(key)};
    if (!mg_quantity_read(r.at, &r.q, NULL)) items[count++] = r;
  }
  *ret = (struct mg_list){items, count};
  return true;
}

static uint32_t type_of(mg_str word) {
  uint32_t type = 0;
  while (type < MG_LIMIT_TYPES && !mg_str_is(word, mg_limit_type_words[type])) type++;
  return type;
}

bool mg_limit_range_read(struct mg_arena *arena, mg_node spec, struct mg_limit_range *ret) {
  mg_node limits = MG_GET(spec, "limits");
  uint32_t count = 0;
  if (!mg_is(limits, MG_ARRAY)) return true;
  struct mg_limit_item *items = MG_NEW_N(arena, struct mg_limit_item, (size_t)mg_count(limits) + 1);
  if (!items) return false;
  for (mg_node n = mg_first(limits); n.at; n = mg_next(n)) {
    struct mg_limit_item *item = &items[count++];
    item->type = type_of(mg_string(MG_GET(n, "type")));
    for (int m = 0; m < MG_LIMIT_MAPS; m++)
      if (!read_map(arena, mg_get(n, mg_str_of(mg_limit_map_words[m])), &item->maps[m])) return false;
  }
  ret->items = (struct mg_list){items, count};
  return true;
}

/* Adds to one map what another has beyond it. */
static bool fill(struct mg_arena *arena, struct mg_list *to, struct mg_list from, bool stored) {
  struct mg_resource *items = MG_NEW_N(arena, struct mg_resource, (size_t)to->count + from.count + 1);
  uint32_t count = to->count;
  if (!items) return false;
  for (uint32_t i = 0; i < count; i++) items[i] = MG_LIST_AT(*to, struct mg_resource, i);
  for (uint32_t i = 0; i < from.count; i++) {
    const struct mg_resource *r = &MG_LIST_AT(from, struct mg_resource, i);
    if (!mg_resource_find(*to, r->name) && (stored || !mg_resource_is_extended(r->name))) items[count++] = *r;
  }
  *to = (struct mg_list){items, count};
  return true;
}

bool mg_limit_range_complete(struct mg_arena *arena, struct mg_limit_range *range, bool stored) {
  for (uint32_t i = 0; i < range->items.count; i++) {
    struct mg_limit_item *item = &((struct mg_limit_item *)range->items.items)[i];
    for (int m = 0; m < MG_LIMIT_MAPS; m++)
      for (uint32_t r = 0; r < item->maps[m].count; r++) {
        struct mg_resource *resource = &((struct mg_resource *)item->maps[m].items)[r];
        resource->q = rounded(resource->q);
      }
    struct mg_list *maps = item->maps;
    if (item->type != MG_LIMIT_CONTAINER) continue;
    if (!fill(arena, &maps[MG_LIMIT_DEFAULT], maps[MG_LIMIT_MAX], stored) ||
        !fill(arena, &maps[MG_LIMIT_DEFAULT_REQUEST], maps[MG_LIMIT_DEFAULT], true) ||
        !fill(arena, &maps[MG_LIMIT_DEFAULT_REQUEST], maps[MG_LIMIT_MIN], stored))
      return false;
  }
  return true;
}

struct mg_limit_ranges mg_limit_ranges_of(const struct mg_context *context, struct mg_arena *arena, mg_str ns) {
  const struct mg_context_object *o = NULL;
  uint32_t most = 0, count = 0;
  while ((o = mg_context_next(context, MG_CTX_LIMIT_RANGE, ns, o))) most++;
  if (!most) return (struct mg_limit_ranges){0};
  struct mg_limit_range *ranges = MG_NEW_N(arena, struct mg_limit_range, most);
  while (ranges && (o = mg_context_next(context, MG_CTX_LIMIT_RANGE, ns, o))) {
    struct mg_limit_range *range = &ranges[count];
    *range = (struct mg_limit_range){.ns = o->ns, .name = o->name};
    if (!mg_limit_range_read(arena, MG_GET(o->object, "spec"), range) || !mg_limit_range_complete(arena, range, true)) break;
    count++;
  }
  return (struct mg_limit_ranges){ranges, count};
}

static mg_str shown(struct mg_arena *arena, struct mg_quantity q, mg_node text) {
  return mg_is(text, MG_STRING) && mg_quantity_keeps(mg_text(text)) ? mg_text(text) : mg_quantity_print(arena, q);
}

mg_str mg_resource_text(struct mg_arena *arena, const struct mg_resource *resource) {
  return shown(arena, resource->q, resource->at);
}

/* ---- what is asked ---- */

const struct mg_resource *mg_limit_default(const struct mg_limit_ranges *ranges, enum mg_side side, mg_str resource,
                                           const struct mg_limit_range **ret_range) {
  for (uint32_t i = 0; ranges && i < ranges->count; i++)
    for (uint32_t j = 0; j < ranges->items[i].items.count; j++) {
      const struct mg_limit_item *item = &MG_LIST_AT(ranges->items[i].items, struct mg_limit_item, j);
      if (item->type != MG_LIMIT_CONTAINER) continue;
      const struct mg_resource *r =
          mg_resource_find(item->maps[side == MG_SIDE_LIMIT ? MG_LIMIT_DEFAULT : MG_LIMIT_DEFAULT_REQUEST], resource);
      if (!r) continue;
      if (ret_range) *ret_range = &ranges->items[i];
      return r;
    }
  return NULL;
}

static struct mg_ask ask_of(enum mg_amount_state state, struct mg_quantity q, mg_node at) {
  return (struct mg_ask){state, q, at, at};
}

static struct mg_ask exact_ask(const struct mg_limit_ranges *defaults, const struct mg_container *c, enum mg_side side,
                               mg_str resource) {
  const struct mg_amount *a = mg_container_amount(c, resource);
  if (a && side == MG_SIDE_REQUEST && a->request_state != MG_AMOUNT_NONE)
    return ask_of(a->request_state, a->request_q, a->request);
  if (a && a->limit_state != MG_AMOUNT_NONE) return ask_of(a->limit_state, a->limit_q, a->limit);
  const struct mg_resource *r = mg_limit_default(defaults, side, resource, NULL);
  return r ? (struct mg_ask){MG_AMOUNT_READ, r->q, {0}, r->at} : (struct mg_ask){0};
}

struct mg_ask mg_container_ask(const struct mg_limit_ranges *defaults, const struct mg_container *c, enum mg_side side,
                               mg_str resource) {
  struct mg_ask ask = exact_ask(defaults, c, side, resource);
  ask.q = rounded(ask.q);
  return ask;
}

/* Sums keep the place of their largest part. */
struct tally {
  struct mg_ask all, most;
};

static void take_largest(struct mg_ask *most, struct mg_ask one) {
  if (one.state == MG_AMOUNT_NONE) return;
  if (most->state == MG_AMOUNT_NONE || one.state == MG_AMOUNT_UNREADABLE || mg_quantity_cmp(one.q, most->q) > 0) *most = one;
}

static void add(struct tally *sum, struct mg_ask one) {
  if (one.state == MG_AMOUNT_NONE) return;
  take_largest(&sum->most, one);
  if (sum->all.state == MG_AMOUNT_NONE) {
    sum->all = one;
    return;
  }
  sum->all.q = mg_quantity_add(sum->all.q, one.q);
  sum->all.text = (mg_node){0};
  if (one.state == MG_AMOUNT_UNREADABLE) sum->all.state = MG_AMOUNT_UNREADABLE;
}

static void raise_to(struct tally *peak, const struct tally *one) {
  if (one->all.state == MG_AMOUNT_NONE || peak->all.state == MG_AMOUNT_UNREADABLE) return;
  if (peak->all.state == MG_AMOUNT_NONE || one->all.state == MG_AMOUNT_UNREADABLE ||
      mg_quantity_cmp(one->all.q, peak->all.q) > 0)
    *peak = *one;
}

typedef struct mg_ask ask_fn(const struct mg_limit_ranges *defaults, const struct mg_container *c, enum mg_side side,
                             mg_str resource);

static struct mg_ask sum_of(const struct mg_limit_ranges *defaults, const struct mg_pod *pod, enum mg_side side,
                            mg_str resource, ask_fn *ask) {
  struct tally sum = {0}, sidecars = {0}, peak = {0};
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    if (c->list != MG_LIST_INIT && c->list != MG_LIST_EPHEMERAL) add(&sum, ask(defaults, c, side, resource));
  }
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    if (c->list != MG_LIST_INIT) continue;
    struct mg_ask own = ask(defaults, c, side, resource);
    struct tally beside = {0};
    if (c->sidecar) {
      add(&sum, own);
      add(&sidecars, own);
    } else {
      add(&beside, own);
    }
    add(&beside, sidecars.all);
    take_largest(&beside.most, sidecars.most);
    raise_to(&peak, &beside);
  }
  raise_to(&sum, &peak);
  sum.all.at = sum.most.at;
  return sum.all;
}

bool mg_resource_has_pod_level(mg_str resource) {
  return mg_str_is(resource, "cpu") || mg_str_is(resource, "memory") || mg_str_starts(resource, MG_S("hugepages-"));
}

static struct mg_ask pod_level(const struct mg_pod *pod, enum mg_side side, mg_str resource) {
  mg_node at = mg_get(mg_get(MG_GET(pod->spec, "resources"), mg_str_of(mg_side_words[side])), resource);
  struct mg_quantity q = {0};
  if (!at.at) return (struct mg_ask){0};
  enum mg_amount_state state = mg_quantity_read(at, &q, NULL) ? MG_AMOUNT_UNREADABLE : MG_AMOUNT_READ;
  return ask_of(state, rounded(q), at);
}

/* Limits of the pod: its own, or for huge pages those of a container, where the pod says anything of itself. */
static bool has_level_limits(const struct mg_pod *pod) {
  mg_node resources = MG_GET(pod->spec, "resources"), requests = MG_GET(resources, "requests");
  if (mg_count(MG_GET(resources, "limits"))) return true;
  for (uint32_t i = 0; i < pod->container_count && mg_count(requests); i++)
    for (uint32_t a = 0; a < pod->containers[i].amount_count; a++) {
      const struct mg_amount *amount = &pod->containers[i].amounts[a];
      bool huge = mg_str_starts(amount->resource, MG_S("hugepages-")) && amount->limit_state != MG_AMOUNT_NONE;
      if (huge && !mg_get_key(requests, amount->resource).at) return true;
    }
  return false;
}

/* A request of the pod that is not there comes from those of the containers, as they are written, else from the pod's limit. It
 * is rounded when they are added. */
static struct mg_ask level_request(const struct mg_pod *pod, mg_str resource) {
  if (!has_level_limits(pod)) return (struct mg_ask){0};
  struct mg_ask sum = sum_of(NULL, pod, MG_SIDE_REQUEST, resource, exact_ask);
  sum.q = rounded(sum.q);
  return sum.state == MG_AMOUNT_NONE ? pod_level(pod, MG_SIDE_LIMIT, resource) : sum;
}

static const mg_str levels[MG_POD_LEVELS] = {{"cpu", 3}, {"memory", 6}};

static struct mg_ask known_level_request(const struct mg_pod *pod, mg_str resource) {
  for (int i = 0; i < MG_POD_LEVELS && pod->levels_known; i++)
    if (mg_str_eq(resource, levels[i])) {
      const struct mg_pod_level *level = &pod->levels[i];
      return (struct mg_ask){level->state, level->q, level->at, level->text};
    }
  return level_request(pod, resource);
}

struct mg_ask mg_pod_ask(const struct mg_limit_ranges *defaults, const struct mg_pod *pod, enum mg_side side, mg_str resource) {
  struct mg_ask own = {0};
  if (mg_resource_has_pod_level(resource)) {
    own = pod_level(pod, side, resource);
    if (own.state == MG_AMOUNT_NONE && side == MG_SIDE_REQUEST) own = known_level_request(pod, resource);
  }
  return own.state == MG_AMOUNT_NONE ? sum_of(defaults, pod, side, resource, mg_container_ask) : own;
}

/* ---- bounds ---- */

/* One bound on one container or pod. */
struct check {
  const struct mg_limit_ranges *defaults;
  struct mg_pod *pod;
  mg_breach_fn *tell;
  void *ctx;
  struct mg_breach breach;
  int64_t limit, request, wanted; /* at a precision that all three bear */
};

static void measure(struct check *check) {
  const struct mg_quantity qs[] = {check->breach.limit.q, check->breach.request.q, check->breach.wanted->q};
  int64_t *const to[] = {&check->limit, &check->request, &check->wanted};
  bool fine = true;
  for (int i = 0; i < 3; i++) {
    *to[i] = mg_quantity_value(qs[i]);
    fine = fine && *to[i] <= MAX_MILLI_VALUE && *to[i] >= -MAX_MILLI_VALUE;
  }
  for (int i = 0; i < 3 && fine; i++) *to[i] = (int64_t)(qs[i].nano / MILLI);
}

static void blame(struct check *check, enum mg_side side, bool missing) {
  struct mg_breach *b = &check->breach;
  b->side = side;
  b->missing = missing;
  b->blamed = side == MG_SIDE_LIMIT ? b->limit : b->request;
  check->tell(check->ctx, b);
}

static void check_min(struct check *check) {
  const struct mg_breach *b = &check->breach;
  if (b->request.state == MG_AMOUNT_NONE) blame(check, MG_SIDE_REQUEST, true);
  else if (check->request < check->wanted) blame(check, MG_SIDE_REQUEST, false);
  else if (b->limit.state != MG_AMOUNT_NONE && check->limit < check->wanted) blame(check, MG_SIDE_LIMIT, false);
}

static void check_max(struct check *check) {
  const struct mg_breach *b = &check->breach;
  if (b->limit.state == MG_AMOUNT_NONE) blame(check, MG_SIDE_LIMIT, true);
  else if (check->limit > check->wanted) blame(check, MG_SIDE_LIMIT, false);
  else if (b->request.state != MG_AMOUNT_NONE && check->request > check->wanted) blame(check, MG_SIDE_REQUEST, false);
}

static void check_ratio(struct check *check) {
  struct mg_breach *b = &check->breach;
  if (check->request == 0) {
    blame(check, MG_SIDE_REQUEST, b->request.state == MG_AMOUNT_NONE);
    return;
  }
  if (check->limit == 0) {
    blame(check, MG_SIDE_LIMIT, b->limit.state == MG_AMOUNT_NONE);
    return;
  }
  b->ratio = (double)check->limit / (double)check->request;
  int64_t units = mg_quantity_value(b->wanted->q);
  bool fine = units > MAX_MILLI_VALUE ? b->ratio <= (double)units
                                      : b->ratio * 1000 <= (double)(int64_t)(b->wanted->q.nano / MILLI);
  if (!fine) blame(check, MG_SIDE_LIMIT, false);
}

/* What a policy says of devices is said of those who ask for some; the others ask for 0. */
static bool unasked(struct check *check, mg_str resource) {
  struct mg_breach *b = &check->breach;
  if (b->range->name.n || !mg_resource_is_extended(resource)) return false;
  if (b->limit.state != MG_AMOUNT_NONE || b->request.state != MG_AMOUNT_NONE) return false;
  b->limit.state = b->request.state = MG_AMOUNT_READ;
  return b->bound == MG_LIMIT_RATIO;
}

static void check_item(struct check *check, const struct mg_limit_item *item) {
  static void (*const checks[])(struct check *) = {check_min, check_max, check_ratio};
  struct mg_breach *b = &check->breach;
  for (int m = MG_LIMIT_MIN; m <= MG_LIMIT_RATIO; m++)
    for (uint32_t i = 0; i < item->maps[m].count; i++) {
      b->bound = (enum mg_limit_map)m;
      b->wanted = &MG_LIST_AT(item->maps[m], struct mg_resource, i);
      b->ratio = 0;
      mg_str name = b->wanted->name;
      for (int side = MG_SIDE_LIMIT; side <= MG_SIDE_REQUEST; side++) {
        struct mg_ask *ask = side == MG_SIDE_LIMIT ? &b->limit : &b->request;
        *ask = b->container ? mg_container_ask(check->defaults, b->container, (enum mg_side)side, name)
                            : mg_pod_ask(check->defaults, check->pod, (enum mg_side)side, name);
      }
      if (b->limit.state == MG_AMOUNT_UNREADABLE || b->request.state == MG_AMOUNT_UNREADABLE || unasked(check, name)) continue;
      measure(check);
      checks[m](check);
    }
}

void mg_limit_check(const struct mg_limit_ranges *bounds, const struct mg_limit_ranges *defaults, struct mg_pod *pod,
                    mg_breach_fn *tell, void *ctx) {
  struct check check = {.defaults = defaults, .pod = pod, .tell = tell, .ctx = ctx};
  for (uint32_t i = 0; i < bounds->count; i++)
    for (uint32_t j = 0; j < bounds->items[i].items.count; j++) {
      const struct mg_limit_item *item = &MG_LIST_AT(bounds->items[i].items, struct mg_limit_item, j);
      check.breach = (struct mg_breach){.range = &bounds->items[i], .type = (enum mg_limit_type)item->type};
      if (item->type == MG_LIMIT_POD) check_item(&check, item);
      if (item->type != MG_LIMIT_CONTAINER) continue;
      for (uint32_t c = 0; c < pod->container_count; c++) {
        check.breach.container = &pod->containers[c];
        if (pod->containers[c].list != MG_LIST_EPHEMERAL) check_item(&check, item);
      }
    }
}

mg_str mg_breach_text(struct mg_arena *arena, const struct mg_breach *b) {
  mg_str wanted = mg_resource_text(arena, b->wanted), is = shown(arena, b->blamed.q, b->blamed.text);
  mg_str name = b->wanted->name;
  const char *type = mg_limit_type_words[b->type], *side = b->side == MG_SIDE_LIMIT ? "limit" : "request";
  if (b->bound == MG_LIMIT_RATIO) {
    mg_str head = mg_arena_printf(arena, "%.*s max limit to request ratio per %s is %.*s", MG_FMT(name), type, MG_FMT(wanted));
    if (b->ratio > 0) return mg_arena_printf(arena, "%.*s, but provided ratio is %f", MG_FMT(head), b->ratio);
    return mg_arena_printf(arena, "%.*s, but no %s is specified or %s is 0", MG_FMT(head), side, side);
  }
  const char *word = b->bound == MG_LIMIT_MIN ? "minimum" : "maximum";
  mg_str head = mg_arena_printf(arena, "%s %.*s usage per %s is %.*s", word, MG_FMT(name), type, MG_FMT(wanted));
  if (b->missing)
    return mg_arena_printf(arena, "%.*s.  No %s is specified", MG_FMT(head), side);
  return mg_arena_printf(arena, "%.*s, but %s is %.*s", MG_FMT(head), side, MG_FMT(is));
}

/* ---- accelerators for everybody ---- */

mg_node mg_limit_range_gives(mg_node object, const struct mg_accelerators *accelerators, struct mg_arena *arena) {
  struct mg_limit_range range = {0};
  if (!mg_limit_range_read(arena, MG_GET(object, "spec"), &range)) return (mg_node){0};
  for (uint32_t i = 0; i < range.items.count; i++) {
    const struct mg_limit_item *item = &MG_LIST_AT(range.items, struct mg_limit_item, i);
    for (uint32_t r = 0; item->type == MG_LIMIT_CONTAINER && r < item->maps[MG_LIMIT_MAX].count; r++) {
      const struct mg_resource *max = &MG_LIST_AT(item->maps[MG_LIMIT_MAX], struct mg_resource, r);
      const struct mg_resource *def = mg_resource_find(item->maps[MG_LIMIT_DEFAULT], max->name);
      bool alone = !def || mg_quantity_cmp(def->q, max->q) == 0; /* as it is read back from the cluster */
      if (alone && max->q.nano > 0 && mg_accelerator_of(accelerators, max->name)) return max->at;
    }
  }
  return (mg_node){0};
}

/* ---- what a Pod is given ---- */

/* A value that knows where it would stand in the container, for messages. */
static mg_node place(struct mg_arena *arena, const struct mg_container *c, enum mg_side side, const struct mg_resource *r) {
  const mg_str keys[] = {MG_S("resources"), mg_str_of(mg_side_words[side]), r->name};
  return mg_make_aside(c->node, keys, 3, mg_make_text(c->node.doc, MG_STRING, mg_resource_text(arena, r)));
}

static struct mg_amount *amount_for(struct mg_pod *pod, struct mg_container *c, mg_str resource) {
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (mg_str_eq(c->amounts[i].resource, resource)) return &c->amounts[i];
  size_t size = sizeof *c->amounts;
  struct mg_amount *more = mg_arena_grow(pod->arena, c->amounts, c->amount_count * size, (c->amount_count + 1) * size);
  if (!more) return NULL;
  c->amounts = more;
  more[c->amount_count] = (struct mg_amount){.resource = resource};
  return &more[c->amount_count++];
}

static void give_container(struct mg_pod *pod, struct mg_container *c, const struct mg_limit_item *item) {
  static const struct {
    enum mg_limit_map map;
    enum mg_side side;
  } sides[] = {{MG_LIMIT_DEFAULT_REQUEST, MG_SIDE_REQUEST}, {MG_LIMIT_DEFAULT, MG_SIDE_LIMIT}};
  for (size_t s = 0; s < 2; s++)
    for (uint32_t i = 0; i < item->maps[sides[s].map].count; i++) {
      const struct mg_resource *r = &MG_LIST_AT(item->maps[sides[s].map], struct mg_resource, i);
      struct mg_amount *a = amount_for(pod, c, r->name);
      if (!a) return;
      if (sides[s].side == MG_SIDE_LIMIT && a->limit_state == MG_AMOUNT_NONE) {
        a->limit_state = MG_AMOUNT_READ;
        a->limit_q = r->q;
        a->limit = place(pod->arena, c, MG_SIDE_LIMIT, r);
      } else if (sides[s].side == MG_SIDE_REQUEST && a->request_state == MG_AMOUNT_NONE && a->limit_state == MG_AMOUNT_NONE) {
        a->request_state = MG_AMOUNT_READ;
        a->request_q = r->q;
        a->request = place(pod->arena, c, MG_SIDE_REQUEST, r);
      }
      mg_amount_settle(pod->accelerators, a);
    }
}

/* The API server works them out before anybody gives the containers anything. */
static void note_levels(struct mg_pod *pod) {
  for (int i = 0; i < MG_POD_LEVELS && !pod->levels_known; i++) {
    struct mg_ask request = level_request(pod, levels[i]);
    pod->levels[i] = (struct mg_pod_level){request.state, request.q, request.at, request.text};
  }
  pod->levels_known = true;
}

void mg_limit_give(struct mg_pod *pod) {
  note_levels(pod);
  struct mg_limit_ranges ranges = mg_limit_ranges_of(pod->context, pod->arena, pod->ns);
  for (uint32_t i = 0; i < ranges.count; i++)
    for (uint32_t j = 0; j < ranges.items[i].items.count; j++) {
      const struct mg_limit_item *item = &MG_LIST_AT(ranges.items[i].items, struct mg_limit_item, j);
      for (uint32_t c = 0; item->type == MG_LIMIT_CONTAINER && c < pod->container_count; c++)
        if (pod->containers[c].list != MG_LIST_EPHEMERAL) give_container(pod, &pod->containers[c], item);
    }
}
