#include "app/otlp.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "app/otlp_span.h"
#include "base/clock.h"
#include "http/metrics.h"

#define TRACES "/v1/traces"
#define URL_SIZE 512
/* No user and password, no query. */
#define URL_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]/"
#define BODY_MAX ((size_t)8 << 20)
#define LAST_MS 1000 /* for what waits when it ends */
#define PAUSE_MS 500 /* before the second try; doubled for each one more */
#define POLL_MS 100

enum result { SENT, DROPPED, FAILED, RESULTS };
static const char *const result_words[RESULTS] = {"sent", "dropped", "failed"};

struct mg_otlp {
  char url[URL_SIZE], version[MG_SPAN_TEXT], instance[MG_SPAN_TEXT];
  char *ca_file;
  CURLM *multi;
  CURL *curl;
  struct curl_slist *headers;
  pthread_t thread;
  bool running;
  _Atomic uint64_t counts[RESULTS], ids;
  uint64_t seed;
  pthread_mutex_t lock; /* of all below but the batch, which is the thread's */
  pthread_cond_t more;
  int64_t last; /* monotonic ms, when all has to be over; 0: it has not been told to end */
  size_t first, used;
  struct mg_span queue[MG_OTLP_QUEUE], batch[MG_OTLP_BATCH];
};

static void count(struct mg_otlp *otlp, enum result result, uint64_t n) {
  atomic_fetch_add_explicit(&otlp->counts[result], n, memory_order_relaxed);
}

/* ---- the queue ---- */

/* Unlike any other, and no secret: splitmix64 over a counter that begins anywhere. */
static void make_id(struct mg_otlp *otlp, char to[16]) {
  static const char digits[] = "0123456789abcdef";
  uint64_t x = otlp->seed + atomic_fetch_add_explicit(&otlp->ids, 1, memory_order_relaxed) * UINT64_C(0x9E3779B97F4A7C15);
  x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
  x ^= x >> 31;
  x |= x == 0; /* zero is none */
  for (int i = 0; i < 16; i++) to[i] = digits[x >> (60 - 4 * i) & 15];
}

static bool enqueue(struct mg_otlp *otlp, const struct mg_span *span) {
  pthread_mutex_lock(&otlp->lock);
  bool room = otlp->used < MG_OTLP_QUEUE && !otlp->last;
  if (room) {
    otlp->queue[(otlp->first + otlp->used) % MG_OTLP_QUEUE] = *span;
    otlp->used++;
    if (otlp->used == 1 || otlp->used == MG_OTLP_BATCH) pthread_cond_signal(&otlp->more);
  }
  pthread_mutex_unlock(&otlp->lock);
  return room;
}

void mg_otlp_review(struct mg_otlp *otlp, struct mg_reviewed *r, struct mg_arena *arena) {
  struct mg_span span;
  if (r->trace.known && !r->trace.sampled) return;
  mg_span_fill(&span, r, arena);
  span.has_parent = r->trace.known;
  memcpy(span.parent, r->trace.span, sizeof span.parent);
  if (!r->trace.known) {
    make_id(otlp, r->trace.trace);
    make_id(otlp, r->trace.trace + 16);
    r->trace.known = r->trace.sampled = true;
  }
  make_id(otlp, r->trace.span);
  span.trace = r->trace;
  if (!enqueue(otlp, &span)) count(otlp, DROPPED, 1);
}

/* ---- the thread ---- */

/* Under the lock: until there are so many, or that time; or it is to end. */
static void wait_for(struct mg_otlp *otlp, size_t spans, int64_t until_ms) {
  const struct timespec until = mg_clock_at(until_ms);
  while (otlp->used < spans && !otlp->last)
    if (until_ms == 0) pthread_cond_wait(&otlp->more, &otlp->lock);
    else if (pthread_cond_timedwait(&otlp->more, &otlp->lock, &until) != 0) return;
}

static size_t take_batch(struct mg_otlp *otlp) {
  pthread_mutex_lock(&otlp->lock);
  wait_for(otlp, 1, 0);
  wait_for(otlp, MG_OTLP_BATCH, mg_clock_ms() + MG_OTLP_DELAY_MS);
  size_t n = otlp->used < MG_OTLP_BATCH ? otlp->used : MG_OTLP_BATCH;
  for (size_t i = 0; i < n; i++) otlp->batch[i] = otlp->queue[(otlp->first + i) % MG_OTLP_QUEUE];
  otlp->used -= n;
  otlp->first = otlp->used ? (otlp->first + n) % MG_OTLP_QUEUE : 0;
  pthread_mutex_unlock(&otlp->lock);
  return n;
}

static int64_t time_is_up(struct mg_otlp *otlp) {
  pthread_mutex_lock(&otlp->lock);
  int64_t last = otlp->last;
  pthread_mutex_unlock(&otlp->lock);
  return last && mg_clock_ms() >= last;
}

/* False: it is to end. */
static bool pause_for(struct mg_otlp *otlp, int64_t ms) {
  pthread_mutex_lock(&otlp->lock);
  wait_for(otlp, SIZE_MAX, mg_clock_ms() + ms);
  bool go_on = !otlp->last;
  pthread_mutex_unlock(&otlp->lock);
  return go_on;
}

/* Nobody reads what it says. */
static size_t ignore(char *p, size_t size, size_t n, void *arg) {
  (void)p, (void)arg;
  return size * n;
}

/* The HTTP status; 0: there was no answer. */
static long post(struct mg_otlp *otlp, mg_str body) {
  int running = 1, left = 0;
  long status = 0;
  CURLcode why = CURLE_OPERATION_TIMEDOUT;
  CURL *c = otlp->curl;
  if (curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) != CURLE_OK ||
      curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p) != CURLE_OK || curl_multi_add_handle(otlp->multi, c) != CURLM_OK)
    return 0;
  while (running && curl_multi_perform(otlp->multi, &running) == CURLM_OK && running && !time_is_up(otlp))
    curl_multi_poll(otlp->multi, NULL, 0, POLL_MS, NULL);
  for (const CURLMsg *m; (m = curl_multi_info_read(otlp->multi, &left));)
    if (m->msg == CURLMSG_DONE) why = m->data.result;
  if (why == CURLE_OK) curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(otlp->multi, c);
  return status;
}

/* What the OTLP specification lets a client try again; no answer is like 503. */
static bool may_try_again(long status) {
  return status == 0 || status == 429 || (status >= 502 && status <= 504);
}

static bool send_batch(struct mg_otlp *otlp, mg_str body) {
  int64_t pause = PAUSE_MS;
  for (int left = MG_OTLP_TRIES; left > 0; left--, pause *= 2) {
    long status = post(otlp, body);
    if (status >= 200 && status < 300) return true;
    if (!may_try_again(status) || left == 1 || !pause_for(otlp, pause)) return false;
  }
  return false;
}

static void *run(void *arg) {
  struct mg_otlp *otlp = arg;
  for (size_t n; (n = take_batch(otlp)) > 0;) {
    MG_BUF_AUTO body;
    mg_buf_init(&body, NULL, BODY_MAX);
    mg_spans_write(&body, otlp->batch, n, otlp->version, otlp->instance);
    bool sent = !body.failed && !time_is_up(otlp) && send_batch(otlp, mg_buf_str(&body));
    count(otlp, sent ? SENT : FAILED, n);
  }
  return NULL;
}

/* ---- from outside ---- */

static int set_url(struct mg_otlp *otlp, const char *endpoint, struct mg_err *err) {
  mg_str url = mg_str_of(endpoint);
  size_t scheme = mg_str_starts(url, MG_S("https://")) ? 8 : mg_str_starts(url, MG_S("http://")) ? 7 : 0;
  if (!scheme || url.n == scheme || url.p[scheme] == '/' || strspn(url.p, URL_BYTES) != url.n)
    return mg_err_set(err, MG_E_USAGE, "--otlp-endpoint must be http[s]://HOST[:PORT][/PATH], not \"%.100s\"", endpoint);
  while (url.p[url.n - 1] == '/') url.n--;
  const char *path = mg_str_ends(url, MG_S(TRACES)) ? "" : TRACES;
  int n = snprintf(otlp->url, URL_SIZE, "%.*s%s", MG_FMT(url), path);
  return n < 0 || n >= URL_SIZE ? mg_err_set(err, MG_E_LIMIT, "--otlp-endpoint is too long") : 0;
}

static bool set_up(struct mg_otlp *otlp) {
  CURL *c = otlp->curl = curl_easy_init();
  otlp->multi = curl_multi_init();
  otlp->headers = curl_slist_append(NULL, "Content-Type: application/json");
  struct curl_slist *more = otlp->headers ? curl_slist_append(otlp->headers, "Expect:") : NULL;
  bool good = c && otlp->multi && more && curl_easy_setopt(c, CURLOPT_URL, otlp->url) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
  /* Else the end would wait for a resolver that hangs. */
  good = good && curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)MG_OTLP_TIMEOUT_MS) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore) == CURLE_OK;
  if (otlp->ca_file)
    good = good && curl_easy_setopt(c, CURLOPT_CAINFO, otlp->ca_file) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
  return good && curl_easy_setopt(c, CURLOPT_HTTPHEADER, otlp->headers) == CURLE_OK;
}

static void otlp_free(struct mg_otlp *otlp) {
  curl_easy_cleanup(otlp->curl);
  curl_multi_cleanup(otlp->multi);
  curl_slist_free_all(otlp->headers);
  pthread_cond_destroy(&otlp->more);
  pthread_mutex_destroy(&otlp->lock);
  free(otlp->ca_file);
  free(otlp);
  curl_global_cleanup();
}

static struct mg_otlp *otlp_new(const struct mg_otlp_options *options) {
  struct mg_otlp *otlp = calloc(1, sizeof *otlp);
  const char *host = getenv("HOSTNAME"); /* the pod's name */
  if (!otlp) return NULL;
  mg_clock_cond(&otlp->more);
  pthread_mutex_init(&otlp->lock, NULL);
  (void)snprintf(otlp->version, sizeof otlp->version, "%s", options->version);
  (void)snprintf(otlp->instance, sizeof otlp->instance, "%s", host ? host : "");
  if (getrandom(&otlp->seed, sizeof otlp->seed, 0) < 0) otlp->seed = (uint64_t)mg_clock_ms();
  return otlp;
}

static int start_thread(struct mg_otlp *otlp, struct mg_err *err) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&otlp->thread, NULL, run, otlp);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  otlp->running = code == 0;
  return code == 0 ? 0 : mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
}

int mg_otlp_start(const struct mg_otlp_options *options, struct mg_otlp **ret, struct mg_err *err) {
  *ret = NULL;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return mg_err_nomem(err);
  struct mg_otlp *otlp = otlp_new(options);
  if (!otlp) {
    curl_global_cleanup();
    return mg_err_nomem(err);
  }
  if (options->ca_file) otlp->ca_file = strdup(options->ca_file);
  int code = set_url(otlp, options->endpoint, err);
  if (code == 0 && ((options->ca_file && !otlp->ca_file) || !set_up(otlp))) code = mg_err_nomem(err);
  if (code == 0) code = start_thread(otlp, err);
  if (code < 0) otlp_free(otlp);
  else *ret = otlp;
  return code;
}

void mg_otlp_stop(struct mg_otlp *otlp) {
  if (!otlp) return;
  pthread_mutex_lock(&otlp->lock);
  otlp->last = mg_clock_ms() + LAST_MS;
  pthread_cond_signal(&otlp->more);
  pthread_mutex_unlock(&otlp->lock);
  if (otlp->running) pthread_join(otlp->thread, NULL);
  otlp_free(otlp);
}

void mg_otlp_metrics(struct mg_otlp *otlp, struct mg_buf *out) {
  static const char name[] = "mlgate_otlp_spans_total";
  mg_metrics_head(out, name, "counter", "Spans for --otlp-endpoint; dropped: the queue was full; failed: not taken.");
  for (int i = 0; i < RESULTS; i++)
    mg_buf_printf(out, "%s{result=\"%s\"} %" PRIu64 "\n", name, result_words[i],
                  otlp ? atomic_load_explicit(&otlp->counts[i], memory_order_relaxed) : 0);
}
