/* Private keys whose signatures OpenSSL makes: a handshake is mostly one signature, and nettle, which GnuTLS has otherwise, takes
 * four times as long for one with an RSA key and twice as long for one with a P-256 key. */
#pragma once
#include <gnutls/abstract.h>

#include "base/err.h"

/* From PEM text. A key of a kind that OpenSSL is not faster with stays GnuTLS's own. `path` is for the error. Freed by
 * gnutls_privkey_deinit. */
int mg_sign_key(const char *path, const char *pem, size_t size, gnutls_privkey_t *ret, struct mg_err *err)
  __attribute__((warn_unused_result));
