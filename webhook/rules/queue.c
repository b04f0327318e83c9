#include "kube/name.h"
#include "rules/listed.h"
#include "rules/rules.h"

#define KUEUE "kueue.x-k8s.io/queue-name"

struct params {
  mg_str label;
  struct mg_list allowed;      /* of struct mg_pattern * */
  const struct system *system; /* whose label it is; NULL: not known here */
};

static const struct mg_field fields[] = {
    {"label", &mg_t_string, offsetof(struct params, label), .def = KUEUE,
     .doc = "The label that names the queue. With Kueue's and Volcano's only the kinds that they queue are judged, with any "
            "other all that the policy matches."},
    {"allowed", &mg_t_list, offsetof(struct params, allowed), &mg_item_pattern,
     .doc = "Patterns of queue names; any queue, if not given."},
    MG_FIELDS_END,
};

/* ---- who queues what ---- */

/* A kind that a system queues, and where its objects name the queue. */
struct queued {
  const char *group, *kind;
  const char *version;  /* NULL: any */
  const char *field[4]; /* a field of the object that names it; [0] NULL: the label */
  bool inner;           /* the label of spec.jobTemplate: the Jobs that it makes are queued, each by itself */
};

struct system {
  const char *label;
  const struct queued *kinds; /* ends with a NULL kind */
};

static const struct queued kueue_kinds[] = {
    {"", "Pod", NULL, {0}, false},
    {"apps", "Deployment", NULL, {0}, false},
    {"apps", "StatefulSet", NULL, {0}, false},
    {"batch", "Job", NULL, {0}, false},
    {"batch", "CronJob", NULL, {0}, true},
    {"jobset.x-k8s.io", "JobSet", NULL, {0}, false},
    {"kubeflow.org", "JAXJob", NULL, {0}, false},
    {"kubeflow.org", "MPIJob", "v2beta1", {0}, false},
    {"kubeflow.org", "PaddleJob", NULL, {0}, false},
    {"kubeflow.org", "PyTorchJob", NULL, {0}, false},
    {"kubeflow.org", "TFJob", NULL, {0}, false},
    {"kubeflow.org", "XGBoostJob", NULL, {0}, false},
    {"leaderworkerset.x-k8s.io", "LeaderWorkerSet", NULL, {0}, false},
    {"ray.io", "RayCluster", NULL, {0}, false},
    {"ray.io", "RayJob", NULL, {0}, false},
    {"ray.io", "RayService", NULL, {0}, false},
    {"sparkoperator.k8s.io", "SparkApplication", NULL, {0}, false},
    {"trainer.kubeflow.org", "TrainJob", NULL, {0}, false},
    {"workload.codeflare.dev", "AppWrapper", NULL, {0}, false},
    {0},
};

#define SCHEDULING {"spec", "runPolicy", "schedulingPolicy", "queue"}
static const struct queued volcano_kinds[] = {
    {"batch.volcano.sh", "Job", NULL, {"spec", "queue"}, false},
    {"kubeflow.org", "JAXJob", NULL, SCHEDULING, false},
    {"kubeflow.org", "MPIJob", NULL, SCHEDULING, false},
    {"kubeflow.org", "PaddleJob", NULL, SCHEDULING, false},
    {"kubeflow.org", "PyTorchJob", NULL, SCHEDULING, false},
    {"kubeflow.org", "TFJob", NULL, SCHEDULING, false},
    {"kubeflow.org", "XGBoostJob", NULL, SCHEDULING, false},
    {"ray.io", "RayCluster", NULL, {0}, false},
    {"ray.io", "RayJob", NULL, {0}, false},
    {"sparkoperator.k8s.io", "SparkApplication", NULL, {"spec", "batchSchedulerOptions", "queue"}, false},
    {0},
};

static const struct system systems[] = {
    {KUEUE, kueue_kinds},
    {"volcano.sh/queue-name", volcano_kinds},
};

/* A kind of which nothing is known but that it is to carry the label. */
static const struct queued any_kind = {.kind = "", .group = ""};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node label = MG_GET(at, "label"), allowed = MG_GET(at, "allowed");
  if (p->label.n && !mg_name_is_label_key(p->label))
    mg_diag_error(load->diags, label, MG_AT_VALUE, "\"%.*s\" is no label key", MG_FMT(p->label));
  if (mg_is(allowed, MG_ARRAY) && !p->allowed.count)
    mg_diag_error(load->diags, allowed, MG_AT_VALUE, "\"allowed\" must name at least one queue");
  for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
    if (mg_str_is(p->label, systems[i].label)) p->system = &systems[i];
  return load->diags->error_count == before;
}

static const struct queued *find_queued(const struct params *p, mg_str group, mg_str version, mg_str kind) {
  for (const struct queued *q = p->system ? p->system->kinds : NULL; q && q->kind; q++)
    if (mg_str_is(kind, q->kind) && mg_str_is(group, q->group) && (!q->version || mg_str_is(version, q->version))) return q;
  return NULL;
}

/* What a controller made is queued with the object that it was made for; behind a ReplicaSet stands its Deployment. */
static bool is_queued_above(struct mg_run *run, const struct params *p, mg_node object) {
  mg_str group, version, kind;
  if (!mg_controlling_owner(object, &group, &version, &kind)) return false;
  const struct queued *above = find_queued(p, group, version, kind);
  if (above) return !above->inner;
  return mg_run_owner(run, object) && (!p->system || !group.n || mg_str_is(group, "apps"));
}

/* Kueue holds such a Pod until it is admitted, under whatever queue. The label alone could be anybody's; the gate holds. */
static bool is_held_by_kueue(const struct params *p, mg_node object) {
  mg_str managed = mg_string(MG_GET(MG_GET(MG_GET(object, "metadata"), "labels"), "kueue.x-k8s.io/managed"));
  mg_node gates = MG_GET(MG_GET(object, "spec"), "schedulingGates");
  if (!mg_str_is(p->label, KUEUE) || !mg_str_is(managed, "true") || !mg_is(gates, MG_ARRAY)) return false;
  for (mg_node g = mg_first(gates); g.at; g = mg_next(g))
    if (mg_str_is(mg_string(MG_GET(g, "name")), "kueue.x-k8s.io/admission")) return true;
  return false;
}

/* It asks for nothing of its own, and Kueue refuses to queue it. */
static bool runs_on_a_cluster_that_is_there(const struct mg_workload *workload) {
  return !workload->pod_count && mg_str_is(workload->kind->group, "ray.io") && mg_str_is(workload->kind->kind, "RayJob");
}

static const struct queued *queued_of(struct mg_run *run, const struct params *p, const struct mg_workload *workload) {
  mg_node object = workload->object;
  mg_str group, version;
  mg_split_api_version(mg_string(MG_GET(object, "apiVersion")), &group, &version);
  const struct queued *q =
      p->system ? find_queued(p, workload->kind->group, version, workload->kind->kind) : &any_kind;
  if (!q || is_queued_above(run, p, object) || is_held_by_kueue(p, object)) return NULL;
  return p->system && runs_on_a_cluster_that_is_there(workload) ? NULL : q;
}

/* ---- judge ---- */

/* Where the queue is named. */
static struct mg_where where_of(const struct params *p, const struct queued *q, mg_node object) {
  mg_str keys[5] = {{0}};
  if (!q->field[0]) {
    mg_node inner = MG_GET(MG_GET(object, "spec"), "jobTemplate");
    return MG_WHERE(q->inner ? inner : object, MG_S("metadata"), MG_S("labels"), p->label);
  }
  for (size_t i = 0; i < sizeof q->field / sizeof *q->field && q->field[i]; i++) keys[i] = mg_str_of(q->field[i]);
  return mg_where_of(object, keys);
}

static mg_str place_text(struct mg_arena *arena, const struct params *p, const struct queued *q) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, 1024);
  if (!q->field[0]) {
    mg_buf_printf(&buf, "%smetadata.labels[\"%.*s\"]", q->inner ? "spec.jobTemplate." : "", MG_FMT(p->label));
    return mg_buf_str(&buf);
  }
  for (size_t i = 0; i < sizeof q->field / sizeof *q->field && q->field[i]; i++)
    mg_buf_printf(&buf, "%s%s", i ? "." : "", q->field[i]);
  return mg_buf_str(&buf);
}

/* The first allowed name that is one name only. */
static mg_str example(const struct params *p) {
  for (uint32_t i = 0; i < p->allowed.count; i++) {
    bool whole = false;
    mg_str name = mg_pattern_prefix(MG_LIST_AT(p->allowed, struct mg_pattern *, i), &whole);
    if (whole) return name;
  }
  return MG_S("…");
}

static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct params *p = params;
  const struct queued *q = queued_of(run, p, workload);
  if (!q) return;
  struct mg_arena *arena = mg_run_arena(run);
  struct mg_finding finding = {.where = where_of(p, q, workload->object), .subject = p->label};
  mg_str name = finding.where.more[0].p ? (mg_str){0} : mg_text(finding.where.node);
  if (name.n && (!p->allowed.count || mg_any_pattern(p->allowed, name))) return;
  mg_str place = place_text(arena, p, q), fix = example(p), all = mg_listed(arena, p->allowed, mg_listed_pattern);
  finding.measure = (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = name};
  finding.fix = mg_arena_printf(arena, "%.*s: %.*s", MG_FMT(place), MG_FMT(fix));
  if (name.n)
    mg_run_violation(run, &finding, "queue \"%.*s\" is not allowed; allowed: %.*s", MG_FMT(name), MG_FMT(all));
  else
    mg_run_violation(run, &finding, "names no queue; the policy wants one in %.*s", MG_FMT(place));
}

const struct mg_rule_type mg_rule_queue = {
    .name = "queue",
    .doc = "Workloads name the queue that admits them, in Kueue's label or another. A CronJob has it in the labels of "
           "jobTemplate, and with Volcano's label a field of the kind counts where it has one. Judged is what an author writes, "
           "never what a queued workload makes.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge_workload = judge_workload,
};
