#include "registry/origin.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"

#define ORIGINS_MAX 1024
#define TOKENS_MAX 4096
#define FILES_MAX 64
#define NAME_MAX_BYTES 2048

struct token {
  struct mg_entry entry;
  int64_t until;
  size_t n;    /* of the value */
  char text[]; /* key, then value and NUL */
};

struct file {
  struct mg_entry entry;
  struct stat seen;
  struct mg_keyring *keyring;
  bool unread; /* for want of memory or of a descriptor, say */
  char path[];
};

static void drop_host(struct mg_entry *entry) {
  free(entry);
}

static void drop_token(struct mg_entry *entry) {
  struct token *t = (struct token *)entry;
  OPENSSL_cleanse(t->text + t->entry.key.n, t->n);
  free(t);
}

static void drop_file(struct mg_entry *entry) {
  mg_keyring_unref(((struct file *)entry)->keyring);
  free(entry);
}

int mg_origins_init(struct mg_origins *o) {
  *o = (struct mg_origins){0};
  return mg_table_init(&o->hosts, ORIGINS_MAX, drop_host) || mg_table_init(&o->tokens, TOKENS_MAX, drop_token) ||
                 mg_table_init(&o->keyrings, FILES_MAX, drop_file)
             ? -1
             : 0;
}

void mg_origins_fini(struct mg_origins *o) {
  mg_table_fini(&o->hosts);
  mg_table_fini(&o->tokens);
  mg_table_fini(&o->keyrings);
}

/* ---- hosts ---- */

struct mg_origin *mg_origin_of(struct mg_origins *o, mg_str host) {
  struct mg_entry *entry = mg_table_get(&o->hosts, host);
  if (entry) return (struct mg_origin *)entry;
  struct mg_origin *origin = calloc(1, sizeof *origin + host.n);
  if (!origin) return NULL;
  char *name = (char *)(origin + 1);
  if (host.n) memcpy(name, host.p, host.n);
  origin->entry.key = (mg_str){name, host.n};
  mg_table_put(&o->hosts, &origin->entry);
  return origin;
}

void mg_origin_note(struct mg_origin *origin, const struct mg_transfer_reply *reply, int64_t now) {
  if (!origin || reply->end != MG_TRANSFER_ANSWERED) return;
  if (reply->status == 429) {
    int64_t wait = reply->retry_after < 0 ? MG_ORIGIN_WAIT_S : reply->retry_after;
    if (wait > MG_ORIGIN_WAIT_MAX_S) wait = MG_ORIGIN_WAIT_MAX_S;
    origin->throttled_until = now + wait * 1000;
  }
  if (reply->quota <= 0 || reply->quota_left < 0) return;
  bool low = reply->quota_left * 100 < reply->quota * MG_ORIGIN_QUOTA_PERCENT;
  origin->low_until = low ? now + MG_ORIGIN_WAIT_MAX_S * 1000 : 0;
}

/* ---- tokens ---- */

static mg_str key_of(char buf[NAME_MAX_BYTES], mg_str host, mg_str repository) {
  size_t n = host.n + 1 + repository.n;
  if (n > NAME_MAX_BYTES) return (mg_str){0};
  memcpy(buf, host.p, host.n);
  buf[host.n] = ' ';
  memcpy(buf + host.n + 1, repository.p, repository.n);
  return (mg_str){buf, n};
}

const char *mg_origin_token(struct mg_origins *o, mg_str host, mg_str repository, int64_t now) {
  char buf[NAME_MAX_BYTES];
  struct token *t = (struct token *)mg_table_get(&o->tokens, key_of(buf, host, repository));
  return t && now < t->until ? t->text + t->entry.key.n : NULL;
}

void mg_origin_keep_token(struct mg_origins *o, mg_str host, mg_str repository, const char *value, int64_t until) {
  char buf[NAME_MAX_BYTES];
  mg_str key = key_of(buf, host, repository);
  size_t n = strlen(value);
  struct token *t = key.n ? calloc(1, sizeof *t + key.n + n + 1) : NULL;
  if (!t) return;
  *t = (struct token){.entry.key = {t->text, key.n}, .until = until, .n = n};
  memcpy(t->text, key.p, key.n);
  memcpy(t->text + key.n, value, n + 1);
  mg_table_put(&o->tokens, &t->entry);
}

void mg_origin_drop_token(struct mg_origins *o, mg_str host, mg_str repository) {
  char buf[NAME_MAX_BYTES];
  struct mg_entry *entry = mg_table_get(&o->tokens, key_of(buf, host, repository));
  if (entry) mg_table_remove(&o->tokens, entry);
}

/* ---- files ---- */

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_size == b->st_size &&
         a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static struct file *file_of(struct mg_origins *o, const char *path) {
  mg_str key = mg_str_of(path);
  struct file *f = (struct file *)mg_table_get(&o->keyrings, key);
  if (f) return f;
  f = calloc(1, sizeof *f + key.n + 1);
  if (!f) return NULL;
  memcpy(f->path, path, key.n + 1);
  f->entry.key = (mg_str){f->path, key.n};
  mg_table_put(&o->keyrings, &f->entry);
  return f;
}

static void tell_unreadable(const char *path, const struct mg_err *err) {
  struct mg_log_line line;
  mg_log_begin(&line, MG_LOG_WARN, "registry credentials cannot be read");
  mg_log_str(&line, "file", mg_str_of(path));
  mg_log_str(&line, "error", mg_str_of(err->text));
  mg_log_end(&line);
}

/* A file that makes no sense is tried again when it has changed; one that could not be read, each time. */
struct mg_keyring *mg_origin_keyring(struct mg_origins *o, const char *path) {
  struct stat now = {0};
  struct mg_err err = {0};
  struct file *f = path && *path ? file_of(o, path) : NULL;
  if (!f) return NULL;
  if (stat(path, &now) != 0) now.st_mtim.tv_sec = -1;
  bool changed = !same_file(&now, &f->seen);
  if (!changed && !f->unread) return mg_keyring_ref(f->keyring);
  mg_keyring_unref(f->keyring);
  f->seen = now;
  int code = mg_keyring_read(&f->keyring, path, &err);
  f->unread = code == MG_E_IO || code == MG_E_NOMEM;
  if (changed || code == 0) mg_table_clear(&o->tokens);
  if (changed && code < 0) tell_unreadable(path, &err);
  return mg_keyring_ref(f->keyring);
}
