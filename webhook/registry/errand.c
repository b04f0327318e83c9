#include "registry/errand.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "registry/errand_login.h"

#define ARENA_MAX ((size_t)256 << 10)
#define LONGEST_NAME 253 /* of DNS; a reference may have a longer one */

/* ---- the end ---- */

static void unlink_errand(struct mg_errand *e) {
  struct mg_errands *all = e->all;
  *(e->prev ? &e->prev->next : &all->first) = e->next;
  if (e->next) e->next->prev = e->prev;
  if (!e->begun) all->due--;
}

static void drop(struct mg_errand *e) {
  unlink_errand(e);
  mg_errand_forget_login(e);
  mg_keyring_unref(e->order.pulls);
  mg_settings_unref(e->settings);
  mg_arena_fini(&e->arena);
  free(e);
}

static void finish(struct mg_errand *e, const struct mg_answer *answer) {
  e->order.done(e->order.ctx, answer);
  drop(e);
}

static void begin_endpoint(struct mg_errand *e);

_Static_assert(LONGEST_NAME + 3 < MG_WHY_MAX, "there is room behind the name");
void mg_errand_fail(struct mg_errand *e, enum mg_registry_result result, int status, const char *format, ...) {
  va_list args;
  mg_str name = e->endpoints[e->endpoint];
  if (name.n > LONGEST_NAME) name.n = LONGEST_NAME;
  int n = snprintf(e->why, sizeof e->why, "%.*s: ", MG_FMT(name));
  va_start(args, format);
  vsnprintf(e->why + n, sizeof e->why - (size_t)n, format, args);
  va_end(args);
  mg_errand_forget_login(e);
  if (e->endpoint + 1 < e->endpoint_count) { /* the mirror had its chance */
    e->endpoint++;
    begin_endpoint(e);
    return;
  }
  finish(e, &(struct mg_answer){.result = result, .status = status, .total = e->total, .why = e->why});
}

void mg_errand_fail_memory(struct mg_errand *e) {
  mg_errand_fail(e, MG_REGISTRY_UNREACHABLE, 0, "too little memory to ask it");
}

void mg_errand_fail_transfer(struct mg_errand *e, const struct mg_transfer_reply *reply) {
  static const struct {
    enum mg_registry_result result;
    const char *text;
  } ends[] = {
      [MG_TRANSFER_TIMEOUT] = {MG_REGISTRY_TIMEOUT, "no answer in time"},
      [MG_TRANSFER_UNREACHABLE] = {MG_REGISTRY_UNREACHABLE, "cannot be reached"},
      [MG_TRANSFER_TLS] = {MG_REGISTRY_UNREACHABLE, "no trusted connection"},
      [MG_TRANSFER_LOST] = {MG_REGISTRY_UNREACHABLE, "the connection broke"},
      [MG_TRANSFER_LIMIT] = {MG_REGISTRY_INVALID, "the answer is too large"},
      [MG_TRANSFER_GUARDED] = {MG_REGISTRY_INVALID, "its address, or where it leads to, is private to this place"},
      [MG_TRANSFER_NOMEM] = {MG_REGISTRY_UNREACHABLE, "too little memory to ask it"},
  };
  bool detail = reply->end == MG_TRANSFER_UNREACHABLE || reply->end == MG_TRANSFER_TLS;
  mg_errand_fail(e, ends[reply->end].result, 0, "%s%s%s%s", ends[reply->end].text, detail ? " (" : "", detail ? reply->why : "",
                 detail ? ")" : "");
}

static void fail_status(struct mg_errand *e, const struct mg_transfer_reply *reply) {
  static const struct {
    int status;
    enum mg_registry_result result;
    const char *text;
  } known[] = {
      {401, MG_REGISTRY_DENIED, "it wants credentials for that"},
      {403, MG_REGISTRY_DENIED, "it does not allow that"},
      {404, MG_REGISTRY_NOT_FOUND, "it has no such thing"},
      {408, MG_REGISTRY_TIMEOUT, "no answer in time"},
      {410, MG_REGISTRY_NOT_FOUND, "it has no such thing any more"},
      {429, MG_REGISTRY_THROTTLED, "it allows no more requests for now"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].status == reply->status) {
      mg_errand_fail(e, known[i].result, reply->status, "%s (%d)", known[i].text, reply->status);
      return;
    }
  mg_errand_fail(e, reply->status >= 500 ? MG_REGISTRY_UNREACHABLE : MG_REGISTRY_INVALID, reply->status, "it answers %d",
                 reply->status);
}

/* ---- where to ---- */

/* A mirror that no document names goes by the one that names the mirror. */
static const struct mg_registry_host *document_of(const struct mg_errand *e, mg_str name) {
  const struct mg_registry_host *doc = mg_settings_host(e->settings, name);
  return doc ? doc : mg_settings_host(e->settings, e->order.domain);
}

bool mg_errand_way(struct mg_errand *e, const char *url, struct mg_errand_way *ret) {
  struct mg_target target;
  if (!mg_target_read(url, &target)) return false;
  const struct mg_registry_host *named = mg_settings_host(e->settings, mg_str_of(target.where));
  bool insecure = e->document && e->document->insecure;
  *ret = (struct mg_errand_way){.own = strcmp(target.where, e->target.where) == 0 && target.plain == e->target.plain};
  if (target.plain && !insecure && !(named && named->insecure)) return false;
  bool same_host = strcmp(target.host, e->target.host) == 0;
  const struct mg_registry_host *doc = ret->own || (same_host && !named) ? e->document : named;
  ret->verify = !(doc && doc->insecure);
  ret->ca_file = doc ? doc->ca_file.p : NULL;
  /* Who is named in a document may live anywhere; who is not, no nearer than a private network; and where those lead to must be
   * in the open. A new connection each, so that none of another guard is used. */
  ret->guard = doc ? MG_GUARD_NONE : same_host ? MG_GUARD_LOCAL : MG_GUARD_PRIVATE;
  ret->alone = !doc && !same_host;
  return true;
}

int64_t mg_errand_timeout(const struct mg_errand *e) {
  return e->document ? e->document->timeout_ms : MG_REGISTRY_TIMEOUT_MS;
}

static void on_reply(void *ctx, const struct mg_transfer_reply *reply);

void mg_errand_send(struct mg_errand *e) {
  struct mg_errand_way way;
  if (!mg_errand_way(e, e->url, &way)) {
    mg_errand_fail(e, MG_REGISTRY_INVALID, 0, "it leads to where nothing is asked");
    return;
  }
  const char *authorization = e->authorization;
  e->own = way.own;
  e->used_kept = false;
  if (!authorization && way.own) {
    authorization = mg_origin_token(&e->all->origins, e->host, e->token_name, mg_clock_ms());
    e->used_kept = authorization != NULL;
  }
  struct mg_transfer_request r = {
      .method = e->order.method, .url = e->url, .accept = e->order.accept, .range = e->order.range,
      .authorization = way.own ? authorization : NULL, .ca_file = way.ca_file, .verify = way.verify, .alone = way.alone,
      .cut = e->order.cut, .guard = way.guard, .timeout_ms = mg_errand_timeout(e), .max = e->order.max,
      .done = on_reply, .ctx = e};
  if (!mg_transfer_start(e->all->transfers, &r)) mg_errand_fail_memory(e);
}

static bool set_url(struct mg_errand *e, bool plain) {
  e->url = mg_arena_printf(&e->arena, "%s://%.*s/v2/%.*s/%s", plain ? "http" : "https", MG_FMT(e->host),
                           MG_FMT(e->order.repository), e->order.what).p;
  return e->url && mg_target_read(e->url, &e->target);
}

/* Whoever names an account that has had enough in a pull secret must not throttle others. */
struct mg_origin *mg_errand_limits(struct mg_errand *e, mg_str host) {
  mg_str name = host;
  if (e->order.scope.n) name = mg_arena_printf(&e->arena, "%.*s %.*s", MG_FMT(host), MG_FMT(e->order.scope));
  return name.n ? mg_origin_of(&e->all->origins, name) : NULL;
}

static bool is_limited(struct mg_errand *e, int64_t now) {
  const struct mg_origin *limits = mg_errand_limits(e, e->host);
  if (!limits) {
    mg_errand_fail_memory(e);
  } else if (now < limits->throttled_until) {
    mg_errand_fail(e, MG_REGISTRY_THROTTLED, 0, "it allows no more requests for now");
  } else if (e->order.pull && now < limits->low_until) {
    mg_errand_fail(e, MG_REGISTRY_THROTTLED, 0, "what is left of its quota of pulls is left to the nodes");
  } else {
    return false;
  }
  return true;
}

static void begin_endpoint(struct mg_errand *e) {
  mg_str name = e->endpoints[e->endpoint];
  e->host = mg_str_is(name, "docker.io") ? MG_S("registry-1.docker.io") : name;
  e->document = document_of(e, name);
  e->auth_file = e->document && e->document->auth_file.n ? e->document->auth_file.p : e->settings->auth_file;
  e->token_name = mg_arena_printf(&e->arena, "%.*s %.*s %s", MG_FMT(e->order.repository), MG_FMT(e->order.scope),
                                  e->auth_file ? e->auth_file : "");
  e->hops = 0;
  e->total = -1;
  e->retried = false;
  int64_t now = mg_clock_ms();
  if (is_limited(e, now)) return;
  const struct mg_origin *origin = mg_origin_of(&e->all->origins, e->host);
  if (!origin) {
    mg_errand_fail_memory(e);
  } else if (now < origin->down_until) {
    mg_errand_fail(e, MG_REGISTRY_UNREACHABLE, 0, "it could not be reached a moment ago");
  } else if (set_url(e, origin->plain && e->document && e->document->insecure)) {
    mg_errand_send(e);
  } else {
    mg_errand_fail(e, MG_REGISTRY_INVALID, 0, "no host that can be asked");
  }
}

/* ---- what comes back ---- */

/* An insecure one that does not speak TLS is asked without. */
static bool try_plain(struct mg_errand *e, struct mg_origin *origin, const struct mg_transfer_reply *reply) {
  if (!e->document || !e->document->insecure || e->target.plain || e->hops || reply->connected) return false;
  if (reply->end != MG_TRANSFER_TLS && reply->end != MG_TRANSFER_UNREACHABLE && reply->end != MG_TRANSFER_LOST) return false;
  origin->plain = true;
  if (!set_url(e, true)) return false;
  mg_errand_send(e);
  return true;
}

static void on_broken(struct mg_errand *e, struct mg_origin *origin, const struct mg_transfer_reply *reply) {
  if (origin && try_plain(e, origin, reply)) return;
  if (reply->end == MG_TRANSFER_LOST && !e->retried) {
    e->retried = true;
    mg_errand_send(e);
    return;
  }
  bool away = reply->end == MG_TRANSFER_UNREACHABLE || reply->end == MG_TRANSFER_TIMEOUT;
  if (origin && e->hops == 0 && !reply->connected && away) {
    int64_t now = mg_clock_ms();
    bool busy = origin->heard && now - origin->heard < MG_ORIGIN_DOWN_MS; /* a burst of connects takes it a while */
    if (busy && !e->retried) {
      e->retried = true;
      mg_errand_send(e);
      return;
    }
    if (!busy) origin->down_until = now + MG_ORIGIN_DOWN_MS;
    origin->plain = false;
  }
  mg_errand_fail_transfer(e, reply);
}

static void follow(struct mg_errand *e, const struct mg_transfer_reply *reply) {
  if (++e->hops > MG_REDIRECTS_MAX || reply->location.n == 0 || reply->location.n > MG_TRANSFER_URL_MAX) {
    mg_errand_fail(e, MG_REGISTRY_INVALID, reply->status, "it leads nowhere (%d)", reply->status);
    return;
  }
  e->url = mg_arena_dup(&e->arena, reply->location).p;
  if (e->url) mg_errand_send(e);
  else mg_errand_fail_memory(e);
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void on_reply(void *ctx, const struct mg_transfer_reply *reply) {
  struct mg_errand *e = ctx;
  int status = reply->status;
  e->total = reply->total;
  if (e->own) mg_origin_note(mg_errand_limits(e, e->host), reply, mg_clock_ms());
  struct mg_origin *origin = mg_origin_of(&e->all->origins, e->host);
  if (origin && e->own && reply->end == MG_TRANSFER_ANSWERED) origin->heard = mg_clock_ms();
  if (e->own) mg_quotas_note(&e->all->quotas, e->host, reply->quota, reply->quota_left);
  if (reply->end != MG_TRANSFER_ANSWERED) {
    on_broken(e, origin, reply);
  } else if (is_redirect(status)) {
    follow(e, reply);
  } else if (e->own && (status == 401 || (status == 403 && reply->challenge.n))) {
    mg_errand_login(e, reply);
  } else if (status < 200 || status > 299) {
    if (origin && status == 400) origin->plain = false; /* it may speak TLS by now */
    fail_status(e, reply);
  } else {
    mg_errand_keep_login(e);
    finish(e, &(struct mg_answer){MG_REGISTRY_FETCHED, status, reply->body, reply->content_type, reply->digest, reply->total,
                                  ""});
  }
}

/* ---- from outside ---- */

static const char *copy(struct mg_arena *arena, const char *z) {
  return z ? mg_arena_dup(arena, mg_str_of(z)).p : NULL;
}

static void copy_order(struct mg_errand *e, const struct mg_errand_order *order) {
  struct mg_arena *arena = &e->arena;
  e->order = *order;
  e->order.domain = mg_arena_dup(arena, order->domain);
  e->order.repository = mg_arena_dup(arena, order->repository);
  e->order.what = copy(arena, order->what);
  e->order.method = copy(arena, order->method);
  e->order.accept = copy(arena, order->accept);
  e->order.range = copy(arena, order->range);
  e->order.scope = mg_arena_dup(arena, order->scope);
}

bool mg_errand_start(struct mg_errands *all, struct mg_settings *settings, const struct mg_errand_order *order) {
  struct mg_errand *e = calloc(1, sizeof *e);
  if (!e) return false;
  mg_arena_init(&e->arena, ARENA_MAX, 0);
  copy_order(e, order);
  if (e->arena.failed) {
    mg_arena_fini(&e->arena);
    free(e);
    return false;
  }
  e->all = all;
  e->settings = mg_settings_ref(settings);
  e->order.pulls = mg_keyring_ref(order->pulls);
  const struct mg_registry_host *doc = mg_settings_host(settings, e->order.domain);
  if (doc && doc->mirror.n) e->endpoints[e->endpoint_count++] = doc->mirror;
  e->endpoints[e->endpoint_count++] = e->order.domain;
  e->next = all->first;
  if (e->next) e->next->prev = e;
  all->first = e;
  all->due++;
  return true;
}

/* What begins may end at once, and what ends may start more: from the head again. */
static bool begin_one(struct mg_errands *all) {
  struct mg_errand *e = all->first;
  while (e && e->begun) e = e->next;
  if (!e) return false;
  e->begun = true;
  all->due--;
  begin_endpoint(e);
  return true;
}

void mg_errands_turn(struct mg_errands *all, int64_t ms) {
  bool begun = all->due > 0; /* some of it may have ended already */
  while (all->due && begin_one(all)) {}
  mg_transfers_turn(all->transfers, begun ? 0 : ms);
}

int mg_errands_init(struct mg_errands *all) {
  *all = (struct mg_errands){.transfers = mg_transfers_new()};
  mg_quotas_init(&all->quotas);
  if (all->transfers && mg_origins_init(&all->origins) == 0) return 0;
  mg_errands_fini(all);
  return -1;
}

void mg_errands_fini(struct mg_errands *all) {
  mg_transfers_free(all->transfers);
  while (all->first) drop(all->first);
  mg_origins_fini(&all->origins);
  mg_quotas_fini(&all->quotas);
  *all = (struct mg_errands){0};
}
