/* mlgate schema: JSON Schema (2020-12) of the files that mlgate reads, out of the tables that read them. */
#include <inttypes.h>
#include <stdio.h>

#include "app/baseline.h"
#include "app/config.h"
#include "app/schema.h"
#include "doc/json.h"
#include "doc/patch.h"
#include "doc/yaml.h"
#include "policy/documents.h"
#include "rules/rules.h"

#define ARENA ((size_t)64 << 20)
#define TEXT_MAX ((size_t)8 << 20)
#define DIALECT "https://json-schema.org/draft/2020-12/schema"

struct schema {
  struct mg_arena arena;
  struct mg_doc doc;
};

/* ---- values ---- */

static mg_node text(struct schema *s, const char *value) {
  return mg_make_text(&s->doc, MG_STRING, mg_str_of(value));
}

static void put(mg_node object, const char *key, mg_node value) {
  mg_put(object, mg_str_of(key), value);
}

static void put_text(struct schema *s, mg_node object, const char *key, const char *value) {
  put(object, key, text(s, value));
}

/* A schema or a default that stands in a table as YAML of our own. */
static mg_node from_yaml(struct schema *s, const char *yaml) {
  struct mg_file_doc *file = NULL;
  struct mg_read how = {.limits = {4096, 32, 1024}, .file = "schema"};
  if (mg_yaml_read(&file, &s->arena, mg_str_of(yaml), &how, NULL) < 0 || !file) s->arena.failed = true;
  return file ? mg_make_copy(&s->doc, mg_root(&file->doc)) : (mg_node){0};
}

static mg_node list_of(struct schema *s, const char *const *list) {
  mg_node ret = mg_make(&s->doc, MG_ARRAY);
  for (; *list; list++) mg_push(ret, text(s, *list));
  return ret;
}

static mg_node typed(struct schema *s, const char *type) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT);
  put_text(s, ret, "type", type);
  return ret;
}

static mg_node reference(struct schema *s, mg_str name) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT);
  put(ret, "$ref", mg_make_text(&s->doc, MG_STRING, mg_arena_printf(&s->arena, "#/$defs/%.*s", MG_FMT(name))));
  return ret;
}

static mg_node false_value(struct schema *s) {
  return mg_make_text(&s->doc, MG_BOOL, MG_S("false"));
}

static mg_node words(struct schema *s, const char *const *list) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT);
  put(ret, "enum", list_of(s, list));
  return ret;
}

/* ---- types ---- */

static mg_node of_fields(struct schema *s, const struct mg_field *fields);

static mg_node of_type(struct schema *s, const struct mg_type *type, const void *arg) {
  if (type->schema) return from_yaml(s, type->schema);
  if (type->fields) return of_fields(s, type->fields);
  if (type == &mg_t_enum) return words(s, arg);
  if (type == &mg_t_object) return of_fields(s, ((const struct mg_shape *)arg)->fields);
  if (type == &mg_t_list) {
    const struct mg_item *item = arg;
    mg_node ret = typed(s, "array");
    put(ret, "items", of_type(s, item->type, item->arg));
    return ret;
  }
  mg_node ret = typed(s, "array"); /* mg_t_rules */
  put(ret, "minItems", mg_make_text(&s->doc, MG_NUMBER, MG_S("1")));
  put(ret, "items", reference(s, MG_S("rule")));
  return ret;
}

static mg_node of_fields(struct schema *s, const struct mg_field *fields) {
  mg_node ret = typed(s, "object"), properties = mg_make(&s->doc, MG_OBJECT), required = mg_make(&s->doc, MG_ARRAY);
  for (; fields->key; fields++) {
    mg_node field = of_type(s, fields->type, fields->arg);
    if (mg_is(field, MG_BOOL)) field = mg_make(&s->doc, MG_OBJECT); /* `true`, to say something about it */
    if (fields->doc) put_text(s, field, "description", fields->doc);
    if (fields->def) put(field, "default", from_yaml(s, fields->def));
    put(properties, fields->key, field);
    if (fields->required) mg_push(required, text(s, fields->key));
  }
  put(ret, "additionalProperties", false_value(s));
  put(ret, "properties", properties);
  if (mg_first(required).at) put(ret, "required", required);
  return ret;
}

/* ---- files ---- */

static mg_node described(struct schema *s, mg_node schema, const char *doc) {
  put_text(s, schema, "description", doc);
  return schema;
}

/* A rule has exactly one of the types as its key. */
static mg_node of_rule(struct schema *s, mg_node defs) {
  mg_node ret = of_fields(s, mg_rule_entry_fields), properties = MG_GET(ret, "properties"), one = mg_make(&s->doc, MG_ARRAY);
  for (mg_rule_types type = mg_rules; *type; type++) {
    mg_node page = of_fields(s, (*type)->fields), choice = mg_make(&s->doc, MG_OBJECT);
    put(defs, (*type)->name, described(s, page, (*type)->doc));
    put(properties, (*type)->name, reference(s, mg_str_of((*type)->name)));
    put(choice, "required", list_of(s, (const char *const[]){(*type)->name, NULL}));
    mg_push(one, choice);
  }
  put(ret, "oneOf", one);
  return ret;
}

static mg_node constant(struct schema *s, const char *value) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT);
  put_text(s, ret, "const", value);
  return ret;
}

static mg_node of_document(struct schema *s, const struct mg_document_kind *kind) {
  mg_node ret = of_fields(s, kind->fields), properties = MG_GET(ret, "properties");
  put(properties, "apiVersion", constant(s, "mlgate.dev/v1"));
  put(properties, "kind", constant(s, kind->name));
  if (kind->spec) put(properties, "spec", described(s, of_fields(s, kind->spec), kind->doc));
  return described(s, ret, kind->doc);
}

/* As .mlgate.yaml takes the option's value. */
static mg_node of_option(struct schema *s, const struct mg_option *row) {
  static const char list[] = "{type: [string, array], minLength: 1, items: " MG_SCHEMA_STRING "}";
  const struct mg_option_type *type = row->type;
  const bool number = type == &mg_o_number;
  mg_node ret = type == &mg_o_word ? words(s, row->words)
                                   : from_yaml(s, type->flag     ? "{type: boolean}"
                                                  : type->repeat ? list
                                                  : number       ? "{type: integer}"
                                                                 : MG_SCHEMA_STRING);
  put_text(s, ret, "description", row->doc);
  if (row->def) put(ret, "default", from_yaml(s, row->def));
  if (number) put(ret, "minimum", mg_make_text(&s->doc, MG_NUMBER, mg_arena_printf(&s->arena, "%" PRId64, row->min)));
  if (number) put(ret, "maximum", mg_make_text(&s->doc, MG_NUMBER, mg_arena_printf(&s->arena, "%" PRId64, row->max)));
  return ret;
}

/* Null: a file with nothing in it. */
static mg_node of_config(struct schema *s) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT), properties = mg_make(&s->doc, MG_OBJECT);
  put(ret, "type", list_of(s, (const char *const[]){"object", "null", NULL}));
  put(ret, "additionalProperties", false_value(s));
  for (const struct mg_command *const *command = mg_commands; *command; command++)
    for (const struct mg_option *row = (*command)->options; row->name && mg_config_is_read(*command); row++)
      if (mg_config_has(row) && !mg_get(properties, mg_str_of(row->name)).at) put(properties, row->name, of_option(s, row));
  put(ret, "properties", properties);
  return described(s, ret, "Defaults of options: .mlgate.yaml.");
}

static const struct mg_document_kind baseline = {
    .name = "Baseline", .fields = mg_baseline_fields, .doc = "Findings that are known, as `--write-baseline` writes them."};

/* Those of policy files, and behind the last of them the baseline; NULL at the end. */
static const struct mg_document_kind *kind_at(size_t i) {
  const struct mg_document_kind *kind = mg_document_kind_at(i);
  return kind || !mg_document_kind_at(i - 1) ? kind : &baseline;
}

/* {if: {properties: {kind: {const: KIND}}}, then: {$ref: KIND}}: an editor then speaks of that kind alone. */
static mg_node branch(struct schema *s, const struct mg_document_kind *kind) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT), test = mg_make(&s->doc, MG_OBJECT), properties = mg_make(&s->doc, MG_OBJECT);
  put(properties, "kind", constant(s, kind->name));
  put(test, "properties", properties);
  put(ret, "if", test);
  put(ret, "then", reference(s, mg_str_of(kind->name)));
  return ret;
}

/* Our own kinds, and those of Kubernetes that are context, which have schemas of their own elsewhere. */
static mg_node kind_words(struct schema *s) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT), all = mg_make(&s->doc, MG_ARRAY);
  const struct mg_document_kind *kind;
  for (size_t i = 0; (kind = kind_at(i)); i++) mg_push(all, text(s, kind->name));
  for (int i = 0; i < MG_CTX_KINDS; i++) mg_push(all, text(s, mg_context_kind_name((enum mg_context_kind)i)));
  mg_push(all, text(s, "List"));
  put(ret, "enum", all);
  return ret;
}

static mg_node all_kinds(struct schema *s) {
  mg_node ret = mg_make(&s->doc, MG_OBJECT), branches = mg_make(&s->doc, MG_ARRAY), properties = mg_make(&s->doc, MG_OBJECT);
  const struct mg_document_kind *kind;
  for (size_t i = 0; (kind = kind_at(i)); i++) mg_push(branches, branch(s, kind));
  put_text(s, ret, "$schema", DIALECT);
  put_text(s, ret, "title", "mlgate policy files");
  put(ret, "type", list_of(s, (const char *const[]){"object", "null", NULL})); /* null: an empty document */
  put(properties, "kind", kind_words(s));
  put(ret, "properties", properties);
  put(ret, "required", list_of(s, (const char *const[]){"apiVersion", "kind", NULL}));
  put(ret, "allOf", branches);
  return ret;
}

static mg_node build(struct schema *s, const char *only) {
  mg_node defs = mg_make(&s->doc, MG_OBJECT), root;
  const struct mg_document_kind *kind;
  if (only) {
    root = reference(s, mg_str_of(only));
    put_text(s, root, "$schema", DIALECT);
  } else {
    root = all_kinds(s);
  }
  for (size_t i = 0; (kind = kind_at(i)); i++) put(defs, kind->name, of_document(s, kind));
  put(defs, MG_SCHEMA_CONFIG, of_config(s));
  put(defs, "rule", of_rule(s, defs));
  put(root, "$defs", defs);
  return root;
}

/* ---- the command ---- */

static void schema_fini(struct schema *s) {
  mg_arena_fini(&s->arena);
}

void mg_schema_kinds(const char *ret[MG_SCHEMA_KINDS]) {
  const struct mg_document_kind *kind;
  size_t n = 0;
  for (; n + 2 < MG_SCHEMA_KINDS && (kind = kind_at(n)); n++) ret[n] = kind->name;
  ret[n] = MG_SCHEMA_CONFIG;
  ret[n + 1] = NULL;
}

static int run(const void *options, const struct mg_strings *args) {
  if (args->count > 1) {
    fputs("mlgate schema: takes one KIND, or none for all of them\n", stderr);
    return MG_EXIT_USAGE;
  }
  __attribute__((cleanup(schema_fini))) struct schema s = {0};
  MG_BUF_AUTO out;
  const char *names[MG_SCHEMA_KINDS], *only = NULL;
  (void)options;
  mg_arena_init(&s.arena, ARENA, 0);
  mg_buf_init(&out, NULL, TEXT_MAX);
  mg_schema_kinds(names);
  for (size_t i = 0; args->count == 1 && names[i]; i++)
    if (strcmp(names[i], args->items[0]) == 0) only = names[i];
  if (args->count && !only) {
    const char *name = args->items[args->count - 1];
    mg_str hint = mg_did_you_mean(&s.arena, mg_str_of(name), names);
    fprintf(stderr, "mlgate schema: no kind of file \"%s\"%.*s\n", name, MG_FMT(hint));
    return MG_EXIT_USAGE;
  }
  if (mg_doc_init(&s.doc, &s.arena, (mg_str){0}, NULL, 1024) == 0) mg_json_write_pretty(&out, build(&s, only));
  mg_buf_byte(&out, '\n');
  out.failed |= s.arena.failed;
  return mg_command_print("mlgate schema", &out);
}

static const struct mg_option options[] = {MG_OPTIONS_END};
const struct mg_command mg_command_schema = {
    .name = "schema", .args = "[KIND]", .doc = "JSON Schema of the files that mlgate reads, for editors", .options = options,
    .run = run,
    .more = "KIND: Policy, WorkloadKind, Accelerators, Exception, Registry, Test, Baseline or Config\n"
            "(.mlgate.yaml, which has no kind of its own); all of them if not given."};
