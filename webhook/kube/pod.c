#include "kube/pod.h"

#include <stdlib.h>

#include "kube/claims.h"
#include "kube/image.h"
#include "kube/limit_range.h"

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

void mg_amount_settle(const struct mg_accelerators *all, struct mg_amount *a) {
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
  mg_node resources = mg_container_resources(c);
  mg_node limits = MG_GET(resources, "limits"), requests = MG_GET(resources, "requests");
  uint32_t most = mg_count(mg_as(limits, MG_OBJECT)) + mg_count(mg_as(requests, MG_OBJECT));
  most += pod->row->devices.count; /* read_devices adds them */
  c->amount_count = 0;
  if (!most) return 0;
  c->amounts = MG_NEW_N(pod->arena, struct mg_amount, most);
  if (!c->amounts) return MG_E_NOMEM;
  for (mg_node key = mg_first(mg_as(limits, MG_OBJECT)); key.at; key = mg_next(key)) {
    struct mg_amount *a = &c->amounts[c->amount_count++];
    *a = (struct mg_amount){.resource = mg_text(key), .limit = mg_value(key)};
    a->limit_state = read_amount(a->limit, &a->limit_q);
  }
  uint32_t limited = c->amount_count;
  if (limited > LONG) qsort(c->amounts, limited, sizeof *c->amounts, by_resource);
  for (mg_node key = mg_first(mg_as(requests, MG_OBJECT)); key.at; key = mg_next(key)) {
    struct mg_amount *a = (limited > LONG ? find_sorted : find_amount)(c->amounts, limited, mg_text(key));
    if (!a) {
      a = &c->amounts[c->amount_count++];
      *a = (struct mg_amount){.resource = mg_text(key)};
    }
    a->request = mg_value(key);
    a->request_state = read_amount(a->request, &a->request_q);
  }
  for (uint32_t i = 0; i < c->amount_count; i++) mg_amount_settle(pod->accelerators, &c->amounts[i]);
  return 0;
}

mg_node mg_container_resources(const struct mg_container *c) {
  return mg_get(c->holder, c->resources_key);
}

/* Some kinds write an image in parts: {registry, repository or name, tag}. */
static mg_str join_image(struct mg_arena *arena, mg_node image) {
  mg_str registry = mg_string(MG_GET(image, "registry")), name = mg_string(MG_GET(image, "repository"));
  mg_str tag = mg_text(MG_GET(image, "tag"));
  if (!name.n) name = mg_string(MG_GET(image, "name"));
  if (!name.n) return (mg_str){0};
  return mg_arena_printf(arena, "%.*s%s%.*s%s%.*s", MG_FMT(registry), registry.n ? "/" : "", MG_FMT(name), tag.n ? ":" : "",
                         MG_FMT(tag));
}

static void read_container(struct mg_pod *pod, mg_node node, enum mg_container_list list, uint32_t number) {
  struct mg_container *c = &pod->containers[pod->container_count++];
  mg_node image = MG_GET(node, "image");
  *c = (struct mg_container){.node = node, .holder = node, .resources_key = MG_S("resources"), .list = list, .number = number};
  c->name = mg_string(MG_GET(node, "name"));
  c->image = mg_is(image, MG_OBJECT) ? join_image(pod->arena, image) : mg_string(image);
  c->sidecar = list == MG_LIST_INIT && mg_str_is(mg_string(MG_GET(node, "restartPolicy")), "Always");
}

/* The one that a share, or a device asked for elsewhere, is for: the first that the table adds, else the first of the usual
 * list. */
static struct mg_container *main_container(struct mg_pod *pod) {
  struct mg_container *main = NULL;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    if (c->list == MG_LIST_EXTRA) return c;
    if (c->list == MG_LIST_MAIN && !main) main = c;
  }
  return main;
}

/* Annotations that give a container a share of a device: the one that is named, else the first. */
static void read_shares(struct mg_pod *pod) {
  mg_str value, name = {0};
  bool shared = false;
  for (uint32_t i = 0; i < pod->accelerators->shares.count && !shared; i++)
    shared = mg_pod_annotation(pod, MG_LIST_AT(pod->accelerators->shares, mg_str, i), &value) && value.n;
  if (!shared) return;
  mg_pod_annotation(pod, MG_S("gpu-fraction-container-name"), &name);
  struct mg_container *first = name.n ? NULL : main_container(pod);
  for (uint32_t i = 0; name.n && i < pod->container_count; i++)
    if (mg_str_eq(pod->containers[i].name, name)) first = &pod->containers[i];
  pod->has_share = true;
  if (first) first->shared = true;
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

/* Containers that the table knows beside the usual lists, such as a model server's own. They are only counted before there is
 * room for them. */
static uint32_t read_extras(struct mg_pod *pod, const struct mg_steps *path, uint32_t step, mg_node at, uint32_t number) {
  for (; step < path->count; step++) {
    const struct mg_step *s = &path->steps[step];
    if (s->kind == MG_STEP_KEY) {
      at = mg_get(at, s->key);
      continue;
    }
    bool items = s->kind == MG_STEP_ITEMS;
    if (!mg_is(at, items ? MG_ARRAY : MG_OBJECT)) return number;
    for (mg_node n = mg_first(at); n.at; n = mg_next(n))
      number = read_extras(pod, path, step + 1, items ? n : mg_value(n), number);
    return number;
  }
  if (!mg_is(at, MG_OBJECT)) return number;
  if (pod->containers) read_container(pod, at, MG_LIST_EXTRA, number);
  return number + 1;
}

/* Where resources are kept apart, they are the first container's, and stand for one where no other is written down. */
static void move_resources(struct mg_pod *pod, uint32_t first) {
  struct mg_steps path = pod->row->resources;
  if (!path.set || !path.count || path.steps[path.count - 1].kind != MG_STEP_KEY) return;
  struct mg_steps way = {path.steps, path.count - 1, true};
  mg_node holder = mg_steps_follow(way, pod->node, NULL, 0);
  mg_str key = path.steps[path.count - 1].key;
  bool apart = !mg_missing(mg_get(holder, key));
  if (first == pod->container_count && apart) read_container(pod, pod->node, MG_LIST_EXTRA, 0);
  if (first == pod->container_count || !mg_is(holder, MG_OBJECT)) return;
  if (!apart && !mg_missing(mg_container_resources(&pod->containers[first]))) return;
  pod->containers[first].holder = holder;
  pod->containers[first].resources_key = key;
}

static uint32_t each_extra(struct mg_pod *pod) {
  uint32_t number = 0, first = pod->container_count;
  for (uint32_t i = 0; i < pod->row->containers.count; i++)
    number = read_extras(pod, &MG_LIST_AT(pod->row->containers, struct mg_steps, i), 0, pod->node, number);
  if (pod->containers) move_resources(pod, first);
  return number;
}

static uint32_t most_containers(struct mg_pod *pod) {
  uint32_t n = each_extra(pod);
  if (pod->row->resources.set && !mg_missing(mg_steps_follow(pod->row->resources, pod->node, NULL, 0))) n++; /* may stand alone */
  for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
    mg_node list = lists[l].key ? mg_get(pod->spec, mg_str_of(lists[l].key)) : (mg_node){0};
    if (mg_is(list, MG_ARRAY)) n += mg_count(list);
  }
  return n;
}

bool mg_pod_is_empty(struct mg_pod *pod) {
  return most_containers(pod) == 0;
}

static void find_meta(struct mg_pod *pod) {
  const mg_node metas[MG_META_LEVELS] = {pod->meta, pod->is_pod ? (mg_node){0} : MG_GET(pod->object, "metadata"),
                                         MG_GET(pod->outer, "metadata")};
  for (int i = 0; i < MG_META_LEVELS; i++) {
    pod->labels[i] = MG_GET(metas[i], "labels");
    pod->annotations[i] = MG_GET(metas[i], "annotations");
  }
}

/* ---- devices that a kind asks for elsewhere ---- */

static bool speaks_for_itself(const struct mg_container *c) {
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (mg_amount_is_device(&c->amounts[i])) return true;
  return c->shared || c->claims_device || c->claims_unknown;
}

/* The first that names a resource holds; what is asked for and what is set as the limit are put together. */
static void add_device(const struct mg_pod *pod, struct mg_container *c, const struct mg_device_row *row, mg_node n) {
  mg_str resource = row->resource_at.set
                        ? mg_string(mg_steps_follow(row->resource_at, pod->object, pod->choices, pod->choice_count))
                        : (mg_str){0};
  if (!resource.n) resource = row->resource.n ? row->resource : MG_S("nvidia.com/gpu");
  struct mg_amount *a = find_amount(c->amounts, c->amount_count, resource);
  if (!a) {
    a = &c->amounts[c->amount_count++];
    *a = (struct mg_amount){.resource = resource};
  }
  if (row->form == MG_DEVICE_LIMIT && !a->limit.at) {
    a->limit = n;
    a->limit_state = read_amount(n, &a->limit_q);
  } else if (row->form == MG_DEVICE_REQUEST && !a->request.at) {
    a->request = n;
    a->request_state = read_amount(n, &a->request_q);
  }
  mg_amount_settle(pod->accelerators, a);
}

static void read_devices(struct mg_pod *pod) {
  struct mg_container *c = pod->row->devices.count ? main_container(pod) : NULL;
  if (!c || speaks_for_itself(c)) return;
  for (uint32_t i = 0; i < pod->row->devices.count; i++) {
    const struct mg_device_row *row = &MG_LIST_AT(pod->row->devices, struct mg_device_row, i);
    mg_node n = mg_steps_follow(row->path, pod->object, pod->choices, pod->choice_count);
    struct mg_quantity q = {0};
    if (mg_missing(n)) continue;
    if (row->form != MG_DEVICE_SOME)
      add_device(pod, c, row, n);
    else if (is_some(read_amount(n, &q), q))
      c->presumed = true;
  }
  c->presumed &= !speaks_for_itself(c);
}

int mg_pod_read(struct mg_pod *pod) {
  uint32_t most = most_containers(pod);
  find_meta(pod);
  pod->container_count = 0;
  pod->containers = MG_NEW_N(pod->arena, struct mg_container, most ? most : 1);
  if (!pod->containers) return MG_E_NOMEM;
  for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
    mg_node list = lists[l].key ? mg_get(pod->spec, mg_str_of(lists[l].key)) : (mg_node){0};
    uint32_t number = 0;
    if (mg_is(list, MG_ARRAY))
      for (mg_node n = mg_first(list); n.at; n = mg_next(n), number++)
        if (mg_is(n, MG_OBJECT)) read_container(pod, n, lists[l].list, number);
    if (!lists[l].key) each_extra(pod);
  }
  mg_pod_refresh(pod);
  return pod->arena->failed ? MG_E_NOMEM : 0;
}

void mg_pod_refresh(struct mg_pod *pod) {
  pod->has_accelerator = pod->has_unknown_claim = pod->has_share = pod->has_presumed = pod->has_granted = false;
  pod->claimed = 0;
  pod->all_granted = pod->container_count > 0;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    c->shared = c->presumed = c->claims_device = c->claims_unknown = false;
    c->claimed = 0;
    if (read_amounts(pod, c)) return;
  }
  if (pod->as_written) mg_limit_give(pod);
  mg_pod_resolve_claims(pod);
  read_shares(pod);
  read_devices(pod);
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    c->uses_accelerator = c->claims_device || c->shared || c->presumed;
    c->plain = true;
    for (uint32_t a = 0; a < c->amount_count; a++) {
      c->uses_accelerator |= mg_amount_is_device(&c->amounts[a]);
      c->plain &= c->amounts[a].plain || !c->amounts[a].accelerator;
    }
    pod->has_accelerator |= c->uses_accelerator;
    pod->has_presumed |= c->presumed;
    pod->has_granted |= mg_container_is_granted(c);
    pod->all_granted &= mg_container_is_granted(c);
  }
  mg_pod_sum(pod);
}

static bool meta_value(const mg_node maps[MG_META_LEVELS], mg_str key, mg_str *ret) {
  mg_node n = {0};
  for (int i = 0; i < MG_META_LEVELS && mg_missing(n); i++) n = mg_get(maps[i], key);
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

bool mg_container_is_granted(const struct mg_container *c) {
  return c->uses_accelerator && !c->presumed;
}

bool mg_pod_level_limit(const struct mg_pod *pod, mg_str resource, mg_node *ret) {
  *ret = mg_get(MG_GET(MG_GET(pod->spec, "resources"), "limits"), resource);
  return !mg_missing(*ret);
}

bool mg_container_limit(const struct mg_pod *pod, const struct mg_container *c, mg_str resource, struct mg_quantity *ret) {
  const struct mg_amount *a = mg_container_amount(c, resource);
  if (a && a->limit_state == MG_AMOUNT_READ && a->limit_q.nano != 0) {
    *ret = a->limit_q;
    return true;
  }
  mg_node limit;
  return mg_pod_level_limit(pod, resource, &limit) && mg_quantity_read(limit, ret, NULL) == 0 && ret->nano != 0;
}

/* Policies under which somebody starts the containers again; ExitCode is Kubeflow's. */
static bool policy_retries(mg_str policy) {
  return mg_str_is(policy, "OnFailure") || mg_str_is(policy, "Always") || mg_str_is(policy, "ExitCode");
}

mg_str mg_pod_restart_policy(const struct mg_pod *pod, mg_node *ret_at) {
  const mg_node says[] = {
      pod->row->restart_policy.path.set
          ? mg_steps_follow(pod->row->restart_policy.path, pod->object, pod->choices, pod->choice_count)
          : (mg_node){0},
      MG_GET(pod->spec, "restartPolicy"),
  };
  for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
    *ret_at = says[i];
    if (mg_string(says[i]).n) return mg_string(says[i]);
  }
  *ret_at = (mg_node){0};
  return pod->row->restart_policy.def;
}

mg_str mg_pod_priority_class(const struct mg_pod *pod, mg_node *ret_at) {
  *ret_at = MG_GET(pod->spec, "priorityClassName");
  if (!mg_string(*ret_at).n && pod->kind->priority_class.set)
    *ret_at = mg_steps_follow(pod->kind->priority_class, pod->object, NULL, 0);
  mg_str name = mg_string(*ret_at);
  if (!name.n) *ret_at = (mg_node){0};
  return name;
}

bool mg_pod_is_retried(const struct mg_pod *pod) {
  const struct mg_kind_row *kind = pod->kind;
  mg_node at;
  mg_str restart = mg_pod_restart_policy(pod, &at);
  if (kind->retried.always) return true;
  if (pod->row->restart_policy.path.set) return policy_retries(restart);
  if (kind->retried.path.set) {
    mg_node n = mg_steps_follow(kind->retried.path, pod->object, pod->choices, pod->choice_count);
    int64_t retries = mg_missing(n) ? kind->retried.def.value : 0;
    (void)mg_int64(n, &retries); /* what is no number leaves the default */
    if (retries > 0) return true;
  }
  return pod->is_pod && !restart.n ? true : policy_retries(restart);
}

mg_node mg_pod_volume(const struct mg_pod *pod, mg_str name) {
  mg_node list = MG_GET(pod->spec, "volumes");
  if (mg_is(list, MG_ARRAY) && name.n)
    for (mg_node n = mg_first(list); n.at; n = mg_next(n))
      if (mg_str_eq(mg_string(MG_GET(n, "name")), name)) return n;
  return (mg_node){0};
}

bool mg_pod_has_claim_template(const struct mg_pod *pod, mg_str name) {
  mg_node claims = MG_GET(MG_GET(pod->object, "spec"), "volumeClaimTemplates");
  if (mg_is(claims, MG_ARRAY))
    for (mg_node n = mg_first(claims); n.at; n = mg_next(n))
      if (mg_str_eq(mg_string(MG_GET(MG_GET(n, "metadata"), "name")), name)) return true;
  return false;
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
