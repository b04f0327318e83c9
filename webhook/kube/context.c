#include "kube/context.h"

#include "kube/workload.h"

static const struct row {
  const char *group, *version, *kind; /* version NULL: any */
  bool cluster_scoped;
} rows[MG_CTX_KINDS] = {
    [MG_CTX_NAMESPACE] = {"", "v1", "Namespace", true},
    [MG_CTX_LIMIT_RANGE] = {"", "v1", "LimitRange", false},
    [MG_CTX_RESOURCE_QUOTA] = {"", "v1", "ResourceQuota", false},
    [MG_CTX_PRIORITY_CLASS] = {"scheduling.k8s.io", NULL, "PriorityClass", true},
    [MG_CTX_RESOURCE_CLAIM] = {"resource.k8s.io", NULL, "ResourceClaim", false},
    [MG_CTX_RESOURCE_CLAIM_TEMPLATE] = {"resource.k8s.io", NULL, "ResourceClaimTemplate", false},
    [MG_CTX_DEVICE_CLASS] = {"resource.k8s.io", NULL, "DeviceClass", true},
};

int mg_context_kind_of(mg_str api_version, mg_str kind) {
  mg_str group, version;
  mg_split_api_version(api_version, &group, &version);
  for (int i = 0; i < MG_CTX_KINDS; i++) {
    const struct row *row = &rows[i];
    if (!mg_str_is(kind, row->kind) || !mg_str_is(group, row->group)) continue;
    if (!row->version || mg_str_is(version, row->version)) return i;
  }
  return -1;
}

bool mg_context_cluster_scoped(enum mg_context_kind kind) {
  return rows[kind].cluster_scoped;
}

int mg_context_add(struct mg_context *context, struct mg_arena *arena, enum mg_context_kind kind, mg_node object) {
  struct mg_context_object *o = MG_NEW(arena, struct mg_context_object);
  if (!o) return -1;
  mg_node meta = MG_GET(object, "metadata");
  o->object = object;
  o->name = mg_string(MG_GET(meta, "name"));
  if (!rows[kind].cluster_scoped) o->ns = mg_string(MG_GET(meta, "namespace"));
  struct mg_context_object **end = context->last[kind] ? &context->last[kind]->next : &context->first[kind];
  *end = o;
  context->last[kind] = o;
  return 0;
}

/* The API server takes the lowest of several global defaults, so that a class added by mistake raises nobody. */
void mg_context_seal(struct mg_context *context) {
  int64_t lowest = INT64_MAX;
  context->default_class = (mg_str){0};
  for (const struct mg_context_object *o = context->first[MG_CTX_PRIORITY_CLASS]; o; o = o->next) {
    if (!mg_true(MG_GET(o->object, "globalDefault"))) continue;
    int64_t value = 0;
    mg_node at = MG_GET(o->object, "value");
    if (!mg_missing(at) && !mg_int64(at, &value)) continue;
    if (context->default_class.n && value >= lowest) continue;
    lowest = value;
    context->default_class = o->name;
  }
}

mg_node mg_context_find(const struct mg_context *context, enum mg_context_kind kind, mg_str ns, mg_str name) {
  if (rows[kind].cluster_scoped) ns = (mg_str){0};
  for (const struct mg_context_object *o = context->first[kind]; o; o = o->next)
    if (mg_str_eq(o->name, name) && mg_str_eq(o->ns, ns)) return o->object;
  return (mg_node){0};
}
