/* New certificates with keys of their own, ECDSA P-256. Private to certs/. */
#pragma once
#include <openssl/x509v3.h>

#include "base/err.h"

#define MG_ISSUE_BACKDATE (5 * 60) /* seconds: clocks of nodes differ */
#define MG_DAY (24 * 60 * 60)

struct mg_identity {
  X509 *cert;
  EVP_PKEY *key;
};
void mg_identity_fini(struct mg_identity *identity); /* also of a zeroed one */
#define MG_IDENTITY_AUTO __attribute__((cleanup(mg_identity_fini))) struct mg_identity

int mg_issue_ca(int days, int64_t now, struct mg_identity *ret, struct mg_err *err);
/* Ends with its CA at the latest; a CA that has ended is an error. */
int mg_issue_leaf(const struct mg_identity *ca, GENERAL_NAMES *names, int days, int64_t now, struct mg_identity *ret,
                  struct mg_err *err);

int64_t mg_cert_from(const X509 *cert); /* not before, Unix seconds */
int64_t mg_cert_until(const X509 *cert); /* not after */
