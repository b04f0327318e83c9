/* The two halves of errand.h: the way of a request, and its challenges. */
#pragma once
#include "registry/errand.h"
#include "registry/target.h"

struct mg_errand {
  struct mg_errands *all;
  struct mg_errand *next, *prev;
  struct mg_settings *settings;
  struct mg_arena arena;
  struct mg_errand_order order;
  mg_str endpoints[2];
  uint32_t endpoint_count, endpoint;
  const struct mg_registry_host *document; /* that speaks of the endpoint; NULL: none */
  mg_str host;                             /* of the endpoint's API */
  const char *auth_file;                   /* with the logins for it; NULL: none */
  mg_str token_name;                       /* the repository, the scope, and that file: what is no longer named opens nothing */
  struct mg_target target;
  const char *url;
  uint32_t hops;
  int64_t total; /* of the last reply */
  bool begun, retried, own; /* own: the endpoint itself is asked, not where it leads to */

  bool used_kept;           /* the token of an earlier errand */
  bool challenged;
  struct mg_keyring *keyring;
  struct mg_login logins[MG_LOGINS_MAX];
  uint32_t login_count, login;
  char *authorization;      /* wiped; NULL: none */
  int64_t authorized_until;
  char why[MG_WHY_MAX];
};

/* How a URL may be asked. */
struct mg_errand_way {
  const char *ca_file;
  bool own, verify, alone;
  enum mg_guard guard;
};
/* False: not at all. */
bool mg_errand_way(struct mg_errand *e, const char *url, struct mg_errand_way *ret);
int64_t mg_errand_timeout(const struct mg_errand *e);
void mg_errand_send(struct mg_errand *e);
/* What a host allows whoever asks with these logins. NULL: out of memory. Good until the next call of mg_origin_of. */
struct mg_origin *mg_errand_limits(struct mg_errand *e, mg_str host);
/* The next endpoint, or the end. */
void mg_errand_fail(struct mg_errand *e, enum mg_registry_result result, int status, const char *format, ...)
  __attribute__((format(printf, 4, 5)));
void mg_errand_fail_memory(struct mg_errand *e);
void mg_errand_fail_transfer(struct mg_errand *e, const struct mg_transfer_reply *reply);

/* Answers a challenge: the request is sent again, or has failed. */
void mg_errand_login(struct mg_errand *e, const struct mg_transfer_reply *reply);
/* What has been good is used again. */
void mg_errand_keep_login(struct mg_errand *e);
void mg_errand_forget_login(struct mg_errand *e);
