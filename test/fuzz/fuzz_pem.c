/* Certificates and keys as text: what is read can be written, and is then the same. */
#include <stdlib.h>

#include "certs/pem.h"
#include "fuzz.h"

static char *text_of(mg_str s) { /* NUL-terminated, as mg_pem_read gives it */
  char *p = malloc(s.n + 1);
  FUZZ_CHECK(p, "out of memory");
  if (s.n) memcpy(p, s.p, s.n);
  p[s.n] = '\0';
  return p;
}

static void check_chain(const char *text, size_t n) {
  STACK_OF(X509) *chain = NULL, *again = NULL;
  struct mg_err err = {0};
  X509 *first = NULL;
  int code = mg_pem_chain("f", text, n, &chain, &err);
  int one = mg_pem_cert("f", text, n, &first, &err);
  FUZZ_CHECK(code || one == 0, "a chain without a first certificate");
  if (code == 0) {
    int count = sk_X509_num(chain);
    X509 *certs[MG_PEM_CHAIN_MAX];
    struct mg_blob blob = {0};
    FUZZ_CHECK(count > 0 && count <= MG_PEM_CHAIN_MAX, "%d certificates", count);
    for (int i = 0; i < count; i++) certs[i] = sk_X509_value(chain, i);
    FUZZ_CHECK(X509_cmp(certs[0], first) == 0, "two firsts");
    FUZZ_CHECK(mg_blob_of_certs(certs, (size_t)count, &blob, &err) == 0, "cannot be written: %s", err.text);
    FUZZ_CHECK(mg_pem_chain("f", blob.p, blob.n, &again, &err) == 0, "cannot be read: %s", err.text);
    FUZZ_CHECK(sk_X509_num(again) == count, "%d certificates instead of %d", sk_X509_num(again), count);
    for (int i = 0; i < count; i++) FUZZ_CHECK(X509_cmp(certs[i], sk_X509_value(again, i)) == 0, "another certificate");
    mg_blob_fini(&blob);
  }
  sk_X509_pop_free(chain, X509_free);
  sk_X509_pop_free(again, X509_free);
  X509_free(first);
}

static void check_key(const char *text, size_t n) {
  EVP_PKEY *key = NULL, *again = NULL;
  struct mg_blob blob = {0};
  struct mg_err err = {0};
  int code = mg_pem_key("f", text, n, &key, &err);
  FUZZ_CHECK((code == 0) == (key != NULL) && (code == 0 || err.text[0]), "code %d", code);
  if (code == 0 && mg_blob_of_key(key, &blob, &err) == 0) {
    FUZZ_CHECK(mg_pem_key("f", blob.p, blob.n, &again, &err) == 0, "cannot be read: %s", err.text);
    FUZZ_CHECK(EVP_PKEY_eq(key, again) != 0, "another key");
  }
  mg_blob_fini(&blob);
  EVP_PKEY_free(key);
  EVP_PKEY_free(again);
}

/* OpenSSL tries all forms of keys on what is none, which takes longer than all else. */
static bool may_be_key(const char *text, size_t n) {
  return n <= 256 || strstr(text, "KEY");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = text_of((mg_str){(const char *)data, size});
  if (size <= MG_PEM_MAX) {
    check_chain(text, size);
    if (may_be_key(text, size)) check_key(text, size);
  }
  free(text);
  return 0;
}
