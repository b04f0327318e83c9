/* mlgate serve: loads policies and certificates, starts the server and what reads them anew, and waits for a signal. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app/answer.h"
#include "app/command.h"
#include "app/confine.h"
#include "app/images.h"
#include "app/limits.h"
#include "app/otlp.h"
#include "app/policies.h"
#include "app/reload.h"
#include "app/watchdog.h"
#include "base/embedded.h"
#include "base/log.h"
#include "cluster/live.h"
#include "http/credentials.h"
#include "http/listen.h"
#include "http/screen.h"
#include "http/server.h"
#include "registry/disk.h"

#define LARGE (128 * 1024)
#define HEAPS 2
#define SAID_MAX ((size_t)4096)
#define LOG_LIMIT_MS 1000 /* for the last lines */
#define DRAIN_LIMIT_MS 30000 /* the longest time-out that an API server grants a webhook */

struct serve_options {
  struct mg_policy_files files;
  const char *cert, *key, *client_ca, *listen, *listen_plain;
  struct mg_strings client_names;
  struct mg_opt_int grace, poll, wait, stale, watchdog, log_rate;
  struct mg_serve_limits limits;
  struct mg_otlp_options otlp;
  struct mg_api_options api;
  const char *cache_dir;
  uint32_t log_level, sandbox;
  bool dry_run, live_context, pull_secrets;
};

struct serving {
  struct mg_images_options images;
  struct mg_api_place place; /* where pull secrets are */
  struct mg_registry_api api;
  struct mg_answerer *answerer;
  struct mg_reload *reload;
  struct mg_credentials *credentials;
  struct mg_live *live; /* NULL: the context is that of files alone */
  struct mg_watchdog *watchdog; /* NULL: nobody watches */
  struct mg_otlp *otlp; /* NULL: no spans */
  struct mg_sandbox sandbox;
  struct mg_http_bound bound[MG_DOORS];
};

#define SERVING_NONE {.sandbox = MG_SANDBOX_NONE, .bound = {{.fd = -1}, {.fd = -1}}}

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const sandbox_words[] = {"auto", "require", "off", NULL}; /* enum mg_sandbox_want */

#define AT(member) offsetof(struct serve_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct serve_options, files),
    {"tls-cert", "FILE", &mg_o_text, AT(cert), .doc = "certificate chain, PEM"},
    {"tls-key", "FILE", &mg_o_text, AT(key), .doc = "its private key, PEM"},
    {"client-ca", "FILE", &mg_o_text, AT(client_ca), .doc = "clients need a certificate of this CA, PEM"},
    {"client-name", "NAME", &mg_o_list, AT(client_names), .doc = "and with this name: CN or DNS; repeats"},
    {"listen", "HOST:PORT", &mg_o_text, AT(listen), .doc = "reviews, TLS", .def = "0.0.0.0:8443"},
    {"listen-plain", "HOST:PORT", &mg_o_text, AT(listen_plain), .doc = "health and metrics",
     .def = "0.0.0.0:8080"},
    {"dry-run", NULL, &mg_o_flag, AT(dry_run), .doc = "every policy acts as audit"},
    {"live-context", NULL, &mg_o_flag, AT(live_context), .doc = "watch what policies need in the cluster"},
    {"pull-secrets", NULL, &mg_o_flag, AT(pull_secrets), .doc = "ask registries with the pull secrets of pods"},
    {"kube-api", "URL", &mg_o_text, AT(api.server), .aside = true, .doc = "API server [the pod's own]"},
    {"kube-ca-file", "FILE", &mg_o_text, AT(api.ca_file), .aside = true, .doc = "its CA [service account's]"},
    {"kube-token-file", "FILE", &mg_o_text, AT(api.token_file), .aside = true, .doc = "token [service account's]"},
    {"context-wait", "SECONDS", &mg_o_number, AT(wait), .aside = true, .doc = "then ready without all of it", .def = "10",
     .max = 3600},
    {"context-stale", "SECONDS", &mg_o_number, AT(stale), .aside = true, .doc = "without contact: not known", .def = "60",
     .min = 1, .max = 86400},
    MG_IMAGE_CACHE_OPTION(struct serve_options, cache_dir),
    MG_LIMIT_OPTIONS(struct serve_options, limits),
    {"grace", "SECONDS", &mg_o_number, AT(grace), .doc = "serve on after SIGTERM; a second one: leave", .def = "5", .max = 3600},
    {"poll", "SECONDS", &mg_o_number, AT(poll), .aside = true, .doc = "look for changed files at least so often", .def = "10",
     .min = 1, .max = 86400},
    {"watchdog", "SECONDS", &mg_o_number, AT(watchdog), .aside = true,
     .doc = "a stuck thread makes unhealthy, after twice that it is over; 0: no", .def = "10", .max = 3600},
    {"log-level", "LEVEL", &mg_o_word, AT(log_level), .doc = "debug, info, warn or error", .def = "info",
     .words = level_words},
    {"sandbox", "WHICH", &mg_o_word, AT(sandbox), .aside = true, .doc = "give up rights: auto, require or off", .def = "auto",
     .words = sandbox_words},
    {"log-rate", "N", &mg_o_number, AT(log_rate), .aside = true, .doc = "denials a second that are logged, 0: all", .def = "100",
     .max = 100000},
    {"otlp-endpoint", "URL", &mg_o_text, AT(otlp.endpoint), .aside = true, .doc = "collector of spans [none]"},
    {"otlp-ca-file", "FILE", &mg_o_text, AT(otlp.ca_file), .aside = true, .doc = "its CA, PEM [the system's]"},
    MG_OPTIONS_END,
};

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  const struct serving *serving = ctx;
  struct mg_review_call call = {.mutate = endpoint == MG_MUTATE, .may_wait = reply->may_wait, .body = body, .left_ms = left_ms,
                                .trace = reply->trace};
  struct mg_pending *pending = reply->state;
  reply->status = mg_answerer_review_or_wait(serving->answerer, &call, &pending, reply->arena, &reply->body);
  reply->state = pending;
  reply->later = reply->status == 0;
  reply->retry_after = reply->status == 429 || reply->status == 503;
}

static void wait_for_registries(void *ctx, void *state, void (*resume)(void *waiter), void *waiter) {
  (void)ctx;
  mg_pending_wait(state, resume, waiter);
}

static void forget(void *ctx, void *state) {
  (void)ctx;
  mg_pending_free(state);
}

static bool ready(void *ctx, bool verbose, struct mg_buf *out) {
  const struct serving *serving = ctx;
  if (verbose) mg_answerer_describe(serving->answerer, out);
  if (verbose) mg_sandbox_describe(&serving->sandbox, out);
  if (verbose && serving->live) mg_live_describe(serving->live, out);
  bool known = !serving->live || mg_live_ready(serving->live);
  if (verbose && !known) mg_buf_lit(out, "the context has not been listed yet\n");
  return mg_reload_ready(serving->reload, verbose ? out : NULL) && known;
}

static void write_metrics(void *ctx, struct mg_buf *out) {
  const struct serving *serving = ctx;
  mg_answerer_metrics(serving->answerer, out);
  mg_reload_metrics(serving->reload, out);
  if (serving->live) mg_live_metrics(serving->live, out);
}

static bool healthy(void *ctx) {
  return mg_watchdog_healthy(((const struct serving *)ctx)->watchdog);
}

static void refused(void *ctx, enum mg_refusal why) {
  mg_answerer_refused(((const struct serving *)ctx)->answerer, why);
}

static void log_text(enum mg_log_level level, const char *msg, const char *key, mg_str value) {
  struct mg_log_line line;
  mg_log_begin(&line, level, msg);
  if (key) mg_log_str(&line, key, value);
  mg_log_end(&line);
}

static void use_context(void *ctx, struct mg_context *context) {
  const struct serving *serving = ctx;
  struct mg_err err;
  if (mg_answerer_context(serving->answerer, context, &err) < 0)
    log_text(MG_LOG_ERROR, "the context of before serves on", "error", mg_str_of(err.text));
}

static void log_serving(const struct mg_http_server *server, const struct serve_options *o, int64_t expires) {
  struct mg_log_line line;
  mg_log_begin(&line, MG_LOG_INFO, "serving");
  mg_log_str(&line, "version", mg_str_of(mg_version));
  mg_log_int(&line, "port", mg_http_port_tls(server));
  mg_log_int(&line, "plain_port", mg_http_port_plain(server));
  mg_log_int(&line, "certificate_expires", expires);
  mg_log_bool(&line, "dry_run", o->dry_run);
  mg_log_end(&line);
}

/* As process 1 of a container, a signal without a handler is ignored. */
static void leave_at_once(int signal_number) {
  _exit(128 + signal_number);
}

/* Before any thread is started, so that all of them inherit it; and before files are read, which can take its time: a signal that
 * comes meanwhile is heeded then, also by process 1. */
static void block_signals(sigset_t *ret_set) {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(ret_set);
  sigaddset(ret_set, SIGTERM);
  sigaddset(ret_set, SIGINT);
  sigaddset(ret_set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, ret_set, NULL);
}

static void wait_for_signal(const sigset_t *set, struct mg_reload *reload) {
  struct sigaction action = {.sa_handler = leave_at_once};
  for (int got = -1; got != SIGTERM && got != SIGINT;) {
    got = sigwaitinfo(set, NULL);
    if (got == SIGHUP) mg_reload_poke(reload);
  }
  signal(SIGHUP, SIG_IGN);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static void drain(struct mg_http_server *server, const struct serve_options *o) {
  log_text(MG_LOG_INFO, "draining", NULL, (mg_str){0});
  bool whole = mg_http_drain(server, o->grace.value * 1000, DRAIN_LIMIT_MS);
  log_text(whole ? MG_LOG_INFO : MG_LOG_WARN, whole ? "stopped" : "stopped with requests in flight", NULL, (mg_str){0});
}

static int use_limits(const struct serve_options *o, struct mg_http_options *http, struct mg_err *err) {
  struct mg_machine machine = mg_machine_look();
  MG_BUF_AUTO said;
  mg_buf_init(&said, NULL, SAID_MAX);
  int code = mg_limits_use(&o->limits, &machine, http, &said, err);
  for (mg_str rest = mg_buf_str(&said); rest.n;) log_text(MG_LOG_WARN, "limits", "text", mg_str_cut(&rest, '\n'));
  return code;
}

static int serve(const struct serve_options *o, const sigset_t *signals, struct serving *serving, struct mg_err *err) {
  struct mg_http_options http = mg_http_defaults();
  struct mg_http_handlers handlers = {.ctx = serving, .review = review, .wait = wait_for_registries, .forget = forget,
                                      .ready = ready, .healthy = healthy, .metrics = write_metrics, .refused = refused};
  struct mg_http_server *server = NULL;
  int64_t expires = mg_credentials_until(serving->credentials);
  http.listen_tls = o->listen, http.listen_plain = o->listen_plain;
  http.credentials = serving->credentials, http.bound = serving->bound;
  struct mg_watchdog_options watchdog = {.limit_ms = o->watchdog.value * 1000};
  int code = use_limits(o, &http, err);
  if (code == 0 && watchdog.limit_ms) code = mg_watchdog_start(&serving->watchdog, &watchdog, err);
  if (code == 0) code = mg_http_start(&http, &handlers, &server, err);
  if (code == 0 && serving->live) code = mg_live_start(serving->live, err);
  if (code == 0) code = mg_reload_start(serving->reload, serving->answerer, server, expires, err);
  if (code == 0) code = mg_sandbox_seal(&serving->sandbox, err);
  if (code == 0) {
    mg_sandbox_log(&serving->sandbox);
    log_serving(server, o, expires);
    wait_for_signal(signals, serving->reload);
    drain(server, o);
  }
  mg_reload_stop(serving->reload);
  mg_live_stop(serving->live);
  mg_http_stop(server);
  mg_watchdog_stop(serving->watchdog);
  serving->watchdog = NULL;
  return code;
}

/* From the first review on, what is needed and not yet known is missing. */
static int follow_cluster(struct serving *serving, uint32_t needs, struct mg_err *err) {
  struct mg_context *nothing = serving->live ? mg_context_new() : NULL;
  if (!serving->live) return 0;
  if (!nothing) return mg_err_nomem(err);
  mg_live_need(serving->live, needs);
  return mg_answerer_context(serving->answerer, nothing, err);
}

static int open_live(const struct serve_options *o, struct serving *serving, struct mg_err *err) {
  struct mg_live_options live = {.api = o->api, .stale_ms = o->stale.value * 1000, .wait_ms = o->wait.value * 1000,
                                 .publish = use_context, .ctx = serving};
  if (o->live_context) return mg_live_new(&live, &serving->live, err);
  if (!o->pull_secrets && (o->api.server || o->api.ca_file || o->api.token_file))
    return mg_err_set(err, MG_E_USAGE, "--kube-api, --kube-ca-file and --kube-token-file need --live-context or --pull-secrets");
  return 0;
}

static int set_images(const struct serve_options *o, struct serving *serving, struct mg_err *err) {
  serving->images.cache_dir = o->cache_dir;
  int code = o->cache_dir ? mg_disk_open(o->cache_dir, err) : 0; /* before the sandbox, which can only name what is there */
  if (code < 0 || !o->pull_secrets) return code;
  code = mg_api_find(&o->api, &serving->place, err);
  serving->api = (struct mg_registry_api){serving->place.server, serving->place.ca_file, serving->place.token_file};
  serving->images.api = &serving->api;
  return code;
}

static int listen_at(struct mg_http_bound *bound, const char *address, struct mg_err *err) {
  return mg_listen(address, &bound->fd, &bound->port, err);
}

/* Ports are bound before, since that may need privileges; threads start after. */
static int confine(const struct serve_options *o, struct serving *serving, const struct mg_confine_needs *needs,
                   struct mg_err *err) {
  int code = listen_at(&serving->bound[MG_DOOR_TLS], o->listen, err);
  if (code == 0) code = listen_at(&serving->bound[MG_DOOR_PLAIN], o->listen_plain, err);
  if (code == 0) code = mg_confine(&serving->sandbox, o->sandbox, needs, err);
  if (code == 0) mg_reload_confine(serving->reload, &serving->sandbox);
  return code;
}

static int tell(const struct serve_options *o, struct serving *serving, struct mg_err *err) {
  struct mg_otlp_options otlp = o->otlp;
  otlp.version = mg_version;
  if (otlp.ca_file && !otlp.endpoint) return mg_err_set(err, MG_E_USAGE, "--otlp-ca-file needs --otlp-endpoint");
  int code = otlp.endpoint ? mg_otlp_start(&otlp, &serving->otlp, err) : 0;
  mg_answerer_tell(serving->answerer, (unsigned)o->log_rate.value, serving->otlp);
  return code;
}

/* Before a port is open, so that what does not fit is told in words. */
static int prepare(const struct serve_options *o, struct serving *serving, struct mg_err *err) {
  struct mg_reload_options r = {
      .policies = o->files,
      .credentials = {o->cert, o->key, o->client_ca, o->client_names.items, o->client_names.count},
      .dry_run = o->dry_run,
      .poll_ms = o->poll.value * 1000,
  };
  struct mg_snapshot *snapshot = NULL;
  if (!o->cert || !o->key) return mg_err_set(err, MG_E_USAGE, "needs --tls-cert and --tls-key; `mlgate certs` makes a pair");
  if (o->client_names.count && !o->client_ca) return mg_err_set(err, MG_E_USAGE, "--client-name needs --client-ca");
  int code = open_live(o, serving, err);
  if (code == 0) code = set_images(o, serving, err);
  r.live = serving->live;
  if (code == 0) code = mg_reload_new(&r, &serving->reload, err);
  if (code == 0) code = mg_credentials_load(&r.credentials, &serving->credentials, err);
  if (code < 0) return code;
  code = mg_load_policies(&o->files, &snapshot);
  if (code < 0) return mg_err_set(err, code, "the policies cannot be used");
  if (o->dry_run) mg_snapshot_set_dry_run(snapshot);
  uint32_t needs = mg_snapshot_needs(snapshot);
  const struct mg_confine_needs inside = {.policies = &o->files,
                                          .credentials = &r.credentials,
                                          .api = o->live_context || o->pull_secrets ? &o->api : NULL,
                                          .snapshot = snapshot,
                                          .cache_dir = o->cache_dir,
                                          .collector = o->otlp.endpoint != NULL,
                                          .collector_ca = o->otlp.ca_file};
  code = confine(o, serving, &inside, err);
  if (code == 0) code = mg_log_start(err); /* the first thread */
  if (code < 0) {
    mg_snapshot_unref(snapshot);
    return code;
  }
  code = mg_answerer_new(&serving->answerer, snapshot, mg_version, &serving->images, err);
  if (code == 0) code = tell(o, serving, err);
  return code < 0 ? code : follow_cluster(serving, needs, err);
}

static void serving_fini(struct serving *serving) {
  mg_reload_free(serving->reload);
  mg_live_free(serving->live);
  mg_answerer_free(serving->answerer);
  mg_otlp_stop(serving->otlp);
  mg_credentials_unref(serving->credentials);
  mg_sandbox_fini(&serving->sandbox);
  for (int i = 0; i < MG_DOORS; i++)
    if (serving->bound[i].fd >= 0) close(serving->bound[i].fd);
}

/* What is large goes back to the system when it is freed, and does not make the heaps grow around what stays: else a server that
 * has seen a few large reviews keeps their memory. Few heaps, since hardly anything is taken of them. */
static void tune_memory(void) {
  (void)mallopt(M_MMAP_THRESHOLD, LARGE);
  (void)mallopt(M_TRIM_THRESHOLD, 4 * LARGE);
  (void)mallopt(M_ARENA_MAX, HEAPS);
}

static int run(const void *given, const struct mg_strings *args) {
  struct serve_options settled = *(const struct serve_options *)given;
  const struct serve_options *o = &settled;
  struct serving serving = SERVING_NONE;
  struct mg_err err = {0};
  (void)args;
  mg_policy_files_settle(&settled.files);
  mg_log_init((enum mg_log_level)o->log_level, STDERR_FILENO);
  sigset_t signals;
  block_signals(&signals);
  tune_memory();
  int code = prepare(o, &serving, &err);
  if (code == 0) code = serve(o, &signals, &serving, &err);
  serving_fini(&serving);
  mg_log_stop(LOG_LIMIT_MS);
  if (code < 0) fprintf(stderr, "mlgate serve: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : MG_EXIT_OK;
}

const struct mg_command mg_command_serve = {.name = "serve",
                                            .doc = "answer the API server's reviews",
                                            .options = options,
                                            .size = sizeof(struct serve_options),
                                            .run = run,
                                            .more =
                                                "Without --policies: ./policies if it exists, else the built-in pack.\n"
                                                "Files that change are read again, on SIGHUP all are; what is bad never serves."};
