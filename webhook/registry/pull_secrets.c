#include "registry/pull_secrets.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/token.h"
#include "doc/json.h"
#include "kube/name.h"
#include "registry/inner.h"

#define ARENA_MAX ((size_t)256 << 10)
#define READ_ARENA ((size_t)8 << 20)

const char *const mg_pull_result_words[] = {
    [MG_PULL_READ] = "read",           [MG_PULL_FORBIDDEN] = "forbidden", [MG_PULL_NOT_FOUND] = "not-found",
    [MG_PULL_MALFORMED] = "malformed", [MG_PULL_FAILED] = "failed",
};

static const int kept_seconds[MG_PULL_RESULTS] = {
    [MG_PULL_READ] = 60, [MG_PULL_FORBIDDEN] = 30, [MG_PULL_NOT_FOUND] = 30, [MG_PULL_MALFORMED] = 30, [MG_PULL_FAILED] = 10,
};

/* ---- reading a set ---- */

struct part {
  struct mg_pulling *pulling;
  mg_str name;
  char *json; /* wiped when it goes */
  size_t n;
};

struct mg_pulling {
  struct mg_pulling *next, *prev;
  struct mg_registry *registry;
  struct mg_settings *settings;
  struct mg_pull_want *wants;
  struct mg_arena arena;
  mg_str key, ns, account;
  struct part parts[MG_PULL_NAMES_MAX];
  uint32_t part_count, outstanding;
  char *authorization; /* wiped; NULL: none */
  int seconds;         /* that all of it is good for */
  char note[MG_PULL_NOTE_ROOM];
};

static void wipe(char *p, size_t n) {
  if (p) OPENSSL_cleanse(p, n);
  free(p);
}

static void drop(struct mg_pulling *p) {
  *(p->prev ? &p->prev->next : &p->registry->pulls) = p->next;
  if (p->next) p->next->prev = p->prev;
  for (uint32_t i = 0; i < p->part_count; i++) wipe(p->parts[i].json, p->parts[i].n);
  wipe(p->authorization, p->authorization ? strlen(p->authorization) : 0);
  mg_settings_unref(p->settings);
  mg_arena_fini(&p->arena);
  free(p);
}

static void note(struct mg_pulling *p, const char *what, mg_str name, enum mg_pull_result result, int status) {
  static const char *const texts[MG_PULL_RESULTS] = {
      [MG_PULL_FORBIDDEN] = "may not be read", [MG_PULL_NOT_FOUND] = "does not exist",
      [MG_PULL_MALFORMED] = "has no Docker config that can be read", [MG_PULL_FAILED] = "could not be read"};
  struct mg_log_line line;
  atomic_fetch_add_explicit(&p->registry->pull_counts[result], 1, memory_order_relaxed);
  if (kept_seconds[result] < p->seconds) p->seconds = kept_seconds[result];
  if (result == MG_PULL_READ) return;
  if (!p->note[0]) snprintf(p->note, sizeof p->note, "%s \"%.*s\" %s", what, MG_FMT(name), texts[result]);
  bool usual = result == MG_PULL_FORBIDDEN || result == MG_PULL_NOT_FOUND; /* who gives no right to read them has said so */
  mg_log_begin(&line, usual ? MG_LOG_DEBUG : MG_LOG_WARN, "pull secret left out");
  mg_log_str(&line, "namespace", p->ns);
  mg_log_str(&line, what[0] == 's' ? "account" : "secret", name);
  mg_log_str(&line, "reason", mg_str_of(texts[result]));
  if (status) mg_log_int(&line, "status", status);
  mg_log_end(&line);
}

static struct mg_keyring *merge(struct mg_pulling *p) {
  mg_str jsons[MG_PULL_NAMES_MAX] = {0};
  bool good[MG_PULL_NAMES_MAX];
  const struct part *from[MG_PULL_NAMES_MAX];
  struct mg_keyring *keyring = NULL;
  uint32_t count = 0;
  for (uint32_t i = 0; i < p->part_count; i++) {
    if (!p->parts[i].json) continue;
    from[count] = &p->parts[i];
    jsons[count++] = (mg_str){p->parts[i].json, p->parts[i].n};
  }
  if (mg_keyring_merge(&keyring, jsons, count, good, NULL) < 0) return NULL;
  for (uint32_t i = 0; i < count; i++)
    note(p, "pull secret", from[i]->name, good[i] ? MG_PULL_READ : MG_PULL_MALFORMED, 0);
  return keyring;
}

/* NULL: out of memory. */
static struct mg_pull_set *keep(struct mg_pulling *p) {
  struct mg_pull_sets *sets = &p->registry->sets;
  struct mg_pull_set *set = calloc(1, sizeof *set + p->key.n);
  struct mg_keyring *keyring = set ? merge(p) : NULL;
  if (!keyring) {
    free(set);
    return NULL;
  }
  memcpy(set->key, p->key.p, p->key.n);
  set->entry.key = (mg_str){set->key, p->key.n};
  set->sets = sets;
  set->keyring = keyring;
  set->read = mg_clock_ms();
  set->until = set->read + (int64_t)p->seconds * 1000;
  snprintf(set->note, sizeof set->note, "%s", p->note);
  pthread_mutex_lock(&p->registry->lock);
  sets->bytes += mg_keyring_size(keyring);
  mg_table_put(&sets->table, &set->entry);
  while (sets->bytes > MG_PULL_BYTES_MAX && sets->table.oldest != &set->entry) mg_table_remove(&sets->table, sets->table.oldest);
  pthread_mutex_unlock(&p->registry->lock);
  return set;
}

/* Sets go in this thread alone, so that this one stays while others are told. */
static void finish(struct mg_pulling *p) {
  struct mg_pull_set *set = keep(p);
  while (p->wants) {
    struct mg_pull_want *want = p->wants;
    p->wants = want->next;
    want->pulling = NULL;
    want->done(want->ctx, set);
  }
  drop(p);
}

/* ---- asking the API server ---- */

static bool ask(struct mg_pulling *p, const char *kind, mg_str name, void (*done)(void *, const struct mg_transfer_reply *),
                void *ctx) {
  const struct mg_registry_api *api = &p->settings->api;
  mg_str url = mg_arena_printf(&p->arena, "%s/api/v1/namespaces/%.*s/%s/%.*s", api->server, MG_FMT(p->ns), kind, MG_FMT(name));
  struct mg_transfer_request r = {
      .method = "GET", .url = url.p, .accept = "application/json", .authorization = p->authorization, .ca_file = api->ca_file,
      .verify = true, .ca_alone = *api->ca_file != '\0', .guard = MG_GUARD_NONE, .timeout_ms = MG_REGISTRY_TIMEOUT_MS,
      .max = MG_PULL_REPLY_MAX, .done = done, .ctx = ctx};
  return url.n && mg_transfer_start(p->registry->errands.transfers, &r);
}

static enum mg_pull_result result_of(const struct mg_transfer_reply *reply) {
  if (reply->end != MG_TRANSFER_ANSWERED) return MG_PULL_FAILED;
  if (reply->status == 200) return MG_PULL_READ;
  return reply->status == 403 ? MG_PULL_FORBIDDEN : reply->status == 404 ? MG_PULL_NOT_FOUND : MG_PULL_FAILED;
}

static bool read_json(struct mg_doc *doc, struct mg_arena *arena, mg_str body) {
  struct mg_read how = {.limits = {.bytes = MG_PULL_REPLY_MAX, .depth = 64, .cells = 100000}};
  *doc = (struct mg_doc){0};
  mg_arena_init(arena, READ_ARENA, 0);
  return mg_json_read(doc, arena, body, &how, NULL) == 0;
}

/* What of it is a Docker config; other Secrets are none of ours. */
static bool read_secret(struct part *part, struct mg_doc *doc) {
  static const struct {
    const char *type;
    mg_str key;
  } known[] = {
      {"kubernetes.io/dockerconfigjson", {".dockerconfigjson", 17}},
      {"kubernetes.io/dockercfg", {".dockercfg", 10}},
  };
  mg_node root = mg_root(doc);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (!mg_str_is(mg_string(MG_GET(root, "type")), known[i].type)) continue;
    mg_str text = mg_string(mg_get(MG_GET(root, "data"), known[i].key));
    part->json = text.n ? malloc(text.n) : NULL;
    if (!part->json) return false;
    if (mg_keyring_decode(text, part->json, &part->n) && part->n) return true;
    wipe(part->json, text.n);
    part->json = NULL;
  }
  return false;
}

static void part_done(struct mg_pulling *p) {
  if (--p->outstanding == 0) finish(p);
}

static void on_secret(void *ctx, const struct mg_transfer_reply *reply) {
  struct part *part = ctx;
  struct mg_pulling *p = part->pulling;
  struct mg_arena arena;
  struct mg_doc doc;
  enum mg_pull_result result = result_of(reply);
  if (result == MG_PULL_READ) {
    bool good = read_json(&doc, &arena, reply->body);
    if (!good || !read_secret(part, &doc)) result = MG_PULL_MALFORMED;
    if (good) mg_keyring_wipe(&doc);
    mg_arena_fini(&arena);
  }
  if (result != MG_PULL_READ) note(p, "pull secret", part->name, result, reply->status);
  part_done(p);
}

/* Counts itself too, so that it cannot end before all are asked for. */
static void ask_secrets(struct mg_pulling *p) {
  p->outstanding++;
  for (uint32_t i = 0; i < p->part_count; i++) {
    p->outstanding++;
    if (ask(p, "secrets", p->parts[i].name, on_secret, &p->parts[i])) continue;
    note(p, "pull secret", p->parts[i].name, MG_PULL_FAILED, 0);
    p->outstanding--;
  }
  part_done(p);
}

static void add(struct mg_pulling *p, mg_str name) {
  if (p->part_count < MG_PULL_NAMES_MAX) p->parts[p->part_count++] = (struct part){.pulling = p, .name = name};
}

static void on_account(void *ctx, const struct mg_transfer_reply *reply) {
  struct mg_pulling *p = ctx;
  struct mg_arena arena;
  struct mg_doc doc;
  enum mg_pull_result result = result_of(reply);
  if (result == MG_PULL_READ) {
    if (read_json(&doc, &arena, reply->body)) {
      mg_node list = MG_GET(mg_root(&doc), "imagePullSecrets");
      for (mg_node n = mg_first(mg_as(list, MG_ARRAY)); n.at; n = mg_next(n)) {
        mg_str name = mg_string(MG_GET(n, "name"));
        if (mg_name_is_dns_subdomain(name)) add(p, mg_arena_dup(&p->arena, name));
      }
    } else {
      note(p, "service account", p->account, MG_PULL_MALFORMED, 0);
    }
    mg_arena_fini(&arena);
  } else {
    note(p, "service account", p->account, result, reply->status);
  }
  ask_secrets(p);
}

/* ---- from outside ---- */

/* A file that the kubelet renews; without one, or with one that cannot be read, the API server says what it thinks of that. */
static void read_token(struct mg_pulling *p) {
  struct mg_token *token = *p->settings->api.token_file ? calloc(1, sizeof *token) : NULL;
  struct mg_err err;
  if (!token) return;
  if (mg_token_read(token, p->settings->api.token_file, &err) == 0 && (p->authorization = malloc(token->n + 8)))
    snprintf(p->authorization, token->n + 8, "Bearer %s", token->text);
  OPENSSL_cleanse(token, sizeof *token);
  free(token);
}

static void split_key(struct mg_pulling *p) {
  mg_str rest = p->key;
  p->ns = mg_str_cut(&rest, '\n');
  while (rest.n) {
    mg_str line = mg_str_cut(&rest, '\n'), name = mg_str_from(line, 2);
    if (line.p[0] == 'A') p->account = name;
    else add(p, name);
  }
}

static void begin(struct mg_pulling *p) {
  p->seconds = kept_seconds[MG_PULL_READ];
  split_key(p);
  read_token(p);
  if (!p->account.n) {
    ask_secrets(p);
  } else if (!ask(p, "serviceaccounts", p->account, on_account, p)) {
    note(p, "service account", p->account, MG_PULL_FAILED, 0);
    ask_secrets(p);
  }
}

static void add_want(struct mg_pulling *p, struct mg_pull_want *want) {
  want->pulling = p;
  want->next = p->wants;
  p->wants = want;
}

void mg_pull_join(struct mg_registry *r, struct mg_settings *settings, mg_str key, struct mg_pull_want *want) {
  pthread_mutex_lock(&r->lock);
  const struct mg_pull_set *set = mg_pull_set_of(&r->sets, key, mg_clock_ms());
  pthread_mutex_unlock(&r->lock);
  struct mg_pulling *p = set ? NULL : r->pulls;
  while (p && !mg_str_eq(p->key, key)) p = p->next;
  if (p) {
    add_want(p, want);
    return;
  }
  p = set ? NULL : calloc(1, sizeof *p);
  if (!p) {
    want->done(want->ctx, set);
    return;
  }
  p->registry = r;
  p->settings = mg_settings_ref(settings);
  mg_arena_init(&p->arena, ARENA_MAX, 0);
  p->key = mg_arena_dup(&p->arena, key);
  p->next = r->pulls;
  if (p->next) p->next->prev = p;
  r->pulls = p;
  add_want(p, want);
  if (p->key.n) begin(p);
  else finish(p);
}

void mg_pull_leave(struct mg_pull_want *want) {
  if (!want->pulling) return;
  struct mg_pull_want **at = &want->pulling->wants;
  while (*at != want) at = &(*at)->next;
  *at = want->next;
  want->pulling = NULL;
}

void mg_pulls_free(struct mg_registry *r) {
  while (r->pulls) drop(r->pulls);
}
