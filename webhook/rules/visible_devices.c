#include "rules/gpu.h"
#include "rules/rules.h"

#define VARIABLE "NVIDIA_VISIBLE_DEVICES"

enum unset { LEAVE, VOID };
static const char *const unset_words[] = {"void", NULL};

struct params {
  uint32_t unset_word;
  uint32_t unset; /* enum unset */
  struct mg_list deny; /* of struct mg_pattern * */
};

static const struct mg_field fields[] = {
    {"unset", &mg_t_enum, offsetof(struct params, unset_word), unset_words,
     .doc = "void: containers that use no accelerator and do not name " VARIABLE " get " VARIABLE "=void, so that an image "
            "which asks for every device gets none. Infrastructure images, pods with a share of a device and pods with a claim "
            "that cannot be resolved are left alone."},
    {"deny", &mg_t_list, offsetof(struct params, deny), &mg_item_pattern,
     .doc = "Values, or patterns, that no container may give " VARIABLE " or a variable like it, also as one of several "
            "between commas. Infrastructure images and pods with a share of a device are left alone."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  mg_node unset = MG_GET(at, "unset"), deny = MG_GET(at, "deny");
  p->unset = unset.at ? VOID : LEAVE;
  if (deny.at && !p->deny.count) {
    mg_diag_error(load->diags, deny, MG_AT_VALUE, "\"deny\" must name at least one value");
    return false;
  }
  if (unset.at || deny.at) return true;
  mg_diag_error(load->diags, at, MG_AT_KEY, "visibleDevices says nothing: it needs \"unset\" or \"deny\"");
  return false;
}

/* The entry that holds: of several of a name, the last. Absent where none names it. */
static mg_node find_variable(mg_node env, mg_str name) {
  mg_node last = {0};
  if (!mg_is(env, MG_ARRAY)) return last;
  for (mg_node e = mg_first(env); e.at; e = mg_next(e))
    if (mg_str_eq(mg_string(MG_GET(e, "name")), name)) last = e;
  return last;
}

/* ---- unset ---- */

static uint32_t old_place(const struct mg_run *run, const struct mg_container *c) {
  const struct mg_container *before = mg_run_old_container(run, c);
  mg_node there = before ? find_variable(MG_GET(before->node, "env"), MG_S(VARIABLE)) : (mg_node){0};
  return mg_old_place(there, MG_GET(c->node, "env"));
}

/* A container that got `void` when it used no device keeps it through every apply, and then finds none of those it asks for. */
static void warn_of_void(struct mg_run *run, const struct mg_container *c, mg_node variable) {
  if (!mg_str_is(mg_string(MG_GET(variable, "value")), "void")) return;
  mg_run_warning(run, "%.*s asks for devices, and " VARIABLE "=void takes them away; remove the variable",
                 MG_FMT(mg_gpu_who(run, c)));
}

static void want_void(struct mg_run *run, struct mg_pod *pod, struct mg_container *c) {
  mg_node env = MG_GET(c->node, "env"), variable = find_variable(env, MG_S(VARIABLE));
  if (c->list == MG_LIST_EPHEMERAL || !mg_run_sees(run, c) || (!mg_missing(env) && !mg_is(env, MG_ARRAY))) return;
  if (c->uses_accelerator) {
    warn_of_void(run, c, variable);
    return;
  }
  if (variable.at || mg_container_is_infrastructure(pod, c)) return;
  struct mg_finding finding = {
      .pod = pod, .container = c, .where = MG_WHERE(c->node, MG_S("env")), .subject = MG_S("unset " VARIABLE)};
  if (mg_run_explains(run)) finding.fix = MG_S("env: + {name: " VARIABLE ", value: void}");
  mg_str who = mg_run_explains(run) ? mg_gpu_who(run, c) : MG_S("");
  if (mg_run_wants(run, &finding, "%.*s uses no device and does not say " VARIABLE "=void", MG_FMT(who)))
    mg_container_add_env(pod, mg_run_patch(run), c, MG_S(VARIABLE), MG_S("void"), old_place(run, c));
}

/* Where a kind only says that there are devices its controller knows which container gets them. */
static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  if (p->unset != VOID || pod->has_share || pod->has_presumed || pod->has_unknown_claim) return;
  for (uint32_t i = 0; i < pod->container_count; i++) want_void(run, pod, &pod->containers[i]);
}

/* ---- deny ---- */

enum { HOPS = 8 }; /* variables that a value is followed through */

/* "$(OTHER)" alone is the value of a variable before it, as the kubelet sees it. */
static mg_str value_of(mg_node env, mg_node entry) {
  mg_str value = mg_text(MG_GET(entry, "value"));
  for (int hop = 0; hop < HOPS && mg_str_starts(value, MG_S("$(")) && mg_str_find(value, ')') + 1 == value.n; hop++) {
    mg_str name = {value.p + 2, value.n - 3};
    mg_node other = {0};
    for (mg_node e = mg_first(env); e.at && !mg_same(e, entry); e = mg_next(e))
      if (mg_str_eq(mg_string(MG_GET(e, "name")), name)) other = e;
    if (!mg_is(MG_GET(other, "value"), MG_STRING)) break;
    entry = other;
    value = mg_text(MG_GET(other, "value"));
  }
  return value;
}

static mg_str trim(mg_str s) {
  while (s.n && s.p[0] == ' ') s = mg_str_from(s, 1);
  while (s.n && s.p[s.n - 1] == ' ') s.n--;
  return s;
}

/* The whole value or one between its commas is denied. An empty value hands out nothing, nor does what this very rule sets. */
static bool is_denied(const struct params *p, mg_str value) {
  if (!value.n || (p->unset == VOID && mg_str_is(value, "void"))) return false;
  if (mg_any_pattern(p->deny, value)) return true;
  for (;;) {
    mg_str part = {value.p, mg_str_find(value, ',')};
    if (mg_any_pattern(p->deny, trim(part))) return true;
    if (part.n == value.n) return false;
    value = (mg_str){value.p + part.n + 1, value.n - part.n - 1};
  }
}

static void judge_variable(struct mg_run *run, const struct params *p, struct mg_pod *pod, struct mg_container *c, mg_str name) {
  mg_node env = MG_GET(c->node, "env"), entry = find_variable(env, name), at = MG_GET(entry, "value");
  if (!entry.at || !mg_missing(MG_GET(entry, "valueFrom"))) return;
  mg_str value = value_of(env, entry);
  if (!is_denied(p, value) || mg_container_is_infrastructure(pod, c)) return;
  struct mg_arena *arena = mg_run_arena(run);
  struct mg_finding finding = {
      .pod = pod,
      .container = c,
      .where = {.node = at},
      .subject = mg_arena_printf(arena, "deny %.*s", MG_FMT(name)),
      .measure = {.kind = MG_MEASURE_TEXT, .text = value},
      .fix = mg_arena_printf(arena, "remove %.*s; whoever declares devices in resources.limits sees them", MG_FMT(name)),
  };
  mg_str who = mg_gpu_who(run, c), shown = mg_gpu_short(arena, value);
  mg_run_violation(run, &finding, "%.*s sets %.*s=%.*s, which is denied", MG_FMT(who), MG_FMT(name), MG_FMT(shown));
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  struct mg_list names = pod->accelerators->back_doors.env;
  if (!p->deny.count || pod->has_share) return;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    if (!mg_run_sees(run, c)) continue;
    for (uint32_t n = 0; n < names.count; n++) judge_variable(run, p, pod, c, MG_LIST_AT(names, mg_str, n));
  }
}

const struct mg_rule_type mg_rule_visible_devices = {
    .name = "visibleDevices",
    .doc = "Keeps devices from containers that would take them by " VARIABLE " instead of a limit. Says `void` where nobody says "
           "anything, and denies values.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
    .judge = judge,
};
