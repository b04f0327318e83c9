/* One request against one snapshot. Mutation first, every rule on the object as the earlier rules left it; then the judgement of
 * the result. On an UPDATE each rule that has something to say is first put to oldObject, and only what the update brings
 * counts. */
#include "policy/run.h"

#include "kube/limit_range.h"

enum mg_action mg_action_of(const struct mg_eval *eval, const struct mg_policy *policy) {
  return eval->snapshot->dry_run ? MG_AUDIT : (enum mg_action)policy->action;
}

void mg_verdict_warn(struct mg_verdict *verdict, struct mg_arena *arena, mg_str text) {
  for (const struct mg_warning *w = verdict->warnings; w; w = w->next)
    if (mg_str_eq(w->text, text)) return;
  struct mg_warning *w = MG_NEW(arena, struct mg_warning);
  if (!w) return;
  w->text = text;
  *verdict->warnings_end = w;
  verdict->warnings_end = &w->next;
}

struct mg_pod *mg_same_pod(const struct mg_workload *workload, const struct mg_pod *pod) {
  for (uint32_t i = 0; workload && i < workload->pod_count; i++)
    if (mg_str_eq(workload->pods[i]->id, pod->id)) return workload->pods[i];
  return NULL;
}

/* ---- selection ---- */

static const struct mg_match *exclude_at(const struct mg_policy *policy, uint32_t i) {
  return &MG_LIST_AT(policy->exclude, struct mg_match, i);
}

bool mg_select_object(const struct mg_eval *eval, const struct mg_policy *policy) {
  return mg_match_object(&policy->match, MG_SENSE_MATCH, &eval->subject, eval->snapshot->context);
}

/* An exclude with container keys takes out those containers; one without, the template. */
static void apply_exclude(const struct mg_eval *eval, const struct mg_match *m, struct mg_pod *pod, struct mg_selection *ret) {
  if (!mg_match_object(m, MG_SENSE_EXCLUDE, &eval->subject, eval->snapshot->context)) return;
  if (!mg_match_template(m, MG_SENSE_EXCLUDE, pod)) return;
  if (!mg_match_has_containers(m)) {
    ret->matched = false;
    return;
  }
  for (uint32_t i = 0; ret->sees && i < pod->container_count; i++) {
    if (!mg_match_container(m, MG_SENSE_EXCLUDE, pod, &pod->containers[i])) continue;
    ret->sees[i] = false;
    ret->template_ok = false;
  }
}

void mg_select_template(const struct mg_eval *eval, const struct mg_policy *policy, struct mg_pod *pod,
                        struct mg_selection *ret) {
  const struct mg_match *m = &policy->match;
  *ret = (struct mg_selection){.matched = mg_match_template(m, MG_SENSE_MATCH, pod), .template_ok = true};
  bool by_container = mg_match_has_containers(m);
  for (uint32_t i = 0; i < policy->exclude.count; i++) by_container |= mg_match_has_containers(exclude_at(policy, i));
  if (!ret->matched) return;
  if (by_container) {
    ret->sees = MG_NEW_N(eval->arena, bool, pod->container_count + 1);
    bool one = !mg_match_has_containers(m);
    for (uint32_t i = 0; ret->sees && i < pod->container_count; i++)
      one |= ret->sees[i] = mg_match_container(m, MG_SENSE_MATCH, pod, &pod->containers[i]);
    ret->matched = one;
  }
  for (uint32_t i = 0; i < policy->exclude.count && ret->matched; i++) apply_exclude(eval, exclude_at(policy, i), pod, ret);
}

/* A workload may leave its templates to another object, such as a RayJob to a cluster that is there: what is asked of the object
 * holds all the same. A row that has no place for templates is only there for what its controller makes. */
static bool holds_without_templates(const struct mg_eval *eval, const struct mg_policy *policy) {
  const struct mg_workload *workload = eval->workload;
  const struct mg_context *context = eval->snapshot->context;
  if (workload->pod_count || !(workload->kind->templates.count + workload->kind->nested.count)) return false;
  for (uint32_t i = 0; i < policy->exclude.count; i++) {
    const struct mg_match *m = exclude_at(policy, i);
    if (!mg_match_needs_template(m) && mg_match_object(m, MG_SENSE_EXCLUDE, &eval->subject, context)) return false;
  }
  return !mg_match_needs_template(&policy->match);
}

enum { SHARED_PODS_MAX = 64 }; /* templates of an object whose selections are kept, so that a hostile one stays small */

static size_t selected_size(const struct mg_eval *eval) {
  return sizeof(struct mg_selected) + eval->workload->pod_count * sizeof(struct mg_selected_pod);
}

/* NULL: out of memory, which the arena tells. */
static struct mg_selected *select_of(struct mg_eval *eval, const struct mg_policy *policy) {
  struct mg_selected **slot = policy->shared == MG_NOT_SHARED || !eval->shared ? &eval->selected : &eval->shared[policy->shared];
  struct mg_selected *s = *slot;
  if (!s) s = *slot = mg_arena_zero(eval->arena, 1, selected_size(eval));
  if (!s || s->policy == policy || (s->policy && slot != &eval->selected)) return s;
  if (s->policy) memset(s, 0, selected_size(eval));
  s->policy = policy;
  s->object = mg_select_object(eval, policy);
  return s;
}

/* An edit may change labels, annotations and accelerators. */
static const struct mg_selection *selected_pod(const struct mg_eval *eval, const struct mg_policy *policy, struct mg_selected *s,
                                               uint32_t i) {
  struct mg_selected_pod *pod = &s->pods[i];
  uint32_t now = eval->verdict->patch.edits + 1;
  if (pod->known != now) mg_select_template(eval, policy, eval->workload->pods[i], &pod->selection);
  pod->known = now;
  return &pod->selection;
}

enum { CARRIED_MAX = 1024 }; /* containers of a template, so that a hostile pair of objects stays cheap */

/* What was selected of the object's template, carried over to oldObject's. */
static void carry_over(const struct mg_eval *eval, const struct mg_selection *from, const struct mg_pod *pod,
                       const struct mg_pod *old, struct mg_selection *ret) {
  *ret = *from;
  if (!from->sees) return;
  ret->sees = MG_NEW_N(eval->arena, bool, old->container_count + 1);
  for (uint32_t o = 0; ret->sees && o < old->container_count && o < CARRIED_MAX; o++)
    for (uint32_t i = 0; i < pod->container_count && i < CARRIED_MAX; i++)
      if (mg_same_container(&old->containers[o], &pod->containers[i])) ret->sees[o] |= from->sees[i];
}

static bool names_rule(const struct mg_exception *e, const struct mg_rule *rule) {
  return mg_list_has(e->policies, rule->policy->name) && (!e->rules.count || mg_list_has(e->rules, rule->name));
}

static bool exception_covers(const struct mg_exception *e, struct mg_pod *pod, struct mg_container *c) {
  if (!mg_match_template(&e->match, MG_SENSE_EXCLUDE, pod)) return false;
  if (!mg_match_has_containers(&e->match)) return true;
  if (c) return mg_match_container(&e->match, MG_SENSE_EXCLUDE, pod, c);
  for (uint32_t i = 0; i < pod->container_count; i++)
    if (mg_match_container(&e->match, MG_SENSE_EXCLUDE, pod, &pod->containers[i])) return true;
  return false;
}

/* pod NULL: one that covers a template is enough. */
static bool exempts(const struct mg_eval *eval, const struct mg_exception *e, struct mg_pod *pod, struct mg_container *c) {
  if (!mg_match_object(&e->match, MG_SENSE_EXCLUDE, &eval->subject, eval->snapshot->context)) return false;
  if (pod) return exception_covers(e, pod, c);
  if (!eval->workload->pod_count) return !mg_match_needs_template(&e->match);
  for (uint32_t p = 0; p < eval->workload->pod_count; p++)
    if (exception_covers(e, eval->workload->pods[p], NULL)) return true;
  return false;
}

const struct mg_exception *mg_exempted(const struct mg_eval *eval, const struct mg_rule *rule, struct mg_pod *pod,
                                       struct mg_container *c) {
  const struct mg_snapshot *s = eval->snapshot;
  struct mg_verdict *verdict = eval->verdict;
  for (uint32_t i = 0; i < s->exception_count; i++) {
    const struct mg_exception *e = &s->exceptions[i];
    if (eval->now >= e->expires || !names_rule(e, rule) || !exempts(eval, e, pod, c)) continue;
    if (!verdict->exempting) verdict->exempting = MG_NEW_N(eval->arena, bool, s->exception_count);
    if (verdict->exempting) verdict->exempting[i] = true;
    return e;
  }
  return NULL;
}

/* ---- one rule ---- */

/* The run must stay where it is: found_end points into it. */
#define RUN(name, of_eval, of_policy, of_rule, of_mode) \
  struct mg_run name = {                                \
      .eval = (of_eval), .policy = (of_policy), .rule = (of_rule), .mode = (of_mode), .found_end = &name.found}

/* What the rule would do to oldObject is asked and not done: were it done, the rules behind it would find there what the object,
 * which is spared the same edit, does not have. */
static void ask_of_old(struct mg_run *run, const struct mg_selection *selection, struct mg_pod *old) {
  struct mg_selection carried;
  carry_over(run->eval, selection, run->now, old, &carried);
  run->mode = MG_MODE_OLD;
  run->pod = old;
  run->selection = &carried; // cppcheck-suppress autoVariables; the caller sets it anew
  run->rule->type->mutate(run, run->rule->params, old);
}

static bool edit_one(struct mg_eval *eval, const struct mg_policy *policy, const struct mg_rule *rule,
                     struct mg_selected *selected, uint32_t i) {
  struct mg_pod *pod = eval->workload->pods[i];
  const struct mg_selection *selection = selected_pod(eval, policy, selected, i);
  if (!selection->matched) return false;
  if (!rule->type->mutate || pod->fixed) return true;
  RUN(run, eval, policy, rule, MG_MODE_EDIT);
  run.now = pod;
  struct mg_pod *old = mg_same_pod(eval->old, pod);
  if (old) ask_of_old(&run, selection, old);
  run.mode = MG_MODE_EDIT;
  run.pod = pod;
  run.other = old;
  run.selection = selection;
  rule->type->mutate(&run, rule->params, pod);
  return true;
}

static void edit_workload(struct mg_eval *eval, const struct mg_policy *policy, const struct mg_rule *rule) {
  RUN(run, eval, policy, rule, MG_MODE_EDIT);
  if (eval->old) {
    run.mode = MG_MODE_OLD;
    rule->type->mutate_workload(&run, rule->params, eval->old);
  }
  run.mode = MG_MODE_EDIT;
  rule->type->mutate_workload(&run, rule->params, eval->workload);
}

/* A rule of a policy that only warns or audits tells what it would add. */
static bool tells_edits(const struct mg_run *run) {
  return run->eval->may_mutate && mg_action_of(run->eval, run->policy) != MG_ENFORCE;
}

static void judge_template(struct mg_run *run, struct mg_pod *pod, const struct mg_selection *selection) {
  const struct mg_rule_type *type = run->rule->type;
  run->pod = pod;
  run->selection = selection;
  if (type->judge) type->judge(run, run->rule->params, pod);
  if (type->mutate && !pod->fixed && tells_edits(run)) type->mutate(run, run->rule->params, pod);
}

static void judge_all(struct mg_run *run, const struct mg_workload *on, const struct mg_selected *selected) {
  const struct mg_workload *workload = run->eval->workload;
  for (uint32_t i = 0; i < workload->pod_count; i++) {
    struct mg_selection old_selection;
    const struct mg_selection *selection = &selected->pods[i].selection;
    struct mg_pod *pod = workload->pods[i];
    if (!selection->matched) continue;
    if (on != workload) {
      struct mg_pod *old = mg_same_pod(on, pod);
      if (!old) continue;
      carry_over(run->eval, selection, pod, old, &old_selection);
      selection = &old_selection;
      pod = old;
    }
    run->now = workload->pods[i];
    run->other = on == workload ? mg_same_pod(run->eval->old, pod) : NULL;
    judge_template(run, pod, selection);
  }
}

static void judge_workload(struct mg_run *run, const struct mg_workload *on) {
  const struct mg_rule_type *type = run->rule->type;
  run->pod = run->now = NULL;
  run->selection = NULL;
  if (type->judge_workload) type->judge_workload(run, run->rule->params, on);
  if (!type->mutate_workload || !tells_edits(run)) return;
  struct mg_workload copy = *on;
  type->mutate_workload(run, run->rule->params, &copy);
}

/* `selected` NULL: no template. */
static void judge_object(struct mg_run *run, const struct mg_workload *on, const struct mg_selected *selected) {
  if (selected) judge_all(run, on, selected);
  judge_workload(run, on);
}

static void count_found(struct mg_eval *eval, const struct mg_run *run) {
  static const enum mg_policy_result results[] = {MG_RESULT_DENY, MG_RESULT_WARN, MG_RESULT_AUDIT, MG_RESULT_EXEMPTED};
  uint8_t *result = &eval->verdict->policy_results[run->policy->index];
  uint32_t found[4], more = 0;
  memcpy(found, run->more, sizeof found);
  for (const struct mg_violation *v = run->found; v; v = v->next) found[v->outcome]++;
  for (uint32_t i = 0; i < 4; i++) {
    eval->verdict->counts[i] += found[i];
    more += run->more[i];
    if (found[i] && results[i] > *result) *result = (uint8_t)results[i];
  }
  if (!more) return;
  mg_verdict_warn(eval->verdict, eval->arena,
                  mg_arena_printf(eval->arena, "%.*s/%.*s: and %u more violations that are not listed, %u of which deny",
                                  MG_FMT(run->policy->name), MG_FMT(run->rule->name), more, run->more[MG_OUT_DENY]));
}

/* The rule has said something: which of it was there before? */
static void judge_again(struct mg_run *run, const struct mg_selected *selected) {
  struct mg_eval *eval = run->eval;
  RUN(old, eval, run->policy, run->rule, MG_MODE_OLD);
  judge_object(&old, eval->old, selected);
  *run = (struct mg_run){.eval = eval, .policy = run->policy, .rule = run->rule, .mode = MG_MODE_JUDGE, .known = old.known};
  run->found_end = &run->found;
  judge_object(run, eval->workload, selected);
}

static void judge_one(struct mg_eval *eval, const struct mg_policy *policy, const struct mg_rule *rule,
                      const struct mg_selected *selected) {
  RUN(run, eval, policy, rule, MG_MODE_JUDGE);
  judge_object(&run, eval->workload, selected);
  if (!run.found) return;
  if (eval->old) judge_again(&run, selected);
  count_found(eval, &run);
  if (!run.found) return;
  *eval->verdict->violations_end = run.found;
  eval->verdict->violations_end = run.found_end;
}

/* ---- all of them ---- */

#define EACH_CANDIDATE(eval, p)                                                   \
  for (uint32_t w_ = 0; w_ < (eval)->snapshot->index.words; w_++)                 \
    for (mg_bits b_ = (eval)->candidates[w_]; b_; b_ &= b_ - 1)                   \
      for (const struct mg_policy *p = &(eval)->snapshot->policies[w_ * 64 + (uint32_t)__builtin_ctzll(b_)]; p; p = NULL)

static void warn_of_context(struct mg_eval *eval, const struct mg_policy *policy) {
  RUN(run, eval, policy, policy->context_rule, MG_MODE_EDIT);
  policy->context_rule->type->judge_workload(&run, NULL, eval->workload);
}

static uint64_t start_clock(const struct mg_eval *eval) {
  return eval->verdict->policy_ns ? eval->request->clock() : 0;
}

static void stop_clock(struct mg_eval *eval, const struct mg_policy *policy, uint64_t start) {
  if (eval->verdict->policy_ns) eval->verdict->policy_ns[policy->index] += eval->request->clock() - start + 1; /* 0: no match */
}

/* False: memory ran out in the policy before, and there will be no verdict. */
static bool may_start(struct mg_eval *eval, const struct mg_policy *policy) {
  if (eval->arena->failed) return false;
  eval->verdict->undecided = policy;
  return true;
}

static void mutate_all(struct mg_eval *eval) {
  EACH_CANDIDATE(eval, policy) {
    if (!may_start(eval, policy)) return;
    const uint32_t edits = eval->verdict->patch.edits;
    if (mg_lacks_context(eval, policy)) warn_of_context(eval, policy);
    uint64_t start = start_clock(eval);
    bool matched = false;
    if (mg_action_of(eval, policy) != MG_ENFORCE) continue;
    struct mg_selected *selected = select_of(eval, policy);
    if (!selected || !selected->object) continue;
    const bool alone = holds_without_templates(eval, policy);
    for (uint32_t r = 0; r < policy->rule_count; r++) {
      const struct mg_rule *rule = &policy->rules[r];
      bool any = alone;
      if (!mg_rule_type_mutates(rule->type)) continue;
      for (uint32_t i = 0; i < eval->workload->pod_count; i++) any |= edit_one(eval, policy, rule, selected, i);
      if (any && rule->type->mutate_workload) edit_workload(eval, policy, rule);
      matched |= any;
    }
    if (!matched) continue;
    eval->verdict->policy_results[policy->index] = eval->verdict->patch.edits == edits ? MG_RESULT_PASS : MG_RESULT_MUTATED;
    stop_clock(eval, policy, start);
  }
}

static bool says(const struct mg_eval *eval, const struct mg_policy *policy, const struct mg_rule_type *type) {
  return type->judge || type->judge_workload || (mg_action_of(eval, policy) != MG_ENFORCE && eval->may_mutate);
}

static void judge_every(struct mg_eval *eval) {
  uint32_t count = eval->workload->pod_count;
  EACH_CANDIDATE(eval, policy) {
    if (!may_start(eval, policy)) return;
    uint8_t *result = &eval->verdict->policy_results[policy->index];
    uint64_t start = start_clock(eval);
    if (mg_lacks_context(eval, policy)) judge_one(eval, policy, policy->context_rule, NULL);
    struct mg_selected *selected = select_of(eval, policy);
    if (!selected || !selected->object) continue;
    bool any = holds_without_templates(eval, policy);
    for (uint32_t i = 0; i < count; i++) any |= selected_pod(eval, policy, selected, i)->matched;
    if (!any) continue;
    if (*result <= MG_RESULT_MUTATED) *result = MG_RESULT_PASS;
    for (uint32_t r = 0; r < policy->rule_count; r++)
      if (says(eval, policy, policy->rules[r].type)) judge_one(eval, policy, &policy->rules[r], selected);
    stop_clock(eval, policy, start);
  }
}

/* Subresources that carry a whole Pod; the others are allowed unseen. */
static bool is_judged_subresource(const struct mg_request *r) {
  return r->subresource.n == 0 || mg_str_is(r->subresource, "ephemeralcontainers") || mg_str_is(r->subresource, "resize");
}

/* Never patched: subresources, what is being deleted, mirror pods, kinds whose Pods are patched instead. */
static bool may_mutate(const struct mg_request *r, const struct mg_kind_row *kind, mg_node object) {
  mg_node meta = MG_GET(object, "metadata");
  if (r->subresource.n || kind->mutate != MG_MUTATE_TEMPLATE || (r->operation != MG_CREATE && r->operation != MG_UPDATE))
    return false;
  return mg_missing(MG_GET(meta, "deletionTimestamp")) &&
         mg_missing(MG_GET(MG_GET(meta, "annotations"), "kubernetes.io/config.mirror"));
}

/* Metadata of a Pod is no part of what must stay. */
static void mark_unchanged(struct mg_eval *eval) {
  for (uint32_t i = 0; i < eval->workload->pod_count; i++) {
    struct mg_pod *pod = eval->workload->pods[i];
    const struct mg_pod *old = mg_same_pod(eval->old, pod);
    pod->unchanged = old && mg_equal(pod->spec, old->spec) && (pod->is_pod || mg_equal(pod->meta, old->meta));
  }
}

static int view_both(struct mg_eval *eval, const struct mg_kind_row *kind, mg_node object) {
  const struct mg_snapshot *s = eval->snapshot;
  struct mg_world world = {&s->kinds, &s->accelerators, s->context,
                           eval->request->as_written && eval->request->operation == MG_CREATE};
  int rc = mg_workload_view(&world, eval->arena, kind, object, eval->subject.ns, &eval->workload);
  if (rc || !eval->is_update) return rc;
  return mg_workload_view(&world, eval->arena, kind, eval->request->old_object, eval->subject.ns, &eval->old);
}

/* Whether a rule has said so already. */
static bool is_told(const struct mg_verdict *v, mg_str text) {
  for (const struct mg_violation *found = v->violations; found; found = found->next)
    if (mg_str_eq(found->message, text)) return true;
  return false;
}

static void tell_refusal(void *ctx, const struct mg_breach *b) {
  struct mg_eval *eval = ctx;
  mg_str text = mg_breach_text(eval->arena, b);
  if (is_told(eval->verdict, text)) return;
  mg_verdict_warn(eval->verdict, eval->arena,
                  mg_arena_printf(eval->arena, "the API server will refuse this Pod: LimitRange %.*s/%.*s: %.*s%s%.*s",
                                  MG_FMT(b->range->ns), MG_FMT(b->range->name), MG_FMT(text), b->container ? ", container " : "",
                                  MG_FMT(b->container ? mg_container_id(eval->arena, b->container) : (mg_str){0})));
}

/* No policy denies what the API server's own LimitRanger refuses, but the author of a Pod would want to know. */
static void foresee_refusal(struct mg_eval *eval) {
  for (uint32_t i = 0; i < eval->workload->pod_count; i++) {
    struct mg_pod *pod = eval->workload->pods[i];
    if (!pod->as_written) continue;
    struct mg_limit_ranges ranges = mg_limit_ranges_of(eval->snapshot->context, eval->arena, pod->ns);
    mg_limit_check(&ranges, NULL, pod, tell_refusal, eval);
  }
}

static void finish(struct mg_eval *eval) {
  struct mg_verdict *v = eval->verdict;
  foresee_refusal(eval);
  if (eval->workload && eval->workload->malformed.n) mg_verdict_warn(v, eval->arena, eval->workload->malformed);
  v->allowed = v->counts[MG_OUT_DENY] == 0;
}

static int no_memory(const struct mg_arena *arena, struct mg_err *err) {
  return mg_err_set(err, MG_E_NOMEM, "the review needs more than %zu MiB of memory", arena->max >> 20);
}

static int no_view(const struct mg_arena *arena, int code, struct mg_err *err) {
  if (code != MG_E_LIMIT) return no_memory(arena, err);
  return mg_err_set(err, code, "the object has more than %d pod templates", MG_MOST_TEMPLATES);
}

int mg_evaluate(const struct mg_snapshot *snapshot, const struct mg_request *request, unsigned phases, int64_t now,
                struct mg_arena *arena, struct mg_verdict *ret, struct mg_err *err) {
  *ret = (struct mg_verdict){.allowed = true};
  ret->violations_end = &ret->violations;
  ret->warnings_end = &ret->warnings;
  mg_node object = request->operation == MG_DELETE ? request->old_object : request->object;
  mg_patch_init(&ret->patch, arena, object);
  struct mg_eval eval = {
      .snapshot = snapshot, .request = request, .subject = *request, .arena = arena, .verdict = ret, .now = now};
  const struct mg_kind_row *kind = mg_kind_find(&snapshot->kinds, request->group, request->version, request->kind);
  ret->known_kind = kind != NULL;
  if (!kind || !object.at || !is_judged_subresource(request)) return 0;
  if (kind->scope) eval.subject.ns = MG_S("");
  eval.candidates = MG_NEW_N(arena, mg_bits, snapshot->index.words);
  ret->policy_results = MG_NEW_N(arena, uint8_t, snapshot->policy_count + 1);
  if (request->clock) ret->policy_ns = MG_NEW_N(arena, uint64_t, snapshot->policy_count + 1);
  if (!eval.candidates || !ret->policy_results) return no_memory(arena, err);
  mg_index_find(snapshot, kind, request->operation, eval.subject.ns, eval.candidates);
  eval.is_update = request->operation == MG_UPDATE && request->old_object.at;
  eval.may_mutate = may_mutate(request, kind, object);
  int rc = view_both(&eval, kind, object);
  if (rc) return no_view(arena, rc, err);
  if (snapshot->shared_count && eval.workload->pod_count <= SHARED_PODS_MAX)
    eval.shared = MG_NEW_N(arena, struct mg_selected *, snapshot->shared_count);
  mg_index_roles(snapshot, eval.workload, eval.candidates);
  if ((phases & MG_PHASE_MUTATE) && eval.may_mutate) {
    if (eval.old) mark_unchanged(&eval);
    mutate_all(&eval);
  }
  if (phases & MG_PHASE_VALIDATE) judge_every(&eval);
  if (!arena->failed) ret->undecided = NULL;
  finish(&eval);
  return arena->failed ? no_memory(arena, err) : 0;
}
