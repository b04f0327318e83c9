/* mlgate serve: loads policies and certificates, starts the server and what reads them anew, and waits for a signal. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app/answer.h"
#include "app/command.h"
#include "app/policies.h"
#include "app/reload.h"
#include "base/embedded.h"
#include "base/log.h"
#include "cluster/live.h"
#include "http/credentials.h"
#include "http/server.h"

#define DRAIN_LIMIT_MS 30000 /* the longest time-out that an API server grants a webhook */

struct serve_options {
  struct mg_policy_files files;
  const char *cert, *key, *client_ca, *listen, *listen_plain;
  struct mg_strings client_names;
  struct mg_opt_int threads, connections, grace, poll, wait, stale;
  struct mg_api_options api;
  uint32_t log_level;
  bool dry_run, live_context;
};

struct serving {
  struct mg_answerer *answerer;
  struct mg_reload *reload;
  struct mg_credentials *credentials;
  struct mg_live *live; /* NULL: the context is that of files alone */
};

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};

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
    {"kube-api", "URL", &mg_o_text, AT(api.server), .aside = true, .doc = "API server [the pod's own]"},
    {"kube-ca-file", "FILE", &mg_o_text, AT(api.ca_file), .aside = true, .doc = "its CA [service account's]"},
    {"kube-token-file", "FILE", &mg_o_text, AT(api.token_file), .aside = true, .doc = "token [service account's]"},
    {"context-wait", "SECONDS", &mg_o_number, AT(wait), .aside = true, .doc = "then ready without all of it", .def = "10",
     .max = 3600},
    {"context-stale", "SECONDS", &mg_o_number, AT(stale), .aside = true, .doc = "without contact: not known", .def = "60",
     .min = 1, .max = 86400},
    {"threads", "N", &mg_o_number, AT(threads), .doc = "0: one a CPU, at most eight", .def = "0", .max = 64},
    {"max-connections", "N", &mg_o_number, AT(connections), .doc = "at one time", .def = "1024", .min = 8,
     .max = 100000},
    {"grace", "SECONDS", &mg_o_number, AT(grace), .doc = "serve on after SIGTERM; a second one: leave", .def = "5", .max = 3600},
    {"poll", "SECONDS", &mg_o_number, AT(poll), .doc = "look for changed files at least so often", .def = "10", .min = 1,
     .max = 86400},
    {"log-level", "LEVEL", &mg_o_word, AT(log_level), .doc = "debug, info, warn or error", .def = "info",
     .words = level_words},
    MG_OPTIONS_END,
};

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  const struct serving *serving = ctx;
  struct mg_review_call call = {.mutate = endpoint == MG_MUTATE, .may_wait = reply->may_wait, .body = body, .left_ms = left_ms};
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
  if (verbose && serving->live) mg_live_describe(serving->live, out);
  bool known = !serving->live || mg_live_ready(serving->live);
  if (verbose && !known) mg_buf_lit(out, "the context has not been listed yet\n");
  return mg_reload_ready(serving->reload, verbose ? out : NULL) && known;
}

static void write_metrics(void *ctx, struct mg_buf *out) {
  const struct serving *serving = ctx;
  mg_answerer_metrics(serving->answerer, out);
  if (serving->live) mg_live_metrics(serving->live, out);
}

static void refused(void *ctx, enum mg_refusal why) {
  mg_answerer_refused(((const struct serving *)ctx)->answerer, why);
}

static void log_text(enum mg_log_level level, const char *msg, const char *key, const char *value) {
  struct mg_log_line line;
  mg_log_begin(&line, level, msg);
  if (key) mg_log_str(&line, key, mg_str_of(value));
  mg_log_end(&line);
}

static void use_context(void *ctx, struct mg_context *context) {
  const struct serving *serving = ctx;
  struct mg_err err;
  if (mg_answerer_context(serving->answerer, context, &err) < 0)
    log_text(MG_LOG_ERROR, "the context of before serves on", "error", err.text);
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

/* Before any thread is started, so that all of them inherit it. */
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
  log_text(MG_LOG_INFO, "draining", NULL, NULL);
  bool whole = mg_http_drain(server, o->grace.value * 1000, DRAIN_LIMIT_MS);
  log_text(whole ? MG_LOG_INFO : MG_LOG_WARN, whole ? "stopped" : "stopped with requests in flight", NULL, NULL);
}

static int serve(const struct serve_options *o, struct serving *serving, struct mg_err *err) {
  struct mg_http_options http = mg_http_defaults();
  struct mg_http_handlers handlers = {.ctx = serving, .review = review, .wait = wait_for_registries, .forget = forget,
                                      .ready = ready, .metrics = write_metrics, .refused = refused};
  struct mg_http_server *server = NULL;
  int64_t expires = mg_credentials_until(serving->credentials);
  sigset_t signals;
  http.listen_tls = o->listen, http.listen_plain = o->listen_plain;
  http.credentials = serving->credentials;
  http.threads = (unsigned)o->threads.value, http.max_connections = (unsigned)o->connections.value;
  http.max_body = MG_REVIEW_MAX_BYTES, http.arena_max = MG_REVIEW_ARENA;
  block_signals(&signals);
  int code = mg_http_start(&http, &handlers, &server, err);
  if (code == 0 && serving->live) code = mg_live_start(serving->live, err);
  if (code == 0) code = mg_reload_start(serving->reload, serving->answerer, server, expires, err);
  if (code == 0) {
    log_serving(server, o, expires);
    wait_for_signal(&signals, serving->reload);
    drain(server, o);
  }
  mg_reload_stop(serving->reload);
  mg_live_stop(serving->live);
  mg_http_stop(server);
  return code;
}

/* From the first review on, what is needed and not yet known is missing. */
static int follow_cluster(struct serving *serving, uint32_t needs, struct mg_err *err) {
  struct mg_context *nothing = serving->live ? mg_context_new() : NULL;
  if (!serving->live) return 0;
  if (!nothing) return mg_err_set(err, MG_E_NOMEM, "out of memory");
  mg_live_need(serving->live, needs);
  return mg_answerer_context(serving->answerer, nothing, err);
}

static int open_live(const struct serve_options *o, struct serving *serving, struct mg_err *err) {
  struct mg_live_options live = {.api = o->api, .stale_ms = o->stale.value * 1000, .wait_ms = o->wait.value * 1000,
                                 .publish = use_context, .ctx = serving};
  if (o->live_context) return mg_live_new(&live, &serving->live, err);
  if (o->api.server || o->api.ca_file || o->api.token_file)
    return mg_err_set(err, MG_E_USAGE, "--kube-api, --kube-ca-file and --kube-token-file need --live-context");
  return 0;
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
  r.live = serving->live;
  if (code == 0) code = mg_reload_new(&r, &serving->reload, err);
  if (code == 0) code = mg_credentials_load(&r.credentials, &serving->credentials, err);
  if (code < 0) return code;
  code = mg_load_policies(&o->files, &snapshot);
  if (code < 0) return mg_err_set(err, code, "the policies cannot be used");
  if (o->dry_run) mg_snapshot_set_dry_run(snapshot);
  uint32_t needs = mg_snapshot_needs(snapshot);
  code = mg_answerer_new(&serving->answerer, snapshot, mg_version, err);
  return code < 0 ? code : follow_cluster(serving, needs, err);
}

static void serving_fini(struct serving *serving) {
  mg_reload_free(serving->reload);
  mg_live_free(serving->live);
  mg_answerer_free(serving->answerer);
  mg_credentials_unref(serving->credentials);
}

static int run(const void *given, const struct mg_strings *args) {
  const struct serve_options *o = given;
  __attribute__((cleanup(serving_fini))) struct serving serving = {0};
  struct mg_err err = {0};
  (void)args;
  mg_log_init((enum mg_log_level)o->log_level, STDERR_FILENO);
  int code = prepare(o, &serving, &err);
  if (code == 0) code = serve(o, &serving, &err);
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
                                                "Files that change are read again, on SIGHUP all are; what is bad never serves.\n"
                                                "--live-context goes with --kube-api URL, --kube-ca-file and --kube-token-file\n"
                                                "[the pod's own], --context-wait SECONDS [10] and --context-stale SECONDS [60]."};
