/* One step of create or rotate: from what is kept to what is to be kept. Private to certs/. */
#pragma once
#include "certs/certs.h"
#include "certs/state.h"

struct mg_step {
  const struct mg_certs_request *request; /* with `now` set */
  GENERAL_NAMES *names; /* of the request; NULL: none */
  bool create;
  bool fresh_leaf; /* create makes the server certificate anew whatever is there */
};

/* Changes entries, and says in *ret_did (enum mg_certs_did) what it did; 0: nothing. */
int mg_step_take(const struct mg_step *step, const struct mg_state *state, struct mg_entries *entries, unsigned *ret_did,
                 struct mg_err *err);

/* When something is due next, of a state that has a CA. */
void mg_step_next(const struct mg_step *step, const struct mg_state *state, struct mg_certs_report *report);
