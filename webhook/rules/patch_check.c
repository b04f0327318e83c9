#include "rules/patch.h"

#include "kube/name.h"
#include "policy/policy.h"
#include "rules/overlap.h"
#include "rules/pod_fields.h"

static bool is_template(mg_node pod) {
  return mg_get_key(pod, MG_S("metadata")).at || mg_get_key(pod, MG_S("spec")).at;
}

static bool read_pod(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  union mg_pod_scratch scratch;
  *(mg_node *)dst = value;
  if (is_template(value)) return mg_decode(load, mg_pod_template_fields, field->key, value, &scratch);
  return mg_decode(load, mg_pod_spec_fields, field->key, value, &scratch);
}
static const struct mg_type t_pod = {
    .name = "a pod template or pod spec", .read = read_pod, .schema = "{type: object, minProperties: 1}"};

const struct mg_field mg_pod_patch_fields[] = {
    {"pod", &t_pod, offsetof(struct mg_pod_patch, pod), .required = true,
     .doc = "What is added: a pod template (metadata with labels and annotations, spec), or the fields of a pod spec. The name "
            "of a container may be a glob, \"*\" for every one; one of a plain name that is not there is added if it has an "
            "image."},
    MG_FIELDS_END,
};

static void check_fields(struct mg_load *load, const struct mg_field *table, mg_node add);

static void check_list(struct mg_load *load, const struct mg_field *field, mg_node list) {
  const struct mg_item *item = field->arg;
  mg_str key = {0};
  uint32_t number = 0, first;
  enum mg_list_merge merge = mg_pod_list_merge(mg_str_of(field->key), &key);
  for (mg_node n = mg_first(list); n.at; n = mg_next(n), number++) {
    if (merge != MG_MERGE_WHOLE && mg_pod_find_item(list, n, key, &first).at && first < number)
      mg_diag_error(load->diags, n, MG_AT_VALUE, "\"%s\" has this item twice", field->key);
    if (item->type == &mg_t_object) check_fields(load, ((const struct mg_shape *)item->arg)->fields, n);
  }
}

static void check_fields(struct mg_load *load, const struct mg_field *table, mg_node add) {
  for (mg_node key = mg_first(add); key.at; key = mg_next(key)) {
    const struct mg_field *field = mg_pod_field_of(table, mg_text(key));
    mg_node value = mg_value(key);
    if (!field) continue;
    if (field->type == &mg_t_object) check_fields(load, ((const struct mg_shape *)field->arg)->fields, value);
    if (field->type == &mg_t_list) check_list(load, field, value);
    const bool sidecar = table == mg_pod_container_fields && mg_str_is(mg_text(key), "restartPolicy");
    if (mg_pod_field_is_defaulted(mg_text(key)) && !sidecar)
      mg_diag_warn(load->diags, value, MG_AT_KEY,
                   "the API server has filled in \"%s\" before a Pod or a built-in workload comes here; this acts on custom "
                   "resources",
                   field->key);
  }
}

static void check_metadata(struct mg_load *load, mg_node metadata) {
  mg_node labels = MG_GET(metadata, "labels"), annotations = MG_GET(metadata, "annotations");
  for (mg_node key = mg_first(labels); key.at; key = mg_next(key)) {
    mg_str text = mg_text(key), value = mg_text(mg_value(key));
    if (!mg_name_is_label_key(text))
      mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "\"%.*s\" is no label key", MG_FMT(text));
    else if (mg_str_starts(text, MG_S("mlgate.dev/")))
      mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "labels of mlgate.dev say which policies match; none can be added");
    if (!mg_name_is_label_value(value))
      mg_diag_error(load->diags, mg_value(key), MG_AT_VALUE, "\"%.*s\" is no label value", MG_FMT(value));
  }
  for (mg_node key = mg_first(annotations); key.at; key = mg_next(key))
    if (!mg_name_is_label_key(mg_text(key)))
      mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "\"%.*s\" is no annotation key", MG_FMT(mg_text(key)));
}

static void check_volumes(struct mg_load *load, mg_node volumes) {
  for (mg_node n = mg_first(volumes); n.at; n = mg_next(n)) {
    mg_node name = MG_GET(n, "name");
    if (!mg_name_is_dns_label(mg_text(name)))
      mg_diag_error(load->diags, name, MG_AT_VALUE, "\"%.*s\" is no volume name", MG_FMT(mg_text(name)));
    if (mg_count(n) > 2) mg_diag_error(load->diags, n, MG_AT_VALUE, "a volume has one source");
  }
}

static bool is_glob(mg_str s) {
  return mg_str_find(s, '*') < s.n || mg_str_find(s, '?') < s.n || mg_str_find(s, '[') < s.n;
}

/* No regex: a name of one is refused, so that the patterns need no owner. */
static bool read_entries(struct mg_load *load, mg_node list, struct mg_list *ret) {
  const uint32_t before = load->diags->error_count;
  struct mg_pod_patch_entry *entries = MG_NEW_N(load->arena, struct mg_pod_patch_entry, (size_t)mg_count(list) + 1);
  if (!entries) return false;
  uint32_t count = 0;
  for (mg_node n = mg_first(list); n.at; n = mg_next(n), count++) {
    mg_node name = MG_GET(n, "name");
    mg_str text = mg_text(name);
    struct mg_err err = {0};
    entries[count] = (struct mg_pod_patch_entry){.node = n, .glob = is_glob(text)};
    if (text.p && ((!entries[count].glob && !mg_name_is_dns_label(text)) || text.p[0] == '/'))
      mg_diag_error(load->diags, name, MG_AT_VALUE, "\"%.*s\" is no container name, and no glob on one", MG_FMT(text));
    else if (mg_pattern_compile(text, load->arena, &entries[count].name, &err))
      mg_diag_error(load->diags, name, MG_AT_VALUE, "\"%.*s\": %s", MG_FMT(text), err.text);
  }
  *ret = (struct mg_list){entries, count};
  return load->diags->error_count == before;
}

bool mg_pod_patch_compile(struct mg_load *load, mg_node at, void *params) {
  struct mg_pod_patch *p = params;
  const uint32_t before = load->diags->error_count;
  const bool template = is_template(p->pod);
  p->metadata = template ? MG_GET(p->pod, "metadata") : (mg_node){0};
  p->spec = template ? MG_GET(p->pod, "spec") : p->pod;
  if (!mg_first(p->metadata).at && !mg_first(p->spec).at)
    mg_diag_error(load->diags, MG_GET(at, "pod"), MG_AT_KEY, "patch adds nothing");
  check_fields(load, template ? mg_pod_template_fields : mg_pod_spec_fields, p->pod);
  check_metadata(load, p->metadata);
  check_volumes(load, MG_GET(p->spec, "volumes"));
  read_entries(load, MG_GET(p->spec, "initContainers"), &p->init);
  read_entries(load, MG_GET(p->spec, "containers"), &p->main);
  return load->diags->error_count == before;
}

bool mg_pod_patch_is_containers(mg_str key) {
  return mg_str_is(key, "containers") || mg_str_is(key, "initContainers");
}

/* ---- rules that contradict each other ---- */

/* Something to which both give a value, and not the same; *ret_key gets its name. */
static bool contradict(const struct mg_field *table, mg_node first, mg_node then, mg_str *ret_key);

static bool contradict_field(const struct mg_field *field, mg_node first, mg_node then, mg_str *ret_key) {
  mg_str key = {0};
  uint32_t index;
  *ret_key = mg_str_of(field->key);
  if (field->type == &mg_t_object) return contradict(((const struct mg_shape *)field->arg)->fields, first, then, ret_key);
  if (field->type == &mg_t_pairs || field->type == &mg_t_amounts) {
    for (mg_node n = mg_first(then); n.at; n = mg_next(n)) {
      *ret_key = mg_text(n);
      mg_node other = mg_get(first, mg_text(n));
      if (other.at && !mg_equal(other, mg_value(n))) return true;
    }
    return false;
  }
  const bool whole = field->type != &mg_t_list || mg_pod_list_merge(mg_str_of(field->key), &key) == MG_MERGE_WHOLE;
  if (whole) return !mg_equal(first, then);
  for (mg_node n = mg_first(then); n.at && key.n; n = mg_next(n)) {
    mg_node other = mg_pod_find_item(first, n, key, &index);
    *ret_key = mg_text(mg_get(n, key));
    if (other.at && !mg_equal(other, n)) return true;
  }
  return false;
}

static bool contradict(const struct mg_field *table, mg_node first, mg_node then, mg_str *ret_key) {
  for (mg_node key = mg_first(then); key.at; key = mg_next(key)) {
    const struct mg_field *field = mg_pod_field_of(table, mg_text(key));
    mg_node other = mg_get(first, mg_text(key));
    const bool containers = table == mg_pod_spec_fields && mg_pod_patch_is_containers(mg_text(key));
    const bool name = table == mg_pod_container_fields && mg_str_is(mg_text(key), "name");
    if (field && other.at && !containers && !name && contradict_field(field, other, mg_value(key), ret_key)) return true;
  }
  return false;
}

static bool contradict_containers(const struct mg_list *first, const struct mg_list *then, mg_str *ret_key) {
  for (uint32_t i = 0; i < first->count; i++)
    for (uint32_t j = 0; j < then->count; j++) {
      const struct mg_pod_patch_entry *a = &MG_LIST_AT(*first, struct mg_pod_patch_entry, i);
      const struct mg_pod_patch_entry *b = &MG_LIST_AT(*then, struct mg_pod_patch_entry, j);
      if (mg_overlap_patterns(a->name, b->name) && contradict(mg_pod_container_fields, a->node, b->node, ret_key)) return true;
    }
  return false;
}

void mg_pod_patch_cross_check(struct mg_load *load, const struct mg_rule *rule, const struct mg_snapshot *snapshot) {
  const struct mg_pod_patch *then = rule->params;
  const struct mg_rule *other;
  uint64_t state = 0;
  mg_str key;
  while ((other = mg_overlap_next(snapshot, rule, &state))) {
    const struct mg_pod_patch *first = other->params;
    if (contradict(mg_pod_metadata_fields, first->metadata, then->metadata, &key) ||
        contradict(mg_pod_spec_fields, first->spec, then->spec, &key) ||
        contradict_containers(&first->init, &then->init, &key) || contradict_containers(&first->main, &then->main, &key))
      mg_diag_warn(load->diags, rule->at, MG_AT_VALUE,
                   "policy %.*s adds another value for \"%.*s\" before; where both match, it wins", MG_FMT(other->policy->name),
                   MG_FMT(key));
  }
}
