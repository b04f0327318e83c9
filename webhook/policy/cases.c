#include "policy/cases.h"

#include <stdlib.h>

#include "policy/documents.h"

/* ---- fields ---- */

static bool read_object(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  *(mg_node *)dst = value;
  if (mg_is(value, MG_OBJECT)) return true;
  return mg_t_string.read(load, field, value, &(mg_str){0});
}
static const struct mg_type t_object = {
    .name = "a file or an object", .read = read_object, .schema = "{type: [string, object], minLength: 1}"};

static bool read_patched(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  *(mg_node *)dst = value;
  return mg_is(value, MG_NULL) || read_object(load, field, value, dst);
}
static const struct mg_type t_patched = {
    .name = "a file, an object or null", .read = read_patched, .schema = "{type: [string, object, 'null'], minLength: 1}"};

static bool read_violation(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_t_string.read(load, field, value, dst)) return false;
  mg_str text = mg_text(value);
  size_t slash = mg_str_find(text, '/');
  if (slash && slash + 1 < text.n) return true;
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%.*s\" must be a policy and a rule, such as gpu-limits/gpuLimits",
                MG_FMT(text));
  return false;
}
static const struct mg_type t_violation = {
    .name = "POLICY/RULE", .read = read_violation, .schema = "{type: string, pattern: '^[^/]+/.+'}"};
static const struct mg_item item_violation = {&t_violation, sizeof(mg_str), NULL};

#define AT(member) offsetof(struct mg_case_expect, member)
static const struct mg_field expect_fields[] = {
    {"allowed", &mg_t_bool, AT(allowed), .doc = "Whether nothing denies it."},
    {"violations", &mg_t_list, AT(violations), &item_violation,
     .doc = "POLICY/RULE of all violations that deny, warn or are audited; exempted ones are none."},
    {"patched", &t_patched, AT(patched), .doc = "The object after the patch, or the file that has it; null: there is no patch."},
    {"message", &mg_t_pattern, AT(message),
     .doc = "Glob or /PCRE2/ on the text of a violation or warning, or on the whole message of the denial."},
    MG_FIELDS_END,
};
#undef AT
static const struct mg_shape expect_shape = {expect_fields, "expect"};

#define AT(member) offsetof(struct mg_case, member)
static const struct mg_field case_fields[] = {
    {"name", &mg_t_words, AT(name), .required = true, .doc = "What it shows; unique in its Test."},
    {"object", &t_object, AT(object), .doc = "The object, or the file that has it; a path is relative to the Test's file."},
    {"oldObject", &t_object, AT(old_object), .doc = "The object before; it makes the case an UPDATE."},
    {"namespace", &mg_t_text, AT(ns), .doc = "Of the request; the object's own, or `default`, if not given."},
    {"operation", &mg_t_enum, AT(operation), mg_operation_words, .doc = "CREATE, or UPDATE with an oldObject, if not given."},
    {"user", &mg_t_text, AT(user), .doc = "Who asks."},
    {"groups", &mg_t_list, AT(groups), &mg_item_string, .doc = "The groups of the user."},
    {"expect", &mg_t_object, offsetof(struct mg_case, expect), &expect_shape, .required = true,
     .doc = "What must hold; at least one key."},
    MG_FIELDS_END,
};
#undef AT
static const struct mg_shape case_shape = {case_fields, "a case"};

const struct mg_item mg_item_case = {&mg_t_object, sizeof(struct mg_case), &case_shape};
const struct mg_item mg_item_source = {&t_object, sizeof(mg_node), NULL};

/* ---- what the fields alone cannot say ---- */

static void check_case(struct mg_load *load, const struct mg_case *c) {
  if (!mg_is(c->at, MG_OBJECT)) return;
  bool deleted = c->old_object.at && (c->operation == MG_DELETE || !MG_GET(c->at, "operation").at);
  if (!c->object.at && !deleted) mg_diag_error(load->diags, c->at, MG_AT_VALUE, "a case lacks \"object\"");
  mg_node expect = MG_GET(c->at, "expect");
  if (mg_is(expect, MG_OBJECT) && !mg_count(expect))
    mg_diag_error(load->diags, expect, MG_AT_KEY, "\"expect\" says nothing, so the case could not fail");
}

struct named {
  mg_str name;
  uint32_t index;
};

static int by_name(const void *a, const void *b) {
  const struct named *x = a, *y = b;
  int order = mg_str_cmp(x->name, y->name);
  return order ? order : x->index < y->index ? -1 : 1;
}

static void check_names(struct mg_load *load, struct mg_list cases) {
  struct named *all = MG_NEW_N(load->arena, struct named, cases.count + 1);
  const struct mg_case *list = cases.items;
  if (!all) return;
  for (uint32_t i = 0; i < cases.count; i++) all[i] = (struct named){list[i].name, i};
  qsort(all, cases.count, sizeof *all, by_name);
  for (uint32_t i = 1; i < cases.count; i++) {
    struct mg_pos first = {0};
    if (!all[i].name.n || !mg_str_eq(all[i].name, all[i - 1].name)) continue;
    mg_value_pos(MG_GET(list[all[i - 1].index].at, "name"), &first);
    mg_diag_error(load->diags, MG_GET(list[all[i].index].at, "name"), MG_AT_VALUE, "a second case \"%.*s\"; another is at %u:%u",
                  MG_FMT(all[i].name), first.line, first.column);
  }
}

void mg_cases_check(struct mg_load *load, mg_node at, struct mg_list cases) {
  struct mg_case *list = cases.items;
  mg_node n = mg_first(at);
  for (uint32_t i = 0; i < cases.count; i++, n = mg_next(n)) {
    list[i].at = n;
    check_case(load, &list[i]);
  }
  check_names(load, cases);
}

bool mg_test_read(struct mg_load *load, mg_node root, struct mg_test *ret) {
  const struct mg_document_kind *kind = mg_document_kind_of(MG_S("Test"));
  uint32_t errors = load->diags->error_count;
  struct mg_document d = {0};
  mg_decode(load, kind->fields, kind->name, root, &d);
  mg_document_check_name(load, kind, root, d.metadata.name);
  mg_cases_check(load, MG_GET(root, "cases"), d.cases);
  *ret = (struct mg_test){d.metadata.name, d.metadata.ns, d.policies, d.context, d.cases, root};
  return load->diags->error_count == errors;
}
