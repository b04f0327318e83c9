/* gpuLimits in three files: what a container declares (gpu_limits.c), the numbers (gpu_sums.c), back doors (gpu_signals.c). */
#pragma once
#include "policy/rule.h"

enum mg_gpu_signal {
  MG_SIGNAL_ENV,
  MG_SIGNAL_RUNTIME_CLASS,
  MG_SIGNAL_DEVICE_PATH,
  MG_SIGNAL_NODE_SELECTOR,
  MG_SIGNAL_TOLERATION,
  MG_SIGNAL_IMAGE
};
extern const char *const mg_gpu_signal_words[]; /* by enum mg_gpu_signal, NULL-terminated */

/* Parameters that the files share. */
struct mg_gpu {
  struct mg_device_filter filter; /* which accelerators the rule is about */
  struct mg_list infrastructure;  /* of struct mg_pattern *; items NULL: the built-in list */
  uint32_t signals;               /* bits 1 << enum mg_gpu_signal */
  struct mg_gpu_max {
    struct mg_opt_int container, pod, workload;
  } max;
  struct mg_list allowed; /* of struct mg_opt_int: devices of a container; empty: any */
};

/* The resource is an accelerator that the rule is about. */
bool mg_gpu_in_scope(const struct mg_gpu *gpu, const struct mg_amount *a);
bool mg_gpu_uses_some(const struct mg_gpu *gpu, const struct mg_container *c);
/* The container asks for one: an amount in scope that is not zero, a resolved claim, a share, or its kind says so. */
static inline bool mg_gpu_uses(const struct mg_gpu *gpu, const struct mg_container *c) {
  return c->uses_accelerator && (c->claims_device || c->shared || c->presumed || mg_gpu_uses_some(gpu, c));
}

/* Each where the parameters ask for it: signals, max or allowed, max.pod, max.workload. */
void mg_gpu_judge_signals(struct mg_run *run, const struct mg_gpu *gpu, struct mg_pod *pod);
void mg_gpu_judge_container(struct mg_run *run, const struct mg_gpu *gpu, struct mg_pod *pod, struct mg_container *c);
void mg_gpu_judge_pod(struct mg_run *run, const struct mg_gpu *gpu, struct mg_pod *pod);
void mg_gpu_judge_workload(struct mg_run *run, const struct mg_gpu *gpu, const struct mg_workload *workload);

/* Where a container asks for devices: its largest amount, else its claims, a size, or the container itself. */
struct mg_where mg_gpu_where(const struct mg_gpu *gpu, const struct mg_container *c);
/* More devices are worse. */
struct mg_measure mg_gpu_measure(int64_t devices);
/* `container "a"`, `init container "a"`, `container 0`. */
mg_str mg_gpu_who(const struct mg_run *run, const struct mg_container *c);
/* Text of an object in a message: no longer than people read. */
mg_str mg_gpu_short(struct mg_arena *arena, mg_str s);
