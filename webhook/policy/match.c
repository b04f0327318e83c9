#include "policy/match.h"

/* ---- declared ---- */

static bool read_pattern(struct mg_load *load, const char *key, mg_node at, mg_str text, struct mg_pattern **ret) {
  struct mg_err err = {0};
  if (mg_pattern_compile(text, load->arena, ret, &err) == 0) return true;
  mg_diag_error(load->diags, at, MG_AT_VALUE, "\"%s\": %s", key, err.text);
  return false;
}

/* Without a group beside it only this tells `Pod.v1` from a group that does not exist. */
static bool can_be_version(mg_str glob) {
  return glob.n && (glob.p[0] == 'v' || glob.p[0] == '*' || glob.p[0] == '?' || glob.p[0] == '[');
}

static bool read_kind(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_kind_pattern *k = dst;
  mg_str text;
  if (!mg_t_string.read(load, field, value, &text)) return false;
  if (mg_str_find(text, '/') < text.n) { /* globs only: a regex could not be split at the dot */
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\": write Kind, Kind.group or Kind.version.group; globs are allowed",
                  field->key);
    return false;
  }
  size_t dot = mg_str_find(text, '.');
  mg_str rest = mg_str_from(text, dot + 1);
  if (!read_pattern(load, field->key, value, (mg_str){text.p, dot}, &k->kind)) return false;
  if (dot == text.n) return true;
  if (!read_pattern(load, field->key, value, rest, &k->group)) return false;
  dot = mg_str_find(rest, '.');
  if (dot == rest.n) return !can_be_version(rest) || read_pattern(load, field->key, value, rest, &k->version);
  return read_pattern(load, field->key, value, (mg_str){rest.p, dot}, &k->version) &&
         read_pattern(load, field->key, value, mg_str_from(rest, dot + 1), &k->beside);
}
static const struct mg_type t_kind = {
    .name = "a kind such as Job or PyTorchJob.kubeflow.org", .read = read_kind, .schema = MG_SCHEMA_STRING};
static const struct mg_item kind_item = {&t_kind, sizeof(struct mg_kind_pattern), NULL};

static const struct mg_item operation_item = {&mg_t_enum, sizeof(uint32_t), mg_operation_words};

static bool read_role(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_field one = {.key = field->key, .type = &mg_t_enum, .arg = mg_role_words + 1};
  if (!mg_t_enum.read(load, &one, value, dst)) return false;
  ++*(uint32_t *)dst;
  return true;
}
static const struct mg_type t_role = {.name = "a role", .read = read_role, .schema = MG_SCHEMA_ROLE};
static const struct mg_item role_item = {&t_role, sizeof(uint32_t), NULL};

static bool read_selector(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_err err = {0};
  mg_node at = value;
  if (mg_is(value, MG_OBJECT) && mg_selector_read(value, load->arena, dst, &at, &err) == 0) return true;
  mg_diag_error(load->diags, at, MG_AT_VALUE, "\"%s\": %s", field->key, err.text[0] ? err.text : "must be a label selector");
  return false;
}
#define SELECTOR_SCHEMA                                                                                           \
  "{type: object, additionalProperties: false, properties: {"                                                     \
  "matchLabels: {type: object, additionalProperties: {type: string}}, "                                           \
  "matchExpressions: {type: array, items: {type: object, additionalProperties: false, required: [key, operator]," \
  "  properties: {key: {type: string}, operator: {enum: [In, NotIn, Exists, DoesNotExist]}, "                     \
  "    values: {type: array, items: {type: string}}}}}}}"
static const struct mg_type t_selector = {.name = "a label selector", .read = read_selector, .schema = SELECTOR_SCHEMA};

static bool read_pattern_pairs(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_list pairs = {0}, *list = dst;
  if (!mg_t_pairs.read(load, field, value, &pairs)) return false;
  struct mg_pattern_pair *out = MG_NEW_N(load->arena, struct mg_pattern_pair, pairs.count ? pairs.count : 1);
  if (!out) return false;
  bool good = true;
  mg_node key = mg_first(value);
  for (uint32_t i = 0; i < pairs.count; i++, key = mg_next(key)) {
    out[i].key = MG_LIST_AT(pairs, struct mg_pair, i).key;
    good &= mg_t_pattern.read(load, field, mg_value(key), &out[i].pattern);
  }
  *list = (struct mg_list){out, pairs.count};
  return good;
}
const struct mg_type mg_t_pattern_pairs = {
    .name = "a map of keys to patterns", .read = read_pattern_pairs, .schema = MG_SCHEMA_PAIRS};

static bool read_accelerators(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_match *match = dst;
  struct mg_field list = {.key = field->key, .type = &mg_t_list, .arg = &mg_item_pattern};
  if (mg_is(value, MG_BOOL)) {
    match->accelerators.kind = mg_true(value) ? MG_ACC_SOME : MG_ACC_NONE;
    return true;
  }
  if (!mg_is(value, MG_ARRAY)) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"accelerators\" must be true, false or a list of globs");
    return false;
  }
  match->accelerators.kind = mg_count(value) ? MG_ACC_LIST : MG_ACC_ANY;
  return mg_t_list.read(load, &list, value, &match->accelerators.names);
}
static const struct mg_type t_accelerators = {
    .name = "true, false or a list of globs", .read = read_accelerators,
    .schema = "{anyOf: [{type: boolean}, {type: array, items: " MG_SCHEMA_STRING "}]}"};

#define AT(member) offsetof(struct mg_match, member)
static const struct mg_field match_fields[] = {
    {"kinds", &mg_t_list, AT(kinds), &kind_item, .doc = "Kind, Kind.group or Kind.version.group; globs."},
    {"operations", &mg_t_list, AT(operations), &operation_item, .doc = "CREATE and UPDATE, if not given."},
    {"namespaces", &mg_t_list, AT(namespaces), &mg_item_pattern, .doc = "Glob or /PCRE2/ on the namespace."},
    {"namespaceSelector", &t_selector, AT(namespace_selector), .doc = "Label selector on the Namespace."},
    {"names", &mg_t_list, AT(names), &mg_item_pattern, .doc = "Glob or /PCRE2/ on the object's name."},
    {"users", &mg_t_list, AT(users), &mg_item_pattern, .doc = "Glob or /PCRE2/ on the user's name."},
    {"groups", &mg_t_list, AT(groups), &mg_item_pattern, .doc = "Glob or /PCRE2/ on one of the user's groups."},
    {"selector", &t_selector, AT(selector), .doc = "Label selector on the template's labels, then the object's."},
    {"annotations", &mg_t_pattern_pairs, AT(annotations), .doc = "Annotation to glob or /PCRE2/."},
    {"roles", &mg_t_list, AT(roles), &role_item, .doc = "training, inference, batch, interactive, service, system."},
    {"accelerators", &t_accelerators, 0, .doc = "true: any accelerator; false: none; or globs on resource names."},
    {"containers", &mg_t_list, AT(containers), &mg_item_pattern, .doc = "Globs on container names."},
    {"images", &mg_t_list, AT(images), &mg_item_pattern, .doc = "Glob or /PCRE2/ on the normalised image."},
    MG_FIELDS_END,
};
#undef AT

/* An empty list counts as one that is not there, on the side that exempts nothing. */
static bool read_match(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_match *m = dst;
  bool good = mg_decode(load, match_fields, field->key, value, m);
  for (mg_node key = mg_first(value); key.at; key = mg_next(key))
    m->has_empty |= mg_is(mg_value(key), MG_ARRAY) && !mg_first(mg_value(key)).at;
  m->has_kinds = m->kinds.count > 0;
  m->has_operations = m->operations.count > 0;
  m->has_namespaces = m->namespaces.count > 0;
  m->has_namespace_selector = m->namespace_selector != NULL;
  m->has_names = m->names.count > 0;
  m->has_users = m->users.count > 0;
  m->has_groups = m->groups.count > 0;
  m->has_selector = m->selector != NULL;
  m->has_roles = m->roles.count > 0;
  m->has_containers = m->containers.count > 0;
  m->has_images = m->images.count > 0;
  return good;
}
const struct mg_type mg_t_match = {.name = "a match block", .read = read_match, .fields = match_fields};
const struct mg_item mg_item_match = {&mg_t_match, sizeof(struct mg_match), NULL};

/* ---- kinds ---- */

/* version NULL: any. */
static bool kind_matches(const struct mg_kind_pattern *k, mg_str group, const mg_str *version, mg_str kind) {
  if (mg_pattern_match(k->kind, kind) != 1) return false;
  if (!k->group || mg_pattern_match(k->group, group) == 1) return true;
  if (!k->version || (k->beside ? mg_pattern_match(k->beside, group) != 1 : group.n > 0)) return false;
  return !version || mg_pattern_match(k->version, *version) == 1;
}

static bool kinds_match(const struct mg_match *match, mg_str group, const mg_str *version, mg_str kind) {
  for (uint32_t i = 0; i < match->kinds.count; i++)
    if (kind_matches(&MG_LIST_AT(match->kinds, struct mg_kind_pattern, i), group, version, kind)) return true;
  return !match->has_kinds;
}

bool mg_match_kind_possible(const struct mg_match *match, const struct mg_kind_row *row) {
  return kinds_match(match, row->group, NULL, row->kind);
}

static bool is_known(const struct mg_kind_table *kinds, const struct mg_kind_pattern *k) {
  for (uint32_t i = 0; i < kinds->count; i++)
    if (kind_matches(k, kinds->rows[i].group, NULL, kinds->rows[i].kind)) return true;
  return false;
}

void mg_match_check_kinds(struct mg_load *load, const struct mg_kind_table *kinds, const struct mg_match *match, mg_node at) {
  mg_node n = mg_first(MG_GET(at, "kinds"));
  const char **words = MG_NEW_N(load->arena, const char *, kinds->count + 1);
  for (uint32_t i = 0; words && i < kinds->count; i++) words[i] = mg_arena_dup(load->arena, kinds->rows[i].kind).p;
  for (uint32_t i = 0; words && i < match->kinds.count; i++, n = mg_next(n)) {
    const struct mg_kind_pattern *k = &MG_LIST_AT(match->kinds, struct mg_kind_pattern, i);
    if (!k->kind || is_known(kinds, k)) continue; /* what could not be read is reported already */
    mg_str text = mg_string(n), kind = {text.p, mg_str_find(text, '.')};
    mg_str hint = mg_did_you_mean(load->arena, kind, words);
    mg_diag_error(load->diags, n, MG_AT_VALUE, "unknown workload kind \"%.*s\"%.*s", MG_FMT(text), MG_FMT(hint));
  }
}

/* ---- held against ---- */

/* A regex that ran into its limits counts as a match of `match` and as none of `exclude`: it never exempts. */
static bool any(struct mg_list patterns, enum mg_sense sense, mg_str value) {
  for (uint32_t i = 0; i < patterns.count; i++) {
    int rc = mg_pattern_match(MG_LIST_AT(patterns, struct mg_pattern *, i), value);
    if (rc == 1 || (rc < 0 && sense == MG_SENSE_MATCH)) return true;
  }
  return false;
}

/* What exempts names no operation to hold for all; what a policy is for does not reach DELETE and CONNECT unasked. */
static bool operation_matches(const struct mg_match *match, enum mg_sense sense, enum mg_operation operation) {
  if (!match->has_operations) return sense == MG_SENSE_EXCLUDE || operation == MG_CREATE || operation == MG_UPDATE;
  for (uint32_t i = 0; i < match->operations.count; i++)
    if (MG_LIST_AT(match->operations, uint32_t, i) == operation) return true;
  return false;
}

static bool groups_match(const struct mg_match *match, enum mg_sense sense, const struct mg_request *r) {
  for (uint32_t i = 0; !r->groups.at && i < r->group_count; i++)
    if (any(match->groups, sense, r->group_list[i])) return true;
  if (!mg_is(r->groups, MG_ARRAY)) return false;
  for (mg_node g = mg_first(r->groups); g.at; g = mg_next(g))
    if (any(match->groups, sense, mg_string(g))) return true;
  return false;
}

struct namespace_labels {
  mg_node labels;
  mg_str name;
};

/* The API server forces kubernetes.io/metadata.name on every namespace. */
static bool namespace_label(const void *ctx, mg_str key, mg_str *ret) {
  const struct namespace_labels *ns = ctx;
  if (mg_str_is(key, "kubernetes.io/metadata.name")) {
    *ret = ns->name;
    return ns->name.n > 0;
  }
  mg_node value = mg_get(ns->labels, key);
  *ret = mg_text(value);
  return !mg_missing(value);
}

bool mg_match_object(const struct mg_match *m, enum mg_sense sense, const struct mg_request *r,
                     const struct mg_context *context) {
  if (m->has_empty && sense == MG_SENSE_EXCLUDE) return false;
  if (!operation_matches(m, sense, r->operation) || !kinds_match(m, r->group, &r->version, r->kind)) return false;
  if (m->has_namespaces && !any(m->namespaces, sense, r->ns)) return false;
  if (m->has_names && !any(m->names, sense, r->name)) return false;
  if (m->has_users && !any(m->users, sense, r->user)) return false;
  if (m->has_groups && !groups_match(m, sense, r)) return false;
  if (!m->has_namespace_selector) return true;
  mg_node object = mg_context_find(context, MG_CTX_NAMESPACE, (mg_str){0}, r->ns);
  struct namespace_labels ns = {MG_GET(MG_GET(object, "metadata"), "labels"), r->ns};
  return mg_selector_matches(m->namespace_selector, namespace_label, &ns);
}

static bool pod_label(const void *ctx, mg_str key, mg_str *ret) {
  return mg_pod_label(ctx, key, ret);
}

static bool annotations_match(const struct mg_match *m, enum mg_sense sense, const struct mg_pod *pod) {
  for (uint32_t i = 0; i < m->annotations.count; i++) {
    const struct mg_pattern_pair *pair = &MG_LIST_AT(m->annotations, struct mg_pattern_pair, i);
    mg_str value;
    if (!mg_pod_annotation(pod, pair->key, &value)) return false;
    int rc = mg_pattern_match(pair->pattern, value);
    if (rc != 1 && !(rc < 0 && sense == MG_SENSE_MATCH)) return false;
  }
  return true;
}

static bool role_matches(const struct mg_match *m, enum mg_role role) {
  for (uint32_t i = 0; i < m->roles.count; i++)
    if (MG_LIST_AT(m->roles, uint32_t, i) == role) return true;
  return false;
}

static bool names_accelerator(const struct mg_match *m, enum mg_sense sense, const struct mg_pod *pod) {
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    for (uint32_t a = 0; a < c->amount_count; a++)
      if (mg_amount_is_device(&c->amounts[a]) && any(m->accelerators.names, sense, c->amounts[a].resource)) return true;
  }
  return false;
}

/* A claim that cannot be resolved matches neither value, and in exclude both. */
static bool accelerators_match(const struct mg_match *m, enum mg_sense sense, const struct mg_pod *pod) {
  bool unknown = pod->has_unknown_claim && !pod->has_accelerator;
  switch (m->accelerators.kind) {
    case MG_ACC_ANY: return true;
    case MG_ACC_SOME: return unknown ? sense == MG_SENSE_EXCLUDE : pod->has_accelerator;
    case MG_ACC_NONE: return unknown ? sense == MG_SENSE_EXCLUDE : !pod->has_accelerator;
    case MG_ACC_LIST: return names_accelerator(m, sense, pod);
  }
  return false;
}

bool mg_match_template(const struct mg_match *m, enum mg_sense sense, const struct mg_pod *pod) {
  return (!m->has_roles || role_matches(m, pod->role)) && accelerators_match(m, sense, pod) &&
         (!m->has_selector || mg_selector_matches(m->selector, pod_label, pod)) && annotations_match(m, sense, pod);
}

bool mg_match_container(const struct mg_match *m, enum mg_sense sense, struct mg_pod *pod, struct mg_container *c) {
  if (m->has_containers && !any(m->containers, sense, c->name)) return false;
  return !m->has_images || any(m->images, sense, mg_container_image(pod, c));
}

bool mg_match_needs_template(const struct mg_match *m) {
  return m->has_selector || m->annotations.count || m->has_roles || m->accelerators.kind != MG_ACC_ANY ||
         mg_match_has_containers(m);
}

/* ---- why not ---- */

/* Where a key keeps what it was given: a block with nothing else says whether that key holds. */
#define PART(member) offsetof(struct mg_match, member), sizeof(((struct mg_match *)0)->member)
static const struct part {
  const char *key;
  bool of_template;
  size_t at, size, flag_at, flag_size;
} parts[] = {
    {"operations", false, PART(operations), PART(has_operations)},
    {"kinds", false, PART(kinds), PART(has_kinds)},
    {"namespaces", false, PART(namespaces), PART(has_namespaces)},
    {"names", false, PART(names), PART(has_names)},
    {"users", false, PART(users), PART(has_users)},
    {"groups", false, PART(groups), PART(has_groups)},
    {"namespaceSelector", false, PART(namespace_selector), PART(has_namespace_selector)},
    {"roles", true, PART(roles), PART(has_roles)},
    {"accelerators", true, PART(accelerators), PART(accelerators)},
    {"selector", true, PART(selector), PART(has_selector)},
    {"annotations", true, PART(annotations), PART(annotations)},
};

static void copy_part(struct mg_match *to, const struct mg_match *from, size_t at, size_t size) {
  memcpy((char *)to + at, (const char *)from + at, size);
}

static bool one_container_matches(const struct mg_match *match, enum mg_sense sense, struct mg_pod *pod) {
  for (uint32_t i = 0; i < pod->container_count; i++)
    if (mg_match_container(match, sense, pod, &pod->containers[i])) return true;
  return false;
}

const char *mg_match_missed(const struct mg_match *match, enum mg_sense sense, const struct mg_request *request,
                            const struct mg_context *context, struct mg_pod *pod) {
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    const struct part *part = &parts[i];
    struct mg_match only = {0};
    if (part->of_template != (pod != NULL)) continue;
    if (i) only.operations = match->operations, only.has_operations = match->has_operations;
    copy_part(&only, match, part->at, part->size);
    copy_part(&only, match, part->flag_at, part->flag_size);
    if (!(pod ? mg_match_template(&only, sense, pod) : mg_match_object(&only, sense, request, context))) return part->key;
  }
  if (!pod || !mg_match_has_containers(match) || one_container_matches(match, sense, pod)) return NULL;
  return match->has_images ? match->has_containers ? "containers with images" : "images" : "containers";
}
