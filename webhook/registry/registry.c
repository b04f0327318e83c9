#include <curl/curl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>

#include "registry/inner.h"

const char *const mg_registry_result_words[] = {
    [MG_REGISTRY_HIT] = "hit",
    [MG_REGISTRY_FETCHED] = "fetched",
    [MG_REGISTRY_NOT_FOUND] = "not-found",
    [MG_REGISTRY_DENIED] = "denied",
    [MG_REGISTRY_THROTTLED] = "throttled",
    [MG_REGISTRY_TIMEOUT] = "timeout",
    [MG_REGISTRY_UNREACHABLE] = "unreachable",
    [MG_REGISTRY_INVALID] = "invalid",
    [MG_REGISTRY_LATE] = "late",
};

static void *run(void *arg) {
  struct mg_registry *r = arg;
  while (!atomic_load(&r->stopping)) {
    mg_looks_begin(r);
    int64_t over = mg_looks_expire(r), wait = mg_sessions_call(r);
    mg_errands_turn(&r->errands, over < wait ? over : wait);
  }
  return NULL;
}

/* OpenSSL 3.0 crashes under curl where it had no memory to begin with; its first fetch shows that. */
static bool libraries_ready(void) {
  EVP_MD *digest = OSSL_LIB_CTX_get0_global_default() ? EVP_MD_fetch(NULL, "SHA256", NULL) : NULL;
  EVP_MD_free(digest);
  return digest && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static int init(struct mg_registry *r, const struct mg_registry_options *options) {
  pthread_mutex_init(&r->lock, NULL);
  mg_clock_cond(&r->changed);
  r->settings = mg_settings_new(options);
  r->reads_secrets = options->api != NULL;
  bool tables = mg_cache_init(&r->cache) == 0 && mg_pull_sets_init(&r->sets) == 0;
  return r->settings && tables && mg_errands_init(&r->errands) == 0 ? 0 : -1;
}

/* Signals are for the threads of others; a connection that breaks while it is written to must not end the program. */
static int start(struct mg_registry *r) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int why = pthread_create(&r->thread, NULL, run, r);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return why;
}

int mg_registry_new(struct mg_registry **ret, const struct mg_registry_options *options, struct mg_err *err) {
  struct mg_registry *r = calloc(1, sizeof *r);
  *ret = NULL;
  if (!r || !libraries_ready()) {
    free(r);
    return mg_err_nomem(err);
  }
  int code = init(r, options) < 0 ? mg_err_nomem(err) : 0;
  if (code == 0 && options->cache_dir) code = mg_disk_open(options->cache_dir, err);
  int why = code == 0 ? start(r) : 0;
  r->started = code == 0 && why == 0;
  if (why) code = mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(why));
  if (code == 0) *ret = r;
  else mg_registry_free(r);
  return code;
}

int mg_registry_configure(struct mg_registry *r, const struct mg_registry_options *options, struct mg_err *err) {
  struct mg_settings *settings = mg_settings_new(options);
  if (!settings) return mg_err_nomem(err);
  pthread_mutex_lock(&r->lock);
  struct mg_settings *old = r->settings;
  r->settings = settings;
  mg_cache_forget_troubles(&r->cache); /* it may be what was mended */
  pthread_mutex_unlock(&r->lock);
  mg_settings_unref(old);
  return 0;
}

void mg_registry_free(struct mg_registry *r) {
  if (!r) return;
  if (r->started) {
    atomic_store(&r->stopping, true);
    mg_transfers_wake(r->errands.transfers);
    pthread_join(r->thread, NULL);
  }
  mg_errands_fini(&r->errands);
  mg_peeks_free(r);
  mg_fetches_free(r);
  mg_pulls_free(r);
  mg_looks_free(r);
  mg_cache_fini(&r->cache);
  mg_pull_sets_fini(&r->sets);
  mg_settings_unref(r->settings);
  pthread_cond_destroy(&r->changed);
  pthread_mutex_destroy(&r->lock);
  free(r);
  curl_global_cleanup();
}

uint64_t mg_registry_count(const struct mg_registry *r, enum mg_registry_result result) {
  return atomic_load_explicit(&r->counts[result], memory_order_relaxed);
}

uint64_t mg_registry_pull_count(const struct mg_registry *r, enum mg_pull_result result) {
  return atomic_load_explicit(&r->pull_counts[result], memory_order_relaxed);
}

void mg_registry_quotas(struct mg_registry *r, void (*each)(void *ctx, const struct mg_quota *quota), void *ctx) {
  mg_quotas_each(&r->errands.quotas, each, ctx);
}
