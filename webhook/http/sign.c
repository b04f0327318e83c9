#include "http/sign.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "certs/pem.h"

/* Of one signature by one kind of key. */
struct way {
  gnutls_pk_algorithm_t by;
  int key; /* EVP_PKEY_ */
  int padding; /* 0: none to choose */
};
static const struct way ways[] = {
  {GNUTLS_PK_ECDSA, EVP_PKEY_EC, 0},
  {GNUTLS_PK_RSA, EVP_PKEY_RSA, RSA_PKCS1_PADDING},
  {GNUTLS_PK_RSA_PSS, EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING},
};
#define N_WAYS (sizeof ways / sizeof *ways)

/* The first is also what GnuTLS calls the key. */
static const struct way *find_way(const EVP_PKEY *key, gnutls_sign_algorithm_t algorithm) {
  gnutls_pk_algorithm_t by = algorithm == GNUTLS_SIGN_UNKNOWN   ? GNUTLS_PK_UNKNOWN
                             : algorithm == GNUTLS_SIGN_RSA_RAW ? GNUTLS_PK_RSA
                                                                : gnutls_sign_get_pk_algorithm(algorithm);
  for (size_t i = 0; i < N_WAYS; i++) {
    if (ways[i].key == EVP_PKEY_get_base_id(key) && (by == GNUTLS_PK_UNKNOWN || by == ways[i].by)) {
      return &ways[i];
    }
  }
  return NULL;
}

static const EVP_MD *hash_of(gnutls_sign_algorithm_t algorithm) {
  static const struct {
    gnutls_digest_algorithm_t id;
    const EVP_MD *(*hash)(void);
  } rows[] = {{GNUTLS_DIG_SHA256, EVP_sha256}, {GNUTLS_DIG_SHA384, EVP_sha384}, {GNUTLS_DIG_SHA512, EVP_sha512}};
  gnutls_digest_algorithm_t id = gnutls_sign_get_hash_algorithm(algorithm);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].id == id) {
      return rows[i].hash();
    }
  }
  return NULL;
}

static int info(gnutls_privkey_t key, unsigned flags, void *own) {
  (void)key;
  if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) {
    const struct way *way = find_way(own, GNUTLS_SIGN_UNKNOWN);
    return way ? (int)way->by : GNUTLS_PK_UNKNOWN;
  }
  if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) {
    return EVP_PKEY_get_bits(own);
  }
  if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) {
    gnutls_sign_algorithm_t algorithm = GNUTLS_FLAGS_TO_SIGN_ALGO(flags);
    return find_way(own, algorithm) && hash_of(algorithm);
  }
  return -1;
}

static bool prepare(EVP_PKEY_CTX *context, const struct way *way, gnutls_sign_algorithm_t algorithm) {
  if (!context || EVP_PKEY_sign_init(context) != 1 ||
      (way->padding && EVP_PKEY_CTX_set_rsa_padding(context, way->padding) != 1)) {
    return false;
  }
  const EVP_MD *hash = way->padding == RSA_PKCS1_PSS_PADDING ? hash_of(algorithm) : NULL;
  return way->padding != RSA_PKCS1_PSS_PADDING ||
         (hash && EVP_PKEY_CTX_set_signature_md(context, hash) == 1 &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1);
}

/* Of a hash; for PKCS#1 of 1.5 GnuTLS has already put it into the structure that is padded and signed as it is. */
static int sign(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *own, unsigned flags, const gnutls_datum_t *hash,
                gnutls_datum_t *ret) {
  (void)key, (void)flags;
  const struct way *way = find_way(own, algorithm);
  size_t size = (size_t)EVP_PKEY_get_size(own);
  unsigned char *p = way ? gnutls_malloc(size) : NULL;
  EVP_PKEY_CTX *context = p ? EVP_PKEY_CTX_new(own, NULL) : NULL;
  bool good = p && prepare(context, way, algorithm) && EVP_PKEY_sign(context, p, &size, hash->data, hash->size) == 1;
  EVP_PKEY_CTX_free(context);
  if (!good) {
    ERR_clear_error();
    gnutls_free(p);
    return GNUTLS_E_PK_SIGN_FAILED;
  }
  *ret = (gnutls_datum_t){p, (unsigned)size};
  return 0;
}

static void forget(gnutls_privkey_t key, void *own) {
  (void)key;
  EVP_PKEY_free(own);
}

/* Takes `own` in any case. */
static int use_own(gnutls_privkey_t key, EVP_PKEY *own) {
  int code = gnutls_privkey_import_ext4(key, own, NULL, sign, NULL, forget, info, 0);
  if (code != 0) {
    EVP_PKEY_free(own);
  }
  return code;
}

int mg_sign_key(const char *path, const char *pem, size_t size, gnutls_privkey_t *ret, struct mg_err *err) {
  EVP_PKEY *own = NULL;
  gnutls_privkey_t key = NULL;
  int code = mg_pem_key(path, pem, size, &own, err);
  if (code != 0) {
    return code;
  }
  code = gnutls_privkey_init(&key);
  if (code == 0 && find_way(own, GNUTLS_SIGN_UNKNOWN)) {
    code = use_own(key, own);
  } else {
    gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem, (unsigned)size};
    EVP_PKEY_free(own);
    code = code == 0 ? gnutls_privkey_import_x509_raw(key, &text, GNUTLS_X509_FMT_PEM, NULL, 0) : code;
  }
  if (code != 0) {
    gnutls_privkey_deinit(key);
    return mg_err_set(err, code == GNUTLS_E_MEMORY_ERROR ? MG_E_NOMEM : MG_E_INVALID, "%s: %s", path, gnutls_strerror(code));
  }
  *ret = key;
  return 0;
}
