#include "kube/claims.h"

/* What one claim of the pod comes to. */
struct claim {
  mg_str name;
  bool resolved, device;
  int64_t devices;
  mg_node requests; /* spec.devices.requests */
  bool counted;
};

static bool class_is_device(const struct mg_pod *pod, mg_str class) {
  if (mg_any_pattern(pod->accelerators->device_classes, class)) return true;
  mg_node object = mg_context_find(pod->context, MG_CTX_DEVICE_CLASS, (mg_str){0}, class);
  mg_str resource = mg_string(MG_GET(MG_GET(object, "spec"), "extendedResourceName"));
  return resource.n && mg_accelerator_of(pod->accelerators, resource);
}

/* Devices of one request; 0 where it is none, or only looks on (adminAccess). */
static int64_t request_devices(const struct mg_pod *pod, mg_node request) {
  mg_node exactly = MG_GET(request, "exactly"), first = MG_GET(request, "firstAvailable");
  mg_node how = exactly.at ? exactly : request;
  for (mg_node choice = mg_first(first); choice.at; choice = mg_next(choice))
    if (class_is_device(pod, mg_string(MG_GET(choice, "deviceClassName")))) {
      how = choice;
      break;
    }
  if (mg_true(MG_GET(how, "adminAccess")) || mg_true(MG_GET(request, "adminAccess"))) return 0;
  if (!class_is_device(pod, mg_string(MG_GET(how, "deviceClassName")))) return 0;
  int64_t count = 1;
  if (mg_int64(MG_GET(how, "count"), &count) && (count < 0 || count > 1000000)) count = 1;
  return count;
}

static struct claim resolve(const struct mg_pod *pod, mg_node entry) {
  struct claim c = {.name = mg_string(MG_GET(entry, "name"))};
  mg_str by_name = mg_string(MG_GET(entry, "resourceClaimName")),
         by_template = mg_string(MG_GET(entry, "resourceClaimTemplateName"));
  mg_node spec = {0};
  if (by_name.n) spec = MG_GET(mg_context_find(pod->context, MG_CTX_RESOURCE_CLAIM, pod->ns, by_name), "spec");
  if (by_template.n)
    spec = MG_GET(MG_GET(mg_context_find(pod->context, MG_CTX_RESOURCE_CLAIM_TEMPLATE, pod->ns, by_template), "spec"), "spec");
  c.resolved = spec.at != 0;
  c.requests = MG_GET(MG_GET(spec, "devices"), "requests");
  for (mg_node r = mg_first(c.requests); r.at; r = mg_next(r)) c.devices += request_devices(pod, r);
  c.device = c.devices > 0;
  return c;
}

/* A container may use one request of a claim only: "request" or "request/subrequest". */
static int64_t used_devices(const struct mg_pod *pod, const struct claim *claim, mg_str request) {
  if (!request.n) return claim->devices;
  request.n = mg_str_find(request, '/');
  for (mg_node r = mg_first(claim->requests); r.at; r = mg_next(r))
    if (mg_str_eq(mg_string(MG_GET(r, "name")), request)) return request_devices(pod, r);
  return 0;
}

static void use_claims(struct mg_pod *pod, struct mg_container *c, struct claim *claims, uint32_t count) {
  for (mg_node use = mg_first(MG_GET(mg_container_resources(c), "claims")); use.at; use = mg_next(use)) {
    mg_str name = mg_string(MG_GET(use, "name"));
    uint32_t i = 0;
    while (i < count && !mg_str_eq(claims[i].name, name)) i++;
    if (i == count || !claims[i].resolved) {
      c->claims_unknown = pod->has_unknown_claim = true;
      continue;
    }
    int64_t devices = used_devices(pod, &claims[i], mg_string(MG_GET(use, "request")));
    if (!devices) continue;
    c->claims_device = true;
    c->claimed += devices;
    if (!claims[i].counted) pod->claimed += claims[i].devices;
    claims[i].counted = true;
  }
}

void mg_pod_resolve_claims(struct mg_pod *pod) {
  mg_node list = MG_GET(pod->spec, "resourceClaims");
  uint32_t count = mg_count(mg_as(list, MG_ARRAY)), i = 0;
  if (!count) return;
  struct claim *claims = MG_NEW_N(pod->arena, struct claim, count);
  if (!claims) return;
  for (mg_node entry = mg_first(list); entry.at && i < count; entry = mg_next(entry)) claims[i++] = resolve(pod, entry);
  for (uint32_t c = 0; c < pod->container_count; c++) use_claims(pod, &pod->containers[c], claims, count);
}
