/* What a rule may ask and say: policy/rule.h. */
#include "policy/run.h"


struct mg_where mg_where_of(mg_node from, const mg_str keys[5]) {
  struct mg_where where = {.node = from};
  uint32_t i = 0, missing = 0;
  for (; i < 4 && keys[i].p; i++) {
    mg_node next = missing ? (mg_node){0} : mg_get(where.node, keys[i]);
    if (next.at)
      where.node = next;
    else
      where.more[missing++] = keys[i];
  }
  return where;
}

struct mg_arena *mg_run_arena(const struct mg_run *run) {
  return run->eval->arena;
}

const struct mg_context *mg_run_context(const struct mg_run *run) {
  return run->eval->snapshot->context;
}

const struct mg_rule *mg_run_rule(const struct mg_run *run) {
  return run->rule;
}

bool mg_run_sees(const struct mg_run *run, const struct mg_container *c) {
  const struct mg_selection *s = run->selection;
  return !s || !s->sees || !run->pod || s->sees[c - run->pod->containers];
}

bool mg_run_sees_template(const struct mg_run *run) {
  return !run->selection || run->selection->template_ok;
}

enum mg_operation mg_run_operation(const struct mg_run *run) {
  return run->eval->request->operation;
}

bool mg_run_is_update(const struct mg_run *run) {
  return run->eval->is_update;
}

struct mg_pod *mg_run_old_pod(const struct mg_run *run) {
  return run->other;
}

const struct mg_kind_row *mg_run_owner(const struct mg_run *run, mg_node object) {
  mg_str group, version, kind;
  if (!mg_controlling_owner(object, &group, &version, &kind)) return NULL;
  return mg_kind_find(&run->eval->snapshot->kinds, group, version, kind);
}

struct mg_container *mg_run_old_container(const struct mg_run *run, const struct mg_container *c) {
  enum { LOOKED_AT = 1024 }; /* so that a hostile pair of objects stays cheap */
  const struct mg_pod *other = run->other;
  size_t place = run->pod ? (size_t)(c - run->pod->containers) : 0;
  if (!other) return NULL;
  if (place < other->container_count && mg_same_container(&other->containers[place], c)) return &other->containers[place];
  for (uint32_t i = 0; i < other->container_count && i < LOOKED_AT; i++)
    if (mg_same_container(&other->containers[i], c)) return &other->containers[i];
  return NULL;
}

const struct mg_workload *mg_run_old_workload(const struct mg_run *run) {
  return run->mode == MG_MODE_OLD ? NULL : run->eval->old;
}

enum mg_action mg_run_action(const struct mg_run *run) {
  return mg_action_of(run->eval, run->policy);
}

bool mg_run_explains(const struct mg_run *run) {
  return run->mode == MG_MODE_JUDGE;
}

struct mg_patch *mg_run_patch(struct mg_run *run) {
  return &run->eval->verdict->patch;
}

mg_str mg_container_id(struct mg_arena *arena, const struct mg_container *c) {
  static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers", "container"};
  if (!c) return MG_S("");
  return c->name.n ? c->name : mg_arena_printf(arena, "%s[%u]", lists[c->list], c->number);
}

/* ---- identity ---- */

bool mg_same_container(const struct mg_container *a, const struct mg_container *b) {
  return a->name.n || b->name.n ? mg_str_eq(a->name, b->name) : a->list == b->list && a->number == b->number;
}

static struct mg_known identity_of(const struct mg_run *run, const struct mg_finding *f) {
  return (struct mg_known){.template_id = f->pod ? f->pod->id : MG_S(""),
                           .container = mg_container_id(run->eval->arena, f->container),
                           .subject = f->subject,
                           .measure = f->measure};
}

/* A text counts, too: a hostile pair of objects has thousands of violations that differ in nothing else. Edits have none. */
static size_t slot_of(const struct mg_known *k) {
  uint64_t hash = mg_str_hash(mg_str_hash(mg_str_hash(MG_HASH, k->template_id), k->container), k->subject);
  return (k->measure.kind == MG_MEASURE_TEXT ? mg_str_hash(hash, k->measure.text) : hash) % MG_KNOWN_SLOTS;
}

static bool same_identity(const struct mg_known *a, const struct mg_known *b) {
  return mg_str_eq(a->subject, b->subject) && mg_str_eq(a->container, b->container) && mg_str_eq(a->template_id, b->template_id);
}

static bool is_known(const struct mg_run *run, const struct mg_known *what) {
  const struct mg_known *k = run->known ? run->known[slot_of(what)] : NULL;
  while (k && !same_identity(k, what)) k = k->next;
  return k;
}

/* The value is the same as before or no worse (UPDATE). */
static bool no_worse(const struct mg_measure *now, const struct mg_measure *before) {
  if (now->kind != before->kind) return false;
  switch (now->kind) {
    case MG_MEASURE_NONE: return true;
    case MG_MEASURE_TEXT: return mg_str_eq(now->text, before->text);
    case MG_MEASURE_MORE_IS_WORSE: return now->amount <= before->amount;
    case MG_MEASURE_LESS_IS_WORSE: return now->amount >= before->amount;
  }
  return false;
}

/* Of several that differ in their amounts only, the worst stands for all. */
static void remember(struct mg_run *run, const struct mg_finding *f) {
  struct mg_arena *arena = run->eval->arena;
  struct mg_known now = identity_of(run, f);
  if (!run->known) run->known = MG_NEW_N(arena, struct mg_known *, MG_KNOWN_SLOTS);
  if (!run->known) return;
  struct mg_known **slot = &run->known[slot_of(&now)], *k;
  for (k = *slot; k; k = k->next) {
    if (!same_identity(k, &now)) continue;
    if (no_worse(&now.measure, &k->measure)) return;
    if (!no_worse(&k->measure, &now.measure)) continue;
    k->measure = now.measure;
    return;
  }
  if (!(k = MG_NEW(arena, struct mg_known))) return;
  now.next = *slot;
  *k = now;
  *slot = k;
}

static bool was_there(const struct mg_run *run, const struct mg_known *now) {
  const struct mg_known *k = run->known ? run->known[slot_of(now)] : NULL;
  while (k && !(same_identity(k, now) && no_worse(&now->measure, &k->measure))) k = k->next;
  return k;
}

/* ---- findings ---- */

static enum mg_outcome outcome_of(const struct mg_run *run, const struct mg_finding *f) {
  static const enum mg_outcome by_action[] = {MG_OUT_DENY, MG_OUT_WARN, MG_OUT_AUDIT};
  enum mg_outcome outcome = by_action[mg_action_of(run->eval, run->policy)];
  return outcome > f->hardest ? outcome : f->hardest;
}

/* Of one rule, outcome and object. Nobody reads more, and a hostile object must not fill the memory with them. */
#define MOST_STORED 1000

__attribute__((format(printf, 3, 0)))
static void add_violation(struct mg_run *run, const struct mg_finding *f, const char *format, va_list args) {
  struct mg_arena *arena = run->eval->arena;
  struct mg_known id = identity_of(run, f);
  const struct mg_exception *e = mg_exempted(run->eval, run->rule, f->pod, f->container);
  enum mg_outcome outcome = e ? MG_OUT_EXEMPTED : was_there(run, &id) ? MG_OUT_AUDIT : outcome_of(run, f);
  if (run->stored[outcome] == MOST_STORED) {
    run->more[outcome]++;
    return;
  }
  struct mg_violation *v = MG_NEW(arena, struct mg_violation);
  if (!v) return;
  mg_str text = mg_arena_vprintf(arena, format, args);
  *v = (struct mg_violation){.policy = run->policy,
                             .rule = run->rule,
                             .outcome = outcome,
                             .template_id = id.template_id,
                             .container = id.container,
                             .subject = f->subject,
                             .measure = f->measure,
                             .where = f->where,
                             .object = run->eval->workload->object,
                             .fix = f->fix,
                             .mend = f->mend,
                             .exception = e ? e->name : (mg_str){0},
                             .exempted_by = e,
                             .message = text};
  if (run->rule->message.n) v->message = mg_arena_printf(arena, "%.*s: %.*s", MG_FMT(run->rule->message), MG_FMT(text));
  *run->found_end = v;
  run->found_end = &v->next;
  run->stored[outcome]++;
}

void mg_run_violation(struct mg_run *run, const struct mg_finding *finding, const char *format, ...) {
  if (run->mode == MG_MODE_OLD) {
    remember(run, finding);
    return;
  }
  if (run->mode != MG_MODE_JUDGE) return; /* a mutating rule denies nothing */
  va_list args;
  va_start(args, format);
  add_violation(run, finding, format, args);
  va_end(args);
}

/* What a rule reads elsewhere, such as an annotation or the Job's own fields, may change and bring an edit of a template that
 * the API server would refuse, or that would start a rollout nobody asked for. */
static bool must_stay(const struct mg_finding *f) {
  if (!f->pod || !f->pod->unchanged) return false;
  if (!f->pod->is_pod) return true;
  mg_node n = f->where.node;
  while (n.at && !mg_same(n, f->pod->spec)) n = mg_parent(n);
  return n.at;
}

bool mg_run_wants(struct mg_run *run, const struct mg_finding *finding, const char *format, ...) {
  struct mg_known id;
  va_list args;
  switch (run->mode) {
    case MG_MODE_OLD: remember(run, finding); return false;
    case MG_MODE_EDIT:
      id = identity_of(run, finding);
      return !is_known(run, &id) && !must_stay(finding) && !mg_exempted(run->eval, run->rule, finding->pod, finding->container);
    case MG_MODE_JUDGE: break;
  }
  if (mg_action_of(run->eval, run->policy) == MG_ENFORCE) return false; /* what an enforcing policy adds is /mutate's */
  va_start(args, format);
  add_violation(run, finding, format, args);
  va_end(args);
  return false;
}

void mg_run_warning(struct mg_run *run, const char *format, ...) {
  if (run->mode != MG_MODE_EDIT && run->mode != MG_MODE_JUDGE) return;
  struct mg_arena *arena = run->eval->arena;
  va_list args;
  va_start(args, format);
  mg_str text = mg_arena_vprintf(arena, format, args);
  va_end(args);
  text = mg_arena_printf(arena, "%.*s/%.*s: %.*s", MG_FMT(run->policy->name), MG_FMT(run->rule->name), MG_FMT(text));
  mg_verdict_warn(run->eval->verdict, arena, text);
}

enum mg_image_answer mg_run_image(struct mg_run *run, const struct mg_image_query *query, const struct mg_image_facts **ret_facts,
                                  const struct mg_image_facts **ret_bases, mg_str *ret_why) {
  const struct mg_images *images = run->eval->request->images;
  *ret_why = (mg_str){0};
  if (!images) return MG_IMAGE_UNKNOWN;
  enum mg_image_answer answer = images->ask(images->ctx, query, ret_facts, ret_bases, ret_why);
  if (answer == MG_IMAGE_WAIT) run->eval->verdict->waiting = true;
  return answer;
}

/* What a rule of another policy needs to be one of them: that the policy's match holds. */
static bool is_selected(struct mg_run *run, const struct mg_policy *policy, struct mg_pod *pod) {
  struct mg_selection selection;
  if (policy == run->policy) return true;
  if (!mg_select_object(run->eval, policy)) return false;
  mg_select_template(run->eval, policy, pod, &selection);
  return selection.matched && selection.template_ok;
}

/* The state is the number of a policy, and of a rule in it. */
const struct mg_rule *mg_run_next_rule(struct mg_run *run, const struct mg_rule_type *type, struct mg_pod *pod, uint64_t *state) {
  const struct mg_snapshot *s = run->eval->snapshot;
  if (run->now) pod = run->now;
  for (uint32_t p = (uint32_t)(*state >> 32); p < s->policy_count; p++) {
    const struct mg_policy *policy = &s->policies[p];
    const bool candidate = run->eval->candidates[p / 64] >> (p % 64) & 1;
    for (uint32_t r = (uint32_t)*state; candidate && r < policy->rule_count; r++) {
      const struct mg_rule *rule = &policy->rules[r];
      if (rule->type != type || rule == run->rule || !is_selected(run, policy, pod)) continue;
      if (mg_exempted(run->eval, rule, pod, NULL)) continue;
      *state = (uint64_t)p << 32 | (r + 1);
      return rule;
    }
    *state = (uint64_t)(p + 1) << 32;
  }
  return NULL;
}
