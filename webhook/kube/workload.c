#include "kube/workload.h"

#include "kube/accelerator.h"

const char *const mg_role_words[] = {"", "training", "inference", "batch", "interactive", "service", "system", NULL};
static const char *const mutate_words[] = {"template", "pods", "never", NULL};
static const char *const shape_words[] = {"template", "spec", "fragment", NULL};
static const char *const scope_words[] = {"Namespaced", "Cluster", NULL};

enum mg_role mg_role_of(mg_str word) {
  for (uint32_t i = 1; word.n && mg_role_words[i]; i++)
    if (mg_str_is(word, mg_role_words[i])) return (enum mg_role)i;
  return MG_ROLE_NONE;
}

/* "a.b[].c{}": keys between dots, each with any number of wild cards behind it. "." alone is the object itself. */
static bool read_steps(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  enum { MOST = 32 };
  mg_str text;
  struct mg_field string = {.key = field->key, .type = &mg_t_string};
  if (!mg_t_string.read(load, &string, value, &text)) return false;
  struct mg_step *steps = MG_NEW_N(load->arena, struct mg_step, MOST);
  if (!steps) return false;
  uint32_t count = 0;
  size_t at = mg_str_is(text, ".") ? text.n : 0;
  bool good = true;
  while (at < text.n && good) {
    size_t end = at;
    while (end < text.n && text.p[end] != '.' && text.p[end] != '[' && text.p[end] != '{') end++;
    good = count + 1 < MOST && (end > at || (at > 0 && (text.p[at] == '[' || text.p[at] == '{')));
    if (good && end > at) steps[count++] = (struct mg_step){MG_STEP_KEY, {text.p + at, end - at}};
    for (; good && end < text.n && text.p[end] != '.'; end += 2) {
      mg_str rest = mg_str_from(text, end);
      bool items = mg_str_starts(rest, MG_S("[]"));
      good = count + 1 < MOST && (items || mg_str_starts(rest, MG_S("{}")));
      if (good) steps[count++] = (struct mg_step){items ? MG_STEP_ITEMS : MG_STEP_VALUES, {0}};
    }
    good = good && !(end + 1 == text.n); /* a dot at the end */
    at = end + 1;
  }
  if (!good) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\": \"%.*s\" is no path such as spec.groups[].template", field->key,
                  MG_FMT(text));
    return false;
  }
  *(struct mg_steps *)dst = (struct mg_steps){steps, count, true};
  return true;
}
const struct mg_type mg_t_steps = {"a path", read_steps};
static const struct mg_item steps_item = {&mg_t_steps, sizeof(struct mg_steps), NULL};

/* `retried: always`, or {path, default}: more than zero retries. */
struct retried {
  bool always;
  struct mg_steps path;
  struct mg_opt_int def;
};
static const struct mg_field retried_fields[] = {
    {"path", &mg_t_steps, offsetof(struct retried, path), .required = true, .doc = "The number of retries."},
    {"default", &mg_t_count, offsetof(struct retried, def), .doc = "Where it is absent."},
    MG_FIELDS_END,
};
static bool read_retried(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct retried *r = dst;
  (void)field;
  if (mg_str_is(mg_string(value), "always")) {
    r->always = true;
    return true;
  }
  return mg_decode(load, retried_fields, "retried", value, r);
}
static const struct mg_type t_retried = {"always, or {path, default}", read_retried};

static const struct mg_field replicas_fields[] = {
    {"path", &mg_t_steps, offsetof(struct mg_replicas_row, path), .required = true, .doc = "A factor; missing = 1."},
    {"max", &mg_t_steps, offsetof(struct mg_replicas_row, max), .doc = "The upper bound of autoscaling."},
    {"maxWhen", &mg_t_steps, offsetof(struct mg_replicas_row, max_when), .doc = "True where the autoscaler is on."},
    {"minus", &mg_t_count, offsetof(struct mg_replicas_row, minus), .doc = "Counted apart, such as a leader."},
    {"minusWhen", &mg_t_steps, offsetof(struct mg_replicas_row, minus_when), .doc = "Only where this is there."},
    MG_FIELDS_END,
};
static const struct mg_shape replicas_shape = {replicas_fields, "replicas"};
static const struct mg_item replicas_item = {&mg_t_object, sizeof(struct mg_replicas_row), &replicas_shape};

#define RESTART(member) offsetof(struct mg_template_row, restart_policy.member) - offsetof(struct mg_template_row, restart_policy)
static const struct mg_field restart_fields[] = {
    {"path", &mg_t_steps, RESTART(path), .required = true, .doc = "The kind's own restartPolicy."},
    {"default", &mg_t_string, RESTART(def), .doc = "Where neither it nor the template says."},
    MG_FIELDS_END,
};
static const struct mg_shape restart_shape = {restart_fields, "restartPolicy"};

static const struct mg_field template_fields[] = {
    {"path", &mg_t_steps, offsetof(struct mg_template_row, path), .required = true,
     .doc = "[] every item, {} every value, . the object."},
    {"shape", &mg_t_enum, offsetof(struct mg_template_row, shape), shape_words, .def = "template",
     .doc = "template (metadata and spec), spec (bare PodSpec) or fragment."},
    {"replicas", &mg_t_list, offsetof(struct mg_template_row, replicas), &replicas_item, .doc = "Factors of a product."},
    {"containers", &mg_t_list, offsetof(struct mg_template_row, containers), &steps_item,
     .doc = "Containers outside the usual lists."},
    {"ownSharedMemory", &mg_t_bool, offsetof(struct mg_template_row, own_shared_memory),
     .doc = "The controller mounts /dev/shm itself."},
    {"restartPolicy", &mg_t_object, offsetof(struct mg_template_row, restart_policy), &restart_shape,
     .doc = "The kind's own restartPolicy, which stands before the template's."},
    MG_FIELDS_END,
};
static const struct mg_shape template_shape = {template_fields, "a template"};
static const struct mg_item template_item = {&mg_t_object, sizeof(struct mg_template_row), &template_shape};

static bool read_role(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_field one = {.key = field->key, .type = &mg_t_enum, .arg = mg_role_words + 1};
  uint32_t index = 0;
  if (!mg_t_enum.read(load, &one, value, &index)) return false;
  *(uint32_t *)dst = index + 1;
  return true;
}
static const struct mg_type t_role = {"a role", read_role};

static const struct mg_field kind_fields[] = {
    {"group", &mg_t_text, offsetof(struct mg_kind_row, group), .required = true, .doc = "API group; \"\" for core."},
    {"kind", &mg_t_string, offsetof(struct mg_kind_row, kind), .required = true, .doc = "Kind."},
    {"versions", &mg_t_list, offsetof(struct mg_kind_row, versions), &mg_item_pattern, .def = "[\"*\"]",
     .doc = "Globs on versions."},
    {"role", &t_role, offsetof(struct mg_kind_row, role), .doc = "The role of its templates."},
    {"mutate", &mg_t_enum, offsetof(struct mg_kind_row, mutate), mutate_words, .def = "template",
     .doc = "template: patched here; pods: patched when the Pod comes; never: only judged."},
    {"podLabels", &mg_t_list, offsetof(struct mg_kind_row, pod_labels), &mg_item_string,
     .doc = "Labels of the Pods that its controller makes."},
    {"templates", &mg_t_list, offsetof(struct mg_kind_row, templates), &template_item, .doc = "Where the pod templates are."},
    {"without", &mg_t_list, offsetof(struct mg_kind_row, without), &mg_item_string,
     .doc = "Pod fields that the schema drops or refuses."},
    {"retried", &t_retried, offsetof(struct mg_kind_row, retried), .doc = "When a failed Pod is made again."},
    {"runPolicy", &mg_t_node, offsetof(struct mg_kind_row, run_policy), .doc = "Where job limits live."},
    {"scope", &mg_t_enum, offsetof(struct mg_kind_row, scope), scope_words, .def = "Namespaced", .doc = "Namespaced or Cluster."},
    {"nested", &mg_t_node, offsetof(struct mg_kind_row, nested), .doc = "Whole objects inside."},
    MG_FIELDS_END,
};

_Static_assert(sizeof(struct retried) == sizeof(((struct mg_kind_row *)0)->retried), "retried is read in place");

bool mg_kind_read(struct mg_load *load, mg_node spec, struct mg_kind_row *ret) {
  ret->at = spec;
  return mg_decode(load, kind_fields, "spec", spec, ret);
}

int mg_kind_add(struct mg_kind_table *table, struct mg_arena *arena, const struct mg_kind_row *row) {
  uint32_t i = 0;
  while (i < table->count && !(mg_str_eq(table->rows[i].group, row->group) && mg_str_eq(table->rows[i].kind, row->kind))) i++;
  if (i == table->cap) {
    uint32_t cap = table->cap ? table->cap * 2 : 64;
    struct mg_kind_row *rows = mg_arena_grow(arena, table->rows, table->cap * sizeof *rows, cap * sizeof *rows);
    if (!rows) return MG_E_NOMEM;
    table->rows = rows;
    table->cap = cap;
  }
  if (i == table->count) table->count++;
  table->rows[i] = *row;
  table->rows[i].index = i;
  return 0;
}

const struct mg_kind_row *mg_kind_find(const struct mg_kind_table *table, mg_str group, mg_str version, mg_str kind) {
  for (uint32_t i = 0; i < table->count; i++) {
    const struct mg_kind_row *row = &table->rows[i];
    if (mg_str_eq(row->kind, kind) && mg_str_eq(row->group, group))
      return version.n == 0 || mg_any_pattern(row->versions, version) ? row : NULL;
  }
  return NULL;
}

void mg_split_api_version(mg_str api_version, mg_str *ret_group, mg_str *ret_version) {
  size_t slash = mg_str_find(api_version, '/');
  bool has = slash < api_version.n;
  *ret_group = has ? (mg_str){api_version.p, slash} : MG_S("");
  *ret_version = has ? mg_str_from(api_version, slash + 1) : api_version;
}

static mg_node nth_value(mg_node object, uint32_t n) {
  if (!mg_is(object, MG_OBJECT)) return (mg_node){0};
  mg_node key = mg_first(object);
  while (key.at && n--) key = mg_next(key);
  return mg_value(key);
}

mg_node mg_steps_follow(struct mg_steps path, mg_node from, const uint32_t *choices, uint32_t choice_count) {
  uint32_t wild = 0;
  for (uint32_t i = 0; i < path.count && from.at; i++) {
    const struct mg_step *step = &path.steps[i];
    if (step->kind == MG_STEP_KEY) {
      from = mg_get(from, step->key);
    } else {
      uint32_t n = wild < choice_count ? choices[wild] : 0;
      wild++;
      from = step->kind == MG_STEP_ITEMS ? mg_item(from, n) : nth_value(from, n);
    }
  }
  return from;
}
