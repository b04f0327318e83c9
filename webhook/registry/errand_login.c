#include "registry/errand_login.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "doc/json.h"
#include "registry/challenge.h"

#define BASIC_MS ((int64_t)5 * 60 * 1000) /* that a login is sent before it is asked for */
#define TOKEN_S 60                        /* where the server does not say */
#define TOKEN_MAX_S 86400
#define SCOPES_MAX 8

static void wipe(char *z) {
  if (z) OPENSSL_cleanse(z, strlen(z));
  free(z);
}

static void set_authorization(struct mg_errand *e, char *value, int64_t until) {
  wipe(e->authorization);
  e->authorization = value;
  e->authorized_until = until;
}

void mg_errand_forget_login(struct mg_errand *e) {
  set_authorization(e, NULL, 0);
  mg_keyring_unref(e->keyring);
  e->keyring = NULL;
  e->login_count = e->login = 0;
  e->challenged = false;
}

void mg_errand_keep_login(struct mg_errand *e) {
  if (e->authorization)
    mg_origin_keep_token(&e->all->origins, e->host, e->token_name, e->authorization, e->authorized_until);
}

/* A heap string, or NULL. */
static char *basic_value(const struct mg_login *login) {
  size_t n = login->user.n + 1 + login->secret.n;
  struct mg_buf out;
  char *plain = malloc(n), *value = NULL;
  mg_buf_init(&out, NULL, n * 2 + 64);
  if (plain && mg_buf_room(&out, n * 2 + 32)) { /* all at once: nothing is left behind where it grew */
    if (login->user.n) memcpy(plain, login->user.p, login->user.n);
    plain[login->user.n] = ':';
    if (login->secret.n) memcpy(plain + login->user.n + 1, login->secret.p, login->secret.n);
    mg_buf_lit(&out, "Basic ");
    mg_buf_base64(&out, (mg_str){plain, n});
    mg_buf_byte(&out, '\0');
    if (!out.failed) value = out.p;
  }
  if (!value) mg_buf_fini(&out);
  if (plain) OPENSSL_cleanse(plain, n);
  free(plain);
  return value;
}

static void next_login(struct mg_errand *e, const struct mg_challenge *challenge);

/* ---- tokens ---- */

static void put_escaped(struct mg_buf *out, const char *name, mg_str value) {
  char *text = curl_easy_escape(NULL, value.n ? value.p : "", (int)value.n);
  if (!text) out->failed = true;
  else mg_buf_printf(out, "%s%s", name, text);
  curl_free(text);
}

/* The realm's own query stays. */
static const char *token_url(struct mg_errand *e, const struct mg_challenge *challenge) {
  struct mg_buf out;
  mg_str scope = challenge->scope;
  if (!scope.n) scope = mg_arena_printf(&e->arena, "repository:%.*s:pull", MG_FMT(e->order.repository));
  mg_buf_init(&out, &e->arena, MG_TRANSFER_URL_MAX);
  mg_buf_put(&out, challenge->realm);
  mg_buf_byte(&out, mg_str_find(challenge->realm, '?') < challenge->realm.n ? '&' : '?');
  put_escaped(&out, "service=", challenge->service);
  for (int i = 0; scope.n && i < SCOPES_MAX; i++) {
    size_t n = mg_str_find(scope, ' ');
    if (n) put_escaped(&out, "&scope=", (mg_str){scope.p, n});
    scope = mg_str_from(scope, n + 1);
  }
  mg_buf_lit(&out, "&client_id=mlgate");
  mg_buf_byte(&out, '\0');
  return out.failed ? NULL : out.p;
}

static bool is_token(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] < 0x21 || s.p[i] > 0x7E) return false; /* else it could end the header */
  return s.n > 0;
}

/* {"token" or "access_token", "expires_in"}; used up to four fifths of its life. */
static char *bearer_value(mg_str body, int64_t now, int64_t *ret_until) {
  struct mg_arena arena;
  struct mg_doc doc;
  struct mg_read how = {.limits = {.bytes = MG_REGISTRY_TOKEN_MAX, .depth = 16, .cells = 1024}, .last_wins = true};
  char *value = NULL;
  int64_t seconds = 0;
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  if (mg_json_read(&doc, &arena, body, &how, NULL) == 0) {
    mg_node root = mg_root(&doc);
    mg_str token = mg_string(MG_GET(root, "token"));
    if (!token.n) token = mg_string(MG_GET(root, "access_token"));
    if (!mg_int64(MG_GET(root, "expires_in"), &seconds) || seconds <= 0) seconds = TOKEN_S;
    if (seconds > TOKEN_MAX_S) seconds = TOKEN_MAX_S;
    if (is_token(token) && (value = malloc(token.n + 8))) snprintf(value, token.n + 8, "Bearer %.*s", MG_FMT(token));
  }
  mg_arena_fini(&arena);
  *ret_until = now + seconds * 800;
  return value;
}

struct token_errand {
  struct mg_errand *errand;
  struct mg_challenge challenge;
  mg_str host; /* of the realm */
};

static void on_token(void *ctx, const struct mg_transfer_reply *reply) {
  struct token_errand *t = ctx; /* in the errand's arena */
  struct mg_errand *e = t->errand;
  int64_t now = mg_clock_ms(), until;
  mg_origin_note(mg_errand_limits(e, t->host), reply, now);
  if (reply->end != MG_TRANSFER_ANSWERED) {
    mg_errand_fail_transfer(e, reply);
  } else if (reply->status == 200) {
    char *value = bearer_value(reply->body, now, &until);
    set_authorization(e, value, until);
    if (value) mg_errand_send(e);
    else mg_errand_fail(e, MG_REGISTRY_INVALID, 0, "its token server gives no token");
  } else if (reply->status == 429) {
    mg_errand_fail(e, MG_REGISTRY_THROTTLED, 429, "its token server allows no more requests for now (429)");
  } else if (reply->status >= 400 && reply->status < 404) {
    next_login(e, &t->challenge);
  } else {
    mg_errand_fail(e, MG_REGISTRY_UNREACHABLE, 0, "its token server answers %d", reply->status);
  }
}

static void ask_token(struct mg_errand *e, const struct mg_challenge *challenge, const struct mg_login *login) {
  struct token_errand *t = MG_NEW(&e->arena, struct token_errand);
  struct mg_errand_way way;
  struct mg_target target;
  const char *url = t ? token_url(e, challenge) : NULL;
  if (!url || !mg_target_read(url, &target) || !mg_errand_way(e, url, &way)) {
    mg_errand_fail(e, MG_REGISTRY_INVALID, 0, "its token server cannot be asked");
    return;
  }
  *t = (struct token_errand){e, *challenge, mg_arena_dup(&e->arena, mg_str_of(target.where))};
  const struct mg_origin *limits = mg_errand_limits(e, t->host);
  if (limits && mg_clock_ms() < limits->throttled_until) {
    mg_errand_fail(e, MG_REGISTRY_THROTTLED, 0, "its token server allows no more requests for now");
    return;
  }
  char *authorization = login ? basic_value(login) : NULL;
  struct mg_transfer_request r = {.method = "GET", .url = url, .accept = "application/json", .authorization = authorization,
                                  .ca_file = way.ca_file, .verify = way.verify, .alone = way.alone, .guard = way.guard,
                                  .timeout_ms = mg_errand_timeout(e), .max = MG_REGISTRY_TOKEN_MAX, .done = on_token, .ctx = t};
  bool good = (authorization || !login) && mg_transfer_start(e->all->transfers, &r);
  wipe(authorization);
  if (!good) mg_errand_fail(e, MG_REGISTRY_UNREACHABLE, 0, "too little memory to ask its token server");
}

/* ---- challenges ---- */

/* Without credentials a token may still be had, for what is public. */
static void next_login(struct mg_errand *e, const struct mg_challenge *challenge) {
  uint32_t tries = e->login_count ? e->login_count : challenge->scheme == MG_SCHEME_BEARER ? 1 : 0;
  set_authorization(e, NULL, 0);
  if (e->login >= tries) {
    mg_errand_fail(e, MG_REGISTRY_DENIED, 401, "%s", e->login_count ? "it does not allow that with the credentials that there are"
                                                                   : "it wants credentials for that, and there are none");
    return;
  }
  const struct mg_login *login = e->login_count ? &e->logins[e->login] : NULL;
  e->login++;
  if (challenge->scheme == MG_SCHEME_BEARER) {
    ask_token(e, challenge, login);
    return;
  }
  set_authorization(e, basic_value(login), mg_clock_ms() + BASIC_MS);
  if (e->authorization) mg_errand_send(e);
  else mg_errand_fail_memory(e);
}

/* As the kubelet: those of pull secrets, then those of the node, which here are the files. */
static void find_logins(struct mg_errand *e) {
  mg_str name = e->endpoints[e->endpoint];
  struct mg_login more[MG_LOGINS_MAX];
  e->keyring = mg_origin_keyring(&e->all->origins, e->auth_file);
  e->login_count = mg_keyring_match(e->order.pulls, name, e->order.repository, e->logins);
  uint32_t count = mg_keyring_match(e->keyring, name, e->order.repository, more);
  for (uint32_t i = 0; i < count && e->login_count < MG_LOGINS_MAX; i++) e->logins[e->login_count++] = more[i];
  e->challenged = true;
}

void mg_errand_login(struct mg_errand *e, const struct mg_transfer_reply *reply) {
  struct mg_challenge challenge;
  if (e->used_kept) mg_origin_drop_token(&e->all->origins, e->host, e->token_name);
  mg_challenge_read(&e->arena, reply->challenge, &challenge);
  if (challenge.scheme == MG_SCHEME_NONE) {
    mg_errand_fail(e, MG_REGISTRY_DENIED, reply->status, "it does not allow that (%d)", reply->status);
    return;
  }
  if (!e->challenged) find_logins(e);
  next_login(e, &challenge);
}
