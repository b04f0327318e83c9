/* Which requests the API server has to send: from the workload table and the policies in use. */
#include "app/manifests.h"
#include "policy/match.h"

#define BIT(operation) (1u << (operation))
#define USUAL (BIT(MG_CREATE) | BIT(MG_UPDATE))

/* An exclude that says nothing but a kind leaves nothing of it. */
static bool is_excluded(const struct mg_policy *policy, const struct mg_kind_row *row) {
  for (uint32_t i = 0; i < policy->exclude.count; i++) {
    const struct mg_match *m = &MG_LIST_AT(policy->exclude, struct mg_match, i);
    bool more = m->has_operations || m->has_namespaces || m->has_names || m->has_users || m->has_groups || m->has_roles ||
                m->has_containers || m->has_images || m->has_namespace_selector || m->has_selector || m->annotations.count ||
                m->accelerators.kind != MG_ACC_ANY;
    for (uint32_t k = 0; k < m->kinds.count; k++) more |= MG_LIST_AT(m->kinds, struct mg_kind_pattern, k).version != NULL;
    if (!more && m->has_kinds && mg_match_kind_possible(m, row)) return true;
  }
  return false;
}

static unsigned operations_of(const struct mg_policy *policy) {
  unsigned ret = 0;
  if (!policy->match.has_operations) return USUAL;
  for (uint32_t i = 0; i < policy->match.operations.count; i++) ret |= BIT(MG_LIST_AT(policy->match.operations, uint32_t, i));
  return ret;
}

static bool mutates(const struct mg_policy *policy) {
  for (uint32_t i = 0; i < policy->rule_count; i++)
    if (mg_rule_type_mutates(policy->rules[i].type)) return policy->action == MG_ENFORCE;
  return false;
}

bool mg_manifests_is_pod(const struct mg_kind_row *row) {
  return row->group.n == 0 && mg_str_is(row->kind, "Pod");
}

bool mg_manifests_asks(const struct mg_policy *policy, const struct mg_kind_row *row, bool mutate) {
  if (!mg_match_kind_possible(&policy->match, row) || is_excluded(policy, row)) return false;
  return !mutate || (row->mutate == MG_MUTATE_TEMPLATE && mutates(policy));
}

struct asked {
  unsigned validate, mutate;
};

static struct asked asked_of(const struct mg_snapshot *snapshot, const struct mg_kind_row *row) {
  struct asked ret = {0};
  for (uint32_t i = 0; i < mg_snapshot_policy_count(snapshot); i++) {
    const struct mg_policy *policy = mg_snapshot_policy(snapshot, i);
    unsigned operations = operations_of(policy);
    if (mg_manifests_asks(policy, row, false)) ret.validate |= operations;
    if (mg_manifests_asks(policy, row, true)) ret.mutate |= operations & USUAL;
  }
  return ret;
}

/* ---- one rule ---- */

static mg_node list_of(struct mg_doc *doc, mg_str only) {
  mg_node list = mg_make(doc, MG_ARRAY);
  mg_push(list, mg_make_text(doc, MG_STRING, only));
  return list;
}

/* The API takes names or "*", no other patterns. */
static mg_node versions_of(struct mg_doc *doc, const struct mg_kind_row *row) {
  mg_node list = mg_make(doc, MG_ARRAY);
  for (uint32_t i = 0; i < row->versions.count; i++) {
    bool whole = false;
    mg_str text = mg_pattern_prefix(MG_LIST_AT(row->versions, struct mg_pattern *, i), &whole);
    if (!whole) return list_of(doc, MG_S("*"));
    mg_push(list, mg_make_text(doc, MG_STRING, text));
  }
  return mg_first(list).at ? list : list_of(doc, MG_S("*"));
}

static mg_node operations_list(struct mg_doc *doc, unsigned operations) {
  mg_node list = mg_make(doc, MG_ARRAY);
  for (unsigned i = 0; mg_operation_words[i]; i++)
    if (operations & BIT(i)) mg_push(list, mg_make_text(doc, MG_STRING, mg_str_of(mg_operation_words[i])));
  return list;
}

static bool like_rule(mg_node a, mg_node b) {
  static const char *const keys[] = {"apiGroups", "apiVersions", "operations", "scope"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (!mg_equal(mg_get(a, mg_str_of(keys[i])), mg_get(b, mg_str_of(keys[i])))) return false;
  return true;
}

/* The resources of the rule of the list that says the same otherwise; it is added where there is none. */
static mg_node resources_in(mg_node rules, const struct mg_kind_row *row, unsigned operations) {
  struct mg_doc *doc = rules.doc;
  mg_node rule = mg_make(doc, MG_OBJECT);
  mg_put(rule, MG_S("apiGroups"), list_of(doc, row->group));
  mg_put(rule, MG_S("apiVersions"), versions_of(doc, row));
  mg_put(rule, MG_S("operations"), operations_list(doc, operations));
  mg_put(rule, MG_S("resources"), mg_make(doc, MG_ARRAY));
  mg_put(rule, MG_S("scope"), mg_make_text(doc, MG_STRING, row->scope ? MG_S("Cluster") : MG_S("Namespaced")));
  for (mg_node n = mg_first(rules); n.at; n = mg_next(n))
    if (like_rule(n, rule)) return MG_GET(n, "resources");
  mg_push(rules, rule);
  return MG_GET(rule, "resources");
}

/* ---- the name of a resource ---- */

/* The usual plural, for documents whose name does not tell. */
static mg_str guess(struct mg_arena *arena, mg_str kind) {
  mg_str s = mg_arena_dup(arena, kind);
  char *p = mg_arena_alloc(arena, kind.n + 1);
  if (!p || !s.n) return s;
  for (size_t i = 0; i < s.n; i++) p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
  s.p = p;
  bool es = mg_str_ends(s, MG_S("s")) || mg_str_ends(s, MG_S("x")) || mg_str_ends(s, MG_S("ch")) || mg_str_ends(s, MG_S("sh"));
  bool ies = mg_str_ends(s, MG_S("y")) && s.n > 1 && !strchr("aeiou", p[s.n - 2]);
  return mg_arena_printf(arena, "%.*s%s", (int)(ies ? s.n - 1 : s.n), p, ies ? "ies" : es ? "es" : "s");
}

/* The WorkloadKind is called as the kind's CustomResourceDefinition is: "PLURAL.GROUP", or "PLURAL" in the core group. */
static mg_str resource_of(struct mg_arena *arena, const struct mg_kind_row *row, struct mg_buf *notes) {
  mg_str name = mg_string(MG_GET(MG_GET(mg_parent(row->at), "metadata"), "name"));
  size_t dot = mg_str_find(name, '.');
  if (name.n && mg_str_eq(mg_str_from(name, dot + 1), row->group)) return (mg_str){name.p, dot};
  mg_str ret = guess(arena, row->kind);
  mg_buf_printf(notes, "WorkloadKind %.*s: taken for resource \"%.*s\"; name it %.*s%s%.*s if that is right\n", MG_FMT(name),
                MG_FMT(ret), MG_FMT(ret), row->group.n ? "." : "", MG_FMT(row->group));
  return ret;
}

/* ---- all of them ---- */

struct lists {
  mg_node validate_pods, validate_others, mutate_pods, mutate_others;
};

static void push_text(mg_node list, mg_str text) {
  mg_push(list, mg_make_text(list.doc, MG_STRING, text));
}

static void add_row(struct lists *to, const struct mg_snapshot *snapshot, const struct mg_kind_row *row, struct mg_buf *notes) {
  struct asked asked = asked_of(snapshot, row);
  bool is_pod = mg_manifests_is_pod(row);
  if (!asked.validate) return;
  mg_str resource = resource_of(to->validate_pods.doc->arena, row, notes);
  mg_node judged = resources_in(is_pod ? to->validate_pods : to->validate_others, row, asked.validate);
  push_text(judged, resource);
  if (is_pod && (asked.validate & BIT(MG_UPDATE))) {
    push_text(judged, MG_S("pods/ephemeralcontainers"));
    push_text(judged, MG_S("pods/resize"));
  }
  if (asked.mutate) push_text(resources_in(is_pod ? to->mutate_pods : to->mutate_others, row, asked.mutate), resource);
}

void mg_manifests_rules(mg_node variables, const struct mg_snapshot *snapshot, struct mg_buf *notes) {
  struct mg_doc *doc = variables.doc;
  const struct mg_kind_table *kinds = mg_snapshot_kinds(snapshot);
  struct lists lists = {mg_make(doc, MG_ARRAY), mg_make(doc, MG_ARRAY), mg_make(doc, MG_ARRAY), mg_make(doc, MG_ARRAY)};
  for (uint32_t i = 0; i < kinds->count; i++) add_row(&lists, snapshot, &kinds->rows[i], notes);
  const struct {
    const char *name, *any;
    mg_node list;
  } all[] = {{"validatePods", "validate", lists.validate_pods},
             {"validateWorkloads", "validate", lists.validate_others},
             {"mutatePods", "mutate", lists.mutate_pods},
             {"mutateWorkloads", "mutate", lists.mutate_others}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (!mg_first(all[i].list).at) continue;
    mg_put(variables, mg_str_of(all[i].name), all[i].list);
    mg_put(variables, mg_str_of(all[i].any), mg_make_text(doc, MG_BOOL, MG_S("true")));
  }
}
