/* The API client against a TLS server of a thread, which answers what a test has laid out and keeps what it was asked. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "certs/certs.h"
#include "cluster/api.h"
#include "base/token.h"

#define ANSWERS 8
#define ASKED 8192

static char root[64];
static int listener, port;
static SSL_CTX *tls;

/* One answer a connection, written as it stands; NULL: none, and the connection stays open until the client goes. */
static struct script {
  mg_str answers[ANSWERS];
  size_t count;
  char asked[ANSWERS][ASKED];
  size_t served;
} script;

static const char *at(const char *name) {
  static char paths[4][160];
  static unsigned turn;
  char *path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", root, name);
  return path;
}

static void put(const char *name, mg_str text) {
  FILE *file = fopen(at(name), "we");
  assert_non_null(file);
  assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
  fclose(file);
}

/* --- the server ------------------------------------------------------------------------------------------------------ */

/* The head and as much of a body as it announces. */
static void read_request(SSL *ssl, char *to) {
  size_t n = 0;
  for (;;) {
    char *end = strstr(to, "\r\n\r\n"), *length = strstr(to, "Content-Length: ");
    size_t body = end && length && length < end ? strtoul(length + 16, NULL, 10) : 0;
    if (end && n >= (size_t)(end - to) + 4 + body) return;
    int got = n < ASKED - 1 ? SSL_read(ssl, to + n, (int)(ASKED - 1 - n)) : 0;
    if (got <= 0) return;
    n += (size_t)got;
    to[n] = '\0';
  }
}

static void serve_one(int fd, size_t i) {
  char rest[64];
  SSL *ssl = SSL_new(tls);
  SSL_set_fd(ssl, fd);
  if (SSL_accept(ssl) == 1) {
    read_request(ssl, script.asked[i]);
    const char *p = script.answers[i].p;
    size_t n = script.answers[i].n;
    while (p && n && !SSL_write_ex(ssl, p, n, &(size_t){0})) break;
    if (!p) (void)SSL_read(ssl, rest, sizeof rest);
    SSL_shutdown(ssl);
  }
  SSL_free(ssl);
}

static void *serve(void *arg) {
  (void)arg;
  for (size_t i = 0; i < script.count; i++) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) break;
    serve_one(fd, i);
    close(fd);
    script.served++;
  }
  return NULL;
}

static int listen_on(int *ret_port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 16), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
  *ret_port = ntohs(address.sin_port);
  return fd;
}

static int setup(void **state) {
  static const char *const ip = "127.0.0.1";
  struct mg_certs_request request = {.ips = &ip, .n_ips = 1};
  struct mg_certs_report report;
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(root, sizeof root, "/tmp/mg-test-api-XXXXXX");
  assert_non_null(mkdtemp(root));
  struct mg_certs_place place = {.dir = root};
  assert_int_equal(mg_certs_create(&place, &request, &report, NULL), 0);
  put("token", MG_S("first\n"));
  listener = listen_on(&port);
  tls = SSL_CTX_new(TLS_server_method());
  assert_int_equal(SSL_CTX_use_certificate_file(tls, at("tls.crt"), SSL_FILETYPE_PEM), 1);
  assert_int_equal(SSL_CTX_use_PrivateKey_file(tls, at("tls.key"), SSL_FILETYPE_PEM), 1);
  unsetenv("KUBERNETES_SERVICE_HOST");
  return 0;
}

static int teardown(void **state) {
  static const char *const names[] = {"ca.crt", "ca.key", "tls.crt", "tls.key", "token"};
  (void)state;
  SSL_CTX_free(tls);
  close(listener);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(at(names[i]));
  assert_int_equal(rmdir(root), 0);
  return 0;
}

/* --- asking it ------------------------------------------------------------------------------------------------------- */

static struct mg_api *open_api(void) {
  char url[64];
  struct mg_api *api = NULL;
  struct mg_err err;
  snprintf(url, sizeof url, "https://127.0.0.1:%d/", port);
  struct mg_api_options options = {.server = url, .ca_file = at("ca.crt"), .token_file = at("token"), .timeout_ms = 3000};
  if (mg_api_open(&options, &api, &err) != 0) fail_msg("%s", err.text);
  return api;
}

static void lay_out(const mg_str *answers, size_t n) {
  memset(&script, 0, sizeof script);
  assert_true(n <= ANSWERS);
  for (size_t i = 0; i < n; i++) script.answers[i] = answers[i];
  script.count = n;
}

struct call {
  const char *method, *path, *type;
  mg_str body;
};

/* The call's code, with all answers laid out taken. */
static int ask(struct mg_api *api, const struct call *call, struct mg_api_reply *reply, struct mg_err *err) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
  int code = mg_api_call(api, call->method, call->path, call->type, call->body, reply, err);
  mg_api_close(api);
  pthread_join(thread, NULL);
  assert_int_equal(script.served, script.count);
  return code;
}

static int get(const mg_str *answers, size_t n, struct mg_api_reply *reply, struct mg_err *err) {
  lay_out(answers, n);
  return ask(open_api(), &(struct call){.method = "GET", .path = "/x"}, reply, err);
}

static void has(const char *text, const char *needle) {
  if (!strstr(text, needle)) fail_msg("no \"%s\" in \"%s\"", needle, text);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static void test_request(void **state) {
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  (void)state;
  lay_out(&MG_S(OK_HEAD "Content-Length: 2\r\n\r\n{}"), 1);
  struct call call = {"PUT", "/api/v1/a?b=c", "application/json", MG_S("{\"a\":1}")};
  assert_int_equal(ask(open_api(), &call, &reply, &err), 0);
  assert_int_equal(reply.status, 200);
  assert_int_equal(reply.size, 2);
  assert_string_equal(reply.body, "{}");
  mg_api_reply_fini(&reply);
  assert_null(reply.body);
  const char *asked = script.asked[0];
  assert_int_equal(strncmp(asked, "PUT /api/v1/a?b=c HTTP/1.1\r\n", 28), 0);
  has(asked, "\r\nAuthorization: Bearer first\r\n");
  has(asked, "\r\nContent-Type: application/json\r\n");
  has(asked, "\r\nContent-Length: 7\r\n");
  has(asked, "\r\nAccept: application/json\r\n");
  has(asked, "\r\n\r\n{\"a\":1}");
  assert_null(strstr(asked, "Expect"));
  assert_null(strstr(asked, "Accept-Encoding"));
}

static void test_token_again(void **state) {
  static const mg_str refused = MG_S("HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  (void)state;
  const mg_str answers[] = {refused, MG_S(OK_HEAD "Content-Length: 0\r\n\r\n")};
  lay_out(answers, 2);
  struct mg_api *api = open_api();
  put("token", MG_S("second"));
  assert_int_equal(ask(api, &(struct call){.method = "GET", .path = "/"}, &reply, &err), 0);
  assert_int_equal(reply.status, 200);
  has(script.asked[0], "Bearer first\r\n");
  has(script.asked[1], "Bearer second\r\n");
  mg_api_reply_fini(&reply);
  const mg_str twice[] = {refused, refused};
  assert_int_equal(get(twice, 2, &reply, &err), 0); /* and no third time */
  assert_int_equal(reply.status, 401);
  assert_string_equal(reply.body, "");
  mg_api_reply_fini(&reply);
}

static void test_busy(void **state) {
  static const mg_str busy = MG_S("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n");
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  (void)state;
  const mg_str answers[] = {busy, busy, busy};
  assert_int_equal(get(answers, 3, &reply, &err), 0);
  assert_int_equal(reply.status, 503);
  mg_api_reply_fini(&reply);
}

static void test_reply_limit(void **state) {
  static char answer[MG_API_BODY_MAX + 256];
  (void)state;
  for (size_t size = MG_API_BODY_MAX - 1; size <= MG_API_BODY_MAX + 1; size++) {
    struct mg_api_reply reply = {0};
    struct mg_err err = {0};
    memset(answer, 'x', sizeof answer);
    int head = snprintf(answer, 128, OK_HEAD "Content-Length: %zu\r\n\r\n", size);
    answer[head] = 'x';
    int code = get(&(mg_str){answer, (size_t)head + size}, 1, &reply, &err);
    assert_int_equal(code, size > MG_API_BODY_MAX ? MG_E_LIMIT : 0);
    assert_int_equal(reply.size, code ? 0 : size);
    if (code) has(err.text, "larger than 4194304 bytes");
    else assert_int_equal(reply.body[size], 0);
    mg_api_reply_fini(&reply);
  }
}

static void test_broken_replies(void **state) {
  static const mg_str answers[] = {
      {"", 0},
      MG_S("rubbish\r\n\r\n"),
      MG_S(OK_HEAD "Content-Length: 100\r\n\r\ncut off"),
      MG_S(OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
      MG_S(OK_HEAD "Content-Length: -1\r\n\r\n"),
  };
  (void)state;
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    struct mg_api_reply reply = {0};
    struct mg_err err = {0};
    int code = get(&answers[i], 1, &reply, &err);
    if (code != MG_E_IO) fail_msg("answer %zu: %d, status %d", i, code, reply.status);
    has(err.text, "GET https://127.0.0.1:");
    assert_null(reply.body);
  }
}

static void test_redirect(void **state) {
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  (void)state;
  mg_str answer = MG_S("HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n");
  assert_int_equal(get(&answer, 1, &reply, &err), 0);
  assert_int_equal(reply.status, 302);
  mg_api_reply_fini(&reply);
}

static void test_timeout(void **state) {
  char url[64];
  struct mg_api *api = NULL;
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  struct timespec from, to;
  (void)state;
  snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
  struct mg_api_options options = {.server = url, .ca_file = at("ca.crt"), .timeout_ms = 300};
  assert_int_equal(mg_api_open(&options, &api, &err), 0);
  lay_out(&(mg_str){NULL, 0}, 1);
  clock_gettime(CLOCK_MONOTONIC, &from);
  assert_int_equal(ask(api, &(struct call){.method = "GET", .path = "/"}, &reply, &err), MG_E_IO);
  clock_gettime(CLOCK_MONOTONIC, &to);
  assert_in_range((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000, 250, 3000);
  has(err.text, "timed out");
  assert_null(strstr(script.asked[0], "Authorization")); /* no token was given */
}

static void test_refused(void **state) {
  char url[64];
  int closed;
  struct mg_api *api = NULL;
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  (void)state;
  close(listen_on(&closed));
  snprintf(url, sizeof url, "https://127.0.0.1:%d", closed);
  struct mg_api_options options = {.server = url, .ca_file = at("ca.crt")};
  assert_int_equal(mg_api_open(&options, &api, &err), 0);
  assert_int_equal(mg_api_call(api, "GET", "/", NULL, (mg_str){0}, &reply, &err), MG_E_IO);
  char path[MG_API_PATH_MAX + 1];
  memset(path, '/', sizeof path);
  path[MG_API_PATH_MAX] = '\0';
  assert_int_equal(mg_api_call(api, "GET", path, NULL, (mg_str){0}, &reply, &err), MG_E_LIMIT);
  mg_api_close(api);
}

static void test_unknown_server(void **state) {
  char url[64];
  struct mg_api *api = NULL;
  struct mg_api_reply reply = {0};
  struct mg_err err = {0};
  (void)state;
  snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
  struct mg_api_options options = {.server = url}; /* the system's authorities do not know ours */
  assert_int_equal(mg_api_open(&options, &api, &err), 0);
  lay_out(&MG_S(OK_HEAD "Content-Length: 0\r\n\r\n"), 1);
  assert_int_equal(ask(api, &(struct call){.method = "GET", .path = "/"}, &reply, &err), MG_E_IO);
  assert_string_equal(script.asked[0], "");
}

static int open_code(const struct mg_api_options *options, const char *needle) {
  struct mg_api *api = NULL;
  struct mg_err err = {0};
  int code = mg_api_open(options, &api, &err);
  if (code) has(err.text, needle);
  mg_api_close(api);
  return code;
}

/* What kubectl proxy is asked by; nothing in the clear leaves this host. */
static void test_loopback(void **state) {
  static const char *const good[] = {"http://127.0.0.1:8001", "http://127.255.255.254", "http://localhost:1/api-prefix/",
                                     "http://[::1]:8001",     "http://[::1]",           "https://a"};
  static const char *const bad[] = {"http://a", "http://", "http://10.0.0.1", "http://127.0.0.1.example",
                                    "http://localhost.example", "http://127.1", "http://0.0.0.0", "http://[::2]:1",
                                    "http://[::1", "http://[::1].example", "HTTP://localhost", "http://127.0.0.1@a",
                                    "http://u:p@127.0.0.1", "http:///127.0.0.1", "http://a/127.0.0.1"};
  struct mg_api_place place;
  struct mg_err err = {0};
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    if (mg_api_find(&(struct mg_api_options){.server = good[i], .loopback = true}, &place, &err)) fail_msg("%s", err.text);
    if (strncmp(place.server, good[i], strlen(place.server)) != 0) fail_msg("%s is %s", good[i], place.server);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(open_code(&(struct mg_api_options){.server = bad[i], .loopback = true}, "http:// on this host"), MG_E_USAGE);
  struct mg_api_options proxied = {.server = good[0], .loopback = true, .proxy = "http://10.0.0.1:3128"};
  assert_int_equal(open_code(&proxied, "without a proxy"), MG_E_USAGE);
}

static void test_open(void **state) {
  static const char *const bad[] = {"http://a",  "a",         "",           "https://",   "HTTPS://a", "file:///a",
                                    "https://a b", "https://u:p@a", "https://a?b", "https://a#b", "https://a\n"};
  static char big[5000];
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(open_code(&(struct mg_api_options){.server = bad[i]}, "must be https://"), MG_E_USAGE);
  memset(big, 'a', sizeof big - 1);
  memcpy(big, "https://", 8);
  assert_int_equal(open_code(&(struct mg_api_options){.server = big}, "too long"), MG_E_LIMIT);
  assert_int_equal(open_code(&(struct mg_api_options){.server = "https://a", .ca_file = big}, "too long"), MG_E_LIMIT);
  assert_int_equal(open_code(&(struct mg_api_options){.server = "https://a", .token_file = at("none")}, "No such file"), MG_E_IO);
  assert_int_equal(open_code(&(struct mg_api_options){0}, "KUBERNETES_SERVICE_HOST is not set"), MG_E_USAGE);
  setenv("KUBERNETES_SERVICE_HOST", "", 1);
  assert_int_equal(open_code(&(struct mg_api_options){0}, "KUBERNETES_SERVICE_HOST is not set"), MG_E_USAGE);
  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  assert_int_equal(open_code(&(struct mg_api_options){.account = at("none")}, "none/token"), MG_E_IO);
  mg_api_close(NULL);
}

/* The pod's service account: address, CA and token of its own. */
static void test_in_cluster(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "::1"};
  char number[16];
  struct mg_err err = {0};
  (void)state;
  snprintf(number, sizeof number, "%d", port);
  setenv("KUBERNETES_SERVICE_PORT", number, 1);
  for (size_t i = 0; i < 2; i++) {
    struct mg_api *api = NULL;
    struct mg_api_reply reply = {0};
    setenv("KUBERNETES_SERVICE_HOST", hosts[i], 1);
    assert_int_equal(mg_api_open(&(struct mg_api_options){.account = root, .timeout_ms = 3000}, &api, &err), 0);
    lay_out(&MG_S(OK_HEAD "Content-Length: 0\r\n\r\n"), i == 0 ? 1 : 0);
    assert_int_equal(ask(api, &(struct call){.method = "GET", .path = "/"}, &reply, &err), i == 0 ? 0 : MG_E_IO);
    if (i == 0) has(script.asked[0], "Authorization: Bearer first\r\n");
    else has(err.text, "https://[::1]:"); /* nobody listens there, but the address is one */
    mg_api_reply_fini(&reply);
  }
}

static void test_tokens(void **state) {
  static char big[MG_TOKEN_MAX + 64];
  static struct mg_token token;
  struct mg_err err = {0};
  static const mg_str bad[] = {MG_S(""),     MG_S("\n"),       MG_S("a b"), MG_S("a\r\nX: y"),
                               MG_S("a\0b"), MG_S("\303\266"), MG_S("\x7f")};
  (void)state;
  put("token", MG_S("good \r\n"));
  assert_int_equal(mg_token_read(&token, at("token"), &err), 0);
  assert_string_equal(token.text, "good");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put("token", bad[i]);
    assert_int_equal(mg_token_read(&token, at("token"), &err), MG_E_INVALID);
    assert_string_equal(token.text, "good"); /* the old one stays */
  }
  memset(big, 'a', sizeof big);
  for (size_t n = MG_TOKEN_MAX - 1; n <= MG_TOKEN_MAX + 40; n += n < MG_TOKEN_MAX + 1 ? 1 : 39) {
    put("token", (mg_str){big, n});
    assert_int_equal(mg_token_read(&token, at("token"), &err), n > MG_TOKEN_MAX ? MG_E_LIMIT : 0);
    if (n <= MG_TOKEN_MAX) assert_int_equal(token.n, n);
  }
  assert_int_equal(mg_token_read(&token, root, &err), MG_E_IO); /* a directory */
}

static int json_code(mg_str text, const char *needle) {
  json_t *json = NULL;
  struct mg_err err = {0};
  int code = mg_api_json(text, &json, &err);
  if (code) has(err.text, needle);
  json_decref(json);
  return code;
}

static void test_json_limits(void **state) {
  (void)state;
  for (size_t depth = MG_API_DEPTH_MAX - 1; depth <= MG_API_DEPTH_MAX + 1; depth++) {
    char text[2 * MG_API_DEPTH_MAX + 8];
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    assert_int_equal(json_code((mg_str){text, 2 * depth}, "deeper than 64"), depth > MG_API_DEPTH_MAX ? MG_E_LIMIT : 0);
  }
  struct mg_buf wide;
  mg_buf_init(&wide, NULL, MG_API_BODY_MAX + 10);
  mg_buf_lit(&wide, "[1");
  for (size_t n = 3; n < MG_API_VALUES_MAX; n++) mg_buf_lit(&wide, ",1"); /* the list counts, and a value to begin with */
  for (size_t n = MG_API_VALUES_MAX - 1; n <= MG_API_VALUES_MAX + 1; n++) {
    mg_buf_lit(&wide, "]");
    assert_int_equal(json_code(mg_buf_str(&wide), "more than 200000 values"), n > MG_API_VALUES_MAX ? MG_E_LIMIT : 0);
    wide.n--;
    mg_buf_lit(&wide, ",1");
  }
  mg_buf_fini(&wide);
  char *big = malloc(MG_API_BODY_MAX + 1);
  assert_non_null(big);
  memset(big, ' ', MG_API_BODY_MAX + 1);
  memcpy(big, "{}", 2);
  assert_int_equal(json_code((mg_str){big, MG_API_BODY_MAX}, ""), 0);
  assert_int_equal(json_code((mg_str){big, MG_API_BODY_MAX + 1}, "larger than"), MG_E_LIMIT);
  free(big);
}

static void test_json_hostile(void **state) {
  static const mg_str bad[] = {MG_S(""), MG_S("x"), MG_S("{"), MG_S("{\"a\":1,\"a\":2}"), MG_S("[\"\\u0000\"]"),
                               MG_S("[\"\xff\"]"),
                               MG_S("{} {}"), MG_S("[1e999]"), MG_S("[99999999999999999999]"), MG_S("\"\\"), MG_S("]]]]"),
                               MG_S("{\"-----BEGIN PRIVATE KEY-----\" 1}")};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(json_code(bad[i], "not JSON at line"), MG_E_SYNTAX);
  struct mg_err err = {0};
  json_t *json = NULL;
  assert_int_equal(mg_api_json(bad[11], &json, &err), MG_E_SYNTAX);
  assert_null(strstr(err.text, "PRIVATE")); /* what was read is not shown */
  assert_int_equal(json_code(MG_S("{\"[[[\\\"[[\":[\"}]\"]}"), ""), 0);
}

struct object_case {
  mg_str answer;
  int code, status;
  bool object;
  const char *words;
};

static void test_objects(void **state) {
  static const struct object_case cases[] = {
      {MG_S(OK_HEAD "Content-Length: 7\r\n\r\n{\"a\":1}"), 0, 200, true, NULL},
      {MG_S("HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"), 0, 404, false, NULL},
      {MG_S("HTTP/1.1 409 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), 0, 409, false, NULL},
      {MG_S("HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 16\r\n\r\n{\"message\":\"no\"}"), MG_E_IO, 403, false,
       "POST /o: status 403: no"},
      {MG_S("HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 4\r\n\r\noops"), MG_E_IO, 500, false, "status 500"},
      {MG_S("HTTP/1.1 422 No\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{\"message\":[1]}"), MG_E_IO, 422, false, "422"},
      {MG_S(OK_HEAD "Content-Length: 2\r\n\r\n[]"), MG_E_INVALID, 200, false, "is no object"},
      {MG_S(OK_HEAD "Content-Length: 0\r\n\r\n"), MG_E_SYNTAX, 200, false, "not JSON"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct object_case *c = &cases[i];
    pthread_t thread;
    json_t *object = (json_t *)1, *body = json_pack("{s:s}", "x", "y");
    int status = 0;
    struct mg_err err = {0};
    lay_out(&c->answer, 1);
    struct mg_api *api = open_api();
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    assert_int_equal(mg_api_object(api, "POST", "/o", body, &status, &object, &err), c->code);
    pthread_join(thread, NULL);
    assert_int_equal(status, c->status);
    assert_int_equal(object != NULL, c->object);
    has(script.asked[0], "\r\n\r\n{\"x\":\"y\"}");
    if (c->words) has(err.text, c->words);
    json_decref(object);
    json_decref(body);
    mg_api_close(api);
  }
}

/* What plain malloc gave before can be freed after. */
static void test_wiping(void **state) {
  (void)state;
  json_t *before = json_pack("{s:s}", "a", "b");
  mg_api_wipe_json();
  json_decref(before);
  char *text = NULL;
  json_t *after = json_pack("{s:[s,i]}", "a", "secret", 1);
  assert_non_null(text = json_dumps(after, 0));
  assert_string_equal(text, "{\"a\": [\"secret\", 1]}");
  free(text);
  json_decref(after);
  json_set_alloc_funcs(malloc, free);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_request),  TEST(test_token_again), TEST(test_busy),           TEST(test_reply_limit), TEST(test_broken_replies),
      TEST(test_redirect), TEST(test_timeout),     TEST(test_refused),        TEST(test_unknown_server), TEST(test_open),
      TEST(test_loopback),
      TEST(test_in_cluster), TEST(test_tokens),    TEST(test_json_limits),    TEST(test_json_hostile), TEST(test_objects),
      TEST(test_wiping),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
