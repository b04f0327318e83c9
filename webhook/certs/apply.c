/* create and rotate: read, take one step, write; again where another was quicker. */
#include <time.h>

#include "certs/hooks.h"
#include "certs/names.h"
#include "certs/step.h"

static bool days_good(int days) {
  return days >= 0 && days <= MG_CERTS_DAYS_MAX;
}

static int copy(const struct mg_entries *from, struct mg_entries *to, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < MG_ENTRIES && code == 0; i++)
    if (from->of[i].n) code = mg_blob_dup(from->of[i].p, from->of[i].n, &to->of[i], err);
  return code;
}

/* One try. The hooks trust the new CA before a server shows a certificate of it. */
static int step_once(const struct mg_step *step, struct mg_store *store, bool *ret_lost, struct mg_certs_report *report,
                     struct mg_err *err) {
  char name[MG_STORE_NAME];
  MG_ENTRIES_AUTO old = {0};
  MG_ENTRIES_AUTO new = {0};
  MG_STATE_AUTO before = {0};
  MG_STATE_AUTO after = {0};
  unsigned did = 0;
  *ret_lost = false;
  (void)mg_store_name(store->place, name);
  int code = mg_store_load(store, &old, err);
  /* By force a CA that cannot be used is replaced, too. */
  if (code == 0) code = mg_state_read(&old, name, step->create && step->request->force, &before, err);
  if (code == 0) code = copy(&old, &new, err);
  if (code == 0) code = mg_step_take(step, &before, &new, &did, err);
  if (code == 0 && (did & MG_CERTS_SWITCHED)) code = mg_hooks_follow(store->place, &report->patched, err);
  if (code == 0) code = mg_store_save(store, &old, &new, ret_lost, err);
  if (code < 0 || *ret_lost) return code;
  report->did = did;
  code = mg_state_read(&new, name, false, &after, err);
  if (code == 0) mg_step_next(step, &after, report);
  return code;
}

/* Where another was quicker, that was the step that `at_once` asked for. */
static int step_until_done(struct mg_certs_request *request, struct mg_step *step, const struct mg_certs_place *place,
                           struct mg_certs_report *report, struct mg_err *err) {
  char name[MG_STORE_NAME];
  MG_STORE_AUTO store = MG_STORE_READ(place);
  int code = mg_store_open(&store, place, err);
  bool lost = true;
  for (unsigned tries = 0; code == 0 && lost; tries++) {
    if (tries == MG_STORE_TRIES)
      return mg_err_set(err, MG_E_IO, "%s: others changed it %d times in between", mg_store_name(place, name), MG_STORE_TRIES);
    if (tries) mg_store_pause(tries - 1);
    code = step_once(step, &store, &lost, report, err);
    if (lost) request->at_once = false;
  }
  return code < 0 ? code : mg_hooks_follow(place, &report->patched, err);
}

static int run(const struct mg_certs_place *place, const struct mg_certs_request *given, bool create,
               struct mg_certs_report *ret, struct mg_err *err) {
  MG_NAMES_AUTO names = NULL;
  struct mg_certs_request request = *given;
  *ret = (struct mg_certs_report){0};
  if (!days_good(request.ca_days) || !days_good(request.days))
    return mg_err_set(err, MG_E_USAGE, "days must be 1 to %d", MG_CERTS_DAYS_MAX);
  /* Names first: nothing is written for a request that cannot be met. */
  int code = mg_names_of_request(&request, &names, err);
  if (code < 0) return code;
  if (create && !names) return mg_err_set(err, MG_E_USAGE, "a server certificate needs at least one DNS name or IP address");
  if (!request.now) request.now = (int64_t)time(NULL);
  struct mg_step step = {.request = &request, .names = names, .create = create, .fresh_leaf = place->dir != NULL};
  return step_until_done(&request, &step, place, ret, err);
}

int mg_certs_create(const struct mg_certs_place *place, const struct mg_certs_request *request, struct mg_certs_report *ret,
                    struct mg_err *err) {
  return run(place, request, true, ret, err);
}

int mg_certs_rotate(const struct mg_certs_place *place, const struct mg_certs_request *request, struct mg_certs_report *ret,
                    struct mg_err *err) {
  return run(place, request, false, ret, err);
}
