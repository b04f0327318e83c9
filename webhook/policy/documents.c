/* Policies, exceptions, tables: what each kind of document says, and where it goes. */
#include "policy/documents.h"

#include "base/ascii.h"
#include "base/when.h"
#include "kube/image.h"
#include "kube/name.h"
#include "policy/cases.h"

/* ---- metadata ---- */

static const struct mg_field metadata_fields[] = {
    {"name", &mg_t_string, offsetof(struct mg_metadata, name), .required = true,
     .doc = "DNS label; shown in every message and metric."},
    {"namespace", &mg_t_string, offsetof(struct mg_metadata, ns), .doc = "Not used."},
    {"annotations", &mg_t_pairs, offsetof(struct mg_metadata, annotations),
     .doc = "mlgate.dev/docs: a link shown with every finding."},
    {"labels", &mg_t_pairs, offsetof(struct mg_metadata, labels), .doc = "Not used."},
    MG_FIELDS_END,
};
static const struct mg_shape metadata_shape = {metadata_fields, "metadata"};

#define DOCUMENT_FIELDS                                                                                            \
  {"apiVersion", &mg_t_string, offsetof(struct mg_document, api_version), .required = true, .doc = "mlgate.dev/v1."}, \
      {"kind", &mg_t_string, offsetof(struct mg_document, kind), .required = true, .doc = "The kind."},               \
      {"metadata", &mg_t_object, offsetof(struct mg_document, metadata), &metadata_shape, .required = true, .doc = "Its name."}
static const struct mg_field document_fields[] = {
    DOCUMENT_FIELDS,
    {"spec", &mg_t_node, offsetof(struct mg_document, spec), .required = true, .doc = "What it says."},
    MG_FIELDS_END,
};
static const struct mg_field test_fields[] = {
    DOCUMENT_FIELDS,
    {"policies", &mg_t_list, offsetof(struct mg_document, policies), &mg_item_string,
     .doc = "What is tested: files or directories, relative to this one; those of --policies, if not given."},
    {"context", &mg_t_list, offsetof(struct mg_document, context), &mg_item_source,
     .doc = "What the cluster has: objects, or files relative to this one; those of --context, if not given."},
    {"cases", &mg_t_list, offsetof(struct mg_document, cases), &mg_item_case, .required = true, .doc = "What must hold."},
    MG_FIELDS_END,
};

/* ---- rules and policies ---- */

const struct mg_field mg_rule_entry_fields[] = {
    {"name", &mg_t_string, offsetof(struct mg_rule, name),
     .doc = "Stands for the type in messages and exceptions; the type, if not given."},
    {"message", &mg_t_words, offsetof(struct mg_rule, message), .doc = "Stands before the built-in text."},
    MG_FIELDS_END,
};

static const struct mg_rule_type *type_of(mg_rule_types types, mg_str name) {
  for (; *types; types++)
    if (mg_str_is(name, (*types)->name)) return *types;
  return NULL;
}

static void unknown_rule_key(struct mg_loader *l, mg_node key) {
  const char *words[64] = {NULL};
  size_t n = 0;
  for (; n < 60 && l->types[n]; n++) words[n] = l->types[n]->name;
  for (const struct mg_field *f = mg_rule_entry_fields; f->key; f++) words[n++] = f->key;
  mg_str hint = mg_did_you_mean(l->load.arena, mg_text(key), words);
  mg_diag_error(l->load.diags, mg_value(key), MG_AT_KEY, "unknown rule type \"%.*s\"%.*s", MG_FMT(mg_text(key)), MG_FMT(hint));
}

static void read_params(struct mg_loader *l, struct mg_rule *rule, mg_node value) {
  const struct mg_rule_type *type = rule->type;
  rule->params = mg_arena_zero(l->load.arena, 1, type->params_size ? type->params_size : 1);
  if (rule->params && mg_decode(&l->load, type->fields, type->name, value, rule->params) && type->compile)
    type->compile(&l->load, value, rule->params);
}

static void read_rule_key(struct mg_loader *l, struct mg_rule *rule, mg_node key) {
  mg_str text = mg_text(key);
  const struct mg_rule_type *type = type_of(l->types, text);
  const struct mg_field *field = mg_rule_entry_fields;
  while (field->key && !mg_str_is(text, field->key)) field++;
  if (field->key) {
    field->type->read(&l->load, field, mg_value(key), (char *)rule + field->offset);
  } else if (!type) {
    unknown_rule_key(l, key);
  } else if (rule->type) {
    mg_diag_error(l->load.diags, mg_value(key), MG_AT_KEY,
                  "a second rule type \"%s\" in one rule; \"%s\" came first; start a new list item with \"-\"", type->name,
                  rule->type->name);
  } else {
    rule->type = type;
    read_params(l, rule, mg_value(key));
  }
}

static void read_rule(struct mg_loader *l, mg_node entry, struct mg_rule *rule) {
  uint32_t errors = l->load.diags->error_count;
  rule->at = entry;
  if (!mg_is(entry, MG_OBJECT))
    mg_diag_error(l->load.diags, entry, MG_AT_VALUE, "a rule must be an object with one rule type as its key");
  for (mg_node key = mg_first(entry); key.at && mg_is(entry, MG_OBJECT); key = mg_next(key)) read_rule_key(l, rule, key);
  if (!rule->type && l->load.diags->error_count == errors)
    mg_diag_error(l->load.diags, entry, MG_AT_VALUE, "a rule without a rule type");
  if (rule->type && !rule->name.n) rule->name = mg_str_of(rule->type->name);
}

static bool read_rules(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  return mg_t_node.read(load, field, value, dst);
}
const struct mg_type mg_t_rules = {.name = "a list of rules", .read = read_rules};

struct policy_spec {
  mg_str description;
  uint32_t action, on_missing;
  struct mg_match match;
  struct mg_list exclude;
  mg_node rules;
};
static const char *const on_missing_words[] = {"warn", "deny", "ignore", NULL}; /* enum mg_on_missing */
const char *const mg_action_words[] = {"enforce", "warn", "audit", NULL};
static const struct mg_field policy_fields[] = {
    {"description", &mg_t_some_words, offsetof(struct policy_spec, description), .doc = "One sentence."},
    {"action", &mg_t_enum, offsetof(struct policy_spec, action), mg_action_words, .def = "enforce",
     .doc = "enforce: violations deny, patches apply; warn: both only warn; audit: both are only reported."},
    {"match", &mg_t_match, offsetof(struct policy_spec, match), .doc = "What it applies to; everything, if not given."},
    {"exclude", &mg_t_list, offsetof(struct policy_spec, exclude), &mg_item_match, .doc = "One block that matches exempts."},
    {"onMissingContext", &mg_t_enum, offsetof(struct policy_spec, on_missing), on_missing_words, .def = "warn",
     .doc = "What if match or rules need what serve --live-context has not been told by the API server, or too long ago. warn: a "
            "warning, and judged by what is known; deny: a violation, too, which an UPDATE never brings; ignore: neither."},
    {"rules", &mg_t_rules, offsetof(struct policy_spec, rules), .required = true, .doc = "At least one."},
    MG_FIELDS_END,
};

static struct mg_policy *new_policy(struct mg_snapshot *s) {
  struct mg_policy *all = mg_arena_room(&s->arena, s->policies, &s->policy_cap, s->policy_count, sizeof *all);
  if (!all) return NULL;
  s->policies = all;
  return &all[s->policy_count++];
}

static void check_kinds(struct mg_loader *l, const struct policy_spec *spec, mg_node at) {
  mg_match_check_kinds(&l->load, &l->snapshot->kinds, &spec->match, MG_GET(at, "match"));
  mg_node n = mg_first(MG_GET(at, "exclude"));
  for (uint32_t i = 0; i < spec->exclude.count; i++, n = mg_next(n))
    mg_match_check_kinds(&l->load, &l->snapshot->kinds, &MG_LIST_AT(spec->exclude, struct mg_match, i), n);
}

static mg_str docs_of(struct mg_loader *l, mg_node root) {
  static const struct mg_field field = {"mlgate.dev/docs", &mg_t_some_words, 0, .doc = "A link."};
  mg_node link = mg_get(MG_GET(MG_GET(root, "metadata"), "annotations"), mg_str_of(field.key));
  mg_str text = {0};
  if (mg_is(link, MG_STRING)) field.type->read(&l->load, &field, link, &text); /* else the annotations have been refused */
  return text;
}

static void load_policy(struct mg_loader *l, const struct mg_document *d, mg_node root) {
  struct mg_snapshot *s = l->snapshot;
  struct policy_spec spec = {0};
  mg_decode(&l->load, policy_fields, "spec", d->spec, &spec);
  check_kinds(l, &spec, d->spec);
  if (spec.rules.at && (!mg_is(spec.rules, MG_ARRAY) || !mg_count(spec.rules))) {
    mg_diag_error(l->load.diags, spec.rules, MG_AT_VALUE, "\"rules\" must be a list of at least one rule");
    return;
  }
  uint32_t count = mg_count(spec.rules), i = 0;
  struct mg_rule *rules = MG_NEW_N(l->load.arena, struct mg_rule, count ? count : 1);
  struct mg_policy *p = new_policy(s);
  if (!rules || !p) return;
  for (mg_node n = mg_first(spec.rules); n.at; n = mg_next(n), i++) {
    read_rule(l, n, &rules[i]);
    rules[i].index = s->rule_count++;
  }
  *p = (struct mg_policy){.name = d->metadata.name,
                          .docs = docs_of(l, root),
                          .description = spec.description,
                          .action = spec.action,
                          .on_missing = spec.on_missing,
                          .match = spec.match,
                          .exclude = spec.exclude,
                          .rules = rules,
                          .rule_count = count,
                          .index = s->policy_count - 1,
                          .at = root};
}

/* ---- the other kinds ---- */

static void load_workload_kind(struct mg_loader *l, const struct mg_document *d, mg_node root) {
  struct mg_kind_row row = {.built_in = l->built_in};
  (void)root;
  if (!mg_kind_read(&l->load, d->spec, &row)) return;
  const struct mg_kind_row *other = mg_kind_find(&l->snapshot->kinds, row.group, MG_S(""), row.kind);
  if (other && !other->built_in && !l->namesake)
    mg_diag_second(l->load.diags, MG_GET(row.at, "kind"), MG_GET(other->at, "kind"), "WorkloadKind of %.*s%s%.*s",
                   MG_FMT(row.kind), row.group.n ? "." : "", MG_FMT(row.group));
  mg_kind_add(&l->snapshot->kinds, l->load.arena, &row);
}

static void load_accelerators(struct mg_loader *l, const struct mg_document *d, mg_node root) {
  struct mg_accelerators more = {0};
  (void)root;
  if (mg_accelerators_read(&l->load, d->spec, &more)) mg_accelerators_extend(l->load.arena, &l->snapshot->accelerators, &more);
}

static bool read_expires(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  mg_str text;
  if (!mg_t_string.read(load, field, value, &text)) return false;
  if (mg_when_parse(text, true, dst)) return true;
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be a date such as 2027-01-31 or a timestamp", field->key);
  return false;
}
static const struct mg_type t_expires = {.name = "a date or timestamp", .read = read_expires, .schema = MG_SCHEMA_STRING};

static const struct mg_field exception_fields[] = {
    {"policies", &mg_t_list, offsetof(struct mg_exception, policies), &mg_item_string, .required = true,
     .doc = "Names of policies."},
    {"rules", &mg_t_list, offsetof(struct mg_exception, rules), &mg_item_string, .doc = "Names of rules; all, if not given."},
    {"match", &mg_t_match, offsetof(struct mg_exception, match), .doc = "What is exempted."},
    {"owner", &mg_t_words, offsetof(struct mg_exception, owner), .required = true, .doc = "Who answers for it."},
    {"reason", &mg_t_words, offsetof(struct mg_exception, reason), .required = true, .doc = "Why."},
    {"expires", &t_expires, offsetof(struct mg_exception, expires), .required = true,
     .doc = "A date (its end, UTC) or a timestamp."},
    MG_FIELDS_END,
};

static struct mg_exception *new_exception(struct mg_snapshot *s) {
  struct mg_exception *all = mg_arena_room(&s->arena, s->exceptions, &s->exception_cap, s->exception_count, sizeof *all);
  if (!all) return NULL;
  s->exceptions = all;
  return &all[s->exception_count++];
}

/* A list of nothing could be read as none or as all. */
static void check_named(struct mg_loader *l, mg_node list, const char *key) {
  if (mg_is(list, MG_ARRAY) && !mg_first(list).at)
    mg_diag_error(l->load.diags, list, MG_AT_VALUE, "\"%s\" must name at least one", key);
}

static void load_exception(struct mg_loader *l, const struct mg_document *d, mg_node root) {
  struct mg_exception *e = new_exception(l->snapshot);
  if (!e) return;
  *e = (struct mg_exception){.name = d->metadata.name, .at = root};
  mg_decode(&l->load, exception_fields, "spec", d->spec, e);
  check_named(l, MG_GET(d->spec, "policies"), "policies");
  check_named(l, MG_GET(d->spec, "rules"), "rules");
  mg_match_check_kinds(&l->load, &l->snapshot->kinds, &e->match, MG_GET(d->spec, "match"));
}

/* A Go duration such as 3s or 1m30s, in milliseconds; at most an hour. */
enum { HOUR_MS = 3600 * 1000 };
static bool read_duration(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  mg_str text;
  if (!mg_t_string.read(load, field, value, &text)) return false;
  /* What is longer than it may be is read as just that. */
  if (mg_duration_parse(text, HOUR_MS + 1, dst) && *(int64_t *)dst > 0 && *(int64_t *)dst <= HOUR_MS) return true;
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be a duration from 1ms to 1h, such as 3s", field->key);
  return false;
}
static const struct mg_type t_duration = {.name = "a duration", .read = read_duration, .schema = MG_SCHEMA_STRING};

static bool read_host(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_t_string.read(load, field, value, dst)) return false;
  if (mg_image_is_domain(*(mg_str *)dst)) return true;
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be HOST[:PORT], without a scheme or a path, not \"%.*s\"",
                field->key, MG_FMT(mg_text(value)));
  return false;
}
#define HOST_SCHEMA "{type: string, pattern: '^([A-Za-z0-9-]+([.][A-Za-z0-9-]+)*|\\[[0-9A-Fa-f:]+\\])(:[0-9]+)?$'}"
static const struct mg_type t_host = {.name = "a string", .read = read_host, .schema = HOST_SCHEMA};

/* OS/ARCHITECTURE, with or without /VARIANT. */
static bool is_platform(mg_str s) {
  uint32_t slashes = 0, letters = 0; /* of the word at hand */
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    bool slash = c == '/';
    if (slash ? !letters : !mg_is_lower(c) && !mg_is_digit(c) && c != '_' && c != '.' && c != '-') return false;
    slashes += slash;
    letters = slash ? 0 : letters + 1;
  }
  return letters && (slashes == 1 || slashes == 2);
}

static bool read_platform(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_t_string.read(load, field, value, dst)) return false;
  if (is_platform(mg_text(value))) return true;
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be OS/ARCHITECTURE[/VARIANT], such as linux/amd64, not \"%.*s\"",
                field->key, MG_FMT(mg_text(value)));
  return false;
}
static const struct mg_type t_platform = {
    .name = "a string", .read = read_platform, .schema = "{type: string, pattern: '^[a-z0-9._-]+(/[a-z0-9._-]+){1,2}$'}"};

#define AT(member) offsetof(struct mg_registry_host, member)
static const struct mg_field registry_fields[] = {
    {"host", &t_host, AT(host), .required = true, .doc = "Host, and port where it is not 443."},
    {"mirror", &t_host, AT(mirror), .doc = "Host and port that are asked first."},
    {"caFile", &mg_t_string, AT(ca_file), .doc = "PEM of a private authority."},
    {"insecure", &mg_t_bool, AT(insecure), .doc = "TLS without verification, then plain HTTP."},
    {"authFile", &mg_t_string, AT(auth_file), .doc = "A Docker config.json with credentials."},
    {"platform", &t_platform, AT(platform),
     .doc = "os/architecture[/variant] that is looked at; the largest of all, if not given."},
    {"timeout", &t_duration, AT(timeout_ms), .def = "3s", .doc = "Go duration, of one request."},
    MG_FIELDS_END,
};
#undef AT

static void load_registry(struct mg_loader *l, const struct mg_document *d, mg_node root) {
  struct mg_snapshot *s = l->snapshot;
  (void)root;
  struct mg_registry_host *all = mg_arena_room(&s->arena, s->registries, &s->registry_cap, s->registry_count, sizeof *all);
  if (!all) return;
  s->registries = all;
  struct mg_registry_host *host = &all[s->registry_count++];
  *host = (struct mg_registry_host){.at = d->spec};
  if (!mg_decode(&l->load, registry_fields, "spec", d->spec, host)) return;
  host->host = mg_image_without_port(mg_image_domain(&s->arena, host->host)); /* as it is looked up by */
  const struct mg_registry_host *other = all;
  while (other < host && !mg_str_eq(other->host, host->host)) other++;
  if (other < host && !l->namesake)
    mg_diag_second(l->load.diags, MG_GET(d->spec, "host"), MG_GET(other->at, "host"), "Registry of %.*s",
                   MG_FMT(host->host));
}

static void load_test(struct mg_loader *l, const struct mg_document *d, mg_node root) {
  mg_cases_check(&l->load, MG_GET(root, "cases"), d->cases);
}

/* ---- documents ---- */

static const struct mg_document_kind document_kinds[] = {
    {"WorkloadKind", document_fields, load_workload_kind, 0, false, mg_kind_fields, "Where a kind keeps its pod templates."},
    {"Accelerators", document_fields, load_accelerators, 0, false, mg_accelerator_fields, "More names of accelerators."},
    {"Registry", document_fields, load_registry, 1, false, registry_fields, "How an image registry is asked."},
    {"Policy", document_fields, load_policy, 1, true, policy_fields, "What it matches, what it does, and how hard."},
    {"Exception", document_fields, load_exception, 1, false, exception_fields, "What a policy spares for a while, and why."},
    {"Test", test_fields, load_test, 1, false, NULL, "Cases for `mlgate test`."},
};

bool mg_document_check_name(struct mg_load *load, const struct mg_document_kind *kind, mg_node root, mg_str name) {
  if (!name.n) return false;
  if (kind->name_is_label ? mg_name_is_dns_label(name) : mg_name_is_dns_subdomain(name)) return true;
  mg_diag_error(load->diags, MG_GET(MG_GET(root, "metadata"), "name"), MG_AT_VALUE, "\"%.*s\" is no DNS %s", MG_FMT(name),
                kind->name_is_label ? "label (lower-case letters, digits and -, at most 63)" : "subdomain");
  return false;
}

const struct mg_document_kind *mg_document_kind_at(size_t i) {
  return i < sizeof document_kinds / sizeof *document_kinds ? &document_kinds[i] : NULL;
}

const struct mg_document_kind *mg_document_kind_of(mg_str name) {
  for (size_t i = 0; i < sizeof document_kinds / sizeof *document_kinds; i++)
    if (mg_str_is(name, document_kinds[i].name)) return &document_kinds[i];
  return NULL;
}

mg_str mg_document_kind_hint(struct mg_arena *arena, mg_str name) {
  const char *words[sizeof document_kinds / sizeof *document_kinds + 1] = {NULL};
  for (size_t i = 0; i < sizeof document_kinds / sizeof *document_kinds; i++) words[i] = document_kinds[i].name;
  return mg_did_you_mean(arena, name, words);
}
