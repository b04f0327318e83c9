/* What is kept, as text for people. Keys are only ever compared. */
#include <inttypes.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/when.h"
#include "certs/names.h"
#include "certs/store.h"

#define NAMES_SHOWN 100
#define COLUMN "  %-13s"

static void bio_freep(BIO **bio) {
  BIO_free(*bio);
}
#define BIO_AUTO __attribute__((cleanup(bio_freep))) BIO *

/* Whatever a certificate says passes here: it may be a stranger's. */
static void put_bio(struct mg_buf *out, BIO *bio) {
  char *p = NULL;
  long n = BIO_get_mem_data(bio, &p);
  mg_buf_clean(out, (mg_str){p, n > 0 ? (size_t)n : 0});
}

static void put_name(struct mg_buf *out, const char *label, const X509_NAME *name) {
  BIO_AUTO bio = BIO_new(BIO_s_mem());
  mg_buf_printf(out, COLUMN, label);
  if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) put_bio(out, bio);
  mg_buf_byte(out, '\n');
}

static void put_time(struct mg_buf *out, const char *label, int64_t unix_time) {
  char room[MG_WHEN_ROOM];
  mg_buf_printf(out, COLUMN "%s\n", label, mg_when_text(unix_time, room));
}

static void put_hex(struct mg_buf *out, const unsigned char *p, size_t n, const char *between) {
  for (size_t i = 0; i < n; i++) mg_buf_printf(out, "%s%02x", i ? between : "", p[i]);
  mg_buf_byte(out, '\n');
}

static void put_serial(struct mg_buf *out, const X509 *cert) {
  const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
  mg_buf_printf(out, COLUMN, "serial");
  put_hex(out, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), "");
}

static void put_fingerprint(struct mg_buf *out, const X509 *cert) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  mg_buf_printf(out, COLUMN "SHA-256 ", "fingerprint");
  if (X509_digest(cert, EVP_sha256(), digest, &n) != 1) n = 0;
  put_hex(out, digest, n, ":");
}

static void put_names(struct mg_buf *out, const X509 *cert) {
  MG_NAMES_AUTO names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  if (!names) return;
  mg_buf_printf(out, COLUMN, "names");
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    BIO_AUTO bio = BIO_new(BIO_s_mem());
    if (i == NAMES_SHOWN) break;
    if (i) mg_buf_lit(out, ", ");
    if (bio && GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i)) == 1) put_bio(out, bio);
  }
  mg_buf_printf(out, "%s\n", sk_GENERAL_NAME_num(names) > NAMES_SHOWN ? ", …" : "");
}

static void put_cert(struct mg_buf *out, const X509 *cert, int64_t now) {
  int64_t left = mg_cert_until(cert) - now;
  put_name(out, "subject", X509_get_subject_name(cert));
  put_names(out, cert);
  put_name(out, "issuer", X509_get_issuer_name(cert));
  put_serial(out, cert);
  put_time(out, "not before", mg_cert_from(cert));
  put_time(out, "not after", mg_cert_until(cert));
  if (left > 0) mg_buf_printf(out, COLUMN "%" PRId64 "\n", "days left", left / MG_DAY);
  else mg_buf_printf(out, COLUMN "none, it has ended\n", "days left");
  put_fingerprint(out, cert);
}

static void put_bundle(struct mg_buf *out, const struct mg_state *state, int64_t now) {
  int n = sk_X509_num(state->bundle);
  for (int i = 0; i < n; i++) {
    X509 *cert = sk_X509_value(state->bundle, i);
    bool signs = state->ca.cert && X509_cmp(cert, state->ca.cert) == 0;
    bool next = state->next.cert && X509_cmp(cert, state->next.cert) == 0;
    mg_buf_printf(out, "ca.crt, %d of %d%s\n", i + 1, n, signs ? ": signs" : next ? ": will sign" : ": trusted");
    put_cert(out, cert, now);
  }
}

/* As a client would at that time; the words of the library, NULL: it is good. */
static const char *verify(const struct mg_state *state, int64_t now) {
  const char *wrong = "out of memory";
  X509_STORE *store = X509_STORE_new();
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  bool good = store && ctx;
  for (int i = 0; good && i < sk_X509_num(state->bundle); i++)
    good = X509_STORE_add_cert(store, sk_X509_value(state->bundle, i)) == 1;
  if (good && X509_STORE_CTX_init(ctx, store, state->leaf.cert, NULL) == 1) {
    X509_VERIFY_PARAM *how = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(how, (time_t)now);
    (void)X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
    wrong = X509_verify_cert(ctx) == 1 ? NULL : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
  }
  X509_STORE_CTX_free(ctx);
  X509_STORE_free(store);
  (void)mg_pem_ssl_reason();
  return wrong;
}

static bool put_match(struct mg_buf *out, const char *label, X509 *cert, EVP_PKEY *key) {
  bool match = cert && key && X509_check_private_key(cert, key) == 1;
  (void)mg_pem_ssl_reason();
  mg_buf_printf(out, "%-15s%s\n", label, match ? "matches" : key ? "does not match" : "not there");
  return match;
}

static bool put_verdict(struct mg_buf *out, const struct mg_state *state, int64_t now) {
  const char *wrong = "no server certificate";
  if (state->leaf.cert) wrong = verify(state, now);
  mg_buf_printf(out, "%-15s%s%s\n", "chain ok", wrong ? "no: " : "yes", wrong ? wrong : "");
  bool signer = put_match(out, "ca.key", state->ca.cert, state->ca.key);
  bool leaf = put_match(out, "tls.key", state->leaf.cert, state->leaf.key);
  if (state->next.cert) (void)put_match(out, "next-ca.key", state->next.cert, state->next.key);
  return !wrong && signer && leaf;
}

static int show(const struct mg_entries *entries, const char *name, int64_t now, struct mg_buf *out, bool *ret_good,
                struct mg_err *err) {
  MG_STATE_AUTO state = {0};
  int code = mg_state_read(entries, name, true, &state, err);
  if (code < 0) return code;
  mg_buf_clean(out, mg_str_of(name));
  mg_buf_byte(out, '\n');
  put_bundle(out, &state, now);
  if (state.leaf.cert) {
    mg_buf_lit(out, "tls.crt\n");
    put_cert(out, state.leaf.cert, now);
  }
  *ret_good = put_verdict(out, &state, now);
  return out->failed ? mg_err_nomem(err) : 0;
}

int mg_certs_show(const struct mg_certs_place *place, int64_t now, struct mg_buf *out, bool *ret_good, struct mg_err *err) {
  char name[MG_STORE_NAME];
  MG_STORE_AUTO store = MG_STORE_READ(place);
  MG_ENTRIES_AUTO entries = {0};
  int code = mg_store_load(&store, &entries, err);
  if (code < 0) return code;
  (void)mg_store_name(place, name);
  if (!entries.of[MG_CA_CRT].n && !entries.of[MG_TLS_CRT].n) return mg_err_set(err, MG_E_INVALID, "%s: there is nothing", name);
  return show(&entries, name, now ? now : (int64_t)time(NULL), out, ret_good, err);
}
