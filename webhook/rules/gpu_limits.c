/* gpuLimits: whoever uses an accelerator says so in its limits, in a form that the API server takes, and within the maxima. */
#include "rules/gpu.h"
#include "rules/rules.h"

struct params {
  struct mg_list signals; /* of uint32_t: enum mg_gpu_signal */
  struct mg_gpu gpu;
  struct mg_list require, equal; /* of mg_str */
  uint32_t init; /* enum init_containers */
};

enum init_containers { INIT_ALLOW, INIT_DENY };
static const char *const init_words[] = {"allow", "deny", NULL};

static const struct mg_item signal_item = {&mg_t_enum, sizeof(uint32_t), mg_gpu_signal_words};
static const struct mg_item count_item = {&mg_t_count, sizeof(struct mg_opt_int), NULL};

static const struct mg_field max_fields[] = {
    {"container", &mg_t_count, offsetof(struct mg_gpu_max, container), .doc = "Devices of one container."},
    {"template", &mg_t_count, offsetof(struct mg_gpu_max, pod), .doc = "Devices of one pod."},
    {"workload", &mg_t_count, offsetof(struct mg_gpu_max, workload),
     .doc = "Devices of all pods: replicas times devices, over all templates."},
    MG_FIELDS_END,
};
static const struct mg_shape max_shape = {max_fields, "max"};

static const struct mg_field fields[] = {
    {"signals", &mg_t_list, offsetof(struct params, signals), &signal_item, .def = "[visibleDevices, runtimeClass]",
     .doc = "Back doors to devices: visibleDevices, runtimeClass, devicePath, nodeSelector, toleration, image."},
    {"resources", &mg_t_list, offsetof(struct params, gpu.filter.resources), &mg_item_pattern,
     .doc = "The accelerators that the rule is about; default: every one."},
    {"require", &mg_t_list, offsetof(struct params, require), &mg_item_string,
     .doc = "Other limits that a container with an accelerator must declare; pod-level limits satisfy it."},
    {"requestsEqualLimits", &mg_t_list, offsetof(struct params, equal), &mg_item_string,
     .doc = "Resources whose request must equal the limit in a container with an accelerator; for accelerators it always must."},
    {"max", &mg_t_object, offsetof(struct params, gpu.max), &max_shape,
     .doc = "The most devices of a container, a template, a workload."},
    {"allowed", &mg_t_list, offsetof(struct params, gpu.allowed), &count_item,
     .doc = "The numbers of devices that a container may ask for; default: any."},
    {"initContainers", &mg_t_enum, offsetof(struct params, init), init_words, .def = "allow",
     .doc = "deny: init containers, sidecars too, may not use accelerators."},
    {"infrastructure", &mg_t_list, offsetof(struct params, gpu.infrastructure), &mg_item_pattern,
     .doc = "Images that may see devices without a limit; default: the built-in list."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *out) {
  struct params *p = out;
  (void)load;
  (void)at;
  for (uint32_t i = 0; i < p->signals.count; i++) p->gpu.signals |= 1u << MG_LIST_AT(p->signals, uint32_t, i);
  return true;
}

/* One container under judgement. */
struct at {
  struct mg_run *run;
  const struct params *p;
  struct mg_pod *pod;
  struct mg_container *c;
  bool has_place; /* for limits: some kinds work them out themselves */
  bool counts;    /* a container may have too many devices, or a number that is not allowed */
};

static mg_str who_of(const struct at *at) {
  return mg_gpu_who(at->run, at->c);
}

static mg_str text_of(const struct at *at, mg_node amount) {
  if (mg_is(amount, MG_NULL)) return MG_S("null");
  if (mg_is(amount, MG_ARRAY)) return MG_S("[…]");
  if (mg_is(amount, MG_OBJECT)) return MG_S("{…}");
  return mg_gpu_short(mg_run_arena(at->run), mg_text(amount));
}

static mg_str subject(const struct at *at, const char *check, mg_str resource) {
  return mg_arena_printf(mg_run_arena(at->run), "%s %.*s", check, MG_FMT(resource));
}

/* `resources.limits["nvidia.com/gpu"]: 8`: the line that mends it. */
static mg_str fix_line(const struct at *at, const char *map, mg_str resource, mg_node amount) {
  mg_str name = mg_gpu_short(mg_run_arena(at->run), resource), value = text_of(at, amount), key = at->c->resources_key;
  return mg_arena_printf(mg_run_arena(at->run), "%.*s.%s[\"%.*s\"]: %.*s", MG_FMT(key), map, MG_FMT(name), MG_FMT(value));
}

static struct mg_where limits_of(const struct at *at) {
  return MG_WHERE(at->c->holder, at->c->resources_key, MG_S("limits"));
}

static struct mg_measure text_measure(mg_str text) {
  return (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = text};
}

static struct mg_finding finding_at(const struct at *at, struct mg_where where, mg_str what, struct mg_measure measure) {
  return (struct mg_finding){.pod = at->pod, .container = at->c, .where = where, .subject = what, .measure = measure};
}

/* --- one amount of an accelerator --- */

/* Cannot be read, negative, or a fraction. Once for limit and request, which an API server makes alike. */
static bool judge_form(const struct at *at, const struct mg_amount *a, mg_node n, enum mg_amount_state state,
                       struct mg_quantity q) {
  if (state == MG_AMOUNT_NONE || (state == MG_AMOUNT_READ && q.nano >= 0 && mg_quantity_whole(q))) return false;
  mg_str who = who_of(at), name = mg_gpu_short(mg_run_arena(at->run), a->resource), text = text_of(at, n);
  struct mg_measure measure = text_measure(mg_text(n));
  if (state == MG_AMOUNT_READ && q.nano > 0) measure = (struct mg_measure){.kind = MG_MEASURE_MORE_IS_WORSE, .amount = q.nano};
  struct mg_finding f = finding_at(at, (struct mg_where){.node = n}, subject(at, "amount", a->resource), measure);
  if (state == MG_AMOUNT_UNREADABLE)
    mg_run_violation(at->run, &f, "%.*s asks for %.*s %.*s, which cannot be read as an amount", MG_FMT(who), MG_FMT(text),
                     MG_FMT(name));
  else
    mg_run_violation(at->run, &f, "%.*s asks for %.*s %.*s, which is %s", MG_FMT(who), MG_FMT(text), MG_FMT(name),
                     q.nano < 0 ? "negative" : "not a whole number");
  return true;
}

static void judge_no_limit(const struct at *at, const struct mg_amount *a) {
  bool good = a->request_state == MG_AMOUNT_READ && a->request_q.nano > 0 && mg_quantity_whole(a->request_q);
  struct mg_measure measure = mg_gpu_measure(1);
  if (a->request_state == MG_AMOUNT_READ) measure.amount = a->request_q.nano;
  struct mg_finding f = finding_at(at, limits_of(at), subject(at, "limit", a->resource), measure);
  if (good) f.fix = fix_line(at, "limits", a->resource, a->request);
  if (good && a->accelerator) f.mend = (struct mg_mend){a->resource, a->request};
  mg_str who = who_of(at), name = mg_gpu_short(mg_run_arena(at->run), a->resource), text = text_of(at, a->request);
  mg_run_violation(at->run, &f, "%.*s requests %.*s %.*s and sets no limit", MG_FMT(who), MG_FMT(text), MG_FMT(name));
}

static void judge_unequal(const struct at *at, const struct mg_amount *a) {
  mg_str who = who_of(at), limit = text_of(at, a->limit), request = text_of(at, a->request);
  mg_str name = mg_gpu_short(mg_run_arena(at->run), a->resource);
  mg_str both = mg_arena_printf(mg_run_arena(at->run), "%.*s/%.*s", MG_FMT(request), MG_FMT(limit));
  struct mg_finding f =
      finding_at(at, (struct mg_where){.node = a->request}, subject(at, "equal", a->resource), text_measure(both));
  if (a->limit_state == MG_AMOUNT_READ && a->limit_q.nano >= 0) f.fix = fix_line(at, "requests", a->resource, a->limit);
  bool safe = a->limit_q.nano > 0 && (!a->accelerator || mg_quantity_whole(a->limit_q)); /* 0 would take all of it away */
  if (f.fix.n && safe) f.mend.value = a->limit;
  mg_run_violation(at->run, &f, "%.*s requests %.*s %.*s but its limit is %.*s", MG_FMT(who), MG_FMT(request), MG_FMT(name),
                   MG_FMT(limit));
}

static bool both_read(const struct mg_amount *a) {
  return a->limit_state == MG_AMOUNT_READ && a->request_state == MG_AMOUNT_READ;
}

static void judge_amount(const struct at *at, const struct mg_amount *a) {
  if (!judge_form(at, a, a->limit, a->limit_state, a->limit_q)) judge_form(at, a, a->request, a->request_state, a->request_q);
  if (a->limit_state == MG_AMOUNT_NONE && mg_amount_used(a))
    judge_no_limit(at, a);
  else if (both_read(a) && mg_quantity_cmp(a->limit_q, a->request_q))
    judge_unequal(at, a);
}

/* --- other resources of a container with an accelerator --- */

/* A cpu or memory limit of 0 is none to the kubelet. */
static bool is_void(mg_str resource, enum mg_amount_state state, struct mg_quantity q) {
  return state == MG_AMOUNT_READ && q.nano == 0 && mg_str_find(resource, '/') == resource.n;
}

static bool pod_declares(const struct at *at, mg_str resource) {
  mg_node limit;
  struct mg_quantity q = {0};
  if (!mg_pod_level_limit(at->pod, resource, &limit)) return false;
  return !is_void(resource, mg_quantity_read(limit, &q, NULL) ? MG_AMOUNT_UNREADABLE : MG_AMOUNT_READ, q);
}

static bool declares(const struct at *at, mg_str resource) {
  const struct mg_amount *a = mg_container_amount(at->c, resource);
  if (a && !mg_missing(a->limit) && !is_void(resource, a->limit_state, a->limit_q)) return true;
  return pod_declares(at, resource);
}

/* An accelerator is judged by itself. */
static bool is_judged(const struct at *at, const struct mg_amount *a) {
  return a && mg_gpu_in_scope(&at->p->gpu, a) && mg_amount_used(a);
}

static void judge_required(const struct at *at, mg_str resource) {
  const struct mg_amount *a = mg_container_amount(at->c, resource);
  if (is_judged(at, a) || declares(at, resource)) return;
  bool zero = a && !mg_missing(a->limit);
  struct mg_where where = zero ? (struct mg_where){.node = a->limit} : limits_of(at);
  struct mg_finding f = finding_at(at, where, subject(at, "require", resource), (struct mg_measure){0});
  bool asks = a && a->request_state == MG_AMOUNT_READ && a->request_q.nano > 0;
  mg_str who = who_of(at);
  if (asks && !zero) f.fix = fix_line(at, "limits", resource, a->request);
  mg_run_violation(at->run, &f, "%.*s uses an accelerator and sets %s %.*s limit%s", MG_FMT(who), zero ? "a" : "no",
                   MG_FMT(resource), zero ? " of 0, which is none" : "");
}

/* What cannot be read is compared as text: a template engine fills in both alike. */
static void judge_equal(const struct at *at, mg_str resource) {
  const struct mg_amount *a = mg_container_amount(at->c, resource);
  if (!a || a->plain || mg_missing(a->request) || is_judged(at, a)) return;
  if (!mg_missing(a->limit)) {
    bool same = both_read(a) ? !mg_quantity_cmp(a->limit_q, a->request_q) : mg_str_eq(mg_text(a->limit), mg_text(a->request));
    if (!same) judge_unequal(at, a);
    return;
  }
  if (pod_declares(at, resource)) return;
  if (mg_list_has(at->p->require, resource)) return; /* already said */
  judge_no_limit(at, a);
}

/* --- a container --- */

static void judge_init(const struct at *at) {
  int64_t devices = mg_container_devices(at->c, &at->p->gpu.filter);
  mg_str who = who_of(at);
  struct mg_finding f = finding_at(at, mg_gpu_where(&at->p->gpu, at->c), MG_S("initContainers"), mg_gpu_measure(devices));
  mg_run_violation(at->run, &f, "%.*s uses an accelerator, which init containers may not", MG_FMT(who));
}

static void judge_container(const struct at *at) {
  const struct params *p = at->p;
  struct mg_container *c = at->c;
  for (uint32_t i = 0; i < c->amount_count && !c->plain; i++) {
    const struct mg_amount *a = &c->amounts[i];
    if (!a->plain && mg_gpu_in_scope(&p->gpu, a)) judge_amount(at, a);
  }
  if (!mg_gpu_uses(&p->gpu, c)) return;
  for (uint32_t i = 0; at->has_place && i < p->require.count; i++) judge_required(at, MG_LIST_AT(p->require, mg_str, i));
  for (uint32_t i = 0; i < p->equal.count; i++) judge_equal(at, MG_LIST_AT(p->equal, mg_str, i));
  if (at->counts) mg_gpu_judge_container(at->run, &p->gpu, at->pod, c);
  if (p->init == INIT_DENY && c->list == MG_LIST_INIT) judge_init(at);
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  const struct mg_opt_int *max = &p->gpu.max.container;
  struct at at = {.run = run, .p = p, .pod = pod, .counts = p->gpu.allowed.count || (max->set && pod->most > max->value)};
  at.has_place = p->require.count && mg_pod_may_set(pod, MG_S("resources"));
  for (uint32_t i = 0; i < pod->container_count; i++) {
    at.c = &pod->containers[i];
    if (mg_run_sees(run, at.c)) judge_container(&at);
  }
  if (p->gpu.max.pod.set) mg_gpu_judge_pod(run, &p->gpu, pod);
  if (p->gpu.signals && (!pod->all_granted || p->gpu.filter.resources.count)) mg_gpu_judge_signals(run, &p->gpu, pod);
}

static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct params *p = params;
  if (p->gpu.max.workload.set) mg_gpu_judge_workload(run, &p->gpu, workload);
}

static uint32_t needs(const void *params) {
  (void)params;
  return MG_CTX_CLAIMS;
}

const struct mg_rule_type mg_rule_gpu_limits = {
    .name = "gpuLimits",
    .doc = "Whoever uses an accelerator says so in its limits, request = limit, within the maxima; none come by a back door.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge = judge,
    .judge_workload = judge_workload,
    .needs = needs,
};
