/* Where the entries are kept: a directory or a Secret. Private to certs/. */
#pragma once
#include "certs/certs.h"
#include "certs/state.h"

struct mg_store {
  const struct mg_certs_place *place;
  int lock;       /* of a directory; -1: none */
  json_t *object; /* the Secret as it was read, with its resourceVersion; NULL: there is none */
};

/* For writing: a directory is made, and locked until mg_store_fini. What only reads needs MG_STORE_READ and no more. */
#define MG_STORE_READ(where) ((struct mg_store){.place = (where), .lock = -1})
int mg_store_open(struct mg_store *store, const struct mg_certs_place *place, struct mg_err *err);
void mg_store_fini(struct mg_store *store);
#define MG_STORE_AUTO __attribute__((cleanup(mg_store_fini))) struct mg_store

int mg_store_load(struct mg_store *store, struct mg_entries *ret, struct mg_err *err);
/* *ret_lost: another was quicker, and nothing was written. */
int mg_store_save(struct mg_store *store, const struct mg_entries *old, const struct mg_entries *new, bool *ret_lost,
                  struct mg_err *err);

/* What it is called in messages. */
#define MG_STORE_NAME 512
const char *mg_store_name(const struct mg_certs_place *place, char ret[MG_STORE_NAME]);

/* Sleeps longer with each try, by chance, so that those who met part. */
void mg_store_pause(unsigned tries);
#define MG_STORE_TRIES 30

/* The Secret's half. */
int mg_secret_load(struct mg_store *store, struct mg_entries *ret, struct mg_err *err);
int mg_secret_save(struct mg_store *store, const struct mg_entries *new, bool *ret_lost, struct mg_err *err);
/* Sets `p` of the object to the base64 of n bytes, which are wiped on the way. */
int mg_base64_set(json_t *object, const char *key, const struct mg_blob *value, struct mg_err *err);
