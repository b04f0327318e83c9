#include "certs/state.h"

#include <stdio.h>

const char *const mg_entry_names[MG_ENTRIES] = {
  [MG_NEXT_KEY] = "next-ca.key", [MG_NEXT_CRT] = "next-ca.crt", [MG_CA_KEY] = "ca.key",
  [MG_CA_CRT] = "ca.crt",        [MG_TLS_KEY] = "tls.key",      [MG_TLS_CRT] = "tls.crt",
};

void mg_entries_fini(struct mg_entries *entries) {
  for (size_t i = 0; i < MG_ENTRIES; i++) mg_blob_fini(&entries->of[i]);
}

void mg_state_fini(struct mg_state *state) {
  sk_X509_pop_free(state->bundle, X509_free);
  mg_identity_fini(&state->ca);
  mg_identity_fini(&state->leaf);
  mg_identity_fini(&state->next);
  *state = (struct mg_state){0};
}

static const char *path_of(const char *where, enum mg_entry entry, char path[4200]) {
  (void)snprintf(path, 4200, "%s/%s", where, mg_entry_names[entry]);
  return path;
}

static bool belongs(X509 *cert, EVP_PKEY *key) {
  bool good = cert && key && X509_check_private_key(cert, key) == 1;
  (void)mg_pem_ssl_reason();
  return good;
}

/* The last one, should one be there twice. */
static X509 *signer(STACK_OF(X509) *bundle, EVP_PKEY *key) {
  for (int i = sk_X509_num(bundle) - 1; i >= 0; i--) {
    X509 *cert = sk_X509_value(bundle, i);
    if (belongs(cert, key) && X509_up_ref(cert)) return cert;
  }
  return NULL;
}

static int read_ca(const struct mg_entries *entries, const char *where, struct mg_state *state, struct mg_err *err) {
  char path[4200];
  const struct mg_blob *certs = &entries->of[MG_CA_CRT], *key = &entries->of[MG_CA_KEY];
  int code = 0;
  if (certs->n) code = mg_pem_chain(path_of(where, MG_CA_CRT, path), certs->p, certs->n, &state->bundle, err);
  if (code == 0 && key->n) code = mg_pem_key(path_of(where, MG_CA_KEY, path), key->p, key->n, &state->ca.key, err);
  if (code < 0) return code;
  if (!certs->n != !key->n)
    return mg_err_set(err, MG_E_INVALID, "%s: there is %s", where, key->n ? "ca.key but no ca.crt" : "ca.crt but no ca.key");
  if (!certs->n) return 0;
  state->ca.cert = signer(state->bundle, state->ca.key);
  if (!state->ca.cert) return mg_err_set(err, MG_E_INVALID, "%s: ca.key is not the key of ca.crt", where);
  if (X509_check_ca(state->ca.cert) != 1)
    return mg_err_set(err, MG_E_INVALID, "%s: ca.crt is not the certificate of a CA", where);
  return 0;
}

static void read_pair(const struct mg_blob *cert, const struct mg_blob *key, struct mg_identity *ret) {
  struct mg_err ignored;
  if (cert->n) (void)mg_pem_cert("", cert->p, cert->n, &ret->cert, &ignored);
  if (key->n) (void)mg_pem_key("", key->p, key->n, &ret->key, &ignored);
}

int mg_state_read(const struct mg_entries *entries, const char *where, bool lenient, struct mg_state *ret, struct mg_err *err) {
  MG_STATE_AUTO state = {0};
  int code = read_ca(entries, where, &state, err);
  if (code < 0 && (!lenient || code == MG_E_NOMEM)) return code;
  read_pair(&entries->of[MG_TLS_CRT], &entries->of[MG_TLS_KEY], &state.leaf);
  read_pair(&entries->of[MG_NEXT_CRT], &entries->of[MG_NEXT_KEY], &state.next);
  if (!belongs(state.next.cert, state.next.key) || X509_check_ca(state.next.cert) != 1) mg_identity_fini(&state.next);
  *ret = state;
  state = (struct mg_state){0};
  return 0;
}
