#include "kube/selector.h"

#include "base/utf8.h"
#include "doc/decode.h"
#include "doc/yaml.h"
#include "kube/name.h"

#define SHOWN 64 /* bytes of a wrong word in a message */
#define YAML_BOOL "is a boolean in YAML 1.1; quote it"

struct operator {
  const char *name;
  bool with_values;
  bool if_absent;  /* the outcome for an object without the key */
  bool if_present; /* the outcome with the key: with any value, or with one that is listed */
};

static const struct operator operators[] = {
    {"In", .with_values = true, .if_absent = false, .if_present = true},
    {"NotIn", .with_values = true, .if_absent = true, .if_present = false},
    {"Exists", .with_values = false, .if_absent = false, .if_present = true},
    {"DoesNotExist", .with_values = false, .if_absent = true, .if_present = false},
};

struct requirement {
  const struct operator *op;
  mg_str key;
  const mg_str *values;
  uint32_t count;
};

struct mg_selector {
  uint32_t count;
  struct requirement items[];
};

enum { FIELDS = 3 };

struct shape {
  const char *title;
  const char *names[FIELDS + 1]; /* NULL behind the last */
};

struct reader {
  struct mg_arena *arena;
  struct mg_selector *selector;
  mg_node *ret_at;
  struct mg_err *err;
};

static mg_str shown(mg_str s) {
  return mg_utf8_first(s, SHOWN);
}

static int invalid(const struct reader *r, mg_node at, const char *text) {
  *r->ret_at = at;
  return mg_err_set(r->err, MG_E_INVALID, "%s", text);
}

static int invalid_text(const struct reader *r, mg_node at, const char *text) {
  *r->ret_at = at;
  return mg_err_set(r->err, MG_E_INVALID, "\"%.*s\" %s", MG_FMT(shown(mg_text(at))), text);
}

static int out_of_memory(const struct reader *r) {
  return mg_err_nomem(r->err);
}

/* A string that is a label value. */
static int read_value(const struct reader *r, mg_node n, mg_str *ret) {
  if (mg_yaml_is_bare_bool(n)) return invalid_text(r, n, YAML_BOOL);
  if (!mg_is(n, MG_STRING)) return invalid(r, n, "a label value must be a string; quote it");
  if (!mg_name_is_label_value(mg_text(n))) return invalid_text(r, n, "is not a label value");
  *ret = mg_text(n);
  return 0;
}

static int read_values(const struct reader *r, mg_node list, struct requirement *ret) {
  mg_str *values = MG_NEW_N(r->arena, mg_str, mg_count(list));
  if (!values) return out_of_memory(r);
  ret->values = values;
  for (mg_node n = mg_first(list); n.at; n = mg_next(n)) {
    int code = read_value(r, n, &values[ret->count++]);
    if (code != 0) return code;
  }
  return 0;
}

static int read_operator(const struct reader *r, mg_node n, const struct operator **ret) {
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
    if (!mg_str_is(mg_string(n), operators[i].name)) continue;
    *ret = &operators[i];
    return 0;
  }
  if (!mg_is(n, MG_STRING)) return invalid(r, n, "the operator must be a string");
  return invalid_text(r, n, "is not an operator: In, NotIn, Exists, DoesNotExist");
}

/* An object's fields by name; a key that has none is an error. Null is absent. */
static int read_fields(const struct reader *r, mg_node object, const struct shape *shape, mg_node *ret) {
  for (mg_node key = mg_first(object); key.at; key = mg_next(key)) {
    size_t i = 0;
    while (shape->names[i] && !mg_str_is(mg_text(key), shape->names[i])) i++;
    if (!shape->names[i]) {
      *r->ret_at = key;
      mg_str hint = mg_did_you_mean(r->arena, mg_text(key), shape->names);
      return mg_err_set(r->err, MG_E_INVALID, "unknown key \"%.*s\" in %s%.*s", MG_FMT(shown(mg_text(key))), shape->title,
                        MG_FMT(hint));
    }
    if (!mg_missing(mg_value(key))) ret[i] = mg_value(key);
  }
  return 0;
}

static int read_expression(const struct reader *r, mg_node n, struct requirement *ret) {
  static const struct shape shape = {"matchExpressions", {"key", "operator", "values"}};
  mg_node fields[FIELDS] = {0};
  if (!mg_is(n, MG_OBJECT)) return invalid(r, n, "an item of matchExpressions must be an object");
  int code = read_fields(r, n, &shape, fields);
  if (code != 0) return code;
  mg_node key = fields[0], operator = fields[1], values = fields[2];
  if (!key.at) return invalid(r, n, "an item of matchExpressions lacks \"key\"");
  if (mg_yaml_is_bare_bool(key)) return invalid_text(r, key, YAML_BOOL);
  if (!mg_is(key, MG_STRING)) return invalid(r, key, "a label key must be a string");
  if (!mg_name_is_label_key(mg_text(key))) return invalid_text(r, key, "is not a label key");
  ret->key = mg_text(key);
  if (!operator.at) return invalid(r, n, "an item of matchExpressions lacks \"operator\"");
  code = read_operator(r, operator, &ret->op);
  if (code != 0) return code;
  if (values.at && !mg_is(values, MG_ARRAY)) return invalid(r, values, "values must be a list");
  if (ret->op->with_values && mg_count(values) == 0) return invalid(r, values.at ? values : n, "In and NotIn need values");
  if (!ret->op->with_values && mg_count(values) > 0)
    return invalid(r, mg_key_of(values), "Exists and DoesNotExist take no values");
  return values.at && mg_count(values) > 0 ? read_values(r, values, ret) : 0;
}

static int read_label(const struct reader *r, mg_node key, struct requirement *ret) {
  mg_str *value = MG_NEW(r->arena, mg_str);
  if (!value) return out_of_memory(r);
  if (mg_yaml_is_bare_bool(key)) return invalid_text(r, key, YAML_BOOL);
  if (!mg_name_is_label_key(mg_text(key))) return invalid_text(r, key, "is not a label key");
  *ret = (struct requirement){.op = &operators[0], .key = mg_text(key), .values = value, .count = 1};
  return read_value(r, mg_value(key), value);
}

static int read_selector(struct reader *r, mg_node n) {
  static const struct shape shape = {"a label selector", {"matchLabels", "matchExpressions"}};
  mg_node fields[FIELDS] = {0};
  if (!mg_is(n, MG_OBJECT)) return invalid(r, n, "a label selector must be an object");
  int code = read_fields(r, n, &shape, fields);
  if (code != 0) return code;
  mg_node labels = fields[0], expressions = fields[1];
  if (labels.at && !mg_is(labels, MG_OBJECT)) return invalid(r, labels, "matchLabels must be an object");
  if (expressions.at && !mg_is(expressions, MG_ARRAY)) return invalid(r, expressions, "matchExpressions must be a list");
  size_t count = (size_t)mg_count(labels) + mg_count(expressions);
  struct mg_selector *s = mg_arena_zero(r->arena, 1, sizeof *s + count * sizeof s->items[0]);
  if (!s) return out_of_memory(r);
  for (n = mg_first(labels); n.at && code == 0; n = mg_next(n)) code = read_label(r, n, &s->items[s->count++]);
  for (n = mg_first(expressions); n.at && code == 0; n = mg_next(n)) code = read_expression(r, n, &s->items[s->count++]);
  r->selector = s;
  return code;
}

int mg_selector_read(mg_node n, struct mg_arena *arena, const struct mg_selector **ret, mg_node *ret_at, struct mg_err *err) {
  struct reader r = {.arena = arena, .ret_at = ret_at, .err = err};
  *ret_at = n;
  int code = mg_missing(n) ? 0 : read_selector(&r, n);
  *ret = code == 0 ? r.selector : NULL;
  return code;
}

static bool is_listed(const struct requirement *r, mg_str value) {
  for (uint32_t i = 0; i < r->count; i++)
    if (mg_str_eq(r->values[i], value)) return true;
  return false;
}

bool mg_selector_matches(const struct mg_selector *selector, mg_label_fn label, const void *ctx) {
  if (!selector) return false;
  for (uint32_t i = 0; i < selector->count; i++) {
    const struct requirement *r = &selector->items[i];
    mg_str value = {0};
    bool holds = r->op->if_absent;
    if (label(ctx, r->key, &value)) holds = !r->op->with_values || is_listed(r, value) ? r->op->if_present : !r->op->if_present;
    if (!holds) return false;
  }
  return true;
}
