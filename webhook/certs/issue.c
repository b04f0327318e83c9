#include "certs/issue.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <time.h>

#include "certs/pem.h"

#define SERIAL_BYTES 16

void mg_identity_fini(struct mg_identity *identity) {
  X509_free(identity->cert);
  EVP_PKEY_free(identity->key);
  *identity = (struct mg_identity){0};
}

struct extension {
  int nid;
  const char *value;
};

static const struct extension ca_extensions[] = {
  {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
  {NID_key_usage, "critical,keyCertSign,cRLSign"},
  {NID_subject_key_identifier, "hash"},
};

static const struct extension leaf_extensions[] = {
  {NID_basic_constraints, "critical,CA:FALSE"},
  {NID_key_usage, "critical,digitalSignature"},
  {NID_ext_key_usage, "serverAuth"},
  {NID_subject_key_identifier, "hash"},
  {NID_authority_key_identifier, "keyid:always"},
};

static int64_t seconds_of(const ASN1_TIME *time) {
  struct tm tm;
  return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t mg_cert_from(const X509 *cert) {
  return seconds_of(X509_get0_notBefore(cert));
}

int64_t mg_cert_until(const X509 *cert) {
  return seconds_of(X509_get0_notAfter(cert));
}

/* 128 random bits; the top one cleared keeps it positive, the next one set keeps its length. */
static bool set_serial(X509 *cert) {
  unsigned char bytes[SERIAL_BYTES];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
  BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
  bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
  BN_free(number);
  return good;
}

static bool set_times(X509 *cert, int64_t now, int64_t until) {
  return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(now - MG_ISSUE_BACKDATE)) &&
         ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until);
}

static bool set_name(X509 *cert, const char *common_name) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1,
                                    -1, 0) == 1;
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct extension *rows, size_t n) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
  for (size_t i = 0; i < n; i++) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, rows[i].nid, rows[i].value);
    bool good = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    if (!good) return false;
  }
  return true;
}

/* With everything but issuer, extensions and signature. Without a context, for want of memory, OpenSSL 3.0 would crash. */
static bool start(struct mg_identity *new, const char *common_name, int64_t now, int64_t until) {
  new->key = OSSL_LIB_CTX_get0_global_default() ? EVP_EC_gen("P-256") : NULL;
  new->cert = X509_new();
  return new->key && new->cert && X509_set_version(new->cert, X509_VERSION_3) && set_serial(new->cert) &&
         set_times(new->cert, now, until) && set_name(new->cert, common_name) && X509_set_pubkey(new->cert, new->key);
}

static int finish(struct mg_identity *new, bool good, const char *what, struct mg_identity *ret, struct mg_err *err) {
  if (!good) return mg_err_set(err, MG_E_NOMEM, "making the %s: %s", what, mg_pem_ssl_reason());
  mg_identity_fini(ret);
  *ret = *new;
  *new = (struct mg_identity){0};
  return 0;
}

int mg_issue_ca(int days, int64_t now, struct mg_identity *ret, struct mg_err *err) {
  MG_IDENTITY_AUTO new = {0};
  bool good = start(&new, "mlgate CA", now, now + (int64_t)days * MG_DAY) &&
              X509_set_issuer_name(new.cert, X509_get_subject_name(new.cert)) &&
              add_extensions(new.cert, new.cert, ca_extensions, sizeof ca_extensions / sizeof *ca_extensions) &&
              X509_sign(new.cert, new.key, EVP_sha256());
  return finish(&new, good, "CA", ret, err);
}

int mg_issue_leaf(const struct mg_identity *ca, GENERAL_NAMES *names, int days, int64_t now, struct mg_identity *ret,
                  struct mg_err *err) {
  MG_IDENTITY_AUTO new = {0};
  int64_t until = now + (int64_t)days * MG_DAY, last = mg_cert_until(ca->cert);
  if (last <= now) return mg_err_set(err, MG_E_INVALID, "ca.crt has expired; a new CA must be forced");
  bool good = start(&new, "mlgate", now, until < last ? until : last) &&
              X509_set_issuer_name(new.cert, X509_get_subject_name(ca->cert)) &&
              add_extensions(new.cert, ca->cert, leaf_extensions, sizeof leaf_extensions / sizeof *leaf_extensions) &&
              X509_add1_ext_i2d(new.cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
              X509_sign(new.cert, ca->key, EVP_sha256());
  return finish(&new, good, "server certificate", ret, err);
}
