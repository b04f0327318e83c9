#include "kube/name.h"
#include "rules/rules.h"

#define CONSTRAINTS MG_S("topologySpreadConstraints")

enum { LABELS_MAX = 64 }; /* of a selector; more of them select no better */

static const char *const when_words[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
static const char *const honor_words[] = {"Honor", "Ignore", NULL};

struct constraint {
  mg_str topology_key;
  struct mg_opt_int max_skew, min_domains;
  uint32_t when; /* index into when_words */
  uint32_t affinity, taints;
  struct mg_list keys; /* of mg_str: matchLabelKeys */
  mg_node node;        /* as the policy has it */
};

struct params {
  struct mg_list constraints; /* of struct constraint */
};

static const struct mg_field constraint_fields[] = {
    {"maxSkew", &mg_t_count, offsetof(struct constraint, max_skew), .required = true,
     .doc = "By how many Pods two domains may differ; 1 or more."},
    {"topologyKey", &mg_t_string, offsetof(struct constraint, topology_key), .required = true,
     .doc = "The node label whose values are the domains."},
    {"whenUnsatisfiable", &mg_t_enum, offsetof(struct constraint, when), when_words, .required = true,
     .doc = "DoNotSchedule: the Pod waits; ScheduleAnyway: the scheduler prefers what spreads best."},
    {"minDomains", &mg_t_count, offsetof(struct constraint, min_domains),
     .doc = "Fewer domains than that count as empty ones; 1 or more, with DoNotSchedule only."},
    {"nodeAffinityPolicy", &mg_t_enum, offsetof(struct constraint, affinity), honor_words,
     .doc = "Whether nodes that the Pod's node affinity rules out count."},
    {"nodeTaintsPolicy", &mg_t_enum, offsetof(struct constraint, taints), honor_words,
     .doc = "Whether nodes whose taints the Pod does not tolerate count."},
    {"matchLabelKeys", &mg_t_list, offsetof(struct constraint, keys), &mg_item_string,
     .doc = "Labels whose values are those of the Pod that is scheduled, such as pod-template-hash."},
    MG_FIELDS_END,
};
static const struct mg_shape constraint_shape = {constraint_fields, "a constraint"};
static const struct mg_item constraint_item = {&mg_t_object, sizeof(struct constraint), &constraint_shape};

static const struct mg_field fields[] = {
    {"constraints", &mg_t_list, offsetof(struct params, constraints), &constraint_item, .required = true,
     .doc = "topologySpreadConstraints without labelSelector, which comes from the template's labels."},
    MG_FIELDS_END,
};

/* ---- when policies are loaded: what the API server would refuse of every Pod ---- */

static void check_keys(struct mg_load *load, mg_node keys) {
  for (mg_node n = mg_first(keys); n.at; n = mg_next(n))
    if (!mg_name_is_label_key(mg_text(n)))
      mg_diag_error(load->diags, n, MG_AT_VALUE, "\"%.*s\" is no label key", MG_FMT(mg_text(n)));
}

static void check_constraint(struct mg_load *load, const struct constraint *c) {
  mg_node key = MG_GET(c->node, "topologyKey"), domains = MG_GET(c->node, "minDomains");
  if (key.at && !mg_name_is_label_key(c->topology_key))
    mg_diag_error(load->diags, key, MG_AT_VALUE, "\"%.*s\" is no label key", MG_FMT(c->topology_key));
  if (c->max_skew.set && (c->max_skew.value < 1 || c->max_skew.value > INT32_MAX))
    mg_diag_error(load->diags, MG_GET(c->node, "maxSkew"), MG_AT_VALUE, "\"maxSkew\" must be 1 or more");
  if (c->min_domains.set && (c->min_domains.value < 1 || c->min_domains.value > INT32_MAX))
    mg_diag_error(load->diags, domains, MG_AT_VALUE, "\"minDomains\" must be 1 or more");
  else if (c->min_domains.set && c->when != 0)
    mg_diag_error(load->diags, domains, MG_AT_KEY, "\"minDomains\" needs \"whenUnsatisfiable: DoNotSchedule\"");
  check_keys(load, MG_GET(c->node, "matchLabelKeys"));
}

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node list = MG_GET(at, "constraints");
  struct constraint *copy = MG_NEW_N(load->arena, struct constraint, p->constraints.count + 1);
  if (!copy) return false;
  for (uint32_t i = 0; i < p->constraints.count; i++) {
    copy[i] = MG_LIST_AT(p->constraints, struct constraint, i);
    copy[i].node = mg_item(list, i);
    check_constraint(load, &copy[i]);
    for (uint32_t j = 0; j < i; j++)
      if (copy[i].topology_key.n && mg_str_eq(copy[i].topology_key, copy[j].topology_key))
        mg_diag_error(load->diags, MG_GET(copy[i].node, "topologyKey"), MG_AT_VALUE, "a second constraint for \"%.*s\"",
                      MG_FMT(copy[i].topology_key));
  }
  p->constraints.items = copy;
  if (mg_is(list, MG_ARRAY) && !p->constraints.count)
    mg_diag_error(load->diags, list, MG_AT_VALUE, "\"constraints\" must have at least one");
  return load->diags->error_count == before;
}

/* ---- the label selector ---- */

/* Labels that controllers give to one Pod or one generation of Pods; a * at the end stands for anything. Selected by these a Pod
 * would be spread from itself alone. */
static const char *const generated[] = {
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "controller-uid",
    "rollouts-pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "training.kubeflow.org/replica-index",
    "ray.io/identifier",
    "volcano.sh/task-index",
    "jobset.sigs.k8s.io/job-*",
    "jobset.sigs.k8s.io/restart-attempt",
    "leaderworkerset.sigs.k8s.io/group-*",
    "leaderworkerset.sigs.k8s.io/template-revision-hash",
    "leaderworkerset.sigs.k8s.io/worker-index",
    "kueue.x-k8s.io/*",
};

static bool is_generated(mg_str key) {
  for (size_t i = 0; i < sizeof generated / sizeof *generated; i++) {
    mg_str name = mg_str_of(generated[i]);
    const bool prefix = name.p[name.n - 1] == '*';
    if (prefix) name.n--;
    if (prefix ? mg_str_starts(key, name) : mg_str_eq(key, name)) return true;
  }
  return false;
}

/* A label of the table may stand with its value: key=value. */
static mg_str key_of(mg_str label) {
  return (mg_str){label.p, mg_str_find(label, '=')};
}

/* A key that the controller gives to every Pod of the workload makes a selector by itself. */
static bool is_enough(const struct mg_pod *pod, const struct constraint *c) {
  for (uint32_t i = 0; i < pod->kind->pod_labels.count; i++)
    if (mg_list_has(c->keys, key_of(MG_LIST_AT(pod->kind->pod_labels, mg_str, i)))) return true;
  return false;
}

/* A label that the selector takes. A key may not stand in the selector and in matchLabelKeys. */
static bool selects(const struct constraint *c, mg_node key) {
  return mg_is(mg_value(key), MG_STRING) && !is_generated(mg_text(key)) && !mg_list_has(c->keys, mg_text(key));
}

static mg_node labels_of(const struct mg_pod *pod) {
  mg_node labels = MG_GET(pod->meta, "labels");
  return mg_first(mg_as(labels, MG_OBJECT));
}

/* Else the constraint would count the Pods of others too. */
static bool can_select(const struct mg_pod *pod, const struct constraint *c) {
  for (mg_node key = labels_of(pod); key.at; key = mg_next(key))
    if (selects(c, key)) return true;
  return is_enough(pod, c);
}

static mg_node make_selector(const struct mg_pod *pod, const struct constraint *c) {
  struct mg_doc *doc = pod->spec.doc;
  mg_node selector = mg_make(doc, MG_OBJECT), match = mg_make(doc, MG_OBJECT);
  uint32_t count = 0;
  for (mg_node key = labels_of(pod); key.at && count < LABELS_MAX; key = mg_next(key)) {
    if (!selects(c, key)) continue;
    mg_put(match, mg_text(key), mg_make_text(doc, MG_STRING, mg_text(mg_value(key))));
    count++;
  }
  if (count) mg_put(selector, MG_S("matchLabels"), match);
  return selector;
}

/* ---- mutate ---- */

/* The constraint of a list that names the topology key. */
static mg_node find_constraint(mg_node list, mg_str topology_key) {
  if (mg_is(list, MG_ARRAY))
    for (mg_node n = mg_first(list); n.at; n = mg_next(n))
      if (mg_str_eq(mg_string(MG_GET(n, "topologyKey")), topology_key)) return n;
  return (mg_node){0};
}

static mg_str fix_text(struct mg_arena *arena, const struct constraint *c) {
  return mg_arena_printf(arena, "topologySpreadConstraints: + {topologyKey: %.*s, maxSkew: %lld, whenUnsatisfiable: %s, …}",
                         MG_FMT(c->topology_key), (long long)c->max_skew.value, when_words[c->when]);
}

/* Put back where oldObject has it, as it is there: applying the same file again then changes nothing. */
static void add(struct mg_run *run, struct mg_pod *pod, const struct constraint *c) {
  const struct mg_pod *old = mg_run_old_pod(run);
  mg_node before = old ? find_constraint(mg_get(old->spec, CONSTRAINTS), c->topology_key) : (mg_node){0};
  if (before.at) {
    mg_pod_add_constraint(pod, mg_run_patch(run), before, mg_old_place(before, mg_get(pod->spec, CONSTRAINTS)));
    return;
  }
  mg_node made = mg_make_copy(pod->spec.doc, c->node);
  mg_put(made, MG_S("labelSelector"), make_selector(pod, c));
  mg_pod_add_constraint(pod, mg_run_patch(run), made, UINT32_MAX);
}

static void want(struct mg_run *run, struct mg_pod *pod, const struct constraint *c) {
  if (find_constraint(mg_get(pod->spec, CONSTRAINTS), c->topology_key).at) return;
  if (!can_select(pod, c)) return;
  struct mg_finding finding = {.pod = pod, .where = MG_WHERE(pod->spec, CONSTRAINTS), .subject = c->topology_key};
  if (mg_run_explains(run)) finding.fix = fix_text(mg_run_arena(run), c);
  if (mg_run_wants(run, &finding, "no topology spread constraint for %.*s", MG_FMT(c->topology_key)))
    add(run, pod, c);
}

/* One Pod for each node, placed by the controller: there is nothing to spread. */
static bool is_daemon(const struct mg_pod *pod) {
  mg_str group = pod->kind->group, kind = pod->kind->kind, version;
  if (pod->is_pod) mg_controlling_owner(pod->object, &group, &version, &kind);
  return mg_str_is(group, "apps") && mg_str_is(kind, "DaemonSet");
}

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  mg_node present = mg_get(pod->spec, CONSTRAINTS);
  if (!mg_run_sees_template(run) || !mg_pod_may_set(pod, CONSTRAINTS) || is_daemon(pod)) return;
  if (!mg_missing(present) && !mg_is(present, MG_ARRAY)) return;
  for (uint32_t i = 0; i < p->constraints.count; i++) want(run, pod, &MG_LIST_AT(p->constraints, struct constraint, i));
}

const struct mg_rule_type mg_rule_topology_spread = {
    .name = "topologySpread",
    .doc = "Adds topology spread constraints where no constraint of the template names the topology key. Each selects the Pods "
           "that carry the template's labels, without those that controllers give to single Pods; a template without labels gets "
           "none, nor does a DaemonSet.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
};
