#include "kube/name.h"
#include "policy/policy.h"
#include "rules/overlap.h"
#include "rules/rules.h"

enum conflict { KEEP, DENY };
static const char *const conflict_words[] = {"keep", "deny", NULL};

struct by_accelerator {
  struct mg_pattern *resource;
  struct mg_list labels; /* of struct mg_pair */
};

struct params {
  struct mg_list add;            /* of struct mg_pair */
  struct mg_list by_accelerator; /* of struct by_accelerator */
  uint32_t on_conflict;
  bool respect_affinity;
};

static bool read_by_accelerator(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_is(value, MG_OBJECT)) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be %s", field->key, field->type->name);
    return false;
  }
  struct mg_list *list = dst;
  struct by_accelerator *items = MG_NEW_N(load->arena, struct by_accelerator, (size_t)mg_count(value) + 1);
  if (!items) return false;
  bool good = true;
  uint32_t count = 0;
  struct mg_field pairs = {.key = field->key, .type = &mg_t_pairs};
  for (mg_node key = mg_first(value); key.at; key = mg_next(key), count++) {
    good &= mg_pattern_load(load, mg_text(key), mg_text(key), mg_value(key), MG_AT_KEY, &items[count].resource);
    good &= mg_t_pairs.read(load, &pairs, mg_value(key), &items[count].labels);
  }
  *list = (struct mg_list){items, count};
  return good;
}
static const struct mg_type t_by_accelerator = {
    .name = "a map of resource globs to maps of strings", .read = read_by_accelerator,
    .schema = "{type: object, additionalProperties: " MG_SCHEMA_PAIRS "}"};

static const struct mg_field fields[] = {
    {"add", &mg_t_pairs, offsetof(struct params, add), .doc = "Node labels to add to nodeSelector."},
    {"byAccelerator", &t_by_accelerator, offsetof(struct params, by_accelerator),
     .doc = "Glob on resource names: labels to add where the template asks for one of them."},
    {"onConflict", &mg_t_enum, offsetof(struct params, on_conflict), conflict_words, .def = "keep",
     .doc = "A user's other value for the key: keep, or deny."},
    {"respectAffinity", &mg_t_bool, offsetof(struct params, respect_affinity), .def = "true",
     .doc = "Leaves a key alone that required node affinity names."},
    MG_FIELDS_END,
};

static bool check_labels(struct mg_load *load, mg_node map) {
  const uint32_t before = load->diags->error_count;
  for (mg_node key = mg_first(map); key.at; key = mg_next(key)) {
    if (!mg_name_is_label_key(mg_text(key)))
      mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "\"%.*s\" is no label key", MG_FMT(mg_text(key)));
    if (!mg_name_is_label_value(mg_text(mg_value(key))))
      mg_diag_error(load->diags, mg_value(key), MG_AT_VALUE, "\"%.*s\" is no label value", MG_FMT(mg_text(mg_value(key))));
  }
  return load->diags->error_count == before;
}

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  mg_node by = MG_GET(at, "byAccelerator");
  bool good = check_labels(load, MG_GET(at, "add"));
  for (mg_node key = mg_first(by); key.at; key = mg_next(key)) good &= check_labels(load, mg_value(key));
  uint32_t labels = p->add.count;
  for (uint32_t i = 0; i < p->by_accelerator.count; i++)
    labels += MG_LIST_AT(p->by_accelerator, struct by_accelerator, i).labels.count;
  if (labels) return good;
  mg_diag_error(load->diags, at, MG_AT_KEY, "nodeSelector adds nothing: it needs labels in \"add\" or \"byAccelerator\"");
  return false;
}

static bool asks_for(const struct mg_pod *pod, const struct mg_pattern *resource) {
  for (uint32_t i = 0; i < pod->container_count; i++)
    for (uint32_t j = 0; j < pod->containers[i].amount_count; j++) {
      const struct mg_amount *a = &pod->containers[i].amounts[j];
      if (mg_amount_is_device(a) && mg_pattern_match(resource, a->resource) == 1) return true;
    }
  return false;
}

/* The lists of labels that hold for a template, in order: `add`, then those of its accelerators. NULL at the end. */
static const struct mg_list *next_labels(const struct params *p, const struct mg_pod *pod, uint32_t *state) {
  if (*state == 0) {
    ++*state;
    return &p->add;
  }
  while (*state <= p->by_accelerator.count) {
    const struct by_accelerator *by = &MG_LIST_AT(p->by_accelerator, struct by_accelerator, *state - 1);
    ++*state;
    if (asks_for(pod, by->resource)) return &by->labels;
  }
  return NULL;
}

static bool adds_value(const struct params *p, const struct mg_pod *pod, mg_str key, mg_str value) {
  const struct mg_list *labels;
  uint32_t state = 0;
  while ((labels = next_labels(p, pod, &state)))
    for (uint32_t i = 0; i < labels->count; i++) {
      const struct mg_pair *pair = &MG_LIST_AT(*labels, struct mg_pair, i);
      if (mg_str_eq(pair->key, key) && mg_str_eq(pair->value, value)) return true;
    }
  return false;
}

static struct mg_finding finding_of(struct mg_run *run, struct mg_pod *pod, const struct mg_pair *want) {
  struct mg_finding f = {.pod = pod, .where = MG_WHERE(pod->spec, MG_S("nodeSelector"), want->key), .subject = want->key};
  if (mg_run_explains(run))
    f.fix = mg_arena_printf(mg_run_arena(run), "nodeSelector[\"%.*s\"]: \"%.*s\"", MG_FMT(want->key), MG_FMT(want->value));
  return f;
}

/* What oldObject has is what an earlier policy put there: put back, it changes nothing, and a Pod or Job would refuse another. */
static mg_str value_to_set(const struct mg_run *run, const struct mg_pair *want) {
  const struct mg_pod *old = mg_run_old_pod(run);
  mg_str before = old ? mg_string(mg_get(MG_GET(old->spec, "nodeSelector"), want->key)) : (mg_str){0};
  return before.p ? before : want->value;
}

/* Of two values that one rule has for a key, the first holds. */
static bool is_first(const struct params *p, const struct mg_pod *pod, const struct mg_pair *pair) {
  const struct mg_list *labels;
  uint32_t state = 0;
  while ((labels = next_labels(p, pod, &state)))
    for (uint32_t i = 0; i < labels->count; i++) {
      const struct mg_pair *at = &MG_LIST_AT(*labels, struct mg_pair, i);
      if (mg_str_eq(at->key, pair->key)) return at == pair;
    }
  return false;
}

static void want_label(struct mg_run *run, const struct params *p, struct mg_pod *pod, mg_node present,
                       const struct mg_pair *want) {
  if (mg_get_key(present, want->key).at || !is_first(p, pod, want)) return;
  if (p->respect_affinity && mg_pod_affinity_names(pod, want->key)) return;
  struct mg_finding finding = finding_of(run, pod, want);
  if (mg_run_wants(run, &finding, "no %.*s in nodeSelector, the policy wants \"%.*s\"", MG_FMT(want->key), MG_FMT(want->value)))
    mg_pod_set_node_label(pod, mg_run_patch(run), want->key, value_to_set(run, want));
}

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  mg_node present = MG_GET(pod->spec, "nodeSelector");
  if (!mg_run_sees_template(run) || !mg_pod_may_set(pod, MG_S("nodeSelector"))) return;
  if (!mg_missing(present) && !mg_is(present, MG_OBJECT)) return;
  const struct mg_list *labels;
  uint32_t state = 0;
  while ((labels = next_labels(p, pod, &state)))
    for (uint32_t i = 0; i < labels->count; i++) {
      want_label(run, p, pod, present, &MG_LIST_AT(*labels, struct mg_pair, i));
      if (!mg_is(present, MG_OBJECT)) present = MG_GET(pod->spec, "nodeSelector"); /* the first label makes it */
    }
}

/* A value that a matching rule adds is the policies' own doing, not the user's. */
static bool is_added(struct mg_run *run, const struct params *p, struct mg_pod *pod, mg_str key, mg_str value) {
  if (adds_value(p, pod, key, value)) return true;
  const struct mg_rule *other;
  uint64_t state = 0;
  while ((other = mg_run_next_rule(run, &mg_rule_node_selector, pod, &state)))
    if (other->policy->action == MG_ENFORCE && adds_value(other->params, pod, key, value)) return true;
  return false;
}

static void judge_label(struct mg_run *run, const struct params *p, struct mg_pod *pod, const struct mg_pair *want) {
  mg_node present = mg_get(MG_GET(pod->spec, "nodeSelector"), want->key);
  mg_str value = mg_text(present);
  if (!present.at || is_added(run, p, pod, want->key, value)) return;
  struct mg_finding finding = finding_of(run, pod, want);
  finding.measure.kind = MG_MEASURE_TEXT;
  finding.measure.text = value;
  mg_run_violation(run, &finding, "nodeSelector %.*s is \"%.*s\", the policy wants \"%.*s\"", MG_FMT(want->key), MG_FMT(value),
                   MG_FMT(want->value));
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  if (p->on_conflict != DENY || !mg_run_sees_template(run) || !mg_is(MG_GET(pod->spec, "nodeSelector"), MG_OBJECT)) return;
  const struct mg_list *labels;
  uint32_t state = 0;
  while ((labels = next_labels(p, pod, &state)))
    for (uint32_t i = 0; i < labels->count; i++) {
      const struct mg_pair *pair = &MG_LIST_AT(*labels, struct mg_pair, i);
      if (is_first(p, pod, pair)) judge_label(run, p, pod, pair);
    }
}

/* One label list of a rule; `resource` NULL: `add`. */
struct labels {
  const struct mg_pattern *resource;
  struct mg_list pairs;
};

static struct labels labels_at(const struct params *p, uint32_t i) {
  if (i == 0) return (struct labels){NULL, p->add};
  const struct by_accelerator *by = &MG_LIST_AT(p->by_accelerator, struct by_accelerator, i - 1);
  return (struct labels){by->resource, by->labels};
}

/* The first key to which the two give different values. */
static const struct mg_pair *contradiction(struct labels first, struct labels then) {
  if (first.resource && then.resource && !mg_overlap_patterns(first.resource, then.resource)) return NULL;
  for (uint32_t i = 0; i < first.pairs.count; i++)
    for (uint32_t j = 0; j < then.pairs.count; j++) {
      const struct mg_pair *a = &MG_LIST_AT(first.pairs, struct mg_pair, i), *b = &MG_LIST_AT(then.pairs, struct mg_pair, j);
      if (mg_str_eq(a->key, b->key) && !mg_str_eq(a->value, b->value)) return b;
    }
  return NULL;
}

static const struct mg_pair *contradiction_with(const struct params *first, const struct params *then, bool same) {
  for (uint32_t j = 0; j <= then->by_accelerator.count; j++)
    for (uint32_t i = 0; i <= first->by_accelerator.count && (!same || i < j); i++) {
      const struct mg_pair *pair = contradiction(labels_at(first, i), labels_at(then, j));
      if (pair) return pair;
    }
  return NULL;
}

static void cross_check(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot) {
  const struct mg_pair *pair = contradiction_with(rule->params, rule->params, true);
  if (pair)
    mg_diag_warn(load->diags, rule->at, MG_AT_VALUE, "nodeSelector has two values for \"%.*s\"; where both hold, the first wins",
                 MG_FMT(pair->key));
  const struct mg_rule *other;
  uint64_t state = 0;
  while ((other = mg_overlap_next(snapshot, rule, &state)))
    if ((pair = contradiction_with(other->params, rule->params, false)))
      mg_diag_warn(load->diags, rule->at, MG_AT_VALUE,
                   "policy %.*s adds another value for \"%.*s\" before; where both match, it wins", MG_FMT(other->policy->name),
                   MG_FMT(pair->key));
}

const struct mg_rule_type mg_rule_node_selector = {
    .name = "nodeSelector",
    .doc = "Adds node labels to nodeSelector. A user's value for the same key stays, or is denied.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
    .judge = judge,
    .cross_check = cross_check,
};
