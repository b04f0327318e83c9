#include "kube/name.h"
#include "policy/policy.h"
#include "rules/listed.h"
#include "rules/rules.h"

#define CLASS MG_S("runtimeClassName")

struct params {
  mg_str name;
  bool for_accelerators;
  struct mg_list allowed; /* of mg_str */
};

static const struct mg_field fields[] = {
    {"name", &mg_t_string, offsetof(struct params, name), .doc = "RuntimeClass to set where a template names none."},
    {"forAccelerators", &mg_t_bool, offsetof(struct params, for_accelerators), .def = "false",
     .doc = "Sets it only in templates that use an accelerator."},
    {"allowed", &mg_t_list, offsetof(struct params, allowed), &mg_item_string,
     .doc = "Runtime classes that a template may name; one that names none is no violation."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node name = MG_GET(at, "name"), allowed = MG_GET(at, "allowed");
  mg_listed_classes(load, "RuntimeClass", name, allowed, p->allowed);
  if (p->for_accelerators && !name.at)
    mg_diag_error(load->diags, MG_GET(at, "forAccelerators"), MG_AT_KEY, "\"forAccelerators\" needs \"name\"");
  if (!name.at && !allowed.at)
    mg_diag_error(load->diags, at, MG_AT_KEY, "runtimeClass says nothing: it needs \"name\" or \"allowed\"");
  return load->diags->error_count == before;
}

static struct mg_finding finding_of(struct mg_pod *pod, mg_str subject) {
  return (struct mg_finding){.pod = pod, .where = MG_WHERE(pod->spec, CLASS), .subject = subject};
}

/* What oldObject has is what an earlier policy put there; a Pod or Job would refuse another. */
static mg_str class_to_set(const struct mg_run *run, const struct params *p) {
  const struct mg_pod *old = mg_run_old_pod(run);
  mg_str before = old ? mg_string(mg_get(old->spec, CLASS)) : (mg_str){0};
  return before.n ? before : p->name;
}

/* A Pod's overhead needs no care: without a class it has none, and the API server fills it in when it sees the new one. A
 * template of which only its kind says that it uses devices is given none: the class would be its back door to them. */
static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  mg_node present = mg_get(pod->spec, CLASS);
  if (!p->name.n || (p->for_accelerators && !pod->has_granted)) return;
  if (!mg_missing(present) && !(mg_is(present, MG_STRING) && !mg_text(present).n)) return;
  if (!mg_run_sees_template(run) || !mg_pod_may_set(pod, CLASS)) return;
  struct mg_finding finding = finding_of(pod, CLASS);
  if (mg_run_explains(run)) finding.fix = mg_arena_printf(mg_run_arena(run), "runtimeClassName: %.*s", MG_FMT(p->name));
  if (!mg_run_wants(run, &finding, "no runtimeClassName, the policy wants \"%.*s\"", MG_FMT(p->name))) return;
  mg_pod_set_field(pod, mg_run_patch(run), CLASS, mg_make_text(pod->spec.doc, MG_STRING, class_to_set(run, p)));
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  mg_str name = mg_string(mg_get(pod->spec, CLASS));
  if (!p->allowed.count || !name.n || mg_list_has(p->allowed, name) || !mg_run_sees_template(run)) return;
  struct mg_arena *arena = mg_run_arena(run);
  struct mg_finding finding = finding_of(pod, MG_S("allowed"));
  mg_str fix = mg_list_has(p->allowed, p->name) ? p->name : MG_LIST_AT(p->allowed, mg_str, 0);
  mg_str all = mg_listed(arena, p->allowed, mg_listed_string);
  finding.measure = (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = name};
  finding.fix = mg_arena_printf(arena, "runtimeClassName: %.*s", MG_FMT(fix));
  mg_run_violation(run, &finding, "runtimeClassName \"%.*s\" is not allowed; allowed: %.*s", MG_FMT(name), MG_FMT(all));
}

/* A class that shows devices is a back door for every Pod that did not ask for them. */
static void cross_check(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot) {
  const struct params *p = rule->params;
  const bool narrow = p->for_accelerators || rule->policy->match.accelerators.kind != MG_ACC_ANY;
  if (!p->name.n || narrow || !mg_any_pattern(mg_snapshot_accelerators(snapshot)->back_doors.runtime_classes, p->name)) return;
  mg_diag_warn(load->diags, MG_GET(MG_GET(rule->at, "runtimeClass"), "name"), MG_AT_VALUE,
               "\"%.*s\" shows devices, also to templates that ask for none; \"forAccelerators: true\" spares them",
               MG_FMT(p->name));
}

const struct mg_rule_type mg_rule_runtime_class = {
    .name = "runtimeClass",
    .doc = "Sets runtimeClassName where a template names none, for all templates or those with accelerators, and judges which "
           "classes are allowed.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
    .judge = judge,
    .cross_check = cross_check,
};
