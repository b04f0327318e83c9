#include "http/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

typedef _Atomic uint64_t counter;

static const char *const operations[MG_METRICS_OPERATIONS] = {"CREATE", "UPDATE", "DELETE", "CONNECT", "other"};
static const char *const results[MG_METRICS_RESULTS] = {"pass", "mutate", "deny", "warn", "audit", "exempt", "error"};
static const char *const reloads[MG_METRICS_RELOADS] = {"success", "failure"};

/* The bound as a number for the comparison and as it is printed. */
static const struct {
  uint64_t ns;
  const char *le;
} buckets[] = {
  {25000, "2.5e-05"},   {50000, "5e-05"},     {100000, "0.0001"},   {250000, "0.00025"},
  {500000, "0.0005"},   {1000000, "0.001"},   {2500000, "0.0025"},  {5000000, "0.005"},
  {25000000, "0.025"},  {100000000, "0.1"},   {1000000000, "1.0"},
};
#define BUCKETS (sizeof buckets / sizeof *buckets)

/* Few, since each policy has them. */
static const struct {
  uint64_t ns;
  const char *le;
} policy_buckets[] = {
  {500, "5e-07"},      {2500, "2.5e-06"},   {10000, "1e-05"},     {50000, "5e-05"},
  {250000, "0.00025"}, {2500000, "0.0025"}, {25000000, "0.025"},
};
#define POLICY_BUCKETS (sizeof policy_buckets / sizeof *policy_buckets)
#define POLICY_WIDTH (POLICY_BUCKETS + 2) /* beyond the last bound; the sum */

static const unsigned statuses[] = {400, 413, 500, 503, 0 /* other */};
#define STATUSES (sizeof statuses / sizeof *statuses)

struct names {
  char **list; /* n strings, one allocation each */
  size_t *rows; /* where each is counted: with the first of its name */
  size_t n;
};

struct mg_metrics {
  atomic_uint refs;
  char *version;
  struct names kinds, policies;
  size_t n_policies;    /* that there are; more than have a name are "other" */
  counter *requests;    /* [kind or other][operation][allowed] */
  counter *evaluations; /* [policy or other][result] */
  counter *policy_time; /* [policy or other][POLICY_WIDTH] */
  counter duration[BUCKETS + 1], duration_ns;
  counter refused[MG_REFUSE_N];
  counter errors[STATUSES];
  counter reloads[MG_METRICS_RELOADS];
  _Atomic int64_t last_reload, expiry, started;
};

static void add(counter *to, uint64_t n) {
  atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(const counter *from) {
  return atomic_load_explicit(from, memory_order_relaxed);
}

static void names_fini(struct names *names) {
  for (size_t i = 0; i < names->n; i++) {
    free(names->list[i]);
  }
  free(names->list);
  free(names->rows);
}

/* Policies of two namespaces may have one name, which may have one series. */
static size_t row_of(const struct names *names, size_t i) {
  size_t row = 0;
  while (row < i && strcmp(names->list[row], names->list[i]) != 0) {
    row++;
  }
  return row;
}

static bool names_init(struct names *names, const char *const *list, size_t n) {
  names->list = calloc(n + 1, sizeof *names->list);
  names->rows = calloc(n + 1, sizeof *names->rows);
  for (; names->list && names->rows && names->n < n; names->n++) {
    names->list[names->n] = strdup(list[names->n]);
    if (!names->list[names->n]) {
      return false;
    }
    names->rows[names->n] = row_of(names, names->n);
  }
  return names->list != NULL && names->rows != NULL;
}

struct mg_metrics *mg_metrics_ref(struct mg_metrics *metrics) {
  atomic_fetch_add_explicit(&metrics->refs, 1, memory_order_relaxed);
  return metrics;
}

void mg_metrics_unref(struct mg_metrics *metrics) {
  if (!metrics || atomic_fetch_sub_explicit(&metrics->refs, 1, memory_order_acq_rel) != 1) {
    return;
  }
  names_fini(&metrics->kinds);
  names_fini(&metrics->policies);
  free(metrics->requests);
  free(metrics->evaluations);
  free(metrics->policy_time);
  free(metrics->version);
  free(metrics);
}

static size_t at_most(size_t n) {
  return n < MG_METRICS_NAMES_MAX ? n : MG_METRICS_NAMES_MAX;
}

int mg_metrics_new(const struct mg_metrics_options *options, struct mg_metrics **ret_metrics, struct mg_err *err) {
  size_t kinds = at_most(options->n_kinds), policies = at_most(options->n_policies);
  struct mg_metrics *metrics = calloc(1, sizeof *metrics);
  if (metrics) {
    atomic_init(&metrics->refs, 1);
    metrics->version = strdup(options->version);
    metrics->requests = calloc((kinds + 1) * MG_METRICS_OPERATIONS * 2, sizeof *metrics->requests);
    metrics->evaluations = calloc((policies + 1) * MG_METRICS_RESULTS, sizeof *metrics->evaluations);
    metrics->policy_time = calloc((policies + 1) * POLICY_WIDTH, sizeof *metrics->policy_time);
    metrics->n_policies = options->n_policies;
    metrics->started = (int64_t)time(NULL);
  }
  if (!metrics || !metrics->version || !metrics->requests || !metrics->evaluations || !metrics->policy_time ||
      !names_init(&metrics->kinds, options->kinds, kinds) || !names_init(&metrics->policies, options->policies, policies)) {
    mg_metrics_unref(metrics);
    return mg_err_set(err, MG_E_NOMEM, "out of memory for the metrics");
  }
  *ret_metrics = metrics;
  return 0;
}

enum mg_metrics_operation mg_metrics_operation(mg_str operation) {
  for (size_t i = 0; i < MG_METRICS_OTHER_OPERATION; i++) {
    if (mg_str_is(operation, operations[i])) {
      return (enum mg_metrics_operation)i;
    }
  }
  return MG_METRICS_OTHER_OPERATION;
}

void mg_metrics_review(struct mg_metrics *metrics, enum mg_metrics_operation operation, size_t kind, bool allowed,
                       uint64_t nanoseconds) {
  size_t row = kind < metrics->kinds.n ? kind : metrics->kinds.n, bucket = 0;
  add(&metrics->requests[(row * MG_METRICS_OPERATIONS + operation) * 2 + allowed], 1);
  while (bucket < BUCKETS && nanoseconds > buckets[bucket].ns) {
    bucket++;
  }
  add(&metrics->duration[bucket], 1);
  add(&metrics->duration_ns, nanoseconds);
}

void mg_metrics_error(struct mg_metrics *metrics, unsigned http_status) {
  size_t i = 0;
  while (i + 1 < STATUSES && statuses[i] != http_status) {
    i++;
  }
  add(&metrics->errors[i], 1);
}

static size_t policy_row(const struct mg_metrics *metrics, size_t policy) {
  return policy < metrics->policies.n ? metrics->policies.rows[policy] : metrics->policies.n;
}

void mg_metrics_policy(struct mg_metrics *metrics, size_t policy, enum mg_metrics_result result) {
  if (policy < metrics->n_policies) {
    add(&metrics->evaluations[policy_row(metrics, policy) * MG_METRICS_RESULTS + result], 1);
  }
}

void mg_metrics_policy_time(struct mg_metrics *metrics, size_t policy, uint64_t nanoseconds) {
  counter *row = &metrics->policy_time[policy_row(metrics, policy) * POLICY_WIDTH];
  size_t bucket = 0;
  if (policy >= metrics->n_policies) {
    return;
  }
  while (bucket < POLICY_BUCKETS && nanoseconds > policy_buckets[bucket].ns) {
    bucket++;
  }
  add(&row[bucket], 1);
  add(&row[POLICY_BUCKETS + 1], nanoseconds);
}

void mg_metrics_refused(struct mg_metrics *metrics, enum mg_refusal why) {
  if (why < MG_REFUSE_N) {
    add(&metrics->refused[why], 1);
  }
}

void mg_metrics_reload(struct mg_metrics *metrics, enum mg_metrics_reload result, int64_t now) {
  add(&metrics->reloads[result], 1);
  if (result == MG_METRICS_RELOAD_OK) {
    atomic_store(&metrics->last_reload, now);
  }
}

void mg_metrics_expiry(struct mg_metrics *metrics, int64_t unix_seconds) {
  atomic_store(&metrics->expiry, unix_seconds);
}

static void carry_row(counter *to, counter *from, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint64_t counted = get(&from[i]) ? atomic_exchange_explicit(&from[i], 0, memory_order_relaxed) : 0;
    if (counted > 0) {
      add(&to[i], counted);
    }
  }
}

/* The search goes on behind the last hit, so lists that are nearly the same cost one comparison a name. A row whose name is gone
 * is dropped: its series ends. */
static void carry_named(struct names *to_names, counter *to, const struct names *from_names, counter *from, size_t width) {
  size_t at = 0;
  for (size_t i = 0; i < from_names->n; i++) {
    for (size_t tried = 0; tried < to_names->n; tried++) {
      size_t k = (at + tried) % to_names->n;
      if (strcmp(to_names->list[k], from_names->list[i]) == 0) {
        carry_row(&to[to_names->rows[k] * width], &from[i * width], width);
        at = k + 1;
        break;
      }
    }
  }
}

static void carry_time(_Atomic int64_t *to, const _Atomic int64_t *from) {
  int64_t none = 0;
  atomic_compare_exchange_strong(to, &none, atomic_load(from));
}

void mg_metrics_carry(struct mg_metrics *metrics, struct mg_metrics *from) {
  const size_t width = MG_METRICS_OPERATIONS * 2;
  carry_named(&metrics->kinds, metrics->requests, &from->kinds, from->requests, width);
  carry_row(&metrics->requests[metrics->kinds.n * width], &from->requests[from->kinds.n * width], width);
  carry_named(&metrics->policies, metrics->evaluations, &from->policies, from->evaluations, MG_METRICS_RESULTS);
  carry_row(&metrics->evaluations[metrics->policies.n * MG_METRICS_RESULTS],
            &from->evaluations[from->policies.n * MG_METRICS_RESULTS], MG_METRICS_RESULTS);
  carry_named(&metrics->policies, metrics->policy_time, &from->policies, from->policy_time, POLICY_WIDTH);
  carry_row(&metrics->policy_time[metrics->policies.n * POLICY_WIDTH], &from->policy_time[from->policies.n * POLICY_WIDTH],
            POLICY_WIDTH);
  carry_row(metrics->errors, from->errors, STATUSES);
  carry_row(metrics->duration, from->duration, BUCKETS + 1);
  carry_row(&metrics->duration_ns, &from->duration_ns, 1);
  carry_row(metrics->refused, from->refused, MG_REFUSE_N);
  carry_row(metrics->reloads, from->reloads, MG_METRICS_RELOADS);
  carry_time(&metrics->last_reload, &from->last_reload);
  carry_time(&metrics->expiry, &from->expiry);
  atomic_store(&metrics->started, atomic_load(&from->started));
}

/* A label value: backslash, quote and newline are escaped, as the format asks. */
static void put_label(struct mg_buf *out, const char *value) {
  for (; *value; value++) {
    const char *escape = *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : *value == '\\' ? "\\\\" : NULL;
    if (escape) {
      mg_buf_put(out, mg_str_of(escape));
    } else {
      mg_buf_byte(out, *value);
    }
  }
}

static void write_requests(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  for (size_t i = 0; i < (metrics->kinds.n + 1) * MG_METRICS_OPERATIONS * 2; i++) {
    uint64_t n = get(&metrics->requests[i]);
    size_t kind = i / 2 / MG_METRICS_OPERATIONS;
    if (n > 0) {
      mg_buf_printf(out, "%s{operation=\"%s\",kind=\"", name, operations[i / 2 % MG_METRICS_OPERATIONS]);
      put_label(out, kind < metrics->kinds.n ? metrics->kinds.list[kind] : "other");
      mg_buf_printf(out, "\",allowed=\"%s\"} %" PRIu64 "\n", i % 2 ? "true" : "false", n);
    }
  }
}

static void write_duration(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  uint64_t sum = 0, ns = get(&metrics->duration_ns);
  for (size_t i = 0; i <= BUCKETS; i++) {
    sum += get(&metrics->duration[i]);
    mg_buf_printf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, i < BUCKETS ? buckets[i].le : "+Inf", sum);
  }
  mg_buf_printf(out, "%s_sum %" PRIu64 ".%09" PRIu64 "\n", name, ns / 1000000000, ns % 1000000000);
  mg_buf_printf(out, "%s_count %" PRIu64 "\n", name, sum);
}

static size_t policy_rows(const struct mg_metrics *metrics) {
  return metrics->policies.n + (metrics->n_policies > metrics->policies.n);
}

static bool has_series(const struct mg_metrics *metrics, size_t row) {
  return row >= metrics->policies.n || metrics->policies.rows[row] == row;
}

static void put_policy(struct mg_buf *out, const struct mg_metrics *metrics, size_t row) {
  mg_buf_lit(out, "{policy=\"");
  put_label(out, row < metrics->policies.n ? metrics->policies.list[row] : "other");
}

static void write_errors(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  for (size_t i = 0; i + 1 < STATUSES; i++) {
    mg_buf_printf(out, "%s{status=\"%u\"} %" PRIu64 "\n", name, statuses[i], get(&metrics->errors[i]));
  }
  mg_buf_printf(out, "%s{status=\"other\"} %" PRIu64 "\n", name, get(&metrics->errors[STATUSES - 1]));
}

/* A policy that was never timed has no series yet. */
static void write_policy_time(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  for (size_t row = 0; row < policy_rows(metrics); row++) {
    const counter *of = &metrics->policy_time[row * POLICY_WIDTH];
    uint64_t sum = 0, ns = get(&of[POLICY_BUCKETS + 1]);
    for (size_t i = 0; ns > 0 && i <= POLICY_BUCKETS; i++) {
      sum += get(&of[i]);
      mg_buf_printf(out, "%s_bucket", name);
      put_policy(out, metrics, row);
      mg_buf_printf(out, "\",le=\"%s\"} %" PRIu64 "\n", i < POLICY_BUCKETS ? policy_buckets[i].le : "+Inf", sum);
    }
    if (ns > 0) {
      mg_buf_printf(out, "%s_sum", name);
      put_policy(out, metrics, row);
      mg_buf_printf(out, "\"} %" PRIu64 ".%09" PRIu64 "\n%s_count", ns / 1000000000, ns % 1000000000, name);
      put_policy(out, metrics, row);
      mg_buf_printf(out, "\"} %" PRIu64 "\n", sum);
    }
  }
}

static void write_evaluations(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  for (size_t i = 0; i < policy_rows(metrics) * MG_METRICS_RESULTS; i++) {
    if (!has_series(metrics, i / MG_METRICS_RESULTS)) {
      continue;
    }
    mg_buf_put(out, mg_str_of(name));
    put_policy(out, metrics, i / MG_METRICS_RESULTS);
    mg_buf_printf(out, "\",result=\"%s\"} %" PRIu64 "\n", results[i % MG_METRICS_RESULTS], get(&metrics->evaluations[i]));
  }
}

static void write_policies(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %zu\n", name, metrics->n_policies);
}

static void write_refused(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  for (size_t i = 0; i < MG_REFUSE_N; i++) {
    mg_buf_printf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", name, mg_refusal_rows[i].label, get(&metrics->refused[i]));
  }
}

static void write_reloads(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  for (size_t i = 0; i < MG_METRICS_RELOADS; i++) {
    mg_buf_printf(out, "%s{result=\"%s\"} %" PRIu64 "\n", name, reloads[i], get(&metrics->reloads[i]));
  }
}

static void write_last_reload(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %" PRId64 "\n", name, atomic_load(&metrics->last_reload));
}

static void write_expiry(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %" PRId64 "\n", name, atomic_load(&metrics->expiry));
}

static void write_build(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s{version=\"", name);
  put_label(out, metrics->version);
  mg_buf_lit(out, "\"} 1\n");
}

static void write_cpu(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  (void)metrics;
  struct rusage usage = {0};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    int64_t us = ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
                 usage.ru_stime.tv_usec;
    mg_buf_printf(out, "%s %" PRId64 ".%06" PRId64 "\n", name, us / 1000000, us % 1000000);
  }
}

/* In bytes, by its place in the file. */
static unsigned long long statm(int field) {
  FILE *file = fopen("/proc/self/statm", "re");
  char line[128] = "", *at = line;
  unsigned long long pages = 0;
  if (file && fgets(line, sizeof line, file)) {
    for (int i = 0; i <= field; i++) {
      pages = strtoull(at, &at, 10);
    }
  }
  if (file) {
    (void)fclose(file);
  }
  return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void write_resident(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  (void)metrics;
  mg_buf_printf(out, "%s %llu\n", name, statm(1));
}

static void write_virtual(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  (void)metrics;
  mg_buf_printf(out, "%s %llu\n", name, statm(0));
}

static void write_max_fds(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  (void)metrics;
  struct rlimit limit = {0};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    mg_buf_printf(out, "%s %llu\n", name, (unsigned long long)limit.rlim_cur);
  }
}

static void write_fds(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  (void)metrics;
  size_t n = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (!dir) {
    return;
  }
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    n += entry->d_name[0] != '.';
  }
  closedir(dir);
  mg_buf_printf(out, "%s %zu\n", name, n - 1); /* not the one that was reading */
}

static void write_start(const struct mg_metrics *metrics, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %" PRId64 "\n", name, atomic_load(&metrics->started));
}

static const struct {
  const char *name, *type, *help;
  void (*write)(const struct mg_metrics *metrics, const char *name, struct mg_buf *out);
} families[] = {
  {"mlgate_admission_requests_total", "counter", "Reviews answered.", write_requests},
  {"mlgate_admission_duration_seconds", "histogram", "Time from a complete review to its answer.", write_duration},
  {"mlgate_policy_evaluations_total", "counter", "Policies that matched a review, by what came of it.", write_evaluations},
  {"mlgate_policy_duration_seconds", "histogram",
   "Time that a policy that matched took of a review; of one review in seventeen.", write_policy_time},
  {"mlgate_policies", "gauge", "Policies loaded.", write_policies},
  {"mlgate_admission_errors_total", "counter", "Reviews answered with an error instead of a verdict, by HTTP status.",
   write_errors},
  {"mlgate_http_refused_total", "counter", "Requests refused before they became a review.", write_refused},
  {"mlgate_config_reloads_total", "counter", "Attempts to read policies, context and certificates anew.", write_reloads},
  {"mlgate_config_last_reload_success_timestamp_seconds", "gauge", "When the last of them succeeded.", write_last_reload},
  {"mlgate_certificate_expiry_timestamp_seconds", "gauge", "When the server certificate ends.", write_expiry},
  {"mlgate_build_info", "gauge", "The version that is running.", write_build},
  {"process_cpu_seconds_total", "counter", "CPU time of the process and of the kernel for it.", write_cpu},
  {"process_resident_memory_bytes", "gauge", "Resident memory.", write_resident},
  {"process_virtual_memory_bytes", "gauge", "Virtual memory.", write_virtual},
  {"process_max_fds", "gauge", "File descriptors, at most.", write_max_fds},
  {"process_open_fds", "gauge", "Open file descriptors.", write_fds},
  {"process_start_time_seconds", "gauge", "Start of the process since the Unix epoch.", write_start},
};

void mg_metrics_head(struct mg_buf *out, const char *name, const char *type, const char *help) {
  mg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void mg_metrics_write(const struct mg_metrics *metrics, struct mg_buf *out) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    mg_metrics_head(out, families[i].name, families[i].type, families[i].help);
    families[i].write(metrics, families[i].name, out);
  }
}
