/* Files -> documents -> a snapshot. Everything is read before anything is refused, so that one run shows every error. */
#include <stdlib.h>

#include "base/embedded.h"
#include "doc/yaml.h"
#include "kube/limit_range.h"
#include "policy/documents.h"

#define SNAPSHOT_ARENA ((size_t)512 << 20)

/* A document waiting for its pass, and the registry of names. */
struct entry {
  struct entry *next;
  const struct mg_document_kind *kind;
  mg_node root;
  mg_str api_kind, ns, name;
  bool built_in; /* a table of ours, which has no name to defend */
  bool pack;     /* gives way */
};

struct loader {
  struct mg_loader to;
  struct entry *first, **end;
  struct entry **names; /* open-addressed by kind, namespace and name */
  uint32_t name_slots, name_count;
};

static uint64_t hash3(mg_str a, mg_str b, mg_str c) {
  return mg_str_hash(mg_str_hash(mg_str_hash(MG_HASH, a), b), c);
}

static bool grow_names(struct loader *l) {
  uint32_t slots = l->name_slots ? l->name_slots * 2 : 256;
  struct entry **names = MG_NEW_N(l->to.load.arena, struct entry *, slots);
  if (!names) return false;
  for (uint32_t i = 0; i < l->name_slots; i++) {
    struct entry *e = l->names[i];
    if (!e) continue;
    uint64_t at = hash3(e->api_kind, e->ns, e->name) & (slots - 1);
    while (names[at]) at = (at + 1) & (slots - 1);
    names[at] = e;
  }
  l->names = names;
  l->name_slots = slots;
  return true;
}

/* Two documents of one kind, namespace and name: an error that shows both places. */
static bool take_name(struct loader *l, struct entry *e, mg_node root) {
  if (e->built_in) return true;
  if (l->name_count * 2 >= l->name_slots && !grow_names(l)) return false;
  uint64_t at = hash3(e->api_kind, e->ns, e->name) & (l->name_slots - 1);
  for (; l->names[at]; at = (at + 1) & (l->name_slots - 1)) {
    const struct entry *other = l->names[at];
    if (!mg_str_eq(other->api_kind, e->api_kind) || !mg_str_eq(other->ns, e->ns) || !mg_str_eq(other->name, e->name)) continue;
    if (e->pack) return false;
    mg_diag_second(l->to.load.diags, MG_GET(MG_GET(root, "metadata"), "name"),
                   MG_GET(MG_GET(other->root, "metadata"), "name"), "%.*s \"%.*s\"", MG_FMT(e->api_kind), MG_FMT(e->name));
    return false;
  }
  l->names[at] = e;
  l->name_count++;
  return true;
}

static void add_context(struct loader *l, struct entry *e, mg_node root, int kind) {
  mg_node meta = MG_GET(root, "metadata");
  e->name = mg_string(MG_GET(meta, "name"));
  e->ns = mg_context_namespace((enum mg_context_kind)kind, root);
  if (!e->name.n) {
    mg_diag_error(l->to.load.diags, meta.at ? meta : root, MG_AT_KEY, "a %.*s without a name", MG_FMT(e->api_kind));
    return;
  }
  if (take_name(l, e, root) && mg_context_add(l->to.snapshot->context, l->to.load.arena, (enum mg_context_kind)kind, root))
    l->to.load.arena->failed = true;
}

static void queue(struct loader *l, struct entry *e) {
  *l->end = e;
  l->end = &e->next;
}

/* False where one of the two words is not there or no string. */
static bool check_words(struct loader *l, mg_node root) {
  static const char *const keys[] = {"apiVersion", "kind"};
  bool good = true;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct mg_field field = {.key = keys[i], .type = &mg_t_string};
    mg_node n = mg_get(root, mg_str_of(keys[i]));
    mg_str text;
    if (n.at)
      good &= mg_t_string.read(&l->to.load, &field, n, &text);
    else
      good = false, mg_diag_error(l->to.load.diags, root, MG_AT_KEY, "the document lacks \"%s\"", keys[i]);
  }
  return good;
}

static void unknown_document(struct loader *l, mg_node root, mg_str api_version, mg_str kind) {
  mg_node version = MG_GET(root, "apiVersion");
  if (!mg_is(root, MG_OBJECT)) {
    mg_diag_error(l->to.load.diags, root, MG_AT_VALUE, "a document must be an object with apiVersion, kind, metadata and spec");
  } else if (!check_words(l, root)) {
    return;
  } else if (mg_str_starts(api_version, MG_S("mlgate.dev/")) && !mg_str_is(api_version, "mlgate.dev/v1")) {
    mg_diag_error(l->to.load.diags, version, MG_AT_VALUE, "unknown version \"%.*s\"; this is mlgate.dev/v1", MG_FMT(api_version));
  } else if (mg_document_kind_of(kind)) {
    mg_diag_error(l->to.load.diags, version, MG_AT_VALUE, "unknown kind \"%.*s\" of %.*s; it is of mlgate.dev/v1", MG_FMT(kind),
                  MG_FMT(api_version));
  } else {
    mg_str hint = mg_document_kind_hint(l->to.load.arena, kind);
    mg_diag_error(l->to.load.diags, MG_GET(root, "kind"), MG_AT_VALUE, "unknown kind \"%.*s\" of %.*s%.*s", MG_FMT(kind),
                  MG_FMT(api_version), MG_FMT(hint));
  }
}

static bool is_list(mg_node root, mg_str api_version, mg_str kind) {
  return mg_str_is(api_version, "v1") && mg_str_is(kind, "List") && mg_is(MG_GET(root, "items"), MG_ARRAY);
}

/* Sorts one document: ours wait for their pass, context goes in at once, a List (what `kubectl get -o yaml` prints) is opened. */
static void take_document(struct loader *l, mg_node root, const struct mg_source *source, bool built_in) {
  mg_str api_version = mg_string(MG_GET(root, "apiVersion")), kind = mg_string(MG_GET(root, "kind"));
  struct entry *e = MG_NEW(l->to.load.arena, struct entry);
  if (!e) return;
  *e = (struct entry){.root = root, .api_kind = kind, .built_in = built_in, .pack = source->pack};
  int context = mg_context_kind_of(api_version, kind);
  if (context >= 0) {
    add_context(l, e, root, context);
    return;
  }
  if (mg_str_is(api_version, "mlgate.dev/v1")) e->kind = mg_document_kind_of(kind);
  if (!e->kind) {
    unknown_document(l, root, api_version, kind);
  } else if (source->context_only) {
    mg_diag_error(l->to.load.diags, MG_GET(root, "kind"), MG_AT_VALUE, "\"%.*s\" in a context file; pass it with --policies",
                  MG_FMT(kind));
  } else {
    queue(l, e);
  }
}

static void take_root(struct loader *l, mg_node root, const struct mg_source *source, bool built_in) {
  if (!is_list(root, mg_string(MG_GET(root, "apiVersion")), mg_string(MG_GET(root, "kind")))) {
    take_document(l, root, source, built_in);
    return;
  }
  for (mg_node item = mg_first(MG_GET(root, "items")); item.at; item = mg_next(item)) take_document(l, item, source, built_in);
}

/* Context is read as the API server would; in documents of our own a duplicate key is an error, as in what could not be read to
 * its end. */
static bool is_strict(const struct mg_source *source, const struct mg_file_doc *docs, uint32_t offset) {
  if (source->context_only) return false;
  for (; docs; docs = docs->next) {
    mg_node root = {(struct mg_doc *)(uintptr_t)&docs->doc, 1};
    if (offset < mg_cell_of(root)->start || offset >= mg_cell_of(root)->end) continue;
    return mg_context_kind_of(mg_string(MG_GET(root, "apiVersion")), mg_string(MG_GET(root, "kind"))) < 0;
  }
  return true;
}

static void tell_duplicates(struct loader *l, const struct mg_source *source, const struct mg_read *how, mg_str text,
                            const struct mg_file_doc *docs) {
  struct mg_duplicate *oldest = NULL;
  for (struct mg_duplicate *d = how->duplicates, *next; d; d = next) {
    next = d->next;
    d->next = oldest;
    oldest = d;
  }
  for (const struct mg_duplicate *d = oldest; d; d = d->next)
    mg_diag_duplicate(l->to.load.diags, how->file, text, d, is_strict(source, docs, d->again));
}

static void take_file(struct loader *l, const struct mg_source *source, bool built_in) {
  mg_str text = source->copy ? mg_arena_dup(l->to.load.arena, source->text) : source->text;
  struct mg_read how = {.limits = {(size_t)64 << 20, 64, 2000000},
                        .file = mg_arena_dup(l->to.load.arena, mg_str_of(source->path)).p,
                        .last_wins = true};
  struct mg_file_doc *docs = NULL;
  struct mg_err err = {0};
  if (l->to.load.arena->failed) return;
  int code = mg_yaml_read(&docs, l->to.load.arena, text, &how, &err);
  tell_duplicates(l, source, &how, text, docs);
  if (code) mg_diag_syntax(l->to.load.diags, how.file, text, &err);
  for (; docs; docs = docs->next) take_root(l, mg_root(&docs->doc), source, built_in);
}

/* What is wrong with the head does not hide what is wrong below. */
static void load_entry(struct loader *l, struct entry *e) {
  struct mg_document d = {0};
  mg_node root = e->root;
  mg_decode(&l->to.load, e->kind->fields, e->kind->name, root, &d);
  e->name = d.metadata.name;
  e->ns = d.metadata.ns;
  l->to.built_in = e->built_in;
  l->to.namesake = mg_document_check_name(&l->to.load, e->kind, root, e->name) && !take_name(l, e, root);
  if (d.spec.at || !e->kind->spec) e->kind->load(&l->to, &d, root);
}

static void cross_check(struct loader *l) {
  for (uint32_t p = 0; p < l->to.snapshot->policy_count; p++) {
    struct mg_policy *policy = &l->to.snapshot->policies[p];
    for (uint32_t r = 0; r < policy->rule_count; r++) {
      policy->rules[r].policy = policy;
      if (policy->rules[r].type && policy->rules[r].type->cross_check)
        policy->rules[r].type->cross_check(&l->to.load, &policy->rules[r], l->to.snapshot);
    }
    mg_policy_note_needs(policy, l->to.load.arena);
    l->to.snapshot->needs |= policy->needs;
  }
}

static bool has_policy(const struct mg_snapshot *s, mg_str name) {
  for (uint32_t p = 0; p < s->policy_count; p++)
    if (mg_str_eq(s->policies[p].name, name)) return true;
  return false;
}

/* Policies of several namespaces may have one name. */
static bool has_rule(const struct mg_snapshot *s, mg_str policy, mg_str name) {
  for (uint32_t p = 0; p < s->policy_count; p++)
    for (uint32_t r = 0; r < s->policies[p].rule_count && mg_str_eq(s->policies[p].name, policy); r++)
      if (mg_str_eq(s->policies[p].rules[r].name, name)) return true;
  return false;
}

/* An exception for a policy or a rule that is not there exempts nothing, which its author would want to know. */
static void check_exception(struct loader *l, const struct mg_exception *e) {
  struct mg_snapshot *s = l->to.snapshot;
  mg_node spec = MG_GET(e->at, "spec"), n = mg_first(MG_GET(spec, "policies"));
  s->needs |= mg_exception_needs(e);
  for (uint32_t i = 0; i < e->policies.count; i++, n = mg_next(n)) {
    mg_str name = MG_LIST_AT(e->policies, mg_str, i);
    if (!has_policy(s, name)) mg_diag_warn(l->to.load.diags, n, MG_AT_VALUE, "no policy is named \"%.*s\"", MG_FMT(name));
  }
  n = mg_first(MG_GET(spec, "rules"));
  for (uint32_t i = 0; i < e->rules.count; i++, n = mg_next(n)) {
    mg_str name = MG_LIST_AT(e->rules, mg_str, i);
    bool found = false;
    for (uint32_t p = 0; p < e->policies.count && !found; p++)
      found = has_rule(s, MG_LIST_AT(e->policies, mg_str, p), name);
    if (!found) mg_diag_warn(l->to.load.diags, n, MG_AT_VALUE, "none of these policies has a rule \"%.*s\"", MG_FMT(name));
  }
}

/* Such a LimitRange gives devices to whoever forgot them, sidecars too, and nobody who reads the Pod can tell. */
static void check_limit_ranges(struct loader *l) {
  struct mg_snapshot *s = l->to.snapshot;
  const struct mg_context_table *table = s->context->tables[MG_CTX_LIMIT_RANGE];
  for (uint32_t i = 0; table && i < table->count; i++) {
    mg_node max = mg_limit_range_gives(table->items[i]->object, &s->accelerators, &s->arena);
    if (!max.at) continue;
    s->context->giving++;
    mg_diag_warn(l->to.load.diags, max, MG_AT_KEY,
                 "this maximum gives %.*s %.*s to every container that asks for none; \"default\": \"0\" beside it gives none",
                 MG_FMT(mg_text(max)), MG_FMT(mg_text(mg_key_of(max))));
  }
}

static void take_built_in(struct loader *l) {
  for (size_t i = 0; i < mg_embedded_count; i++) {
    const struct mg_embedded *f = &mg_embedded_files[i];
    if (strncmp(f->name, "kube/", 5) != 0) continue;
    struct mg_source source = {.path = f->name, .text = {(const char *)f->data, f->size}};
    take_file(l, &source, true);
  }
}

static uint64_t content_of(const struct mg_source *sources, size_t count) {
  uint64_t hash = MG_HASH;
  for (size_t i = 0; i < count; i++) hash = mg_str_hash(mg_str_hash(hash, mg_str_of(sources[i].path)), sources[i].text);
  return hash;
}

/* What was compiled is shared; the rows are copied, since a file's may take the place of one. Lists of accelerators never change:
 * what extends one makes another. */
static void take_tables(struct mg_snapshot *s, struct mg_snapshot *tables) {
  uint32_t count = tables->kinds.count;
  struct mg_kind_row *rows = MG_NEW_N(&s->arena, struct mg_kind_row, count + 1);
  if (!rows) return;
  memcpy(rows, tables->kinds.rows, count * sizeof *rows);
  s->kinds = (struct mg_kind_table){rows, count, count + 1};
  s->accelerators = tables->accelerators;
  s->tables = mg_snapshot_ref(tables);
}

int mg_snapshot_new(struct mg_snapshot **ret, mg_rule_types types, const struct mg_source *sources, size_t count,
                    struct mg_diags *diags, struct mg_err *err) {
  return mg_snapshot_new_beside(ret, NULL, types, sources, count, diags, err);
}

int mg_snapshot_new_beside(struct mg_snapshot **ret, struct mg_snapshot *tables, mg_rule_types types,
                           const struct mg_source *sources, size_t count, struct mg_diags *diags, struct mg_err *err) {
  *ret = NULL;
  struct mg_snapshot *s = calloc(1, sizeof *s);
  if (s) s->context = mg_context_new();
  if (!s || !s->context) {
    free(s);
    return mg_err_nomem(err);
  }
  atomic_init(&s->refs, 1);
  s->content = content_of(sources, count);
  mg_arena_init(&s->arena, SNAPSHOT_ARENA, 0);
  struct mg_load load = {.diags = diags, .arena = &s->arena, .owner = &s->patterns};
  struct loader l = {.to = {.snapshot = s, .load = load, .types = types}};
  l.end = &l.first;
  if (tables) take_tables(s, tables);
  else take_built_in(&l);
  for (int pack = 0; pack < 2; pack++)
    for (size_t i = 0; i < count; i++)
      if (sources[i].pack == pack) take_file(&l, &sources[i], false);
  for (int pass = 0; pass < 2; pass++)
    for (struct entry *e = l.first; e; e = e->next)
      if (e->kind->pass == pass) load_entry(&l, e);
  if (mg_context_seal(s->context)) s->arena.failed = true;
  check_limit_ranges(&l);
  if (!diags->error_count) cross_check(&l);
  for (uint32_t i = 0; i < s->exception_count && !diags->error_count; i++) check_exception(&l, &s->exceptions[i]);
  int rc = diags->error_count ? mg_err_set(err, MG_E_INVALID, "%u error%s in policy files", diags->error_count,
                                           diags->error_count > 1 ? "s" : "")
                              : mg_index_build(s);
  if (!rc) rc = mg_share_selections(s);
  if (s->arena.failed || rc == MG_E_NOMEM)
    rc = mg_err_set(err, MG_E_NOMEM, "policies need more than %zu MiB of memory", SNAPSHOT_ARENA >> 20);
  if (rc) {
    mg_snapshot_unref(s);
    return rc;
  }
  *ret = s;
  return 0;
}
