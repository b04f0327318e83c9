#include "rules/model_car.h"

#include "base/ascii.h"

/* "modelcar", "modelcar-1". */
static bool has_name(const struct mg_container *c, const char *name) {
  mg_str rest = mg_str_from(c->name, strlen(name));
  if (!mg_str_starts(c->name, mg_str_of(name))) return false;
  if (rest.n && (rest.p[0] != '-' || rest.n == 1)) return false;
  for (size_t i = 1; i < rest.n; i++)
    if (!mg_is_digit(rest.p[i])) return false;
  return true;
}

/* Its args link the image's models into a volume, and wait. */
static bool links_models(const struct mg_container *c) {
  mg_node args = MG_GET(c->node, "args");
  for (mg_node n = mg_first(mg_as(args, MG_ARRAY)); n.at; n = mg_next(n)) {
    mg_str text = mg_string(n);
    if (mg_str_has(text, MG_S("/proc/$")) && mg_str_has(text, MG_S("/root/models")) && mg_str_has(text, MG_S("sleep infinity")))
      return true;
  }
  return false;
}

static bool is_model_car(const struct mg_container *c) {
  return has_name(c, "modelcar") && links_models(c);
}

/* KServe's own hand: a controller made the object, and it says which. Names alone anyone could write. */
static bool is_of_kserve(const struct mg_pod *pod) {
  mg_str group, version, kind, value;
  if (!mg_true(MG_GET(pod->spec, "shareProcessNamespace"))) return false;
  if (!mg_controlling_owner(pod->object, &group, &version, &kind)) return false;
  return mg_str_is(group, "serving.kserve.io") || mg_pod_label(pod, MG_S("serving.kserve.io/inferenceservice"), &value) ||
         (mg_pod_label(pod, MG_S("app.kubernetes.io/part-of"), &value) && mg_str_is(value, "llminferenceservice"));
}

bool mg_is_kserve_car(const struct mg_pod *pod, const struct mg_container *c) {
  bool init = c->list == MG_LIST_INIT && has_name(c, "modelcar-init");
  if (!(init || is_model_car(c)) || !is_of_kserve(pod)) return false;
  if (!init) return true;
  for (uint32_t i = 0; i < pod->container_count; i++)
    if (is_model_car(&pod->containers[i]) && mg_str_eq(pod->containers[i].image, c->image)) return true;
  return false;
}
