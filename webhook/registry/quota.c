#include "registry/quota.h"

void mg_quotas_init(struct mg_quotas *q) {
  *q = (struct mg_quotas){.count = 0};
  pthread_mutex_init(&q->lock, NULL);
}

void mg_quotas_fini(struct mg_quotas *q) {
  pthread_mutex_destroy(&q->lock);
}

static struct mg_quota *row_of(struct mg_quotas *q, mg_str host) {
  for (unsigned i = 0; i < q->count; i++)
    if (mg_str_is(host, q->rows[i].host)) return &q->rows[i];
  if (q->count < MG_QUOTAS_MAX && host.n < MG_QUOTA_HOST) {
    struct mg_quota *row = &q->rows[q->count++];
    memcpy(row->host, host.p, host.n);
    return row;
  }
  struct mg_quota *other = &q->rows[MG_QUOTAS_MAX];
  memcpy(other->host, "other", sizeof "other");
  return other;
}

void mg_quotas_note(struct mg_quotas *q, mg_str host, int64_t limit, int64_t left) {
  if (limit <= 0 || left < 0 || host.n == 0) return;
  pthread_mutex_lock(&q->lock);
  struct mg_quota *row = row_of(q, host);
  if (row != &q->rows[MG_QUOTAS_MAX] || row->limit == 0 || left < row->left) {
    row->limit = limit;
    row->left = left;
  }
  pthread_mutex_unlock(&q->lock);
}

void mg_quotas_each(struct mg_quotas *q, void (*each)(void *ctx, const struct mg_quota *quota), void *ctx) {
  pthread_mutex_lock(&q->lock);
  for (unsigned i = 0; i <= MG_QUOTAS_MAX; i++)
    if (q->rows[i].limit > 0) each(ctx, &q->rows[i]);
  pthread_mutex_unlock(&q->lock);
}
