#include "kube/accelerator.h"

void mg_pattern_owner_free(struct mg_pattern_owner *owner) {
  for (struct mg_pattern_link *l = owner->first; l; l = l->next) mg_pattern_free(l->pattern);
  owner->first = NULL;
}

bool mg_pattern_load(struct mg_load *load, mg_str text, mg_str name, mg_node at, enum mg_spot spot, struct mg_pattern **ret) {
  struct mg_err err = {0};
  struct mg_pattern *pattern = NULL;
  if (mg_pattern_compile(text, load->arena, &pattern, &err)) {
    mg_diag_error(load->diags, at, spot, "\"%.*s\": %s", MG_FMT(name), err.text);
    return false;
  }
  struct mg_pattern_owner *owner = load->owner;
  struct mg_pattern_link *link = MG_NEW(load->arena, struct mg_pattern_link);
  if (!link || !owner) {
    mg_pattern_free(pattern);
    return false;
  }
  *link = (struct mg_pattern_link){owner->first, pattern};
  owner->first = link;
  *ret = pattern;
  return true;
}

static bool read_pattern(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  mg_str text;
  struct mg_field string = {.key = field->key, .type = &mg_t_text};
  if (!mg_t_text.read(load, &string, value, &text)) return false;
  return mg_pattern_load(load, text, mg_str_of(field->key), value, MG_AT_VALUE, dst);
}

const struct mg_type mg_t_pattern = {.name = "a glob or /regex/", .read = read_pattern, .schema = MG_SCHEMA_STRING};
const struct mg_item mg_item_pattern = {&mg_t_pattern, sizeof(struct mg_pattern *), NULL};

static const char *const unit_words[] = {"count", "size", "none", NULL};

static const struct mg_field row_fields[] = {
    {"name", &mg_t_pattern, offsetof(struct mg_accelerator_row, name), .required = true, .doc = "Glob on the resource name."},
    {"unit", &mg_t_enum, offsetof(struct mg_accelerator_row, unit), unit_words, .def = "count",
     .doc = "count: devices, summed; size: memory or cores, never summed; none: no accelerator."},
    MG_FIELDS_END,
};
static const struct mg_shape row_shape = {row_fields, "a resource"};
static const struct mg_item row_item = {&mg_t_object, sizeof(struct mg_accelerator_row), &row_shape};

#define BACK_DOOR(member) offsetof(struct mg_accelerators, back_doors.member) - offsetof(struct mg_accelerators, back_doors)
static const struct mg_field back_door_fields[] = {
    {"env", &mg_t_list, BACK_DOOR(env), &mg_item_string, .doc = "Environment variables that hand out devices."},
    {"paths", &mg_t_list, BACK_DOOR(paths), &mg_item_pattern, .doc = "Host paths of devices."},
    {"mounts", &mg_t_list, BACK_DOOR(mounts), &mg_item_pattern, .doc = "Mount paths that ask the runtime for devices."},
    {"runtimeClasses", &mg_t_list, BACK_DOOR(runtime_classes), &mg_item_pattern, .doc = "Runtime classes that show devices."},
    {"images", &mg_t_list, BACK_DOOR(images), &mg_item_pattern, .doc = "Images that are made for devices."},
    MG_FIELDS_END,
};
static const struct mg_shape back_door_shape = {back_door_fields, "backDoors"};

const struct mg_field mg_accelerator_fields[] = {
    {"resources", &mg_t_list, offsetof(struct mg_accelerators, resources), &row_item,
     .doc = "Resource names; the first match holds."},
    {"deviceClasses", &mg_t_list, offsetof(struct mg_accelerators, device_classes), &mg_item_pattern,
     .doc = "DeviceClasses of accelerators."},
    {"shares", &mg_t_list, offsetof(struct mg_accelerators, shares), &mg_item_string,
     .doc = "Annotations that stand for a share of a device."},
    {"backDoors", &mg_t_object, offsetof(struct mg_accelerators, back_doors), &back_door_shape,
     .doc = "Ways to devices without a limit."},
    {"nodeLabels", &mg_t_list, offsetof(struct mg_accelerators, node_labels), &mg_item_pattern,
     .doc = "Labels of nodes with devices."},
    {"infrastructure", &mg_t_list, offsetof(struct mg_accelerators, infrastructure), &mg_item_pattern,
     .doc = "Images that may see devices without a limit."},
    MG_FIELDS_END,
};

bool mg_accelerators_read(struct mg_load *load, mg_node spec, struct mg_accelerators *ret) {
  return mg_decode(load, mg_accelerator_fields, "spec", spec, ret);
}

static void prepend(struct mg_arena *arena, struct mg_list *all, struct mg_list more, size_t size) {
  if (!more.count) return;
  char *items = mg_arena_zero(arena, (size_t)all->count + more.count, size);
  if (!items) return;
  memcpy(items, more.items, more.count * size);
  if (all->count) memcpy(items + more.count * size, all->items, all->count * size);
  *all = (struct mg_list){items, all->count + more.count};
}

void mg_accelerators_extend(struct mg_arena *arena, struct mg_accelerators *all, const struct mg_accelerators *more) {
  const size_t pointer = sizeof(struct mg_pattern *);
  prepend(arena, &all->resources, more->resources, sizeof(struct mg_accelerator_row));
  prepend(arena, &all->device_classes, more->device_classes, pointer);
  prepend(arena, &all->shares, more->shares, sizeof(mg_str));
  prepend(arena, &all->back_doors.env, more->back_doors.env, sizeof(mg_str));
  prepend(arena, &all->back_doors.paths, more->back_doors.paths, pointer);
  prepend(arena, &all->back_doors.mounts, more->back_doors.mounts, pointer);
  prepend(arena, &all->back_doors.runtime_classes, more->back_doors.runtime_classes, pointer);
  prepend(arena, &all->back_doors.images, more->back_doors.images, pointer);
  prepend(arena, &all->node_labels, more->node_labels, pointer);
  prepend(arena, &all->infrastructure, more->infrastructure, pointer);
}

const struct mg_accelerator_row *mg_accelerator_of(const struct mg_accelerators *all, mg_str resource) {
  if (mg_str_find(resource, '/') == resource.n) return NULL; /* cpu, memory, hugepages: never */
  for (uint32_t i = 0; i < all->resources.count; i++) {
    const struct mg_accelerator_row *row = &MG_LIST_AT(all->resources, struct mg_accelerator_row, i);
    if (mg_pattern_match(row->name, resource) == 1) return row->unit == MG_UNIT_NONE ? NULL : row;
  }
  return NULL;
}

bool mg_any_pattern(struct mg_list patterns, mg_str value) {
  for (uint32_t i = 0; i < patterns.count; i++)
    if (mg_pattern_match(MG_LIST_AT(patterns, struct mg_pattern *, i), value) == 1) return true;
  return false;
}
