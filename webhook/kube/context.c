#include "kube/context.h"

#include <stdlib.h>

#include "kube/workload.h"

#define OF_NAMESPACE (UINT32_C(1) << 31) /* in a slot: the first item of a namespace, not the item of a name */

static const struct row {
  const char *group, *version, *kind; /* version NULL: any */
  const char *resource;
  bool cluster_scoped;
} rows[MG_CTX_KINDS] = {
    [MG_CTX_NAMESPACE] = {"", "v1", "Namespace", "namespaces", true},
    [MG_CTX_LIMIT_RANGE] = {"", "v1", "LimitRange", "limitranges", false},
    [MG_CTX_RESOURCE_QUOTA] = {"", "v1", "ResourceQuota", "resourcequotas", false},
    [MG_CTX_PRIORITY_CLASS] = {"scheduling.k8s.io", NULL, "PriorityClass", "priorityclasses", true},
    [MG_CTX_RESOURCE_CLAIM] = {"resource.k8s.io", NULL, "ResourceClaim", "resourceclaims", false},
    [MG_CTX_RESOURCE_CLAIM_TEMPLATE] = {"resource.k8s.io", NULL, "ResourceClaimTemplate", "resourceclaimtemplates", false},
    [MG_CTX_DEVICE_CLASS] = {"resource.k8s.io", NULL, "DeviceClass", "deviceclasses", true},
};

int mg_context_kind_of(mg_str api_version, mg_str kind) {
  mg_str group, version;
  mg_split_api_version(api_version, &group, &version);
  for (int i = 0; i < MG_CTX_KINDS; i++) {
    const struct row *row = &rows[i];
    if (!mg_str_is(kind, row->kind) || !mg_str_is(group, row->group)) continue;
    if (!row->version || mg_str_is(version, row->version)) return i;
  }
  return -1;
}

const char *mg_context_kind_name(enum mg_context_kind kind) {
  return rows[kind].kind;
}

bool mg_context_cluster_scoped(enum mg_context_kind kind) {
  return rows[kind].cluster_scoped;
}

const char *mg_context_group(enum mg_context_kind kind) {
  return rows[kind].group;
}

const char *mg_context_resource(enum mg_context_kind kind) {
  return rows[kind].resource;
}

/* ---- tables ---- */

/* name "": of the namespace alone. */
static uint32_t hash_of(mg_str ns, mg_str name) {
  uint64_t h = mg_str_hash(MG_HASH, ns);
  return (uint32_t)(name.n ? mg_str_hash(h, name) : h);
}

mg_str mg_context_namespace(enum mg_context_kind kind, mg_node object) {
  mg_str ns = mg_string(MG_GET(MG_GET(object, "metadata"), "namespace"));
  if (rows[kind].cluster_scoped) return MG_S("");
  return ns.n ? ns : MG_S("default");
}

void mg_context_identify(struct mg_context_object *o, enum mg_context_kind kind, mg_node object) {
  o->object = object;
  o->name = mg_string(MG_GET(MG_GET(object, "metadata"), "name"));
  o->ns = mg_context_namespace(kind, object);
  o->hash = hash_of(o->ns, o->name);
}

static void table_unref(struct mg_context_table *t) {
  if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
  for (uint32_t i = 0; i < t->count; i++) mg_context_object_unref(t->items[i]);
  free(t->items);
  free(t->slots);
  free(t);
}

static struct mg_context_table *table_ref(struct mg_context_table *t) {
  if (t) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
  return t;
}

static struct mg_context_table *table_new(uint32_t room) {
  struct mg_context_table *t = calloc(1, sizeof *t);
  if (t) t->items = calloc(room ? room : 1, sizeof(struct mg_context_object *));
  if (!t || !t->items) {
    free(t);
    return NULL;
  }
  atomic_init(&t->refs, 1);
  return t;
}

static void table_put(struct mg_context_table *t, struct mg_context_object *o) {
  t->items[t->count++] = mg_context_object_ref(o);
}

int mg_context_object_compare(const struct mg_context_object *a, const struct mg_context_object *b) {
  int order = mg_str_cmp(a->ns, b->ns);
  return order ? order : mg_str_cmp(a->name, b->name);
}

static int compare_items(const void *a, const void *b) {
  return mg_context_object_compare(*(struct mg_context_object *const *)a, *(struct mg_context_object *const *)b);
}

static void take_slot(struct mg_context_table *t, uint32_t hash, uint32_t value) {
  while (t->slots[hash & t->mask]) hash++;
  t->slots[hash & t->mask] = value;
}

/* Sorts, which those of a watch are already, and numbers: at most half of the slots are taken. */
static int table_index(struct mg_context_table *t) {
  bool sorted = true;
  uint32_t slots = 4;
  for (uint32_t i = 1; i < t->count && sorted; i++) sorted = mg_context_object_compare(t->items[i - 1], t->items[i]) <= 0;
  if (!sorted) qsort(t->items, t->count, sizeof *t->items, compare_items);
  while (slots < t->count * 4) slots *= 2;
  t->slots = calloc(slots, sizeof *t->slots);
  if (!t->slots) return -1;
  t->mask = slots - 1;
  for (uint32_t i = 0; i < t->count; i++) {
    const struct mg_context_object *o = t->items[i];
    take_slot(t, o->hash, i + 1);
    if (i == 0 || !mg_str_eq(t->items[i - 1]->ns, o->ns)) take_slot(t, hash_of(o->ns, (mg_str){0}), (i + 1) | OF_NAMESPACE);
  }
  return 0;
}

/* ---- contexts ---- */

struct mg_context *mg_context_new(void) {
  struct mg_context *c = calloc(1, sizeof *c);
  if (c) atomic_init(&c->refs, 1);
  return c;
}

struct mg_context *mg_context_ref(struct mg_context *context) {
  atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
  return context;
}

void mg_context_unref(struct mg_context *c) {
  if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) return;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) table_unref(c->tables[i]);
  free(c);
}

/* Doubles where the count is a power of two, so that no capacity has to be kept. */
static bool table_grow(struct mg_context_table *t) {
  if (t->count < 4 || (t->count & (t->count - 1))) return true;
  struct mg_context_object **more = realloc(t->items, sizeof *more * t->count * 2);
  if (more) t->items = more;
  return more != NULL;
}

int mg_context_add(struct mg_context *context, struct mg_arena *arena, enum mg_context_kind kind, mg_node object) {
  struct mg_context_object *o = MG_NEW(arena, struct mg_context_object);
  struct mg_context_table **t = &context->tables[kind];
  if (!o) return -1;
  if (!*t) *t = table_new(4);
  if (!*t || !table_grow(*t)) return -1;
  o->borrowed = true;
  mg_context_identify(o, kind, object);
  table_put(*t, o);
  return 0;
}

int mg_context_fill(struct mg_context *context, enum mg_context_kind kind, struct mg_context_object *const *items,
                    uint32_t count) {
  struct mg_context_table *t = table_new(count);
  if (!t) return -1;
  for (uint32_t i = 0; i < count; i++) table_put(t, items[i]);
  table_unref(context->tables[kind]);
  context->tables[kind] = t;
  return 0;
}

void mg_context_share(struct mg_context *context, enum mg_context_kind kind, const struct mg_context *from) {
  table_unref(context->tables[kind]);
  context->tables[kind] = table_ref(from->tables[kind]);
}

/* The API server takes the lowest of several global defaults, so that a class added by mistake raises nobody. */
static void find_default_class(struct mg_context *context) {
  int64_t lowest = INT64_MAX;
  const struct mg_context_object *o = NULL;
  context->default_class = (mg_str){0};
  while ((o = mg_context_next(context, MG_CTX_PRIORITY_CLASS, (mg_str){0}, o))) {
    int64_t value = 0;
    mg_node at = MG_GET(o->object, "value");
    if (!mg_true(MG_GET(o->object, "globalDefault"))) continue;
    if (!mg_missing(at) && !mg_int64(at, &value)) continue;
    if (context->default_class.n && value >= lowest) continue;
    lowest = value;
    context->default_class = o->name;
  }
}

int mg_context_seal(struct mg_context *context) {
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++)
    if (context->tables[i] && !context->tables[i]->slots && table_index(context->tables[i])) return -1;
  find_default_class(context);
  return 0;
}

/* Of two of one name that of the files. */
static struct mg_context_table *merge(const struct mg_context_table *files, const struct mg_context_table *live) {
  struct mg_context_table *t = table_new(files->count + live->count);
  uint32_t f = 0, l = 0;
  while (t && (f < files->count || l < live->count)) {
    int order = f == files->count ? 1 : l == live->count ? -1 : mg_context_object_compare(files->items[f], live->items[l]);
    table_put(t, order <= 0 ? files->items[f] : live->items[l]);
    f += order <= 0;
    l += order >= 0;
  }
  return t;
}

struct mg_context *mg_context_join(const struct mg_context *files, const struct mg_context *live) {
  struct mg_context *c = mg_context_new();
  if (!c) return NULL;
  c->known = live->known;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    struct mg_context_table *f = files->tables[i], *l = live->tables[i];
    c->tables[i] = f && l ? merge(f, l) : table_ref(f ? f : l);
    if (f && l && !c->tables[i]) {
      mg_context_unref(c);
      return NULL;
    }
  }
  if (!mg_context_seal(c)) return c;
  mg_context_unref(c);
  return NULL;
}

/* ---- looking up ---- */

/* The number of the item, or, without a name, that of the namespace's first; the count where there is none. */
static uint32_t number_of(const struct mg_context_table *t, mg_str ns, mg_str name) {
  uint32_t hash = hash_of(ns, name);
  for (uint32_t at = hash; t->slots && t->slots[at & t->mask]; at++) {
    uint32_t slot = t->slots[at & t->mask], number = (slot & ~OF_NAMESPACE) - 1;
    const struct mg_context_object *o = t->items[number];
    if (name.n ? (slot & OF_NAMESPACE) || o->hash != hash || !mg_str_eq(o->name, name) : !(slot & OF_NAMESPACE)) continue;
    if (mg_str_eq(o->ns, ns)) return number;
  }
  return t->count;
}

mg_node mg_context_find(const struct mg_context *context, enum mg_context_kind kind, mg_str ns, mg_str name) {
  const struct mg_context_table *t = context->tables[kind];
  uint32_t at = t && name.n ? number_of(t, rows[kind].cluster_scoped ? (mg_str){0} : ns, name) : 0;
  return t && name.n && at < t->count ? t->items[at]->object : (mg_node){0};
}

const struct mg_context_object *mg_context_next(const struct mg_context *context, enum mg_context_kind kind, mg_str ns,
                                                const struct mg_context_object *behind) {
  const struct mg_context_table *t = context->tables[kind];
  if (!t) return NULL;
  if (rows[kind].cluster_scoped) ns = (mg_str){0};
  uint32_t at = behind ? number_of(t, ns, behind->name) + 1 : number_of(t, ns, (mg_str){0});
  while (behind && at < t->count && mg_str_eq(t->items[at]->name, behind->name)) at++; /* a namesake would lead back here */
  return at < t->count && mg_str_eq(t->items[at]->ns, ns) ? t->items[at] : NULL;
}
