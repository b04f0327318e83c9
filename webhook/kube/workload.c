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

enum { STEPS_MOST = 32 };

struct path_reader {
  mg_str text;
  size_t at;
  struct mg_step *steps;
  uint32_t count;
};

static bool add_step(struct path_reader *r, struct mg_step step, size_t length) {
  if (r->count == STEPS_MOST) return false;
  r->steps[r->count++] = step;
  r->at += length;
  return true;
}

/* A key, bare or in quotes. */
static bool read_key(struct path_reader *r) {
  mg_str rest = mg_str_from(r->text, r->at), key = mg_str_from(rest, 1);
  size_t n = 0;
  if (rest.n && rest.p[0] == '"') {
    n = mg_str_find(key, '"');
    return n && n < key.n && add_step(r, (struct mg_step){MG_STEP_KEY, {key.p, n}}, n + 2);
  }
  while (n < rest.n && rest.p[n] != '.' && rest.p[n] != '[' && rest.p[n] != '{') n++;
  return n && add_step(r, (struct mg_step){MG_STEP_KEY, {rest.p, n}}, n);
}

/* A wild card, or a key in quotes, which may have dots. */
static bool read_bracket(struct path_reader *r) {
  mg_str rest = mg_str_from(r->text, r->at);
  if (mg_str_starts(rest, MG_S("[]"))) return add_step(r, (struct mg_step){MG_STEP_ITEMS, {0}}, 2);
  if (mg_str_starts(rest, MG_S("[*]"))) return add_step(r, (struct mg_step){MG_STEP_ITEMS, {0}}, 3);
  if (mg_str_starts(rest, MG_S("{}"))) return add_step(r, (struct mg_step){MG_STEP_VALUES, {0}}, 2);
  if (!mg_str_starts(rest, MG_S("[\""))) return false;
  mg_str key = mg_str_from(rest, 2);
  size_t n = mg_str_find(key, '"');
  if (!n || !mg_str_starts(mg_str_from(key, n), MG_S("\"]"))) return false;
  return add_step(r, (struct mg_step){MG_STEP_KEY, {key.p, n}}, n + 4);
}

static bool read_path(struct path_reader *r) {
  bool good = mg_str_starts(r->text, MG_S("[\"")) ? read_bracket(r) : read_key(r);
  while (good && r->at < r->text.n) {
    bool dot = r->text.p[r->at] == '.';
    r->at += dot;
    good = dot ? read_key(r) : read_bracket(r);
  }
  return good;
}

/* "a.b[].c{}": keys between dots, each with any number of wild cards behind it. "." alone is the object itself. */
static bool read_steps(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_field string = {.key = field->key, .type = &mg_t_string};
  struct path_reader r = {.steps = MG_NEW_N(load->arena, struct mg_step, STEPS_MOST)};
  if (!mg_t_string.read(load, &string, value, &r.text) || !r.steps) return false;
  if (!mg_str_is(r.text, ".") && !read_path(&r)) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\": \"%.*s\" is no path such as spec.groups[].template", field->key,
                  MG_FMT(r.text));
    return false;
  }
  *(struct mg_steps *)dst = (struct mg_steps){r.steps, r.count, true};
  return true;
}
const struct mg_type mg_t_steps = {.name = "a path", .read = read_steps, .schema = MG_SCHEMA_STRING};
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
static const struct mg_type t_retried = {
    .name = "always, or {path, default}", .read = read_retried,
    .schema = "{anyOf: [{const: always}, {type: object, additionalProperties: false, required: [path], "
              "properties: {path: {type: string}, default: {type: integer, minimum: 0}}}]}"};

static const struct mg_field replicas_fields[] = {
    {"path", &mg_t_steps, offsetof(struct mg_replicas_row, path), .required = true, .doc = "A factor; missing = 1."},
    {"max", &mg_t_steps, offsetof(struct mg_replicas_row, max), .doc = "The upper bound of autoscaling."},
    {"maxWhen", &mg_t_steps, offsetof(struct mg_replicas_row, max_when), .doc = "True where the autoscaler is on."},
    {"minus", &mg_t_count, offsetof(struct mg_replicas_row, minus), .doc = "Counted apart, such as a leader."},
    {"minusWhen", &mg_t_steps, offsetof(struct mg_replicas_row, minus_when), .doc = "Only where this is there."},
    {"default", &mg_t_count, offsetof(struct mg_replicas_row, def), .doc = "The controller's own default, if not 1."},
    MG_FIELDS_END,
};
static const struct mg_shape replicas_shape = {replicas_fields, "replicas"};
static const struct mg_item replicas_item = {&mg_t_object, sizeof(struct mg_replicas_row), &replicas_shape};

static const char *const form_words[] = {"limit", "request", "some", NULL};
static const struct mg_field device_fields[] = {
    {"path", &mg_t_steps, offsetof(struct mg_device_row, path), .required = true,
     .doc = "The number, from the object, with the wild cards of the template's path."},
    {"resource", &mg_t_string, offsetof(struct mg_device_row, resource), .doc = "Resource name; default: nvidia.com/gpu."},
    {"resourceAt", &mg_t_steps, offsetof(struct mg_device_row, resource_at), .doc = "Where the object names the resource."},
    {"as", &mg_t_enum, offsetof(struct mg_device_row, form), form_words, .def = "limit",
     .doc = "limit or request: that many devices; some: it uses one, how many is not said, which is no limit: back doors are "
            "judged."},
    MG_FIELDS_END,
};
static const struct mg_shape device_shape = {device_fields, "a device"};
static const struct mg_item device_item = {&mg_t_object, sizeof(struct mg_device_row), &device_shape};

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
    {"spec", &mg_t_steps, offsetof(struct mg_template_row, spec),
     .doc = "Of a fragment: where its pod fields are, relative to it; default: itself."},
    {"metadata", &mg_t_steps, offsetof(struct mg_template_row, metadata),
     .doc = "Of a spec or fragment: what has its labels and annotations, from the object; default: nothing."},
    {"replicas", &mg_t_list, offsetof(struct mg_template_row, replicas), &replicas_item, .doc = "Factors of a product."},
    {"containers", &mg_t_list, offsetof(struct mg_template_row, containers), &steps_item,
     .doc = "Containers outside the usual lists, relative to the template."},
    {"resources", &mg_t_steps, offsetof(struct mg_template_row, resources),
     .doc = "Resources of the first of these containers, relative to the template, where they are not its own."},
    {"devices", &mg_t_list, offsetof(struct mg_template_row, devices), &device_item,
     .doc = "Devices asked for elsewhere than in resources; they count where the container's resources name none."},
    {"ownSharedMemory", &mg_t_bool, offsetof(struct mg_template_row, own_shared_memory),
     .doc = "The controller mounts /dev/shm itself."},
    {"restartPolicy", &mg_t_object, offsetof(struct mg_template_row, restart_policy), &restart_shape,
     .doc = "The kind's own restartPolicy, which stands before the template's."},
    MG_FIELDS_END,
};
static const struct mg_shape template_shape = {template_fields, "a template"};
static const struct mg_item template_item = {&mg_t_object, sizeof(struct mg_template_row), &template_shape};

const char *const mg_limit_words[] = {"activeDeadlineSeconds", "ttlSecondsAfterFinished", "backoffLimit", NULL};

#define LIMIT(which) offsetof(struct mg_run_policy, limits) + (which) * sizeof(struct mg_steps)
static const struct mg_field run_policy_fields[] = {
    {"activeDeadlineSeconds", &mg_t_steps, LIMIT(MG_LIMIT_DEADLINE), .doc = "The deadline of a job that runs."},
    {"ttlSecondsAfterFinished", &mg_t_steps, LIMIT(MG_LIMIT_TTL), .doc = "When a finished job is deleted."},
    {"backoffLimit", &mg_t_steps, LIMIT(MG_LIMIT_BACKOFF), .doc = "How often a failed job is tried again."},
    MG_FIELDS_END,
};

/* A limit is a field of an object, never an item of a list. */
static bool check_limits(struct mg_load *load, mg_node value, const struct mg_run_policy *policy) {
  for (uint32_t i = 0; i < MG_LIMITS; i++) {
    const struct mg_steps *path = &policy->limits[i];
    if (!path->set || (path->count && path->steps[path->count - 1].kind == MG_STEP_KEY)) continue;
    mg_diag_error(load->diags, mg_get(value, mg_str_of(mg_limit_words[i])), MG_AT_VALUE, "the path of \"%s\" must end in a key",
                  mg_limit_words[i]);
    return false;
  }
  return true;
}

static bool read_run_policy(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_run_policy *policy = dst;
  struct mg_steps whole = {0};
  policy->at = value;
  if (mg_is(value, MG_OBJECT))
    return mg_decode(load, run_policy_fields, "runPolicy", value, policy) && check_limits(load, value, policy);
  if (!mg_t_steps.read(load, field, value, &whole)) return false;
  for (uint32_t i = 0; i < MG_LIMITS; i++) {
    struct mg_step *steps = MG_NEW_N(load->arena, struct mg_step, whole.count + 1);
    if (!steps) return false;
    memcpy(steps, whole.steps, whole.count * sizeof *steps);
    steps[whole.count] = (struct mg_step){MG_STEP_KEY, mg_str_of(mg_limit_words[i])};
    policy->limits[i] = (struct mg_steps){steps, whole.count + 1, true};
  }
  return true;
}
static const struct mg_type t_run_policy = {
    .name = "a path, or a map of paths", .read = read_run_policy,
    .schema = "{anyOf: [{type: string, minLength: 1}, {type: object, additionalProperties: false, properties: "
              "{activeDeadlineSeconds: {type: string}, ttlSecondsAfterFinished: {type: string}, "
              "backoffLimit: {type: string}}}]}"};

static const struct mg_field nested_fields[] = {
    {"path", &mg_t_steps, offsetof(struct mg_nested_row, path), .required = true, .doc = "Objects with apiVersion and kind."},
    {"replicas", &mg_t_list, offsetof(struct mg_nested_row, replicas), &replicas_item, .doc = "Factors of a product."},
    MG_FIELDS_END,
};
static const struct mg_shape nested_shape = {nested_fields, "nested"};
static const struct mg_item nested_item = {&mg_t_object, sizeof(struct mg_nested_row), &nested_shape};

static bool read_role(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_field one = {.key = field->key, .type = &mg_t_enum, .arg = mg_role_words + 1};
  uint32_t index = 0;
  if (!mg_t_enum.read(load, &one, value, &index)) return false;
  *(uint32_t *)dst = index + 1;
  return true;
}
static const struct mg_type t_role = {.name = "a role", .read = read_role, .schema = MG_SCHEMA_ROLE};

const struct mg_field mg_kind_fields[] = {
    {"group", &mg_t_text, offsetof(struct mg_kind_row, group), .required = true, .doc = "API group; \"\" for core."},
    {"kind", &mg_t_string, offsetof(struct mg_kind_row, kind), .required = true, .doc = "Kind."},
    {"versions", &mg_t_list, offsetof(struct mg_kind_row, versions), &mg_item_pattern, .def = "[\"*\"]",
     .doc = "Globs on versions."},
    {"role", &t_role, offsetof(struct mg_kind_row, role), .doc = "The role of its templates."},
    {"mutate", &mg_t_enum, offsetof(struct mg_kind_row, mutate), mutate_words, .def = "template",
     .doc = "template: patched here; pods: patched when the Pod comes; never: only judged."},
    {"podLabels", &mg_t_list, offsetof(struct mg_kind_row, pod_labels), &mg_item_string,
     .doc = "Labels of the Pods that its controller makes: a key, or key=value."},
    {"templates", &mg_t_list, offsetof(struct mg_kind_row, templates), &template_item, .doc = "Where the pod templates are."},
    {"without", &mg_t_list, offsetof(struct mg_kind_row, without), &mg_item_string,
     .doc = "Pod fields that the schema drops or refuses."},
    {"retried", &t_retried, offsetof(struct mg_kind_row, retried), .doc = "When a failed Pod is made again."},
    {"runPolicy", &t_run_policy, offsetof(struct mg_kind_row, run_policy),
     .doc = "Where job limits live: a path, or {activeDeadlineSeconds, ttlSecondsAfterFinished, backoffLimit: PATH}."},
    {"priorityClassName", &mg_t_steps, offsetof(struct mg_kind_row, priority_class),
     .doc = "The kind's own PriorityClass, which Pods get whose template names none."},
    {"scope", &mg_t_enum, offsetof(struct mg_kind_row, scope), scope_words, .def = "Namespaced", .doc = "Namespaced or Cluster."},
    {"nested", &mg_t_list, offsetof(struct mg_kind_row, nested), &nested_item,
     .doc = "Whole objects inside, judged as their own kind and never patched."},
    {"source", &mg_t_words, offsetof(struct mg_kind_row, source), .doc = "The project that the kind comes from."},
    MG_FIELDS_END,
};

_Static_assert(sizeof(struct retried) == sizeof(((struct mg_kind_row *)0)->retried), "retried is read in place");

static bool split_labels(struct mg_arena *arena, struct mg_kind_row *row) {
  struct mg_pair *labels = MG_NEW_N(arena, struct mg_pair, row->pod_labels.count + 1);
  for (uint32_t i = 0; labels && i < row->pod_labels.count; i++) {
    mg_str label = MG_LIST_AT(row->pod_labels, mg_str, i);
    size_t equals = mg_str_find(label, '=');
    labels[i] = (struct mg_pair){{label.p, equals}, mg_str_from(label, equals + 1)};
  }
  row->labels = labels;
  return labels != NULL;
}

bool mg_kind_read(struct mg_load *load, mg_node spec, struct mg_kind_row *ret) {
  ret->at = spec;
  return mg_decode(load, mg_kind_fields, "spec", spec, ret) && split_labels(load->arena, ret);
}

int mg_kind_add(struct mg_kind_table *table, struct mg_arena *arena, const struct mg_kind_row *row) {
  uint32_t i = 0;
  while (i < table->count && !(mg_str_eq(table->rows[i].group, row->group) && mg_str_eq(table->rows[i].kind, row->kind))) i++;
  struct mg_kind_row *rows = mg_arena_room(arena, table->rows, &table->cap, i, sizeof *rows);
  if (!rows) return MG_E_NOMEM;
  table->rows = rows;
  if (i == table->count) table->count++;
  rows[i] = *row;
  rows[i].index = i;
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

/* Items are counted only in another list than the template's: a hostile one is long. */
static mg_node take(mg_node container, bool items, const struct mg_taken *choice) {
  if (choice && mg_same(mg_parent(choice->at), container)) return choice->at;
  uint32_t n = choice ? choice->number : 0;
  return items ? mg_item(container, n) : nth_value(container, n);
}

mg_node mg_steps_nearest(struct mg_steps path, mg_node from, const struct mg_taken *choices, uint32_t choice_count,
                         struct mg_steps *ret_missing) {
  uint32_t wild = 0, i = 0;
  for (; i < path.count && from.at; i++) {
    const struct mg_step *step = &path.steps[i];
    mg_node next;
    if (step->kind == MG_STEP_KEY) {
      next = mg_get(from, step->key);
    } else {
      next = take(from, step->kind == MG_STEP_ITEMS, wild < choice_count ? &choices[wild] : NULL);
      wild++;
    }
    if (!next.at) break;
    from = next;
  }
  *ret_missing = (struct mg_steps){path.count > i ? path.steps + i : NULL, path.count - i, true};
  return from;
}

mg_node mg_steps_follow(struct mg_steps path, mg_node from, const struct mg_taken *choices, uint32_t choice_count) {
  struct mg_steps missing;
  mg_node nearest = mg_steps_nearest(path, from, choices, choice_count, &missing);
  return missing.count ? (mg_node){0} : nearest;
}
