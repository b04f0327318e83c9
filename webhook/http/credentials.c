#include "http/credentials.h"

#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "certs/certs.h"
#include "certs/pem.h"
#include "http/sign.h"

#define CHAIN_MAX 16 /* certificates, ours and a client's */
#define NAME_SIZE 256
#define NAMES_LOOKED_AT 256 /* of a client's certificate */

struct mg_credentials {
  atomic_uint refs;
  gnutls_pcert_st chain[CHAIN_MAX];
  unsigned chain_n;
  gnutls_privkey_t key;
  int64_t until;
  gnutls_x509_trust_list_t clients; /* NULL: clients need no certificate */
  char **names;
  size_t n_names;
};

static void credentials_free(struct mg_credentials *c) {
  for (unsigned i = 0; i < c->chain_n; i++) {
    gnutls_pcert_deinit(&c->chain[i]);
  }
  if (c->key) {
    gnutls_privkey_deinit(c->key);
  }
  if (c->clients) {
    gnutls_x509_trust_list_deinit(c->clients, 1);
  }
  for (size_t i = 0; i < c->n_names; i++) {
    free(c->names[i]);
  }
  free(c->names);
  free(c);
}

struct mg_credentials *mg_credentials_ref(struct mg_credentials *credentials) {
  atomic_fetch_add_explicit(&credentials->refs, 1, memory_order_relaxed);
  return credentials;
}

void mg_credentials_unref(struct mg_credentials *credentials) {
  if (credentials && atomic_fetch_sub_explicit(&credentials->refs, 1, memory_order_acq_rel) == 1) {
    credentials_free(credentials);
  }
}

static void credentials_unrefp(struct mg_credentials **credentials) {
  mg_credentials_unref(*credentials);
}

int64_t mg_credentials_until(const struct mg_credentials *credentials) {
  return credentials->until;
}

static int tls_error(struct mg_err *err, const char *path, int code) {
  return mg_err_set(err, code == GNUTLS_E_MEMORY_ERROR ? MG_E_NOMEM : MG_E_INVALID, "%s: %s", path, gnutls_strerror(code));
}

/* That the two belong together has been found out by mg_certs_load, on the very bytes that are used here. */
static int load_pair(const struct mg_credentials_files *files, struct mg_credentials *c, struct mg_err *err) {
  __attribute__((cleanup(mg_certs_pair_fini))) struct mg_certs_pair pair = {0};
  int code = mg_certs_load(files->cert, files->key, &pair, err);
  if (code != 0) {
    return code;
  }
  gnutls_datum_t cert = {(unsigned char *)pair.cert, (unsigned)pair.cert_size};
  unsigned n = CHAIN_MAX;
  code = gnutls_pcert_list_import_x509_raw(c->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
  if (code != 0) {
    return tls_error(err, files->cert, code);
  }
  c->chain_n = n;
  c->until = pair.not_after;
  return mg_sign_key(files->key, pair.key, pair.key_size, &c->key, err);
}

static int load_clients(const char *path, struct mg_credentials *c, struct mg_err *err) {
  char *text = NULL;
  size_t size = 0;
  int code = mg_pem_read(path, &text, &size, err);
  if (code != 0) {
    return code;
  }
  gnutls_datum_t pem = {(unsigned char *)text, (unsigned)size};
  code = gnutls_x509_trust_list_init(&c->clients, 0);
  if (code == 0) {
    code = gnutls_x509_trust_list_add_trust_mem(c->clients, &pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    code = code == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : code;
  }
  mg_pem_free(text, size);
  return code > 0 ? 0 : tls_error(err, path, code);
}

static int copy_names(const struct mg_credentials_files *files, struct mg_credentials *c, struct mg_err *err) {
  if (files->n_client_names > MG_CLIENT_NAMES_MAX) {
    return mg_err_set(err, MG_E_LIMIT, "more than %d names of clients", MG_CLIENT_NAMES_MAX);
  }
  c->names = calloc(files->n_client_names + 1, sizeof *c->names);
  for (; c->names && c->n_names < files->n_client_names; c->n_names++) {
    c->names[c->n_names] = strdup(files->client_names[c->n_names]);
    if (!c->names[c->n_names]) {
      break;
    }
  }
  return c->names && c->n_names == files->n_client_names ? 0 : mg_err_nomem(err);
}

int mg_credentials_load(const struct mg_credentials_files *files, struct mg_credentials **ret, struct mg_err *err) {
  __attribute__((cleanup(credentials_unrefp))) struct mg_credentials *c = calloc(1, sizeof *c);
  *ret = NULL;
  if (!c) {
    return mg_err_nomem(err);
  }
  atomic_init(&c->refs, 1);
  if (files->n_client_names > 0 && !files->client_ca) {
    return mg_err_set(err, MG_E_USAGE, "names of clients mean nothing without the CA of their certificates");
  }
  int code = load_pair(files, c, err);
  if (code == 0 && files->client_ca) {
    code = load_clients(files->client_ca, c, err);
  }
  if (code == 0) {
    code = copy_names(files, c, err);
  }
  if (code == 0) {
    *ret = c;
    c = NULL;
  }
  return code;
}

/* ---- the handshake ---- */

static struct mg_credentials *attached(gnutls_session_t session) {
  struct mg_handshake *handshake = gnutls_session_get_ptr(session);
  return handshake ? handshake->credentials : NULL;
}

int mg_credentials_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                            unsigned int *certs_length, gnutls_ocsp_data_st **ocsp, unsigned int *ocsp_length,
                            gnutls_privkey_t *privkey, unsigned int *flags) {
  struct mg_credentials *c = attached(session);
  (void)info;
  if (!c) {
    return -1;
  }
  *certs = c->chain;
  *certs_length = c->chain_n;
  *ocsp = NULL;
  *ocsp_length = 0;
  *privkey = c->key;
  *flags = 0; /* they stay ours */
  return 0;
}

static bool name_allowed(const struct mg_credentials *c, const char *name, size_t size, bool dns) {
  for (size_t i = 0; i < c->n_names; i++) {
    /* A name with a NUL inside is longer than its text and never the same. */
    if (strlen(c->names[i]) == size && (dns ? strncasecmp(c->names[i], name, size) : memcmp(c->names[i], name, size)) == 0) {
      return true;
    }
  }
  return false;
}

static bool common_name_allowed(const struct mg_credentials *c, gnutls_x509_crt_t cert) {
  for (unsigned i = 0; i < NAMES_LOOKED_AT; i++) {
    char name[NAME_SIZE];
    size_t size = sizeof name;
    int code = gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, i, 0, name, &size);
    if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
      return false;
    }
    if (code == 0 && name_allowed(c, name, size, false)) {
      return true;
    }
  }
  return false;
}

static bool dns_name_allowed(const struct mg_credentials *c, gnutls_x509_crt_t cert) {
  for (unsigned i = 0; i < NAMES_LOOKED_AT; i++) {
    char name[NAME_SIZE];
    size_t size = sizeof name;
    int kind = gnutls_x509_crt_get_subject_alt_name(cert, i, name, &size, NULL);
    if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
      return false;
    }
    if (kind == GNUTLS_SAN_DNSNAME && name_allowed(c, name, size, true)) {
      return true;
    }
  }
  return false;
}

static bool chain_good(const struct mg_credentials *c, gnutls_x509_crt_t *certs, unsigned n) {
  gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID};
  char client[] = GNUTLS_KP_TLS_WWW_CLIENT;
  unsigned status = 0;
  purpose.data = (unsigned char *)client;
  return gnutls_x509_trust_list_verify_crt2(c->clients, certs, n, &purpose, 1, 0, &status, NULL) == 0 && status == 0 &&
         (c->n_names == 0 || common_name_allowed(c, certs[0]) || dns_name_allowed(c, certs[0]));
}

/* gnutls_session_set_verify_function: 0 lets the client in; anything else ends the handshake. */
static int verify_client(gnutls_session_t session) {
  const struct mg_credentials *c = attached(session);
  gnutls_x509_crt_t certs[CHAIN_MAX];
  unsigned size = 0, n = 0;
  const gnutls_datum_t *raw = gnutls_certificate_get_peers(session, &size);
  bool good = c && raw && size > 0 && size <= CHAIN_MAX && gnutls_certificate_type_get(session) == GNUTLS_CRT_X509;
  while (good && n < size) {
    good = gnutls_x509_crt_init(&certs[n]) == 0;
    if (good) {
      good = gnutls_x509_crt_import(certs[n], &raw[n], GNUTLS_X509_FMT_DER) == 0;
      n++;
    }
  }
  good = good && chain_good(c, certs, n);
  while (n > 0) {
    gnutls_x509_crt_deinit(certs[--n]);
  }
  return good ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

/* Only the client's own message says that it is there; in TLS 1.3 ours is sent before. */
static int finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *message) {
  struct mg_handshake *handshake = gnutls_session_get_ptr(session);
  (void)type, (void)when, (void)message;
  if (incoming && handshake) {
    handshake->done(handshake);
  }
  return 0;
}

void mg_credentials_attach(struct mg_handshake *handshake, gnutls_session_t session) {
  gnutls_session_set_ptr(session, handshake);
  if (!handshake) {
    return;
  }
  gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, finished);
  if (handshake->credentials->clients) {
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_function(session, verify_client);
  }
}
