/* Types of fields that rules share. */
#include "base/ascii.h"
#include "policy/rule.h"

static bool read_quantity(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_opt_quantity *q = dst;
  struct mg_err err = {0};
  if (mg_quantity_read(value, &q->q, &err) == 0) {
    q->set = true;
    return true;
  }
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be a quantity such as 16Gi: %s", field->key, err.text);
  return false;
}

static bool read_percent(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_opt_int *percent = dst;
  mg_str text = mg_string(value);
  int64_t n = 0;
  size_t i = 0;
  for (; i < text.n && i < 3 && mg_is_digit(text.p[i]); i++) n = n * 10 + text.p[i] - '0';
  if (i == 0 || i + 1 != text.n || text.p[i] != '%' || n < 1 || n > 100) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be a percentage from 1%% to 100%%", field->key);
    return false;
  }
  *percent = (struct mg_opt_int){true, n};
  return true;
}

#define QUANTITY_SCHEMA                                                                                        \
  "{anyOf: [{type: number}, "                                                                                  \
  "{type: string, pattern: '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$'}]}"
const struct mg_type mg_t_quantity = {.name = "a quantity", .read = read_quantity, .schema = QUANTITY_SCHEMA};
const struct mg_type mg_t_percent = {
    .name = "a percentage", .read = read_percent, .schema = "{type: string, pattern: '^[0-9]{1,3}%$'}"};
