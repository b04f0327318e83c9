/* What hosts say of their quotas of pulls, for /metrics: written by the registry's thread, read by others. */
#pragma once
#include <pthread.h>

#include "base/str.h"

#define MG_QUOTAS_MAX 32 /* hosts with a row; of all others the one that has the least left is "other" */
#define MG_QUOTA_HOST 256

struct mg_quota {
  char host[MG_QUOTA_HOST];
  int64_t limit, left;
};

struct mg_quotas {
  pthread_mutex_t lock;
  unsigned count;
  struct mg_quota rows[MG_QUOTAS_MAX + 1];
};

void mg_quotas_init(struct mg_quotas *quotas);
void mg_quotas_fini(struct mg_quotas *quotas);
/* limit <= 0 or left < 0: it says nothing of them, and what it said before holds. */
void mg_quotas_note(struct mg_quotas *quotas, mg_str host, int64_t limit, int64_t left);
void mg_quotas_each(struct mg_quotas *quotas, void (*each)(void *ctx, const struct mg_quota *quota), void *ctx);
