/* The names of a server certificate. Private to certs/. */
#pragma once
#include <openssl/x509v3.h>

#include "certs/certs.h"

/* Of the request, checked; NULL in *ret where it has none. */
int mg_names_of_request(const struct mg_certs_request *request, GENERAL_NAMES **ret, struct mg_err *err);
/* Whether the certificate stands for each of them. */
bool mg_names_covered(const X509 *cert, GENERAL_NAMES *names);

static inline void mg_names_freep(GENERAL_NAMES **names) {
  GENERAL_NAMES_free(*names);
}
#define MG_NAMES_AUTO __attribute__((cleanup(mg_names_freep))) GENERAL_NAMES *
