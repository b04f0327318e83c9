/* AdmissionReview v1 in and out. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"
#include "kube/image_facts.h"

enum mg_operation { MG_CREATE, MG_UPDATE, MG_DELETE, MG_CONNECT };
extern const char *const mg_operation_words[]; /* by enum mg_operation, NULL-terminated */

struct mg_request {
  mg_str uid;
  mg_str group, version, kind; /* of the object */
  mg_str subresource;
  mg_str name; /* of the object, or its generateName */
  mg_str ns;
  enum mg_operation operation;
  mg_str user;
  mg_node groups; /* array of strings, or absent */
  mg_str extra_group; /* one more group, or empty */
  const mg_str *group_list; /* the command line's; used where `groups` is absent */
  uint32_t group_count;
  mg_node object, old_object; /* absent where null */
  bool dry_run;
  const struct mg_images *images; /* who can be asked for images; NULL: nobody */
  uint64_t (*clock)(void); /* nanoseconds, to time policies by; NULL: nobody asks */
  bool as_written; /* a manifest: the API server has not added its defaults yet */
};

/* Reads the root of a review. MG_E_INVALID: not a v1 review with a uid; the text says what is missing. */
int mg_review_read(mg_node root, struct mg_request *ret, struct mg_err *err);

struct mg_response {
  mg_str uid;
  bool allowed;
  mg_str message;             /* of a denial; written as code 403, reason Forbidden */
  const mg_str *warnings;
  uint32_t warning_count;
  mg_str patch;               /* the JSON array; empty: none */
  const struct mg_annotation {
    const char *key;
    mg_str value;
  } *annotations;
  uint32_t annotation_count;
};

void mg_review_write(struct mg_buf *out, const struct mg_response *response);
