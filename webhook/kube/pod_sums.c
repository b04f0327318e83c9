/* Devices of a container and of a pod, as the API server adds them up. */
#include "base/capped.h"
#include "kube/pod.h"

bool mg_device_counts(const struct mg_device_filter *filter, const struct mg_amount *a) {
  if (!a->accelerator || a->accelerator->unit != MG_UNIT_COUNT) return false;
  return !filter || !filter->resources.count || mg_any_pattern(filter->resources, a->resource);
}

/* A filter names resources; claims have classes, so that only an absent filter counts them, and every resource. */
static bool counts_claims(const struct mg_device_filter *filter) {
  return !filter || !filter->resources.count;
}

static int64_t sum_container(const struct mg_container *c, const struct mg_device_filter *filter) {
  int64_t sum = counts_claims(filter) ? c->claimed : 0;
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (mg_device_counts(filter, &c->amounts[i])) sum = mg_add_capped(sum, mg_amount_devices(&c->amounts[i]));
  return sum;
}

int64_t mg_container_devices(const struct mg_container *c, const struct mg_device_filter *filter) {
  return counts_claims(filter) ? c->devices : sum_container(c, filter);
}

/* One resource over the pod: sidecars run beside everything behind them, a plain init container alone with the sidecars before
 * it. */
struct tally {
  mg_str resource;
  int64_t sum, sidecars, peak;
};

static void tally_up(struct tally *t, const struct mg_container *c, int64_t devices) {
  if (c->list == MG_LIST_EPHEMERAL) return;
  if (c->list == MG_LIST_INIT && !c->sidecar) {
    int64_t beside = mg_add_capped(devices, t->sidecars);
    t->peak = beside > t->peak ? beside : t->peak;
    return;
  }
  t->sum = mg_add_capped(t->sum, devices);
  if (c->list != MG_LIST_INIT) return;
  t->sidecars = mg_add_capped(t->sidecars, devices);
  t->peak = t->sidecars > t->peak ? t->sidecars : t->peak;
}

/* No honest template names as many accelerators; what comes after them is added as it stands, so that a hostile one is cheap and
 * never counts less. */
#define MOST_TALLIES 64

struct tallies {
  struct tally of[MOST_TALLIES];
  uint32_t count;
};

static struct tally *tally_of(struct tallies *all, mg_str resource) {
  for (uint32_t i = 0; i < all->count; i++)
    if (mg_str_eq(all->of[i].resource, resource)) return &all->of[i];
  if (all->count == MOST_TALLIES) return NULL;
  all->of[all->count] = (struct tally){.resource = resource};
  return &all->of[all->count++];
}

static int64_t sum_pod(const struct mg_pod *pod, const struct mg_device_filter *filter) {
  struct tallies all;
  int64_t devices = counts_claims(filter) ? pod->claimed : 0;
  all.count = 0;
  if (!pod->has_accelerator) return devices;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    for (uint32_t a = 0; a < c->amount_count; a++) {
      if (!mg_device_counts(filter, &c->amounts[a])) continue;
      struct tally *t = tally_of(&all, c->amounts[a].resource);
      int64_t n = mg_amount_devices(&c->amounts[a]);
      if (t)
        tally_up(t, c, n);
      else
        devices = mg_add_capped(devices, n);
    }
  }
  for (uint32_t i = 0; i < all.count; i++) {
    const struct tally *t = &all.of[i];
    devices = mg_add_capped(devices, t->sum > t->peak ? t->sum : t->peak);
  }
  return devices;
}

int64_t mg_pod_devices(const struct mg_pod *pod, const struct mg_device_filter *filter) {
  return counts_claims(filter) ? pod->devices : sum_pod(pod, filter);
}

void mg_pod_sum(struct mg_pod *pod) {
  pod->most = 0;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    c->devices = sum_container(c, NULL);
    if (c->devices > pod->most) pod->most = c->devices;
  }
  pod->devices = sum_pod(pod, NULL);
}
