/* From an object and the workload table to the views of its templates: paths, names, replicas, roles. */
#include "kube/walk.h"
#include "base/capped.h"
#include "kube/pod.h"

#define MOST_NESTED 4 /* an AppWrapper in an AppWrapper in … */

/* How often something is made. */
struct count {
  int64_t n;
  bool unreadable;
  mg_node at; /* the first number that is there, or the one that cannot be read */
};

/* What all walks over one object share. */
struct all {
  const struct mg_world *world;
  struct mg_arena *arena;
  struct mg_workload *workload;
  struct mg_pod *spare; /* of a fragment that was no pod */
  uint32_t cap;
  size_t inner_cap;
  int error;
};

/* An object on its way to its templates: the workload itself, or one that is nested in it. */
struct walk {
  struct all *all;
  mg_node object;
  const struct mg_kind_row *kind;
  const struct walk *outer; /* NULL: the workload itself */
  struct count count;       /* how often the object is made */
  uint32_t depth;
  const struct mg_steps *path;
  struct mg_taken choices[MG_CHOICES];
  uint32_t choice_count;
  const void *row; /* of what is found: struct mg_template_row or struct mg_nested_row */
  void (*found)(struct walk *w, mg_node node, mg_str id);
};

bool mg_controlling_owner(mg_node object, mg_str *ret_group, mg_str *ret_version, mg_str *ret_kind) {
  mg_node owners = MG_GET(MG_GET(object, "metadata"), "ownerReferences");
  if (!mg_is(owners, MG_ARRAY)) return false;
  for (mg_node o = mg_first(owners); o.at; o = mg_next(o)) {
    if (!mg_true(MG_GET(o, "controller"))) continue;
    mg_split_api_version(mg_string(MG_GET(o, "apiVersion")), ret_group, ret_version);
    *ret_kind = mg_string(MG_GET(o, "kind"));
    return true;
  }
  return false;
}

static bool is_builtin_group(mg_str group) {
  return group.n == 0 || mg_str_is(group, "apps") || mg_str_is(group, "batch");
}

static uint64_t length_bit(mg_str key) {
  return (uint64_t)1 << (key.n & 63);
}

/* The lengths of a pod's label keys: few, so that nearly all of the table's labels need no search. */
static uint64_t label_lengths(const struct mg_pod *pod) {
  uint64_t lengths = 0;
  for (int i = 0; i < MG_META_LEVELS; i++)
    for (mg_node key = mg_is(pod->labels[i], MG_OBJECT) ? mg_first(pod->labels[i]) : (mg_node){0}; key.at; key = mg_next(key))
      lengths |= length_bit(mg_text(key));
  return lengths;
}

static bool has_label(const struct mg_pod *pod, const struct mg_pair *wanted) {
  mg_str value;
  return mg_pod_label(pod, wanted->key, &value) && (!wanted->value.n || mg_str_eq(value, wanted->value));
}

/* The kind whose controller put its labels on the pod, such as the JobSet behind a Job. */
static enum mg_role role_by_labels(const struct mg_kind_table *kinds, const struct mg_pod *pod) {
  uint64_t lengths = label_lengths(pod);
  for (uint32_t i = 0; lengths && i < kinds->count; i++) {
    const struct mg_kind_row *row = &kinds->rows[i];
    for (uint32_t l = 0; l < row->pod_labels.count; l++) {
      if (!(lengths & length_bit(row->labels[l].key)) || is_builtin_group(row->group) || row->role == MG_ROLE_NONE) continue;
      if (has_label(pod, &row->labels[l])) return (enum mg_role)row->role;
    }
  }
  return MG_ROLE_NONE;
}

/* The object around a nested template will be its owner. */
static enum mg_role role_of(const struct walk *w, const struct mg_pod *pod) {
  const struct mg_kind_table *kinds = w->all->world->kinds;
  mg_str group, version, kind;
  enum mg_role role = MG_ROLE_NONE;
  for (int i = 0; i < MG_META_LEVELS && role == MG_ROLE_NONE; i++) /* a word that is no role hides none behind it */
    role = mg_role_of(mg_string(mg_get(pod->labels[i], MG_S("mlgate.dev/role"))));
  for (const struct walk *o = w->outer; o && role == MG_ROLE_NONE; o = o->outer) role = (enum mg_role)o->kind->role;
  if (role != MG_ROLE_NONE) return role;
  if (mg_controlling_owner(pod->object, &group, &version, &kind)) {
    const struct mg_kind_row *owner = mg_kind_find(kinds, group, version, kind);
    if (pod->is_pod && (is_builtin_group(group) || !owner)) role = role_by_labels(kinds, pod);
    if (role == MG_ROLE_NONE && owner) role = (enum mg_role)owner->role;
  }
  return role != MG_ROLE_NONE ? role : (enum mg_role)pod->kind->role;
}

static mg_node follow(const struct walk *w, const struct mg_steps *path) {
  return mg_steps_follow(*path, w->object, w->choices, w->choice_count);
}

/* The factor as it stands; of one that is autoscaled, the most that it may become. False: cannot be read, or negative. */
static bool read_factor(const struct walk *w, const struct mg_replicas_row *row, int64_t *ret, mg_node *ret_at) {
  mg_node n = follow(w, &row->path), max = {0};
  bool autoscaled = row->max.set && (!row->max_when.set || mg_true(follow(w, &row->max_when)));
  if (autoscaled) max = follow(w, &row->max);
  int64_t least = autoscaled && mg_missing(max) ? 1 : 0, now = 0;
  if (!mg_missing(max) && !(mg_int64(n, &now) && mg_int64(max, &least) && now > least)) n = max;
  if (mg_missing(n)) {
    *ret = row->def.set ? row->def.value : 1;
    return true;
  }
  *ret_at = n;
  if (!mg_int64(n, ret) || *ret < 0) return false;
  if (*ret < least) *ret = least;
  return true;
}

static bool factor(const struct walk *w, const struct mg_replicas_row *row, int64_t *ret, mg_node *ret_at) {
  if (!read_factor(w, row, ret, ret_at)) return false;
  if (row->minus.set && (!row->minus_when.set || !mg_missing(follow(w, &row->minus_when))))
    *ret = *ret > row->minus.value ? *ret - row->minus.value : 0;
  return true;
}

static struct count multiply(const struct walk *w, struct mg_list replicas) {
  struct count count = w->count;
  for (uint32_t i = 0; i < replicas.count; i++) {
    int64_t n = 1;
    mg_node at = {0};
    if (!factor(w, &MG_LIST_AT(replicas, struct mg_replicas_row, i), &n, &at)) {
      count.unreadable = true;
      count.at = at;
      n = 1;
    }
    if (at.at && !count.at.at) count.at = at;
    count.n = mg_mul_capped(count.n, n);
  }
  return count;
}

static void malformed(struct walk *w, mg_node at, const char *wanted) {
  struct mg_workload *workload = w->all->workload;
  if (workload->malformed.n) return;
  mg_str path = mg_path(w->all->arena, workload->object, at);
  if (!path.n) path = MG_S("the object");
  workload->malformed = mg_arena_printf(w->all->arena, "%.*s is not %s; what is under it was not judged", MG_FMT(path), wanted);
}

/* What the API server takes, as far as rules read it; what has another shape it will refuse, and rules leave alone. */
struct shape {
  mg_str key;
  enum mg_kind kind;
  const struct shape *below; /* of the object, or of each item, which is an object then */
};
static const struct shape resources_shape[] = {
    {{"limits", 6}, MG_OBJECT, NULL},
    {{"requests", 8}, MG_OBJECT, NULL},
    {{0}, 0, NULL},
};
static const struct shape container_shape[] = {
    {{"resources", 9}, MG_OBJECT, resources_shape},
    {{"env", 3}, MG_ARRAY, NULL},
    {{"volumeMounts", 12}, MG_ARRAY, NULL},
    {{0}, 0, NULL},
};
static const struct shape pod_shape[] = {
    {{"containers", 10}, MG_ARRAY, container_shape},
    {{"initContainers", 14}, MG_ARRAY, container_shape},
    {{"ephemeralContainers", 19}, MG_ARRAY, container_shape},
    {{"tolerations", 11}, MG_ARRAY, NULL},
    {{"topologySpreadConstraints", 25}, MG_ARRAY, NULL},
    {{"volumes", 7}, MG_ARRAY, NULL},
    {{"nodeSelector", 12}, MG_OBJECT, NULL},
    {{0}, 0, NULL},
};

/* Recursion is bounded by the tables. */
static void check_shape(struct walk *w, mg_node object, const struct shape *shape) {
  if (!mg_is(object, MG_OBJECT)) {
    malformed(w, object, "an object");
    return;
  }
  for (; shape->key.n; shape++) {
    mg_node field = mg_get(object, shape->key);
    if (mg_missing(field)) continue;
    if (!mg_is(field, shape->kind)) malformed(w, field, shape->kind == MG_ARRAY ? "a list" : "an object");
    else if (shape->below && shape->kind == MG_OBJECT) check_shape(w, field, shape->below);
    else if (shape->below)
      for (mg_node n = mg_first(field); n.at; n = mg_next(n)) check_shape(w, n, shape->below);
  }
}

/* Room for one more; false, and an error, where there is none. */
static bool grow(struct all *all) {
  struct mg_workload *workload = all->workload;
  if (workload->pod_count == all->cap) {
    uint32_t cap = all->cap ? all->cap * 2 : 8;
    struct mg_pod **pods = mg_arena_grow(all->arena, workload->pods, all->cap * sizeof *pods, cap * sizeof *pods);
    if (pods) workload->pods = pods, all->cap = cap;
  }
  if (workload->pod_count == MG_MOST_TEMPLATES)
    all->error = MG_E_LIMIT;
  else if (workload->pod_count == all->cap)
    all->error = MG_E_NOMEM;
  return !all->error;
}

/* The pod's own fields. A fragment may keep them in one of its own, which need not be there. */
static mg_node spec_of(const struct mg_template_row *row, mg_node node) {
  if (row->shape == MG_SHAPE_TEMPLATE) return MG_GET(node, "spec");
  mg_node spec = row->spec.set ? mg_steps_follow(row->spec, node, NULL, 0) : node;
  return mg_missing(spec) ? node : spec;
}

static mg_node meta_of(const struct walk *w, const struct mg_template_row *row, mg_node node) {
  if (row->shape == MG_SHAPE_TEMPLATE) return MG_GET(node, "metadata");
  return row->metadata.set ? follow(w, &row->metadata) : (mg_node){0};
}

static bool is_pod(const struct walk *w, mg_node node) {
  return mg_same(node, w->object) && w->kind->group.n == 0 && mg_str_is(w->kind->kind, "Pod");
}

static void add_pod(struct walk *w, mg_node node, mg_str id) {
  const struct mg_template_row *row = w->row;
  struct all *all = w->all;
  mg_node spec = spec_of(row, node);
  if (!mg_is(node, MG_OBJECT) || !mg_is(spec, MG_OBJECT)) {
    if (!mg_missing(spec) || !mg_is(node, MG_OBJECT)) malformed(w, mg_is(node, MG_OBJECT) ? spec : node, "an object");
    return;
  }
  struct mg_pod *pod = all->spare ? all->spare : MG_NEW(all->arena, struct mg_pod);
  all->spare = NULL;
  if (!pod) all->error = MG_E_NOMEM;
  if (!pod || !grow(all)) return;
  *pod = (struct mg_pod){.object = w->object,
                         .outer = w->outer ? all->workload->object : (mg_node){0},
                         .node = node,
                         .spec = spec,
                         .kind = w->kind,
                         .row = row,
                         .accelerators = all->world->accelerators,
                         .context = all->world->context,
                         .arena = all->arena,
                         .ns = all->workload->ns,
                         .id = id,
                         .is_pod = is_pod(w, node),
                         .fixed = w->outer || row->shape == MG_SHAPE_FRAGMENT,
                         .choice_count = w->choice_count};
  memcpy(pod->choices, w->choices, sizeof pod->choices);
  pod->as_written = all->world->as_written && pod->is_pod;
  check_shape(w, pod->spec, pod_shape);
  if (row->shape == MG_SHAPE_FRAGMENT && mg_pod_is_empty(pod)) { /* such as a list of steps among Argo's templates */
    all->spare = pod;
    return;
  }
  pod->meta = meta_of(w, row, node);
  if (mg_pod_read(pod)) all->error = MG_E_NOMEM;
  struct count count = multiply(w, row->replicas);
  pod->replicas = count.n;
  pod->replicas_unreadable = count.unreadable;
  pod->replicas_at = count.at;
  pod->role = role_of(w, pod);
  all->workload->pods[all->workload->pod_count++] = pod;
}

static mg_str item_id(struct walk *w, mg_str id, mg_node item, uint32_t number) {
  mg_str name = mg_item_name(item);
  return name.n ? mg_arena_printf(w->all->arena, "%.*s/[%.*s]", MG_FMT(id), MG_FMT(name))
                : mg_arena_printf(w->all->arena, "%.*s/%u", MG_FMT(id), number);
}

static mg_str key_id(struct walk *w, mg_str id, mg_str key) {
  return mg_arena_printf(w->all->arena, "%.*s/%.*s", MG_FMT(id), MG_FMT(key));
}

/* Recursion is bounded by the steps of the table's path, at most 32. */
static void walk_path(struct walk *w, uint32_t step, mg_node at, mg_str id) {
  for (; step < w->path->count; step++) {
    const struct mg_step *s = &w->path->steps[step];
    if (mg_missing(at) || w->all->error) return;
    if (s->kind == MG_STEP_KEY) {
      if (!mg_is(at, MG_OBJECT)) {
        malformed(w, at, "an object");
        return;
      }
      at = mg_get(at, s->key);
      id = key_id(w, id, s->key);
      continue;
    }
    bool items = s->kind == MG_STEP_ITEMS;
    if (!mg_is(at, items ? MG_ARRAY : MG_OBJECT)) {
      malformed(w, at, items ? "a list" : "an object");
      return;
    }
    if (w->choice_count == MG_CHOICES) return;
    uint32_t slot = w->choice_count++, number = 0;
    for (mg_node n = mg_first(at); n.at; n = mg_next(n), number++) {
      w->choices[slot] = (struct mg_taken){items ? n : mg_value(n), number};
      walk_path(w, step + 1, w->choices[slot].at, items ? item_id(w, id, n, number) : key_id(w, id, mg_text(n)));
    }
    w->choice_count = slot;
    return;
  }
  if (!mg_missing(at)) w->found(w, at, id);
}

static void walk_object(struct walk *w, mg_str id);

static void add_inner(struct all *all, const struct mg_inner *inner) {
  struct mg_workload *workload = all->workload;
  struct mg_inner *list = NULL;
  if (workload->inner_count == MG_MOST_TEMPLATES)
    all->error = MG_E_LIMIT;
  else if (!(list = mg_arena_room(all->arena, workload->inner, &all->inner_cap, workload->inner_count, sizeof *list)))
    all->error = MG_E_NOMEM;
  if (!list) return;
  workload->inner = list;
  list[workload->inner_count++] = *inner;
}

/* What the table does not know is skipped, as it would be by itself. */
static void add_nested(struct walk *w, mg_node node, mg_str id) {
  const struct mg_nested_row *row = w->row;
  mg_str group, version;
  mg_split_api_version(mg_string(MG_GET(node, "apiVersion")), &group, &version);
  const struct mg_kind_row *kind = mg_kind_find(w->all->world->kinds, group, version, mg_string(MG_GET(node, "kind")));
  if (!mg_is(node, MG_OBJECT)) malformed(w, node, "an object");
  if (!mg_is(node, MG_OBJECT) || !kind) return;
  if (w->depth + 1 == MOST_NESTED) {
    malformed(w, node, "within the depth that is looked into");
    return;
  }
  add_inner(w->all, &(struct mg_inner){node, kind, id});
  struct walk inner = {
      .all = w->all, .object = node, .kind = kind, .outer = w, .count = multiply(w, row->replicas), .depth = w->depth + 1};
  walk_object(&inner, id);
}

static void walk_object(struct walk *w, mg_str id) {
  for (uint32_t i = 0; i < w->kind->templates.count && !w->all->error; i++) {
    const struct mg_template_row *row = &MG_LIST_AT(w->kind->templates, struct mg_template_row, i);
    w->row = row;
    w->path = &row->path;
    w->found = add_pod;
    walk_path(w, 0, w->object, id);
  }
  for (uint32_t i = 0; i < w->kind->nested.count && !w->all->error; i++) {
    const struct mg_nested_row *row = &MG_LIST_AT(w->kind->nested, struct mg_nested_row, i);
    w->row = row;
    w->path = &row->path;
    w->found = add_nested;
    walk_path(w, 0, w->object, id);
  }
}

int mg_workload_view(const struct mg_world *world, struct mg_arena *arena, const struct mg_kind_row *kind, mg_node object,
                     mg_str ns, struct mg_workload **ret) {
  struct mg_workload *workload = MG_NEW(arena, struct mg_workload);
  if (!workload) return MG_E_NOMEM;
  *workload = (struct mg_workload){.object = object, .kind = kind, .ns = ns};
  struct all all = {.world = world, .arena = arena, .workload = workload};
  struct walk w = {.all = &all, .object = object, .kind = kind, .count = {.n = 1}};
  walk_object(&w, MG_S(""));
  *ret = workload;
  return arena->failed ? MG_E_NOMEM : all.error;
}
