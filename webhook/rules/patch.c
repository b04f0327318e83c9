/* patch: an add-only strategic merge into pod templates. What it adds is checked against the tables of pod_fields.c. */
#include "rules/patch.h"

#include "doc/json.h"
#include "policy/policy.h"
#include "rules/pod_fields.h"
#include "rules/rules.h"

#define AT_END UINT32_MAX

enum { MOST_CONTAINERS = 256 }; /* of a template, so that a hostile one is cheap */

struct work {
  struct mg_run *run;
  const struct mg_pod_patch *p;
  struct mg_pod *pod;
  const struct mg_pod *old;
  struct mg_container *container; /* NULL: the template */
  bool unasked;                   /* inside of what was just added */
  bool changed;
};

static void put_path(struct mg_buf *buf, const struct mg_branch *branch) {
  if (!branch->key.n) return;
  put_path(buf, branch->up);
  mg_buf_printf(buf, "%s%.*s", buf->n ? "." : "", MG_FMT(branch->key));
}

/* What is to be added: the field `key` of an object, the entry `key` of a map, an item of a list that is known by `key`, or by
 * all that it is where that is empty. */
struct addition {
  struct mg_branch *branch;
  enum { FIELD, ENTRY, ITEM } kind;
  mg_str key;
  mg_node value;
};

static mg_str path_text(struct mg_arena *arena, const struct mg_branch *branch) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, SIZE_MAX);
  put_path(&buf, branch);
  return mg_buf_str(&buf);
}

/* env["A"], securityContext.runAsNonRoot, tolerations {…}: for the message, and what the addition is known by. */
static mg_str thing_text(struct mg_arena *arena, const struct addition *add) {
  mg_str path = path_text(arena, add->branch);
  if (add->kind == FIELD)
    return path.n ? mg_arena_printf(arena, "%.*s.%.*s", MG_FMT(path), MG_FMT(add->key)) : add->key;
  if (add->key.n) return mg_arena_printf(arena, "%.*s[\"%.*s\"]", MG_FMT(path), MG_FMT(add->key));
  return mg_arena_printf(arena, "%.*s %.*s", MG_FMT(path), MG_FMT(mg_json_text(arena, add->value)));
}

static mg_str fix_text(struct mg_arena *arena, const struct addition *add, mg_str thing) {
  mg_str before = add->kind == ITEM ? path_text(arena, add->branch) : thing;
  return mg_arena_printf(arena, "%.*s: %s%.*s", MG_FMT(before), add->kind == ITEM ? "+ " : "",
                         MG_FMT(mg_json_text(arena, add->value)));
}

static struct mg_where where_of(const struct mg_branch *branch, mg_str key) {
  struct mg_where where = {.node = branch->node};
  uint32_t count = 0;
  if (!branch->node.at && branch->up) where = where_of(branch->up, branch->key);
  while (count < MG_WHERE_KEYS && where.more[count].p) count++;
  mg_node next = count ? (mg_node){0} : mg_get(where.node, key);
  if (next.at)
    where.node = next;
  else if (key.n && count < MG_WHERE_KEYS)
    where.more[count] = key;
  return where;
}

static bool wants(struct work *work, const struct addition *add) {
  struct mg_arena *arena = mg_run_arena(work->run);
  struct mg_container *c = work->container;
  if (work->unasked) return true;
  mg_str thing = thing_text(arena, add), who = MG_S("the template");
  struct mg_finding finding = {.pod = work->pod, .container = c, .subject = thing};
  finding.where = where_of(add->branch, add->kind == ITEM ? MG_S("") : add->key);
  if (mg_run_explains(work->run)) {
    finding.fix = fix_text(arena, add, thing);
    if (c) who = mg_arena_printf(arena, "container \"%.*s\"", MG_FMT(c->name));
  }
  return mg_run_wants(work->run, &finding, "%.*s has no %.*s", MG_FMT(who), MG_FMT(thing));
}

/* What oldObject has is what an earlier policy put there: put back, it changes nothing, and a Pod or Job would refuse another. */
static void fill(struct work *work, const struct addition *add) {
  struct mg_branch *branch = add->branch;
  mg_node before = mg_get(branch->old, add->key);
  if (!mg_missing(mg_get(branch->node, add->key)) || mg_missing(add->value) || !wants(work, add)) return;
  mg_branch_set(work->pod, mg_run_patch(work->run), branch, add->key, mg_missing(before) ? add->value : before);
  work->changed = true;
}

/* A limit below the user's own request, or a request above the limit, would be refused by the API server. */
static bool fits(const struct mg_branch *branch, mg_str resource, mg_node value) {
  const bool limit = mg_str_is(branch->key, "limits");
  mg_node other = mg_get(mg_get(branch->up->node, limit ? MG_S("requests") : MG_S("limits")), resource);
  struct mg_quantity mine, theirs;
  if (mg_missing(other)) return true;
  if (mg_quantity_read(value, &mine, NULL) || mg_quantity_read(other, &theirs, NULL)) return false;
  return limit ? mg_quantity_cmp(mine, theirs) >= 0 : mg_quantity_cmp(mine, theirs) <= 0;
}

static void merge_map(struct work *work, struct mg_branch *branch, mg_node add, bool amounts) {
  for (mg_node key = mg_first(add); key.at; key = mg_next(key))
    if (!amounts || fits(branch, mg_text(key), mg_value(key)))
      fill(work, &(struct addition){branch, ENTRY, mg_text(key), mg_value(key)});
}

/* Where oldObject has it, so that applying the same file again changes nothing. */
static uint32_t old_place(const struct mg_branch *branch, mg_node item, mg_str key, mg_node *ret_old) {
  uint32_t index;
  *ret_old = mg_pod_find_item(branch->old, item, key, &index);
  return ret_old->at && index <= mg_count(branch->node) ? index : AT_END;
}

static void insert(struct work *work, struct mg_branch *branch, mg_node item, mg_str key) {
  mg_node before;
  uint32_t at = old_place(branch, item, key, &before);
  mg_branch_insert(work->pod, mg_run_patch(work->run), branch, before.at ? before : item, at);
  work->changed = true;
}

/* ---- volumes that a mount needs ---- */

static mg_node own_volume(const struct work *work, mg_str name) {
  if (mg_pod_may_set(work->pod, MG_S("volumes")))
    for (mg_node n = mg_first(MG_GET(work->p->spec, "volumes")); n.at; n = mg_next(n))
      if (mg_str_eq(mg_text(MG_GET(n, "name")), name)) return n;
  return (mg_node){0};
}

/* Without its volume a mount would have the API server refuse the pod. */
static bool has_volume(const struct work *work, mg_node mount) {
  mg_str name = mg_text(MG_GET(mount, "name"));
  return mg_pod_volume(work->pod, name).at || mg_pod_has_claim_template(work->pod, name) || own_volume(work, name).at;
}

static void bring_volume(struct work *work, mg_node mount) {
  mg_str name = mg_text(MG_GET(mount, "name"));
  mg_node volume = own_volume(work, name);
  struct mg_branch spec = {.kind = MG_OBJECT, .node = work->pod->spec, .old = work->old ? work->old->spec : (mg_node){0}};
  struct mg_branch volumes = mg_branch_below(&spec, MG_S("volumes"), MG_ARRAY);
  if (mg_pod_volume(work->pod, name).at || mg_pod_has_claim_template(work->pod, name) || !mg_branch_is_open(&volumes)) return;
  insert(work, &volumes, volume, MG_S("name"));
}

/* ---- the merge ---- */

static void merge_list(struct work *work, struct mg_branch *branch, mg_node add, mg_str key) {
  const bool mounts = mg_str_is(branch->key, "volumeMounts") || mg_str_is(branch->key, "volumeDevices");
  for (mg_node n = mg_first(add); n.at; n = mg_next(n)) {
    uint32_t index;
    if (mg_pod_find_item(branch->node, n, key, &index).at || (mounts && !has_volume(work, n))) continue;
    if (!wants(work, &(struct addition){branch, ITEM, mg_text(mg_get(n, key)), n})) continue;
    if (mounts) bring_volume(work, n);
    insert(work, branch, n, key);
  }
}

static void merge_fields(struct work *work, struct mg_branch *branch, const struct mg_field *table, mg_node add);

static void merge_field(struct work *work, struct mg_branch *branch, const struct mg_field *field, mg_node value) {
  mg_str name = mg_str_of(field->key), key = {0};
  const bool list = field->type == &mg_t_list, amounts = field->type == &mg_t_amounts;
  enum mg_list_merge merge = list ? mg_pod_list_merge(name, &key) : MG_MERGE_WHOLE;
  struct mg_branch below = mg_branch_below(branch, name, list ? MG_ARRAY : MG_OBJECT);
  const bool open = mg_branch_is_open(&below);
  if (list && merge != MG_MERGE_WHOLE) {
    if (open) merge_list(work, &below, value, key);
  } else if (amounts || field->type == &mg_t_pairs) {
    if (open) merge_map(work, &below, value, amounts);
  } else if (field->type == &mg_t_object) {
    if (open) merge_fields(work, &below, ((const struct mg_shape *)field->arg)->fields, value);
  } else {
    fill(work, &(struct addition){branch, FIELD, name, value});
  }
}

static void merge_fields(struct work *work, struct mg_branch *branch, const struct mg_field *table, mg_node add) {
  for (mg_node key = mg_first(add); key.at; key = mg_next(key)) {
    const struct mg_field *field = mg_pod_field_of(table, mg_text(key));
    if (field) merge_field(work, branch, field, mg_value(key));
  }
}

static void merge_container(struct work *work, mg_node node, mg_node old, mg_node add) {
  struct mg_branch branch = {.kind = MG_OBJECT, .node = node, .old = old};
  for (mg_node key = mg_first(add); key.at; key = mg_next(key)) {
    const struct mg_field *field = mg_pod_field_of(mg_pod_container_fields, mg_text(key));
    if (field && !mg_str_is(mg_text(key), "name")) merge_field(work, &branch, field, mg_value(key));
  }
}

static mg_node old_container(const struct work *work, const struct mg_container *c) {
  for (uint32_t i = 0; work->old && i < work->old->container_count; i++) {
    const struct mg_container *then = &work->old->containers[i];
    if (then->list == c->list && (c->name.n ? mg_str_eq(then->name, c->name) : then->number == c->number)) return then->node;
  }
  return (mg_node){0};
}

static bool has_container(const struct mg_pod *pod, mg_str name) {
  for (uint32_t i = 0; i < pod->container_count; i++)
    if (mg_str_eq(pod->containers[i].name, name)) return true;
  return false;
}

static bool matches(const struct mg_pod_patch_entry *entry, mg_str name) {
  return mg_pattern_match(entry->name, name) == 1;
}

/* A sidecar of the patch's own, with what its globs add to every container, or else a second pass would. */
static void add_container(struct work *work, struct mg_branch *list, const struct mg_list *entries,
                          const struct mg_pod_patch_entry *own) {
  mg_str name = mg_text(MG_GET(own->node, "name"));
  uint32_t index;
  if (!mg_get_key(own->node, MG_S("image")).at || has_container(work->pod, name) || !mg_branch_is_open(list)) return;
  if (!wants(work, &(struct addition){list, ITEM, name, own->node})) return;
  insert(work, list, own->node, MG_S("name"));
  mg_node added = mg_pod_find_item(list->node, own->node, MG_S("name"), &index);
  work->unasked = true;
  for (uint32_t i = 0; added.at && i < entries->count; i++) {
    const struct mg_pod_patch_entry *e = &MG_LIST_AT(*entries, struct mg_pod_patch_entry, i);
    if (e->glob && matches(e, name)) merge_container(work, added, (mg_node){0}, e->node);
  }
  work->unasked = false;
}

static void merge_containers(struct work *work, struct mg_branch *spec, bool init) {
  const struct mg_list *entries = init ? &work->p->init : &work->p->main;
  mg_str key = init ? MG_S("initContainers") : MG_S("containers");
  struct mg_branch list = mg_branch_below(spec, key, MG_ARRAY);
  for (uint32_t e = 0; e < entries->count; e++) {
    const struct mg_pod_patch_entry *entry = &MG_LIST_AT(*entries, struct mg_pod_patch_entry, e);
    for (uint32_t i = 0; i < work->pod->container_count; i++) {
      struct mg_container *c = &work->pod->containers[i];
      if (c->list != (init ? MG_LIST_INIT : MG_LIST_MAIN) || !matches(entry, c->name) || !mg_run_sees(work->run, c)) continue;
      work->container = c;
      merge_container(work, c->node, old_container(work, c), entry->node);
    }
    work->container = NULL;
    if (!entry->glob && mg_run_sees_template(work->run) && mg_pod_may_set(work->pod, key))
      add_container(work, &list, entries, entry);
  }
}

static void merge_template(struct work *work, struct mg_branch *spec) {
  struct mg_pod *pod = work->pod;
  struct mg_branch root = {.kind = MG_OBJECT, .node = pod->node, .old = work->old ? work->old->node : (mg_node){0}};
  struct mg_branch metadata = mg_branch_below(&root, MG_S("metadata"), MG_OBJECT);
  if (pod->row->shape == MG_SHAPE_TEMPLATE && mg_pod_may_set(pod, MG_S("metadata")))
    merge_fields(work, &metadata, mg_pod_metadata_fields, work->p->metadata);
  for (mg_node key = mg_first(work->p->spec); key.at; key = mg_next(key)) {
    const struct mg_field *field = mg_pod_field_of(mg_pod_spec_fields, mg_text(key));
    if (field && !mg_pod_patch_is_containers(mg_text(key)) && mg_pod_may_set(pod, mg_text(key)))
      merge_field(work, spec, field, mg_value(key));
  }
}

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  struct work work = {.run = run, .p = params, .pod = pod, .old = mg_run_old_pod(run)};
  struct mg_branch spec = {.kind = MG_OBJECT, .node = pod->spec, .old = work.old ? work.old->spec : (mg_node){0}};
  if (pod->container_count > MOST_CONTAINERS) {
    mg_run_warning(run, "a template has more than %d containers; nothing is added to it", MOST_CONTAINERS);
    return;
  }
  if (mg_run_sees_template(run)) merge_template(&work, &spec);
  merge_containers(&work, &spec, true);
  merge_containers(&work, &spec, false);
  if (work.changed) mg_pod_reread(pod);
}

const struct mg_rule_type mg_rule_patch = {
    .name = "patch",
    .doc = "Adds to pod templates what is not there, merged as Kubernetes merges a strategic patch: list items by name, mount "
           "path, port or the like. Nothing that is there is changed, and nothing removed.",
    .fields = mg_pod_patch_fields,
    .params_size = sizeof(struct mg_pod_patch),
    .compile = mg_pod_patch_compile,
    .mutate = mutate,
    .cross_check = mg_pod_patch_cross_check,
};
