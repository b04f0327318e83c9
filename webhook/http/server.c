#include "http/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/credentials.h"
#include "http/exchange.h"
#include "http/listen.h"

#define MIB (1024u * 1024)
#define THREADS_MAX 8
#define CONNECTION_MEMORY (12u * 1024) /* all of it stays touched, so it is half of what an idle connection takes */
#define PLAIN_CONNECTIONS 64
#define SPARE_ROWS 64 /* each worker may accept one more than there is room for */
#define POLL_MS 10
#define WAITING_SHARE 4 /* one of so many connections may have a review that waits, so that others still get through */
#define QUIET_MS 1000  /* idle connections alone are not waited for longer */

/* TLS 1.2 and later, AEAD ciphers, forward secrecy; no tickets, as the API server never resumes. */
static char priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
                           "+CHACHA20-POLY1305:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-MAC-ALL:+AEAD:-GROUP-ALL:+GROUP-X25519:"
                           "+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE:%NO_TICKETS";

struct mg_http_options mg_http_defaults(void) {
  return (struct mg_http_options){
    .listen_tls = ":8443",
    .listen_plain = ":8080",
    .max_body = 8 * MIB,
    .body_budget = 24 * MIB,
    .arena_max = 32 * MIB,
    .arena_budget = 40 * MIB,
    .max_connections = 1024,
    .idle_seconds = 120,
    .age_seconds = 30 * 60,
    .handshake_ms = 5000,
    .head_ms = 5000,
    .body_ms = 10000,
    .reader_ms = 5000,
  };
}

static unsigned thread_count(const struct mg_http_options *options) {
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  if (options->threads) {
    return options->threads;
  }
  return online < 1 ? 1 : online > THREADS_MAX ? THREADS_MAX : (unsigned)online;
}

/* A list of options for libmicrohttpd; one row stays free for the end. */
struct option_list {
  struct MHD_OptionItem items[24];
  size_t n;
};

static void add_option(struct option_list *list, enum MHD_OPTION option, intptr_t value, void *pointer) {
  if (list->n + 1 < sizeof list->items / sizeof *list->items) {
    list->items[list->n++] = (struct MHD_OptionItem){option, value, pointer};
    list->items[list->n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  }
}

static void add_common(struct option_list *list, struct mg_http_door *door) {
  add_option(list, MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)door->server->options.idle_seconds, NULL);
  add_option(list, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL);
  add_option(list, MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)mg_exchange_end, door);
  add_option(list, MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)mg_exchange_connection, door);
  add_option(list, MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)mg_exchange_begin, door);
}

static int start_worker(struct mg_http_door *door, unsigned flags, const struct option_list *list, unsigned limit,
                        struct mg_err *err) {
  errno = 0;
  struct MHD_Daemon *daemon = MHD_start_daemon(flags | MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
                                               mg_exchange_step, door, MHD_OPTION_ARRAY, list->items, MHD_OPTION_END);
  if (!daemon) {
    return mg_err_set(err, MG_E_IO, "cannot start the server: %s", errno ? strerror(errno) : "libmicrohttpd refused");
  }
  struct mg_worker_options options = {
    .daemon = daemon,
    .connections = door->connections,
    .listen_fd = door->listen_fd,
    .limit = limit,
  };
  int code = mg_worker_start(&options, &door->workers[door->n_workers], err);
  if (code == 0) {
    door->n_workers++;
  }
  return code;
}

/* Some room for those that have ended and are not yet cleaned up. */
static int start_table(struct mg_http_door *door, unsigned limit, struct mg_err *err) {
  unsigned threads = thread_count(&door->server->options), spare = limit / 16 > threads ? limit / 16 : threads;
  struct mg_connections_options options = {
    .max = limit + SPARE_ROWS,
    .crowded = limit > 2 * spare ? limit - spare : limit,
    .idle_ms = (int64_t)door->server->options.idle_seconds * 1000,
    .handshake_ms = door->server->options.handshake_ms,
    .head_ms = door->server->options.head_ms,
  };
  return mg_connections_new(&options, &door->connections, err);
}

static int take_credentials(struct mg_http_server *server, struct mg_err *err) {
  const struct mg_http_options *options = &server->options;
  if (options->credentials) {
    server->credentials = mg_credentials_ref(options->credentials);
    return 0;
  }
  struct mg_credentials_files files = {.cert = options->cert_path, .key = options->key_path};
  return mg_credentials_load(&files, &server->credentials, err);
}

void mg_http_swap_credentials(struct mg_http_server *server, struct mg_credentials *credentials) {
  pthread_mutex_lock(&server->swap);
  struct mg_credentials *old = server->credentials;
  server->credentials = credentials;
  pthread_mutex_unlock(&server->swap);
  mg_credentials_unref(old);
}

static int listen_at(struct mg_http_door *door, const char *address, struct mg_err *err) {
  struct mg_http_bound *bound = door->server->options.bound;
  if (!bound || bound[door->which].fd < 0) {
    return mg_listen(address, &door->listen_fd, &door->port, err);
  }
  door->listen_fd = bound[door->which].fd;
  door->port = bound[door->which].port;
  bound[door->which].fd = -1;
  return 0;
}

static int start_tls(struct mg_http_door *door, struct mg_err *err) {
  const struct mg_http_options *options = &door->server->options;
  unsigned threads = thread_count(options), limit = options->max_connections ? options->max_connections : 1;
  int code = take_credentials(door->server, err);
  if (code == 0) {
    code = start_table(door, limit, err);
  }
  if (code == 0) {
    code = listen_at(door, options->listen_tls, err);
  }
  if (code != 0) {
    return code;
  }
  struct option_list list = {.n = 0};
  add_common(&list, door);
  add_option(&list, MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limit + SPARE_ROWS, NULL);
  add_option(&list, MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)mg_credentials_retrieve);
  add_option(&list, MHD_OPTION_HTTPS_PRIORITIES, 0, priorities);
  for (unsigned i = 0; i < threads && code == 0; i++) {
    code = start_worker(door, MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME, &list, limit, err);
  }
  return code;
}

static int start_plain(struct mg_http_door *door, struct mg_err *err) {
  if (!door->server->options.listen_plain) {
    return 0;
  }
  int code = start_table(door, PLAIN_CONNECTIONS, err);
  if (code == 0) {
    code = listen_at(door, door->server->options.listen_plain, err);
  }
  if (code != 0) {
    return code;
  }
  struct option_list list = {.n = 0};
  add_common(&list, door);
  add_option(&list, MHD_OPTION_CONNECTION_LIMIT, PLAIN_CONNECTIONS + SPARE_ROWS, NULL);
  return start_worker(door, 0, &list, PLAIN_CONNECTIONS, err);
}

static int check_options(const struct mg_http_options *options, const struct mg_http_handlers *handlers, struct mg_err *err) {
  if (!options->listen_tls || !(options->credentials || (options->cert_path && options->key_path)) || !handlers->review) {
    return mg_err_set(err, MG_E_USAGE, "the server needs an address, a certificate, its key and a handler");
  }
  if (options->max_body == 0 || options->body_budget < options->max_body || options->threads > MG_WORKERS_MAX) {
    return mg_err_set(err, MG_E_USAGE, "the body limit must be above 0 and within the budget, and threads at most %d",
                      MG_WORKERS_MAX);
  }
  return 0;
}

int mg_http_start(const struct mg_http_options *options, const struct mg_http_handlers *handlers,
                  struct mg_http_server **ret_server, struct mg_err *err) {
  int code = check_options(options, handlers, err);
  if (code != 0) {
    return code;
  }
  struct mg_http_server *server = calloc(1, sizeof *server);
  if (!server) {
    return mg_err_set(err, MG_E_NOMEM, "out of memory for the server");
  }
  server->options = *options;
  server->handlers = *handlers;
  pthread_mutex_init(&server->lock, NULL);
  pthread_mutex_init(&server->swap, NULL);
  pthread_mutex_init(&server->aside, NULL);
  server->max_waiting = options->max_waiting ? options->max_waiting : options->max_connections / WAITING_SHARE;
  server->bodies.max = options->body_budget;
  server->arenas.max = options->arena_budget;
  for (int i = 0; i < MG_DOORS; i++) {
    server->doors[i] = (struct mg_http_door){.server = server, .which = (enum mg_door)i, .listen_fd = -1};
  }
  code = mg_exchange_prepare(server);
  if (code != 0) {
    (void)mg_err_set(err, code, "out of memory for the server");
  }
  if (code == 0) {
    code = mg_linger_start(&server->linger, err);
  }
  if (code == 0) {
    code = start_tls(&server->doors[MG_DOOR_TLS], err);
  }
  if (code == 0) {
    code = start_plain(&server->doors[MG_DOOR_PLAIN], err);
  }
  if (code != 0) {
    mg_http_stop(server);
    return code;
  }
  *ret_server = server;
  return 0;
}

uint16_t mg_http_port_tls(const struct mg_http_server *server) {
  return server->doors[MG_DOOR_TLS].port;
}

uint16_t mg_http_port_plain(const struct mg_http_server *server) {
  return server->doors[MG_DOOR_PLAIN].port;
}

size_t mg_http_in_flight(const struct mg_http_server *server) {
  return atomic_load(&server->doors[MG_DOOR_TLS].in_flight);
}

uint64_t mg_http_ended(const struct mg_http_server *server, enum mg_http_end why) {
  uint64_t (*const count)(const struct mg_connections *) =
    why == MG_HTTP_END_LATE ? mg_connections_reaped : mg_connections_evicted;
  uint64_t sum = 0;
  for (int i = 0; i < MG_DOORS; i++) {
    const struct mg_connections *connections = server->doors[i].connections;
    sum += connections ? count(connections) : 0;
  }
  return sum;
}

static void pause_ms(int64_t ms) {
  struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    continue;
  }
}

static bool all_closed(const struct mg_http_door *door) {
  unsigned n = 0;
  while (n < door->n_workers && mg_worker_closed(door->workers[n])) {
    n++;
  }
  return n == door->n_workers;
}

/* What the kernel has accepted for us is ours to answer: it would be reset when the socket closes. */
static void stop_listening(struct mg_http_door *door, int64_t limit_ms) {
  for (unsigned i = 0; i < door->n_workers; i++) {
    mg_worker_close(door->workers[i]);
  }
  for (int64_t waited = 0; !all_closed(door); waited += POLL_MS) {
    if (waited >= limit_ms) {
      return;
    }
    pause_ms(POLL_MS);
  }
  close(door->listen_fd);
  door->listen_fd = -1;
}

static bool wait_empty(struct mg_http_door *door, int64_t limit_ms) {
  int64_t quiet_ms = 0;
  uint64_t begun = atomic_load(&door->begun);
  for (int64_t waited = 0; waited < limit_ms; waited += POLL_MS) {
    uint64_t now_begun = atomic_load(&door->begun);
    bool busy = atomic_load(&door->in_flight) > 0 || atomic_load(&door->shaking) > 0 || now_begun != begun;
    begun = now_begun;
    quiet_ms = busy ? 0 : quiet_ms + POLL_MS;
    if ((!busy && mg_connections_open(door->connections) == 0) || quiet_ms >= QUIET_MS) {
      return true;
    }
    pause_ms(POLL_MS);
  }
  return atomic_load(&door->in_flight) == 0;
}

bool mg_http_drain(struct mg_http_server *server, int64_t grace_ms, int64_t limit_ms) {
  atomic_store(&server->draining, true);
  pause_ms(grace_ms > 0 ? grace_ms : 0);
  stop_listening(&server->doors[MG_DOOR_TLS], limit_ms);
  return wait_empty(&server->doors[MG_DOOR_TLS], limit_ms);
}

void mg_http_stop(struct mg_http_server *server) {
  if (!server) {
    return;
  }
  mg_exchange_resume_all(server);
  for (int i = 0; i < MG_DOORS; i++) {
    for (unsigned k = 0; k < server->doors[i].n_workers; k++) {
      mg_worker_stop(server->doors[i].workers[k]);
    }
    if (server->doors[i].listen_fd >= 0) {
      close(server->doors[i].listen_fd);
    }
  }
  for (int i = 0; i < MG_DOORS; i++) {
    mg_connections_free(server->doors[i].connections); /* a page behind one door tells of both tables */
  }
  mg_linger_stop(server->linger);
  mg_exchange_release(server);
  mg_credentials_unref(server->credentials);
  pthread_mutex_destroy(&server->swap);
  pthread_mutex_destroy(&server->aside);
  pthread_mutex_destroy(&server->lock);
  free(server);
}
