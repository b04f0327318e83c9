#include "rules/gpu.h"

#include <inttypes.h>

#include "base/capped.h"

#define TERMS_SHOWN 6
#define ALLOWED_SHOWN 32
#define SUM_TEXT 4096

struct mg_measure mg_gpu_measure(int64_t devices) {
  return (struct mg_measure){.kind = MG_MEASURE_MORE_IS_WORSE, .amount = (mg_nano)devices * 1000000000};
}

/* --- the terms of a sum, for the message --- */

struct sum {
  struct mg_buf text;
  uint32_t terms;
};

static void start_sum(struct sum *sum, struct mg_arena *arena) {
  *sum = (struct sum){0};
  mg_buf_init(&sum->text, arena, SUM_TEXT);
}

/* False where the term is not to be written: people read the first few. */
static bool next_term(struct sum *sum) {
  if (++sum->terms > TERMS_SHOWN + 1) return false;
  if (sum->terms > 1) mg_buf_lit(&sum->text, " + ");
  if (sum->terms <= TERMS_SHOWN) return true;
  mg_buf_lit(&sum->text, "…");
  return false;
}

/* --- a container --- */

static mg_node node_of(const struct mg_amount *a) {
  bool by_request = a->limit_state == MG_AMOUNT_NONE;
  if (a->limit_state == MG_AMOUNT_READ && a->request_state == MG_AMOUNT_READ)
    by_request = mg_quantity_cmp(a->request_q, a->limit_q) > 0;
  return by_request ? a->request : a->limit;
}

struct mg_where mg_gpu_where(const struct mg_gpu *gpu, const struct mg_container *c) {
  const struct mg_amount *largest = NULL, *size = NULL;
  for (uint32_t i = 0; i < c->amount_count; i++) {
    const struct mg_amount *a = &c->amounts[i];
    if (!mg_gpu_in_scope(gpu, a) || !mg_amount_used(a)) continue;
    if (mg_amount_devices(a) > (largest ? mg_amount_devices(largest) : 0)) largest = a;
    if (!size) size = a;
  }
  if (largest || (size && !c->claims_device)) return (struct mg_where){.node = node_of(largest ? largest : size)};
  if (c->claims_device) return MG_WHERE(c->holder, c->resources_key, MG_S("claims"));
  return (struct mg_where){.node = c->node};
}

/* Of one resource `16 nvidia.com/gpu`, of several `16 devices (8 nvidia.com/gpu + 8 amd.com/gpu)`. */
static mg_str spell_container(struct mg_arena *arena, const struct mg_gpu *gpu, const struct mg_container *c, int64_t devices) {
  struct sum sum;
  start_sum(&sum, arena);
  int64_t claimed = gpu->filter.resources.count ? 0 : c->claimed;
  for (uint32_t i = 0; i < c->amount_count; i++) {
    const struct mg_amount *a = &c->amounts[i];
    int64_t n = mg_device_counts(&gpu->filter, a) ? mg_amount_devices(a) : 0;
    if (!n || !next_term(&sum)) continue;
    mg_buf_printf(&sum.text, "%" PRId64 " ", n);
    mg_buf_put(&sum.text, mg_gpu_short(arena, a->resource));
  }
  if (sum.terms == 1 && !claimed) return mg_buf_str(&sum.text);
  if (claimed && next_term(&sum)) mg_buf_printf(&sum.text, "%" PRId64 " claimed", claimed);
  return mg_arena_printf(arena, "%" PRId64 " devices (%.*s)", devices, MG_FMT(mg_buf_str(&sum.text)));
}

static bool has_unreadable(const struct mg_gpu *gpu, const struct mg_container *c) {
  for (uint32_t i = 0; i < c->amount_count; i++) {
    const struct mg_amount *a = &c->amounts[i];
    bool unreadable = a->limit_state == MG_AMOUNT_UNREADABLE || a->request_state == MG_AMOUNT_UNREADABLE;
    if (unreadable && mg_device_counts(&gpu->filter, a)) return true;
  }
  return false;
}

static bool is_allowed(struct mg_list allowed, int64_t devices) {
  for (uint32_t i = 0; i < allowed.count; i++)
    if (MG_LIST_AT(allowed, struct mg_opt_int, i).value == devices) return true;
  return allowed.count == 0;
}

static mg_str spell_allowed(struct mg_arena *arena, struct mg_list allowed) {
  struct mg_buf text;
  mg_buf_init(&text, arena, SUM_TEXT);
  for (uint32_t i = 0; i < allowed.count && i < ALLOWED_SHOWN; i++)
    mg_buf_printf(&text, "%s%" PRId64, i ? ", " : "", MG_LIST_AT(allowed, struct mg_opt_int, i).value);
  if (allowed.count > ALLOWED_SHOWN) mg_buf_lit(&text, ", …");
  return mg_buf_str(&text);
}

void mg_gpu_judge_container(struct mg_run *run, const struct mg_gpu *gpu, struct mg_pod *pod, struct mg_container *c) {
  int64_t devices = mg_container_devices(c, &gpu->filter), max = gpu->max.container.value;
  bool over = gpu->max.container.set && devices > max;
  bool odd = devices && !is_allowed(gpu->allowed, devices) && !has_unreadable(gpu, c);
  if (!over && !odd) return;
  struct mg_arena *arena = mg_run_arena(run);
  mg_str who = mg_gpu_who(run, c), what = spell_container(arena, gpu, c, devices);
  struct mg_finding f = {.pod = pod, .container = c, .where = mg_gpu_where(gpu, c), .measure = mg_gpu_measure(devices)};
  f.subject = MG_S("max container");
  if (over) mg_run_violation(run, &f, "%.*s asks for %.*s, more than the maximum of %" PRId64, MG_FMT(who), MG_FMT(what), max);
  f.subject = MG_S("allowed");
  if (odd)
    mg_run_violation(run, &f, "%.*s asks for %.*s; allowed: %.*s", MG_FMT(who), MG_FMT(what),
                     MG_FMT(spell_allowed(arena, gpu->allowed)));
}

/* --- a template --- */

/* Main containers, sidecars and extra ones run beside each other; a plain init container runs before them. */
static bool runs_beside(const struct mg_container *c) {
  return c->list == MG_LIST_INIT ? c->sidecar : c->list != MG_LIST_EPHEMERAL;
}

static const struct mg_container *largest_of(const struct mg_gpu *gpu, const struct mg_pod *pod, bool beside,
                                             int64_t *ret_total) {
  const struct mg_container *best = NULL;
  int64_t most = 0;
  *ret_total = 0;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    int64_t n = runs_beside(c) == beside ? mg_container_devices(c, &gpu->filter) : 0;
    *ret_total = mg_add_capped(*ret_total, n);
    if (n > most) most = n, best = c;
  }
  return best;
}

/* The container with the most devices: an init container where the others alone would not need as many. */
static struct mg_where largest_where(const struct mg_gpu *gpu, const struct mg_pod *pod, int64_t devices) {
  int64_t beside, before;
  const struct mg_container *main = largest_of(gpu, pod, true, &beside), *init = largest_of(gpu, pod, false, &before);
  const struct mg_container *c = init && (!main || beside < devices) ? init : main;
  return c ? mg_gpu_where(gpu, c) : (struct mg_where){.node = pod->spec};
}

/* " (trainer 8 + helper 4)", or nothing where the devices are not the sum of those beside each other. */
static mg_str spell_pod(struct mg_run *run, const struct mg_gpu *gpu, const struct mg_pod *pod, int64_t devices) {
  struct mg_arena *arena = mg_run_arena(run);
  struct sum sum;
  int64_t total = 0;
  start_sum(&sum, arena);
  for (uint32_t i = 0; i < pod->container_count; i++) {
    const struct mg_container *c = &pod->containers[i];
    int64_t n = runs_beside(c) ? mg_container_devices(c, &gpu->filter) : 0;
    total = mg_add_capped(total, n);
    if (!n || !next_term(&sum)) continue;
    mg_str name = mg_gpu_short(arena, c->name);
    mg_buf_put(&sum.text, name.n ? name : mg_gpu_who(run, c));
    mg_buf_printf(&sum.text, " %" PRId64, n);
  }
  if (total != devices || sum.terms < 2) return MG_S("");
  return mg_arena_printf(arena, " (%.*s)", MG_FMT(mg_buf_str(&sum.text)));
}

void mg_gpu_judge_pod(struct mg_run *run, const struct mg_gpu *gpu, struct mg_pod *pod) {
  if (!mg_run_sees_template(run)) return;
  int64_t devices = mg_pod_devices(pod, &gpu->filter), max = gpu->max.pod.value;
  if (devices <= max) return;
  mg_str terms = spell_pod(run, gpu, pod, devices);
  struct mg_finding f = {.pod = pod,
                         .where = largest_where(gpu, pod, devices),
                         .subject = MG_S("max template"),
                         .measure = mg_gpu_measure(devices)};
  mg_run_violation(run, &f, "the pod asks for %" PRId64 " devices%.*s, more than the maximum of %" PRId64, devices, MG_FMT(terms),
                   max);
}

/* --- a workload --- */

/* What people call a template: the map key or the item's name at the last wild card of its path; else the path. */
static mg_str template_name(struct mg_arena *arena, const struct mg_pod *pod) {
  const struct mg_steps *path = &pod->row->path;
  uint32_t i = path->count;
  mg_node n = pod->node;
  while (i > 0 && path->steps[i - 1].kind == MG_STEP_KEY) i--, n = mg_parent(n);
  mg_str name = {0};
  if (i > 0 && path->steps[i - 1].kind == MG_STEP_VALUES) name = mg_text(mg_key_of(n));
  if (i > 0 && path->steps[i - 1].kind == MG_STEP_ITEMS) name = mg_string(MG_GET(n, "name"));
  if (i > 0 && !name.n) name = mg_string(MG_GET(n, "groupName"));
  return mg_gpu_short(arena, name.n ? name : mg_path(arena, pod->outer.at ? pod->outer : pod->object, pod->node));
}

static void judge_replicas(struct mg_run *run, struct mg_pod *pod, int64_t max) {
  mg_node at = pod->replicas_at;
  int64_t n;
  mg_str text = mg_gpu_short(mg_run_arena(run), mg_text(at));
  struct mg_finding f = {.pod = pod,
                         .where = {.node = at.at ? at : pod->node},
                         .subject = MG_S("replicas"),
                         .measure = {.kind = MG_MEASURE_TEXT, .text = mg_text(at)}};
  mg_run_violation(run, &f, "replicas %s \"%.*s\", so the maximum of %" PRId64 " devices cannot be checked",
                   mg_int64(at, &n) && n < 0 ? "are negative:" : "cannot be read:", MG_FMT(text), max);
}

struct total {
  int64_t devices, most, one; /* of all templates; of the largest with its replicas, and without */
  uint32_t templates;         /* with devices */
  struct mg_pod *largest;
};

static void add_template(struct total *total, struct mg_pod *pod, int64_t devices) {
  int64_t product = mg_mul_capped(pod->replicas, devices);
  if (product <= 0) return;
  total->devices = mg_add_capped(total->devices, product);
  total->templates++;
  if (product > total->most) total->most = product, total->one = devices, total->largest = pod;
}

/* "Master 1 x 8 + Worker 8 x 8"; of one template "8 x 8". */
static mg_str spell_workload(struct mg_arena *arena, const struct mg_gpu *gpu, const struct mg_workload *workload, bool named) {
  struct sum sum;
  start_sum(&sum, arena);
  for (uint32_t i = 0; i < workload->pod_count && sum.terms <= TERMS_SHOWN; i++) {
    const struct mg_pod *pod = workload->pods[i];
    int64_t devices = mg_pod_devices(pod, &gpu->filter);
    if (devices <= 0 || pod->replicas <= 0 || !next_term(&sum)) continue;
    if (named) mg_buf_put(&sum.text, template_name(arena, pod));
    mg_buf_printf(&sum.text, "%s%" PRId64 " x %" PRId64, named ? " " : "", pod->replicas, devices);
  }
  return mg_buf_str(&sum.text);
}

void mg_gpu_judge_workload(struct mg_run *run, const struct mg_gpu *gpu, const struct mg_workload *workload) {
  int64_t max = gpu->max.workload.value;
  struct total total = {0};
  for (uint32_t i = 0; i < workload->pod_count; i++) {
    struct mg_pod *pod = workload->pods[i];
    int64_t devices = mg_pod_devices(pod, &gpu->filter);
    if (devices > 0 && pod->replicas_unreadable) judge_replicas(run, pod, max);
    add_template(&total, pod, devices);
  }
  if (!total.largest || total.devices <= max) return;
  mg_str terms = spell_workload(mg_run_arena(run), gpu, workload, total.templates > 1);
  struct mg_finding f = {.where = largest_where(gpu, total.largest, total.one),
                         .subject = MG_S("max workload"),
                         .measure = mg_gpu_measure(total.devices)};
  mg_run_violation(run, &f, "asks for %" PRId64 " devices (%.*s), more than the maximum of %" PRId64, total.devices,
                   MG_FMT(terms), max);
}
