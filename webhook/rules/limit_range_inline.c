#include "rules/limits.h"

/* ---- the fields ---- */

static bool is_standard(mg_str name) {
  static const char *const names[] = {"cpu", "memory", "ephemeral-storage", NULL};
  for (size_t i = 0; names[i]; i++)
    if (mg_str_is(name, names[i])) return true;
  return mg_str_starts(name, MG_S("hugepages-"));
}

static bool check_name(struct mg_load *load, mg_node key, mg_str name) {
  static const char *const names[] = {"cpu", "memory", "ephemeral-storage", NULL};
  if (mg_str_find(name, '/') < name.n || is_standard(name)) return true;
  mg_str hint = mg_did_you_mean(load->arena, name, names);
  mg_diag_error(load->diags, key, MG_AT_KEY, "\"%.*s\" is no resource of containers%.*s", MG_FMT(name), MG_FMT(hint));
  return false;
}

static bool read_resources(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_is(value, MG_OBJECT)) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be %s", field->key, field->type->name);
    return false;
  }
  struct mg_resource *items = MG_NEW_N(load->arena, struct mg_resource, (size_t)mg_count(value) + 1);
  uint32_t count = 0;
  bool good = items;
  for (mg_node key = mg_first(value); key.at && items; key = mg_next(key)) {
    struct mg_resource *r = &items[count++];
    struct mg_err err = {0};
    *r = (struct mg_resource){.name = mg_text(key), .at = mg_value(key)};
    good &= check_name(load, r->at, r->name);
    bool read = mg_quantity_read(r->at, &r->q, &err) == 0;
    if (read && r->q.nano >= 0) continue;
    if (read)
      mg_diag_error(load->diags, r->at, MG_AT_VALUE, "\"%.*s\" must not be negative", MG_FMT(r->name));
    else
      mg_diag_error(load->diags, r->at, MG_AT_VALUE, "\"%.*s\" must be a quantity such as 16Gi: %s", MG_FMT(r->name), err.text);
    good = false;
  }
  *(struct mg_list *)dst = (struct mg_list){items, count};
  return good;
}
static const struct mg_type t_resources = {
    .name = "a map of resources to quantities", .read = read_resources,
    .schema = "{type: object, additionalProperties: {type: [string, number]}}"};

#define MAP(which) offsetof(struct mg_limit_item, maps[which])
static const struct mg_field item_fields[] = {
    {"type", &mg_t_enum, offsetof(struct mg_limit_item, type), mg_limit_type_words, .required = true,
     .doc = "Container: each container and init container. Pod: the sum. PersistentVolumeClaim has no effect here."},
    {"default", &t_resources, MAP(MG_LIMIT_DEFAULT), .doc = "Limits for containers without; default: max, but for devices."},
    {"defaultRequest", &t_resources, MAP(MG_LIMIT_DEFAULT_REQUEST),
     .doc = "Requests for containers without request and limit; default: default, then min, but for devices."},
    {"min", &t_resources, MAP(MG_LIMIT_MIN), .doc = "The least request and limit."},
    {"max", &t_resources, MAP(MG_LIMIT_MAX), .doc = "The largest limit and request."},
    {"maxLimitRequestRatio", &t_resources, MAP(MG_LIMIT_RATIO), .doc = "How many times the request a limit may be."},
    MG_FIELDS_END,
};
static const struct mg_shape item_shape = {item_fields, "a limit"};
static const struct mg_item item_item = {&mg_t_object, sizeof(struct mg_limit_item), &item_shape};

static const struct mg_field range_fields[] = {
    {"limits", &mg_t_list, offsetof(struct mg_limit_range, items), &item_item, .required = true,
     .doc = "As in the spec of a LimitRange: at most one entry a type."},
    MG_FIELDS_END,
};
const struct mg_shape mg_limit_range_shape = {range_fields, "inline"};

/* ---- what one field alone cannot say ---- */

static const struct mg_resource *find(const struct mg_limit_item *item, enum mg_limit_map map, mg_str name) {
  return mg_resource_find(item->maps[map], name);
}

/* The first must not be larger than the second, and the error stands at `map`. */
static bool check_order(struct mg_load *load, const struct mg_limit_item *item, mg_str name, enum mg_limit_map small,
                        enum mg_limit_map large, enum mg_limit_map map) {
  char small_text[MG_QUANTITY_TEXT], large_text[MG_QUANTITY_TEXT];
  const struct mg_resource *a = find(item, small, name), *b = find(item, large, name);
  if (!a || !b || mg_quantity_cmp(a->q, b->q) <= 0) return true;
  mg_diag_error(load->diags, find(item, map, name)->at, MG_AT_VALUE, "%.*s: %s %.*s is more than %s %.*s", MG_FMT(name),
                mg_limit_map_words[small], MG_FMT(mg_quantity_text(a->q, small_text)), mg_limit_map_words[large],
                MG_FMT(mg_quantity_text(b->q, large_text)));
  return false;
}

static bool check_ratio(struct mg_load *load, const struct mg_limit_item *item, const struct mg_resource *ratio) {
  const struct mg_resource *min = find(item, MG_LIMIT_MIN, ratio->name), *max = find(item, MG_LIMIT_MAX, ratio->name);
  if (ratio->q.nano < 1000000000) {
    mg_diag_error(load->diags, ratio->at, MG_AT_VALUE, "a ratio must be 1 or more");
    return false;
  }
  if (!min || !max || min->q.nano <= 0) return true;
  double most = (double)max->q.nano / (double)min->q.nano;
  if ((double)ratio->q.nano / 1e9 <= most) return true;
  mg_diag_error(load->diags, ratio->at, MG_AT_VALUE, "%.*s: the ratio is more than max/min, %g", MG_FMT(ratio->name), most);
  return false;
}

/* Limit and request of a device are the same. */
static bool check_device(struct mg_load *load, const struct mg_limit_item *item, const struct mg_resource *request) {
  const struct mg_resource *limit = find(item, MG_LIMIT_DEFAULT, request->name);
  bool strict = mg_resource_is_extended(request->name) || mg_str_starts(request->name, MG_S("hugepages-"));
  if (!strict || !limit || mg_quantity_cmp(limit->q, request->q) == 0) return true;
  mg_diag_error(load->diags, request->at, MG_AT_VALUE, "%.*s: default and defaultRequest must be the same",
                MG_FMT(request->name));
  return false;
}

static bool check_item(struct mg_load *load, const struct mg_limit_item *item) {
  static const enum mg_limit_map orders[][3] = {
      {MG_LIMIT_MIN, MG_LIMIT_MAX, MG_LIMIT_MIN},
      {MG_LIMIT_MIN, MG_LIMIT_DEFAULT_REQUEST, MG_LIMIT_DEFAULT_REQUEST},
      {MG_LIMIT_DEFAULT_REQUEST, MG_LIMIT_MAX, MG_LIMIT_DEFAULT_REQUEST},
      {MG_LIMIT_DEFAULT_REQUEST, MG_LIMIT_DEFAULT, MG_LIMIT_DEFAULT_REQUEST},
      {MG_LIMIT_MIN, MG_LIMIT_DEFAULT, MG_LIMIT_DEFAULT},
      {MG_LIMIT_DEFAULT, MG_LIMIT_MAX, MG_LIMIT_DEFAULT},
  };
  bool good = true;
  for (size_t o = 0; o < sizeof orders / sizeof *orders; o++)
    for (uint32_t i = 0; i < item->maps[orders[o][0]].count; i++) {
      mg_str name = MG_LIST_AT(item->maps[orders[o][0]], struct mg_resource, i).name;
      good &= check_order(load, item, name, orders[o][0], orders[o][1], orders[o][2]);
    }
  for (uint32_t i = 0; i < item->maps[MG_LIMIT_RATIO].count; i++)
    good &= check_ratio(load, item, &MG_LIST_AT(item->maps[MG_LIMIT_RATIO], struct mg_resource, i));
  for (uint32_t i = 0; i < item->maps[MG_LIMIT_DEFAULT_REQUEST].count; i++)
    good &= check_device(load, item, &MG_LIST_AT(item->maps[MG_LIMIT_DEFAULT_REQUEST], struct mg_resource, i));
  return good;
}

static bool check_type(struct mg_load *load, mg_node at, const struct mg_limit_item *item, bool again) {
  static const enum mg_limit_map defaults[] = {MG_LIMIT_DEFAULT, MG_LIMIT_DEFAULT_REQUEST};
  const uint32_t before = load->diags->error_count;
  mg_node type = MG_GET(at, "type");
  if (again) mg_diag_error(load->diags, type, MG_AT_VALUE, "a second entry of type %.*s", MG_FMT(mg_text(type)));
  if (item->type == MG_LIMIT_CLAIM)
    mg_diag_warn(load->diags, type, MG_AT_VALUE, "PersistentVolumeClaim has no effect in limitRange: claims are not judged");
  for (size_t i = 0; i < 2 && item->type == MG_LIMIT_POD; i++) {
    const char *key = mg_limit_map_words[defaults[i]];
    mg_node map = mg_get(at, mg_str_of(key));
    if (map.at) mg_diag_error(load->diags, map, MG_AT_KEY, "type Pod has no \"%s\"", key);
  }
  return load->diags->error_count == before;
}

bool mg_limit_range_fits(struct mg_load *load, mg_node at, const struct mg_limit_range *range) {
  mg_node limits = MG_GET(at, "limits"), n = mg_first(limits);
  uint32_t seen = 0;
  bool good = true;
  if (!range->items.count) mg_diag_error(load->diags, limits, MG_AT_VALUE, "\"limits\" must have at least one entry");
  for (uint32_t i = 0; i < range->items.count; i++, n = mg_next(n)) {
    const struct mg_limit_item *item = &MG_LIST_AT(range->items, struct mg_limit_item, i);
    good &= check_type(load, n, item, seen >> item->type & 1);
    good &= check_item(load, item);
    seen |= 1u << item->type;
  }
  return good && range->items.count;
}
