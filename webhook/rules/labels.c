#include "kube/name.h"
#include "policy/match.h"
#include "rules/rules.h"

enum of { OBJECT, TEMPLATE };
static const char *const of_words[] = {"object", "template", NULL};

struct params {
  struct mg_list require; /* of struct mg_pattern_pair */
  uint32_t of;
};

static const struct mg_field fields[] = {
    {"require", &mg_t_pattern_pairs, offsetof(struct params, require), .required = true,
     .doc = "Label key: glob or /PCRE2/ that the whole value must match; \"*\": any value."},
    {"of", &mg_t_enum, offsetof(struct params, of), of_words, .def = "object",
     .doc = "object: the labels of the object itself; template: those of each pod template, where the kind has a place for "
            "them."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node require = MG_GET(at, "require");
  if (!p->require.count) mg_diag_error(load->diags, require, MG_AT_VALUE, "\"require\" must name at least one label");
  for (mg_node key = mg_first(require); key.at; key = mg_next(key))
    if (!mg_name_is_label_key(mg_text(key)))
      mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "\"%.*s\" is no label key", MG_FMT(mg_text(key)));
  return load->diags->error_count == before;
}

static mg_str fix_text(struct mg_arena *arena, const struct mg_pattern_pair *want) {
  bool whole = false;
  mg_str text = mg_pattern_prefix(want->pattern, &whole);
  if (mg_str_is(mg_pattern_text(want->pattern), "*"))
    return mg_arena_printf(arena, "labels[\"%.*s\"]: a value", MG_FMT(want->key));
  if (whole) return mg_arena_printf(arena, "labels[\"%.*s\"]: \"%.*s\"", MG_FMT(want->key), MG_FMT(text));
  return mg_arena_printf(arena, "labels[\"%.*s\"]: a value that matches %.*s", MG_FMT(want->key),
                         MG_FMT(mg_pattern_text(want->pattern)));
}

static void judge_label(struct mg_run *run, struct mg_pod *pod, struct mg_where labels, const struct mg_pattern_pair *want) {
  mg_node value = labels.more[0].p ? (mg_node){0} : mg_get(labels.node, want->key);
  mg_str text = mg_text(value);
  const bool set = !mg_missing(value);
  if (set && text.p && mg_pattern_match(want->pattern, text) == 1) return;
  struct mg_finding finding = {
      .pod = pod,
      .where = set ? (struct mg_where){.node = value} : labels,
      .subject = want->key,
      .measure = {.kind = MG_MEASURE_TEXT, .text = text},
  };
  if (mg_run_explains(run)) finding.fix = fix_text(mg_run_arena(run), want);
  if (set && !text.p)
    mg_run_violation(run, &finding, "label %.*s is not a string", MG_FMT(want->key));
  else if (set)
    mg_run_violation(run, &finding, "label %.*s is \"%.*s\", the policy wants %.*s", MG_FMT(want->key), MG_FMT(text),
                     MG_FMT(mg_pattern_text(want->pattern)));
  else
    mg_run_violation(run, &finding, "no label %.*s", MG_FMT(want->key));
}

static void judge_labels(struct mg_run *run, const struct params *p, struct mg_pod *pod, struct mg_where labels) {
  for (uint32_t i = 0; i < p->require.count; i++)
    judge_label(run, pod, labels, &MG_LIST_AT(p->require, struct mg_pattern_pair, i));
}

/* A template without metadata has no labels. Where its kind has no place for them the Pod is judged when it comes. */
static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  struct mg_steps missing;
  if (p->of != TEMPLATE || !mg_run_sees_template(run)) return;
  mg_node metadata = mg_pod_metadata(pod, &missing);
  if (!metadata.at) return;
  struct mg_where labels = {.node = metadata};
  uint32_t i = 0;
  for (; i < missing.count && i < MG_WHERE_KEYS - 1; i++) labels.more[i] = missing.steps[i].key;
  labels.more[i] = MG_S("labels");
  judge_labels(run, p, pod, i ? labels : MG_WHERE(metadata, MG_S("labels")));
}

static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct params *p = params;
  if (p->of == OBJECT) judge_labels(run, p, NULL, MG_WHERE(workload->object, MG_S("metadata"), MG_S("labels")));
}

const struct mg_rule_type mg_rule_labels = {
    .name = "labels",
    .doc = "Objects, or their pod templates, carry these labels, with values that match.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge = judge,
    .judge_workload = judge_workload,
};
