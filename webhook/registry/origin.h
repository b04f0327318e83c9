/* What is remembered of the hosts that are asked: whether to leave them in peace, the tokens that they gave, and the files with
 * credentials. The registry's thread only. */
#pragma once
#include "registry/keyring.h"
#include "registry/table.h"
#include "registry/transfer.h"

#define MG_ORIGIN_WAIT_MAX_S 900   /* that a host may ask to be left in peace */
#define MG_ORIGIN_WAIT_S 60        /* where it does not say for how long */
#define MG_ORIGIN_DOWN_MS 10000    /* that one which could not be reached is not tried */
#define MG_ORIGIN_QUOTA_PERCENT 10 /* of the quota of pulls that are left to the nodes */

struct mg_origin {
  struct mg_entry entry;    /* by HOST[:PORT]; what it allows, also by that and a scope */
  int64_t throttled_until, low_until, down_until; /* monotonic ms */
  int64_t heard;            /* when it last answered; 0: never */
  bool plain;               /* an insecure one that speaks no TLS */
};

struct mg_origins {
  struct mg_table hosts, tokens, keyrings;
};

int mg_origins_init(struct mg_origins *origins) __attribute__((warn_unused_result));
void mg_origins_fini(struct mg_origins *origins);

/* NULL: out of memory. Good until the next call. */
struct mg_origin *mg_origin_of(struct mg_origins *origins, mg_str host);
/* Heeds 429 and the quota; NULL is fine. */
void mg_origin_note(struct mg_origin *origin, const struct mg_transfer_reply *reply, int64_t now);

/* The value of an Authorization header; NULL: none that still holds. Good until the next call. */
const char *mg_origin_token(struct mg_origins *origins, mg_str host, mg_str repository, int64_t now);
void mg_origin_keep_token(struct mg_origins *origins, mg_str host, mg_str repository, const char *value, int64_t until);
void mg_origin_drop_token(struct mg_origins *origins, mg_str host, mg_str repository);

/* The credentials in a file as it is now, counted; tokens are forgotten when it has changed. NULL: none, or not readable. */
struct mg_keyring *mg_origin_keyring(struct mg_origins *origins, const char *path);
