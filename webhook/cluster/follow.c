#include "cluster/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define PAGE 500          /* objects */
#define LIST_MS 60000     /* a page */
#define WATCH_MIN_S 300   /* and up to twice that, so that not all watches end at once */
#define GRACE_S 30        /* for the server to end it */
#define STEADY_MS 2000    /* a watch that lasted so long was a good one */
#define NOT_SERVED_MS 20000
#define PROBLEM_MAX ((size_t)16 << 10)
#define KEEPALIVE_S 15L   /* a dead peer is noticed within thirty seconds */

const char *const mg_follow_error_words[MG_FOLLOW_ERRORS] = {
    [MG_FOLLOW_CONNECTION] = "connection", [MG_FOLLOW_UNAUTHORIZED] = "unauthorized", [MG_FOLLOW_FORBIDDEN] = "forbidden",
    [MG_FOLLOW_NOT_FOUND] = "not_found",   [MG_FOLLOW_GONE] = "gone",                 [MG_FOLLOW_THROTTLED] = "throttled",
    [MG_FOLLOW_SERVER] = "server",         [MG_FOLLOW_MALFORMED] = "malformed",       [MG_FOLLOW_LIMIT] = "limit",
    [MG_FOLLOW_SILENT] = "silent",         [MG_FOLLOW_TOKEN] = "token",
};

/* Versions of each group, the best first. An optional group that is not served has no objects. */
static const struct group {
  const char *name, *path;
  const char *versions[4];
  bool optional;
} groups[] = {
    {"", "/api", {"v1"}, false},
    {"scheduling.k8s.io", "/apis/scheduling.k8s.io", {"v1"}, false},
    {"resource.k8s.io", "/apis/resource.k8s.io", {"v1", "v1beta2", "v1beta1"}, true},
};

static const struct {
  long status;
  enum mg_follow_error error;
} statuses[] = {
    {401, MG_FOLLOW_UNAUTHORIZED}, {403, MG_FOLLOW_FORBIDDEN}, {404, MG_FOLLOW_NOT_FOUND},
    {410, MG_FOLLOW_GONE},         {429, MG_FOLLOW_THROTTLED},
};

static const struct group *group_of(const struct mg_follow *f) {
  size_t i = 0;
  while (strcmp(groups[i].name, mg_context_group(f->feed.kind)) != 0) i++;
  return &groups[i];
}

/* ---- life ---- */

void mg_follow_init(struct mg_follow *f, enum mg_context_kind kind) {
  *f = (struct mg_follow){.served = true, .trouble = MG_FOLLOW_FINE};
  mg_feed_init(&f->feed, kind);
  mg_buf_init(&f->problem, NULL, PROBLEM_MAX);
}

void mg_follow_fini(struct mg_follow *f) {
  curl_easy_cleanup(f->curl);
  mg_api_headers_free(&f->headers);
  mg_feed_fini(&f->feed);
  mg_buf_fini(&f->problem);
}

void mg_follow_drop(struct mg_follow *f) {
  mg_api_headers_free(&f->headers);
  mg_feed_clear(&f->feed);
  f->running = f->watching = f->synced = f->wanted = false;
  f->due = 0;
  f->failures = f->api_version = 0;
  f->trouble = MG_FOLLOW_FINE;
}

bool mg_follow_is_known(const struct mg_follow *f, int64_t now, int64_t stale_ms) {
  long status = 0;
  if (!f->wanted || !f->synced) return false;
  if (now - f->contact <= stale_ms) return true;
  return f->running && f->watching && curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
}

bool mg_follow_is_silent(const struct mg_follow *f, int64_t now) {
  return f->running && f->watching && now - f->event > MG_FOLLOW_SILENCE_MS;
}

/* ---- what went wrong ---- */

static uint32_t below(uint32_t n) {
  uint32_t r = 0;
  if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) r = (uint32_t)time(NULL);
  return r % n;
}

/* Between half of the time and all of it, so that replicas do not come together. */
static int64_t backoff(const struct mg_follow *f) {
  int64_t ms = MG_FOLLOW_BACKOFF_MIN_MS;
  for (unsigned i = 1; i < f->failures && ms < MG_FOLLOW_BACKOFF_MAX_MS; i++) ms *= 2;
  if (ms > MG_FOLLOW_BACKOFF_MAX_MS) ms = MG_FOLLOW_BACKOFF_MAX_MS;
  return ms / 2 + below((uint32_t)(ms / 2) + 1);
}

/* Once for a kind of trouble, until all is well again. */
static void tell(struct mg_follow *f, enum mg_follow_error error, const char *what) {
  struct mg_log_line line;
  if (f->trouble == error) return;
  f->trouble = error;
  mg_log_begin(&line, error == MG_FOLLOW_GONE ? MG_LOG_DEBUG : MG_LOG_WARN, "context is not told");
  mg_log_str(&line, "kind", mg_str_of(mg_context_kind_name(f->feed.kind)));
  mg_log_str(&line, "verb", f->watching ? MG_S("watch") : MG_S("list"));
  mg_log_str(&line, "resource", mg_str_of(mg_context_resource(f->feed.kind)));
  mg_log_str(&line, "reason", mg_str_of(mg_follow_error_words[error]));
  mg_log_str(&line, "error", mg_str_of(what));
  mg_log_end(&line);
}

static void fail(struct mg_follow *f, enum mg_follow_error error, const char *what, int64_t now) {
  f->errors[error]++;
  f->failures++;
  f->due = now + backoff(f);
  tell(f, error, what);
}

static void be_well(struct mg_follow *f) {
  struct mg_log_line line;
  f->failures = 0;
  if (f->trouble == MG_FOLLOW_FINE) return;
  f->trouble = MG_FOLLOW_FINE;
  mg_log_begin(&line, MG_LOG_INFO, "context is told again");
  mg_log_str(&line, "kind", mg_str_of(mg_context_kind_name(f->feed.kind)));
  mg_log_end(&line);
}

/* ---- one request ---- */

static size_t take(char *p, size_t size, size_t count, void *arg) {
  struct mg_follow *f = arg;
  mg_str bytes = {p, size * count};
  long status = 0;
  uint64_t events = f->feed.events;
  if (curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status != 200) {
    size_t room = PROBLEM_MAX - f->problem.n;
    mg_buf_put(&f->problem, (mg_str){bytes.p, bytes.n < room ? bytes.n : room});
    return bytes.n;
  }
  f->failed = f->watching ? mg_feed_watch_bytes(&f->feed, bytes, &f->gone, &f->err)
                          : mg_feed_page_bytes(&f->feed, bytes, &f->err);
  if (f->feed.events != events) {
    f->event = mg_clock_ms();
    f->event_unix = (int64_t)time(NULL);
    be_well(f);
  }
  return f->failed ? 0 : bytes.n;
}

static int make_path(const struct mg_follow *f, char *path, size_t room, unsigned *ret_seconds, struct mg_err *err) {
  const struct group *g = group_of(f);
  const char *resource = mg_context_resource(f->feed.kind);
  char *escaped = curl_easy_escape(f->curl, f->watching ? f->feed.version : f->feed.next, 0);
  if (!escaped) return mg_err_nomem(err);
  int n;
  *ret_seconds = WATCH_MIN_S + below(WATCH_MIN_S);
  if (f->watching)
    n = snprintf(path, room, "%s/%s/%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u", g->path,
                 g->versions[f->api_version], resource, escaped, *ret_seconds);
  else
    n = snprintf(path, room, "%s/%s/%s?limit=%d%s%s", g->path, g->versions[f->api_version], resource, PAGE,
                 *escaped ? "&continue=" : "", escaped);
  curl_free(escaped);
  return n < 0 || (size_t)n >= room ? mg_err_set(err, MG_E_LIMIT, "the path is too long") : 0;
}

static bool set_bytes(struct mg_follow *f, unsigned seconds) {
  CURL *c = f->curl;
  long limit = f->watching ? (long)(seconds + GRACE_S) * 1000 : LIST_MS;
  bool good = curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, limit) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, 5L) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take) == CURLE_OK;
  good = good && curl_easy_setopt(c, CURLOPT_WRITEDATA, f) == CURLE_OK;
  return good && curl_easy_setopt(c, CURLOPT_PRIVATE, f) == CURLE_OK;
}

bool mg_follow_begin(struct mg_follow *f, struct mg_api *api, int64_t now) {
  char path[MG_API_PATH_MAX];
  unsigned seconds = 0;
  struct mg_err err = {0};
  mg_feed_begin(&f->feed);
  mg_buf_fini(&f->problem);
  mg_buf_init(&f->problem, NULL, PROBLEM_MAX);
  f->failed = 0;
  f->gone = false;
  f->watching = f->feed.version[0] != '\0';
  f->began = f->event = now;
  if (!f->curl) f->curl = curl_easy_init();
  int code = f->curl ? make_path(f, path, sizeof path, &seconds, &err) : mg_err_nomem(&err);
  if (code == 0) code = mg_api_prepare(api, f->curl, path, &f->headers, f->text, &err);
  if (code == 0 && !set_bytes(f, seconds)) code = mg_err_nomem(&err);
  if (code == 0) return f->running = true;
  mg_api_headers_free(&f->headers);
  fail(f, MG_FOLLOW_TOKEN, err.text, now);
  return false;
}

/* ---- and what became of it ---- */

static void end_list(struct mg_follow *f, int64_t now) {
  bool more = false;
  if (mg_feed_page_end(&f->feed, &more, &f->err) < 0) {
    fail(f, f->err.code == MG_E_LIMIT ? MG_FOLLOW_LIMIT : MG_FOLLOW_MALFORMED, f->err.text, now);
    mg_feed_restart(&f->feed);
    return;
  }
  f->due = now;
  if (more) return;
  if (!f->synced || f->trouble != MG_FOLLOW_FINE) {
    struct mg_log_line line;
    mg_log_begin(&line, MG_LOG_INFO, "context is listed");
    mg_log_str(&line, "kind", mg_str_of(mg_context_kind_name(f->feed.kind)));
    mg_log_int(&line, "objects", f->feed.known.count);
    mg_log_end(&line);
    f->trouble = MG_FOLLOW_FINE; /* failures stay counted until a watch is steady, too */
  }
  f->synced = f->served = true;
  f->contact = now;
  f->event_unix = (int64_t)time(NULL);
}

static void end_watch(struct mg_follow *f, int64_t now) {
  f->contact = now;
  f->due = now;
  if (now - f->began >= STEADY_MS) be_well(f);
  else if (f->event == f->began) fail(f, MG_FOLLOW_CONNECTION, "the watch ended as soon as it began", now);
}

/* What the server says in its Status, or nothing. */
static void read_problem(const struct mg_follow *f, long status, char *text, size_t room) {
  json_t *json = NULL;
  struct mg_err ignored;
  const char *message = NULL;
  if (mg_api_json(mg_buf_str(&f->problem), &json, &ignored) == 0) message = json_string_value(json_object_get(json, "message"));
  (void)snprintf(text, room, "HTTP %ld%s%.200s", status, message ? ": " : "", message ? message : "");
  json_decref(json);
}

/* True: there is another version to try, or the whole API is not served, which is an answer. */
static bool is_answer(struct mg_follow *f, int64_t now, int64_t stale_ms) {
  const struct group *g = group_of(f);
  f->due = now;
  mg_feed_restart(&f->feed);
  if (g->versions[++f->api_version]) return true;
  f->api_version = 0;
  if (!g->optional) return false;
  if (f->synced && f->served) mg_feed_clear(&f->feed);
  f->synced = true;
  f->served = false;
  f->contact = now;
  f->failures = 0;
  f->due = now + (stale_ms / 2 < NOT_SERVED_MS ? stale_ms / 2 : NOT_SERVED_MS);
  return true;
}

static void end_refused(struct mg_follow *f, long status, int64_t now, int64_t stale_ms) {
  char text[256];
  curl_off_t wait = 0;
  enum mg_follow_error error = MG_FOLLOW_SERVER;
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    if (statuses[i].status == status) error = statuses[i].error;
  if (error == MG_FOLLOW_NOT_FOUND && is_answer(f, now, stale_ms)) return;
  if (error == MG_FOLLOW_GONE) mg_feed_restart(&f->feed);
  read_problem(f, status, text, sizeof text);
  fail(f, error, text, now);
  if (curl_easy_getinfo(f->curl, CURLINFO_RETRY_AFTER, &wait) != CURLE_OK || wait <= 0) return;
  int64_t asked = wait > MG_FOLLOW_BACKOFF_MAX_MS / 1000 ? MG_FOLLOW_BACKOFF_MAX_MS : (int64_t)wait * 1000;
  if (f->due < now + asked) f->due = now + asked + below(MG_FOLLOW_BACKOFF_MIN_MS);
}

static void end_bytes(struct mg_follow *f, int64_t now) {
  enum mg_follow_error error = f->gone ? MG_FOLLOW_GONE : f->failed == MG_E_LIMIT ? MG_FOLLOW_LIMIT : MG_FOLLOW_MALFORMED;
  f->contact = now;
  mg_feed_restart(&f->feed);
  fail(f, error, f->err.text, now);
}

void mg_follow_end(struct mg_follow *f, CURLcode why, int64_t now, int64_t stale_ms) {
  long status = 0;
  f->running = false;
  mg_api_headers_free(&f->headers);
  if (curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) status = 0;
  if (f->failed) {
    end_bytes(f, now);
  } else if (why != CURLE_OK) {
    if (f->watching && status == 200) f->contact = now;
    if (f->watching && now - f->began >= STEADY_MS) f->failures = 0;
    fail(f, MG_FOLLOW_CONNECTION, *f->text ? f->text : curl_easy_strerror(why), now);
  } else if (status != 200) {
    end_refused(f, status, now, stale_ms);
  } else if (f->watching) {
    end_watch(f, now);
  } else {
    end_list(f, now);
  }
  mg_feed_begin(&f->feed);
}

void mg_follow_cut(struct mg_follow *f, int64_t now) {
  f->running = false;
  f->contact = now; /* it was open until now: time to open another before what is known counts as old */
  mg_api_headers_free(&f->headers);
  fail(f, MG_FOLLOW_SILENT, "no event and no bookmark for a long time", now);
}
