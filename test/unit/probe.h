/* Rule types for tests: one that tells what a rule sees, one that edits, one that measures. */
#pragma once
#include "unit/scene.h"

/* see: {}: a violation of every container that is seen, and one of the template where it is seen as a whole. */
static void probe_see(struct mg_run *run, const void *params, struct mg_pod *pod) {
  (void)params;
  struct mg_finding f = {.pod = pod, .where = {.node = pod->spec}, .subject = MG_S("seen")};
  if (mg_run_sees_template(run)) mg_run_violation(run, &f, "seen");
  for (uint32_t i = 0; i < pod->container_count; i++) {
    f.container = &pod->containers[i];
    f.where.node = f.container->node;
    if (mg_run_sees(run, f.container)) mg_run_violation(run, &f, "seen");
  }
}
static const struct mg_field probe_no_fields[] = {MG_FIELDS_END};
static const struct mg_rule_type probe_see_type = {.name = "see", .fields = probe_no_fields, .judge = probe_see};

/* mark: {key, value, of: template | container}: sets a field of the spec, or of every container, that is not there yet. */
struct probe_mark {
  mg_str key, value;
  uint32_t of;
};
static const char *const probe_of[] = {"template", "container", NULL};
static const struct mg_field probe_mark_fields[] = {
    {"key", &mg_t_string, offsetof(struct probe_mark, key), .required = true},
    {"value", &mg_t_string, offsetof(struct probe_mark, value), .required = true},
    {"of", &mg_t_enum, offsetof(struct probe_mark, of), probe_of, .def = "template"},
    MG_FIELDS_END,
};
static void probe_mark_one(struct mg_run *run, const struct probe_mark *p, struct mg_pod *pod, struct mg_container *c) {
  mg_node at = c ? c->node : pod->spec;
  struct mg_finding f = {.pod = pod, .container = c, .where = MG_WHERE(at, p->key), .subject = p->key, .fix = p->value};
  if (mg_get(at, p->key).at || !mg_run_wants(run, &f, "no %.*s", MG_FMT(p->key))) return;
  mg_patch_set(mg_run_patch(run), at, p->key, mg_make_text(at.doc, MG_STRING, p->value));
}
static void probe_mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct probe_mark *p = params;
  if (p->of == 0 && mg_run_sees_template(run)) probe_mark_one(run, p, pod, NULL);
  for (uint32_t i = 0; p->of && i < pod->container_count; i++)
    if (mg_run_sees(run, &pod->containers[i])) probe_mark_one(run, p, pod, &pod->containers[i]);
}
static const struct mg_rule_type probe_mark_type = {
    .name = "mark", .fields = probe_mark_fields, .params_size = sizeof(struct probe_mark), .mutate = probe_mutate};

/* gpu: {}: gives an accelerator to containers without resources. */
static void probe_gpu(struct mg_run *run, const void *params, struct mg_pod *pod) {
  (void)params;
  struct mg_doc *doc = pod->spec.doc;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    struct mg_finding f = {.pod = pod, .container = c, .where = {.node = c->node}, .subject = MG_S("gpu")};
    if (MG_GET(c->node, "resources").at || !mg_run_wants(run, &f, "no accelerator")) continue;
    mg_node limits = mg_make(doc, MG_OBJECT), resources = mg_make(doc, MG_OBJECT);
    mg_put(limits, MG_S("nvidia.com/gpu"), mg_make_text(doc, MG_STRING, MG_S("1")));
    mg_put(resources, MG_S("limits"), limits);
    mg_patch_set(mg_run_patch(run), c->node, MG_S("resources"), resources);
  }
  mg_pod_refresh(pod);
}
static const struct mg_rule_type probe_gpu_type = {.name = "gpu", .fields = probe_no_fields, .mutate = probe_gpu};

/* grade: {by, of}: a violation of the template, each container or the object; its measure is the annotation "grade" of the
 * template or the field "grade" of the container. by: none | text | more | less. */
struct probe_grade {
  uint32_t by, of;
};
static const char *const probe_by[] = {"none", "text", "more", "less", NULL};
static const char *const probe_level[] = {"template", "container", "object", NULL};
static const struct mg_field probe_grade_fields[] = {
    {"by", &mg_t_enum, offsetof(struct probe_grade, by), probe_by, .def = "none"},
    {"of", &mg_t_enum, offsetof(struct probe_grade, of), probe_level, .def = "template"},
    MG_FIELDS_END,
};
static void probe_violation(struct mg_run *run, const struct probe_grade *p, struct mg_finding f, mg_node grade) {
  uint32_t amount = 0;
  if (mg_missing(grade)) return;
  for (size_t i = 0; i < mg_text(grade).n; i++) amount = amount * 10 + (unsigned char)mg_text(grade).p[i] - '0';
  f.where.node = grade;
  f.subject = MG_S("grade");
  f.measure = (struct mg_measure){.text = mg_text(grade), .amount = amount};
  static const int kinds[] = {MG_MEASURE_NONE, MG_MEASURE_TEXT, MG_MEASURE_MORE_IS_WORSE, MG_MEASURE_LESS_IS_WORSE};
  memcpy(&f.measure.kind, &kinds[p->by], sizeof f.measure.kind);
  mg_run_violation(run, &f, "grade %.*s", MG_FMT(mg_text(grade)));
}
static void probe_grade_pod(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct probe_grade *p = params;
  struct mg_finding f = {.pod = pod};
  if (p->of == 0) probe_violation(run, p, f, MG_GET(MG_GET(pod->meta, "annotations"), "grade"));
  for (uint32_t i = 0; p->of == 1 && i < pod->container_count; i++) {
    f.container = &pod->containers[i];
    if (mg_run_sees(run, f.container)) probe_violation(run, p, f, MG_GET(f.container->node, "grade"));
  }
}
static void probe_grade_object(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct probe_grade *p = params;
  if (p->of == 2)
    probe_violation(run, p, (struct mg_finding){0}, MG_GET(MG_GET(MG_GET(workload->object, "metadata"), "annotations"), "grade"));
}
static const struct mg_rule_type probe_grade_type = {.name = "grade",
                                                     .fields = probe_grade_fields,
                                                     .params_size = sizeof(struct probe_grade),
                                                     .judge = probe_grade_pod,
                                                     .judge_workload = probe_grade_object};

static const struct mg_rule_type *const probe_types[] = {
    &mg_rule_gpu_limits, &mg_rule_tolerations, &mg_rule_node_selector, &mg_rule_shared_memory, &mg_rule_priority,
    &probe_see_type,     &probe_mark_type,     &probe_gpu_type,        &probe_grade_type,      NULL};
