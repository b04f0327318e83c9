#include "kube/edit.h"

void mg_pod_add_toleration(struct mg_pod *pod, struct mg_patch *patch, mg_node toleration, uint32_t at) {
  mg_node list = mg_patch_child(patch, pod->spec, MG_S("tolerations"), MG_ARRAY);
  if (!list.at) return;
  mg_patch_insert(patch, list, at, mg_make_copy(list.doc, toleration));
  pod->version++;
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

void mg_pod_add_memory_volume(struct mg_pod *pod, struct mg_patch *patch, mg_str name, mg_str size) {
  mg_node list = mg_patch_child(patch, pod->spec, MG_S("volumes"), MG_ARRAY);
  if (!list.at) return;
  mg_node dir = mg_make(list.doc, MG_OBJECT), volume = mg_make(list.doc, MG_OBJECT);
  mg_put(dir, MG_S("medium"), mg_make_text(list.doc, MG_STRING, MG_S("Memory")));
  if (size.n) mg_put(dir, MG_S("sizeLimit"), mg_make_text(list.doc, MG_STRING, size));
  mg_put(volume, MG_S("name"), mg_make_text(list.doc, MG_STRING, name));
  mg_put(volume, MG_S("emptyDir"), dir);
  mg_patch_append(patch, list, volume);
  pod->version++;
}

void mg_container_add_mount(struct mg_pod *pod, struct mg_patch *patch, struct mg_container *c, mg_str volume, mg_str path) {
  mg_node list = mg_patch_child(patch, c->node, MG_S("volumeMounts"), MG_ARRAY);
  if (!list.at) return;
  mg_node mount = mg_make(list.doc, MG_OBJECT);
  mg_put(mount, MG_S("name"), mg_make_text(list.doc, MG_STRING, volume));
  mg_put(mount, MG_S("mountPath"), mg_make_text(list.doc, MG_STRING, path));
  mg_patch_append(patch, list, mount);
  pod->version++;
}

bool mg_pod_may_set(const struct mg_pod *pod, mg_str field) {
  if (!pod->kind) return true;
  for (uint32_t i = 0; i < pod->kind->without.count; i++)
    if (mg_str_eq(MG_LIST_AT(pod->kind->without, mg_str, i), field)) return false;
  return true;
}
