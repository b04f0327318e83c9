/* quota: a workload that cannot fit into what its namespace has left is told so itself, not by the tenth of its Pods. */
#include "kube/quota.h"
#include "rules/gpu.h"
#include "rules/rules.h"

static const char *const from_words[] = {"context", NULL};
static const char *const exceed_words[] = {"warn", "deny", NULL};

struct params {
  uint32_t from;
  uint32_t on_exceed;       /* index into exceed_words */
  struct mg_list resources; /* of struct mg_pattern *; empty: all */
};

static const struct mg_field fields[] = {
    {"from", &mg_t_enum, offsetof(struct params, from), from_words, .def = "context",
     .doc = "context: the ResourceQuotas of the namespace with their scopes, as they are used when the workload comes."},
    {"onExceed", &mg_t_enum, offsetof(struct params, on_exceed), exceed_words, .def = "warn",
     .doc = "warn, since other workloads may end before its Pods start; or deny."},
    {"resources", &mg_t_list, offsetof(struct params, resources), &mg_item_pattern,
     .doc = "Globs on the keys of a quota, such as requests.nvidia.com/* or count/jobs.batch; default: every key."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  mg_node resources = MG_GET(at, "resources");
  if (!resources.at || p->resources.count) return true;
  mg_diag_error(load->diags, resources, MG_AT_VALUE, "\"resources\" must name at least one key of a quota");
  return false;
}

static bool is_judged(const struct params *p, mg_node key) {
  return !p->resources.count || mg_any_pattern(p->resources, mg_text(key));
}

static enum mg_outcome hardest(const struct params *p) {
  return p->on_exceed ? MG_OUT_DENY : MG_OUT_WARN;
}

/* ---- sums ---- */

/* One key of one quota against a workload. */
struct sum {
  const struct mg_quota *quota;
  const struct mg_limit_ranges *defaults;
  mg_str key;
  struct mg_quantity total, most;
  mg_node where; /* the amount of the template that asks for most */
};

static void add_pod(struct sum *sum, const struct mg_pod *pod) {
  if (!mg_quota_covers(sum->quota, sum->defaults, pod)) return;
  struct mg_ask ask = mg_quota_ask(sum->defaults, pod, sum->key);
  if (ask.state != MG_AMOUNT_READ) return;
  struct mg_quantity product = mg_quantity_times(ask.q, pod->replicas);
  sum->total = mg_quantity_add(sum->total, product);
  if (sum->where.at && mg_quantity_cmp(product, sum->most) <= 0) return;
  sum->most = product;
  sum->where = ask.at.at ? ask.at : pod->node;
}

static void add_workload(struct sum *sum, const struct mg_workload *workload, bool is_new) {
  for (uint32_t i = 0; i < workload->pod_count; i++) add_pod(sum, workload->pods[i]);
  if (!is_new || !mg_quota_counts(sum->quota, workload->kind, sum->key)) return;
  sum->total = mg_quantity_add(sum->total, mg_quantity_of(1, MG_DECIMAL_SI));
  sum->where = workload->object;
}

static void judge_key(struct mg_run *run, const struct params *p, const struct mg_workload *workload, struct sum *sum,
                      mg_node hard_key) {
  const struct mg_workload *old = mg_run_old_workload(run);
  struct mg_quantity hard, left;
  if (!mg_quota_left(sum->quota, hard_key, &hard, &left)) return;
  add_workload(sum, workload, !old);
  if (old) { /* what it had is among what is used */
    struct sum before = {.quota = sum->quota, .defaults = sum->defaults, .key = sum->key};
    add_workload(&before, old, false);
    sum->total = mg_quantity_sub(sum->total, before.total);
  }
  if (sum->total.nano <= 0 || mg_quantity_cmp(sum->total, left) <= 0) return;
  struct mg_arena *arena = mg_run_arena(run);
  const struct mg_quota *q = sum->quota;
  struct mg_finding f = {.where = {.node = sum->where},
                         .subject = mg_arena_printf(arena, "%.*s %.*s", MG_FMT(q->name), MG_FMT(sum->key)),
                         .measure = {.kind = MG_MEASURE_MORE_IS_WORSE, .amount = sum->total.nano},
                         .hardest = hardest(p)};
  mg_str asked = mg_quantity_print(arena, sum->total), rest = mg_quantity_print(arena, left);
  mg_str all = mg_quantity_print(arena, hard);
  mg_run_violation(run, &f, "asks %.*s %s%.*s, quota %.*s/%.*s leaves %.*s of %.*s", MG_FMT(asked), old ? "more " : "",
                   MG_FMT(mg_gpu_short(arena, sum->key)), MG_FMT(q->ns), MG_FMT(q->name), MG_FMT(rest), MG_FMT(all));
}

static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct mg_context *context = mg_run_context(run);
  const struct mg_context_object *state = NULL;
  struct mg_quota quota;
  if (mg_run_is_update(run) && !mg_run_old_workload(run)) return; /* oldObject itself: what it asks is granted */
  struct mg_limit_ranges defaults = mg_limit_ranges_of(context, mg_run_arena(run), workload->ns);
  while (mg_quota_next(context, workload->ns, &state, &quota)) {
    if (!mg_is(quota.hard, MG_OBJECT)) continue;
    for (mg_node key = mg_first(quota.hard); key.at; key = mg_next(key)) {
      struct sum sum = {.quota = &quota, .defaults = &defaults, .key = mg_text(key)};
      if (is_judged(params, key)) judge_key(run, params, workload, &sum, key);
    }
  }
}

/* ---- amounts that a quota demands ---- */

static bool has_pod_level(const struct mg_pod *pod) {
  for (int side = MG_SIDE_LIMIT; side <= MG_SIDE_REQUEST; side++) {
    mg_node map = mg_get(MG_GET(pod->spec, "resources"), mg_str_of(mg_side_words[side]));
    for (mg_node key = mg_first(mg_as(map, MG_OBJECT)); key.at; key = mg_next(key))
      if (mg_resource_has_pod_level(mg_text(key))) return true;
  }
  return false;
}

static void judge_demand(struct mg_run *run, const struct params *p, struct mg_pod *pod, const struct mg_quota *quota,
                         const struct mg_limit_ranges *defaults, mg_str key) {
  enum mg_side side;
  mg_str resource;
  struct mg_arena *arena = mg_run_arena(run);
  if (!mg_quota_demands(key, &side, &resource)) return;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    if (c->list == MG_LIST_EPHEMERAL || !mg_run_sees(run, c)) continue;
    if (mg_container_ask(defaults, c, side, resource).state != MG_AMOUNT_NONE) continue;
    struct mg_finding f = {.pod = pod,
                           .container = c,
                           .where = MG_WHERE(c->node, MG_S("resources"), mg_str_of(mg_side_words[side])),
                           .subject = mg_arena_printf(arena, "%.*s must %.*s", MG_FMT(quota->name), MG_FMT(key)),
                           .hardest = hardest(p)};
    mg_str who = mg_gpu_who(run, c);
    mg_run_violation(run, &f, "%.*s must specify %.*s, which quota %.*s/%.*s counts", MG_FMT(who), MG_FMT(key), MG_FMT(quota->ns),
                     MG_FMT(quota->name));
  }
}

/* A quota on cpu or memory refuses every Pod with a container that does not say how much; where a controller completes the Pods
 * nobody knows. */
static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct mg_context *context = mg_run_context(run);
  const struct mg_context_object *state = NULL;
  struct mg_quota quota;
  if (pod->kind->mutate != MG_MUTATE_TEMPLATE || has_pod_level(pod)) return;
  struct mg_limit_ranges defaults = mg_limit_ranges_of(context, mg_run_arena(run), pod->ns);
  while (mg_quota_next(context, pod->ns, &state, &quota)) {
    if (!mg_is(quota.hard, MG_OBJECT) || !mg_quota_covers(&quota, &defaults, pod)) continue;
    for (mg_node key = mg_first(quota.hard); key.at; key = mg_next(key))
      if (is_judged(params, key)) judge_demand(run, params, pod, &quota, &defaults, mg_text(key));
  }
}

static uint32_t needs(const void *params) {
  (void)params;
  return 1u << MG_CTX_RESOURCE_QUOTA | 1u << MG_CTX_LIMIT_RANGE | 1u << MG_CTX_PRIORITY_CLASS;
}

const struct mg_rule_type mg_rule_quota = {
    .name = "quota",
    .doc = "Compares what all Pods of a workload ask for with what the ResourceQuotas of its namespace leave, when the workload "
           "comes, and tells which containers lack an amount that a quota demands.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge = judge,
    .judge_workload = judge_workload,
    .needs = needs,
};
