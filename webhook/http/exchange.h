/* One request and its answer: the callbacks that libmicrohttpd makes, and the memory that each of them may use. */
#pragma once
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http/connections.h"
#include "http/linger.h"
#include "http/screen.h"
#include "http/server.h"
#include "http/worker.h"

#define MG_WORKERS_MAX 64

struct mg_exchange;

enum mg_shake {
  MG_SHAKE_DONE,
  MG_SHAKE_FAILED, /* the connection ended before */
  MG_SHAKE_NO_ROOM, /* not begun: too many connections */
  MG_SHAKES,
};

struct mg_http_door {
  struct mg_http_server *server;
  enum mg_door which;
  struct mg_worker *workers[MG_WORKERS_MAX];
  unsigned n_workers;
  struct mg_connections *connections;
  int listen_fd; /* -1: closed */
  uint16_t port;
  _Atomic size_t in_flight;
  _Atomic size_t shaking; /* handshakes that have not ended */
  _Atomic uint64_t begun; /* requests, ever */
  _Atomic uint64_t shakes[MG_SHAKES]; /* handshakes, ever */
};

struct mg_http_server {
  struct mg_http_options options;
  struct mg_http_handlers handlers;
  struct mg_http_door doors[MG_DOORS];
  struct MHD_Response *refusals[MG_REFUSE_N]; /* built once: an attack allocates nothing */
  struct mg_linger *linger;
  pthread_mutex_t swap; /* of the pointer below, for as long as it takes to count a reference */
  struct mg_credentials *credentials;
  struct mg_budget bodies, arenas;
  _Atomic uint64_t connections; /* ever; staggers their ages */
  atomic_bool draining;
  pthread_mutex_t aside; /* of the list of reviews that wait, and held while libmicrohttpd is told */
  struct mg_exchange *waiting;
  unsigned n_waiting, max_waiting;
  bool stopping; /* none waits any more */
  pthread_mutex_t lock; /* of the spare list only */
  struct mg_exchange *spare;
  size_t n_spare;
};

/* MHD_OPTION_URI_LOG_CALLBACK: the first thing that is called for a request; its result is the request's context. */
void *mg_exchange_begin(void *door, const char *target, struct MHD_Connection *connection);
/* The MHD_AccessHandlerCallback. */
enum MHD_Result mg_exchange_step(void *door, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_size, void **context);
/* MHD_OPTION_NOTIFY_COMPLETED: sent, or given up. */
void mg_exchange_end(void *door, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why);
/* MHD_OPTION_NOTIFY_CONNECTION: the place for all that concerns a connection and not a request. */
void mg_exchange_connection(void *door, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code);

/* What /metrics says of the server itself. */
void mg_http_metrics(struct mg_http_server *server, struct mg_buf *out);

/* No review waits from now on, and those that do are called: libmicrohttpd must not be stopped with one put aside. */
void mg_exchange_resume_all(struct mg_http_server *server);

/* Builds the refusals; 0 or MG_E_NOMEM. */
int mg_exchange_prepare(struct mg_http_server *server);
/* Frees them and the spare contexts. */
void mg_exchange_release(struct mg_http_server *server);
