#include "cluster/api.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/token.h"

#define URL_MAX MG_API_SERVER_MAX
/* No user and password, no query: the path comes behind it. */
#define URL_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]/"
#define HTTPS "https://"
#define HTTP "http://"
#define FILE_MAX MG_API_FILE_MAX
#define CONNECT_MS 5000L
#define TIMEOUT_MS 10000
#define TRIES 3
#define WAIT_MAX 5 /* seconds that a server may ask for */
#define MESSAGE_MAX 300

/* PEM that no file has. */
struct pem {
  char *p;
  size_t n;
};

struct mg_api {
  CURL *curl;
  int timeout_ms;
  size_t body_max;
  struct mg_api_place place;
  struct pem ca, cert, key;
  char server[URL_MAX]; /* what URLs begin with: the place's, under the name that its certificate is for */
  char host[URL_MAX];   /* the header, where that is another name; "": none */
  struct curl_slist *connect_to; /* where that name leads */
  char proxy[MG_API_SERVER_MAX]; /* "": none */
  struct mg_token token;
};

/* What arrives, in memory that is wiped when it has to move. */
struct sink {
  char *p;
  size_t n, cap, max;
  int code;
};

static void wipe(char *p, size_t n) {
  if (!p) return;
  OPENSSL_cleanse(p, n);
  free(p);
}

static bool sink_grow(struct sink *sink, size_t want) {
  size_t cap = sink->cap ? sink->cap * 2 : 16384;
  while (cap < want) cap *= 2;
  char *p = malloc(cap);
  if (!p) return false;
  if (sink->n) memcpy(p, sink->p, sink->n);
  wipe(sink->p, sink->cap);
  sink->p = p;
  sink->cap = cap;
  return true;
}

static size_t sink_take(char *p, size_t size, size_t count, void *arg) {
  struct sink *sink = arg;
  size_t n = size * count;
  if (n > sink->max - sink->n) sink->code = MG_E_LIMIT;
  else if (sink->n + n + 1 > sink->cap && !sink_grow(sink, sink->n + n + 1)) sink->code = MG_E_NOMEM;
  if (sink->code) return 0;
  memcpy(sink->p + sink->n, p, n);
  sink->n += n;
  return n;
}

void mg_api_reply_fini(struct mg_api_reply *reply) {
  wipe(reply->body, reply->size);
  *reply = (struct mg_api_reply){0};
}

static int copy_path(char *to, const char *from, struct mg_err *err) {
  int n = snprintf(to, FILE_MAX, "%s", from ? from : "");
  return n < 0 || n >= FILE_MAX ? mg_err_set(err, MG_E_LIMIT, "%.100s…: path too long", from ? from : "") : 0;
}

static int account_file(char *to, const struct mg_api_options *options, const char *given, const char *name, struct mg_err *err) {
  if (given) return copy_path(to, given, err);
  int n = snprintf(to, FILE_MAX, "%s/%s", options->account ? options->account : MG_API_ACCOUNT, name);
  return n < 0 || n >= FILE_MAX ? mg_err_set(err, MG_E_LIMIT, "the service account's path is too long") : 0;
}

/* An address of IPv6 comes without its brackets. */
static int in_cluster(struct mg_api_place *place, const struct mg_api_options *options, struct mg_err *err) {
  const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
  if (!host || !*host)
    return mg_err_set(err, MG_E_USAGE, "KUBERNETES_SERVICE_HOST is not set: not in a cluster, so the server must be given");
  if (!port || !*port) port = "443";
  bool bare = strchr(host, ':') && host[0] != '[';
  int n = snprintf(place->server, URL_MAX, "https://%s%s%s:%s", bare ? "[" : "", host, bare ? "]" : "", port);
  if (n < 0 || n >= URL_MAX) return mg_err_set(err, MG_E_LIMIT, "KUBERNETES_SERVICE_HOST is too long");
  int code = account_file(place->ca_file, options, options->ca_file, "ca.crt", err);
  return code < 0 ? code : account_file(place->token_file, options, options->token_file, "token", err);
}

/* The colon before the port, or `end`: of an IPv6 address, behind its brackets. */
static const char *port_of(const char *host, const char *end) {
  const char *from = *host == '[' ? memchr(host, ']', (size_t)(end - host)) : host;
  const char *colon = from ? memchr(from, ':', (size_t)(end - from)) : NULL;
  return colon ? colon : end;
}

static bool is_plain(const char *server) {
  return strncmp(server, HTTP, sizeof HTTP - 1) == 0;
}

/* Of http://HOST[:PORT][/PATH]: whether it never leaves this host. Names but the one that curl itself knows may lead anywhere. */
static bool is_loopback(const char *server) {
  const char *from = server + sizeof HTTP - 1, *end = from + strcspn(from, "/");
  struct in_addr address;
  char host[INET_ADDRSTRLEN];
  mg_str name = {from, (size_t)(port_of(from, end) - from)};
  if (mg_str_is(name, "localhost") || mg_str_is(name, "[::1]")) return true;
  if (name.n >= sizeof host) return false;
  memcpy(host, name.p, name.n);
  host[name.n] = '\0';
  return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* A token must not travel in the clear, to a proxy neither. */
static bool may_ask(const struct mg_api_options *options) {
  const char *server = options->server;
  if (strspn(server, URL_BYTES) != strlen(server)) return false;
  if (is_plain(server)) return options->loopback && !options->proxy && is_loopback(server);
  return strncmp(server, HTTPS, sizeof HTTPS - 1) == 0 && server[sizeof HTTPS - 1];
}

static int by_address(struct mg_api_place *place, const struct mg_api_options *options, struct mg_err *err) {
  mg_str server = mg_str_of(options->server);
  if (!may_ask(options))
    return mg_err_set(err, MG_E_USAGE, "the server must be https://HOST[:PORT]%s, not \"%.100s\"",
                      options->loopback ? ", or http:// on this host and without a proxy" : "", options->server);
  while (server.p[server.n - 1] == '/') server.n--;
  if (server.n >= URL_MAX) return mg_err_set(err, MG_E_LIMIT, "the server's address is too long");
  memcpy(place->server, server.p, server.n);
  int code = copy_path(place->ca_file, options->ca_file, err);
  return code < 0 ? code : copy_path(place->token_file, options->token_file, err);
}

int mg_api_find(const struct mg_api_options *options, struct mg_api_place *ret, struct mg_err *err) {
  *ret = (struct mg_api_place){0};
  int code = options->server ? by_address(ret, options, err) : in_cluster(ret, options, err);
  if (code == 0) code = copy_path(ret->cert_file, options->cert_file, err);
  return code < 0 ? code : copy_path(ret->key_file, options->key_file, err);
}

static int copy_pem(struct pem *to, mg_str from, struct mg_err *err) {
  if (!from.n) return 0;
  to->p = malloc(from.n);
  if (!to->p) return mg_err_nomem(err);
  memcpy(to->p, from.p, from.n);
  to->n = from.n;
  return 0;
}

/* The name goes into the URL, since that is what certificates are held against, and leads to where the server is. */
static int rename_server(struct mg_api *api, const char *name, struct mg_err *err) {
  const char *from = api->place.server + sizeof HTTPS - 1, *path = strchr(from, '/');
  const char *end = path ? path : from + strlen(from), *colon = port_of(from, end);
  int bare = (int)(colon - from), host = (int)(end - from), digits = colon < end ? (int)(end - colon - 1) : 3;
  const char *number = colon < end ? colon + 1 : "443";
  char line[4 * URL_MAX];
  if (!*name || strlen(name) >= URL_MAX || strspn(name, URL_BYTES) != strlen(name) || strchr(name, '/'))
    return mg_err_set(err, MG_E_INVALID, "tls-server-name \"%.100s\" is no name", name);
  int n = snprintf(api->server, URL_MAX, "https://%s:%.*s%s", name, digits, number, path ? path : "");
  int m = snprintf(api->host, URL_MAX, "Host: %.*s", host, from);
  if (n < 0 || n >= URL_MAX || m < 0 || m >= URL_MAX) return mg_err_set(err, MG_E_LIMIT, "the server's address is too long");
  (void)snprintf(line, sizeof line, "%s:%.*s:%.*s:%.*s", name, digits, number, bare, from, digits, number);
  api->connect_to = curl_slist_append(NULL, line);
  return api->connect_to ? 0 : mg_err_nomem(err);
}

static int configure_more(struct mg_api *api, const struct mg_api_options *options, struct mg_err *err) {
  const char *proxy = options->proxy ? options->proxy : "";
  if (strlen(proxy) >= sizeof api->proxy) return mg_err_set(err, MG_E_LIMIT, "the proxy's address is too long");
  memcpy(api->proxy, proxy, strlen(proxy) + 1);
  int code = copy_pem(&api->ca, options->ca_data, err);
  if (code == 0) code = copy_pem(&api->cert, options->cert_data, err);
  if (code == 0) code = copy_pem(&api->key, options->key_data, err);
  if (code == 0 && options->token) code = mg_token_take(&api->token, options->token, err);
  if (code == 0 && options->server_name && !is_plain(api->server)) code = rename_server(api, options->server_name, err);
  return code;
}

static int configure(struct mg_api *api, const struct mg_api_options *options, struct mg_err *err) {
  int code = mg_api_find(options, &api->place, err);
  if (code == 0) memcpy(api->server, api->place.server, sizeof api->server);
  if (code == 0 && *api->place.token_file) code = mg_token_read(&api->token, api->place.token_file, err);
  api->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
  api->body_max = options->body_max ? options->body_max : MG_API_BODY_MAX;
  return code < 0 ? code : configure_more(api, options, err);
}

/* OpenSSL 3.0 crashes under curl where it had no memory to begin with; its first fetch shows that. */
static bool crypto_ready(void) {
  EVP_MD *digest = OSSL_LIB_CTX_get0_global_default() ? EVP_MD_fetch(NULL, "SHA256", NULL) : NULL;
  EVP_MD_free(digest);
  return digest != NULL;
}

int mg_api_open(const struct mg_api_options *options, struct mg_api **ret, struct mg_err *err) {
  MG_API_AUTO api = calloc(1, sizeof *api);
  if (!api || !crypto_ready() || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    free(api);
    api = NULL;
    return mg_err_nomem(err);
  }
  int code = configure(api, options, err);
  if (code < 0) return code;
  api->curl = curl_easy_init();
  if (!api->curl) return mg_err_nomem(err);
  *ret = api;
  api = NULL;
  return 0;
}

void mg_api_close(struct mg_api *api) {
  if (!api) return;
  curl_easy_cleanup(api->curl);
  curl_slist_free_all(api->connect_to);
  wipe(api->ca.p, api->ca.n);
  wipe(api->cert.p, api->cert.n);
  wipe(api->key.p, api->key.n);
  OPENSSL_cleanse(api, sizeof *api);
  free(api);
  curl_global_cleanup();
}

/* --- one request ---------------------------------------------------------------------------------------------------- */

void mg_api_headers_free(struct curl_slist **list) {
  for (struct curl_slist *at = *list; at; at = at->next) OPENSSL_cleanse(at->data, strlen(at->data));
  curl_slist_free_all(*list);
  *list = NULL;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value) {
  char line[MG_TOKEN_MAX + 64];
  int n = snprintf(line, sizeof line, "%s%s", name, value);
  struct curl_slist *longer = n > 0 && (size_t)n < sizeof line ? curl_slist_append(*list, line) : NULL;
  OPENSSL_cleanse(line, sizeof line);
  if (!longer) return false;
  *list = longer;
  return true;
}

static bool make_headers(struct mg_api *api, const char *type, struct curl_slist **list) {
  if (!add_header(list, "Accept: ", "application/json") || !add_header(list, "Expect:", "")) return false;
  if (type && !add_header(list, "Content-Type: ", type)) return false;
  if (*api->host && !add_header(list, "", api->host)) return false;
  return !api->token.n || add_header(list, "Authorization: Bearer ", api->token.text);
}

static bool set_pem(CURL *c, CURLoption option, const struct pem *pem) {
  struct curl_blob blob = {.data = pem->p, .len = pem->n, .flags = CURL_BLOB_NOCOPY};
  return curl_easy_setopt(c, option, &blob) == CURLE_OK;
}

static bool set_tls(const struct mg_api *api, CURL *c) {
  bool good = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, is_plain(api->server) ? "http" : "https") == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK; /* the file is renewed */
  /* curl 7.88 frees twice what it fails to keep of such a session; the connection is kept anyway. */
  if (api->ca.p || api->connect_to) good = good && curl_easy_setopt(c, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK;
  if (api->ca.p)
    good = good && set_pem(c, CURLOPT_CAINFO_BLOB, &api->ca) && curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
  else if (*api->place.ca_file)
    good = good && curl_easy_setopt(c, CURLOPT_CAINFO, api->place.ca_file) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
  if (api->cert.p) good = good && set_pem(c, CURLOPT_SSLCERT_BLOB, &api->cert);
  else if (*api->place.cert_file) good = good && curl_easy_setopt(c, CURLOPT_SSLCERT, api->place.cert_file) == CURLE_OK;
  if (api->key.p) good = good && set_pem(c, CURLOPT_SSLKEY_BLOB, &api->key);
  else if (*api->place.key_file) good = good && curl_easy_setopt(c, CURLOPT_SSLKEY, api->place.key_file) == CURLE_OK;
  return good;
}

struct request {
  const char *method, *url, *type;
  mg_str body;
};

static bool set_usual(const struct mg_api *api, CURL *c, const char *url, struct curl_slist *headers, char *text) {
  curl_easy_reset(c); /* connections stay */
  bool good = set_tls(api, c) && curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_PROXY, api->proxy) == CURLE_OK;
  if (api->connect_to) good = good && curl_easy_setopt(c, CURLOPT_CONNECT_TO, api->connect_to) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
  /* Else who gives up would wait for a resolver that hangs, and the watchdog with it. */
  good = good && curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text) == CURLE_OK;
  return good && curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
}

static bool set_request(struct mg_api *api, const struct request *r, struct curl_slist *headers, struct sink *sink, char *text) {
  CURL *c = api->curl;
  bool good = set_usual(api, c, r->url, headers, text);
  good = good && curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)api->timeout_ms) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, sink_take) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEDATA, sink) == CURLE_OK;
  if (r->body.n)
    good = good && curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body.p) == CURLE_OK;
  return good;
}

static int transport_failed(const struct request *r, const struct sink *sink, CURLcode why, const char *text,
                            struct mg_err *err) {
  if (sink->code == MG_E_LIMIT)
    return mg_err_set(err, MG_E_LIMIT, "%s %s: the reply is larger than %zu bytes", r->method, r->url, sink->max);
  if (sink->code || why == CURLE_OUT_OF_MEMORY) return mg_err_set(err, MG_E_NOMEM, "%s %s: out of memory", r->method, r->url);
  return mg_err_set(err, MG_E_IO, "%s %s: %s", r->method, r->url, *text ? text : curl_easy_strerror(why));
}

static int ask_once(struct mg_api *api, const struct request *r, struct mg_api_reply *ret, struct mg_err *err) {
  __attribute__((cleanup(mg_api_headers_free))) struct curl_slist *headers = NULL;
  char text[CURL_ERROR_SIZE] = "";
  struct sink sink = {.max = api->body_max};
  long status = 0;
  if (!make_headers(api, r->type, &headers) || !sink_grow(&sink, 1) || !set_request(api, r, headers, &sink, text)) {
    wipe(sink.p, sink.cap);
    return mg_err_set(err, MG_E_NOMEM, "%s %s: cannot be set up", r->method, r->url);
  }
  CURLcode why = curl_easy_perform(api->curl);
  if (why != CURLE_OK || curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
    wipe(sink.p, sink.cap);
    return transport_failed(r, &sink, why, text, err);
  }
  sink.p[sink.n] = '\0';
  *ret = (struct mg_api_reply){.status = (int)status, .body = sink.p, .size = sink.n};
  return 0;
}

static void wait_as_asked(struct mg_api *api) {
  curl_off_t seconds = 0;
  if (curl_easy_getinfo(api->curl, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds < 1) seconds = 1;
  struct timespec wait = {.tv_sec = seconds < WAIT_MAX ? (time_t)seconds : WAIT_MAX};
  while (nanosleep(&wait, &wait) != 0 && errno == EINTR) {}
}

/* Whether another try is worth it; a token is worth one where it has changed. */
static bool prepare_again(struct mg_api *api, int status, bool *renewed) {
  if (status == 401 && *api->place.token_file && !*renewed) {
    struct mg_err ignored;
    *renewed = true;
    return mg_token_read(&api->token, api->place.token_file, &ignored) == 0;
  }
  if (status != 429 && status != 503) return false;
  wait_as_asked(api);
  return true;
}

static int make_url(const struct mg_api *api, const char *path, char *url, size_t room, struct mg_err *err) {
  if (strlen(path) >= MG_API_PATH_MAX) return mg_err_set(err, MG_E_LIMIT, "a path is longer than %d bytes", MG_API_PATH_MAX - 1);
  (void)snprintf(url, room, "%s%s", api->server, path);
  return 0;
}

int mg_api_prepare(struct mg_api *api, void *curl, const char *path, struct curl_slist **ret_headers, char *text,
                   struct mg_err *err) {
  char url[URL_MAX + MG_API_PATH_MAX];
  text[0] = '\0';
  int code = make_url(api, path, url, sizeof url, err);
  if (code == 0 && *api->place.token_file) code = mg_token_read(&api->token, api->place.token_file, err);
  if (code < 0) return code;
  if (make_headers(api, NULL, ret_headers) && set_usual(api, curl, url, *ret_headers, text)) return 0;
  return mg_err_set(err, MG_E_NOMEM, "GET %s: cannot be set up", path);
}

int mg_api_call(struct mg_api *api, const char *method, const char *path, const char *type, mg_str body, struct mg_api_reply *ret,
                struct mg_err *err) {
  char url[URL_MAX + MG_API_PATH_MAX];
  bool renewed = false;
  int fits = make_url(api, path, url, sizeof url, err);
  if (fits < 0) return fits;
  struct request r = {.method = method, .url = url, .type = type, .body = body};
  for (int left = TRIES - 1;; left--) {
    struct mg_api_reply reply = {0};
    int code = ask_once(api, &r, &reply, err);
    if (code < 0) return code;
    if (left == 0 || !prepare_again(api, reply.status, &renewed)) {
      *ret = reply;
      return 0;
    }
    mg_api_reply_fini(&reply);
  }
}

/* --- JSON ----------------------------------------------------------------------------------------------------------- */

/* A look at the brackets before anything is built. */
static int measure(mg_str text, struct mg_err *err) {
  size_t depth = 0, values = 1;
  bool quoted = false;
  for (size_t i = 0; i < text.n; i++) {
    char c = text.p[i];
    if (quoted) {
      if (c == '\\') i++;
      else if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    else if (c == '{' || c == '[') depth++, values++;
    else if (c == ',') values++;
    else if ((c == '}' || c == ']') && depth) depth--;
    if (depth > MG_API_DEPTH_MAX) return mg_err_set(err, MG_E_LIMIT, "JSON nested deeper than %d", MG_API_DEPTH_MAX);
    if (values > MG_API_VALUES_MAX) return mg_err_set(err, MG_E_LIMIT, "JSON of more than %d values", MG_API_VALUES_MAX);
  }
  return 0;
}

int mg_api_json(mg_str text, json_t **ret, struct mg_err *err) {
  json_error_t where;
  if (text.n > MG_API_BODY_MAX) return mg_err_set(err, MG_E_LIMIT, "JSON larger than %zu bytes", MG_API_BODY_MAX);
  int code = measure(text, err);
  if (code < 0) return code;
  json_t *json = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &where);
  /* The library's words quote the text, which may be a Secret's. */
  if (!json) return mg_err_set(err, MG_E_SYNTAX, "not JSON at line %d, column %d", where.line, where.column);
  *ret = json;
  return 0;
}

/* The words of a v1 Status, made fit for a terminal. */
static int refused(const char *method, const char *path, const struct mg_api_reply *reply, struct mg_err *err) {
  struct mg_err ignored;
  MG_JSON_AUTO status = NULL;
  MG_BUF_AUTO text;
  const char *words = "";
  mg_buf_init(&text, NULL, (size_t)4 * MESSAGE_MAX);
  if (mg_api_json((mg_str){reply->body, reply->size}, &status, &ignored) == 0) {
    const char *message = json_string_value(json_object_get(status, "message"));
    words = message ? message : "";
  }
  mg_buf_clean(&text, (mg_str){words, strnlen(words, MESSAGE_MAX)});
  return mg_err_set(err, MG_E_IO, "%s %s: status %d%s%.*s", method, path, reply->status, text.n ? ": " : "",
                    MG_FMT(mg_buf_str(&text)));
}

static int take_object(const char *method, const char *path, const struct mg_api_reply *reply, json_t **ret, struct mg_err *err) {
  MG_JSON_AUTO json = NULL;
  if (!ret) return 0;
  int code = mg_api_json((mg_str){reply->body, reply->size}, &json, err);
  if (code < 0) return mg_err_wrap(err, "%s %s", method, path);
  if (!json_is_object(json)) return mg_err_set(err, MG_E_INVALID, "%s %s: the reply is no object", method, path);
  *ret = json;
  json = NULL;
  return 0;
}

int mg_api_object(struct mg_api *api, const char *method, const char *path, const json_t *body, int *ret_status, json_t **ret,
                  struct mg_err *err) {
  __attribute__((cleanup(mg_api_reply_fini))) struct mg_api_reply reply = {0};
  if (ret) *ret = NULL;
  char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
  if (body && !text) return mg_err_nomem(err);
  int code = mg_api_call(api, method, path, body ? "application/json" : NULL, mg_str_of(text), &reply, err);
  if (text) wipe(text, strlen(text));
  if (code < 0) return code;
  *ret_status = reply.status;
  if (reply.status >= 200 && reply.status < 300) return take_object(method, path, &reply, ret, err);
  return reply.status == 404 || reply.status == 409 ? 0 : refused(method, path, &reply, err);
}

/* The usable size, so that what other memory functions gave can be freed too. */
static void wipe_and_free(void *p) {
  if (!p) return;
  OPENSSL_cleanse(p, malloc_usable_size(p));
  free(p);
}

void mg_api_wipe_json(void) {
  json_set_alloc_funcs(malloc, wipe_and_free);
}
