/* The objects of one document as requests: Lists are opened, reviews unwrapped, what the manifest leaves open is filled in. */
#pragma once
#include "kube/review.h"
#include "kube/workload.h"

#define MG_OBJECTS_MAX_DEPTH 16 /* of Lists in Lists */

struct mg_object_visitor {
  const struct mg_kind_table *kinds;
  struct mg_request usual; /* operation, ns (of objects without one), user, group_list, group_count, images */
  void *ctx;
  /* One object of a kind that the table has. api_version lives as long as the request's strings. A negative result ends
   * the visit. */
  int (*object)(void *ctx, const struct mg_request *request, mg_str api_version, struct mg_err *err);
  /* Anything else that is no List. */
  void (*skipped)(void *ctx, mg_node node);
  /* A review that is none, a List in too many Lists. */
  int (*error)(void *ctx, mg_node at, const char *message);
};

/* Arena: that of the document. 0, MG_E_NOMEM, or what `object` or `error` gave. */
int mg_objects_visit(const struct mg_object_visitor *visitor, mg_node root, struct mg_arena *arena, struct mg_err *err);

/* True where the document is an AdmissionReview with a request. */
bool mg_objects_is_review(mg_node root);
