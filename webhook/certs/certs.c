#include "certs/certs.h"

#include "certs/issue.h"
#include "certs/pem.h"

static void x509_freep(X509 **cert) {
  X509_free(*cert);
}
static void pkey_freep(EVP_PKEY **key) {
  EVP_PKEY_free(*key);
}
#define X509_AUTO __attribute__((cleanup(x509_freep))) X509 *
#define PKEY_AUTO __attribute__((cleanup(pkey_freep))) EVP_PKEY *

static int load_cert(const char *path, X509 **ret_cert, struct mg_err *err) {
  char *text = NULL;
  size_t n = 0;
  int code = mg_pem_read(path, &text, &n, err);
  if (code == 0) {
    code = mg_pem_cert(path, text, n, ret_cert, err);
    mg_pem_free(text, n);
  }
  return code;
}

int mg_certs_expiry(const char *path, int64_t *ret_unix, struct mg_err *err) {
  X509_AUTO cert = NULL;
  int code = load_cert(path, &cert, err);
  if (code == 0) {
    *ret_unix = mg_cert_until(cert);
  }
  return code;
}

void mg_certs_pair_fini(struct mg_certs_pair *pair) {
  mg_pem_free(pair->cert, pair->cert_size);
  mg_pem_free(pair->key, pair->key_size);
  *pair = (struct mg_certs_pair){0};
}

static int check_pair(const char *cert_path, const char *key_path, struct mg_certs_pair *pair, struct mg_err *err) {
  X509_AUTO cert = NULL;
  PKEY_AUTO key = NULL;
  int code = mg_pem_cert(cert_path, pair->cert, pair->cert_size, &cert, err);
  if (code == 0) {
    code = mg_pem_key(key_path, pair->key, pair->key_size, &key, err);
  }
  if (code == 0 && X509_check_private_key(cert, key) != 1) {
    (void)mg_pem_ssl_reason();
    code = mg_err_set(err, MG_E_INVALID, "%s is not the key of %s", key_path, cert_path);
  }
  if (code == 0) {
    pair->not_after = mg_cert_until(cert);
  }
  return code;
}

int mg_certs_load(const char *cert_path, const char *key_path, struct mg_certs_pair *ret_pair, struct mg_err *err) {
  __attribute__((cleanup(mg_certs_pair_fini))) struct mg_certs_pair pair = {0};
  int code = mg_pem_read(cert_path, &pair.cert, &pair.cert_size, err);
  if (code == 0) {
    code = mg_pem_read(key_path, &pair.key, &pair.key_size, err);
  }
  if (code == 0) {
    code = check_pair(cert_path, key_path, &pair, err);
  }
  if (code == 0) {
    *ret_pair = pair;
    pair = (struct mg_certs_pair){0};
  }
  return code;
}
