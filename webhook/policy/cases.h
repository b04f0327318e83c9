/* Test documents: what policies should do to some objects. They are read wherever policies are, so that a mistake in one is found
 * early; `mlgate test` judges their cases. */
#pragma once
#include "kube/accelerator.h"
#include "kube/review.h"

struct mg_case {
  mg_str name;
  mg_node object, old_object; /* a string: a file beside the Test; an object: itself; absent */
  mg_str ns, user;
  uint32_t operation;    /* enum mg_operation, where `operation` is there */
  struct mg_list groups; /* of mg_str */
  struct mg_case_expect {
    bool allowed;
    struct mg_list violations; /* of mg_str: POLICY/RULE */
    mg_node patched;           /* null, a file, an object */
    struct mg_pattern *message;
  } expect;
  mg_node at;
};

/* What the case says under that key of `expect`; absent: nothing. */
static inline mg_node mg_case_expects(const struct mg_case *c, mg_str key) {
  return mg_get(MG_GET(c->at, "expect"), key);
}

struct mg_test {
  mg_str name, ns;
  struct mg_list policies; /* of mg_str: paths beside the Test */
  struct mg_list context;  /* of mg_node: such a path, or the object itself */
  struct mg_list cases;    /* of struct mg_case */
  mg_node at;
};

/* The fields of a Test beside its head; they are read into `cases`, `policies` and `context` of struct mg_document. */
extern const struct mg_item mg_item_case, mg_item_source;

/* What one field alone cannot say of the cases below `at`; adds errors. */
void mg_cases_check(struct mg_load *load, mg_node at, struct mg_list cases);

/* Reads a Test as a policy file's is read: adds errors and returns false. load->owner is a struct mg_pattern_owner. */
bool mg_test_read(struct mg_load *load, mg_node root, struct mg_test *ret);
