#include "policy/policy.h"
#include "rules/listed.h"
#include "rules/rules.h"

#define INT32 2147483647

static const char *const restart_words[] = {"Never", "OnFailure", "Always", "ExitCode", NULL};

struct limit {
  struct mg_opt_int def, max;
  bool required;
};

struct params {
  struct limit limits[MG_LIMITS];
  struct mg_list restart; /* of uint32_t: index into restart_words */
};

static const struct mg_field limit_fields[] = {
    {"default", &mg_t_count, offsetof(struct limit, def),
     .doc = "Written where the job does not say, save for kinds whose Pods alone are patched."},
    {"max", &mg_t_count, offsetof(struct limit, max), .doc = "Violation above it; a limit that is missing is not."},
    {"required", &mg_t_bool, offsetof(struct limit, required), .def = "false",
     .doc = "Violation where the limit is missing and could be there."},
    MG_FIELDS_END,
};
static const struct mg_shape limit_shapes[] = {
    [MG_LIMIT_DEADLINE] = {limit_fields, "activeDeadlineSeconds"},
    [MG_LIMIT_TTL] = {limit_fields, "ttlSecondsAfterFinished"},
    [MG_LIMIT_BACKOFF] = {limit_fields, "backoffLimit"},
};
static const struct mg_item restart_item = {&mg_t_enum, sizeof(uint32_t), restart_words};

#define LIMIT(which) offsetof(struct params, limits) + (which) * sizeof(struct limit)
static const struct mg_field fields[] = {
    {"activeDeadlineSeconds", &mg_t_object, LIMIT(MG_LIMIT_DEADLINE), &limit_shapes[MG_LIMIT_DEADLINE],
     .doc = "How many seconds a job may run."},
    {"ttlSecondsAfterFinished", &mg_t_object, LIMIT(MG_LIMIT_TTL), &limit_shapes[MG_LIMIT_TTL],
     .doc = "How many seconds after its end a job is deleted. A RayJob without shutdownAfterJobFinishes cannot have it and is "
            "spared."},
    {"backoffLimit", &mg_t_object, LIMIT(MG_LIMIT_BACKOFF), &limit_shapes[MG_LIMIT_BACKOFF],
     .doc = "How often a failed job is tried again. The 6 that the API server gives a Job that does not say gives way to the "
            "default. A RayJob with clusterSelector or InteractiveMode, and a Job with backoffLimitPerIndex, are spared."},
    {"restartPolicy", &mg_t_list, offsetof(struct params, restart), &restart_item,
     .doc = "What the restartPolicy of a job's templates and of a bare Pod may be; Kubeflow's own counts before the template's."},
    MG_FIELDS_END,
};

/* ---- when policies are loaded ---- */

static bool says_something(const struct limit *l) {
  return l->def.set || l->max.set || l->required;
}

static void check_limit(struct mg_load *load, mg_node at, enum mg_limit which, const struct limit *l) {
  /* The API's types: a deadline is an int64 that must let a job run at all, the others are int32. */
  const int64_t least = which == MG_LIMIT_DEADLINE, most = which == MG_LIMIT_DEADLINE ? INT64_MAX : INT32;
  const struct mg_opt_int values[] = {l->def, l->max};
  const mg_node nodes[] = {MG_GET(at, "default"), MG_GET(at, "max")};
  if (!says_something(l)) {
    mg_diag_error(load->diags, at, MG_AT_KEY, "\"%s\" says nothing: it needs \"default\", \"max\" or \"required: true\"",
                  mg_limit_words[which]);
    return;
  }
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    if (values[i].set && (values[i].value < least || values[i].value > most)) {
      mg_diag_error(load->diags, nodes[i], MG_AT_VALUE, "%lld is no %s; it is at least %lld and at most %lld",
                    (long long)values[i].value, mg_limit_words[which], (long long)least, (long long)most);
      return;
    }
  if (l->def.set && l->max.set && l->def.value > l->max.value)
    mg_diag_error(load->diags, nodes[0], MG_AT_VALUE, "the default %lld is above the maximum %lld", (long long)l->def.value,
                  (long long)l->max.value);
}

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node restart = MG_GET(at, "restartPolicy");
  bool any = restart.at;
  for (uint32_t i = 0; i < MG_LIMITS; i++) {
    mg_node limit = mg_get(at, mg_str_of(mg_limit_words[i]));
    if (limit.at) check_limit(load, limit, (enum mg_limit)i, &p->limits[i]);
    any |= limit.at != 0;
  }
  if (restart.at && !p->restart.count)
    mg_diag_error(load->diags, restart, MG_AT_VALUE, "\"restartPolicy\" must name at least one");
  if (!any)
    mg_diag_error(load->diags, at, MG_AT_KEY,
                  "jobLimits says nothing: it needs \"activeDeadlineSeconds\", \"ttlSecondsAfterFinished\", \"backoffLimit\" or "
                  "\"restartPolicy\"");
  return load->diags->error_count == before;
}

/* ---- what controllers make of the fields ---- */

enum test { IS_NOT_TRUE, IS_FILLED, IS_WORD };

/* Beside such a neighbour the controller refuses the limit, or it means something else. */
static const struct {
  const char *group, *kind; /* kind: the end of the name, so that RayCronJob is like RayJob */
  enum mg_limit limit;
  const char *neighbour;
  enum test test;
  const char *word;
} spared[] = {
    {"ray.io", "Job", MG_LIMIT_TTL, "shutdownAfterJobFinishes", IS_NOT_TRUE, NULL},
    {"ray.io", "Job", MG_LIMIT_BACKOFF, "clusterSelector", IS_FILLED, NULL},
    {"ray.io", "Job", MG_LIMIT_BACKOFF, "submissionMode", IS_WORD, "InteractiveMode"},
    {"batch", "Job", MG_LIMIT_BACKOFF, "backoffLimitPerIndex", IS_FILLED, NULL},
};

static bool holds(mg_node n, enum test test, const char *word) {
  switch (test) {
    case IS_NOT_TRUE: return !mg_true(n);
    case IS_FILLED: return !mg_missing(n) && !(mg_is(n, MG_OBJECT) && !mg_count(n));
    case IS_WORD: return mg_str_is(mg_string(n), word);
  }
  return false;
}

static bool is_spared(const struct mg_kind_row *kind, enum mg_limit limit, const struct mg_place *place) {
  for (size_t i = 0; i < sizeof spared / sizeof *spared; i++)
    if (spared[i].limit == limit && mg_str_is(kind->group, spared[i].group) &&
        mg_str_ends(kind->kind, mg_str_of(spared[i].kind)) &&
        holds(mg_get(place->object, mg_str_of(spared[i].neighbour)), spared[i].test, spared[i].word))
      return true;
  return false;
}

/* Controllers that copy a whole job as its author wrote it; what others make has limits that are not the author's affair. */
static const struct {
  const char *group, *kind;
} schedules[] = {
    {"batch", "CronJob"},
    {"batch.volcano.sh", "CronJob"},
    {"ray.io", "RayCronJob"},
    {"keda.sh", "ScaledJob"},
};

/* The owner has been judged; its controller would be at odds with a limit on the Job below it. A kind without limits of its own,
 * or whose Pods alone are patched, hands its jobs down as they are: they are judged, and get their defaults, when they come. */
static bool is_made(const struct mg_run *run, mg_node object) {
  const struct mg_kind_row *owner = mg_run_owner(run, object);
  if (!owner || !owner->run_policy.at.at || owner->mutate != MG_MUTATE_TEMPLATE) return false;
  for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
    if (mg_str_is(owner->group, schedules[i].group) && mg_str_is(owner->kind, schedules[i].kind)) return false;
  return true;
}

/* ---- the limits of an object ---- */

struct work {
  struct mg_run *run;
  const struct mg_inner *on; /* the workload itself, which has no id, or an object inside it */
  enum mg_limit which;
  const struct limit *limit;
  const struct mg_place *place;
};

static mg_str name_of(const struct mg_place *place) {
  uint32_t i = 0;
  while (place->keys[i + 1].p) i++;
  return place->keys[i];
}

static struct mg_finding finding_of(const struct work *w, const char *what) {
  struct mg_arena *arena = mg_run_arena(w->run);
  return (struct mg_finding){
      .where = mg_where_of(w->place->object, w->place->keys),
      .subject = mg_arena_printf(arena, "%s %s%.*s%.*s", what, mg_limit_words[w->which], MG_FMT(w->on->id),
                                 MG_FMT(w->place->id)),
  };
}

static mg_str number_fix(const struct work *w, int64_t value) {
  return mg_arena_printf(mg_run_arena(w->run), "%.*s: %lld", MG_FMT(name_of(w->place)), (long long)value);
}

/* A whole number, however it is spelt. */
static bool read_number(mg_node n, mg_nano *ret) {
  struct mg_quantity q;
  if (!mg_is(n, MG_NUMBER) || mg_quantity_read(n, &q, NULL) || !mg_quantity_whole(q)) return false;
  *ret = q.nano / 1000000000;
  return true;
}

/* What the API server gives a Job that says nothing, which nobody can tell from its author's wish. */
static bool is_api_default(const struct work *w) {
  const struct mg_kind_row *kind = w->on->kind;
  mg_nano n;
  return w->which == MG_LIMIT_BACKOFF && mg_str_is(kind->group, "batch") && mg_str_is(kind->kind, "Job") &&
         read_number(w->place->value, &n) && n == 6;
}

/* What oldObject has is what an earlier policy put there: put back, it changes nothing. */
static mg_node value_to_set(const struct work *w, uint32_t near) {
  struct mg_arena *arena = mg_run_arena(w->run);
  struct mg_doc *doc = w->on->object.doc;
  const struct mg_workload *workload = mg_run_old_workload(w->run);
  struct mg_place *before = NULL;
  uint32_t count = 0;
  if (workload) count = mg_places_find(arena, workload->kind->run_policy.limits[w->which], workload->object, &before);
  const struct mg_place *old = mg_place_of(before, count, w->place->id, near);
  if (old && mg_is(old->value, MG_NUMBER)) return mg_make_copy(doc, old->value);
  return mg_make_text(doc, MG_NUMBER, mg_arena_printf(arena, "%lld", (long long)w->limit->def.value));
}

static void want_default(const struct work *w, uint32_t number) {
  const bool api = is_api_default(w);
  const long long def = (long long)w->limit->def.value;
  mg_str name = name_of(w->place);
  if (api && def == 6) return;
  if ((!mg_missing(w->place->value) && !api) || is_spared(w->on->kind, w->which, w->place)) return;
  struct mg_finding finding = finding_of(w, "default");
  if (mg_run_explains(w->run)) finding.fix = number_fix(w, w->limit->def.value);
  const bool wanted = api ? mg_run_wants(w->run, &finding, "%.*s is 6, as the API server fills it in, the policy wants %lld",
                                         MG_FMT(name), def)
                          : mg_run_wants(w->run, &finding, "no %.*s, the policy wants %lld", MG_FMT(name), def);
  if (wanted) mg_place_set(mg_run_patch(w->run), w->place, value_to_set(w, number));
}

static void judge_missing(const struct work *w) {
  /* A policy that only warns or audits has told of the default instead; an object inside another gets it when it comes. */
  const bool has_default = w->limit->def.set && w->on->kind->mutate == MG_MUTATE_TEMPLATE &&
                           (w->on->id.n || mg_run_rule(w->run)->policy->action != MG_ENFORCE);
  if (!w->limit->required || has_default || is_spared(w->on->kind, w->which, w->place)) return;
  struct mg_finding finding = finding_of(w, "required");
  const struct mg_opt_int *say = w->limit->def.set ? &w->limit->def : &w->limit->max;
  mg_str name = name_of(w->place);
  finding.fix = say->set ? number_fix(w, say->value) : mg_arena_printf(mg_run_arena(w->run), "%.*s: …", MG_FMT(name));
  mg_run_violation(w->run, &finding, "no %.*s, the policy requires one", MG_FMT(name));
}

static void judge_present(const struct work *w) {
  mg_nano n = 0;
  mg_str name = name_of(w->place), shown = mg_text(w->place->value);
  if (!w->limit->max.set) return;
  const bool readable = read_number(w->place->value, &n);
  if (readable && n <= w->limit->max.value) return;
  /* With a budget for each index the API server fills in the largest number there is. */
  if (readable && n == INT32 && is_spared(w->on->kind, w->which, w->place)) return;
  struct mg_finding finding = finding_of(w, "max");
  finding.fix = number_fix(w, w->limit->max.value);
  finding.measure = (struct mg_measure){readable ? MG_MEASURE_MORE_IS_WORSE : MG_MEASURE_TEXT, shown, n};
  if (readable)
    mg_run_violation(w->run, &finding, "%.*s is %.*s, the maximum is %lld", MG_FMT(name), MG_FMT(shown),
                     (long long)w->limit->max.value);
  else
    mg_run_violation(w->run, &finding, "%.*s cannot be read as a whole number, the maximum is %lld", MG_FMT(name),
                     (long long)w->limit->max.value);
}

static void at_place(const struct work *w, uint32_t number, bool mutates) {
  if (mutates)
    want_default(w, number);
  else if (mg_missing(w->place->value))
    judge_missing(w);
  else
    judge_present(w);
}

static void each_limit(struct mg_run *run, const struct params *p, const struct mg_inner *on, bool mutates) {
  if (!on->kind->run_policy.at.at) return;
  for (uint32_t i = 0; i < MG_LIMITS; i++) {
    const struct limit *limit = &p->limits[i];
    if (mutates ? !limit->def.set : !limit->max.set && !limit->required) continue;
    struct work w = {.run = run, .on = on, .which = (enum mg_limit)i, .limit = limit};
    struct mg_place *places;
    uint32_t count = mg_places_find(mg_run_arena(run), on->kind->run_policy.limits[i], on->object, &places);
    for (uint32_t n = 0; n < count; n++) {
      w.place = &places[n];
      at_place(&w, n, mutates);
    }
  }
}

static void own_limits(struct mg_run *run, const struct params *p, const struct mg_workload *workload, bool mutates) {
  const struct mg_inner own = {.object = workload->object, .kind = workload->kind};
  if (!is_made(run, own.object)) each_limit(run, p, &own, mutates);
}

static void mutate_workload(struct mg_run *run, const void *params, struct mg_workload *workload) {
  own_limits(run, params, workload, true);
}

static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  own_limits(run, params, workload, false);
  for (uint32_t i = 0; i < workload->inner_count; i++) each_limit(run, params, &workload->inner[i], false);
}

/* ---- the restartPolicy of a template ---- */

static bool is_allowed(const struct params *p, mg_str policy) {
  for (uint32_t i = 0; i < p->restart.count; i++)
    if (mg_str_is(policy, restart_words[MG_LIST_AT(p->restart, uint32_t, i)])) return true;
  return false;
}

static mg_str restart_word(struct mg_list list, uint32_t i) {
  return mg_str_of(restart_words[MG_LIST_AT(list, uint32_t, i)]);
}

/* A service starts its Pods again by its nature; it has no run policy, or says in the table that it always does. */
static bool runs_once(const struct mg_pod *pod) {
  const bool bare = pod->is_pod && !pod->kind->group.n;
  return bare || (pod->kind->run_policy.at.at && !pod->kind->retried.always);
}

/* A Pod that a known kind has made is as its template, which was judged or is a service's; what owner an object inside another
 * names counts for nothing. */
static bool is_judged_above(const struct mg_run *run, const struct mg_pod *pod) {
  if (pod->outer.at) return false;
  return pod->is_pod ? mg_run_owner(run, pod->object) != NULL : is_made(run, pod->object);
}

/* What says it, or where it is to be said: the kind's own place where there is one. */
static struct mg_where restart_where(const struct mg_pod *pod, mg_node at) {
  struct mg_steps own = pod->row->restart_policy.path;
  if (at.at) return (struct mg_where){.node = at};
  if (!own.set || !own.count || own.steps[own.count - 1].kind != MG_STEP_KEY) return MG_WHERE(pod->spec, MG_S("restartPolicy"));
  own.count--;
  return MG_WHERE(mg_steps_follow(own, pod->object, pod->choices, pod->choice_count), own.steps[own.count].key);
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  mg_node at;
  if (!p->restart.count || !runs_once(pod) || !mg_run_sees_template(run)) return;
  mg_str policy = mg_pod_restart_policy(pod, &at), group = pod->kind->group, all;
  if (!policy.n) { /* core's default is known; what another controller makes of nothing is its affair */
    if (group.n && !mg_str_is(group, "batch")) return;
    policy = MG_S("Always");
  }
  if (is_allowed(p, policy) || is_judged_above(run, pod)) return;
  all = mg_listed(mg_run_arena(run), p->restart, restart_word);
  struct mg_finding finding = {
      .pod = pod,
      .where = restart_where(pod, at),
      .subject = MG_S("restartPolicy"),
      .measure = {.kind = MG_MEASURE_TEXT, .text = policy},
      .fix = mg_arena_printf(mg_run_arena(run), "restartPolicy: %s", restart_words[MG_LIST_AT(p->restart, uint32_t, 0)]),
  };
  if (at.at)
    mg_run_violation(run, &finding, "restartPolicy \"%.*s\" is not allowed; allowed: %.*s", MG_FMT(policy), MG_FMT(all));
  else
    mg_run_violation(run, &finding, "no restartPolicy, which is \"%.*s\" then; allowed: %.*s", MG_FMT(policy), MG_FMT(all));
}

/* What a Job file that says nothing of it is judged to be here, is 6 in the cluster. */
static void cross_check(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot) {
  const struct limit *l = &((const struct params *)rule->params)->limits[MG_LIMIT_BACKOFF];
  (void)snapshot;
  if (!l->max.set || l->def.set || l->max.value >= 6) return;
  mg_diag_warn(load->diags, MG_GET(MG_GET(MG_GET(rule->at, "jobLimits"), "backoffLimit"), "max"), MG_AT_VALUE,
               "the API server gives a Job that does not say a backoffLimit of 6, which is above it; a \"default\" mends that");
}

const struct mg_rule_type mg_rule_job_limits = {
    .name = "jobLimits",
    .doc = "Writes and judges the limits of jobs where each kind keeps them: deadline, time to live, retries, restartPolicy. "
           "Services are left alone, and so is what the controller of another kind with such limits makes. Jobs inside another "
           "object, such as an AppWrapper, are judged there, and get their defaults when they come by themselves.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate_workload = mutate_workload,
    .judge_workload = judge_workload,
    .judge = judge,
    .cross_check = cross_check,
};
