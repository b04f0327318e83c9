/* What was recorded of the API server, as requests: AdmissionReviews, and events of its audit log, which know less. */
#pragma once
#include "kube/review.h"

/* Why nothing of it can be judged; the words are in mg_unused_words. */
enum mg_unused {
  MG_UNUSED_ANSWER,
  MG_UNUSED_STAGE,
  MG_UNUSED_VERB,
  MG_UNUSED_SUBRESOURCE,
  MG_UNUSED_NO_OBJECT,
  MG_UNUSED_PATCH,
  MG_UNUSED_KIND, /* for who knows the kinds */
  MG_UNUSED_OTHER,
  MG_UNUSED_COUNT
};
struct mg_unused_word {
  const char *key, *text; /* in JSON, and for people */
};
extern const struct mg_unused_word mg_unused_words[MG_UNUSED_COUNT];

struct mg_recorded {
  struct mg_request request;
  bool event;                  /* of the audit log, else a review */
  bool no_old;    /* an update whose old object nobody wrote down: all of it counts as new */
  bool as_stored; /* the object that a patch has made, what webhooks added included: the log has no other */
  bool refused;   /* the API server said no */
};

/* 0, or what is wrong with a review (MG_E_INVALID). *ret_unused: MG_UNUSED_COUNT, or why *ret is not filled. */
int mg_recorded_read(mg_node root, struct mg_recorded *ret, enum mg_unused *ret_unused, struct mg_err *err)
  __attribute__((warn_unused_result));
