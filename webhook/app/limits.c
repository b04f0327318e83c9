#include "app/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#define MEMORY_FILE "/sys/fs/cgroup/memory.max"
#define RESIDENT ((int64_t)24 << 20)      /* what the program has whatever comes, policies and context with it */
#define CONNECTION ((int64_t)24 << 10)    /* of memory, also of an idle one */
#define DESCRIPTORS 128                   /* besides those of connections: files, registries, what lingers */
#define DESCRIPTORS_MOST ((rlim_t)1 << 20) /* the kernel's table grows with them */
#define API_SERVER_IDLE 90                /* seconds that it keeps an idle connection */

static int64_t memory_limit(void) {
  FILE *file = fopen(MEMORY_FILE, "re");
  int64_t bytes = 0;
  if (!file) return 0;
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes it, as a number of 64 bits or a word */
  if (fscanf(file, "%" SCNd64, &bytes) != 1) bytes = 0; /* "max" */
  (void)fclose(file);
  return bytes > 0 ? bytes : 0;
}

/* A program that does not use select() may have more than the soft limit, which is often 1024. */
static int64_t descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlim_t want = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > DESCRIPTORS_MOST ? DESCRIPTORS_MOST : limit.rlim_max;
  if (limit.rlim_cur < want) {
    struct rlimit more = {.rlim_cur = want, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) return (int64_t)want;
  }
  return limit.rlim_cur < DESCRIPTORS_MOST ? (int64_t)limit.rlim_cur : (int64_t)DESCRIPTORS_MOST;
}

struct mg_machine mg_machine_look(void) {
  return (struct mg_machine){.memory = memory_limit(), .descriptors = descriptors()};
}

static void fit_descriptors(const struct mg_machine *machine, struct mg_http_options *http, struct mg_buf *said) {
  int64_t room = machine->descriptors - DESCRIPTORS;
  if (machine->descriptors == 0 || http->max_connections <= room) return;
  if (room < 8) room = 8;
  mg_buf_printf(said, "at most %" PRId64 " connections instead of %u, as only %" PRId64 " files can be open\n", room,
                http->max_connections, machine->descriptors);
  http->max_connections = (unsigned)room;
}

static int64_t needed(const struct mg_http_options *http) {
  return RESIDENT + CONNECTION * http->max_connections + (int64_t)http->body_budget + (int64_t)http->arena_budget;
}

/* Three parts of eight for what comes in, five for what is made of it; one of the largest must fit in any case. */
static void shrink(const struct mg_serve_limits *limits, int64_t room, struct mg_http_options *http) {
  size_t part = room > 0 ? (size_t)room / 8 : 0;
  if (!limits->body_budget.set) http->body_budget = part * 3 > http->max_body ? part * 3 : http->max_body;
  if (!limits->memory_budget.set) http->arena_budget = part * 5 > http->arena_max ? part * 5 : http->arena_max;
}

static void fit_memory(const struct mg_serve_limits *limits, const struct mg_machine *machine, struct mg_http_options *http,
                       struct mg_buf *said) {
  if (machine->memory == 0 || needed(http) <= machine->memory) return;
  shrink(limits, machine->memory - RESIDENT - CONNECTION * http->max_connections, http);
  int64_t most = needed(http);
  if (most > machine->memory)
    mg_buf_printf(said,
                  "the container has %" PRId64 " MiB of memory, and reviews and connections may need %" PRId64
                  ": see --max-connections, --max-body, --body-budget, --review-memory and --memory-budget\n",
                  machine->memory >> 20, most >> 20);
  else
    mg_buf_printf(said, "--body-budget %zuMi and --memory-budget %zuMi, so that the container's %" PRId64 " MiB are enough\n",
                  http->body_budget >> 20, http->arena_budget >> 20, machine->memory >> 20);
}

static int check(const struct mg_http_options *http, struct mg_buf *said, struct mg_err *err) {
  if (http->body_budget < http->max_body) return mg_err_set(err, MG_E_USAGE, "--body-budget is less than --max-body");
  if (http->arena_budget < http->arena_max) return mg_err_set(err, MG_E_USAGE, "--memory-budget is less than --review-memory");
  if (http->max_waiting > http->max_connections)
    return mg_err_set(err, MG_E_USAGE, "--max-waiting is more than --max-connections");
  if (http->age_seconds < http->idle_seconds)
    return mg_err_set(err, MG_E_USAGE, "--age-time is less than --idle-time");
  if (http->idle_seconds <= API_SERVER_IDLE)
    mg_buf_printf(said, "--idle-time %u: an API server keeps idle connections for %d s, and loses requests where it ends later\n",
                  http->idle_seconds, API_SERVER_IDLE);
  return 0;
}

static unsigned ms(struct mg_opt_int seconds) {
  return (unsigned)seconds.value * 1000;
}

int mg_limits_use(const struct mg_serve_limits *l, const struct mg_machine *machine, struct mg_http_options *http,
                  struct mg_buf *said, struct mg_err *err) {
  http->threads = (unsigned)l->threads.value;
  http->max_connections = (unsigned)l->connections.value;
  http->max_waiting = (unsigned)l->waiting.value;
  http->max_body = (size_t)l->body.value;
  http->arena_max = (size_t)l->memory.value;
  if (l->body_budget.set) http->body_budget = (size_t)l->body_budget.value;
  if (l->memory_budget.set) http->arena_budget = (size_t)l->memory_budget.value;
  http->handshake_ms = ms(l->handshake), http->head_ms = ms(l->head);
  http->body_ms = ms(l->reading), http->reader_ms = ms(l->writing);
  http->idle_seconds = (unsigned)l->idle.value, http->age_seconds = (unsigned)l->age.value;
  int code = check(http, said, err);
  if (code < 0) return code;
  fit_descriptors(machine, http, said);
  fit_memory(l, machine, http, said);
  return 0;
}
