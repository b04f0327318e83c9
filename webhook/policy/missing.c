/* What policies ask of the context, and what becomes of a review where the context has not got it (spec.onMissingContext). */
#include "policy/run.h"

static uint32_t needs_of_match(const struct mg_match *m) {
  bool claims = m->accelerators.kind == MG_ACC_SOME || m->accelerators.kind == MG_ACC_NONE; /* a list names resources */
  return (m->has_namespace_selector ? MG_CTX_BIT(MG_CTX_NAMESPACE) : 0) | (claims ? MG_CTX_CLAIMS : 0);
}

uint32_t mg_exception_needs(const struct mg_exception *exception) {
  return needs_of_match(&exception->match);
}

/* ---- one rule a policy, in whose name it is told ---- */

static const char *words_of(struct mg_arena *arena, uint32_t bits) {
  struct mg_buf words;
  mg_buf_init(&words, arena, 1024);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++)
    if (bits & MG_CTX_BIT(i)) mg_buf_printf(&words, "%s%s", words.n ? ", " : "", mg_context_kind_name(i));
  mg_buf_byte(&words, '\0');
  return words.failed ? "context" : words.p;
}

static void tell(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  struct mg_finding f = {.where = {.node = workload->object}, .subject = MG_S("context")};
  const char *words = words_of(run->eval->arena, run->eval->missing);
  (void)params;
  if (run->policy->on_missing == MG_MISSING_DENY)
    mg_run_violation(run, &f, "cannot be judged without %s, which the API server has not told, or too long ago", words);
  else
    mg_run_warning(run, "judged without knowing %s of the cluster", words);
}

static const struct mg_rule_type context_type = {.name = "context", .judge_workload = tell};

void mg_policy_note_needs(struct mg_policy *p, struct mg_arena *arena) {
  p->needs = needs_of_match(&p->match);
  for (uint32_t i = 0; i < p->exclude.count; i++) p->needs |= needs_of_match(&MG_LIST_AT(p->exclude, struct mg_match, i));
  for (uint32_t i = 0; i < p->rule_count; i++)
    if (p->rules[i].type && p->rules[i].type->needs) p->needs |= p->rules[i].type->needs(p->rules[i].params);
  struct mg_rule *rule = p->needs ? MG_NEW(arena, struct mg_rule) : NULL;
  if (!rule) return;
  *rule = (struct mg_rule){.type = &context_type, .policy = p, .name = MG_S("context"), .index = UINT32_MAX, .at = p->at};
  p->context_rule = rule;
}

/* ---- one review ---- */

static bool has_claims(const struct mg_workload *workload) {
  for (uint32_t i = 0; i < workload->pod_count; i++)
    if (mg_first(MG_GET(workload->pods[i]->spec, "resourceClaims")).at) return true;
  return false;
}

/* What it would not matter to know is not missing: classes of devices where none are claimed, a namespace that is in a file. */
static uint32_t that_matters(const struct mg_eval *eval, uint32_t missing) {
  mg_str ns = eval->subject.ns;
  mg_node of_file = mg_context_find(eval->snapshot->context, MG_CTX_NAMESPACE, (mg_str){0}, ns);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS && !ns.n; i++)
    if (i == MG_CTX_NAMESPACE || !mg_context_cluster_scoped(i)) missing &= ~MG_CTX_BIT(i);
  if (of_file.at && of_file.doc->file) missing &= ~MG_CTX_BIT(MG_CTX_NAMESPACE);
  return has_claims(eval->workload) ? missing : missing & ~MG_CTX_CLAIMS;
}

/* Whether the policy could match if the context said the right thing. */
static bool may_match(const struct mg_eval *eval, const struct mg_policy *policy, uint32_t missing) {
  struct mg_match m = policy->match;
  if (missing & MG_CTX_BIT(MG_CTX_NAMESPACE)) m.has_namespace_selector = false;
  if (missing & MG_CTX_CLAIMS) m.accelerators.kind = MG_ACC_ANY;
  if (!mg_match_object(&m, MG_SENSE_MATCH, &eval->subject, eval->snapshot->context)) return false;
  for (uint32_t i = 0; i < eval->workload->pod_count; i++)
    if (mg_match_template(&m, MG_SENSE_MATCH, eval->workload->pods[i])) return true;
  return !eval->workload->pod_count && !mg_match_needs_template(&policy->match);
}

bool mg_lacks_what_matters(struct mg_eval *eval, const struct mg_policy *policy) {
  uint32_t missing = eval->snapshot->context->missing & policy->needs;
  if (!policy->context_rule || policy->on_missing == MG_MISSING_IGNORE) return false;
  eval->missing = that_matters(eval, missing);
  return eval->missing && may_match(eval, policy, eval->missing);
}
