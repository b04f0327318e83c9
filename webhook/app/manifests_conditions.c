/* Match conditions from policies: what a request must have for any of them to find or change something, as CEL. A condition may
 * hold where nothing is found, never the other way round; what cannot be said is left out. No expression may end in an error or
 * run over the API server's budget, since that refuses the request: optional fields are asked for, and lists that are longer than
 * any honest one go to the server unseen. */
#include "app/manifests.h"
#include "rules/gpu.h"

enum { CONTAINERS_MAX = 32, RESOURCES_MAX = 32, ENV_MAX = 128, GROUPS_MAX = 256, WORDS_MAX = 32, WORD_BYTES = 256 };
#define EXPRESSION_MAX ((size_t)1 << 16)

/* What a Pod must have for a rule to act on it. */
enum trait { DEVICES, BACK_DOOR_ENV, RUNTIME_CLASS, HOST_PATH, NODE_SELECTOR, ANYTHING };
#define BIT(trait) (1u << (trait))

/* ---- traits of rules ---- */

static const void *param(const struct mg_rule *rule, const char *key) {
  const struct mg_field *f = rule->type->fields;
  while (f->key && strcmp(f->key, key) != 0) f++;
  return f->key ? (const char *)rule->params + f->offset : NULL;
}

static unsigned of_signals(const struct mg_rule *rule) {
  static const unsigned by_signal[] = {
      [MG_SIGNAL_ENV] = BIT(BACK_DOOR_ENV),           [MG_SIGNAL_RUNTIME_CLASS] = BIT(RUNTIME_CLASS),
      [MG_SIGNAL_DEVICE_PATH] = BIT(HOST_PATH),       [MG_SIGNAL_NODE_SELECTOR] = BIT(NODE_SELECTOR),
      [MG_SIGNAL_TOLERATION] = BIT(ANYTHING),         [MG_SIGNAL_IMAGE] = BIT(ANYTHING),
  };
  const struct mg_list *signals = param(rule, "signals");
  unsigned ret = signals ? BIT(DEVICES) : BIT(ANYTHING);
  for (uint32_t i = 0; signals && i < signals->count; i++) {
    uint32_t signal = MG_LIST_AT(*signals, uint32_t, i);
    ret |= signal < sizeof by_signal / sizeof *by_signal ? by_signal[signal] : BIT(ANYTHING);
  }
  return ret;
}

/* What `add` lists is for every Pod, all else is by accelerator. */
static unsigned of_additions(const struct mg_rule *rule) {
  const struct mg_list *add = param(rule, "add");
  return add && !add->count ? BIT(DEVICES) : BIT(ANYTHING);
}

static unsigned of_shared_memory(const struct mg_rule *rule) {
  const struct mg_opt_int *least = param(rule, "minAccelerators");
  return least && least->value > 0 ? BIT(DEVICES) : BIT(ANYTHING);
}

static const struct {
  const char *name;
  unsigned (*traits)(const struct mg_rule *rule);
} rule_traits[] = {
    {"gpuLimits", of_signals},
    {"tolerations", of_additions},
    {"nodeSelector", of_additions},
    {"sharedMemory", of_shared_memory},
};

static unsigned traits_of_rule(const struct mg_rule *rule) {
  for (size_t i = 0; i < sizeof rule_traits / sizeof *rule_traits; i++)
    if (strcmp(rule_traits[i].name, rule->type->name) == 0) return rule_traits[i].traits(rule);
  return BIT(ANYTHING);
}

static unsigned traits_of_policy(const struct mg_policy *policy, bool mutate) {
  unsigned ret = 0;
  if (policy->match.accelerators.kind == MG_ACC_SOME || policy->match.accelerators.kind == MG_ACC_LIST) return BIT(DEVICES);
  for (uint32_t i = 0; i < policy->rule_count; i++)
    if (!mutate || mg_rule_type_mutates(policy->rules[i].type)) ret |= traits_of_rule(&policy->rules[i]);
  return ret;
}

/* ---- words in CEL ---- */

struct words {
  mg_str items[WORDS_MAX];
  uint32_t count;
  bool unsaid; /* too many, or one that is better not written in quotes */
};

static bool is_quotable(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] < 0x20 || s.p[i] > 0x7e || s.p[i] == '\'' || s.p[i] == '\\') return false;
  return s.n > 0 && s.n <= WORD_BYTES;
}

static void add_word(struct words *w, mg_str word) {
  for (uint32_t i = 0; i < w->count; i++)
    if (mg_str_eq(w->items[i], word)) return;
  if (w->count == WORDS_MAX || !is_quotable(word)) w->unsaid = true;
  else w->items[w->count++] = word;
}

static struct words words_of(struct mg_list list) {
  struct words w = {.count = 0};
  for (uint32_t i = 0; i < list.count; i++) add_word(&w, MG_LIST_AT(list, mg_str, i));
  return w;
}

static void put_words(struct mg_buf *out, const struct words *w) {
  for (uint32_t i = 0; i < w->count; i++) mg_buf_printf(out, "%s'%.*s'", i ? ", " : "[", MG_FMT(w->items[i]));
  mg_buf_lit(out, "]");
}

/* ---- who and where: keys of the request ---- */

struct patterns {
  struct words whole, starts;
};

static void add_patterns(struct patterns *to, struct mg_list patterns) {
  for (uint32_t i = 0; i < patterns.count; i++) {
    bool whole = false;
    mg_str text = mg_pattern_prefix(MG_LIST_AT(patterns, struct mg_pattern *, i), &whole);
    add_word(whole ? &to->whole : &to->starts, text);
  }
}

/* `x in ['a'] || x.startsWith('b')`; nothing where that cannot be said. */
static bool put_patterns(struct mg_buf *out, const struct patterns *p, const char *what) {
  if (p->whole.unsaid || p->starts.unsaid || !(p->whole.count || p->starts.count)) return false;
  if (p->whole.count) {
    mg_buf_printf(out, "%s in ", what);
    put_words(out, &p->whole);
  }
  for (uint32_t i = 0; i < p->starts.count; i++)
    mg_buf_printf(out, "%s%s.startsWith('%.*s')", i || p->whole.count ? " || " : "", what, MG_FMT(p->starts.items[i]));
  return true;
}

/* Everything that one webhook's policies ask for, put together. */
struct demand {
  struct patterns namespaces, users, groups;
  unsigned traits;
};

/* A policy without such a key is for all. */
static void add_key(struct patterns *to, bool has, struct mg_list patterns) {
  if (has) add_patterns(to, patterns);
  else to->whole.unsaid = true;
}

static void add_policy(struct demand *d, const struct mg_policy *policy, bool mutate) {
  const struct mg_match *m = &policy->match;
  add_key(&d->namespaces, m->has_namespaces, m->namespaces);
  add_key(&d->users, m->has_users, m->users);
  add_key(&d->groups, m->has_groups, m->groups);
  d->traits |= traits_of_policy(policy, mutate);
}

static bool put_namespaces(struct mg_buf *out, const struct demand *d) {
  mg_buf_lit(out, "has(request.namespace) && (");
  return put_patterns(out, &d->namespaces, "request.namespace");
}

static bool put_users(struct mg_buf *out, const struct demand *d) {
  mg_buf_lit(out, "has(request.userInfo.username) && (");
  return put_patterns(out, &d->users, "request.userInfo.username");
}

static bool put_groups(struct mg_buf *out, const struct demand *d) {
  mg_buf_printf(out, "has(request.userInfo.groups) && (request.userInfo.groups.size() > %d || request.userInfo.groups.exists(g, ",
                GROUPS_MAX);
  if (!put_patterns(out, &d->groups, "g")) return false;
  mg_buf_lit(out, ")");
  return true;
}

/* ---- what: traits of a Pod ---- */

static void put_resources(struct mg_buf *out, const char *map) {
  mg_buf_printf(out, "has(c.resources.%s) && (c.resources.%s.size() > %d || c.resources.%s.exists(r, r.contains('/')))", map, map,
                RESOURCES_MAX, map);
}

/* An accelerator's name has a slash, and what the API server knows itself has none. */
static void put_container(struct mg_buf *out, unsigned traits, const struct words *env) {
  if (traits & BIT(DEVICES)) {
    mg_buf_lit(out, "has(c.resources) && (");
    put_resources(out, "limits");
    mg_buf_lit(out, " || ");
    put_resources(out, "requests");
    mg_buf_lit(out, ")");
  }
  if (!(traits & BIT(BACK_DOOR_ENV))) return;
  if (traits & BIT(DEVICES)) mg_buf_lit(out, " ||\n    ");
  mg_buf_printf(out, "has(c.env) && (c.env.size() > %d || c.env.exists(e, has(e.name) && e.name in ", ENV_MAX);
  put_words(out, env);
  mg_buf_lit(out, "))");
}

/* The API server writes a list of containers that is not there as null. */
static void put_containers(struct mg_buf *out, unsigned traits, const struct words *env) {
  static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    mg_buf_printf(out, "%shas(object.spec.%s) && object.spec.%s != null ? object.spec.%s : []", i ? ", " : "[", lists[i],
                  lists[i], lists[i]);
  mg_buf_printf(out, "].exists(l, l.size() > %d || l.exists(c,\n    ", CONTAINERS_MAX);
  put_container(out, traits, env);
  mg_buf_lit(out, ")) ||\n  ");
}

static const struct {
  enum trait trait;
  const char *text;
} pod_terms[] = {
    {DEVICES, "has(object.spec.resourceClaims) && object.spec.resourceClaims.size() > 0 ||\n  "},
    {RUNTIME_CLASS, "has(object.spec.runtimeClassName) && object.spec.runtimeClassName != '' ||\n  "},
    {HOST_PATH, "has(object.spec.volumes) && (object.spec.volumes.size() > 128 ||"
                " object.spec.volumes.exists(v, has(v.hostPath))) ||\n  "},
    {NODE_SELECTOR, "has(object.spec.nodeSelector) && object.spec.nodeSelector.size() > 0 ||\n  "},
};

static bool put_pod(struct mg_buf *out, unsigned traits, const struct mg_accelerators *all) {
  struct words env = words_of(all->back_doors.env), shares = words_of(all->shares);
  if (!traits || (traits & BIT(ANYTHING)) || env.unsaid || shares.unsaid) return false;
  if (!env.count) traits &= ~BIT(BACK_DOOR_ENV);
  mg_buf_lit(out, "object == null || has(object.spec) && (\n  ");
  if (traits & (BIT(DEVICES) | BIT(BACK_DOOR_ENV))) put_containers(out, traits, &env);
  for (size_t i = 0; i < sizeof pod_terms / sizeof *pod_terms; i++)
    if (traits & BIT(pod_terms[i].trait)) mg_buf_put(out, mg_str_of(pod_terms[i].text));
  if (!shares.count || !(traits & BIT(DEVICES))) {
    mg_buf_lit(out, "false");
    return true;
  }
  mg_buf_lit(out, "has(object.metadata) && has(object.metadata.annotations) && ");
  put_words(out, &shares);
  mg_buf_lit(out, ".exists(a, a in object.metadata.annotations)");
  return true;
}

/* ---- the lists ---- */

static void push_condition(mg_node list, const char *name, struct mg_buf *text) {
  mg_buf_lit(text, ")");
  if (text->failed) return;
  mg_node item = mg_make(list.doc, MG_OBJECT);
  mg_put(item, MG_S("name"), mg_make_text(list.doc, MG_STRING, mg_str_of(name)));
  mg_put(item, MG_S("expression"), mg_make_text(list.doc, MG_STRING, mg_buf_str(text)));
  mg_push(list, item);
}

static mg_node conditions_of(struct mg_doc *doc, const struct demand *d) {
  static const struct {
    const char *name;
    bool (*put)(struct mg_buf *out, const struct demand *d);
  } all[] = {
      {"in-a-namespace-of-a-policy", put_namespaces},
      {"by-a-user-of-a-policy", put_users},
      {"by-a-group-of-a-policy", put_groups},
  };
  mg_node list = mg_make(doc, MG_ARRAY);
  struct mg_buf text;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    mg_buf_init(&text, doc->arena, EXPRESSION_MAX);
    if (all[i].put(&text, d)) push_condition(list, all[i].name, &text);
  }
  return list;
}

/* Only the whole Pod and its own lists of containers are looked into by the expression. */
static bool is_plain(const struct mg_kind_row *row) {
  const struct mg_template_row *t = row->templates.count == 1 ? &MG_LIST_AT(row->templates, struct mg_template_row, 0) : NULL;
  return t && t->path.count == 0 && t->shape == MG_SHAPE_TEMPLATE && !t->containers.count && !t->devices.count &&
         !row->nested.count;
}

static struct demand demand_of(const struct mg_snapshot *snapshot, bool pods, bool mutate) {
  const struct mg_kind_table *kinds = mg_snapshot_kinds(snapshot);
  struct demand ret = {.traits = pods ? 0 : BIT(ANYTHING)};
  for (uint32_t p = 0; p < mg_snapshot_policy_count(snapshot); p++) {
    const struct mg_policy *policy = mg_snapshot_policy(snapshot, p);
    bool asks = false;
    for (uint32_t k = 0; k < kinds->count && !asks; k++) {
      const struct mg_kind_row *row = &kinds->rows[k];
      asks = mg_manifests_is_pod(row) == pods && mg_manifests_asks(policy, row, mutate);
      if (asks && !is_plain(row)) ret.traits |= BIT(ANYTHING);
    }
    if (asks) add_policy(&ret, policy, mutate);
  }
  return ret;
}

void mg_manifests_conditions(mg_node variables, const struct mg_snapshot *snapshot) {
  static const struct {
    const char *variable;
    bool pods, mutate;
  } all[] = {
      {"validatePodsConditions", true, false},
      {"validateWorkloadsConditions", false, false},
      {"mutatePodsConditions", true, true},
      {"mutateWorkloadsConditions", false, true},
  };
  struct mg_doc *doc = variables.doc;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    struct demand d = demand_of(snapshot, all[i].pods, all[i].mutate);
    mg_node list = conditions_of(doc, &d);
    struct mg_buf text;
    mg_buf_init(&text, doc->arena, EXPRESSION_MAX);
    if (put_pod(&text, d.traits, mg_snapshot_accelerators(snapshot))) push_condition(list, "has-what-a-policy-is-about", &text);
    if (mg_first(list).at) mg_put(variables, mg_str_of(all[i].variable), list);
  }
}
