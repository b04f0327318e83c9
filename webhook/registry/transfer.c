#include "registry/transfer.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/pulse.h"
#include "registry/target.h"

#define RUNNING_OF_ONE 96 /* of one host: one that does not answer must not keep all others waiting */
#define HELD_OF_ONE (MG_TRANSFERS_HELD_MAX / 4 * 3)
#define HEADERS_MAX ((size_t)256 << 10)

struct transfer {
  struct mg_transfers *all;
  struct transfer *next, *prev;
  CURL *curl;
  struct curl_slist *headers;
  bool running, cut_off, guarded, no_memory;
  struct mg_target target;
  struct mg_transfer_request request; /* only max, cut, guard, done and ctx */
  char *body;
  size_t n, cap, header_bytes;
  char content_type[MG_TRANSFER_FIELD_MAX], digest[MG_TRANSFER_FIELD_MAX], challenge[MG_TRANSFER_CHALLENGE_MAX];
  int64_t quota, quota_left, length, range_of;
  bool encoded;
};

struct mg_transfers {
  CURLM *multi;
  struct transfer *first, *last;
  uint32_t running;
  size_t held;
};

/* ---- what comes ---- */

static bool may_hold(const struct transfer *t, size_t more) {
  size_t held = 0;
  for (const struct transfer *at = t->all->first; at; at = at->next)
    if (strcmp(at->target.where, t->target.where) == 0) held += at->cap;
  return more <= HELD_OF_ONE - held && more <= MG_TRANSFERS_HELD_MAX - t->all->held;
}

static size_t take_body(char *p, size_t size, size_t count, void *arg) {
  struct transfer *t = arg;
  size_t n = size * count, room = t->request.max - t->n, want = n < room ? n : room;
  if (t->n + want > t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 4096;
    while (cap < t->n + want) cap *= 2;
    if (cap > t->request.max) cap = t->request.max;
    char *body = may_hold(t, cap - t->cap) ? malloc(cap) : NULL;
    if (!body) {
      t->no_memory = true;
      return 0;
    }
    if (t->n) memcpy(body, t->body, t->n);
    OPENSSL_cleanse(t->body, t->n); /* it may be a token */
    free(t->body);
    t->body = body;
    t->all->held += cap - t->cap;
    t->cap = cap;
  }
  if (want) memcpy(t->body + t->n, p, want);
  t->n += want;
  t->cut_off = want < n || (t->request.cut && t->n == t->request.max);
  return t->cut_off ? 0 : n;
}

static mg_str trimmed(mg_str s) {
  while (s.n && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
  while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s = mg_str_from(s, 1);
  return s;
}

static void keep_field(char *to, size_t room, mg_str value) {
  to[0] = '\0';
  if (value.n < room) snprintf(to, room, "%.*s", MG_FMT(value));
}

/* "100;w=21600". */
static int64_t number_of(mg_str value) {
  int64_t n = 0;
  size_t i = 0;
  for (; i < value.n && i < 12 && mg_is_digit(value.p[i]); i++) n = n * 10 + (value.p[i] - '0');
  return i ? n : -1;
}

static void take_content_type(struct transfer *t, mg_str value) {
  keep_field(t->content_type, sizeof t->content_type, value);
}

static void take_digest(struct transfer *t, mg_str value) {
  keep_field(t->digest, sizeof t->digest, value);
}

static void take_challenge(struct transfer *t, mg_str value) {
  size_t n = strlen(t->challenge);
  if (value.n + 3 <= sizeof t->challenge - n)
    snprintf(t->challenge + n, sizeof t->challenge - n, "%s%.*s", n ? ", " : "", MG_FMT(value));
}

static void take_quota(struct transfer *t, mg_str value) {
  t->quota = number_of(value);
}

static void take_quota_left(struct transfer *t, mg_str value) {
  t->quota_left = number_of(value);
}

/* A number of bytes, and nothing else; -1 of anything else. */
static int64_t bytes_of(mg_str value) {
  int64_t n = 0;
  for (size_t i = 0; i < value.n; i++) {
    if (i == 18 || !mg_is_digit(value.p[i])) return -1;
    n = n * 10 + (value.p[i] - '0');
  }
  return value.n ? n : -1;
}

static void take_length(struct transfer *t, mg_str value) {
  t->length = bytes_of(value);
}

/* "bytes 0-65535/4900000000", "bytes 0-65535/?". */
static void take_range(struct transfer *t, mg_str value) {
  t->range_of = bytes_of(mg_str_from(value, mg_str_find(value, '/') + 1));
}

static void take_encoding(struct transfer *t, mg_str value) {
  t->encoded = value.n > 0;
}

static size_t take_header(char *p, size_t size, size_t count, void *arg) {
  static const struct {
    mg_str name;
    void (*take)(struct transfer *t, mg_str value);
  } known[] = {
      {{"content-type", 12}, take_content_type},   {{"docker-content-digest", 21}, take_digest},
      {{"www-authenticate", 16}, take_challenge},  {{"ratelimit-limit", 15}, take_quota},
      {{"ratelimit-remaining", 19}, take_quota_left}, {{"content-length", 14}, take_length},
      {{"content-range", 13}, take_range},         {{"content-encoding", 16}, take_encoding},
  };
  struct transfer *t = arg;
  mg_str line = {p, size * count};
  size_t colon = mg_str_find(line, ':');
  t->header_bytes += line.n;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (colon == known[i].name.n && colon < line.n && strncasecmp(p, known[i].name.p, colon) == 0)
      known[i].take(t, trimmed(mg_str_from(line, colon + 1)));
  return t->header_bytes > HEADERS_MAX ? 0 : line.n;
}

/* ---- one transfer ---- */

static void drop(struct transfer *t) {
  struct mg_transfers *all = t->all;
  *(t->prev ? &t->prev->next : &all->first) = t->next;
  *(t->next ? &t->next->prev : &all->last) = t->prev;
  if (t->running) {
    curl_multi_remove_handle(all->multi, t->curl);
    all->running--;
  }
  curl_easy_cleanup(t->curl);
  for (struct curl_slist *at = t->headers; at; at = at->next) OPENSSL_cleanse(at->data, strlen(at->data));
  curl_slist_free_all(t->headers);
  if (t->n) OPENSSL_cleanse(t->body, t->n);
  free(t->body);
  all->held -= t->cap;
  free(t);
}

/* Every address that is connected to comes by here. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
  struct transfer *t = arg;
  (void)purpose;
  if (mg_guard_refuses(t->request.guard, &address->addr)) {
    t->guarded = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool add_header(struct transfer *t, const char *name, const char *value) {
  if (!value) return true;
  size_t n = strlen(name) + strlen(value) + 3;
  char *line = malloc(n);
  if (!line) return false;
  snprintf(line, n, "%s: %s", name, value);
  struct curl_slist *longer = curl_slist_append(t->headers, line);
  OPENSSL_cleanse(line, n);
  free(line);
  if (longer) t->headers = longer;
  return longer != NULL;
}

static bool set_headers(struct transfer *t, const struct mg_transfer_request *r) {
  bool good = add_header(t, "Accept", r->accept) && add_header(t, "Range", r->range);
  good = good && add_header(t, "Authorization", r->authorization);
  return good && (!t->headers || curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK);
}

static bool set_tls(CURL *c, const struct mg_transfer_request *r) {
  bool good = curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, r->verify ? 1L : 0L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, r->verify ? 2L : 0L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK; /* the file is renewed */
  /* Beside the system's, as container runtimes do it: who has a mirror of his own is sent to the public one too. */
  if (r->ca_file && *r->ca_file) good = good && curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file) == CURLE_OK;
  if (r->ca_alone) good = good && curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
  return good;
}

static bool set_way(struct transfer *t, const struct mg_transfer_request *r) {
  CURL *c = t->curl;
  bool good = curl_easy_setopt(c, CURLOPT_URL, r->url) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http") == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
  /* Else who ends a transfer would wait for a resolver that hangs. */
  good = good && curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)MG_TRANSFER_CONNECT_MS) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK;
  if (r->alone)
    good = good && curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
  if (strcmp(r->method, "HEAD") == 0) good = good && curl_easy_setopt(c, CURLOPT_NOBODY, 1L) == CURLE_OK;
  return good;
}

static bool set_taking(struct transfer *t) {
  CURL *c = t->curl;
  bool good = curl_easy_setopt(c, CURLOPT_USERAGENT, "mlgate") == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEDATA, t) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_HEADERDATA, t) == CURLE_OK;
  return good && curl_easy_setopt(c, CURLOPT_PRIVATE, t) == CURLE_OK;
}

_Static_assert(2 * RUNNING_OF_ONE >= MG_TRANSFERS_MAX, "no two hosts have all that may run");
static uint32_t running_at(const struct mg_transfers *all, const char *where) {
  uint32_t n = 0;
  for (const struct transfer *t = all->first; t; t = t->next) n += t->running && strcmp(t->target.where, where) == 0;
  return n;
}

static void run_next(struct mg_transfers *all) {
  const char *full = NULL; /* there cannot be two */
  for (struct transfer *t = all->first; t && all->running < MG_TRANSFERS_MAX; t = t->next) {
    if (t->running || (full && strcmp(t->target.where, full) == 0)) continue;
    if (running_at(all, t->target.where) >= RUNNING_OF_ONE) full = t->target.where;
    else if (curl_multi_add_handle(all->multi, t->curl) == CURLM_OK) t->running = true, all->running++;
  }
}

bool mg_transfer_start(struct mg_transfers *all, const struct mg_transfer_request *r) {
  struct transfer *t = calloc(1, sizeof *t);
  if (!t) return false;
  t->all = all;
  t->quota = t->quota_left = t->length = t->range_of = -1;
  t->request = (struct mg_transfer_request){.max = r->max, .cut = r->cut, .guard = r->guard, .done = r->done, .ctx = r->ctx};
  t->prev = all->last;
  *(all->last ? &all->last->next : &all->first) = t;
  all->last = t;
  t->curl = curl_easy_init();
  (void)mg_target_read(r->url, &t->target); /* what is no URL fails on its way */
  if (!t->curl || !set_headers(t, r) || !set_tls(t->curl, r) || !set_way(t, r) || !set_taking(t)) {
    drop(t);
    return false;
  }
  return true;
}

static enum mg_transfer_end end_of(const struct transfer *t, CURLcode why) {
  static const struct {
    CURLcode code;
    enum mg_transfer_end end;
  } ends[] = {
      {CURLE_OPERATION_TIMEDOUT, MG_TRANSFER_TIMEOUT},      {CURLE_OUT_OF_MEMORY, MG_TRANSFER_NOMEM},
      {CURLE_RECV_ERROR, MG_TRANSFER_LOST},                 {CURLE_SEND_ERROR, MG_TRANSFER_LOST},
      {CURLE_GOT_NOTHING, MG_TRANSFER_LOST},                {CURLE_PARTIAL_FILE, MG_TRANSFER_LOST},
      {CURLE_SSL_CONNECT_ERROR, MG_TRANSFER_TLS},           {CURLE_PEER_FAILED_VERIFICATION, MG_TRANSFER_TLS},
      {CURLE_SSL_CACERT_BADFILE, MG_TRANSFER_TLS},          {CURLE_SSL_ISSUER_ERROR, MG_TRANSFER_TLS},
  };
  if (why == CURLE_OK || (t->cut_off && t->request.cut)) return MG_TRANSFER_ANSWERED;
  if (t->guarded) return MG_TRANSFER_GUARDED;
  if (t->no_memory) return MG_TRANSFER_NOMEM;
  if (t->cut_off || t->header_bytes > HEADERS_MAX) return MG_TRANSFER_LIMIT;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (ends[i].code == why) return ends[i].end;
  return MG_TRANSFER_UNREACHABLE;
}

static void tell(struct transfer *t, CURLcode why) {
  long status = 0;
  char *location = NULL;
  curl_off_t wait = 0, began = 0;
  struct mg_transfer_reply reply = {
      .end = end_of(t, why), .why = why == CURLE_OK ? "" : curl_easy_strerror(why), .body = {t->body, t->n},
      .content_type = mg_str_of(t->content_type), .digest = mg_str_of(t->digest), .challenge = mg_str_of(t->challenge),
      .retry_after = -1, .quota = t->quota, .quota_left = t->quota_left};
  curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &location);
  if (curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0) reply.retry_after = wait;
  reply.connected = curl_easy_getinfo(t->curl, CURLINFO_PRETRANSFER_TIME_T, &began) == CURLE_OK && began > 0;
  reply.status = (int)status;
  reply.total = status == 206 || status == 416 ? t->range_of : status == 200 && !t->encoded ? t->length : -1;
  reply.location = mg_str_of(location);
  if (t->request.cut && t->cut_off) reply.why = "";
  t->request.done(t->request.ctx, &reply);
}

/* ---- all of them ---- */

struct mg_transfers *mg_transfers_new(void) {
  struct mg_transfers *all = calloc(1, sizeof *all);
  if (all && (all->multi = curl_multi_init())) {
    curl_multi_setopt(all->multi, CURLMOPT_MAXCONNECTS, 32L);
    return all;
  }
  free(all);
  return NULL;
}

void mg_transfers_free(struct mg_transfers *all) {
  if (!all) return;
  while (all->first) drop(all->first);
  curl_multi_cleanup(all->multi);
  free(all);
}

void mg_transfers_turn(struct mg_transfers *all, int64_t ms) {
  int left = 0, running = 0;
  mg_pulse_begin("registries");
  run_next(all);
  curl_multi_perform(all->multi, &running);
  bool came = false;
  for (CURLMsg *msg; (msg = curl_multi_info_read(all->multi, &left));) {
    char *private = NULL;
    CURLcode why = msg->data.result;
    if (msg->msg != CURLMSG_DONE || curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK) continue;
    struct transfer *t = (struct transfer *)(void *)private;
    tell(t, why);
    drop(t);
    came = true;
  }
  mg_pulse_end();
  if (!came) curl_multi_poll(all->multi, NULL, 0, (int)ms, NULL);
}

void mg_transfers_wake(struct mg_transfers *all) {
  curl_multi_wakeup(all->multi);
}
