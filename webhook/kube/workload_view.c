/* From an object and the workload table to the views of its templates: paths, names, replicas, roles. */
#include "kube/pod.h"

#define MOST_TEMPLATES 4096

struct walk {
  const struct mg_world *world;
  struct mg_arena *arena;
  struct mg_workload *workload;
  const struct mg_template_row *row;
  uint32_t choices[8], choice_count;
  uint32_t cap;
  int error;
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

/* The kind whose controller put its labels on the pod, such as the JobSet behind a Job. */
static enum mg_role role_by_labels(const struct walk *w, const struct mg_pod *pod) {
  const struct mg_kind_table *kinds = w->world->kinds;
  for (uint32_t i = 0; i < kinds->count; i++) {
    const struct mg_kind_row *row = &kinds->rows[i];
    if (is_builtin_group(row->group) || row->role == MG_ROLE_NONE) continue;
    mg_str value;
    for (uint32_t l = 0; l < row->pod_labels.count; l++)
      if (mg_pod_label(pod, MG_LIST_AT(row->pod_labels, mg_str, l), &value)) return (enum mg_role)row->role;
  }
  return MG_ROLE_NONE;
}

/* Contract section 2, "Role of a template". */
static enum mg_role role_of(const struct walk *w, const struct mg_pod *pod) {
  mg_str group, version, kind;
  enum mg_role role = MG_ROLE_NONE;
  for (int i = 0; i < 2 && role == MG_ROLE_NONE; i++) /* a word that is no role hides none behind it */
    role = mg_role_of(mg_string(mg_get(pod->labels[i], MG_S("mlgate.dev/role"))));
  if (role != MG_ROLE_NONE) return role;
  if (mg_controlling_owner(pod->object, &group, &version, &kind)) {
    const struct mg_kind_row *owner = mg_kind_find(w->world->kinds, group, version, kind);
    if (pod->is_pod && (is_builtin_group(group) || !owner)) role = role_by_labels(w, pod);
    if (role == MG_ROLE_NONE && owner) role = (enum mg_role)owner->role;
  }
  return role != MG_ROLE_NONE ? role : (enum mg_role)pod->kind->role;
}

/* One factor; false where it cannot be read or is negative. */
static bool factor(const struct mg_pod *pod, const struct mg_replicas_row *row, int64_t *ret, mg_node *ret_at) {
  mg_node n = mg_steps_follow(row->path, pod->object, pod->choices, pod->choice_count);
  if (row->max.set &&
      (!row->max_when.set || mg_true(mg_steps_follow(row->max_when, pod->object, pod->choices, pod->choice_count)))) {
    mg_node max = mg_steps_follow(row->max, pod->object, pod->choices, pod->choice_count);
    if (!mg_missing(max)) n = max;
  }
  *ret = 1;
  if (!mg_missing(n)) {
    *ret_at = n;
    if (!mg_int64(n, ret) || *ret < 0) return false;
  }
  bool apart = row->minus.set && (!row->minus_when.set ||
                                  !mg_missing(mg_steps_follow(row->minus_when, pod->object, pod->choices, pod->choice_count)));
  if (apart) *ret = *ret > row->minus.value ? *ret - row->minus.value : 0;
  return true;
}

static void read_replicas(struct mg_pod *pod) {
  pod->replicas = 1;
  for (uint32_t i = 0; i < pod->row->replicas.count; i++) {
    int64_t n = 1;
    mg_node at = {0};
    if (!factor(pod, &MG_LIST_AT(pod->row->replicas, struct mg_replicas_row, i), &n, &at)) {
      pod->replicas_unreadable = true;
      pod->replicas_at = at;
      n = 1;
    }
    if (at.at && !pod->replicas_at.at) pod->replicas_at = at;
    if (__builtin_mul_overflow(pod->replicas, n, &pod->replicas)) pod->replicas = INT64_MAX;
  }
}

static void malformed(struct walk *w, mg_node at, const char *wanted) {
  if (w->workload->malformed.n) return;
  mg_str path = mg_path(w->arena, w->workload->object, at);
  if (!path.n) path = MG_S("the object");
  w->workload->malformed = mg_arena_printf(w->arena, "%.*s is not %s; what is under it was not judged", MG_FMT(path), wanted);
}

/* Shapes that the API server will refuse; rules leave them alone. */
static void check_shapes(struct walk *w, const struct mg_pod *pod) {
  static const struct {
    const char *name;
    enum mg_kind kind;
    bool objects; /* its items are objects */
  } shapes[] = {
      {"containers", MG_ARRAY, true},   {"initContainers", MG_ARRAY, true}, {"ephemeralContainers", MG_ARRAY, true},
      {"tolerations", MG_ARRAY, false}, {"volumes", MG_ARRAY, false},       {"nodeSelector", MG_OBJECT, false},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    mg_node field = mg_get(pod->spec, mg_str_of(shapes[i].name));
    if (!mg_missing(field) && !mg_is(field, shapes[i].kind))
      malformed(w, field, shapes[i].kind == MG_ARRAY ? "a list" : "an object");
    if (!shapes[i].objects || !mg_is(field, MG_ARRAY)) continue;
    for (mg_node n = mg_first(field); n.at; n = mg_next(n))
      if (!mg_is(n, MG_OBJECT)) malformed(w, n, "an object");
  }
}

static void add_pod(struct walk *w, mg_node node, mg_str id) {
  struct mg_workload *workload = w->workload;
  bool is_template = w->row->shape == MG_SHAPE_TEMPLATE;
  mg_node spec = is_template ? MG_GET(node, "spec") : node;
  if (!mg_is(node, MG_OBJECT)) {
    malformed(w, node, "an object");
    return;
  }
  if (!mg_is(spec, MG_OBJECT)) {
    if (!mg_missing(spec)) malformed(w, spec, "an object");
    return;
  }
  struct mg_pod *pod = MG_NEW(w->arena, struct mg_pod);
  if (workload->pod_count == w->cap && pod) {
    uint32_t cap = w->cap ? w->cap * 2 : 8;
    struct mg_pod **pods = mg_arena_grow(w->arena, workload->pods, w->cap * sizeof *pods, cap * sizeof *pods);
    if (pods) workload->pods = pods, w->cap = cap;
  }
  if (!pod || workload->pod_count == w->cap || workload->pod_count >= MOST_TEMPLATES) {
    w->error = MG_E_NOMEM;
    return;
  }
  *pod = (struct mg_pod){.object = workload->object,
                         .node = node,
                         .spec = spec,
                         .kind = workload->kind,
                         .row = w->row,
                         .accelerators = w->world->accelerators,
                         .context = w->world->context,
                         .arena = w->arena,
                         .ns = workload->ns,
                         .id = id,
                         .choice_count = w->choice_count};
  memcpy(pod->choices, w->choices, sizeof pod->choices);
  if (is_template) pod->meta = MG_GET(node, "metadata");
  pod->is_pod = mg_same(node, workload->object);
  check_shapes(w, pod);
  if (mg_pod_read(pod)) w->error = MG_E_NOMEM;
  read_replicas(pod);
  pod->role = role_of(w, pod);
  workload->pods[workload->pod_count++] = pod;
}

/* A list item is known by its name or groupName, else by its number. */
static mg_str item_id(struct walk *w, mg_str id, mg_node item, uint32_t number) {
  mg_str name = mg_string(MG_GET(item, "name"));
  if (!name.n) name = mg_string(MG_GET(item, "groupName"));
  return name.n ? mg_arena_printf(w->arena, "%.*s/[%.*s]", MG_FMT(id), MG_FMT(name))
                : mg_arena_printf(w->arena, "%.*s/%u", MG_FMT(id), number);
}

/* Recursion is bounded by the steps of the table's path, at most 32. */
static void walk_path(struct walk *w, uint32_t step, mg_node at, mg_str id) {
  for (; step < w->row->path.count; step++) {
    const struct mg_step *s = &w->row->path.steps[step];
    if (mg_missing(at) || w->error) return;
    if (s->kind == MG_STEP_KEY) {
      if (!mg_is(at, MG_OBJECT)) {
        malformed(w, at, "an object");
        return;
      }
      at = mg_get(at, s->key);
      id = mg_arena_printf(w->arena, "%.*s/%.*s", MG_FMT(id), MG_FMT(s->key));
      continue;
    }
    bool items = s->kind == MG_STEP_ITEMS;
    if (!mg_is(at, items ? MG_ARRAY : MG_OBJECT)) {
      malformed(w, at, items ? "a list" : "an object");
      return;
    }
    if (w->choice_count == sizeof w->choices / sizeof *w->choices) return;
    uint32_t slot = w->choice_count++, number = 0;
    for (mg_node n = mg_first(at); n.at; n = mg_next(n), number++) {
      w->choices[slot] = number;
      mg_str inner = items ? item_id(w, id, n, number) : mg_arena_printf(w->arena, "%.*s/%.*s", MG_FMT(id), MG_FMT(mg_text(n)));
      walk_path(w, step + 1, items ? n : mg_value(n), inner);
    }
    w->choice_count = slot;
    return;
  }
  if (!mg_missing(at)) add_pod(w, at, id);
}

int mg_workload_view(const struct mg_world *world, struct mg_arena *arena, const struct mg_kind_row *kind, mg_node object,
                     mg_str ns, struct mg_workload **ret) {
  struct mg_workload *workload = MG_NEW(arena, struct mg_workload);
  if (!workload) return MG_E_NOMEM;
  *workload = (struct mg_workload){.object = object, .kind = kind, .ns = ns};
  struct walk w = {.world = world, .arena = arena, .workload = workload};
  for (uint32_t i = 0; i < kind->templates.count && !w.error; i++) {
    w.row = &MG_LIST_AT(kind->templates, struct mg_template_row, i);
    walk_path(&w, 0, object, MG_S(""));
  }
  *ret = workload;
  return arena->failed ? MG_E_NOMEM : w.error;
}
