#include "rules/gpu.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "rules/mount_path.h"

const char *const mg_gpu_signal_words[] = {
    [MG_SIGNAL_ENV] = "visibleDevices",        [MG_SIGNAL_RUNTIME_CLASS] = "runtimeClass",
    [MG_SIGNAL_DEVICE_PATH] = "devicePath",    [MG_SIGNAL_NODE_SELECTOR] = "nodeSelector",
    [MG_SIGNAL_TOLERATION] = "toleration",     [MG_SIGNAL_IMAGE] = "image",
    [MG_SIGNAL_IMAGE + 1] = NULL,
};

#define LONGEST_SHOWN 160
#define LONGEST_HOST_PATH 4096 /* PATH_MAX: beyond it no kernel opens anything */
#define DECLARE "declare the devices in resources.limits"

struct at {
  struct mg_run *run;
  const struct mg_gpu *gpu;
  struct mg_pod *pod;
  struct mg_container *c; /* NULL: the template */
};

static bool wanted(const struct at *at, enum mg_gpu_signal signal) {
  return at->gpu->signals >> signal & 1;
}

bool mg_gpu_in_scope(const struct mg_gpu *gpu, const struct mg_amount *a) {
  return a->accelerator && (!gpu->filter.resources.count || mg_any_pattern(gpu->filter.resources, a->resource));
}

bool mg_gpu_uses_some(const struct mg_gpu *gpu, const struct mg_container *c) {
  if (!gpu->filter.resources.count) return c->uses_accelerator;
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (mg_amount_used(&c->amounts[i]) && mg_gpu_in_scope(gpu, &c->amounts[i])) return true;
  return false;
}

mg_str mg_gpu_short(struct mg_arena *arena, mg_str s) {
  mg_str first = mg_utf8_first(s, LONGEST_SHOWN);
  return first.n == s.n ? s : mg_arena_printf(arena, "%.*s…", MG_FMT(first));
}

mg_str mg_gpu_who(const struct mg_run *run, const struct mg_container *c) {
  static const char *const lists[] = {
      [MG_LIST_INIT] = "init container",
      [MG_LIST_MAIN] = "container",
      [MG_LIST_EPHEMERAL] = "ephemeral container",
      [MG_LIST_EXTRA] = "container",
  };
  struct mg_arena *arena = mg_run_arena(run);
  mg_str name = mg_gpu_short(arena, c->name);
  return name.n ? mg_arena_printf(arena, "%s \"%.*s\"", lists[c->list], MG_FMT(name))
                : mg_arena_printf(arena, "%s %u", lists[c->list], c->number);
}

static bool is_infrastructure(const struct at *at, struct mg_container *c) {
  if (!at->gpu->infrastructure.items) return mg_container_is_infrastructure(at->pod, c);
  return mg_any_pattern(at->gpu->infrastructure, mg_container_image(at->pod, c));
}

static struct mg_finding finding_at(const struct at *at, mg_node node, mg_str subject, mg_str value) {
  return (struct mg_finding){.pod = at->pod,
                             .container = at->c,
                             .where = {.node = node},
                             .subject = subject,
                             .measure = {.kind = MG_MEASURE_TEXT, .text = value}};
}

/* --- visibleDevices --- */

/* Empty, void and none hand out nothing, and one void in a list wins. */
static bool hands_out(mg_str value) {
  if (value.n == 0 || mg_str_is(value, "none")) return false;
  for (;;) {
    mg_str part = {value.p, mg_str_find(value, ',')};
    if (mg_str_is(part, "void")) return false;
    if (part.n == value.n) return true;
    value = mg_str_from(value, part.n + 1);
  }
}

/* An explicit zero is worth telling: somebody meant to take the devices away. */
static const struct mg_amount *zero_limit(const struct at *at) {
  for (uint32_t i = 0; i < at->c->amount_count; i++) {
    const struct mg_amount *a = &at->c->amounts[i];
    if (a->limit_state == MG_AMOUNT_READ && a->limit_q.nano == 0 && mg_gpu_in_scope(at->gpu, a)) return a;
  }
  return NULL;
}

static void judge_variable(const struct at *at, mg_node env, mg_str name) {
  mg_node last = {0};
  for (mg_node e = mg_first(env); e.at; e = mg_next(e))
    if (mg_str_eq(mg_string(MG_GET(e, "name")), name)) last = e;
  mg_node value = MG_GET(last, "value");
  if (!mg_missing(MG_GET(last, "valueFrom")) || !hands_out(mg_text(value)) || is_infrastructure(at, at->c)) return;
  struct mg_arena *arena = mg_run_arena(at->run);
  struct mg_finding f = finding_at(at, value, mg_arena_printf(arena, "signal %.*s", MG_FMT(name)), mg_text(value));
  f.fix = mg_arena_printf(arena, DECLARE ", or set %.*s to void", MG_FMT(name));
  mg_str who = mg_gpu_who(at->run, at->c), shown = mg_gpu_short(arena, mg_text(value));
  const struct mg_amount *zero = zero_limit(at);
  if (zero)
    mg_run_violation(at->run, &f, "%.*s takes devices through %.*s=%.*s although its %.*s limit is 0", MG_FMT(who), MG_FMT(name),
                     MG_FMT(shown), MG_FMT(mg_gpu_short(arena, zero->resource)));
  else
    mg_run_violation(at->run, &f, "%.*s takes devices through %.*s=%.*s without a limit", MG_FMT(who), MG_FMT(name),
                     MG_FMT(shown));
}

static void judge_env(const struct at *at) {
  mg_node env = MG_GET(at->c->node, "env");
  struct mg_list names = at->pod->accelerators->back_doors.env;
  if (!mg_is(env, MG_ARRAY)) return;
  for (uint32_t i = 0; i < names.count; i++) judge_variable(at, env, MG_LIST_AT(names, mg_str, i));
}

/* --- devicePath --- */

struct host {
  mg_str name; /* of the volume */
  mg_str path; /* as written */
};

struct hosts {
  struct host *items; /* by name */
  uint32_t count;
};

static int by_name(const void *a, const void *b) {
  return mg_str_cmp(((const struct host *)a)->name, ((const struct host *)b)->name);
}

static struct hosts read_hosts(const struct mg_pod *pod, struct mg_arena *arena) {
  struct hosts hosts = {0};
  mg_node volumes = MG_GET(pod->spec, "volumes");
  if (!mg_is(volumes, MG_ARRAY) || !mg_count(volumes)) return hosts;
  hosts.items = MG_NEW_N(arena, struct host, mg_count(volumes));
  if (!hosts.items) return hosts;
  for (mg_node v = mg_first(volumes); v.at; v = mg_next(v)) {
    struct host h = {mg_string(MG_GET(v, "name")), mg_string(MG_GET(MG_GET(v, "hostPath"), "path"))};
    if (h.name.n && h.path.n && h.path.n < LONGEST_HOST_PATH) hosts.items[hosts.count++] = h;
  }
  if (hosts.count > 1) qsort(hosts.items, hosts.count, sizeof *hosts.items, by_name);
  return hosts;
}

struct path {
  char text[2 * LONGEST_HOST_PATH + 4];
  mg_str s;
};

/* What the mount shows of the host. A subPath narrows the volume: of "/" only "dev", of "/dev" only "shm". */
static bool shown_path(mg_str path, mg_str sub, struct path *ret) {
  if (path.n >= LONGEST_HOST_PATH || sub.n >= LONGEST_HOST_PATH) return false;
  size_t n = mg_mount_path_add(ret->text, 0, path);
  n = mg_mount_path_add(ret->text, n, sub);
  if (n == 0) ret->text[n++] = '/';
  ret->s = (mg_str){ret->text, n};
  return true;
}

static void judge_mount(const struct at *at, const struct hosts *hosts, mg_node mount) {
  struct host key = {.name = mg_string(MG_GET(mount, "name"))};
  const struct host *host = bsearch(&key, hosts->items, hosts->count, sizeof key, by_name);
  struct path from, to;
  if (!host || !shown_path(host->path, mg_string(MG_GET(mount, "subPath")), &from)) return;
  struct mg_arena *arena = mg_run_arena(at->run);
  bool direct = mg_any_pattern(at->pod->accelerators->back_doors.paths, from.s);
  bool asked = !direct && mg_str_is(from.s, "/dev/null") && shown_path(mg_string(MG_GET(mount, "mountPath")), (mg_str){0}, &to) &&
               mg_any_pattern(at->pod->accelerators->back_doors.mounts, to.s);
  if ((!direct && !asked) || is_infrastructure(at, at->c)) return;
  mg_str shown = mg_gpu_short(arena, mg_arena_dup(arena, direct ? from.s : to.s)), who = mg_gpu_who(at->run, at->c);
  struct mg_finding f = finding_at(at, mount, mg_arena_printf(arena, "signal %.*s", MG_FMT(shown)), shown);
  f.fix = MG_S(DECLARE ", or drop the mount");
  if (direct)
    mg_run_violation(at->run, &f, "%.*s mounts %.*s of the host without a limit", MG_FMT(who), MG_FMT(shown));
  else
    mg_run_violation(at->run, &f, "%.*s asks for devices by a mount on %.*s without a limit", MG_FMT(who), MG_FMT(shown));
}

static void judge_mounts(const struct at *at, const struct hosts *hosts) {
  const mg_node lists[] = {MG_GET(at->c->node, "volumeMounts"), MG_GET(at->c->node, "volumeDevices")};
  if (!hosts->count) return;
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    if (mg_is(lists[i], MG_ARRAY))
      for (mg_node m = mg_first(lists[i]); m.at; m = mg_next(m)) judge_mount(at, hosts, m);
}

/* --- image --- */

static void judge_image(const struct at *at) {
  mg_str image = mg_container_image(at->pod, at->c);
  if (!image.n || !mg_any_pattern(at->pod->accelerators->back_doors.images, image) || is_infrastructure(at, at->c)) return;
  mg_str who = mg_gpu_who(at->run, at->c), shown = mg_gpu_short(mg_run_arena(at->run), image);
  struct mg_finding f = finding_at(at, MG_GET(at->c->node, "image"), MG_S("signal image"), image);
  f.fix = MG_S(DECLARE);
  mg_run_violation(at->run, &f, "%.*s runs %.*s, an image made for devices, without a limit", MG_FMT(who), MG_FMT(shown));
}

/* --- of the whole template --- */

static void judge_runtime_class(const struct at *at, mg_node n) {
  mg_str name = mg_string(n);
  if (!name.n || !mg_any_pattern(at->pod->accelerators->back_doors.runtime_classes, name)) return;
  struct mg_finding f = finding_at(at, n, MG_S("signal runtimeClass"), name);
  f.fix = MG_S(DECLARE ", or drop runtimeClassName");
  mg_str shown = mg_gpu_short(mg_run_arena(at->run), name);
  mg_run_violation(at->run, &f, "runtime class \"%.*s\" shows devices and no container sets a limit", MG_FMT(shown));
}

/* "false" keeps off the nodes that the label is about. */
static bool selects_devices(const struct at *at, mg_node key) {
  return !mg_str_is(mg_text(mg_value(key)), "false") && mg_any_pattern(at->pod->accelerators->node_labels, mg_text(key));
}

static bool tolerates_devices(const struct at *at, mg_node toleration) {
  const struct mg_accelerators *all = at->pod->accelerators;
  mg_str key = mg_string(MG_GET(toleration, "key"));
  if (!key.n) return false;
  struct mg_amount as = {.resource = key, .accelerator = mg_accelerator_of(all, key)};
  return mg_gpu_in_scope(at->gpu, &as) || mg_any_pattern(all->node_labels, key);
}

/* Several of one kind are one violation; fewer of them are no worse. */
static void judge_hint(const struct at *at, mg_node list, enum mg_gpu_signal signal) {
  bool labels = signal == MG_SIGNAL_NODE_SELECTOR;
  mg_node first = {0};
  mg_nano count = 0;
  for (mg_node n = mg_first(list); n.at; n = mg_next(n)) {
    if (!(labels ? selects_devices(at, n) : tolerates_devices(at, n))) continue;
    if (!count++) first = n;
  }
  if (!count) return;
  mg_str subject = labels ? MG_S("signal nodeSelector") : MG_S("signal toleration");
  struct mg_finding f = finding_at(at, labels ? mg_value(first) : first, subject, MG_S(""));
  f.measure = (struct mg_measure){.kind = MG_MEASURE_MORE_IS_WORSE, .amount = count};
  f.fix = labels ? MG_S(DECLARE ", or drop the node label") : MG_S(DECLARE ", or drop the toleration");
  mg_str shown = mg_gpu_short(mg_run_arena(at->run), labels ? mg_text(first) : mg_string(MG_GET(first, "key")));
  mg_run_violation(at->run, &f, "%s %.*s, which stands for devices, and no container sets a limit",
                   labels ? "selects nodes by" : "tolerates the taint", MG_FMT(shown));
}

/* Whatever `resources` narrows the rule to: a limit for another device is a limit. That only its kind says so is none. */
static bool has_devices(const struct at *at) {
  return at->pod->has_unknown_claim || at->pod->has_granted;
}

static bool has_infrastructure(const struct at *at) {
  for (uint32_t i = 0; i < at->pod->container_count; i++)
    if (is_infrastructure(at, &at->pod->containers[i])) return true;
  return false;
}

static void judge_template(const struct at *at) {
  mg_node spec = at->pod->spec, class = {0}, labels = {0}, tolerations = {0};
  if (!mg_run_sees_template(at->run) || has_devices(at)) return;
  if (wanted(at, MG_SIGNAL_RUNTIME_CLASS)) class = MG_GET(spec, "runtimeClassName");
  if (wanted(at, MG_SIGNAL_NODE_SELECTOR)) labels = MG_GET(spec, "nodeSelector");
  if (wanted(at, MG_SIGNAL_TOLERATION)) tolerations = MG_GET(spec, "tolerations");
  bool by_class = mg_is(class, MG_STRING), by_labels = mg_is(labels, MG_OBJECT), by_tolerations = mg_is(tolerations, MG_ARRAY);
  if (!(by_class || by_labels || by_tolerations) || has_infrastructure(at)) return; /* images last: they are the dear part */
  if (by_class) judge_runtime_class(at, class);
  if (by_labels) judge_hint(at, labels, MG_SIGNAL_NODE_SELECTOR);
  if (by_tolerations) judge_hint(at, tolerations, MG_SIGNAL_TOLERATION);
}

void mg_gpu_judge_signals(struct mg_run *run, const struct mg_gpu *gpu, struct mg_pod *pod) {
  struct at at = {.run = run, .gpu = gpu, .pod = pod};
  struct hosts hosts = {0};
  if (wanted(&at, MG_SIGNAL_DEVICE_PATH)) hosts = read_hosts(pod, mg_run_arena(run));
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = at.c = &pod->containers[i];
    if (c->claims_unknown || mg_container_is_granted(c) || !mg_run_sees(run, c)) continue;
    if (wanted(&at, MG_SIGNAL_ENV)) judge_env(&at);
    if (wanted(&at, MG_SIGNAL_DEVICE_PATH)) judge_mounts(&at, &hosts);
    if (wanted(&at, MG_SIGNAL_IMAGE)) judge_image(&at);
  }
  at.c = NULL;
  judge_template(&at);
}
