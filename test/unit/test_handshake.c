/* Handshakes: every kind of key, clients that stop in the middle, a burst, and a process that has no more files. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr */
#endif
#include <gnutls/abstract.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "http_client.h"

#include "http/credentials.h"
#include "http/server.h"
#include "http/sign.h"

#define TEXT_SIZE 8192

static char top[64];
static EVP_PKEY *keys[4];
static const char *const key_names[] = {"RSA", "P-256", "P-384", "Ed25519"};
enum { RSA_KEY, P256_KEY, P384_KEY, ED_KEY, KEYS };

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  (void)ctx, (void)endpoint, (void)body, (void)left_ms;
  reply->status = 200;
  reply->body = MG_S("{}");
}

/* ---- keys ---- */

static const char *path_of(const char *name, const char *what) {
  static char paths[4][128];
  static unsigned turn;
  char *path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s.%s", top, name, what);
  return path;
}

static void write_pair(int kind) {
  X509 *cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), kind + 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
  X509_set_pubkey(cert, keys[kind]);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(cert));
  assert_true(X509_sign(cert, keys[kind], kind == ED_KEY ? NULL : EVP_sha256()) > 0);
  FILE *file = fopen(path_of(key_names[kind], "crt"), "we");
  assert_int_equal(PEM_write_X509(file, cert), 1);
  fclose(file);
  file = fopen(path_of(key_names[kind], "key"), "we");
  assert_int_equal(PEM_write_PrivateKey(file, keys[kind], NULL, NULL, 0, NULL, NULL), 1);
  fclose(file);
  X509_free(cert);
}

static int setup(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(top, sizeof top, "/tmp/mg-test-handshake-XXXXXX");
  assert_non_null(mkdtemp(top));
  keys[RSA_KEY] = EVP_RSA_gen(2048);
  keys[P256_KEY] = EVP_EC_gen("P-256");
  keys[P384_KEY] = EVP_EC_gen("P-384");
  keys[ED_KEY] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
  for (int i = 0; i < KEYS; i++) {
    assert_non_null(keys[i]);
    write_pair(i);
  }
  tls = SSL_CTX_new(TLS_client_method());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (int i = 0; i < KEYS; i++) {
    EVP_PKEY_free(keys[i]);
  }
  SSL_CTX_free(tls);
  remove_tree(top);
  return 0;
}

static size_t read_key(int kind, char *text) {
  FILE *file = fopen(path_of(key_names[kind], "key"), "re");
  size_t n = fread(text, 1, TEXT_SIZE, file);
  fclose(file);
  return n;
}

/* What a key signs, GnuTLS finds good; what is not for it, it does not sign. */
static void test_signatures(void **state) {
  static const struct {
    int kind;
    gnutls_sign_algorithm_t algorithm;
    bool good;
  } rows[] = {
    {RSA_KEY, GNUTLS_SIGN_RSA_SHA256, true},
    {RSA_KEY, GNUTLS_SIGN_RSA_SHA512, true},
    {RSA_KEY, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, true},
    {RSA_KEY, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, true},
    {RSA_KEY, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, true},
    {RSA_KEY, GNUTLS_SIGN_ECDSA_SHA256, false},
    {P256_KEY, GNUTLS_SIGN_ECDSA_SHA256, true},
    {P256_KEY, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, true},
    {P256_KEY, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, false},
    {P256_KEY, GNUTLS_SIGN_EDDSA_ED25519, false},
    {P384_KEY, GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, true},
    {ED_KEY, GNUTLS_SIGN_EDDSA_ED25519, true},
  };
  static const gnutls_datum_t data = {(unsigned char *)(uintptr_t)"what is signed", 14};
  static char text[TEXT_SIZE];
  struct mg_err err;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    gnutls_privkey_t ours = NULL, theirs;
    gnutls_pubkey_t public;
    size_t n = read_key(rows[i].kind, text);
    gnutls_datum_t pem = {(unsigned char *)text, (unsigned)n}, signature = {0};
    assert_int_equal(mg_sign_key("key", text, n, &ours, &err), 0);
    gnutls_privkey_init(&theirs);
    gnutls_pubkey_init(&public);
    assert_int_equal(gnutls_privkey_import_x509_raw(theirs, &pem, GNUTLS_X509_FMT_PEM, NULL, 0), 0);
    assert_int_equal(gnutls_pubkey_import_privkey(public, theirs, 0, 0), 0);
    bool good = gnutls_privkey_sign_data2(ours, rows[i].algorithm, 0, &data, &signature) == 0;
    if (good != rows[i].good || (good && gnutls_pubkey_verify_data2(public, rows[i].algorithm, 0, &data, &signature) < 0)) {
      fail_msg("%s, %s", key_names[rows[i].kind], gnutls_sign_get_name(rows[i].algorithm));
    }
    gnutls_free(signature.data);
    gnutls_pubkey_deinit(public);
    gnutls_privkey_deinit(theirs);
    gnutls_privkey_deinit(ours);
  }
}

static void test_bad_keys(void **state) {
  static char text[TEXT_SIZE];
  gnutls_privkey_t key = NULL;
  struct mg_err err;
  (void)state;
  size_t n = read_key(P256_KEY, text);
  text[n / 2] ^= 1;
  assert_int_equal(mg_sign_key("some.key", text, n, &key, &err), MG_E_INVALID);
  assert_non_null(strstr(err.text, "some.key"));
  assert_int_equal(mg_sign_key("some.key", "", 0, &key, &err), MG_E_INVALID);
  assert_null(key);
}

static struct mg_http_server *start(int kind, unsigned max_connections) {
  static const struct mg_http_handlers handlers = {.review = review};
  struct mg_http_options o = mg_http_defaults();
  struct mg_http_server *server = NULL;
  struct mg_err err;
  o.listen_tls = "127.0.0.1:0";
  o.listen_plain = NULL;
  o.cert_path = path_of(key_names[kind], "crt");
  o.key_path = path_of(key_names[kind], "key");
  o.threads = 2;
  o.max_connections = max_connections;
  if (mg_http_start(&o, &handlers, &server, &err) != 0) {
    fail_msg("%s", err.text);
  }
  return server;
}

/* Both versions, and for RSA both kinds of padding. */
static void test_every_key(void **state) {
  static const struct {
    int kind, version;
    const char *algorithms;
  } rows[] = {
    {RSA_KEY, TLS1_3_VERSION, "rsa_pss_rsae_sha256"}, {RSA_KEY, TLS1_2_VERSION, "rsa_pss_rsae_sha384"},
    {RSA_KEY, TLS1_2_VERSION, "RSA+SHA256"},          {P256_KEY, TLS1_3_VERSION, NULL},
    {P256_KEY, TLS1_2_VERSION, NULL},                 {P384_KEY, TLS1_3_VERSION, NULL},
    {P384_KEY, TLS1_2_VERSION, NULL},                 {ED_KEY, TLS1_3_VERSION, NULL},
  };
  static struct answer a;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_http_server *server = start(rows[i].kind, 64);
    SSL_CTX *all = tls;
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(tls, rows[i].version);
    SSL_CTX_set_max_proto_version(tls, rows[i].version);
    if (rows[i].algorithms) {
      assert_int_equal(SSL_CTX_ctrl(tls, SSL_CTRL_SET_SIGALGS_LIST, 0, (void *)(uintptr_t)rows[i].algorithms), 1);
    }
    struct client c = dial(mg_http_port_tls(server), true);
    post(&c, "/mutate", "{}", &a);
    assert_int_equal(a.status, 200);
    hang_up(&c);
    mg_http_stop(server);
    SSL_CTX_free(tls);
    tls = all;
  }
}

/* ---- clients that stop, or are slow ---- */

static int64_t cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A whole hello and nothing after it, half a hello, or one byte of it. */
static struct client begin(uint16_t port, int how) {
  struct client c = dial(port, false);
  char hello[2048];
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  SSL *ssl = SSL_new(tls);
  SSL_set_bio(ssl, in, out);
  assert_int_equal(SSL_connect(ssl), -1);
  int n = BIO_read(out, hello, sizeof hello);
  assert_true(n > 100);
  say(&c, hello, how == 0 ? (size_t)n : how == 1 ? (size_t)n / 2 : 1);
  SSL_free(ssl);
  ERR_clear_error();
  return c;
}

static void nap(long ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* They cost nothing while they wait, whoever else is served meanwhile is, and the server stops with them. */
static void test_unfinished(void **state) {
  enum { N = 60 };
  static struct answer a;
  struct client c[N];
  (void)state;
  struct mg_http_server *server = start(P256_KEY, 128);
  for (int i = 0; i < N; i++) {
    c[i] = begin(mg_http_port_tls(server), i % 3);
  }
  struct client good = dial(mg_http_port_tls(server), true);
  post(&good, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  nap(300); /* until all hellos have been answered */
  int64_t before = cpu_ms();
  nap(1000);
  assert_in_range(cpu_ms() - before, 0, 200); /* two threads that do not wait take 2,000 */
  post(&good, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  mg_http_stop(server);
  for (int i = 0; i < N; i++) {
    char sink[4096];
    while (recv(c[i].fd, sink, sizeof sink, 0) > 0) {
      continue;
    }
    hang_up(&c[i]);
  }
  hang_up(&good);
}

/* Moves what one side has said to the other: to the server one byte at a time. */
static void carry(SSL *ssl, int fd) {
  char bytes[4096];
  BIO *in = SSL_get_rbio(ssl), *out = SSL_get_wbio(ssl);
  for (int n = BIO_read(out, bytes, sizeof bytes), i = 0; i < n; i++) {
    assert_int_equal(send(fd, bytes + i, 1, MSG_NOSIGNAL), 1);
    nap(1);
  }
  ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got > 0) {
    assert_int_equal(BIO_write(in, bytes, (int)got), got);
  }
  assert_int_not_equal(got, 0);
}

static void test_byte_by_byte(void **state) {
  static const char text[] = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  char answer[512];
  int n = -1;
  (void)state;
  struct mg_http_server *server = start(P256_KEY, 16);
  struct client c = dial(mg_http_port_tls(server), false);
  SSL *ssl = SSL_new(tls);
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  for (int i = 0; i < 2000 && SSL_connect(ssl) != 1; i++) {
    carry(ssl, c.fd);
    nap(1);
  }
  assert_true(SSL_is_init_finished(ssl));
  assert_int_equal(SSL_write(ssl, text, sizeof text - 1), sizeof text - 1);
  for (int i = 0; i < 2000 && n < 0; i++) {
    carry(ssl, c.fd);
    n = SSL_read(ssl, answer, sizeof answer);
  }
  assert_true(n > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0);
  SSL_free(ssl);
  ERR_clear_error();
  hang_up(&c);
  mg_http_stop(server);
}

static void *drain_and_stop(void *server) {
  bool whole = mg_http_drain(server, 0, 10000);
  mg_http_stop(server);
  return whole ? server : NULL;
}

/* Who was let in before the end of listening, and takes a while to shake hands, is still answered. */
static void test_drain_in_a_handshake(void **state) {
  static struct answer a;
  pthread_t thread;
  void *whole = NULL;
  (void)state;
  struct mg_http_server *server = start(P256_KEY, 16);
  struct client c = dial(mg_http_port_tls(server), false);
  nap(100);
  assert_int_equal(pthread_create(&thread, NULL, drain_and_stop, server), 0);
  nap(1500);
  c.ssl = SSL_new(tls);
  SSL_set_fd(c.ssl, c.fd);
  assert_int_equal(SSL_connect(c.ssl), 1);
  post(&c, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  hang_up(&c);
  pthread_join(thread, &whole);
  assert_non_null(whole);
}

/* ---- too many ---- */

/* All at the same moment, more than one turn of the workers accepts. */
static void test_burst(void **state) {
  enum { N = 40 };
  static struct answer a;
  struct client c[N];
  (void)state;
  struct mg_http_server *server = start(P256_KEY, 256);
  for (int i = 0; i < N; i++) {
    c[i] = dial(mg_http_port_tls(server), false);
  }
  for (int i = 0; i < N; i++) {
    c[i].ssl = SSL_new(tls);
    SSL_set_fd(c[i].ssl, c[i].fd);
    assert_int_equal(SSL_connect(c[i].ssl), 1);
    post(&c[i], "/mutate", "{}", &a);
    assert_int_equal(a.status, 200);
  }
  for (int i = 0; i < N; i++) {
    hang_up(&c[i]);
  }
  assert_int_equal(mg_http_ended(server, MG_HTTP_END_CROWDED), 0);
  mg_http_stop(server);
}

/* Out of files the server neither spins nor stays away: one that is idle makes room. */
static void test_no_files(void **state) {
  static struct answer a;
  struct rlimit before, now;
  struct client idle[4];
  (void)state;
  struct mg_http_server *server = start(P256_KEY, 64);
  for (int i = 0; i < 4; i++) {
    idle[i] = dial(mg_http_port_tls(server), true);
  }
  nap(300); /* the young do not make room */
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(mg_http_port_tls(server)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct client c = {.fd = fd};
  struct timeval wait = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  now = before;
  now.rlim_cur = (rlim_t)fd + 1;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
  int64_t cpu = cpu_ms();
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  c.ssl = SSL_new(tls);
  SSL_set_fd(c.ssl, fd);
  bool shaken = SSL_connect(c.ssl) == 1;
  cpu = cpu_ms() - cpu;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_true(shaken);
  assert_in_range(cpu, 0, 300);
  post(&c, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  assert_true(mg_http_ended(server, MG_HTTP_END_CROWDED) >= 1);
  hang_up(&c);
  for (int i = 0; i < 4; i++) {
    hang_up(&idle[i]);
  }
  mg_http_stop(server);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_signatures), cmocka_unit_test(test_bad_keys),     cmocka_unit_test(test_every_key),
    cmocka_unit_test(test_unfinished), cmocka_unit_test(test_byte_by_byte), cmocka_unit_test(test_burst),
    cmocka_unit_test(test_no_files),   cmocka_unit_test(test_drain_in_a_handshake),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
