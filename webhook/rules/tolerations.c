#include <stdlib.h>

#include "kube/name.h"
#include "rules/rules.h"

enum operator { EQUAL, EXISTS, OTHER };
static const char *const operator_words[] = {"Equal", "Exists", NULL};
static const char *const effect_words[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
enum when { ALWAYS, RESTARTABLE };
static const char *const when_words[] = {"always", "restartable", NULL};

enum { ACCELERATORS_MAX = 64 }; /* distinct ones of a template */

struct toleration {
  mg_str key;
  uint32_t operator;
  mg_str value;
  uint32_t effect_word; /* of a policy; what counts is `effect` */
  mg_str effect;        /* empty: every effect */
  struct mg_opt_int seconds;
  mg_node node; /* as the policy has it; absent for an accelerator's */
};

struct params {
  bool for_each;
  struct mg_list add; /* of struct toleration */
  uint32_t when;
};

static const struct mg_field toleration_fields[] = {
    {"key", &mg_t_text, offsetof(struct toleration, key), .doc = "Taint key; empty, with Exists: every taint."},
    {"operator", &mg_t_enum, offsetof(struct toleration, operator), operator_words, .def = "Equal",
     .doc = "How the value is compared."},
    {"value", &mg_t_text, offsetof(struct toleration, value), .doc = "Taint value, for Equal."},
    {"effect", &mg_t_enum, offsetof(struct toleration, effect_word), effect_words, .doc = "Taint effect; absent: any."},
    {"tolerationSeconds", &mg_t_count, offsetof(struct toleration, seconds), .doc = "With NoExecute: how long the Pod stays."},
    MG_FIELDS_END,
};
static const struct mg_shape toleration_shape = {toleration_fields, "a toleration"};
static const struct mg_item toleration_item = {&mg_t_object, sizeof(struct toleration), &toleration_shape};

static const struct mg_field fields[] = {
    {"forEachAccelerator", &mg_t_bool, offsetof(struct params, for_each), .def = "false",
     .doc = "Adds {key: RESOURCE, operator: Exists, effect: NoSchedule} for each counted accelerator that a template asks for."},
    {"add", &mg_t_list, offsetof(struct params, add), &toleration_item, .doc = "Tolerations to add."},
    {"when", &mg_t_enum, offsetof(struct params, when), when_words, .def = "always",
     .doc = "restartable: only templates whose failure is retried."},
    MG_FIELDS_END,
};

/* What the API server would refuse of every Pod. */
static bool check_toleration(struct mg_load *load, const struct toleration *t) {
  const uint32_t before = load->diags->error_count;
  mg_node value = MG_GET(t->node, "value");
  if (t->key.n && !mg_name_is_label_key(t->key))
    mg_diag_error(load->diags, MG_GET(t->node, "key"), MG_AT_VALUE, "\"%.*s\" is no taint key", MG_FMT(t->key));
  if (!t->key.n && t->operator == EQUAL)
    mg_diag_error(load->diags, t->node, MG_AT_KEY, "a toleration without key must have \"operator: Exists\"");
  if (t->operator == EXISTS && t->value.n)
    mg_diag_error(load->diags, value, MG_AT_KEY, "a toleration with \"operator: Exists\" has no value");
  else if (!mg_name_is_label_value(t->value))
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%.*s\" is no taint value", MG_FMT(t->value));
  if (t->seconds.set && !mg_str_is(t->effect, "NoExecute"))
    mg_diag_error(load->diags, MG_GET(t->node, "tolerationSeconds"), MG_AT_KEY,
                  "\"tolerationSeconds\" needs \"effect: NoExecute\"");
  return load->diags->error_count == before;
}

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  mg_node add = MG_GET(at, "add");
  struct toleration *copy = MG_NEW_N(load->arena, struct toleration, p->add.count ? p->add.count : 1);
  if (!copy) return false;
  bool good = true;
  for (uint32_t i = 0; i < p->add.count; i++) {
    copy[i] = MG_LIST_AT(p->add, struct toleration, i);
    copy[i].node = mg_item(add, i);
    copy[i].effect = mg_text(MG_GET(copy[i].node, "effect"));
    good &= check_toleration(load, &copy[i]);
  }
  p->add.items = copy;
  if (p->for_each || p->add.count) return good;
  mg_diag_error(load->diags, at, MG_AT_KEY, "tolerations adds nothing: it needs \"forEachAccelerator: true\" or \"add\"");
  return false;
}

/* A toleration of an object. What the API server would refuse covers nothing. */
static void read_present(mg_node n, struct toleration *ret) {
  static const struct {
    const char *word;
    enum operator operator;
  } operators[] = {{"", EQUAL}, {"Equal", EQUAL}, {"Exists", EXISTS}};
  *ret = (struct toleration){.operator = OTHER, .node = n};
  if (!mg_is(n, MG_OBJECT)) return;
  mg_str word = mg_text(MG_GET(n, "operator"));
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    if (mg_str_is(word, operators[i].word)) ret->operator = operators[i].operator;
  ret->key = mg_text(MG_GET(n, "key"));
  ret->value = mg_text(MG_GET(n, "value"));
  ret->effect = mg_text(MG_GET(n, "effect"));
  mg_node seconds = MG_GET(n, "tolerationSeconds");
  ret->seconds.set = !mg_missing(seconds);
  mg_int64(seconds, &ret->seconds.value);
}

/* Every taint that `want` tolerates, `have` tolerates too. How many seconds is the user's affair, whether at all is not. */
static bool covers(const struct toleration *have, const struct toleration *want) {
  if (have->operator == OTHER || (have->seconds.set && !want->seconds.set)) return false;
  if (have->effect.n && !mg_str_eq(have->effect, want->effect)) return false;
  if (have->key.n == 0) return have->operator == EXISTS;
  if (!mg_str_eq(have->key, want->key)) return false;
  return have->operator == EXISTS || (want->operator == EQUAL && mg_str_eq(have->value, want->value));
}

/* What a template has, read once for all rules: an object may carry a hundred thousand tolerations. */
struct present {
  struct toleration *items;
  uint32_t count, cap;
};

struct work {
  struct mg_run *run;
  struct mg_pod *pod;
  struct present *present, *old; /* old may be NULL */
};

static struct present *read_all(struct mg_arena *arena, mg_node list) {
  struct present *p = MG_NEW(arena, struct present);
  const uint32_t cap = mg_count(list) + 8;
  if (p) p->items = mg_arena_alloc(arena, cap * sizeof *p->items);
  if (!p || !p->items) return NULL;
  p->cap = cap;
  for (mg_node n = mg_first(list); n.at; n = mg_next(n)) read_present(n, &p->items[p->count++]);
  return p;
}

static void remember(struct mg_pod *pod, struct present *p) {
  pod->memo.owner = &mg_rule_tolerations;
  pod->memo.version = pod->version;
  pod->memo.value = p;
}

/* NULL: out of memory, or there is something else than a list. */
static struct present *present_of(struct mg_arena *arena, struct mg_pod *pod) {
  if (pod->memo.owner == &mg_rule_tolerations && pod->memo.version == pod->version) return pod->memo.value;
  mg_node list = MG_GET(pod->spec, "tolerations");
  if (!mg_missing(list) && !mg_is(list, MG_ARRAY)) return NULL;
  struct present *p = read_all(arena, list);
  if (p) remember(pod, p);
  return p;
}

static void add_present(struct mg_arena *arena, struct present *p, const struct toleration *t) {
  if (p->count == p->cap) {
    struct toleration *more = mg_arena_grow(arena, p->items, p->cap * sizeof *more, 2 * (size_t)p->cap * sizeof *more);
    if (!more) return;
    p->items = more;
    p->cap *= 2;
  }
  p->items[p->count++] = *t;
}

static bool is_covered(const struct work *work, const struct toleration *want) {
  for (uint32_t i = 0; i < work->present->count; i++)
    if (covers(&work->present->items[i], want)) return true;
  return false;
}

/* The same toleration; how many seconds is its value. */
static bool is_same(const struct toleration *a, const struct toleration *b) {
  return a->operator == b->operator && mg_str_eq(a->key, b->key) && mg_str_eq(a->value, b->value) &&
         mg_str_eq(a->effect, b->effect);
}

/* What oldObject has is put back as it was, in its place, so that applying the same file again changes nothing. NULL: it is
 * new. */
static const struct toleration *old_one(const struct work *work, const struct toleration *want) {
  for (uint32_t i = 0; work->old && i < work->old->count; i++)
    if (is_same(&work->old->items[i], want)) return &work->old->items[i];
  return NULL;
}

static mg_node make_toleration(struct mg_pod *pod, const struct toleration *t) {
  if (t->node.at) return t->node;
  struct mg_doc *doc = pod->spec.doc;
  mg_node n = mg_make(doc, MG_OBJECT);
  mg_put(n, MG_S("key"), mg_make_text(doc, MG_STRING, t->key));
  mg_put(n, MG_S("operator"), mg_make_text(doc, MG_STRING, MG_S("Exists")));
  mg_put(n, MG_S("effect"), mg_make_text(doc, MG_STRING, t->effect));
  return n;
}

/* The taint as kubectl writes it: key=value:effect. */
static mg_str taint_text(struct mg_arena *arena, const struct toleration *t) {
  const bool value = t->operator == EQUAL;
  mg_str key = t->key.n ? t->key : MG_S("any taint");
  return mg_arena_printf(arena, "%.*s%s%.*s%s%.*s", MG_FMT(key), value ? "=" : "", MG_FMT(value ? t->value : MG_S("")),
                         t->effect.n ? ":" : "", MG_FMT(t->effect));
}

static mg_str fix_text(struct mg_arena *arena, const struct toleration *t) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, 2048);
  mg_buf_lit(&buf, "tolerations: + {");
  if (t->key.n) mg_buf_printf(&buf, "key: %.*s, ", MG_FMT(t->key));
  mg_buf_printf(&buf, "operator: %s", operator_words[t->operator]);
  if (t->operator == EQUAL) mg_buf_printf(&buf, ", value: \"%.*s\"", MG_FMT(t->value));
  if (t->effect.n) mg_buf_printf(&buf, ", effect: %.*s", MG_FMT(t->effect));
  if (t->seconds.set) mg_buf_printf(&buf, ", tolerationSeconds: %lld", (long long)t->seconds.value);
  mg_buf_byte(&buf, '}');
  return mg_buf_str(&buf);
}

static void want(struct work *work, const struct toleration *t) {
  if (is_covered(work, t)) return;
  struct mg_arena *arena = mg_run_arena(work->run);
  const bool explain = mg_run_explains(work->run);
  mg_str taint = explain ? taint_text(arena, t) : (mg_str){0};
  struct mg_finding finding = {
      .pod = work->pod,
      .where = MG_WHERE(work->pod->spec, MG_S("tolerations")),
      .subject = mg_arena_printf(arena, "%.*s/%s/%.*s/%.*s", MG_FMT(t->key), operator_words[t->operator], MG_FMT(t->value),
                                 MG_FMT(t->effect)),
      .fix = explain ? fix_text(arena, t) : (mg_str){0},
  };
  if (!mg_run_wants(work->run, &finding, "no toleration for %.*s", MG_FMT(taint))) return;
  const struct toleration *old = old_one(work, t);
  const uint32_t place = old ? (uint32_t)(old - work->old->items) : UINT32_MAX;
  if (old) t = old;
  mg_pod_add_toleration(work->pod, mg_run_patch(work->run), make_toleration(work->pod, t),
                        place <= work->present->count ? place : UINT32_MAX);
  add_present(arena, work->present, t);
  remember(work->pod, work->present);
}

static bool is_some(enum mg_amount_state state, struct mg_quantity q) {
  return state == MG_AMOUNT_UNREADABLE || (state == MG_AMOUNT_READ && q.nano > 0);
}

static bool is_device_count(const struct mg_amount *a) {
  return a->accelerator && a->accelerator->unit == MG_UNIT_COUNT &&
         (is_some(a->limit_state, a->limit_q) || is_some(a->request_state, a->request_q));
}

static int by_name(const void *a, const void *b) {
  return mg_str_cmp(*(const mg_str *)a, *(const mg_str *)b);
}

static size_t device_names(struct mg_arena *arena, const struct mg_pod *pod, mg_str **ret) {
  size_t most = 0, count = 0;
  for (uint32_t i = 0; i < pod->container_count; i++) most += pod->containers[i].amount_count;
  mg_str *names = *ret = most ? MG_NEW_N(arena, mg_str, most) : NULL;
  if (!names) return 0;
  for (uint32_t i = 0; i < pod->container_count; i++)
    for (uint32_t j = 0; j < pod->containers[i].amount_count; j++) {
      const struct mg_amount *a = &pod->containers[i].amounts[j];
      if (is_device_count(a)) names[count++] = a->resource;
    }
  qsort(names, count, sizeof *names, by_name);
  return count;
}

/* In the order of the names, as the API server's own ExtendedResourceToleration adds them. */
static void want_accelerators(struct work *work) {
  mg_str *names;
  size_t count = device_names(mg_run_arena(work->run), work->pod, &names), distinct = 0;
  for (size_t i = 0; i < count; i++) {
    if (i && mg_str_eq(names[i], names[i - 1])) continue;
    if (distinct++ == ACCELERATORS_MAX) {
      mg_run_warning(work->run, "a template has more than %d kinds of accelerator; the others get no toleration",
                     ACCELERATORS_MAX);
      return;
    }
    struct toleration t = {.key = names[i], .operator = EXISTS, .effect = MG_S("NoSchedule")};
    want(work, &t);
  }
}

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  if (!mg_run_sees_template(run) || !mg_pod_may_set(pod, MG_S("tolerations"))) return;
  if (p->when == RESTARTABLE && !mg_pod_is_retried(pod)) return;
  struct work work = {.run = run, .pod = pod};
  struct mg_pod *old = mg_run_old_pod(run);
  if (!(work.present = present_of(mg_run_arena(run), pod))) return;
  if (old) work.old = present_of(mg_run_arena(run), old);
  if (p->for_each) want_accelerators(&work);
  for (uint32_t i = 0; i < p->add.count; i++) want(&work, &MG_LIST_AT(p->add, struct toleration, i));
}

const struct mg_rule_type mg_rule_tolerations = {
    .name = "tolerations",
    .doc = "Adds tolerations that no present one covers, for each accelerator or as listed. Never removes or reorders.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
};
