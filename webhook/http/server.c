#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
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
#define CONNECTION_MEMORY (16u * 1024)
#define THREAD_STACK (size_t) MIB
#define PLAIN_CONNECTIONS 64
#define POLL_MS 10
#define EMPTY_POLLS 3  /* a connection just handed over is not counted until its thread has picked it up */
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
    .body_budget = 64 * MIB,
    .arena_max = 32 * MIB,
    .max_connections = 1024,
    .idle_seconds = 120,
    .age_seconds = 30 * 60,
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
  add_option(list, MHD_OPTION_LISTEN_SOCKET, door->listen_fd, NULL);
  add_option(list, MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)door->server->options.idle_seconds, NULL);
  add_option(list, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL);
  add_option(list, MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)THREAD_STACK, NULL);
  add_option(list, MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)mg_exchange_end, door);
  add_option(list, MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)mg_exchange_connection, door);
  add_option(list, MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)mg_exchange_begin, door);
}

/* Poll, not epoll: under epoll this libmicrohttpd calls an unfinished TLS handshake again and again without waiting, so that four
 * silent clients take a whole CPU and a burst eight times what it needs; and it may abort when a daemon that is being quiesced
 * has its listening socket taken out of the set. The price, a walk over all connections at each wake-up, is bounded by
 * max_connections. */
static int start_daemon(struct mg_http_door *door, unsigned flags, const struct option_list *list, struct mg_err *err) {
  door->daemon = MHD_start_daemon(flags | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, mg_exchange_step, door,
                                  MHD_OPTION_ARRAY, list->items, MHD_OPTION_END);
  if (!door->daemon) {
    return mg_err_set(err, MG_E_IO, "cannot start the server: %s", errno ? strerror(errno) : "libmicrohttpd refused");
  }
  door->listen_fd = -1;
  return 0;
}

/* Some room for those that have ended and are not yet cleaned up. */
static int start_table(struct mg_http_door *door, unsigned limit, struct mg_err *err) {
  unsigned threads = thread_count(&door->server->options), spare = limit / 16 > threads ? limit / 16 : threads;
  struct mg_connections_options options = {
    .max = limit + 64,
    .crowded = limit > 2 * spare ? limit - spare : limit,
    .idle_ms = (int64_t)door->server->options.idle_seconds * 1000,
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

static int start_tls(struct mg_http_door *door, struct mg_err *err) {
  const struct mg_http_options *options = &door->server->options;
  unsigned threads = thread_count(options);
  /* The limit is shared out among the threads, and none may get nothing. */
  unsigned limit = options->max_connections < threads ? threads : options->max_connections;
  int code = take_credentials(door->server, err);
  if (code == 0) {
    code = start_table(door, limit, err);
  }
  if (code == 0) {
    code = mg_listen(options->listen_tls, &door->listen_fd, &door->port, err);
  }
  if (code != 0) {
    return code;
  }
  struct option_list list = {.n = 0};
  add_common(&list, door);
  add_option(&list, MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limit, NULL);
  if (threads > 1) {
    add_option(&list, MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL);
  }
  add_option(&list, MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)mg_credentials_retrieve);
  add_option(&list, MHD_OPTION_HTTPS_PRIORITIES, 0, priorities);
  errno = 0;
  return start_daemon(door, MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME, &list, err);
}

static int start_plain(struct mg_http_door *door, struct mg_err *err) {
  if (!door->server->options.listen_plain) {
    return 0;
  }
  int code = start_table(door, PLAIN_CONNECTIONS, err);
  if (code == 0) {
    code = mg_listen(door->server->options.listen_plain, &door->listen_fd, &door->port, err);
  }
  if (code != 0) {
    return code;
  }
  struct option_list list = {.n = 0};
  add_common(&list, door);
  add_option(&list, MHD_OPTION_CONNECTION_LIMIT, PLAIN_CONNECTIONS, NULL);
  errno = 0;
  return start_daemon(door, 0, &list, err);
}

static int check_options(const struct mg_http_options *options, const struct mg_http_handlers *handlers, struct mg_err *err) {
  if (!options->listen_tls || !(options->credentials || (options->cert_path && options->key_path)) || !handlers->review) {
    return mg_err_set(err, MG_E_USAGE, "the server needs an address, a certificate, its key and a handler");
  }
  if (options->max_body == 0 || options->body_budget < options->max_body || options->threads > 64) {
    return mg_err_set(err, MG_E_USAGE, "the body limit must be above 0 and within the budget, and threads at most 64");
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
  server->max_waiting = server->options.max_connections / WAITING_SHARE;
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

void mg_http_drain_begin(struct mg_http_server *server) {
  atomic_store(&server->draining, true);
}

static void pause_ms(int64_t ms) {
  struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    continue;
  }
}

/* What the kernel has accepted for us is ours to answer: it would be reset when the socket closes. */
static void stop_listening(struct mg_http_door *door) {
  int fd = MHD_quiesce_daemon(door->daemon);
  if (fd < 0) {
    return;
  }
  for (;;) {
    struct sockaddr_storage at = {0};
    socklen_t n = sizeof at;
    int peer = accept4(fd, (struct sockaddr *)&at, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0 && (errno == EINTR || errno == ECONNABORTED)) {
      continue;
    }
    if (peer < 0) {
      break;
    }
    (void)MHD_add_connection(door->daemon, peer, (struct sockaddr *)&at, n);
  }
  close(fd);
}

static unsigned open_connections(const struct mg_http_door *door) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
  return info ? info->num_connections : 0;
}

static bool wait_empty(struct mg_http_door *door, int64_t limit_ms) {
  int64_t quiet_ms = 0;
  int empty = 0;
  uint64_t begun = atomic_load(&door->begun);
  for (int64_t waited = 0; waited < limit_ms; waited += POLL_MS) {
    uint64_t now_begun = atomic_load(&door->begun);
    bool busy = atomic_load(&door->in_flight) > 0 || now_begun != begun;
    begun = now_begun;
    quiet_ms = busy ? 0 : quiet_ms + POLL_MS;
    empty = !busy && open_connections(door) == 0 ? empty + 1 : 0;
    if (empty >= EMPTY_POLLS || quiet_ms >= QUIET_MS) {
      return true;
    }
    pause_ms(POLL_MS);
  }
  return atomic_load(&door->in_flight) == 0;
}

bool mg_http_drain(struct mg_http_server *server, int64_t grace_ms, int64_t limit_ms) {
  mg_http_drain_begin(server);
  pause_ms(grace_ms > 0 ? grace_ms : 0);
  stop_listening(&server->doors[MG_DOOR_TLS]);
  return wait_empty(&server->doors[MG_DOOR_TLS], limit_ms);
}

void mg_http_stop(struct mg_http_server *server) {
  if (!server) {
    return;
  }
  mg_exchange_resume_all(server);
  for (int i = 0; i < MG_DOORS; i++) {
    if (server->doors[i].daemon) {
      MHD_stop_daemon(server->doors[i].daemon);
    }
    if (server->doors[i].listen_fd >= 0) {
      close(server->doors[i].listen_fd);
    }
    mg_connections_free(server->doors[i].connections);
  }
  mg_linger_stop(server->linger);
  mg_exchange_release(server);
  mg_credentials_unref(server->credentials);
  pthread_mutex_destroy(&server->swap);
  pthread_mutex_destroy(&server->aside);
  pthread_mutex_destroy(&server->lock);
  free(server);
}
