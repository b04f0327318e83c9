/* The connections of one door, and a thread that ends those which pass a deadline: libmicrohttpd's own time-out starts anew with
 * every byte, so a client that sends one a second would stay for ever. */
#pragma once
#include <stdatomic.h>

#include "http/credentials.h"

enum mg_stage {
  MG_STAGE_HANDSHAKE,
  MG_STAGE_IDLE,
  MG_STAGE_BUSY,
  MG_STAGE_BODY, /* busy, and has taken of the budget what it may be slow to send */
};

struct MHD_Connection;
struct mg_connections;
struct mg_worker;

struct mg_connection {
  struct mg_handshake handshake; /* first: a pointer to it is one to this */
  struct mg_connections *table;
  struct mg_connection *next; /* in the list of free ones */
  struct MHD_Connection *library; /* this and the rest of the paragraph is the worker's */
  struct mg_worker *worker;
  bool waits; /* a handshake, put aside until its client goes on */
  bool head_next; /* what is sent next is the head of an answer, and has a body behind it */
  struct mg_connection *before, *after;

  int fd;                     /* -1: free */
  int64_t old_ms;             /* when it should end with its next answer */
  bool shaken; /* the handshake is done */
  void *door;  /* of the exchange that it is for */
  atomic_int stage;
  _Atomic int64_t since_ms, until_ms;
};

struct mg_connections_options {
  unsigned max;
  unsigned crowded; /* from this many on the one that has been idle longest ends for each new one */
  int64_t idle_ms, handshake_ms, head_ms;
};

int mg_connections_new(const struct mg_connections_options *options, struct mg_connections **ret, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_connections_free(struct mg_connections *connections); /* none is left by then; NULL is fine */

/* NULL: no room. fd is the library's, which closes it only after mg_connection_end. */
struct mg_connection *mg_connection_begin(struct mg_connections *connections, int fd, enum mg_stage stage);
void mg_connection_end(struct mg_connection *connection);

/* From now on it is in this stage and has that long; 0: for ever. */
void mg_connection_expect(struct mg_connection *connection, enum mg_stage stage, int64_t ms);
void mg_connection_idle(struct mg_connection *connection);
/* The handshake is over, for good: its credentials are given back. */
void mg_connection_shaken(struct mg_connection *connection);

/* Others want what bodies have been promised: those that are still to come after this long end. */
#define MG_HURRY_MS 1000
void mg_connections_hurry(struct mg_connections *connections);

/* How many there are. */
unsigned mg_connections_open(const struct mg_connections *connections);
/* There is no room for another one, whatever `crowded` says: the one that has been idle longest ends. */
void mg_connections_squeeze(struct mg_connections *connections);

/* Ended by us, ever: past a deadline, to make room. */
uint64_t mg_connections_reaped(const struct mg_connections *connections);
uint64_t mg_connections_evicted(const struct mg_connections *connections);
