/* limitRange: what the LimitRanges of a namespace, or one written into the policy, do to a Pod, done to whatever makes Pods. */
#include "rules/gpu.h"
#include "rules/limits.h"
#include "rules/rules.h"

enum from { FROM_CONTEXT, FROM_INLINE };
static const char *const from_words[] = {"context", "inline", NULL};
enum apply { APPLY_DEFAULTS, APPLY_BOUNDS };
static const char *const apply_words[] = {"defaults", "bounds", NULL};

struct params {
  uint32_t from;
  struct mg_limit_range range; /* inline */
  struct mg_list apply;        /* of uint32_t: enum apply */
  bool defaults, bounds;
};

static const struct mg_item apply_item = {&mg_t_enum, sizeof(uint32_t), apply_words};
static const struct mg_field fields[] = {
    {"from", &mg_t_enum, offsetof(struct params, from), from_words, .def = "context",
     .doc = "context: the LimitRanges of the namespace; inline: the one in `inline`, also where `from` is not given."},
    {"inline", &mg_t_object, offsetof(struct params, range), &mg_limit_range_shape,
     .doc = "The spec of a LimitRange. Its max and min of a device never become a default."},
    {"apply", &mg_t_list, offsetof(struct params, apply), &apply_item, .def = "[defaults, bounds]",
     .doc = "defaults: added to containers that lack them; bounds: min, max and maxLimitRequestRatio are judged. With bounds "
            "alone a value that would be defaulted counts as missing."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *out) {
  struct params *p = out;
  mg_node from = MG_GET(at, "from"), own = MG_GET(at, "inline"), apply = MG_GET(at, "apply");
  for (uint32_t i = 0; i < p->apply.count; i++)
    *(MG_LIST_AT(p->apply, uint32_t, i) == APPLY_DEFAULTS ? &p->defaults : &p->bounds) = true;
  if (own.at && !from.at) p->from = FROM_INLINE;
  if (apply.at && !p->apply.count)
    mg_diag_error(load->diags, apply, MG_AT_VALUE, "\"apply\" must name defaults, bounds or both");
  else if (own.at && p->from == FROM_CONTEXT)
    mg_diag_error(load->diags, own, MG_AT_KEY, "\"inline\" beside \"from: context\"; one of the two is meant");
  else if (!own.at && p->from == FROM_INLINE)
    mg_diag_error(load->diags, from, MG_AT_KEY, "\"from: inline\" needs \"inline\"");
  else if (!own.at || mg_limit_range_fits(load, own, &p->range))
    return !own.at || mg_limit_range_complete(load->arena, &p->range, false);
  return false;
}

static struct mg_limit_ranges ranges_of(struct mg_run *run, const struct params *p, const struct mg_pod *pod) {
  if (p->from == FROM_INLINE) return (struct mg_limit_ranges){&p->range, 1};
  return mg_limit_ranges_of(mg_run_context(run), mg_run_arena(run), pod->ns);
}

/* `LimitRange ml/limits`, or `the policy`. */
static mg_str source_of(struct mg_arena *arena, const struct mg_limit_range *range) {
  return range->name.n ? mg_arena_printf(arena, "LimitRange %.*s/%.*s", MG_FMT(range->ns), MG_FMT(range->name))
                       : MG_S("the policy");
}

/* The line that mends it; behind it, where the number comes from. */
static mg_str fix_line(struct mg_arena *arena, enum mg_side side, mg_str resource, mg_str value,
                       const struct mg_limit_range *range) {
  mg_str name = mg_gpu_short(arena, resource), source = source_of(arena, range);
  return mg_arena_printf(arena, "resources.%s[\"%.*s\"]: %.*s%s%.*s", mg_side_words[side], MG_FMT(name), MG_FMT(value),
                         range->name.n ? "  # " : "", MG_FMT(range->name.n ? source : (mg_str){0}));
}

/* ---- defaults ---- */

/* One container that may lack defaults. */
struct at {
  struct mg_run *run;
  struct mg_pod *pod;
  struct mg_container *c;
  const struct mg_limit_ranges *ranges;
  mg_node limits, requests; /* as they were before this rule */
  bool changed;
};

static mg_node old_amount(const struct at *at, enum mg_side side, mg_str resource) {
  const struct mg_container *old = mg_run_old_container(at->run, at->c);
  return old ? mg_get(mg_get(MG_GET(old->node, "resources"), mg_str_of(mg_side_words[side])), resource) : (mg_node){0};
}

/* What oldObject has is what was given before: put back, it changes nothing. */
static mg_node value_to_set(const struct at *at, enum mg_side side, const struct mg_resource *r) {
  mg_node before = old_amount(at, side, r->name);
  struct mg_doc *doc = at->c->node.doc;
  if (!mg_missing(before)) return mg_make_copy(doc, before);
  return mg_make_text(doc, MG_STRING, mg_resource_text(mg_run_arena(at->run), r));
}

/* The API server takes the default all the same, and then refuses the Pod. */
static void warn_of_request(const struct at *at, const struct mg_resource *limit, const struct mg_limit_range *range) {
  const struct mg_amount *a = mg_container_amount(at->c, limit->name);
  struct mg_arena *arena = mg_run_arena(at->run);
  if (!a || a->request_state != MG_AMOUNT_READ || mg_quantity_cmp(a->request_q, limit->q) <= 0) return;
  mg_str who = mg_gpu_who(at->run, at->c), source = source_of(arena, range), name = mg_gpu_short(arena, limit->name);
  mg_str is = mg_quantity_print(arena, a->request_q), most = mg_resource_text(arena, limit);
  mg_run_warning(at->run, "%.*s requests %.*s %.*s, more than the limit of %.*s that %.*s gives it", MG_FMT(who), MG_FMT(is),
                 MG_FMT(name), MG_FMT(most), MG_FMT(source));
}

static void want_amount(struct at *at, enum mg_side side, const struct mg_resource *r, const struct mg_limit_range *range) {
  struct mg_arena *arena = mg_run_arena(at->run);
  const mg_str key = mg_str_of(mg_side_words[side]);
  struct mg_finding f = {.pod = at->pod,
                         .container = at->c,
                         .where = MG_WHERE(at->c->node, MG_S("resources"), key, r->name),
                         .subject = mg_arena_printf(arena, "%.*s %.*s", MG_FMT(key), MG_FMT(r->name))};
  mg_str who = {0}, name = {0}, value = {0}, source = {0};
  if (mg_run_explains(at->run)) {
    who = mg_gpu_who(at->run, at->c);
    name = mg_gpu_short(arena, r->name);
    value = mg_resource_text(arena, r);
    source = source_of(arena, range);
    f.fix = fix_line(arena, side, r->name, value, range);
  }
  if (!mg_run_wants(at->run, &f, "%.*s has no %.*s %s, %.*s gives %.*s", MG_FMT(who), MG_FMT(name),
                    side == MG_SIDE_LIMIT ? "limit" : "request", MG_FMT(source), MG_FMT(value)))
    return;
  if (side == MG_SIDE_LIMIT) warn_of_request(at, r, range);
  mg_container_set_amount(at->pod, mg_run_patch(at->run), at->c, key, r->name, value_to_set(at, side, r));
  at->changed = true;
}

/* Where a limit is declared the API server copies it to the request, and nothing is missing. */
static bool lacks(const struct at *at, enum mg_side side, mg_str resource) {
  if (mg_get_key(at->limits, resource).at) return false;
  return side == MG_SIDE_LIMIT || !mg_get_key(at->requests, resource).at;
}

/* oldObject has a limit without a request: put back, it stands for both, and a default may not fit it. */
static bool is_in_limit(const struct at *at, mg_str resource) {
  return !mg_missing(old_amount(at, MG_SIDE_LIMIT, resource)) && mg_missing(old_amount(at, MG_SIDE_REQUEST, resource)) &&
         lacks(at, MG_SIDE_LIMIT, resource) && mg_limit_default(at->ranges, MG_SIDE_LIMIT, resource, NULL);
}

static void want_side(struct at *at, enum mg_side side) {
  enum mg_limit_map map = side == MG_SIDE_LIMIT ? MG_LIMIT_DEFAULT : MG_LIMIT_DEFAULT_REQUEST;
  for (uint32_t i = 0; i < at->ranges->count; i++)
    for (uint32_t j = 0; j < at->ranges->items[i].items.count; j++) {
      const struct mg_limit_range *range = &at->ranges->items[i];
      const struct mg_limit_item *item = &MG_LIST_AT(range->items, struct mg_limit_item, j);
      for (uint32_t r = 0; item->type == MG_LIMIT_CONTAINER && r < item->maps[map].count; r++) {
        const struct mg_resource *resource = &MG_LIST_AT(item->maps[map], struct mg_resource, r);
        bool first = mg_limit_default(at->ranges, side, resource->name, NULL) == resource;
        if (!first || !lacks(at, side, resource->name)) continue;
        if (side == MG_SIDE_LIMIT || !is_in_limit(at, resource->name)) want_amount(at, side, resource, range);
      }
    }
}

static bool is_map(mg_node n) {
  return mg_missing(n) || mg_is(n, MG_OBJECT);
}

static void want_container(struct at *at) {
  mg_node resources = MG_GET(at->c->node, "resources");
  at->limits = MG_GET(resources, "limits");
  at->requests = MG_GET(resources, "requests");
  if (!is_map(resources) || !is_map(at->limits) || !is_map(at->requests)) return;
  want_side(at, MG_SIDE_REQUEST);
  want_side(at, MG_SIDE_LIMIT);
}

/* No honest template has more; the patch of a hostile one would take long to write. */
enum { MOST_CONTAINERS = 256 };

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  if (!p->defaults) return;
  struct mg_limit_ranges ranges = ranges_of(run, p, pod);
  struct at at = {.run = run, .pod = pod, .ranges = &ranges};
  if (!ranges.count) return;
  if (pod->container_count > MOST_CONTAINERS) {
    mg_run_warning(run, "a template has more than %d containers; none gets defaults", MOST_CONTAINERS);
    return;
  }
  for (uint32_t i = 0; i < pod->container_count; i++) {
    at.c = &pod->containers[i];
    if (at.c->list != MG_LIST_EPHEMERAL && mg_run_sees(run, at.c)) want_container(&at);
  }
  if (at.changed) mg_pod_refresh(pod);
}

/* ---- bounds ---- */

struct judging {
  struct mg_run *run;
  struct mg_pod *pod;
};

static struct mg_where where_of(const struct judging *j, const struct mg_breach *b) {
  if (b->blamed.at.at) return (struct mg_where){.node = b->blamed.at};
  if (!b->container) return (struct mg_where){.node = j->pod->spec};
  mg_str side = mg_str_of(mg_side_words[b->side]);
  return MG_WHERE(b->container->node, MG_S("resources"), side, b->missing ? (mg_str){0} : b->wanted->name);
}

static struct mg_measure measure_of(const struct mg_breach *b) {
  if (b->missing) return (struct mg_measure){0};
  if (b->bound == MG_LIMIT_MIN) return (struct mg_measure){.kind = MG_MEASURE_LESS_IS_WORSE, .amount = b->blamed.q.nano};
  mg_nano amount = b->bound == MG_LIMIT_RATIO ? (mg_nano)(b->ratio * 1e9) : b->blamed.q.nano;
  return (struct mg_measure){.kind = MG_MEASURE_MORE_IS_WORSE, .amount = amount};
}

static void tell(void *ctx, const struct mg_breach *b) {
  const struct judging *j = ctx;
  struct mg_arena *arena = mg_run_arena(j->run);
  if (b->missing && j->pod->kind->mutate != MG_MUTATE_TEMPLATE) return; /* the Pod still gets its defaults */
  if (b->container ? !mg_run_sees(j->run, b->container) : !mg_run_sees_template(j->run)) return;
  struct mg_finding f = {.pod = j->pod, .container = b->container, .where = where_of(j, b), .measure = measure_of(b)};
  f.subject = mg_arena_printf(arena, "%s %s %.*s %.*s", mg_limit_type_words[b->type], mg_limit_map_words[b->bound],
                              MG_FMT(b->wanted->name), MG_FMT(b->range->name));
  /* A request that is the limit, copied, is mended there. */
  enum mg_side side = b->limit.at.at && mg_same(b->blamed.at, b->limit.at) ? MG_SIDE_LIMIT : b->side;
  if (mg_run_explains(j->run) && b->container && b->bound != MG_LIMIT_RATIO)
    f.fix = fix_line(arena, side, b->wanted->name, mg_resource_text(arena, b->wanted), b->range);
  mg_str text = mg_breach_text(arena, b);
  mg_run_violation(j->run, &f, "%.*s", MG_FMT(text));
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  if (!p->bounds) return;
  struct mg_limit_ranges ranges = ranges_of(run, p, pod);
  /* What is sure to come, or is told of already, is not missing. */
  bool given = p->defaults && (p->from == FROM_CONTEXT || mg_run_action(run) != MG_ENFORCE);
  struct judging judging = {run, pod};
  mg_limit_check(&ranges, given ? &ranges : NULL, pod, tell, &judging);
}

static uint32_t needs(const void *params) {
  const struct params *p = params;
  return p->from == FROM_CONTEXT ? 1u << MG_CTX_LIMIT_RANGE : 0;
}

const struct mg_rule_type mg_rule_limit_range = {
    .name = "limitRange",
    .doc = "Gives templates the defaults that the LimitRanges of their namespace give to Pods, and judges their bounds at the "
           "workload, before any Pod exists.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
    .judge = judge,
    .needs = needs,
};
