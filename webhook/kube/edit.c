#include "kube/edit.h"

static void insert_copy(struct mg_pod *pod, struct mg_patch *patch, mg_str field, mg_node item, uint32_t at) {
  mg_node list = mg_patch_child(patch, pod->spec, field, MG_ARRAY);
  if (!list.at) return;
  mg_patch_insert(patch, list, at, mg_make_copy(list.doc, item));
  pod->version++;
}

void mg_pod_add_toleration(struct mg_pod *pod, struct mg_patch *patch, mg_node toleration, uint32_t at) {
  insert_copy(pod, patch, MG_S("tolerations"), toleration, at);
}

void mg_pod_add_constraint(struct mg_pod *pod, struct mg_patch *patch, mg_node constraint, uint32_t at) {
  insert_copy(pod, patch, MG_S("topologySpreadConstraints"), constraint, at);
}

void mg_pod_set_node_label(struct mg_pod *pod, struct mg_patch *patch, mg_str key, mg_str value) {
  mg_node labels = mg_patch_child(patch, pod->spec, MG_S("nodeSelector"), MG_OBJECT);
  if (!labels.at) return;
  mg_patch_set(patch, labels, key, mg_make_text(labels.doc, MG_STRING, value));
  pod->version++;
}

void mg_pod_set_field(struct mg_pod *pod, struct mg_patch *patch, mg_str field, mg_node value) {
  if (!mg_is(pod->spec, MG_OBJECT)) return;
  if (value.at) {
    mg_patch_set(patch, pod->spec, field, value);
  } else {
    if (!mg_get_key(pod->spec, field).at) return;
    mg_patch_remove(patch, pod->spec, field);
  }
  pod->version++;
}

uint32_t mg_old_place(mg_node old_item, mg_node list) {
  uint32_t at = old_item.at ? mg_index_of(old_item) : UINT32_MAX;
  return at <= mg_count(list) ? at : UINT32_MAX;
}

void mg_pod_add_memory_volume(struct mg_pod *pod, struct mg_patch *patch, mg_str name, mg_str size, uint32_t at) {
  mg_node list = mg_patch_child(patch, pod->spec, MG_S("volumes"), MG_ARRAY);
  if (!list.at) return;
  mg_node dir = mg_make(list.doc, MG_OBJECT), volume = mg_make(list.doc, MG_OBJECT);
  mg_put(dir, MG_S("medium"), mg_make_text(list.doc, MG_STRING, MG_S("Memory")));
  if (size.n) mg_put(dir, MG_S("sizeLimit"), mg_make_text(list.doc, MG_STRING, size));
  mg_put(volume, MG_S("name"), mg_make_text(list.doc, MG_STRING, name));
  mg_put(volume, MG_S("emptyDir"), dir);
  mg_patch_insert(patch, list, at, volume);
  pod->version++;
}

void mg_container_add_mount(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str volume, mg_str path,
                            uint32_t at) {
  mg_node list = mg_patch_child(patch, c->node, MG_S("volumeMounts"), MG_ARRAY);
  if (!list.at) return;
  mg_node mount = mg_make(list.doc, MG_OBJECT);
  mg_put(mount, MG_S("name"), mg_make_text(list.doc, MG_STRING, volume));
  mg_put(mount, MG_S("mountPath"), mg_make_text(list.doc, MG_STRING, path));
  mg_patch_insert(patch, list, at, mount);
  pod->version++;
}

void mg_container_add_env(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str name, mg_str value,
                          uint32_t at) {
  mg_node list = mg_patch_child(patch, c->node, MG_S("env"), MG_ARRAY);
  if (!list.at) return;
  mg_node variable = mg_make(list.doc, MG_OBJECT);
  mg_put(variable, MG_S("name"), mg_make_text(list.doc, MG_STRING, name));
  mg_put(variable, MG_S("value"), mg_make_text(list.doc, MG_STRING, value));
  mg_patch_insert(patch, list, at, variable);
  pod->version++;
}

void mg_place_set(struct mg_patch *patch, const struct mg_place *place, mg_node value) {
  mg_node at = place->object;
  uint32_t i = 0;
  for (; place->keys[i + 1].p; i++) at = mg_patch_child(patch, at, place->keys[i], MG_OBJECT);
  if (at.at) mg_patch_set(patch, at, place->keys[i], value);
}

void mg_container_set_amount(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str side, mg_str resource,
                             mg_node value) {
  mg_node map = mg_patch_child(patch, mg_patch_child(patch, c->node, MG_S("resources"), MG_OBJECT), side, MG_OBJECT);
  if (!map.at) return;
  mg_patch_set(patch, map, resource, value);
  pod->version++;
}

struct mg_branch mg_branch_below(struct mg_branch *up, mg_str key, enum mg_kind kind) {
  return (struct mg_branch){.up = up, .key = key, .kind = kind, .node = mg_get(up->node, key), .old = mg_get(up->old, key)};
}

bool mg_branch_is_open(const struct mg_branch *branch) {
  return mg_missing(branch->node) ? !branch->up || mg_branch_is_open(branch->up) : mg_is(branch->node, branch->kind);
}

static bool make_branch(struct mg_patch *patch, struct mg_branch *branch) {
  if (mg_missing(branch->node) && branch->up && make_branch(patch, branch->up))
    branch->node = mg_patch_child(patch, branch->up->node, branch->key, branch->kind);
  return mg_is(branch->node, branch->kind);
}

void mg_branch_set(struct mg_pod *pod, struct mg_patch *patch, struct mg_branch *object, mg_str key, mg_node value) {
  if (!make_branch(patch, object)) return;
  mg_patch_set(patch, object->node, key, mg_make_copy(object->node.doc, value));
  pod->version++;
}

void mg_branch_insert(struct mg_pod *pod, struct mg_patch *patch, struct mg_branch *array, mg_node value, uint32_t at) {
  if (!make_branch(patch, array)) return;
  mg_patch_insert(patch, array->node, at, mg_make_copy(array->node.doc, value));
  pod->version++;
}

void mg_pod_reread(struct mg_pod *pod) {
  if (pod->row->shape == MG_SHAPE_TEMPLATE) pod->meta = MG_GET(pod->node, "metadata");
  pod->version++;
  mg_pod_read(pod);
}

bool mg_pod_may_set(const struct mg_pod *pod, mg_str field) {
  return !pod->kind || !mg_list_has(pod->kind->without, field);
}

mg_node mg_pod_metadata(const struct mg_pod *pod, struct mg_steps *ret_missing) {
  static const struct mg_step step = {MG_STEP_KEY, {"metadata", 8}};
  const struct mg_steps own = {&step, 1, true};
  *ret_missing = (struct mg_steps){0};
  if (!mg_pod_may_set(pod, step.key)) return (mg_node){0}; /* what its schema drops */
  if (pod->row->shape == MG_SHAPE_TEMPLATE) return mg_steps_nearest(own, pod->node, NULL, 0, ret_missing);
  if (!pod->row->metadata.set) return (mg_node){0};
  mg_node nearest = mg_steps_nearest(pod->row->metadata, pod->object, pod->choices, pod->choice_count, ret_missing);
  const bool none = ret_missing->count || mg_missing(nearest);
  return none && pod->kind->mutate == MG_MUTATE_PODS ? (mg_node){0} : nearest;
}
