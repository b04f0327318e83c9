/* Looking images up: what goes wrong, credentials, TLS, mirrors. */
#include "registry_scene.h"

#include "certs/certs.h"
#include "registry/errand.h"
#include "registry/transfer.h"

/* ---- what goes wrong ---- */

static void test_statuses(void **state) {
  static const struct {
    int status;
    const char *headers;
    enum mg_registry_result result;
  } rows[] = {
      {404, NULL, MG_REGISTRY_NOT_FOUND}, {403, NULL, MG_REGISTRY_DENIED},          {401, NULL, MG_REGISTRY_DENIED},
      {429, NULL, MG_REGISTRY_THROTTLED}, {500, NULL, MG_REGISTRY_UNREACHABLE},     {503, NULL, MG_REGISTRY_UNREACHABLE},
      {302, NULL, MG_REGISTRY_INVALID},   {307, "Location: ftp://x/\r\n", MG_REGISTRY_INVALID},
      {307, "Location: https://10.0.0.1/x\r\n", MG_REGISTRY_INVALID},
      {307, "Location: https://[::1]:9/x\r\n", MG_REGISTRY_INVALID},
      {307, "Location: https://user@example.com/x\r\n", MG_REGISTRY_INVALID},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char why[512];
    stub_reset();
    stub_add((struct stub_route){.path = "/v2/", .status = rows[i].status, .headers = rows[i].headers});
    struct result one = once(here("t/a:1"), rows[i].result, why);
    assert_int_equal(one.answer, MG_IMAGE_UNKNOWN);
    has(mg_str_of(why), "127.0.0.1");
    assert_null(strchr(why, '?'));
  }
}

static void test_bad_bodies(void **state) {
  (void)state;
  char why[512];
  mg_str digest = publish_image("t/a", NULL, "x", 1);
  stub_reset();
  stub_add((struct stub_route){.path = "/v2/", .status = 200, .body = MG_S("{}")});
  assert_int_equal(once(here(text_of("t/a@%.*s", MG_FMT(digest))), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
  has(mg_str_of(why), "not what its digest says");
  assert_int_equal(once(here("t/a:1"), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
  char *large = mg_arena_zero(&arena, 1, MG_REGISTRY_MANIFEST_MAX + 1);
  stub_reset();
  stub_add((struct stub_route){.path = "/v2/", .status = 200, .body = {large, MG_REGISTRY_MANIFEST_MAX + 1}});
  assert_int_equal(once(here("t/a:1"), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
  has(mg_str_of(why), "too large");
  assert_int_equal(once(MG_S("no reference!"), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
  assert_int_equal(once(MG_S("/a:1"), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
}

/* Nothing limits a domain but the reference that it is in; what is said of it is as long as ever. */
static void test_long_host(void **state) {
  (void)state;
  char host[900], why[512];
  for (size_t i = 0; i < sizeof host; i++) host[i] = i % 60 == 59 ? '.' : 'a';
  host[sizeof host - 1] = '\0';
  assert_int_equal(once(mg_str_of(text_of("%s/t/a:1", host)), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
  has(mg_str_of(why), "no host that can be asked");
}

/* What is remembered is not asked again. */
static void test_troubles(void **state) {
  (void)state;
  struct mg_registry *r = open_plain();
  struct mg_image_query q = query_of(here("t/none:1"));
  for (int i = 0; i < 3; i++) {
    struct mg_registry_session *s = session_of(r);
    assert_int_equal(settle(s, &q).answer, MG_IMAGE_UNKNOWN);
    mg_registry_session_free(s);
  }
  assert_int_equal(stub_count("HEAD "), 1);
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_NOT_FOUND), 3);
  struct mg_registry_options options = plain_options();
  assert_int_equal(mg_registry_configure(r, &options, NULL), 0);
  struct mg_registry_session *s = session_of(r);
  assert_int_equal(settle(s, &q).answer, MG_IMAGE_UNKNOWN);
  assert_int_equal(stub_count("HEAD "), 2);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

/* One 429 and nothing more is asked, of any image. */
static void test_throttled(void **state) {
  (void)state;
  stub_add((struct stub_route){.path = "/v2/", .status = 429, .headers = "Retry-After: 60\r\n"});
  struct mg_registry *r = open_plain();
  for (int i = 0; i < 3; i++) {
    struct mg_registry_session *s = session_of(r);
    struct mg_image_query q = query_of(here(text_of("t/a%d:1", i)));
    assert_int_equal(settle(s, &q).answer, MG_IMAGE_UNKNOWN);
    mg_registry_session_free(s);
  }
  assert_int_equal(stub_count("HEAD "), 1);
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_THROTTLED), 3);
  mg_registry_free(r);
}

/* A quota that is nearly used up is left to the nodes: heads are free, pulls are not. */
static void test_quota(void **state) {
  (void)state;
  mg_str body = manifest_of("t/a", "amd64", MG_S("x"), 1), digest = digest_of(body);
  stub_add((struct stub_route){.method = "HEAD", .path = "/v2/t/a/manifests/1", .status = 200,
                               .headers = text_of("ratelimit-limit: 100;w=21600\r\nratelimit-remaining: 5;w=21600\r\n"
                                                  "Docker-Content-Digest: %.*s\r\n", MG_FMT(digest))});
  char why[512];
  assert_int_equal(once(here("t/a:1"), MG_REGISTRY_THROTTLED, why).answer, MG_IMAGE_UNKNOWN);
  has(mg_str_of(why), "quota");
  assert_int_equal(stub_count("GET "), 0);
}

/* A registry that does not answer keeps its own images waiting, and no other's. */
static void test_silent(void **state) {
  (void)state;
  stub_add((struct stub_route){.path = "/v2/h/", .hang = true});
  publish_image("t/a", "1", "x", 1);
  mg_str silent = mg_str_of(text_of("127.0.0.1:%d", stub.port)), other = mg_str_of(text_of("localhost:%d", stub.port));
  struct mg_registry_host hosts[] = {{.host = silent, .insecure = true, .timeout_ms = 5000},
                                     {.host = other, .insecure = true, .timeout_ms = 5000}};
  struct mg_registry_options options = {.hosts = hosts, .host_count = 2};
  struct mg_registry *r = open_with(&options);
  struct mg_registry_session *waits = session_of(r), *s = session_of(r);
  for (int i = 0; i < 100; i++) {
    struct mg_image_query q = query_of(here(text_of("h/a:%d", i)));
    assert_int_equal(ask(waits, &q).answer, MG_IMAGE_WAIT);
  }
  struct mg_image_query q = query_of(mg_str_of(text_of("%.*s/t/a:1", MG_FMT(other))));
  assert_int_equal(ask(s, &q).answer, MG_IMAGE_WAIT);
  assert_true(mg_registry_session_wait(s, 4000));
  struct result one = ask(s, &q);
  known(&one);
  mg_registry_session_free(waits);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

static void count_end(void *ctx, const struct mg_transfer_reply *reply) {
  *(int *)ctx += reply->end == MG_TRANSFER_ANSWERED;
}

/* The same of requests, of which an image may need many. */
static void test_silent_host(void **state) {
  (void)state;
  stub_add((struct stub_route){.path = "/h", .hang = true});
  stub_add((struct stub_route){.path = "/", .status = 200});
  struct mg_transfers *all = mg_transfers_new();
  int silent = 0, answered = 0;
  struct mg_transfer_request r = {
      .method = "GET", .url = text_of("http://127.0.0.1:%d/h", stub.port), .timeout_ms = 20000, .done = count_end,
      .ctx = &silent};
  assert_non_null(all);
  for (int i = 0; i < MG_TRANSFERS_MAX + 10; i++) assert_true(mg_transfer_start(all, &r));
  r.url = text_of("http://localhost:%d/", stub.port);
  r.ctx = &answered;
  assert_true(mg_transfer_start(all, &r));
  for (int i = 0; i < 200 && !answered; i++) mg_transfers_turn(all, 20);
  mg_transfers_free(all);
  assert_int_equal(silent, 0);
  assert_int_equal(answered, 1);
}

/* Sends the beginning of a large body, as far as it is taken. */
static void pour(int listener, int *fd, size_t *left) {
  static const char head[] = "HTTP/1.1 200 x\r\nContent-Length: 999999999\r\n\r\n", body[65536];
  if (*fd < 0 && (*fd = accept(listener, NULL, NULL)) >= 0)
    assert_int_equal(send(*fd, head, sizeof head - 1, MSG_NOSIGNAL), sizeof head - 1);
  for (ssize_t n = 1; *fd >= 0 && *left >= sizeof body && n > 0;) {
    n = send(*fd, body, sizeof body, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) *left -= (size_t)n;
  }
}

static void count_held(void *ctx, const struct mg_transfer_reply *reply) {
  if (reply->end == MG_TRANSFER_NOMEM) ++*(int *)ctx;
}

/* And of the memory for replies that are not whole yet. */
static void test_endless(void **state) {
  (void)state;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), fd = -1, full = 0, answered = 0;
  assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(listener, 1), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
  stub_add((struct stub_route){.path = "/", .status = 200, .body = MG_S("x")});
  struct mg_transfers *all = mg_transfers_new();
  size_t left = MG_TRANSFERS_HELD_MAX / 4 * 3;
  struct mg_transfer_request r = {
      .method = "GET", .url = text_of("http://127.0.0.1:%d/", ntohs(at.sin_port)), .timeout_ms = 20000,
      .max = MG_TRANSFERS_HELD_MAX, .done = count_held, .ctx = &full};
  assert_non_null(all);
  assert_true(mg_transfer_start(all, &r));
  for (int i = 0; i < 4000 && left >= 65536 && !full; i++) {
    mg_transfers_turn(all, 1);
    pour(listener, &fd, &left);
  }
  r = (struct mg_transfer_request){.method = "GET", .url = text_of("http://127.0.0.1:%d/", stub.port), .timeout_ms = 2000,
                                   .max = 10, .done = count_end, .ctx = &answered};
  assert_true(mg_transfer_start(all, &r));
  for (int i = 0; i < 100 && !answered; i++) mg_transfers_turn(all, 20);
  mg_transfers_free(all);
  close(fd);
  close(listener);
  assert_int_equal(answered, 1);
}

/* ---- credentials ---- */

static void put_auth(const char *path, const char *login) {
  FILE *f = fopen(path, "we");
  assert_non_null(f);
  fprintf(f, "{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"%s\"}}}", stub.port, login);
  fclose(f);
}

static struct result once_with_auth(const char *login, enum mg_registry_result want) {
  const char *path = text_of("%s/config.json", root);
  struct mg_registry_options options = plain_options();
  put_auth(path, login);
  options.auth_file = path;
  struct mg_registry *r = open_with(&options);
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  struct result ret = settle(s, &q);
  if (mg_registry_count(r, want) != 1) fail_msg("not %s: %.*s", mg_registry_result_words[want], MG_FMT(ret.why));
  assert_false(mg_str_has(ret.why, mg_str_of(login)));
  assert_false(mg_str_has(ret.why, MG_S("s3cret")));
  mg_registry_session_free(s);
  mg_registry_free(r);
  unlink(path);
  return ret;
}

#define BASIC "WWW-Authenticate: Basic realm=\"x\"\r\n"
#define ALICE "YWxpY2U6czNjcmV0" /* alice:s3cret */

static void test_basic(void **state) {
  (void)state;
  struct stub_route *closed = stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = BASIC, .times = 1});
  publish_image("t/a", "1", "x", 1);
  assert_int_equal(once_with_auth(ALICE, MG_REGISTRY_FETCHED).answer, MG_IMAGE_KNOWN);
  assert_int_equal(atomic_load(&closed->hits), 1);
  assert_int_equal(stub_count("Authorization: Basic " ALICE), 3); /* never before it is asked for, then at once */
  stub_reset();
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = BASIC});
  assert_int_equal(once_with_auth(ALICE, MG_REGISTRY_DENIED).answer, MG_IMAGE_UNKNOWN);
  assert_int_equal(stub_count("HEAD "), 2);
}

/* What a login has opened closes with it, though the token would be good for longer. */
static void test_login_taken_away(void **state) {
  (void)state;
  const char *path = text_of("%s/config.json", root);
  struct mg_registry_options options = plain_options();
  struct mg_err err;
  publish_image("t/a", "1", "x", 1);
  publish_image("t/a", "2", "y", 2);
  for (size_t i = 0; i < stub.count; i++) stub.routes[i].needs = "Authorization: Basic " ALICE;
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = BASIC});
  put_auth(path, ALICE);
  options.auth_file = path;
  struct mg_registry *r = open_with(&options);
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  struct result one = settle(s, &q);
  known(&one);
  options.auth_file = NULL;
  assert_int_equal(mg_registry_configure(r, &options, &err), 0);
  q = query_of(here("t/a:2"));
  one = settle(s, &q);
  assert_int_equal(one.answer, MG_IMAGE_UNKNOWN);
  has(one.why, "it wants credentials for that, and there are none");
  mg_registry_session_free(s);
  mg_registry_free(r);
  unlink(path);
}

/* What is still under way when credentials come fails without them, and that is not held against who asks with them. */
static void test_login_given(void **state) {
  (void)state;
  const char *path = text_of("%s/config.json", root);
  struct mg_registry_options options = plain_options();
  struct mg_err err;
  publish_image("t/a", "1", "x", 1);
  for (size_t i = 0; i < stub.count; i++) stub.routes[i].needs = "Authorization: Basic " ALICE;
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = BASIC});
  struct mg_registry *r = open_with(&options);
  struct mg_registry_session *before = session_of(r), *s = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  pthread_mutex_lock(&stub.lock); /* nothing is answered meanwhile */
  assert_int_equal(ask(before, &q).answer, MG_IMAGE_WAIT);
  put_auth(path, ALICE);
  options.auth_file = path;
  assert_int_equal(mg_registry_configure(r, &options, &err), 0);
  pthread_mutex_unlock(&stub.lock);
  assert_int_equal(settle(before, &q).answer, MG_IMAGE_UNKNOWN);
  struct result one = settle(s, &q);
  known(&one);
  mg_registry_session_free(before);
  mg_registry_session_free(s);
  mg_registry_free(r);
  unlink(path);
}

static void take_result(void *ctx, const struct mg_answer *a) {
  *(int *)ctx = (int)a->result;
}

/* Who asks with an account that has had enough is throttled alone: anybody may name such a one in a pull secret. */
static void test_throttled_login(void **state) {
  (void)state;
  struct mg_errands errands;
  struct mg_registry_options options = plain_options();
  struct mg_settings *settings = mg_settings_new(&options);
  struct mg_keyring *ring = NULL;
  int first = -1, second = -1;
  const char *json = text_of("{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"" ALICE "\"}}}", stub.port);
  stub_add((struct stub_route){.path = "/v2/", .needs = "Authorization: Basic " ALICE, .status = 429});
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = BASIC, .times = 1});
  stub_add((struct stub_route){.path = "/v2/", .status = 200});
  assert_int_equal(mg_errands_init(&errands), 0);
  assert_non_null(settings);
  assert_int_equal(mg_keyring_new(&ring, mg_str_of(json), NULL), 0);
  struct mg_errand_order o = {.domain = options.hosts->host, .repository = MG_S("t/a"), .what = "manifests/1", .method = "HEAD",
                              .pulls = ring, .scope = MG_S("alice's"), .done = take_result, .ctx = &first};
  assert_true(mg_errand_start(&errands, settings, &o));
  for (int i = 0; i < 100 && first < 0; i++) mg_errands_turn(&errands, 20);
  assert_int_equal(first, MG_REGISTRY_THROTTLED);
  o.pulls = NULL, o.scope = MG_S(""), o.ctx = &second;
  assert_true(mg_errand_start(&errands, settings, &o));
  for (int i = 0; i < 100 && second < 0; i++) mg_errands_turn(&errands, 20);
  assert_int_equal(second, MG_REGISTRY_FETCHED);
  mg_errands_fini(&errands);
  mg_keyring_unref(ring);
  mg_settings_unref(settings);
}

static const char *bearer(void) {
  return text_of("WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token?a=b\","
                 "service=\"s t\",scope=\"repository:t/a:pull,push\"\r\n", stub.port);
}

static void test_token(void **state) {
  (void)state;
  stub_add((struct stub_route){
      .path = "/token", .needs = "Authorization: Basic " ALICE, .status = 200, .body = MG_S("{\"access_token\":\"tok\"}")});
  stub_add((struct stub_route){.path = "/token", .status = 401});
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = bearer(), .times = 1});
  publish_image("t/a", "1", "x", 1);
  assert_int_equal(once_with_auth(ALICE, MG_REGISTRY_FETCHED).answer, MG_IMAGE_KNOWN);
  assert_int_equal(stub_count("GET /token?a=b&service=s%20t&scope=repository%3At%2Fa%3Apull%2Cpush&client_id=mlgate"), 1);
  assert_int_equal(stub_count("Authorization: Bearer tok"), 3);
}

/* A token that gives too few rights is tried once. */
static void test_insufficient(void **state) {
  (void)state;
  char why[512];
  stub_add((struct stub_route){.path = "/token", .status = 200, .body = MG_S("{\"token\":\"anonymous\",\"expires_in\":300}")});
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = bearer()});
  assert_int_equal(once(here("t/a:1"), MG_REGISTRY_DENIED, why).answer, MG_IMAGE_UNKNOWN);
  assert_int_equal(stub_count("GET /token"), 1);
  assert_int_equal(stub_count("HEAD "), 2);
  stub_reset();
  stub_add((struct stub_route){.path = "/token", .status = 200, .body = MG_S("{\"token\":\"two\\nlines\"}")});
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = bearer()});
  assert_int_equal(once(here("t/a:1"), MG_REGISTRY_INVALID, why).answer, MG_IMAGE_UNKNOWN);
}

/* Where a blob is kept elsewhere, the credentials do not go there: another port is another place. */
static void test_redirect(void **state) {
  (void)state;
  mg_str body = manifest_of("t/a", "amd64", MG_S("x"), 1);
  publish("t/a", "1", MANIFEST, body);
  stub_reset();
  stub_add((struct stub_route){.path = "/v2/", .status = 401, .headers = BASIC, .times = 1});
  struct stub_route *elsewhere = stub_add((struct stub_route){
      .path = "/v2/t/a/blobs/", .status = 307, .headers = text_of("Location: http://localhost:%d/elsewhere\r\n", stub.port)});
  publish("t/a", "1", MANIFEST, body);
  struct result one = once_with_auth(ALICE, MG_REGISTRY_INVALID); /* localhost is private, and nobody has named it */
  assert_int_equal(one.answer, MG_IMAGE_UNKNOWN);
  assert_int_equal(stub_count("GET /elsewhere"), 0);
  elsewhere->headers = text_of("Location: http://127.0.0.1:%d/v2/t/a/blobs/again\r\n", stub.port);
  char why[512];
  once(here("t/a:1"), MG_REGISTRY_INVALID, why); /* round and round */
  assert_int_equal(stub_count("GET /v2/t/a/blobs/again"), 5);
}

/* ---- TLS ---- */

static enum mg_registry_result ask_host(const struct mg_registry_host *host, const char *reference) {
  struct mg_registry_options options = {.hosts = host, .host_count = host ? 1 : 0};
  struct mg_registry *r = open_with(&options);
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here(reference));
  settle(s, &q);
  enum mg_registry_result result = MG_REGISTRY_FETCHED;
  while (result < MG_REGISTRY_RESULTS && mg_registry_count(r, result) == 0) result++;
  mg_registry_session_free(s);
  mg_registry_free(r);
  return result;
}

/* The file's authority, and no other; without a document not even an address of this host is asked. */
static void test_tls(void **state) {
  static const char *const ip = "127.0.0.1", *const names[] = {"ca.crt", "ca.key", "tls.crt", "tls.key"};
  struct mg_certs_request request = {.ips = &ip, .n_ips = 1};
  struct mg_certs_place place = {.dir = root};
  struct mg_certs_report report;
  (void)state;
  assert_int_equal(mg_certs_create(&place, &request, &report, NULL), 0);
  SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
  assert_int_equal(SSL_CTX_use_certificate_file(tls, text_of("%s/tls.crt", root), SSL_FILETYPE_PEM), 1);
  assert_int_equal(SSL_CTX_use_PrivateKey_file(tls, text_of("%s/tls.key", root), SSL_FILETYPE_PEM), 1);
  publish_image("t/a", "1", "x", 1);
  stub_speak(tls);
  mg_str at = mg_str_of(text_of("127.0.0.1:%d", stub.port)), ca = mg_str_of(text_of("%s/ca.crt", root));
  struct mg_registry_host host = {.host = at, .ca_file = ca};
  assert_int_equal(ask_host(&host, "t/a:1"), MG_REGISTRY_FETCHED);
  host.ca_file = (mg_str){0};
  assert_int_equal(ask_host(&host, "t/a:1"), MG_REGISTRY_UNREACHABLE);
  host.ca_file = mg_str_of(text_of("%s/none.crt", root));
  assert_int_equal(ask_host(&host, "t/a:1"), MG_REGISTRY_UNREACHABLE);
  host = (struct mg_registry_host){.host = at, .insecure = true};
  assert_int_equal(ask_host(&host, "t/a:1"), MG_REGISTRY_FETCHED);
  assert_int_equal(stub_count("HEAD "), 2);
  assert_int_equal(ask_host(NULL, "t/a:1"), MG_REGISTRY_INVALID);
  stub_speak(NULL);
  host = (struct mg_registry_host){.host = at, .ca_file = ca}; /* plain HTTP is for insecure ones only */
  assert_int_equal(ask_host(&host, "t/a:1"), MG_REGISTRY_UNREACHABLE);
  assert_int_equal(stub_count("HEAD "), 2);
  SSL_CTX_free(tls);
  for (size_t i = 0; i < 4; i++) unlink(text_of("%s/%s", root, names[i]));
}

/* ---- mirrors ---- */

static void test_mirror(void **state) {
  (void)state;
  publish_image("t/a", "1", "x", 1);
  mg_str at = mg_str_of(text_of("127.0.0.1:%d", stub.port));
  struct mg_registry_host host = {.host = MG_S("registry.invalid"), .mirror = at, .insecure = true};
  struct mg_registry_options options = {.hosts = &host, .host_count = 1};
  struct mg_registry *r = open_with(&options);
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(MG_S("registry.invalid/t/a:1"));
  struct result one = settle(s, &q);
  known(&one);
  mg_registry_session_free(s);
  mg_registry_free(r);
  host = (struct mg_registry_host){.host = at, .mirror = MG_S("127.0.0.1:1"), .insecure = true};
  r = open_with(&options); /* nobody is at the mirror */
  s = session_of(r);
  q = query_of(here("t/a:1"));
  one = settle(s, &q);
  known(&one);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_statuses),     TEST(test_bad_bodies), TEST(test_long_host),        TEST(test_troubles),
      TEST(test_throttled),    TEST(test_quota),      TEST(test_basic),            TEST(test_login_taken_away),
      TEST(test_token),        TEST(test_insufficient), TEST(test_redirect),       TEST(test_tls),
      TEST(test_mirror),       TEST(test_silent),     TEST(test_silent_host),   TEST(test_endless),
      TEST(test_login_given),  TEST(test_throttled_login),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
