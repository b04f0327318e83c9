/* HTTP requests that run beside each other, in one thread, with limits on everything. No redirect is followed here. */
#pragma once
#include "base/str.h"
#include "registry/guard.h"

#define MG_TRANSFER_CONNECT_MS 1500
#define MG_TRANSFERS_MAX 128                      /* at a time; more wait */
#define MG_TRANSFERS_HELD_MAX ((size_t)96 << 20)  /* bytes of all replies that are not whole yet */
#define MG_TRANSFER_URL_MAX 8192
#define MG_TRANSFER_FIELD_MAX 512                 /* of a header that is looked at */
#define MG_TRANSFER_CHALLENGE_MAX 8192            /* of all WWW-Authenticate headers */

enum mg_transfer_end {
  MG_TRANSFER_ANSWERED,
  MG_TRANSFER_TIMEOUT,
  MG_TRANSFER_UNREACHABLE,
  MG_TRANSFER_TLS,
  MG_TRANSFER_LOST,    /* the connection broke; another try may do better */
  MG_TRANSFER_LIMIT,   /* the reply is too large */
  MG_TRANSFER_GUARDED, /* the address is none to connect to */
  MG_TRANSFER_NOMEM,
};

/* Valid during the call that brings it. */
struct mg_transfer_reply {
  enum mg_transfer_end end;
  const char *why;     /* without the URL; "" where it answered */
  bool connected;
  int status;
  mg_str body;         /* with `cut`, what there is up to the limit */
  mg_str content_type, digest; /* "": none, or longer than MG_TRANSFER_FIELD_MAX */
  mg_str challenge;    /* WWW-Authenticate, joined by commas */
  mg_str location;     /* where a redirect leads to, absolute */
  int64_t total;       /* bytes of all that a part, a whole or a head is of; -1: not said */
  int64_t retry_after; /* seconds; -1: not said */
  int64_t quota, quota_left; /* ratelimit-limit and -remaining; -1: not said */
};

/* Strings are copied. */
struct mg_transfer_request {
  const char *method, *url;
  const char *accept, *range, *authorization; /* values; NULL: none */
  const char *ca_file; /* trusted beside the system's; NULL or "": none */
  bool verify;         /* the certificate */
  bool ca_alone;       /* nothing but ca_file is trusted */
  bool alone;          /* over a connection that no other request has used or will */
  bool cut;            /* more than `max` is no error: the rest is left */
  enum mg_guard guard;
  int64_t timeout_ms;
  size_t max;          /* of the body */
  void (*done)(void *ctx, const struct mg_transfer_reply *reply);
  void *ctx;
};

struct mg_transfers;

struct mg_transfers *mg_transfers_new(void);         /* NULL: out of memory */
void mg_transfers_free(struct mg_transfers *all);    /* drops what is under way, without a call; NULL is fine */
/* False: out of memory, and `done` will not be called. */
bool mg_transfer_start(struct mg_transfers *all, const struct mg_transfer_request *request) __attribute__((warn_unused_result));
/* Works for at most so many ms, or until something has come or somebody wakes it. */
void mg_transfers_turn(struct mg_transfers *all, int64_t ms);
void mg_transfers_wake(struct mg_transfers *all);    /* from any thread */
