/* Handshakes: certificates that change under load, clients that must show one, and connections that take too long. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr */
#endif
#include <openssl/x509v3.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "http_client.h"

#include "http/connections.h"
#include "http/credentials.h"
#include "http/server.h"

static char top[64];

static const char *at(const char *name) {
  static char paths[8][128];
  static unsigned turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", top, name);
  return path;
}

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  (void)ctx, (void)endpoint, (void)body, (void)left_ms;
  reply->status = 200;
  reply->body = MG_S("{}");
}
static const struct mg_http_handlers handlers = {.review = review};

static struct mg_http_options options(void) {
  struct mg_http_options o = mg_http_defaults();
  o.listen_tls = "127.0.0.1:0";
  o.listen_plain = NULL;
  o.threads = 2;
  return o;
}

static struct mg_credentials *load(const char *dir, const char *ca, const char *const *names, size_t n) {
  struct mg_credentials *credentials = NULL;
  struct mg_err err;
  char cert[128], key[128];
  snprintf(cert, sizeof cert, "%s/tls.crt", at(dir));
  snprintf(key, sizeof key, "%s/tls.key", at(dir));
  struct mg_credentials_files files = {cert, key, ca, names, n};
  if (mg_credentials_load(&files, &credentials, &err) != 0) {
    fail_msg("%s", err.text);
  }
  return credentials;
}

static struct mg_http_server *start(struct mg_http_options o, struct mg_credentials *credentials) {
  struct mg_http_server *server = NULL;
  struct mg_err err;
  o.credentials = credentials;
  if (mg_http_start(&o, &handlers, &server, &err) != 0) {
    fail_msg("%s", err.text);
  }
  mg_credentials_unref(credentials);
  return server;
}

static void write_file(const char *path, const char *text, size_t n) {
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, n, file), n);
  assert_int_equal(fclose(file), 0);
}

/* A key and a certificate `name`.crt and .key: signed by the CA of dir `ca`, or by itself; days may be negative. */
static void make_client(const char *name, const char *ca, const char *cn, const char *san, int days, bool for_clients) {
  char path[160], key_path[160];
  EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = NULL;
  X509 *cert = X509_new(), *ca_cert = NULL;
  if (ca) {
    snprintf(path, sizeof path, "%s/ca.crt", at(ca));
    FILE *file = fopen(path, "re");
    ca_cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    snprintf(path, sizeof path, "%s/ca.key", at(ca));
    file = fopen(path, "re");
    ca_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_true(ca_cert && ca_key);
  }
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), rand());
  X509_gmtime_adj(X509_getm_notBefore(cert), -864000);
  X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * 86400);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
  X509_set_issuer_name(cert, ca ? X509_get_subject_name(ca_cert) : X509_get_subject_name(cert));
  const char *const extensions[][2] = {{"subjectAltName", san}, {"extendedKeyUsage", for_clients ? "clientAuth" : "serverAuth"}};
  for (size_t i = 0; i < 2; i++) {
    X509_EXTENSION *ext = extensions[i][1] ? X509V3_EXT_conf(NULL, NULL, extensions[i][0], extensions[i][1]) : NULL;
    if (ext) {
      X509_add_ext(cert, ext, -1);
      X509_EXTENSION_free(ext);
    }
  }
  assert_true(X509_sign(cert, ca ? ca_key : key, EVP_sha256()) > 0);
  snprintf(path, sizeof path, "%s.crt", at(name));
  snprintf(key_path, sizeof key_path, "%s.key", at(name));
  FILE *file = fopen(path, "we");
  PEM_write_X509(file, cert);
  fclose(file);
  file = fopen(key_path, "we");
  PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
  fclose(file);
  X509_free(cert);
  X509_free(ca_cert);
  EVP_PKEY_free(key);
  EVP_PKEY_free(ca_key);
}

static int setup(void **state) {
  static const char *const dirs[] = {"a", "b", "other"};
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(top, sizeof top, "/tmp/mg-test-tls-XXXXXX");
  assert_non_null(mkdtemp(top));
  tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
  for (size_t i = 0; i < 3; i++) {
    char ca[128];
    make_pair(at(dirs[i]));
    snprintf(ca, sizeof ca, "%s/ca.crt", at(dirs[i]));
    assert_int_equal(SSL_CTX_load_verify_locations(tls, ca, NULL), 1);
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  SSL_CTX_free(tls);
  remove_tree(top);
  return 0;
}

/* ---- the swap ---- */

struct load {
  uint16_t port;
  atomic_bool stop;
  atomic_int failed, handshakes, requests;
};

static struct load under_load;

/* Head and body may come in two pieces. */
static bool hear_200(SSL *ssl) {
  char answer[1024];
  int n = 0;
  while (n < 4 || memcmp(answer + n - 4, "\r\n{}", 4) != 0) {
    int got = SSL_read(ssl, answer + n, (int)sizeof answer - n);
    if (got <= 0) {
      return false;
    }
    n += got;
  }
  return n > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

/* No assert: this is not the thread that cmocka jumps in. */
static bool one_connection(struct load *l, int requests) {
  static const char text[] = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(l->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval wait = {.tv_sec = 5};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  bool good = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
  SSL *ssl = SSL_new(tls);
  SSL_set_fd(ssl, fd);
  good = good && SSL_connect(ssl) == 1;
  atomic_fetch_add(&l->handshakes, 1);
  for (int i = 0; good && i < requests; i++) {
    good = SSL_write(ssl, text, sizeof text - 1) == sizeof text - 1;
    good = good && hear_200(ssl);
    atomic_fetch_add(&l->requests, 1);
  }
  SSL_free(ssl);
  close(fd);
  return good;
}

static void *client(void *arg) {
  struct load *l = arg;
  while (!atomic_load(&l->stop)) {
    if (!one_connection(l, atomic_load(&l->handshakes) % 2 ? 1 : 5)) {
      atomic_fetch_add(&l->failed, 1);
    }
  }
  return NULL;
}

/* Every 20 ms another certificate, for two seconds, while four clients connect as fast as they can. */
static void test_swap_under_load(void **state) {
  pthread_t threads[4];
  (void)state;
  struct mg_http_server *server = start(options(), load("a", NULL, NULL, 0));
  under_load.port = mg_http_port_tls(server);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, client, &under_load), 0);
  }
  for (int i = 0; i < 100; i++) {
    usleep(20000);
    mg_http_swap_credentials(server, load(i % 2 ? "a" : "b", NULL, NULL, 0));
  }
  atomic_store(&under_load.stop, true);
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
  }
  mg_http_stop(server);
  print_message("%d handshakes, %d requests\n", under_load.handshakes, under_load.requests);
  assert_int_equal(under_load.failed, 0);
  assert_true(under_load.handshakes > 20);
}

static long serial_of(const struct client *c) {
  X509 *cert = SSL_get1_peer_certificate(c->ssl);
  assert_non_null(cert);
  BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
  long low = (long)BN_mod_word(n, 1000003);
  BN_free(n);
  X509_free(cert);
  return low;
}

/* A connection that is open goes on; one whose handshake hangs in the middle ends it with what it began with. */
static void test_swap_is_seen(void **state) {
  static struct answer a;
  (void)state;
  struct mg_http_server *server = start(options(), load("a", NULL, NULL, 0));
  struct client old = dial(mg_http_port_tls(server), true), half = dial(mg_http_port_tls(server), false);
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* until the server has seen `half` */
  mg_http_swap_credentials(server, load("b", NULL, NULL, 0));
  struct client fresh = dial(mg_http_port_tls(server), true);
  half.ssl = SSL_new(tls);
  SSL_set_fd(half.ssl, half.fd);
  assert_int_equal(SSL_connect(half.ssl), 1);
  assert_int_equal(serial_of(&half), serial_of(&old));
  assert_int_not_equal(serial_of(&fresh), serial_of(&old));
  struct client *all[] = {&old, &half, &fresh};
  for (size_t i = 0; i < 3; i++) {
    post(all[i], "/mutate", "{}", &a);
    assert_int_equal(a.status, 200);
    hang_up(all[i]);
  }
  mg_http_stop(server);
}

static void test_load_errors(void **state) {
  static char large[70000];
  const struct {
    const char *cert, *key, *ca;
    size_t names;
    int code;
  } rows[] = {
    {"a/tls.crt", "a/tls.key", NULL, 0, 0},
    {"a/tls.crt", "b/tls.key", NULL, 0, MG_E_INVALID},
    {"none", "a/tls.key", NULL, 0, MG_E_IO},
    {"a/tls.crt", "none", NULL, 0, MG_E_IO},
    {"large", "a/tls.key", NULL, 0, MG_E_LIMIT},
    {"a/tls.crt", "a/tls.key", "none", 0, MG_E_IO},
    {"a/tls.crt", "a/tls.key", "large", 0, MG_E_LIMIT},
    {"a/tls.crt", "a/tls.key", "empty", 0, MG_E_INVALID},
    {"a/tls.crt", "a/tls.key", "a/tls.key", 0, MG_E_INVALID},
    {"a/tls.crt", "a/tls.key", "a/ca.crt", MG_CLIENT_NAMES_MAX, 0},
    {"a/tls.crt", "a/tls.key", "a/ca.crt", MG_CLIENT_NAMES_MAX + 1, MG_E_LIMIT},
    {"a/tls.crt", "a/tls.key", NULL, 1, MG_E_USAGE},
  };
  const char *names[MG_CLIENT_NAMES_MAX + 1];
  struct mg_err err;
  (void)state;
  memset(large, '\n', sizeof large);
  write_file(at("large"), large, sizeof large);
  write_file(at("empty"), "", 0);
  for (size_t i = 0; i <= MG_CLIENT_NAMES_MAX; i++) {
    names[i] = "x";
  }
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_credentials *c = NULL;
    struct mg_credentials_files files = {at(rows[i].cert), at(rows[i].key), rows[i].ca ? at(rows[i].ca) : NULL, names,
                                         rows[i].names};
    int code = mg_credentials_load(&files, &c, &err);
    if (code != rows[i].code || (c != NULL) != (code == 0)) {
      fail_msg("row %zu: %d, %s", i, code, code ? err.text : "");
    }
    mg_credentials_unref(c);
  }
}

/* ---- clients' certificates ---- */

/* In TLS 1.3 a client believes that it is through before the server has seen its certificate: only an answer tells. */
static bool let_in(uint16_t port, const char *name, int version) {
  char cert[160], key[160];
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(ctx, version);
  SSL_CTX_set_max_proto_version(ctx, version);
  if (name) {
    snprintf(cert, sizeof cert, "%s.crt", at(name));
    snprintf(key, sizeof key, "%s.key", at(name));
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), 1);
  }
  static const char text[] = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  char answer[512];
  struct client c = dial(port, false);
  c.ssl = SSL_new(ctx);
  SSL_set_fd(c.ssl, c.fd);
  bool in = SSL_connect(c.ssl) == 1 && SSL_write(c.ssl, text, sizeof text - 1) > 0 && SSL_read(c.ssl, answer, sizeof answer) > 12;
  ERR_clear_error();
  hang_up(&c);
  SSL_CTX_free(ctx);
  return in;
}

static void expect_let_in(struct mg_http_server *server, const char *const *names, const bool *want, size_t n) {
  static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
  for (size_t i = 0; i < n * 2; i++) {
    if (let_in(mg_http_port_tls(server), names[i / 2], versions[i % 2]) != want[i / 2]) {
      fail_msg("%s with TLS 1.%zu", names[i / 2] ? names[i / 2] : "no certificate", 2 + i % 2);
    }
  }
}

static void test_client_certificates(void **state) {
  static const char *const clients[] = {NULL, "good", "dns", "expired", "rogue", "foreign", "server", "nobody"};
  static const bool any[] = {false, true, true, false, false, false, false, true};
  static const bool named[] = {false, true, true, false, false, false, false, false};
  static const bool all[] = {true, true, true, true, true, true, true, true};
  static const bool others[] = {false, false, false, false, false, true, false, false};
  static const char *const names[] = {"kube-apiserver", "api.example"};
  (void)state;
  make_client("good", "a", "kube-apiserver", NULL, 1, true);
  make_client("dns", "a", "whoever", "DNS:x.example,DNS:API.example", 1, true);
  make_client("expired", "a", "kube-apiserver", NULL, -1, true);
  make_client("rogue", NULL, "kube-apiserver", NULL, 1, true);
  make_client("foreign", "other", "kube-apiserver", NULL, 1, true);
  make_client("server", "a", "kube-apiserver", NULL, 1, false);
  make_client("nobody", "a", "kube-apiserver.example", "DNS:*.example,DNS:kube-apiserver.api.example", 1, true);
  struct mg_http_server *server = start(options(), load("b", at("a/ca.crt"), NULL, 0));
  expect_let_in(server, clients, any, 8);
  mg_http_swap_credentials(server, load("b", at("a/ca.crt"), names, 2));
  expect_let_in(server, clients, named, 8);
  mg_http_swap_credentials(server, load("b", at("other/ca.crt"), NULL, 0));
  expect_let_in(server, clients, others, 8);
  mg_http_swap_credentials(server, load("b", NULL, NULL, 0));
  expect_let_in(server, clients, all, 8);
  mg_http_stop(server);
}

/* ---- deadlines ---- */

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A byte now and then keeps the library's own time-out away, and not ours: a silent connect, half a handshake, a head and a body
 * that never end; beside them a connection that is idle stays. */
static void test_deadlines(void **state) {
  static const char start_of_head[] = "POST /mutate HTTP/1.1\r\nX: ";
  static const char head[] =
      "POST /mutate?timeout=1s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n";
  static struct answer a;
  (void)state;
  struct mg_http_server *server = start(options(), load("a", NULL, NULL, 0));
  uint16_t port = mg_http_port_tls(server);
  struct client idle = dial(port, true), unused = dial(port, true), bad[4];
  for (size_t i = 0; i < 4; i++) {
    bad[i] = dial(port, i >= 2);
    fcntl(bad[i].fd, F_SETFL, O_NONBLOCK);
  }
  post(&idle, "/mutate", "{}", &a);
  assert_int_equal(send(bad[1].fd, "\x16\x03\x01\x02", 4, MSG_NOSIGNAL), 4);
  say(&bad[2], start_of_head, sizeof start_of_head - 1);
  say(&bad[3], head, sizeof head - 1);
  int64_t began = now_ms(), ended[4] = {0};
  for (int left = 4; left > 0 && now_ms() - began < 7000; usleep(50000)) {
    for (size_t i = 0; i < 4; i++) {
      char byte;
      if (ended[i]) {
        continue;
      }
      if (i >= 2) {
        (void)SSL_write(bad[i].ssl, " ", 1);
        ERR_clear_error();
      }
      ssize_t n = recv(bad[i].fd, &byte, 1, i >= 2 ? MSG_PEEK : 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) {
        ended[i] = now_ms() - began;
        left--;
      } else if (n > 0 && i >= 2) {
        (void)SSL_read(bad[i].ssl, &byte, 1);
        ERR_clear_error();
      }
    }
  }
  for (size_t i = 0; i < 4; i++) {
    if (ended[i] == 0 || ended[i] > 5800 || (i < 3 && ended[i] < 4500)) {
      fail_msg("connection %zu ended after %lld ms", i, (long long)ended[i]);
    }
    hang_up(&bad[i]);
  }
  assert_int_equal(mg_http_ended(server, MG_HTTP_END_LATE), 4);
  assert_int_equal(mg_http_ended(server, MG_HTTP_END_CROWDED), 0);
  post(&idle, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  post(&unused, "/mutate", "{}", &a);
  assert_int_equal(a.status, 200);
  hang_up(&idle);
  hang_up(&unused);
  mg_http_stop(server);
}

/* More silent connections than there may be: who comes with a request is served, soon. */
/* CPU that this process, the server in it, was charged for. */
static int64_t cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Handshakes that wait for the other side must cost nothing meanwhile. */
static void test_stalled_handshakes(void **state) {
  (void)state;
  struct mg_http_server *server = start(options(), load("a", NULL, NULL, 0));
  struct client clients[4];
  for (size_t i = 0; i < 4; i++) {
    clients[i] = dial(mg_http_port_tls(server), false);
    say(&clients[i], "\x16\x03\x01\x02", 4);
  }
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  int64_t before = cpu_ms();
  nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
  assert_in_range(cpu_ms() - before, 0, 100);
  for (size_t i = 0; i < 4; i++) hang_up(&clients[i]);
  mg_http_stop(server);
}

static void test_eviction(void **state) {
  static struct answer a;
  struct client silent[40];
  (void)state;
  struct mg_http_options o = options();
  o.max_connections = 16;
  struct mg_http_server *server = start(o, load("a", NULL, NULL, 0));
  for (size_t i = 0; i < 40; i++) {
    silent[i] = dial(mg_http_port_tls(server), false);
  }
  int64_t began = now_ms();
  for (int i = 0; i < 3; i++) {
    struct client c = dial(mg_http_port_tls(server), true);
    post(&c, "/mutate", "{}", &a);
    assert_int_equal(a.status, 200);
    hang_up(&c);
  }
  print_message("three clients in %lld ms\n", (long long)(now_ms() - began));
  assert_true(now_ms() - began < 4000);
  assert_true(mg_http_ended(server, MG_HTTP_END_CROWDED) > 0);
  for (size_t i = 0; i < 40; i++) {
    hang_up(&silent[i]);
  }
  mg_http_stop(server);
}

static void test_table(void **state) {
  struct mg_connections_options o = {.max = 3, .crowded = 3, .idle_ms = 1000};
  struct mg_connections *t = NULL;
  struct mg_connection *c[3];
  struct mg_err err;
  (void)state;
  assert_int_equal(mg_connections_new(&o, &t, &err), 0);
  for (int i = 0; i < 3; i++) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    c[i] = mg_connection_begin(t, pair[0], MG_STAGE_IDLE);
    assert_non_null(c[i]);
    mg_connection_expect(c[i], MG_STAGE_BUSY, 0);
  }
  assert_null(mg_connection_begin(t, 0, MG_STAGE_IDLE));
  mg_connection_expect(c[1], MG_STAGE_BUSY, 1);
  nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
  assert_int_equal(mg_connections_reaped(t), 1);
  assert_int_equal(mg_connections_evicted(t), 0); /* none is idle */
  mg_connection_idle(c[2]);
  nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
  assert_int_equal(mg_connections_evicted(t), 1);
  for (int i = 0; i < 3; i++) {
    int fd = c[i]->fd;
    mg_connection_end(c[i]);
    close(fd);
  }
  mg_connections_free(t);
  mg_connections_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_load_errors), cmocka_unit_test(test_swap_is_seen), cmocka_unit_test(test_swap_under_load),
    cmocka_unit_test(test_client_certificates), cmocka_unit_test(test_table), cmocka_unit_test(test_eviction),
    cmocka_unit_test(test_stalled_handshakes),
    cmocka_unit_test(test_deadlines),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
