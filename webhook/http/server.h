/* The server: reviews over TLS at one port, health and metrics in the clear at another. Its threads run one event loop
 * each and call the handlers from it, so a handler that waits stops every connection of its thread. A review that has to wait is
 * put aside instead (`later`) and costs no thread. */
#pragma once
#include "admit/admit.h"
#include "base/trace.h"
#include "http/refuse.h"

struct mg_credentials;
struct mg_metrics;
struct mg_http_server;

/* A socket that listens already; the server takes it and leaves -1. */
struct mg_http_bound {
  int fd;
  uint16_t port;
};

struct mg_http_options {
  const char *listen_tls, *listen_plain; /* HOST:PORT; listen_plain NULL: no plain port */
  struct mg_http_bound *bound;           /* by enum mg_door, for who may bind no more by then; NULL, or an fd of -1: it binds */
  const char *cert_path, *key_path;      /* PEM; not needed with credentials */
  struct mg_credentials *credentials;    /* NULL: made of these two files; the server takes a reference of its own */
  struct mg_metrics *metrics;            /* counts refusals; may be NULL; must outlive the server */
  unsigned threads;                      /* 0: one for each CPU, at most eight */
  size_t max_body;                       /* bytes of one review */
  size_t body_budget;                    /* bytes of all reviews in flight */
  size_t arena_max;                      /* memory of one review while it is answered */
  size_t arena_budget;                   /* of all of them, beyond the little that each has for good */
  unsigned max_connections;
  unsigned idle_seconds; /* the API server keeps idle connections for 90 s; a shorter time here loses requests */
  unsigned age_seconds;  /* older connections end with their next answer, so that load and certificates move on */
  unsigned max_waiting;  /* reviews that wait at one time; 0: one for four connections */
  unsigned handshake_ms; /* from the connect to the end of the handshake */
  unsigned head_ms;      /* from the request line to the end of the head */
  unsigned body_ms;      /* from there to the end of the body, or less where the caller waits less */
  unsigned reader_ms;    /* for the client to take its answer */
};
struct mg_http_options mg_http_defaults(void);

/* Given with the arena, the trace and everything else zero. What body and type point to must live until the arena is reset, which
 * happens when the answer has been sent. A status left at 0 becomes a 500. */
struct mg_http_reply {
  struct mg_arena *arena;
  const struct mg_trace *trace; /* of the request, as is the arena; NULL: a page */
  unsigned status;
  mg_str body;
  const char *type;  /* NULL: application/json */
  bool retry_after;  /* Retry-After: 1 */
  bool close;        /* end the connection */
  /* A review that waits: its handler says `later`, which it may do only where `may_wait` is set, and is called again with the
   * `state` that it left here (NULL at first) when it has been resumed. */
  bool may_wait, later;
  void *state;
};

struct mg_http_handlers {
  void *ctx;
  /* left_ms: what is left of the caller's time-out, > 0. Required. */
  void (*review)(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply);
  /* After a reply that came later: arranges that resume(waiter) is called, from any thread, at once where that is so; more than
   * once is fine, and not after the state is gone. NULL: no handler is ever late. */
  void (*wait)(void *ctx, void *state, void (*resume)(void *waiter), void *waiter);
  /* The state of a request that ends without its answer. */
  void (*forget)(void *ctx, void *state);
  /* True: ready. Text for people goes to out when verbose. NULL: always ready. A draining server never asks. */
  bool (*ready)(void *ctx, bool verbose, struct mg_buf *out);
  /* False: the process should be started anew. NULL: it never should. */
  bool (*healthy)(void *ctx);
  /* NULL: the metrics of the options alone. */
  void (*metrics)(void *ctx, struct mg_buf *out);
  /* A request that the server refused by itself. May be NULL. */
  void (*refused)(void *ctx, enum mg_refusal why);
};

/* Both structs are copied; strings are needed only during the call. */
int mg_http_start(const struct mg_http_options *options, const struct mg_http_handlers *handlers,
                  struct mg_http_server **ret_server, struct mg_err *err) __attribute__((warn_unused_result));

/* Every handshake that begins from now on uses these; takes the reference. */
void mg_http_swap_credentials(struct mg_http_server *server, struct mg_credentials *credentials);

enum mg_http_end {
  MG_HTTP_END_LATE,    /* past a deadline */
  MG_HTTP_END_CROWDED, /* idle, when there were too many */
  MG_HTTP_ENDS,
};
/* Connections that the server ended for this, ever. */
uint64_t mg_http_ended(const struct mg_http_server *server, enum mg_http_end why);

/* The ports that are bound, for options that said 0. plain is 0 where there is none. */
uint16_t mg_http_port_tls(const struct mg_http_server *server);
uint16_t mg_http_port_plain(const struct mg_http_server *server);

/* Requests at the TLS port that have a request line and no complete answer yet. */
size_t mg_http_in_flight(const struct mg_http_server *server);

/* Not ready from now on, and every answer ends its connection. Serves on for grace_ms (until nobody sends us new connections),
 * then accepts no more, and waits at most limit_ms for what is in flight. True: nothing was lost. mg_http_stop comes next. */
bool mg_http_drain(struct mg_http_server *server, int64_t grace_ms, int64_t limit_ms);

/* Ends all connections and frees the server; NULL is fine. */
void mg_http_stop(struct mg_http_server *server);
