#include "rules/rules.h"

struct params {
  struct mg_list forbid; /* of struct mg_pattern * */
  bool accelerators;
};

static const struct mg_field fields[] = {
    {"forbid", &mg_t_list, offsetof(struct params, forbid), &mg_item_pattern, .def = "[default]",
     .doc = "Globs or /PCRE2/ on namespaces that nothing may be made in."},
    {"accelerators", &mg_t_bool, offsetof(struct params, accelerators), .def = "false",
     .doc = "true: only objects of which a template uses an accelerator; a device claim that cannot be resolved is none."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  if (p->forbid.count) return true;
  mg_diag_error(load->diags, MG_GET(at, "forbid"), MG_AT_VALUE, "\"forbid\" must name at least one namespace");
  return false;
}

/* A regex that runs into its limits forbids. */
static bool is_forbidden(const struct params *p, mg_str ns) {
  for (uint32_t i = 0; i < p->forbid.count; i++)
    if (mg_pattern_match(MG_LIST_AT(p->forbid, struct mg_pattern *, i), ns) != 0) return true;
  return false;
}

static bool uses_accelerator(const struct mg_workload *workload) {
  for (uint32_t i = 0; i < workload->pod_count; i++)
    if (workload->pods[i]->has_accelerator) return true;
  return false;
}

/* Cluster-scoped objects have no namespace. */
static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct params *p = params;
  if (!workload->ns.n || !is_forbidden(p, workload->ns) || (p->accelerators && !uses_accelerator(workload))) return;
  const struct mg_finding finding = {
      .where = MG_WHERE(workload->object, MG_S("metadata"), MG_S("namespace")),
      .subject = MG_S("namespace"),
      .measure = {.kind = MG_MEASURE_TEXT, .text = workload->ns},
      .fix = MG_S("metadata.namespace: one of your own"),
  };
  mg_run_violation(run, &finding, "%s must not be in namespace \"%.*s\"",
                   p->accelerators ? "what uses accelerators" : "workloads", MG_FMT(workload->ns));
}

const struct mg_rule_type mg_rule_namespace = {
    .name = "namespace",
    .doc = "Namespaces that workloads, or only those that use accelerators, must stay out of. An object that names none is in "
           "the namespace of the request.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge_workload = judge_workload,
};
