/* What a TLS handshake is made with: the certificate, its key, and which clients may come. Immutable and counted: a swap puts
 * another in its place, and every handshake ends with what it began with. */
#pragma once
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/err.h"

#define MG_CLIENT_NAMES_MAX 64

struct mg_credentials;

struct mg_credentials_files {
  const char *cert, *key;          /* PEM */
  const char *client_ca;           /* PEM; NULL: clients need no certificate */
  const char *const *client_names; /* a client's common name or DNS name has to be one of these; none: any will do */
  size_t n_client_names;
};

/* Reads all of it; nothing of the struct is needed afterwards. */
int mg_credentials_load(const struct mg_credentials_files *files, struct mg_credentials **ret, struct mg_err *err)
  __attribute__((warn_unused_result));
struct mg_credentials *mg_credentials_ref(struct mg_credentials *credentials);
void mg_credentials_unref(struct mg_credentials *credentials); /* NULL is fine */

/* When the server certificate ends, Unix seconds. */
int64_t mg_credentials_until(const struct mg_credentials *credentials);

/* What a session knows of us during its handshake. */
struct mg_handshake {
  struct mg_credentials *credentials; /* its own reference; NULL: no handshake any more */
  void (*done)(struct mg_handshake *handshake); /* the client has proved that it has the keys */
};

/* Before the handshake; NULL: the session can make none. `handshake` outlives it. */
void mg_credentials_attach(struct mg_handshake *handshake, gnutls_session_t session);
/* MHD_OPTION_HTTPS_CERT_CALLBACK2. */
gnutls_certificate_retrieve_function3 mg_credentials_retrieve;
