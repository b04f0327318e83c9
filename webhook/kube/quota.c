#include "kube/quota.h"

/* ---- the numbers ---- */

bool mg_quota_next(const struct mg_context *context, mg_str ns, const struct mg_context_object **state, struct mg_quota *ret) {
  *state = mg_context_next(context, MG_CTX_RESOURCE_QUOTA, ns, *state);
  if (!*state) return false;
  mg_node object = (*state)->object, status = MG_GET(object, "status");
  *ret = (struct mg_quota){.ns = (*state)->ns, .name = (*state)->name, .object = object, .hard = MG_GET(status, "hard")};
  if (mg_is(ret->hard, MG_OBJECT) && mg_count(ret->hard)) ret->used = MG_GET(status, "used");
  else ret->hard = MG_GET(MG_GET(object, "spec"), "hard");
  return true;
}

bool mg_quota_left(const struct mg_quota *quota, mg_node hard_key, struct mg_quantity *ret_hard, struct mg_quantity *ret_left) {
  struct mg_quantity used = {0};
  mg_node taken = mg_get(quota->used, mg_text(hard_key));
  if (mg_quantity_read(mg_value(hard_key), ret_hard, NULL)) return false;
  if (taken.at && mg_quantity_read(taken, &used, NULL)) return false;
  *ret_left = mg_quantity_sub(*ret_hard, used);
  if (ret_left->nano < 0) ret_left->nano = 0;
  return true;
}

/* ---- keys ---- */

static bool take_prefix(mg_str *key, mg_str prefix) {
  if (!mg_str_starts(*key, prefix)) return false;
  *key = mg_str_from(*key, prefix.n);
  return true;
}

static bool is_one_of(mg_str word, const char *const *words) {
  for (; *words; words++)
    if (mg_str_is(word, *words)) return true;
  return false;
}

/* The side and resource of a pod that a key is about. */
static bool split_key(mg_str key, enum mg_side *ret_side, mg_str *ret_resource) {
  static const char *const both[] = {"cpu", "memory", "ephemeral-storage", NULL};
  bool limit = take_prefix(&key, MG_S("limits.")), request = !limit && take_prefix(&key, MG_S("requests."));
  *ret_side = limit ? MG_SIDE_LIMIT : MG_SIDE_REQUEST;
  *ret_resource = key;
  if (is_one_of(key, both)) return true;
  if (!limit && mg_str_starts(key, MG_S("hugepages-"))) return true;
  return request && mg_resource_is_extended(key);
}

static struct mg_ask one_pod(const struct mg_pod *pod) {
  return (struct mg_ask){.state = MG_AMOUNT_READ,
                         .q = mg_quantity_of(1, MG_DECIMAL_SI),
                         .at = pod->replicas_at.at ? pod->replicas_at : pod->node};
}

struct mg_ask mg_quota_ask(const struct mg_limit_ranges *defaults, const struct mg_pod *pod, mg_str key) {
  enum mg_side side;
  mg_str resource;
  if (mg_str_is(key, "pods") || mg_str_is(key, "count/pods")) return one_pod(pod);
  return split_key(key, &side, &resource) ? mg_pod_ask(defaults, pod, side, resource) : (struct mg_ask){0};
}

bool mg_quota_demands(mg_str key, enum mg_side *ret_side, mg_str *ret_resource) {
  return split_key(key, ret_side, ret_resource) && (mg_str_is(*ret_resource, "cpu") || mg_str_is(*ret_resource, "memory"));
}

/* The plural is guessed as the API server's own clients do. */
static bool is_plural(mg_str plural, mg_str kind) {
  char last = kind.n ? (char)(kind.p[kind.n - 1] | 32) : 0;
  mg_str end = last == 's' ? MG_S("ses") : last == 'y' ? MG_S("ies") : (mg_str){(char[]){last, 's'}, 2};
  if (!kind.n || plural.n != kind.n - 1 + end.n || !mg_str_ends(plural, end)) return false;
  for (size_t i = 0; i + 1 < kind.n; i++) {
    char c = kind.p[i];
    if (plural.p[i] != (c >= 'A' && c <= 'Z' ? c | 32 : c)) return false;
  }
  return true;
}

/* ---- scopes ---- */

static bool has_deadline(const struct mg_pod *pod) {
  int64_t seconds;
  return mg_int64(MG_GET(pod->spec, "activeDeadlineSeconds"), &seconds) && seconds >= 0;
}

static bool is_some(struct mg_ask ask) {
  return ask.state == MG_AMOUNT_UNREADABLE || (ask.state == MG_AMOUNT_READ && ask.q.nano > 0);
}

static bool is_best_effort(const struct mg_limit_ranges *defaults, const struct mg_pod *pod) {
  const mg_str resources[] = {MG_S("cpu"), MG_S("memory")};
  for (int r = 0; r < 2; r++)
    for (int side = MG_SIDE_LIMIT; side <= MG_SIDE_REQUEST; side++)
      if (is_some(mg_pod_ask(defaults, pod, (enum mg_side)side, resources[r]))) return false;
  return true;
}

static bool crosses(mg_node terms) {
  if (!mg_is(terms, MG_ARRAY)) return false;
  for (mg_node n = mg_first(terms); n.at; n = mg_next(n)) {
    mg_node inner = MG_GET(n, "podAffinityTerm"), term = inner.at ? inner : n;
    if (mg_count(MG_GET(term, "namespaces")) || !mg_missing(MG_GET(term, "namespaceSelector"))) return true;
  }
  return false;
}

static bool has_cross_affinity(const struct mg_pod *pod) {
  mg_node affinity = MG_GET(pod->spec, "affinity");
  const mg_node kinds[] = {MG_GET(affinity, "podAffinity"), MG_GET(affinity, "podAntiAffinity")};
  for (int i = 0; i < 2; i++)
    if (crosses(MG_GET(kinds[i], "requiredDuringSchedulingIgnoredDuringExecution")) ||
        crosses(MG_GET(kinds[i], "preferredDuringSchedulingIgnoredDuringExecution")))
      return true;
  return false;
}

static bool class_holds(const struct mg_pod *pod, mg_str operator, mg_node values) {
  mg_node at;
  mg_str name = mg_pod_priority_class(pod, &at);
  if (!name.n) name = pod->context->default_class;
  if (mg_str_is(operator, "Exists") || mg_str_is(operator, "DoesNotExist")) return (name.n > 0) == mg_str_is(operator, "Exists");
  bool listed = false;
  if (mg_is(values, MG_ARRAY))
    for (mg_node n = mg_first(values); n.at && name.n; n = mg_next(n)) listed |= mg_str_eq(mg_string(n), name);
  return mg_str_is(operator, "In") ? listed : mg_str_is(operator, "NotIn") && !listed;
}

struct scoped {
  const struct mg_limit_ranges *defaults;
  const struct mg_pod *pod;
};

static bool scope_holds(const struct scoped *s, mg_str scope, mg_str operator, mg_node values) {
  if (mg_str_is(scope, "Terminating")) return has_deadline(s->pod);
  if (mg_str_is(scope, "NotTerminating")) return !has_deadline(s->pod);
  if (mg_str_is(scope, "BestEffort")) return is_best_effort(s->defaults, s->pod);
  if (mg_str_is(scope, "NotBestEffort")) return !is_best_effort(s->defaults, s->pod);
  if (mg_str_is(scope, "PriorityClass")) return class_holds(s->pod, operator, values);
  return mg_str_is(scope, "CrossNamespacePodAffinity") && has_cross_affinity(s->pod);
}

static mg_node scopes_of(const struct mg_quota *quota) {
  return MG_GET(MG_GET(quota->object, "spec"), "scopes");
}

static mg_node selectors_of(const struct mg_quota *quota) {
  return MG_GET(MG_GET(MG_GET(quota->object, "spec"), "scopeSelector"), "matchExpressions");
}

bool mg_quota_covers(const struct mg_quota *quota, const struct mg_limit_ranges *defaults, const struct mg_pod *pod) {
  mg_node scopes = scopes_of(quota), selectors = selectors_of(quota);
  const struct scoped s = {defaults, pod};
  if (mg_is(scopes, MG_ARRAY))
    for (mg_node n = mg_first(scopes); n.at; n = mg_next(n))
      if (!scope_holds(&s, mg_string(n), MG_S("Exists"), (mg_node){0})) return false;
  if (mg_is(selectors, MG_ARRAY))
    for (mg_node n = mg_first(selectors); n.at; n = mg_next(n)) {
      mg_str scope = mg_string(MG_GET(n, "scopeName")), operator = mg_string(MG_GET(n, "operator"));
      if (!scope_holds(&s, scope, operator, MG_GET(n, "values"))) return false;
    }
  return true;
}

bool mg_quota_counts(const struct mg_quota *quota, const struct mg_kind_row *kind, mg_str key) {
  if (!take_prefix(&key, MG_S("count/")) || mg_count(scopes_of(quota)) || mg_count(selectors_of(quota))) return false;
  size_t dot = mg_str_find(key, '.');
  mg_str plural = {key.p, dot}, group = dot < key.n ? mg_str_from(key, dot + 1) : MG_S("");
  bool is_pod = !kind->group.n && mg_str_is(kind->kind, "Pod"); /* counted as a pod */
  return !is_pod && mg_str_eq(group, kind->group) && is_plural(plural, kind->kind);
}
