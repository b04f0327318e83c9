#include <stdio.h>
#include <stdlib.h>

#include "kube/name.h"
#include "rules/mount_path.h"
#include "rules/rules.h"

static const char *const container_words[] = {"accelerators", "all", NULL};
enum containers { ACCELERATORS, ALL };

enum { NAME_MAX_BYTES = 63, CONTAINERS_MAX = 256 };
#define MEBIBYTE ((mg_nano)1048576 * 1000000000)

struct params {
  struct mg_opt_quantity size_limit;
  struct mg_opt_int memory_share; /* percent */
  struct mg_opt_int min_accelerators;
  uint32_t containers;
  mg_str volume_name;
};

static const struct mg_field fields[] = {
    {"sizeLimit", &mg_t_quantity, offsetof(struct params, size_limit), .doc = "Upper bound of the size."},
    {"memoryShare", &mg_t_percent, offsetof(struct params, memory_share), .def = "50%",
     .doc = "Share of the container's, else the pod's memory limit; the size is the smaller of the two."},
    {"minAccelerators", &mg_t_count, offsetof(struct params, min_accelerators), .def = "1",
     .doc = "Only templates with that many accelerators in total."},
    {"containers", &mg_t_enum, offsetof(struct params, containers), container_words, .def = "accelerators",
     .doc = "accelerators: those that use one; all: containers and sidecars."},
    {"volumeName", &mg_t_string, offsetof(struct params, volume_name), .def = "dshm",
     .doc = "Name of the volume; another is found where it is taken."},
    MG_FIELDS_END,
};

static bool compile(struct mg_load *load, mg_node at, void *params) {
  const struct params *p = params;
  const uint32_t before = load->diags->error_count;
  mg_node size = MG_GET(at, "sizeLimit");
  if (p->size_limit.set && p->size_limit.q.nano <= 0)
    mg_diag_error(load->diags, size, MG_AT_VALUE, "\"sizeLimit\" must be more than zero");
  else if (p->size_limit.set && p->size_limit.q.nano < MEBIBYTE)
    mg_diag_warn(load->diags, size, MG_AT_VALUE, "sizes are whole Mi, so that less than 1Mi mounts nothing");
  if (!mg_name_is_dns_label(p->volume_name))
    mg_diag_error(load->diags, MG_GET(at, "volumeName"), MG_AT_VALUE,
                  "\"%.*s\" is no volume name (lower-case letters, digits and -, at most 63)", MG_FMT(p->volume_name));
  return load->diags->error_count == before;
}

/* ---- what is there ---- */

static mg_str clean_path(struct mg_arena *arena, mg_str path) {
  char *out = mg_arena_alloc(arena, path.n + 2);
  return out ? (mg_str){out, mg_mount_path_add(out, 0, path)} : (mg_str){0};
}

/* Something of the list stands at /dev/shm, or hides it at /dev. */
static bool is_taken(struct mg_arena *arena, mg_node list, mg_str path_key) {
  if (!mg_is(list, MG_ARRAY)) return false;
  for (mg_node n = mg_first(list); n.at; n = mg_next(n)) {
    mg_str path = clean_path(arena, mg_string(mg_get(n, path_key)));
    if (mg_str_is(path, "/dev/shm") || mg_str_is(path, "/dev")) return true;
  }
  return false;
}

static bool is_list(mg_node n) {
  return mg_missing(n) || mg_is(n, MG_ARRAY);
}

static bool is_memory_volume(mg_node volume) {
  return mg_str_is(mg_string(MG_GET(MG_GET(volume, "emptyDir"), "medium")), "Memory");
}

/* What the container mounts at /dev/shm; absent: nothing. */
static mg_node shm_mount(struct mg_arena *arena, const struct mg_container *c) {
  mg_node list = MG_GET(c->node, "volumeMounts");
  for (mg_node n = mg_first(mg_as(list, MG_ARRAY)); n.at; n = mg_next(n))
    if (mg_str_is(clean_path(arena, mg_string(MG_GET(n, "mountPath"))), "/dev/shm")) return n;
  return (mg_node){0};
}

/* ---- the plan ---- */

struct candidate {
  struct mg_container *container;
  bool limited;
  mg_nano size;
  bool wanted;
};

struct plan {
  struct mg_arena *arena;
  struct candidate *candidates;
  uint32_t count;
  mg_str *mounted; /* names of all volumes that any container mounts, sorted */
  size_t mounted_count;
  mg_str volume;
  bool exists; /* the volume is there already */
};

static int by_name(const void *a, const void *b) {
  return mg_str_cmp(*(const mg_str *)a, *(const mg_str *)b);
}

static mg_node mounts_of(const struct mg_container *c, int which) {
  mg_node list = which ? MG_GET(c->node, "volumeDevices") : MG_GET(c->node, "volumeMounts");
  return mg_as(list, MG_ARRAY);
}

static bool read_mounted(struct plan *plan, const struct mg_pod *pod) {
  size_t most = 1;
  for (uint32_t i = 0; i < pod->container_count; i++)
    for (int which = 0; which < 2; which++) most += mg_count(mounts_of(&pod->containers[i], which));
  plan->mounted = MG_NEW_N(plan->arena, mg_str, most);
  if (!plan->mounted) return false;
  for (uint32_t i = 0; i < pod->container_count; i++)
    for (int which = 0; which < 2; which++)
      for (mg_node n = mg_first(mounts_of(&pod->containers[i], which)); n.at; n = mg_next(n))
        plan->mounted[plan->mounted_count++] = mg_string(MG_GET(n, "name"));
  qsort(plan->mounted, plan->mounted_count, sizeof *plan->mounted, by_name);
  return true;
}

static bool is_mounted(const struct plan *plan, mg_str name) {
  return bsearch(&name, plan->mounted, plan->mounted_count, sizeof *plan->mounted, by_name) != NULL;
}

/* A share, or a part of a device's memory, is no whole device, but the template has one. */
static bool is_enough(const struct params *p, const struct mg_pod *pod) {
  const int64_t least = p->min_accelerators.value;
  return least <= (pod->has_accelerator ? 1 : 0) || mg_pod_devices(pod, NULL) >= least;
}

static bool is_eligible(struct mg_run *run, const struct params *p, const struct mg_container *c) {
  if (c->list == MG_LIST_EPHEMERAL || !mg_run_sees(run, c)) return false;
  const bool chosen = p->containers == ALL ? c->list != MG_LIST_INIT || c->sidecar : mg_container_uses_accelerator(c);
  mg_node mounts = MG_GET(c->node, "volumeMounts");
  return chosen && is_list(mounts) && !is_taken(mg_run_arena(run), mounts, MG_S("mountPath")) &&
         !is_taken(mg_run_arena(run), MG_GET(c->node, "volumeDevices"), MG_S("devicePath"));
}

/* False where the size would be under 1Mi. */
static bool read_size(const struct params *p, const struct mg_pod *pod, struct candidate *candidate) {
  struct mg_quantity limit;
  candidate->limited = p->size_limit.set;
  if (p->size_limit.set) candidate->size = p->size_limit.q.nano;
  if (mg_container_limit(pod, candidate->container, MG_S("memory"), &limit)) {
    mg_nano share = limit.nano / 100 * p->memory_share.value + limit.nano % 100 * p->memory_share.value / 100;
    if (!candidate->limited || share < candidate->size) candidate->size = share;
    candidate->limited = true;
  }
  return !candidate->limited || candidate->size >= MEBIBYTE;
}

/* The size of the largest container; "" where one has no limit. */
static mg_str volume_size(const struct plan *plan, bool wanted_only) {
  mg_nano size = 0;
  for (uint32_t i = 0; i < plan->count; i++) {
    const struct candidate *c = &plan->candidates[i];
    if (wanted_only && !c->wanted) continue;
    if (!c->limited) return MG_S("");
    if (c->size > size) size = c->size;
  }
  char text[MG_QUANTITY_TEXT];
  struct mg_quantity whole = {.nano = size / MEBIBYTE * MEBIBYTE, .format = MG_BINARY_SI};
  return mg_arena_dup(plan->arena, mg_quantity_text(whole, text));
}

/* A memory volume that no container mounts: prepared for this, or left over when an UPDATE dropped the mounts. */
static mg_str spare_volume(const struct plan *plan, const struct mg_pod *pod) {
  for (mg_node n = mg_first(MG_GET(pod->spec, "volumes")); n.at; n = mg_next(n)) {
    mg_str name = mg_string(MG_GET(n, "name"));
    if (name.n && is_memory_volume(n) && !is_mounted(plan, name)) return name;
  }
  return (mg_str){0};
}

/* What the container mounts there in oldObject. */
static mg_node old_mount(const struct mg_run *run, const struct mg_container *c) {
  const struct mg_container *before = mg_run_old_container(run, c);
  return before ? shm_mount(mg_run_arena(run), before) : (mg_node){0};
}

/* The memory volume that a candidate has at /dev/shm in oldObject. */
static mg_str old_volume(const struct mg_run *run, const struct plan *plan) {
  const struct mg_pod *old = mg_run_old_pod(run);
  for (uint32_t i = 0; old && i < plan->count; i++) {
    mg_str name = mg_string(MG_GET(old_mount(run, plan->candidates[i].container), "name"));
    if (name.n && is_memory_volume(mg_pod_volume(old, name))) return name;
  }
  return (mg_str){0};
}

/* The memory volume of our name that another container has at /dev/shm: an earlier call's, when somebody added a container since.
 */
static bool is_shared(const struct plan *plan, const struct mg_pod *pod, mg_str name) {
  if (!is_memory_volume(mg_pod_volume(pod, name))) return false;
  for (uint32_t i = 0; i < pod->container_count; i++)
    if (mg_str_eq(mg_string(MG_GET(shm_mount(plan->arena, &pod->containers[i]), "name")), name)) return true;
  return false;
}

/* A mount may name a volume that the template's controller brings, such as a claim template's. */
static bool is_free(const struct plan *plan, const struct mg_pod *pod, mg_str name) {
  return !mg_pod_volume(pod, name).at && !is_mounted(plan, name) && !mg_pod_has_claim_template(pod, name);
}

/* volumeName, volumeName-2, volumeName-3 …; "" where none of a hundred is free. */
static mg_str free_name(const struct plan *plan, const struct mg_pod *pod, mg_str name) {
  enum { TRIES = 100 };
  if (is_free(plan, pod, name)) return name;
  for (int i = 2; i <= TRIES; i++) {
    char suffix[8];
    size_t end = (size_t)snprintf(suffix, sizeof suffix, "-%d", i), n = name.n;
    if (n > NAME_MAX_BYTES - end) n = NAME_MAX_BYTES - end;
    while (n && name.p[n - 1] == '-') n--;
    mg_str other = mg_arena_printf(plan->arena, "%.*s%s", (int)n, name.p, suffix);
    if (other.n && is_free(plan, pod, other)) return other;
  }
  return (mg_str){0};
}

static void choose_volume(struct mg_run *run, const struct params *p, const struct mg_pod *pod, struct plan *plan) {
  mg_str old = old_volume(run, plan);
  plan->exists = true;
  if (is_memory_volume(mg_pod_volume(pod, old)))
    plan->volume = old;
  else if (is_shared(plan, pod, p->volume_name))
    plan->volume = p->volume_name;
  else
    plan->volume = spare_volume(plan, pod);
  if (plan->volume.n) return;
  plan->exists = false;
  plan->volume = free_name(plan, pod, old.n && is_free(plan, pod, old) ? old : p->volume_name);
}

static bool make_plan(struct mg_run *run, const struct params *p, struct mg_pod *pod, struct plan *plan) {
  *plan = (struct plan){.arena = mg_run_arena(run)};
  const uint32_t most = pod->container_count < CONTAINERS_MAX ? pod->container_count : CONTAINERS_MAX;
  plan->candidates = MG_NEW_N(plan->arena, struct candidate, most + 1);
  if (!plan->candidates) return false;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct candidate c = {.container = &pod->containers[i]};
    if (!is_eligible(run, p, c.container) || !read_size(p, pod, &c)) continue;
    if (plan->count == CONTAINERS_MAX) {
      mg_run_warning(run, "a template has more than %d containers for /dev/shm; none gets a mount", CONTAINERS_MAX);
      return false;
    }
    plan->candidates[plan->count++] = c;
  }
  if (!plan->count || !read_mounted(plan, pod)) return false;
  choose_volume(run, p, pod, plan);
  return plan->volume.n > 0;
}

/* ---- the edits ---- */

static mg_str fix_text(const struct plan *plan) {
  const mg_str size = volume_size(plan, false);
  mg_str mount = mg_arena_printf(plan->arena, "volumeMounts: + {name: %.*s, mountPath: /dev/shm}", MG_FMT(plan->volume));
  if (plan->exists) return mount;
  return mg_arena_printf(plan->arena, "%.*s; volumes: + {name: %.*s, emptyDir: {medium: Memory%s%.*s}}", MG_FMT(mount),
                         MG_FMT(plan->volume), size.n ? ", sizeLimit: " : "", MG_FMT(size));
}

static bool want_mount(struct mg_run *run, struct mg_pod *pod, struct mg_container *c, mg_str fix) {
  struct mg_finding finding = {
      .pod = pod,
      .container = c,
      .where = MG_WHERE(c->node, MG_S("volumeMounts")),
      .subject = MG_S("/dev/shm"),
      .fix = fix,
  };
  struct mg_arena *arena = mg_run_arena(run);
  const char *init = c->list == MG_LIST_INIT ? "init " : "";
  mg_str who = {0};
  if (mg_run_explains(run))
    who = c->name.n ? mg_arena_printf(arena, "%scontainer \"%.*s\"", init, MG_FMT(c->name))
                    : mg_arena_printf(arena, "%scontainer %u", init, c->number);
  return mg_run_wants(run, &finding, "%.*s mounts nothing at /dev/shm and gets the runtime's 64Mi", MG_FMT(who));
}

/* The size that oldObject has is what an earlier policy gave it: put back, it changes nothing, and a Pod or Job would refuse
 * another. */
static void add_volume(struct mg_run *run, struct mg_pod *pod, struct plan *plan) {
  const struct mg_pod *old = mg_run_old_pod(run);
  mg_node before = old ? mg_pod_volume(old, plan->volume) : (mg_node){0};
  mg_str size = is_memory_volume(before) ? mg_text(MG_GET(MG_GET(before, "emptyDir"), "sizeLimit")) : volume_size(plan, true);
  mg_pod_add_memory_volume(pod, mg_run_patch(run), plan->volume, size, mg_old_place(before, MG_GET(pod->spec, "volumes")));
  if (!size.n)
    mg_run_warning(run, "volume \"%.*s\" at /dev/shm has no sizeLimit: the rule has none and a container has no memory limit",
                   MG_FMT(plan->volume));
}

static void mutate(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  struct plan plan;
  if (!is_enough(p, pod) || pod->row->own_shared_memory) return;
  if (mg_true(MG_GET(pod->spec, "hostIPC")) || !mg_pod_may_set(pod, MG_S("volumes"))) return;
  if (!is_list(MG_GET(pod->spec, "volumes")) || !make_plan(run, p, pod, &plan)) return;
  mg_str fix = mg_run_explains(run) ? fix_text(&plan) : (mg_str){0};
  for (uint32_t i = 0; i < plan.count; i++) {
    struct candidate *c = &plan.candidates[i];
    c->wanted = want_mount(run, pod, c->container, fix);
  }
  for (uint32_t i = 0; i < plan.count; i++) {
    struct mg_container *c = plan.candidates[i].container;
    if (!plan.candidates[i].wanted) continue;
    if (!plan.exists) add_volume(run, pod, &plan);
    plan.exists = true;
    uint32_t at = mg_old_place(old_mount(run, c), MG_GET(c->node, "volumeMounts"));
    mg_container_add_mount(pod, mg_run_patch(run), c, plan.volume, MG_S("/dev/shm"), at);
  }
}

static uint32_t needs(const void *params) {
  (void)params;
  return MG_CTX_CLAIMS;
}

const struct mg_rule_type mg_rule_shared_memory = {
    .name = "sharedMemory",
    .doc = "Mounts a memory-backed emptyDir at /dev/shm in containers that use accelerators, sized by their memory limit.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .mutate = mutate,
    .needs = needs,
};
