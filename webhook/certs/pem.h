/* PEM files: read with a limit, written so that a reader sees the old file or the new one. */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/types.h>

#include "base/err.h"

#define MG_PEM_MAX (64u * 1024)

/* A whole regular file of at most MG_PEM_MAX bytes, NUL-terminated; freed by mg_pem_free, which also wipes it.
 * A file that is not there is an error too; then errno is ENOENT on return. */
int mg_pem_read(const char *path, char **ret_text, size_t *ret_size, struct mg_err *err);
void mg_pem_free(char *text, size_t size);

/* The first certificate, the private key. An encrypted key is refused and never asked for. */
int mg_pem_cert(const char *path, const char *text, size_t size, X509 **ret_cert, struct mg_err *err);
int mg_pem_key(const char *path, const char *text, size_t size, EVP_PKEY **ret_key, struct mg_err *err);

/* Makes dir (0700) where it is missing; its parent must exist. */
int mg_pem_dir(const char *dir, struct mg_err *err);

/* Every certificate of the text, MG_PEM_CHAIN_MAX at most. */
#define MG_PEM_CHAIN_MAX 16
int mg_pem_chain(const char *path, const char *text, size_t size, STACK_OF(X509) **ret_chain, struct mg_err *err);

/* PEM text, on the heap and NUL-terminated behind n; freed by mg_blob_fini, which also wipes it. */
struct mg_blob {
  char *p;
  size_t n;
};
void mg_blob_fini(struct mg_blob *blob);
/* Of a key, or of the certificates one behind the other. What was in ret is freed. */
int mg_blob_of_key(EVP_PKEY *key, struct mg_blob *ret, struct mg_err *err);
int mg_blob_of_certs(X509 *const *certs, size_t n, struct mg_blob *ret, struct mg_err *err);
int mg_blob_dup(const char *p, size_t n, struct mg_blob *ret, struct mg_err *err);

/* Temporary file in the same directory, fsync, rename. */
int mg_pem_put(const char *dir, const char *name, mode_t mode, const struct mg_blob *text, struct mg_err *err);
/* No error where it is not there. */
int mg_pem_remove(const char *dir, const char *name, struct mg_err *err);

/* OpenSSL's newest complaint as text for an error; clears its queue. */
const char *mg_pem_ssl_reason(void);
