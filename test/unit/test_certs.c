/* What mg_certs_create and mg_certs_rotate write is read back with OpenSSL and verified as a client would. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "certs/certs.h"
#include "certs/pem.h"

static char root[64], dir[96];
static const char *const files[] = {"ca.crt", "ca.key", "tls.crt", "tls.key", "next-ca.crt", "next-ca.key"};
#define FILES (sizeof files / sizeof *files)
static const char *const dns[] = {"mlgate", "mlgate.ml.svc", "*.example.org"};
static const char *const ips[] = {"127.0.0.1", "::1"};

static const char *at(const char *name) {
  static char paths[4][160];
  static unsigned turn;
  char *path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", dir, name);
  return path;
}

static int setup(void **state) {
  (void)state;
  snprintf(root, sizeof root, "/tmp/mg-test-certs-XXXXXX");
  assert_non_null(mkdtemp(root));
  snprintf(dir, sizeof dir, "%s/pki", root);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (size_t i = 0; i < FILES; i++) {
    unlink(at(files[i]));
  }
  rmdir(dir);
  assert_int_equal(rmdir(root), 0); /* and no temporary file is left anywhere */
  return 0;
}

static struct mg_certs_request request(void) {
  return (struct mg_certs_request){.dns = dns, .n_dns = 3, .ips = ips, .n_ips = 2, .ca_days = 100, .days = 30};
}

static int create_in(const char *where, const struct mg_certs_request *r, struct mg_err *err) {
  struct mg_certs_place place = {.dir = where};
  struct mg_certs_report report;
  return mg_certs_create(&place, r, &report, err);
}

static void make(const struct mg_certs_request *r) {
  struct mg_err err;
  if (create_in(dir, r, &err) != 0) {
    fail_msg("%s", err.text);
  }
}

static int make_code_in(const char *where, const struct mg_certs_request *r, const char *needle) {
  struct mg_err err = {0};
  int code = create_in(where, r, &err);
  if (code != 0 && !strstr(err.text, needle)) {
    fail_msg("want \"%s\" in \"%s\"", needle, err.text);
  }
  return code;
}

static int make_code(const struct mg_certs_request *r, const char *needle) {
  return make_code_in(dir, r, needle);
}

static X509 *load(const char *name) {
  FILE *file = fopen(at(name), "re");
  assert_non_null(file);
  X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
  assert_non_null(cert);
  assert_null(PEM_read_X509(file, NULL, NULL, NULL)); /* one certificate, then nothing */
  fclose(file);
  return cert;
}

static void put(const char *name, const char *p, size_t n) {
  int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, p, n), n);
  close(fd);
}

static int64_t seconds(const ASN1_TIME *t) {
  struct tm tm;
  assert_int_equal(ASN1_TIME_to_tm(t, &tm), 1);
  return (int64_t)timegm(&tm);
}

static void near(int64_t a, int64_t b) {
  assert_in_range(a - b + 5, 0, 10);
}

static int critical(X509 *cert, int nid) {
  return X509_EXTENSION_get_critical(X509_get_ext(cert, X509_get_ext_by_NID(cert, nid, -1)));
}

static void check_serial(X509 *cert) {
  BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
  assert_false(BN_is_negative(n));
  assert_int_equal(BN_num_bits(n), 127);
  BN_free(n);
}

static void check_curve(X509 *cert) {
  char group[32];
  assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(cert), group, sizeof group, NULL), 1);
  assert_string_equal(group, "prime256v1");
}

static void test_ca(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  X509 *ca = load("ca.crt");
  assert_int_equal(X509_get_version(ca), X509_VERSION_3);
  char name[64];
  X509_NAME_get_text_by_NID(X509_get_subject_name(ca), NID_commonName, name, sizeof name);
  assert_string_equal(name, "mlgate CA");
  assert_int_equal(X509_check_ca(ca), 1);
  assert_int_equal(X509_get_pathlen(ca), 0);
  assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
  assert_true(critical(ca, NID_basic_constraints) && critical(ca, NID_key_usage));
  assert_non_null(X509_get0_subject_key_id(ca));
  check_serial(ca);
  check_curve(ca);
  near(seconds(X509_get0_notBefore(ca)), time(NULL) - 300);
  near(seconds(X509_get0_notAfter(ca)), time(NULL) + 100 * 86400);
  X509_free(ca);
}

static void test_leaf(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  X509 *ca = load("ca.crt"), *leaf = load("tls.crt");
  X509_STORE *store = X509_STORE_new();
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  X509_STORE_add_cert(store, ca);
  X509_STORE_CTX_init(ctx, store, leaf, NULL);
  X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
  if (X509_verify_cert(ctx) != 1) {
    fail_msg("%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
  }
  assert_int_equal(X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0), 0);
  assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
  assert_int_equal(X509_check_ca(leaf), 0);
  assert_int_equal(X509_check_host(leaf, "mlgate.ml.svc", 0, 0, NULL), 1);
  assert_int_equal(X509_check_host(leaf, "a.example.org", 0, 0, NULL), 1);
  assert_int_equal(X509_check_host(leaf, "mlgate.other.svc", 0, 0, NULL), 0);
  assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
  assert_int_equal(X509_check_ip_asc(leaf, "::1", 0), 1);
  assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.2", 0), 0);
  assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(leaf), X509_get0_subject_key_id(ca)), 0);
  check_serial(leaf);
  check_curve(leaf);
  near(seconds(X509_get0_notAfter(leaf)), time(NULL) + 30 * 86400);
  int64_t expiry = 0;
  struct mg_err err;
  assert_int_equal(mg_certs_expiry(at("tls.crt"), &expiry, &err), 0);
  assert_int_equal(expiry, seconds(X509_get0_notAfter(leaf)));
  X509_STORE_CTX_free(ctx);
  X509_STORE_free(store);
  X509_free(ca);
  X509_free(leaf);
}

static void test_modes(void **state) {
  static const mode_t want[] = {0644, 0600, 0644, 0600};
  struct stat st;
  (void)state;
  mode_t old = umask(0);
  struct mg_certs_request r = request();
  make(&r);
  umask(old);
  assert_int_equal(stat(dir, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0700);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(stat(at(files[i]), &st), 0);
    assert_int_equal(st.st_mode & 07777, want[i]);
  }
}

static void test_renew_and_force(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  X509 *ca = load("ca.crt"), *leaf = load("tls.crt");
  make(&r);
  X509 *ca2 = load("ca.crt"), *leaf2 = load("tls.crt");
  assert_int_equal(X509_cmp(ca, ca2), 0);
  assert_int_not_equal(X509_cmp(leaf, leaf2), 0);
  assert_int_equal(X509_verify(leaf2, X509_get0_pubkey(ca)), 1);
  r.force = true;
  make(&r);
  X509 *ca3 = load("ca.crt"), *leaf3 = load("tls.crt");
  assert_int_not_equal(X509_cmp(ca, ca3), 0);
  assert_int_equal(X509_verify(leaf3, X509_get0_pubkey(ca3)), 1);
  X509 *all[] = {ca, leaf, ca2, leaf2, ca3, leaf3};
  for (size_t i = 0; i < 6; i++) {
    X509_free(all[i]);
  }
}

static void test_leaf_within_ca(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  r.ca_days = 10;
  r.days = 3650;
  make(&r);
  X509 *ca = load("ca.crt"), *leaf = load("tls.crt");
  near(seconds(X509_get0_notAfter(leaf)), seconds(X509_get0_notAfter(ca)));
  X509_free(ca);
  X509_free(leaf);
}

/* Dates behind 2049 are written in the other ASN.1 form. */
static void test_far_future(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  r.ca_days = r.days = MG_CERTS_DAYS_MAX;
  make(&r);
  int64_t expiry = 0;
  assert_int_equal(mg_certs_expiry(at("tls.crt"), &expiry, NULL), 0);
  near(expiry, (int64_t)time(NULL) + (int64_t)MG_CERTS_DAYS_MAX * 86400);
}

static void test_wrong_ca(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  rename(at("tls.key"), at("ca.key"));
  assert_int_equal(make_code(&r, "ca.key is not the key of ca.crt"), MG_E_INVALID);
  unlink(at("ca.key"));
  assert_int_equal(make_code(&r, "there is ca.crt but no ca.key"), MG_E_INVALID);
  r.force = true;
  make(&r);
  r.force = false;
  rename(at("tls.crt"), at("ca.crt"));
  rename(at("tls.key"), at("ca.key"));
  assert_int_equal(make_code(&r, "not the certificate of a CA"), MG_E_INVALID);
  put("ca.crt", "rubbish", 7);
  assert_int_equal(make_code(&r, "no certificate"), MG_E_INVALID);
  unlink(at("ca.crt"));
  assert_int_equal(make_code(&r, "there is ca.key but no ca.crt"), MG_E_INVALID);
}

static void test_expired_ca(void **state) {
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  X509 *ca = load("ca.crt");
  FILE *file = fopen(at("ca.key"), "re");
  EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
  fclose(file);
  X509_time_adj_ex(X509_getm_notAfter(ca), 0, -10, NULL);
  X509_sign(ca, key, EVP_sha256());
  file = fopen(at("ca.crt"), "we");
  PEM_write_X509(file, ca);
  fclose(file);
  assert_int_equal(make_code(&r, "expired"), MG_E_INVALID);
  X509_free(ca);
  EVP_PKEY_free(key);
}

static void test_names(void **state) {
  static char label64[65], name254[255];
  memset(label64, 'a', 64);
  memset(name254, 'a', 254);
  for (size_t i = 50; i < 254; i += 50) {
    name254[i] = '.';
  }
  const char *const bad[] = {"",   ".",  "a..b",   "-a",    "a-", "a-.b",  "a b", "a,DNS:evil", "a\nb", "*",
                             "*.", "a*", "a.*.b", "\303\266", "a.", label64, name254, "a:b"};
  (void)state;
  struct mg_certs_request r = request();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    r.dns = &bad[i];
    r.n_dns = 1;
    assert_int_equal(make_code(&r, "is not a DNS name"), MG_E_USAGE);
  }
  label64[63] = '\0';
  name254[253] = '\0';
  const char *const good[] = {label64, name254, "a_b.c", "x--y", "1.2"};
  r.dns = good;
  r.n_dns = 5;
  make(&r);
  r.n_dns = 0;
  make(&r); /* addresses alone */
  r.n_ips = 0;
  assert_int_equal(make_code(&r, "at least one"), MG_E_USAGE);
  const char *const ip = "1.2.3.256";
  r.ips = &ip;
  r.n_ips = 1;
  assert_int_equal(make_code(&r, "is not an IP address"), MG_E_USAGE);
}

static void test_limits(void **state) {
  static const char *many[MG_CERTS_NAMES_MAX + 1];
  (void)state;
  for (size_t i = 0; i <= MG_CERTS_NAMES_MAX; i++) {
    many[i] = "a";
  }
  struct mg_certs_request r = request();
  r.dns = many;
  r.n_dns = MG_CERTS_NAMES_MAX + 1;
  assert_int_equal(make_code(&r, "more than 64"), MG_E_LIMIT);
  r.n_dns = MG_CERTS_NAMES_MAX;
  make(&r);
  r.days = MG_CERTS_DAYS_MAX + 1;
  assert_int_equal(make_code(&r, "days"), MG_E_USAGE);
  r.days = -1;
  assert_int_equal(make_code(&r, "days"), MG_E_USAGE);
  r = request();
  assert_int_equal(make_code_in("/nonexistent/a/b", &r, "/nonexistent/a/b"), MG_E_IO);
  assert_int_equal(make_code_in("/dev/null", &r, "not a directory"), MG_E_IO);
}

static void test_service_names(void **state) {
  struct mg_certs_names n;
  char long_name[65];
  (void)state;
  assert_int_equal(mg_certs_service_names("hook", "ml", &n, NULL), 0);
  assert_string_equal(n.text[0], "hook");
  assert_string_equal(n.text[1], "hook.ml");
  assert_string_equal(n.text[2], "hook.ml.svc");
  assert_string_equal(n.text[3], "hook.ml.svc.cluster.local");
  memset(long_name, 'a', 64);
  long_name[64] = '\0';
  assert_int_equal(mg_certs_service_names(long_name, "ml", &n, NULL), MG_E_USAGE);
  long_name[63] = '\0';
  assert_int_equal(mg_certs_service_names(long_name, long_name, &n, NULL), 0);
  assert_int_equal(strlen(n.text[3]), 63 + 1 + 63 + 18);
  static const char *const bad[] = {"", "A", "a.b", "-a", "a-", "a b", "a_b"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(mg_certs_service_names(bad[i], "ml", &n, NULL), MG_E_USAGE);
    assert_int_equal(mg_certs_service_names("hook", bad[i], &n, NULL), MG_E_USAGE);
  }
}

static void test_load(void **state) {
  struct mg_certs_pair pair = {0};
  struct mg_err err;
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  assert_int_equal(mg_certs_load(at("tls.crt"), at("tls.key"), &pair, &err), 0);
  assert_int_equal(strlen(pair.cert), pair.cert_size);
  assert_int_equal(strlen(pair.key), pair.key_size);
  near(pair.not_after, (int64_t)time(NULL) + 30 * 86400);
  mg_certs_pair_fini(&pair);
  assert_null(pair.key);
  assert_int_equal(mg_certs_load(at("tls.crt"), at("ca.key"), &pair, &err), MG_E_INVALID);
  assert_int_equal(mg_certs_load(at("tls.key"), at("tls.key"), &pair, &err), MG_E_INVALID);
  assert_int_equal(mg_certs_load(at("none"), at("tls.key"), &pair, &err), MG_E_IO);
  assert_int_equal(mg_certs_load(dir, at("tls.key"), &pair, &err), MG_E_IO);
  assert_null(pair.cert);
}

static void test_encrypted_key(void **state) {
  struct mg_certs_pair pair = {0};
  struct mg_err err;
  (void)state;
  struct mg_certs_request r = request();
  make(&r);
  FILE *file = fopen(at("tls.key"), "re");
  EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
  fclose(file);
  char secret[] = "secret";
  file = fopen(at("tls.key"), "we");
  PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), secret, 6, NULL, NULL);
  fclose(file);
  EVP_PKEY_free(key);
  assert_int_equal(mg_certs_load(at("tls.crt"), at("tls.key"), &pair, &err), MG_E_INVALID);
  assert_non_null(strstr(err.text, "password"));
}

static void test_size_cap(void **state) {
  static char big[MG_PEM_MAX + 1];
  char *text;
  size_t n;
  struct mg_err err;
  (void)state;
  assert_int_equal(mkdir(dir, 0700), 0);
  memset(big, 'x', sizeof big);
  for (size_t size = MG_PEM_MAX - 1; size <= MG_PEM_MAX + 1; size++) {
    put("tls.crt", big, size);
    int code = mg_pem_read(at("tls.crt"), &text, &n, &err);
    assert_int_equal(code, size > MG_PEM_MAX ? MG_E_LIMIT : 0);
    if (code == 0) {
      assert_int_equal(n, size);
      mg_pem_free(text, n);
    }
  }
  put("tls.crt", "", 0);
  int64_t expiry = 7;
  assert_int_equal(mg_certs_expiry(at("tls.crt"), &expiry, &err), MG_E_INVALID);
  assert_int_equal(expiry, 7);
}

static void test_named_pipe(void **state) {
  int64_t expiry;
  struct mg_err err;
  (void)state;
  assert_int_equal(mkdir(dir, 0700), 0);
  assert_int_equal(mkfifo(at("tls.crt"), 0600), 0);
  assert_int_equal(mg_certs_expiry(at("tls.crt"), &expiry, &err), MG_E_IO);
}

/* --- rotation: a CA of 900 days, a server certificate of 90, from NOW on ---------------------------------------------- */

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static struct mg_certs_request at_time(int64_t now) {
  struct mg_certs_request r = request();
  r.ca_days = 900, r.days = 90, r.overlap = 3600, r.now = now;
  return r;
}

static struct mg_certs_report rotate(const struct mg_certs_request *r) {
  struct mg_certs_place place = {.dir = dir};
  struct mg_certs_report report;
  struct mg_err err;
  if (mg_certs_rotate(&place, r, &report, &err) != 0) {
    fail_msg("%s", err.text);
  }
  return report;
}

static unsigned rotate_at(int64_t now) {
  struct mg_certs_request r = at_time(now);
  return rotate(&r).did;
}

static unsigned rotate_now(int64_t now) {
  struct mg_certs_request r = at_time(now);
  r.at_once = true;
  return rotate(&r).did;
}

static int bundle_size(void) {
  char *text;
  size_t n;
  STACK_OF(X509) *chain = NULL;
  struct mg_err err;
  assert_int_equal(mg_pem_read(at("ca.crt"), &text, &n, &err), 0);
  assert_int_equal(mg_pem_chain("ca.crt", text, n, &chain, &err), 0);
  int count = sk_X509_num(chain);
  sk_X509_pop_free(chain, X509_free);
  mg_pem_free(text, n);
  return count;
}

static bool good_at(int64_t now, const char *needle) {
  struct mg_certs_place place = {.dir = dir};
  struct mg_buf out;
  struct mg_err err;
  bool good = false;
  mg_buf_init(&out, NULL, 65536);
  assert_int_equal(mg_certs_show(&place, now, &out, &good, &err), 0);
  mg_buf_byte(&out, 0);
  assert_false(out.failed);
  assert_null(strstr(out.p, "PRIVATE"));
  if (!strstr(out.p, needle)) {
    fail_msg("no \"%s\" in %s", needle, out.p);
  }
  mg_buf_fini(&out);
  return good;
}

/* A third of the life that is left, to the second. */
static void test_rotate_leaf(void **state) {
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  make(&r);
  assert_int_equal(rotate_at(NOW), 0);
  r = at_time(NOW + 60 * DAY - 1);
  struct mg_certs_report report = rotate(&r);
  assert_int_equal(report.did, 0);
  assert_int_equal(report.next, MG_CERTS_NEXT_LEAF);
  assert_int_equal(report.due, NOW + 60 * DAY);
  assert_int_equal(report.until, NOW + 90 * DAY);
  assert_int_equal(rotate_at(NOW + 60 * DAY), MG_CERTS_LEAF);
  assert_int_equal(rotate_at(NOW + 60 * DAY), 0);
  assert_true(good_at(NOW + 149 * DAY, "chain ok       yes"));
  assert_false(good_at(NOW + 151 * DAY, "chain ok       no: certificate has expired"));
}

static void test_rotate_ca(void **state) {
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  make(&r);
  int64_t t = NOW + 599 * DAY;
  assert_int_equal(rotate_at(t), MG_CERTS_LEAF);
  assert_int_equal(rotate_at(NOW + 600 * DAY - 1), 0);
  t = NOW + 600 * DAY;
  assert_int_equal(rotate_at(t), MG_CERTS_ANNOUNCED);
  assert_int_equal(bundle_size(), 2);
  assert_true(good_at(t, "ca.crt, 2 of 2: will sign"));
  assert_int_equal(rotate_at(t + 3599), 0);
  assert_int_equal(rotate_at(t + 3600), MG_CERTS_SWITCHED | MG_CERTS_LEAF);
  assert_int_equal(bundle_size(), 2);
  assert_int_equal(access(at("next-ca.key"), F_OK), -1);
  assert_true(good_at(t + 3600, "ca.crt, 2 of 2: signs"));
  assert_int_equal(rotate_at(t + 7199), 0);
  assert_int_equal(rotate_at(t + 7200), MG_CERTS_DROPPED);
  assert_int_equal(bundle_size(), 1);
  assert_true(good_at(t + 7200, "ca.crt, 1 of 1: signs"));
  assert_int_equal(rotate_at(t + 7200), 0);
}

static void test_rotate_at_once(void **state) {
  static const unsigned want[] = {MG_CERTS_ANNOUNCED | MG_CERTS_LEAF, MG_CERTS_SWITCHED | MG_CERTS_LEAF,
                                  MG_CERTS_DROPPED | MG_CERTS_LEAF};
  (void)state;
  assert_int_equal(rotate_now(NOW), MG_CERTS_CA | MG_CERTS_LEAF); /* nothing was there */
  for (size_t i = 0; i < 9; i++) {
    assert_int_equal(rotate_now(NOW + (int64_t)i), want[i % 3]);
    assert_int_equal(bundle_size(), i % 3 == 2 ? 1 : 2);
    assert_true(good_at(NOW + (int64_t)i, "chain ok       yes"));
    assert_int_equal(rotate_at(NOW + (int64_t)i), 0); /* a run without it waits as ever */
  }
}

/* The wait is never more than a twelfth of the CA's life: a CA of a day is due with eight hours left and must not end waiting. */
static void test_rotate_short_life(void **state) {
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  r.ca_days = 1, r.days = 1, r.overlap = 100 * DAY;
  make(&r);
  r.now = NOW + 16 * 3600;
  assert_int_equal(rotate(&r).did, MG_CERTS_ANNOUNCED | MG_CERTS_LEAF);
  r.now = NOW + 18 * 3600 - 1;
  assert_int_equal(rotate(&r).did, 0);
  r.now = NOW + 18 * 3600;
  assert_int_equal(rotate(&r).did, MG_CERTS_SWITCHED | MG_CERTS_LEAF);
  r.now = NOW + 24 * 3600 - 1;
  assert_int_equal(rotate(&r).did, 0);
  r.now = NOW + 24 * 3600; /* the old one has ended */
  assert_int_equal(rotate(&r).did, MG_CERTS_DROPPED);
  assert_true(good_at(r.now, "yes"));
}

static void test_rotate_ended(void **state) {
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  make(&r);
  assert_int_equal(rotate_at(NOW + 900 * DAY), MG_CERTS_CA | MG_CERTS_LEAF);
  assert_int_equal(bundle_size(), 1);
  assert_int_equal(rotate_at(NOW + 1500 * DAY), MG_CERTS_ANNOUNCED | MG_CERTS_LEAF);
  /* Announced and then forgotten until the old one's end: it is the switch that is due, not a third CA. */
  assert_int_equal(rotate_at(NOW + 1801 * DAY), MG_CERTS_SWITCHED | MG_CERTS_LEAF);
  assert_true(good_at(NOW + 1801 * DAY, "yes"));
}

static void test_rotate_names(void **state) {
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  make(&r);
  r.now = NOW + 61 * DAY;
  r.n_dns = r.n_ips = 0;
  assert_int_equal(rotate(&r).did, MG_CERTS_LEAF);
  X509 *leaf = load("tls.crt");
  assert_int_equal(X509_check_host(leaf, "mlgate.ml.svc", 0, 0, NULL), 1);
  assert_int_equal(X509_check_ip_asc(leaf, "::1", 0), 1);
  X509_free(leaf);
  const char *const other = "other.example";
  r.dns = &other, r.n_dns = 1;
  r.keep_names = true;
  assert_int_equal(rotate(&r).did, 0);
  r.keep_names = false;
  assert_int_equal(rotate(&r).did, MG_CERTS_LEAF);
  leaf = load("tls.crt");
  assert_int_equal(X509_check_host(leaf, other, 0, 0, NULL), 1);
  assert_int_equal(X509_check_host(leaf, "mlgate.ml.svc", 0, 0, NULL), 0);
  X509_free(leaf);
  unlink(at("tls.crt"));
  r.n_dns = 0;
  struct mg_certs_place place = {.dir = dir};
  struct mg_certs_report report;
  struct mg_err err;
  assert_int_equal(mg_certs_rotate(&place, &r, &report, &err), MG_E_USAGE);
  assert_non_null(strstr(err.text, "at least one DNS name"));
}

/* Rubbish in place of the server certificate or the next CA is replaced; in place of the CA it is an error. */
static void test_rotate_rubbish(void **state) {
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  make(&r);
  put("tls.crt", "rubbish", 7);
  assert_int_equal(rotate_at(NOW), MG_CERTS_LEAF);
  put("tls.key", "", 0);
  assert_int_equal(rotate_at(NOW), MG_CERTS_LEAF);
  put("next-ca.crt", "rubbish", 7);
  put("next-ca.key", "rubbish", 7);
  assert_int_equal(rotate_at(NOW), 0);
  assert_int_equal(rotate_now(NOW), MG_CERTS_ANNOUNCED | MG_CERTS_LEAF);
  assert_true(good_at(NOW, "next-ca.key    matches"));
  put("ca.key", "rubbish", 7);
  struct mg_certs_place place = {.dir = dir};
  struct mg_certs_report report;
  struct mg_err err;
  assert_int_equal(mg_certs_rotate(&place, &r, &report, &err), MG_E_INVALID);
  assert_non_null(strstr(err.text, "ca.key: no private key"));
  r.force = true;
  make(&r);
  assert_int_equal(bundle_size(), 1);
  assert_int_equal(access(at("next-ca.key"), F_OK), -1);
}

static void test_chain_limit(void **state) {
  static char text[(MG_PEM_CHAIN_MAX + 1) * 1024];
  (void)state;
  struct mg_certs_request r = at_time(NOW);
  make(&r);
  char *one;
  size_t n, used = 0;
  struct mg_err err;
  assert_int_equal(mg_pem_read(at("ca.crt"), &one, &n, &err), 0);
  for (int count = 1; count <= MG_PEM_CHAIN_MAX + 1; count++) {
    STACK_OF(X509) *chain = NULL;
    memcpy(text + used, one, n);
    used += n;
    int code = mg_pem_chain("x", text, used, &chain, &err);
    assert_int_equal(code, count > MG_PEM_CHAIN_MAX ? MG_E_LIMIT : 0);
    assert_int_equal(code == 0 ? sk_X509_num(chain) : count, count);
    sk_X509_pop_free(chain, X509_free);
  }
  STACK_OF(X509) *chain = NULL;
  assert_int_equal(mg_pem_chain("x", text, n + n / 2, &chain, &err), MG_E_INVALID); /* the second one cut off */
  assert_null(chain);
  mg_pem_free(one, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_ca), TEST(test_leaf), TEST(test_modes), TEST(test_renew_and_force), TEST(test_leaf_within_ca),
    TEST(test_far_future), TEST(test_wrong_ca), TEST(test_expired_ca), TEST(test_names), TEST(test_limits),
    TEST(test_service_names), TEST(test_load), TEST(test_encrypted_key), TEST(test_size_cap), TEST(test_named_pipe),
    TEST(test_rotate_leaf), TEST(test_rotate_ca), TEST(test_rotate_at_once), TEST(test_rotate_short_life),
    TEST(test_rotate_ended), TEST(test_rotate_names), TEST(test_rotate_rubbish), TEST(test_chain_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
