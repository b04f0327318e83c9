/* A thread that accepts connections and drives them, with a libmicrohttpd daemon that has neither socket nor thread of its own.
 *
 * libmicrohttpd can wait by poll, which walks over all connections at each wake-up, or by epoll, where this version calls an
 * unfinished TLS handshake again and again without waiting: a client that says a byte and no more takes a whole CPU. So it is
 * epoll, and a handshake that has to wait for its client is suspended and waited for here. */
#pragma once
#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "http/connections.h"

struct mg_worker;

struct mg_worker_options {
  struct MHD_Daemon *daemon; /* the worker's own, also where it does not start */
  struct mg_connections *connections;
  int listen_fd;  /* shared by workers; stays the caller's */
  unsigned limit; /* none is accepted while there are so many */
};

int mg_worker_start(const struct mg_worker_options *options, struct mg_worker **ret, struct mg_err *err)
  __attribute__((warn_unused_result));

/* Takes in what the kernel has accepted by then, and no more. Does not wait; the other tells when that is done. */
void mg_worker_close(struct mg_worker *worker);
bool mg_worker_closed(const struct mg_worker *worker);

/* Ends all its connections, none of which may be suspended by others, and frees it. */
void mg_worker_stop(struct mg_worker *worker);

/* To be called for each new connection of TLS, in the worker's thread, before the handshake. */
void mg_worker_watch(struct mg_connection *connection, struct MHD_Connection *library, gnutls_session_t session);

/* What is sent next is the head of an answer, and its body comes at once: both leave in one call. In the worker's thread, as is
 * the end of what is watched. */
void mg_worker_head_next(struct mg_connection *connection);
void mg_worker_forget(struct mg_connection *connection);

/* MHD_resume_connection from any thread, of one that is watched: of itself that wakes no daemon without a thread. */
void mg_worker_resume(struct mg_connection *connection);
