#include "kube/name.h"
#include "policy/policy.h"
#include "rules/listed.h"
#include "rules/overlap.h"
#include "rules/rules.h"

#define CLASS_NAME MG_S("priorityClassName")
#define POLICY MG_S("preemptionPolicy")

static const char *const policy_words[] = {"Never", "PreemptLowerPriority", NULL};

struct params {
  mg_str class_name;
  bool override;
  uint32_t policy; /* index into policy_words, if has_policy */
  bool has_policy;
  struct mg_list allowed; /* of mg_str */
};

static const struct mg_field fields[] = {
    {"className", &mg_t_string, offsetof(struct params, class_name),
     .doc = "PriorityClass to set where neither a template nor its kind's own field, such as a Volcano Job's, names one, or one "
            "that is the cluster's default."},
    {"override", &mg_t_bool, offsetof(struct params, override), .def = "false", .doc = "Replaces any other class too."},
    {"preemptionPolicy", &mg_t_enum, offsetof(struct params, policy), policy_words,
     .doc = "What the class must have, where the context knows it."},
    {"allowed", &mg_t_list, offsetof(struct params, allowed), &mg_item_string, .doc = "Classes that a template may name."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node name = MG_GET(at, "className"), allowed = MG_GET(at, "allowed");
  p->has_policy = mg_get_key(at, POLICY).at != 0;
  mg_listed_classes(load, "PriorityClass", name, allowed, p->allowed);
  if (p->override && !name.at)
    mg_diag_error(load->diags, MG_GET(at, "override"), MG_AT_KEY, "\"override\" needs \"className\"");
  if (!name.at && !p->has_policy && !allowed.at)
    mg_diag_error(load->diags, at, MG_AT_KEY,
                  "priority says nothing: it needs \"className\", \"preemptionPolicy\" or \"allowed\"");
  return load->diags->error_count == before;
}

/* ---- what the context knows of a class ---- */

static mg_node find_class(const struct mg_context *context, mg_str name) {
  return mg_context_find(context, MG_CTX_PRIORITY_CLASS, (mg_str){0}, name);
}

/* The API server's default counts, too. */
static mg_str policy_of(mg_node class) {
  mg_str policy = mg_string(mg_get(class, POLICY));
  return policy.n ? policy : MG_S("PreemptLowerPriority");
}

/* ---- mutate ---- */

/* The last of the other matching rules that override, or NULL. One that only warns or audits does not hold back one that acts. */
static const struct mg_rule *last_override(struct mg_run *run, struct mg_pod *pod) {
  const struct mg_rule *self = mg_run_rule(run), *last = NULL, *other;
  uint64_t state = 0;
  while ((other = mg_run_next_rule(run, &mg_rule_priority, pod, &state))) {
    const struct params *p = other->params;
    if (p->override && other != self && other->policy->action <= self->policy->action && (!last || other->index > last->index))
      last = other;
  }
  return last;
}

static bool should_set(struct mg_run *run, const struct params *p, struct mg_pod *pod, mg_str now) {
  if (!p->override && (!now.n || !mg_str_eq(now, mg_run_context(run)->default_class))) return !now.n;
  const struct mg_rule *other = last_override(run, pod);
  if (!other) return true;
  if (p->override) return other->index < mg_run_rule(run)->index;
  const struct params *its = other->params; /* of two that set each other's class, neither would come to rest */
  return !mg_str_eq(now, its->class_name);
}

static mg_str known_policy(mg_node class) {
  return class.at ? policy_of(class) : (mg_str){0};
}

/* The numbers that the API server has worked out for the class before: its own plugin refuses a Pod where they do not fit the
 * new one, and works them out again where they are missing. */
static void settle_pod(struct mg_run *run, struct mg_pod *pod, mg_node class) {
  static const struct {
    mg_str pod, class;
    enum mg_kind kind;
  } numbers[] = {
      {{"priority", 8}, {"value", 5}, MG_NUMBER},
      {{"preemptionPolicy", 16}, {"preemptionPolicy", 16}, MG_STRING},
  };
  struct mg_doc *doc = pod->spec.doc;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    mg_node own = mg_get(class, numbers[i].class), value = {0};
    if (!mg_get_key(pod->spec, numbers[i].pod).at) continue;
    if (mg_is(own, numbers[i].kind)) value = mg_make_text(doc, numbers[i].kind, mg_text(own));
    else if (class.at && numbers[i].kind == MG_STRING) value = mg_make_text(doc, MG_STRING, policy_of(class));
    if (mg_equal(mg_get(pod->spec, numbers[i].pod), value)) continue;
    mg_pod_set_field(pod, mg_run_patch(run), numbers[i].pod, value);
  }
}

/* A template's own numbers may fail every Pod of the new class; Never is written where it is sure to be right. */
static void settle_template(struct mg_run *run, struct mg_pod *pod, mg_node class) {
  struct mg_patch *patch = mg_run_patch(run);
  mg_pod_set_field(pod, patch, MG_S("priority"), (mg_node){0});
  if (!mg_str_is(known_policy(class), "Never") || !mg_pod_may_set(pod, POLICY))
    mg_pod_set_field(pod, patch, POLICY, (mg_node){0});
  else if (!mg_str_is(mg_string(mg_get(pod->spec, POLICY)), "Never"))
    mg_pod_set_field(pod, patch, POLICY, mg_make_text(pod->spec.doc, MG_STRING, MG_S("Never")));
}

static bool want_class(struct mg_run *run, const struct params *p, struct mg_pod *pod, mg_str now) {
  struct mg_finding finding = {
      .pod = pod,
      .where = MG_WHERE(pod->spec, CLASS_NAME),
      .subject = CLASS_NAME,
  };
  if (mg_run_explains(run)) finding.fix = mg_arena_printf(mg_run_arena(run), "priorityClassName: %.*s", MG_FMT(p->class_name));
  if (!now.n) return mg_run_wants(run, &finding, "no priorityClassName, the policy wants \"%.*s\"", MG_FMT(p->class_name));
  return mg_run_wants(run, &finding, "priorityClassName is \"%.*s\", the policy wants \"%.*s\"", MG_FMT(now),
                      MG_FMT(p->class_name));
}

/* What oldObject has, of an earlier policy, is put back as it was; a Pod or Job keeps its class for life. */
static mg_str class_to_set(const struct mg_run *run, const struct params *p, const struct mg_pod *pod) {
  const struct mg_pod *old = mg_run_old_pod(run);
  bool keep = !p->override || pod->is_pod || (mg_str_is(pod->kind->group, "batch") && mg_str_is(pod->kind->kind, "Job"));
  mg_str before = old && keep ? mg_string(mg_get(old->spec, CLASS_NAME)) : (mg_str){0};
  return before.n ? before : p->class_name;
}

/* Of a kind that has a class of its own, that alone may change while it runs: an update that takes it away must not be given one
 * in the templates, which never had any. */
static bool had_none(const struct mg_run *run, const struct mg_pod *pod) {
  const struct mg_pod *old = mg_run_old_pod(run);
  return pod->kind->priority_class.set && old && !mg_string(mg_get(old->spec, CLASS_NAME)).n;
}

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  mg_node present = mg_get(pod->spec, CLASS_NAME), at;
  mg_str now = mg_pod_priority_class(pod, &at);
  if (!p->class_name.n || !mg_is(pod->spec, MG_OBJECT) || mg_str_eq(now, p->class_name)) return;
  if (!mg_run_sees_template(run) || !mg_pod_may_set(pod, CLASS_NAME)) return;
  if (!mg_missing(present) && !mg_is(present, MG_STRING)) return;
  if (had_none(run, pod) || !should_set(run, p, pod, now) || !want_class(run, p, pod, now)) return;
  mg_str name = class_to_set(run, p, pod);
  mg_node class = find_class(mg_run_context(run), name);
  mg_pod_set_field(pod, mg_run_patch(run), CLASS_NAME, mg_make_text(pod->spec.doc, MG_STRING, name));
  if (!pod->is_pod) settle_template(run, pod, class);
  else if (mg_run_operation(run) != MG_UPDATE) settle_pod(run, pod, class);
}

/* ---- judge ---- */

/* The field as the kind calls it: an Argo workflow's own is podPriorityClassName. */
static mg_str key_of(const struct mg_finding *of_class) {
  return mg_text(mg_key_of(of_class->where.node));
}

static void judge_allowed(struct mg_run *run, const struct params *p, const struct mg_finding *of_class) {
  mg_str name = of_class->measure.text;
  if (!p->allowed.count || mg_list_has(p->allowed, name)) return;
  struct mg_finding finding = *of_class;
  finding.subject = MG_S("allowed");
  mg_str best = mg_list_has(p->allowed, p->class_name) ? p->class_name : MG_LIST_AT(p->allowed, mg_str, 0);
  mg_str all = mg_listed(mg_run_arena(run), p->allowed, mg_listed_string);
  mg_str key = key_of(of_class);
  finding.fix = mg_arena_printf(mg_run_arena(run), "%.*s: %.*s", MG_FMT(key), MG_FMT(best));
  mg_run_violation(run, &finding, "%.*s \"%.*s\" is not allowed; allowed: %.*s", MG_FMT(key), MG_FMT(name), MG_FMT(all));
}

static void judge_policy(struct mg_run *run, const struct params *p, const struct mg_finding *of_class) {
  mg_str name = of_class->measure.text;
  mg_str policy = known_policy(find_class(mg_run_context(run), name));
  if (!p->has_policy || !policy.n || mg_str_is(policy, policy_words[p->policy])) return;
  struct mg_finding finding = *of_class;
  finding.subject = POLICY;
  finding.fix = mg_arena_printf(mg_run_arena(run), "%.*s: a class with preemptionPolicy %s", MG_FMT(key_of(of_class)),
                                policy_words[p->policy]);
  mg_run_violation(run, &finding, "PriorityClass \"%.*s\" %s (preemptionPolicy %.*s), the policy wants %s", MG_FMT(name),
                   mg_str_is(policy, "Never") ? "would not preempt" : "would preempt", MG_FMT(policy), policy_words[p->policy]);
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  mg_node at;
  mg_str name = mg_pod_priority_class(pod, &at);
  if (!name.n || !mg_run_sees_template(run)) return;
  struct mg_finding of_class = {.pod = pod, .where = {.node = at}, .measure = {.kind = MG_MEASURE_TEXT, .text = name}};
  judge_allowed(run, params, &of_class);
  judge_policy(run, params, &of_class);
}

/* ---- when policies are loaded ---- */

static void check_override(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot) {
  const struct params *p = rule->params, *other;
  const struct mg_rule *before;
  uint64_t state = 0;
  while (p->override && (before = mg_overlap_next(snapshot, rule, &state))) {
    other = before->params;
    if (other->override && !mg_str_eq(other->class_name, p->class_name))
      mg_diag_warn(load->diags, MG_GET(mg_get(rule->at, MG_S("priority")), "override"), MG_AT_KEY,
                   "policy %.*s overrides with \"%.*s\" before; where both match, only this rule acts",
                   MG_FMT(before->policy->name), MG_FMT(other->class_name));
  }
}

static void cross_check(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot) {
  const struct params *p = rule->params;
  mg_node at = mg_get(mg_get(rule->at, MG_S("priority")), POLICY);
  mg_str policy = known_policy(find_class(mg_snapshot_context(snapshot), p->class_name));
  if (p->has_policy && p->class_name.n && policy.n && !mg_str_is(policy, policy_words[p->policy]))
    mg_diag_error(load->diags, at, MG_AT_VALUE, "PriorityClass \"%.*s\" has preemptionPolicy %.*s", MG_FMT(p->class_name),
                  MG_FMT(policy));
  for (uint32_t i = 0; p->has_policy && i < p->allowed.count; i++) {
    mg_str name = MG_LIST_AT(p->allowed, mg_str, i), has = known_policy(find_class(mg_snapshot_context(snapshot), name));
    if (!has.n || mg_str_is(has, policy_words[p->policy]) || mg_str_eq(name, p->class_name)) continue;
    mg_diag_warn(load->diags, at, MG_AT_VALUE, "PriorityClass \"%.*s\" is allowed but denied: its preemptionPolicy is %.*s",
                 MG_FMT(name), MG_FMT(has));
  }
  check_override(load, rule, snapshot);
}

static uint32_t needs(const void *params) {
  const struct params *p = params;
  return p->class_name.n || p->has_policy ? MG_CTX_BIT(MG_CTX_PRIORITY_CLASS) : 0;
}

const struct mg_rule_type mg_rule_priority = {
    .name = "priority",
    .doc = "Sets the PriorityClass and the numbers that belong to it; judges which classes are allowed and whether they preempt.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
    .judge = judge,
    .cross_check = cross_check,
    .needs = needs,
};
