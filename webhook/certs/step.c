#include "certs/step.h"

#include "certs/names.h"

#define CA_DAYS 3650
#define LEAF_DAYS 365

/* From the making of a certificate on. */
static int64_t made(const X509 *cert) {
  return mg_cert_from(cert) + MG_ISSUE_BACKDATE;
}

static int64_t life(const X509 *cert) {
  return mg_cert_until(cert) - made(cert);
}

static int64_t due(const X509 *cert) {
  return mg_cert_until(cert) - life(cert) / 3;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static bool in_bundle(const struct mg_state *state, const X509 *cert) {
  for (int i = 0; i < sk_X509_num(state->bundle); i++)
    if (X509_cmp(sk_X509_value(state->bundle, i), cert) == 0) return true;
  return false;
}

/* A next CA that has become the one that signs is a rest of a run that died. */
static bool has_next(const struct mg_state *state) {
  return state->next.cert && (!state->ca.cert || X509_cmp(state->next.cert, state->ca.cert) != 0);
}

static bool announced(const struct mg_state *state) {
  return has_next(state) && in_bundle(state, state->next.cert);
}

static int64_t switch_time(const struct mg_step *step, const struct mg_state *state) {
  int64_t wait = least(step->request->overlap, life(state->ca.cert) / 12);
  return least(made(state->next.cert) + wait, mg_cert_until(state->ca.cert));
}

/* The server certificate of the new CA says when the switch was. A renewal starts the wait anew, but comes later than its end. */
static int64_t drop_time(const struct mg_step *step, const struct mg_state *state) {
  int64_t last = 0;
  for (int i = 0; i < sk_X509_num(state->bundle); i++) {
    X509 *cert = sk_X509_value(state->bundle, i);
    if (X509_cmp(cert, state->ca.cert) != 0 && mg_cert_until(cert) > last) last = mg_cert_until(cert);
  }
  if (!state->leaf.cert) return last;
  return least(made(state->leaf.cert) + least(step->request->overlap, life(state->leaf.cert) / 3), last);
}

static bool leaf_of(const struct mg_identity *ca, const struct mg_identity *leaf) {
  if (!leaf->cert || !leaf->key) return false;
  bool good = X509_check_private_key(leaf->cert, leaf->key) == 1 && X509_check_issued(ca->cert, leaf->cert) == X509_V_OK &&
              X509_verify(leaf->cert, X509_get0_pubkey(ca->cert)) == 1;
  (void)mg_pem_ssl_reason();
  return good;
}

/* The server certificate for this CA, in entries. */
static int renew(const struct mg_step *step, const struct mg_state *state, const struct mg_identity *ca,
                 struct mg_entries *entries, struct mg_err *err) {
  MG_IDENTITY_AUTO leaf = {0};
  MG_NAMES_AUTO kept = NULL;
  if (state->leaf.cert && (step->request->keep_names || !step->names))
    kept = X509_get_ext_d2i(state->leaf.cert, NID_subject_alt_name, NULL, NULL);
  GENERAL_NAMES *names = kept ? kept : step->names;
  if (!names) return mg_err_set(err, MG_E_USAGE, "a server certificate needs at least one DNS name or IP address");
  int days = step->request->days ? step->request->days : LEAF_DAYS;
  int code = mg_issue_leaf(ca, names, days, step->request->now, &leaf, err);
  if (code == 0) code = mg_blob_of_key(leaf.key, &entries->of[MG_TLS_KEY], err);
  return code < 0 ? code : mg_blob_of_certs(&leaf.cert, 1, &entries->of[MG_TLS_CRT], err);
}

static int new_ca(const struct mg_step *step, struct mg_identity *ret, struct mg_err *err) {
  return mg_issue_ca(step->request->ca_days ? step->request->ca_days : CA_DAYS, step->request->now, ret, err);
}

static void forget_next(struct mg_entries *entries) {
  mg_blob_fini(&entries->of[MG_NEXT_KEY]);
  mg_blob_fini(&entries->of[MG_NEXT_CRT]);
}

/* A CA that signs at once and alone: the first one, or where the old one is of no use any more. */
static int found(const struct mg_step *step, const struct mg_state *state, struct mg_entries *entries, unsigned *did,
                 struct mg_err *err) {
  MG_IDENTITY_AUTO ca = {0};
  int code = new_ca(step, &ca, err);
  if (code == 0) code = renew(step, state, &ca, entries, err);
  if (code == 0) code = mg_blob_of_key(ca.key, &entries->of[MG_CA_KEY], err);
  if (code == 0) code = mg_blob_of_certs(&ca.cert, 1, &entries->of[MG_CA_CRT], err);
  forget_next(entries);
  *did |= MG_CERTS_CA | MG_CERTS_LEAF;
  return code;
}

static int announce(const struct mg_step *step, const struct mg_state *state, struct mg_entries *entries, unsigned *did,
                    struct mg_err *err) {
  MG_IDENTITY_AUTO made_now = {0};
  X509 *certs[MG_PEM_CHAIN_MAX + 1];
  size_t n = 0;
  int code = 0;
  bool again = has_next(state) && mg_cert_until(state->next.cert) > step->request->now; /* the last run died on the way */
  const struct mg_identity *next = again ? &state->next : &made_now;
  if (!again) code = new_ca(step, &made_now, err);
  if (code < 0) return code;
  for (int i = 0; i < sk_X509_num(state->bundle); i++) certs[n++] = sk_X509_value(state->bundle, i);
  if (n >= MG_PEM_CHAIN_MAX) return mg_err_set(err, MG_E_LIMIT, "ca.crt has %d certificates already", MG_PEM_CHAIN_MAX);
  certs[n++] = next->cert;
  code = mg_blob_of_key(next->key, &entries->of[MG_NEXT_KEY], err);
  if (code == 0) code = mg_blob_of_certs(&next->cert, 1, &entries->of[MG_NEXT_CRT], err);
  if (code == 0) code = mg_blob_of_certs(certs, n, &entries->of[MG_CA_CRT], err);
  *did |= MG_CERTS_ANNOUNCED;
  return code;
}

static int switch_over(const struct mg_step *step, const struct mg_state *state, struct mg_entries *entries, unsigned *did,
                       struct mg_err *err) {
  int code = renew(step, state, &state->next, entries, err);
  if (code == 0) code = mg_blob_of_key(state->next.key, &entries->of[MG_CA_KEY], err);
  forget_next(entries);
  *did |= MG_CERTS_SWITCHED | MG_CERTS_LEAF;
  return code;
}

static int drop_old(const struct mg_state *state, struct mg_entries *entries, unsigned *did, struct mg_err *err) {
  *did |= MG_CERTS_DROPPED;
  return mg_blob_of_certs(&state->ca.cert, 1, &entries->of[MG_CA_CRT], err);
}

/* The step that the CAs are at, if its time has come. */
static int step_ca(const struct mg_step *step, const struct mg_state *state, struct mg_entries *entries, unsigned *did,
                   struct mg_err *err) {
  int64_t now = step->request->now;
  bool at_once = step->request->at_once;
  if (announced(state) && mg_cert_until(state->next.cert) > now)
    return at_once || now >= switch_time(step, state) ? switch_over(step, state, entries, did, err) : 0;
  if (mg_cert_until(state->ca.cert) <= now) return found(step, state, entries, did, err);
  if (has_next(state)) return announce(step, state, entries, did, err);
  if (state->next.cert) forget_next(entries);
  if (sk_X509_num(state->bundle) > 1) {
    bool old_leaf = !leaf_of(&state->ca, &state->leaf); /* the switch is not over */
    return !old_leaf && (at_once || now >= drop_time(step, state)) ? drop_old(state, entries, did, err) : 0;
  }
  return at_once || now >= due(state->ca.cert) ? announce(step, state, entries, did, err) : 0;
}

static bool leaf_wanted(const struct mg_step *step, const struct mg_state *state) {
  int64_t now = step->request->now;
  bool fits = leaf_of(&state->ca, &state->leaf) && mg_cert_until(state->leaf.cert) > now;
  if (!fits) return true;
  if (step->names && !step->request->keep_names && !mg_names_covered(state->leaf.cert, step->names)) return true;
  if (step->create) return step->fresh_leaf;
  return step->request->at_once || now >= due(state->leaf.cert);
}

int mg_step_take(const struct mg_step *step, const struct mg_state *state, struct mg_entries *entries, unsigned *ret_did,
                 struct mg_err *err) {
  unsigned did = 0;
  int code = 0;
  if (!state->ca.cert || (step->create && step->request->force)) code = found(step, state, entries, &did, err);
  else if (!step->create) code = step_ca(step, state, entries, &did, err);
  if (code == 0 && !(did & MG_CERTS_LEAF) && leaf_wanted(step, state)) {
    code = renew(step, state, &state->ca, entries, err);
    did |= MG_CERTS_LEAF;
  }
  *ret_did = did;
  return code;
}

void mg_step_next(const struct mg_step *step, const struct mg_state *state, struct mg_certs_report *report) {
  bool other = announced(state) || sk_X509_num(state->bundle) > 1;
  report->next = announced(state) ? MG_CERTS_NEXT_SWITCH : other ? MG_CERTS_NEXT_DROP : MG_CERTS_NEXT_CA;
  report->due = announced(state) ? switch_time(step, state) : other ? drop_time(step, state) : due(state->ca.cert);
  if (!state->leaf.cert) return;
  report->until = mg_cert_until(state->leaf.cert);
  if (due(state->leaf.cert) > report->due) return;
  report->next = MG_CERTS_NEXT_LEAF;
  report->due = due(state->leaf.cert);
}
