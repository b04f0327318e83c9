#include "certs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 600 /* half a minute */
#define LOCK_PAUSE 50  /* ms */
#define PAUSE_MIN 20
#define PAUSE_MAX 640

static void sleep_ms(long ms) {
  struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  while (nanosleep(&wait, &wait) != 0 && errno == EINTR) {}
}

void mg_store_pause(unsigned tries) {
  unsigned char chance = 128;
  long most = tries < 5 ? PAUSE_MIN << tries : PAUSE_MAX;
  (void)RAND_bytes(&chance, 1);
  sleep_ms(most / 2 + most * chance / 255);
}

const char *mg_store_name(const struct mg_certs_place *place, char ret[MG_STORE_NAME]) {
  if (place->dir) (void)snprintf(ret, MG_STORE_NAME, "%s", place->dir);
  else (void)snprintf(ret, MG_STORE_NAME, "secret %s/%s", place->ns, place->secret);
  return ret;
}

static int lock(struct mg_store *store, struct mg_err *err) {
  const char *dir = store->place->dir;
  store->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (store->lock < 0) return mg_err_set(err, MG_E_IO, "%s: %s", dir, strerror(errno));
  for (int i = 0; i < LOCK_TRIES; i++) {
    if (flock(store->lock, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return mg_err_set(err, MG_E_IO, "%s: %s", dir, strerror(errno));
    sleep_ms(LOCK_PAUSE);
  }
  return mg_err_set(err, MG_E_IO, "%s: another process holds its lock", dir);
}

int mg_store_open(struct mg_store *store, const struct mg_certs_place *place, struct mg_err *err) {
  *store = MG_STORE_READ(place);
  if (!place->dir) return 0;
  int code = mg_pem_dir(place->dir, err);
  return code < 0 ? code : lock(store, err);
}

void mg_store_fini(struct mg_store *store) {
  if (store->lock >= 0) close(store->lock);
  json_decref(store->object);
  store->lock = -1;
  store->object = NULL;
}

static int load_file(const char *dir, const char *name, struct mg_blob *ret, struct mg_err *err) {
  char path[4096], *text = NULL;
  size_t size = 0;
  int n = snprintf(path, sizeof path, "%s/%s", dir, name);
  if (n < 0 || (size_t)n >= sizeof path) return mg_err_set(err, MG_E_LIMIT, "%.100s…: path too long", dir);
  int code = mg_pem_read(path, &text, &size, err);
  if (code < 0) return errno == ENOENT ? 0 : code;
  code = mg_blob_dup(text, size, ret, err);
  mg_pem_free(text, size);
  return code;
}

int mg_store_load(struct mg_store *store, struct mg_entries *ret, struct mg_err *err) {
  int code = 0;
  if (!store->place->dir) return mg_secret_load(store, ret, err);
  for (size_t i = 0; i < MG_ENTRIES && code == 0; i++) code = load_file(store->place->dir, mg_entry_names[i], &ret->of[i], err);
  return code;
}

static bool same(const struct mg_blob *a, const struct mg_blob *b) {
  return mg_str_eq((mg_str){a->p, a->n}, (mg_str){b->p, b->n});
}

static int save_file(const char *dir, size_t i, const struct mg_blob *text, struct mg_err *err) {
  if (text->n) return mg_pem_put(dir, mg_entry_names[i], mg_entry_secret(i) ? 0600 : 0644, text, err);
  return mg_pem_remove(dir, mg_entry_names[i], err);
}

/* Back to what there was, of the first so many: on a disk that was full, a key without its certificate would be in the way of the
 * next run. */
static void undo(const char *dir, size_t count, const struct mg_entries *old, const struct mg_entries *new) {
  struct mg_err ignored;
  for (size_t i = 0; i < count; i++)
    if (new->of[i].n && !same(&old->of[i], &new->of[i])) (void)save_file(dir, i, &old->of[i], &ignored);
}

/* Removals come last: a rest of a next CA does no harm, its loss would. */
static int save_files(const char *dir, const struct mg_entries *old, const struct mg_entries *new, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < MG_ENTRIES && code == 0; i++) {
    if (!new->of[i].n || same(&old->of[i], &new->of[i])) continue;
    code = save_file(dir, i, &new->of[i], err);
    if (code < 0) undo(dir, i + 1, old, new);
  }
  for (size_t i = 0; i < MG_ENTRIES && code == 0; i++)
    if (!new->of[i].n && old->of[i].n) code = save_file(dir, i, &new->of[i], err);
  return code;
}

int mg_store_save(struct mg_store *store, const struct mg_entries *old, const struct mg_entries *new, bool *ret_lost,
                  struct mg_err *err) {
  bool changed = false;
  *ret_lost = false;
  for (size_t i = 0; i < MG_ENTRIES; i++) changed = changed || !same(&old->of[i], &new->of[i]);
  if (!changed) return 0;
  return store->place->dir ? save_files(store->place->dir, old, new, err) : mg_secret_save(store, new, ret_lost, err);
}
