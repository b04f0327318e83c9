#include "kube/pod.h"

#include <stdlib.h>

#include "kube/claims.h"
#include "kube/image.h"

static enum mg_amount_state read_amount(mg_node n, struct mg_quantity *ret) {
  if (!n.at) return MG_AMOUNT_NONE;
  return mg_quantity_read(n, ret, NULL) ? MG_AMOUNT_UNREADABLE : MG_AMOUNT_READ;
}

static bool is_some(enum mg_amount_state state, struct mg_quantity q) {
  return state == MG_AMOUNT_UNREADABLE || (state == MG_AMOUNT_READ && q.nano != 0);
}

static int64_t devices_of(enum mg_amount_state state, struct mg_quantity q) {
  if (state == MG_AMOUNT_NONE) return 0;
  int64_t n = state == MG_AMOUNT_READ ? mg_quantity_value(q) : 1;
  return n < 0 ? 0 : n;
}

/* What rules ask of an amount again and again. */
static void settle_amount(const struct mg_accelerators *all, struct mg_amount *a) {
  a->accelerator = mg_accelerator_of(all, a->resource);
  a->used = is_some(a->limit_state, a->limit_q) || is_some(a->request_state, a->request_q);
  a->plain = a->limit_state == MG_AMOUNT_READ && a->limit_q.nano >= 0 && mg_quantity_whole(a->limit_q) &&
             (a->request_state == MG_AMOUNT_NONE || (a->request_state == MG_AMOUNT_READ && a->request_q.nano == a->limit_q.nano));
  a->devices = 0;
  if (!a->accelerator || a->accelerator->unit != MG_UNIT_COUNT) return;
  int64_t limit = devices_of(a->limit_state, a->limit_q), request = devices_of(a->request_state, a->request_q);
  a->devices = limit > request ? limit : request;
}

static struct mg_amount *find_amount(struct mg_amount *amounts, uint32_t count, mg_str resource) {
  for (uint32_t i = 0; i < count; i++)
    if (mg_str_eq(amounts[i].resource, resource)) return &amounts[i];
  return NULL;
}

static int by_resource(const void *a, const void *b) {
  return mg_str_cmp(((const struct mg_amount *)a)->resource, ((const struct mg_amount *)b)->resource);
}

/* The order of a long list is of no use to anybody, and a hostile one is found in only if it is sorted. */
static struct mg_amount *find_sorted(struct mg_amount *amounts, uint32_t count, mg_str resource) {
  const struct mg_amount key = {.resource = resource};
  return bsearch(&key, amounts, count, sizeof key, by_resource);
}

/* Limits first, then requests, each put beside its limit where there is one. */
static int read_amounts(const struct mg_pod *pod, struct mg_container *c) {
  enum { LONG = 64 };
  mg_node resources = MG_GET(c->node, "resources");
  mg_node limits = MG_GET(resources, "limits"), requests = MG_GET(resources, "requests");
  uint32_t most = (mg_is(limits, MG_OBJECT) ? mg_count(limits) : 0) + (mg_is(requests, MG_OBJECT) ? mg_count(requests) : 0);
  c->amount_count = 0;
  if (!most) return 0;
  c->amounts = MG_NEW_N(pod->arena, struct mg_amount, most);
  if (!c->amounts) return MG_E_NOMEM;
  for (mg_node key = mg_is(limits, MG_OBJECT) ? mg_first(limits) : (mg_node){0}; key.at; key = mg_next(key)) {
    struct mg_amount *a = &c->amounts[c->amount_count++];
    *a = (struct mg_amount){.resource = mg_text(key), .limit = mg_value(key)};
    a->limit_state = read_amount(a->limit, &a->limit_q);
  }
  uint32_t limited = c->amount_count;
  if (limited > LONG) qsort(c->amounts, limited, sizeof *c->amounts, by_resource);
  for (mg_node key = mg_is(requests, MG_OBJECT) ? mg_first(requests) : (mg_node){0}; key.at; key = mg_next(key)) {
    struct mg_amount *a = (limited > LONG ? find_sorted : find_amount)(c->amounts, limited, mg_text(key));
    if (!a) {
      a = &c->amounts[c->amount_count++];
      *a = (struct mg_amount){.resource = mg_text(key)};
    }
    a->request = mg_value(key);
    a->request_state = read_amount(a->request, &a->request_q);
  }
  for (uint32_t i = 0; i < c->amount_count; i++) settle_amount(pod->accelerators, &c->amounts[i]);
  return 0;
}

static void read_container(struct mg_container *c, mg_node node, enum mg_container_list list, uint32_t number) {
  *c = (struct mg_container){.node = node, .list = list, .number = number};
  c->name = mg_string(MG_GET(node, "name"));
  c->image = mg_string(MG_GET(node, "image"));
  c->sidecar = list == MG_LIST_INIT && mg_str_is(mg_string(MG_GET(node, "restartPolicy")), "Always");
}

/* Annotations that give a container a share of a device: the one that is named, else the first. */
static void read_shares(struct mg_pod *pod) {
  mg_str value, name = {0};
  bool shared = false;
  for (uint32_t i = 0; i < pod->accelerators->shares.count && !shared; i++)
    shared = mg_pod_annotation(pod, MG_LIST_AT(pod->accelerators->shares, mg_str, i), &value) && value.n;
  if (!shared) return;
  mg_pod_annotation(pod, MG_S("gpu-fraction-container-name"), &name);
  struct mg_container *first = NULL;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    if (name.n ? mg_str_eq(c->name, name) : c->list == MG_LIST_MAIN && !first) first = c;
  }
  if (first) first->shared = pod->has_share = true;
}

static const struct {
  const char *key;
  enum mg_container_list list;
} lists[] = {
    {"initContainers", MG_LIST_INIT},
    {"containers", MG_LIST_MAIN},
    {NULL, MG_LIST_EXTRA},
    {"ephemeralContainers", MG_LIST_EPHEMERAL},
};

/* Containers that the table knows beside the usual lists, such as a model server's own. */
static mg_node extra_container(const struct mg_pod *pod, uint32_t i) {
  return mg_steps_follow(MG_LIST_AT(pod->row->containers, struct mg_steps, i), pod->node, NULL, 0);
}

static uint32_t most_containers(const struct mg_pod *pod) {
  uint32_t n = pod->row->containers.count;
  for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
    mg_node list = lists[l].key ? mg_get(pod->spec, mg_str_of(lists[l].key)) : (mg_node){0};
    if (mg_is(list, MG_ARRAY)) n += mg_count(list);
  }
  return n;
}

static void find_meta(struct mg_pod *pod) {
  mg_node object = pod->is_pod ? (mg_node){0} : MG_GET(pod->object, "metadata");
  pod->labels[0] = MG_GET(pod->meta, "labels");
  pod->labels[1] = MG_GET(object, "labels");
  pod->annotations[0] = MG_GET(pod->meta, "annotations");
  pod->annotations[1] = MG_GET(object, "annotations");
}

static int64_t sum_container(const struct mg_container *c, const struct mg_device_filter *filter);
static int64_t sum_pod(const struct mg_pod *pod, const struct mg_device_filter *filter);

int mg_pod_read(struct mg_pod *pod) {
  uint32_t most = most_containers(pod);
  find_meta(pod);
  pod->containers = MG_NEW_N(pod->arena, struct mg_container, most ? most : 1);
  if (!pod->containers) return MG_E_NOMEM;
  for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
    mg_node list = lists[l].key ? mg_get(pod->spec, mg_str_of(lists[l].key)) : (mg_node){0};
    uint32_t number = 0;
    if (mg_is(list, MG_ARRAY))
      for (mg_node n = mg_first(list); n.at; n = mg_next(n), number++)
        if (mg_is(n, MG_OBJECT)) read_container(&pod->containers[pod->container_count++], n, lists[l].list, number);
    if (lists[l].key) continue;
    for (uint32_t i = 0; i < pod->row->containers.count; i++) {
      mg_node n = extra_container(pod, i);
      if (mg_is(n, MG_OBJECT)) read_container(&pod->containers[pod->container_count++], n, MG_LIST_EXTRA, number++);
    }
  }
  mg_pod_refresh(pod);
  return pod->arena->failed ? MG_E_NOMEM : 0;
}

void mg_pod_refresh(struct mg_pod *pod) {
  pod->has_accelerator = pod->has_unknown_claim = pod->has_share = false;
  pod->claimed = 0;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    c->shared = c->claims_device = c->claims_unknown = false;
    c->claimed = 0;
    if (read_amounts(pod, c)) return;
  }
  mg_pod_resolve_claims(pod);
  read_shares(pod);
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    c->uses_accelerator = c->claims_device || c->shared;
    for (uint32_t a = 0; a < c->amount_count; a++) c->uses_accelerator |= mg_amount_is_device(&c->amounts[a]);
    c->devices = sum_container(c, NULL);
    pod->has_accelerator |= c->uses_accelerator;
  }
  pod->devices = sum_pod(pod, NULL);
}

static bool meta_value(const mg_node maps[2], mg_str key, mg_str *ret) {
  mg_node n = mg_get(maps[0], key);
  if (mg_missing(n)) n = mg_get(maps[1], key);
  if (mg_missing(n)) return false;
  *ret = mg_text(n);
  return true;
}

bool mg_pod_label(const struct mg_pod *pod, mg_str key, mg_str *ret) {
  return meta_value(pod->labels, key, ret);
}

bool mg_pod_annotation(const struct mg_pod *pod, mg_str key, mg_str *ret) {
  return meta_value(pod->annotations, key, ret);
}

mg_str mg_container_image(struct mg_pod *pod, struct mg_container *c) {
  if (!c->normalised.p && c->image.n) c->normalised = mg_image_normalise(pod->arena, c->image);
  return c->normalised;
}

bool mg_container_is_infrastructure(struct mg_pod *pod, struct mg_container *c) {
  if (!c->infrastructure_known) {
    c->infrastructure = mg_any_pattern(pod->accelerators->infrastructure, mg_container_image(pod, c));
    c->infrastructure_known = true;
  }
  return c->infrastructure;
}

const struct mg_amount *mg_container_amount(const struct mg_container *c, mg_str resource) {
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (mg_str_eq(c->amounts[i].resource, resource)) return &c->amounts[i];
  return NULL;
}

bool mg_amount_used(const struct mg_amount *a) {
  return a && a->used;
}

bool mg_amount_is_device(const struct mg_amount *a) {
  return a && a->accelerator && mg_amount_used(a);
}

int64_t mg_amount_devices(const struct mg_amount *a) {
  return a->devices;
}

bool mg_container_uses_accelerator(const struct mg_container *c) {
  return c->uses_accelerator;
}

bool mg_device_counts(const struct mg_device_filter *filter, const struct mg_amount *a) {
  if (!a->accelerator || a->accelerator->unit != MG_UNIT_COUNT) return false;
  return !filter || !filter->resources.count || mg_any_pattern(filter->resources, a->resource);
}

static int64_t add_saturated(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* A filter names resources; claims have classes, so that only an absent filter counts them, and every resource. */
static bool counts_claims(const struct mg_device_filter *filter) {
  return !filter || !filter->resources.count;
}

static int64_t sum_container(const struct mg_container *c, const struct mg_device_filter *filter) {
  int64_t sum = counts_claims(filter) ? c->claimed : 0;
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (mg_device_counts(filter, &c->amounts[i])) sum = add_saturated(sum, mg_amount_devices(&c->amounts[i]));
  return sum;
}

int64_t mg_container_devices(const struct mg_container *c, const struct mg_device_filter *filter) {
  return counts_claims(filter) ? c->devices : sum_container(c, filter);
}

/* One resource over the pod: sidecars run beside everything behind them, a plain init container alone with the sidecars before
 * it. */
struct tally {
  mg_str resource;
  int64_t sum, sidecars, peak;
};

static void tally_up(struct tally *t, const struct mg_container *c, int64_t devices) {
  if (c->list == MG_LIST_EPHEMERAL) return;
  if (c->list == MG_LIST_INIT && !c->sidecar) {
    int64_t beside = add_saturated(devices, t->sidecars);
    t->peak = beside > t->peak ? beside : t->peak;
    return;
  }
  t->sum = add_saturated(t->sum, devices);
  if (c->list != MG_LIST_INIT) return;
  t->sidecars = add_saturated(t->sidecars, devices);
  t->peak = t->sidecars > t->peak ? t->sidecars : t->peak;
}

/* No honest template names as many accelerators; what comes after them is added as it stands, so that a hostile one is cheap and
 * never counts less. */
#define MOST_TALLIES 64

struct tallies {
  struct tally of[MOST_TALLIES];
  uint32_t count;
};

static struct tally *tally_of(struct tallies *all, mg_str resource) {
  for (uint32_t i = 0; i < all->count; i++)
    if (mg_str_eq(all->of[i].resource, resource)) return &all->of[i];
  if (all->count == MOST_TALLIES) return NULL;
  all->of[all->count] = (struct tally){.resource = resource};
  return &all->of[all->count++];
}

static int64_t sum_pod(const struct mg_pod *pod, const struct mg_device_filter *filter) {
  struct tallies all;
  int64_t devices = counts_claims(filter) ? pod->claimed : 0;
  all.count = 0;
  if (!pod->has_accelerator) return devices;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    for (uint32_t a = 0; a < c->amount_count; a++) {
      if (!mg_device_counts(filter, &c->amounts[a])) continue;
      struct tally *t = tally_of(&all, c->amounts[a].resource);
      int64_t n = mg_amount_devices(&c->amounts[a]);
      if (t)
        tally_up(t, c, n);
      else
        devices = add_saturated(devices, n);
    }
  }
  for (uint32_t i = 0; i < all.count; i++) {
    const struct tally *t = &all.of[i];
    devices = add_saturated(devices, t->sum > t->peak ? t->sum : t->peak);
  }
  return devices;
}

int64_t mg_pod_devices(const struct mg_pod *pod, const struct mg_device_filter *filter) {
  return counts_claims(filter) ? pod->devices : sum_pod(pod, filter);
}

bool mg_pod_level_limit(const struct mg_pod *pod, mg_str resource, mg_node *ret) {
  *ret = mg_get(MG_GET(MG_GET(pod->spec, "resources"), "limits"), resource);
  return !mg_missing(*ret);
}

bool mg_container_limit(const struct mg_pod *pod, const struct mg_container *c, mg_str resource, struct mg_quantity *ret) {
  const struct mg_amount *a = mg_container_amount(c, resource);
  if (a && a->limit_state == MG_AMOUNT_READ) {
    *ret = a->limit_q;
    return true;
  }
  mg_node limit;
  return mg_pod_level_limit(pod, resource, &limit) && mg_quantity_read(limit, ret, NULL) == 0;
}

/* Policies under which somebody starts the containers again; ExitCode is Kubeflow's. */
static bool policy_retries(mg_str policy) {
  return mg_str_is(policy, "OnFailure") || mg_str_is(policy, "Always") || mg_str_is(policy, "ExitCode");
}

bool mg_pod_is_retried(const struct mg_pod *pod) {
  const struct mg_kind_row *kind = pod->kind;
  mg_str restart = mg_string(MG_GET(pod->spec, "restartPolicy"));
  if (kind->retried.always) return true;
  if (pod->row->restart_policy.path.set) {
    mg_str own = mg_string(mg_steps_follow(pod->row->restart_policy.path, pod->object, pod->choices, pod->choice_count));
    return policy_retries(own.n ? own : restart.n ? restart : pod->row->restart_policy.def);
  }
  if (kind->retried.path.set) {
    mg_node n = mg_steps_follow(kind->retried.path, pod->object, pod->choices, pod->choice_count);
    int64_t retries = mg_missing(n) ? kind->retried.def.value : 0;
    if (mg_int64(n, &retries) ? retries > 0 : retries > 0) return true;
  }
  return pod->is_pod && !restart.n ? true : policy_retries(restart);
}

bool mg_pod_affinity_names(const struct mg_pod *pod, mg_str key) {
  mg_node required =
      MG_GET(MG_GET(MG_GET(pod->spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
  mg_node terms = MG_GET(required, "nodeSelectorTerms");
  if (!mg_is(terms, MG_ARRAY)) return false;
  for (mg_node term = mg_first(terms); term.at; term = mg_next(term)) {
    mg_node expressions = MG_GET(term, "matchExpressions");
    if (!mg_is(expressions, MG_ARRAY)) continue;
    for (mg_node e = mg_first(expressions); e.at; e = mg_next(e))
      if (mg_str_eq(mg_string(MG_GET(e, "key")), key)) return true;
  }
  return false;
}
