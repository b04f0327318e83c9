#include "http/exchange.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/pulse.h"
#include "http/metrics.h"

#define SPARE_MAX 64
#define BODY_KEEP (64u * 1024)
#define ARENA_KEEP (64u * 1024)
#define LATE_MS 1000
#define METRICS_MAX (24u * 1024 * 1024)
#define BODY_SMALL (16u * 1024)
#define CRLF 2
#define LAYOUT_KNOWN "0.9.75" /* another version may keep lines in another way, and judge them itself */

struct mg_exchange {
  struct mg_exchange *next; /* in the spare list */
  struct mg_arena arena;
  struct mg_buf body;
  size_t taken; /* of the budget */
  int64_t begun_ms;
  const struct mg_route *route;
  size_t target_size;
  uintptr_t target_end;
  bool judged;
  bool unread; /* refused with a body still to come */
  bool counted; /* its body, against the budget */
  bool crowded; /* there was no room for all of the body: it is thrown away */
  void *state; /* the handler's, of a review that waits */
  struct mg_trace trace;
  struct mg_http_server *server;
  struct MHD_Connection *connection;
  bool waits;  /* under server->aside, as are the next two */
  struct mg_exchange *before, *after;
};

static struct mg_exchange *exchange_new(struct mg_http_server *server) {
  pthread_mutex_lock(&server->lock);
  struct mg_exchange *exchange = server->spare;
  if (exchange) {
    server->spare = exchange->next;
    server->n_spare--;
  }
  pthread_mutex_unlock(&server->lock);
  if (exchange) {
    return exchange;
  }
  exchange = calloc(1, sizeof *exchange);
  if (exchange) {
    mg_arena_init(&exchange->arena, server->options.arena_max, ARENA_KEEP);
    exchange->arena.budget = &server->arenas;
    mg_buf_init(&exchange->body, NULL, server->options.max_body);
  }
  return exchange;
}

static void exchange_free(struct mg_exchange *exchange) {
  mg_arena_fini(&exchange->arena);
  mg_buf_fini(&exchange->body);
  free(exchange);
}

static void exchange_put(struct mg_http_server *server, struct mg_exchange *exchange) {
  mg_arena_reset(&exchange->arena);
  if (exchange->body.cap > BODY_KEEP || exchange->body.failed) {
    mg_buf_fini(&exchange->body);
    mg_buf_init(&exchange->body, NULL, server->options.max_body);
  }
  exchange->body.n = 0;
  pthread_mutex_lock(&server->lock);
  bool keep = server->n_spare < SPARE_MAX;
  if (keep) {
    exchange->next = server->spare;
    server->spare = exchange;
    server->n_spare++;
  }
  pthread_mutex_unlock(&server->lock);
  if (!keep) {
    exchange_free(exchange);
  }
}

static void count_shake(struct mg_http_door *door, enum mg_shake how) {
  atomic_fetch_add_explicit(&door->shakes[how], 1, memory_order_relaxed);
  if (how != MG_SHAKE_NO_ROOM) {
    atomic_fetch_sub(&door->shaking, 1);
  }
}

static void shaken(struct mg_handshake *handshake) {
  struct mg_connection *connection = (struct mg_connection *)handshake;
  mg_pulse_beat();
  if (!connection->shaken) {
    connection->shaken = true;
    count_shake(connection->door, MG_SHAKE_DONE);
  }
  mg_connection_idle(connection);
}

static struct mg_credentials *take_credentials(struct mg_http_server *server) {
  pthread_mutex_lock(&server->swap);
  struct mg_credentials *credentials = mg_credentials_ref(server->credentials);
  pthread_mutex_unlock(&server->swap);
  return credentials;
}

/* The age is staggered by a fifth, so that those which came in one burst do not come back in one. */
static struct mg_connection *connection_new(struct mg_http_door *door, int fd) {
  struct mg_http_server *server = door->server;
  bool secure = door->which == MG_DOOR_TLS;
  struct mg_connection *known = mg_connection_begin(door->connections, fd, secure ? MG_STAGE_HANDSHAKE : MG_STAGE_IDLE);
  if (known) {
    uint64_t age = server->options.age_seconds;
    uint64_t turn = atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed);
    known->old_ms = mg_clock_ms() + (int64_t)(age - turn * 7 % (age / 5 + 1)) * 1000;
    known->handshake.done = shaken;
    known->door = door;
    known->shaken = !secure;
    known->handshake.credentials = secure ? take_credentials(server) : NULL;
    atomic_fetch_add(&door->shaking, secure);
  }
  return known;
}

static void connection_started(struct mg_http_door *door, struct MHD_Connection *connection, void **socket_context) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  int fd = info ? info->connect_fd : -1;
  struct mg_connection *known = connection_new(door, fd);
  *socket_context = known;
  if (door->which == MG_DOOR_TLS) {
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    mg_credentials_attach(known ? &known->handshake : NULL, info->tls_session);
    if (known) {
      mg_worker_watch(known, connection, info->tls_session);
    }
  }
  if (!known) {
    count_shake(door, MG_SHAKE_NO_ROOM);
    (void)shutdown(fd, SHUT_RDWR);
  }
}

void mg_exchange_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code) {
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    connection_started(cls, connection, socket_context);
  } else if (*socket_context) {
    const struct mg_connection *known = *socket_context;
    if (!known->shaken) {
      count_shake(cls, MG_SHAKE_FAILED);
    }
    if (((struct mg_http_door *)cls)->which == MG_DOOR_TLS) {
      mg_worker_forget(*socket_context);
    }
    mg_connection_end(*socket_context);
    *socket_context = NULL;
  }
}

static struct mg_connection *known_connection(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static void expect_in(struct MHD_Connection *connection, enum mg_stage stage, int64_t ms) {
  struct mg_connection *known = known_connection(connection);
  if (known) {
    mg_connection_expect(known, stage, ms);
  }
}

static void expect(struct MHD_Connection *connection, int64_t ms) {
  expect_in(connection, MG_STAGE_BUSY, ms);
}

static bool too_old(struct MHD_Connection *connection) {
  const struct mg_connection *known = known_connection(connection);
  return known && known->old_ms <= mg_clock_ms();
}

void *mg_exchange_begin(void *cls, const char *target, struct MHD_Connection *connection) {
  struct mg_http_door *door = cls;
  struct mg_connection *known = known_connection(connection);
  if (known) {
    mg_connection_shaken(known);
    mg_connection_expect(known, MG_STAGE_BUSY, door->server->options.head_ms);
  }
  struct mg_exchange *exchange = exchange_new(door->server);
  if (!exchange) {
    return NULL;
  }
  mg_str raw = mg_str_of(target ? target : "");
  atomic_fetch_add(&door->in_flight, 1);
  atomic_fetch_add_explicit(&door->begun, 1, memory_order_relaxed);
  exchange->begun_ms = mg_clock_ms();
  exchange->route = mg_route_find(door->which, raw);
  exchange->target_size = raw.n;
  exchange->target_end = (uintptr_t)(raw.p + raw.n);
  exchange->judged = exchange->unread = exchange->counted = exchange->crowded = false;
  exchange->taken = 0;
  exchange->server = door->server;
  return exchange;
}

static void linger_on(struct mg_http_server *server, struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info) {
    mg_linger_add(server->linger, info->connect_fd);
  }
}

void mg_exchange_end(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why) {
  struct mg_http_door *door = cls;
  struct mg_exchange *exchange = *context;
  struct mg_connection *known = known_connection(connection);
  if (known) {
    mg_connection_idle(known);
  }
  if (!exchange) {
    return;
  }
  *context = NULL;
  if (exchange->state) {
    door->server->handlers.forget(door->server->handlers.ctx, exchange->state);
    exchange->state = NULL;
  }
  if (exchange->unread && why == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
    linger_on(door->server, connection);
  }
  mg_budget_give(&door->server->bodies, exchange->taken);
  exchange_put(door->server, exchange);
  atomic_fetch_sub(&door->in_flight, 1);
}

static enum MHD_Result refuse(struct mg_http_server *server, struct MHD_Connection *connection, enum mg_refusal why) {
  if (server->options.metrics) {
    mg_metrics_refused(server->options.metrics, why);
  }
  if (server->handlers.refused) {
    server->handlers.refused(server->handlers.ctx, why);
  }
  expect(connection, server->options.reader_ms);
  return MHD_queue_response(connection, mg_refusal_rows[why].status, server->refusals[why]);
}

static bool add_headers(struct MHD_Response *response, const struct mg_http_reply *reply) {
  const char *type = reply->type ? reply->type : "application/json";
  return MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
         (!reply->retry_after || MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1") == MHD_YES) &&
         (!reply->close || MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES);
}

static enum MHD_Result send_reply(struct mg_http_server *server, struct MHD_Connection *connection, struct mg_http_reply *reply) {
  reply->close |= atomic_load_explicit(&server->draining, memory_order_relaxed) || too_old(connection);
  /* Nothing writes through this pointer; the type of the function is older than const. */
  struct MHD_Response *response =
    MHD_create_response_from_buffer(reply->body.n, (void *)(uintptr_t)reply->body.p, MHD_RESPMEM_PERSISTENT);
  if (!response) {
    return refuse(server, connection, MG_REFUSE_MEMORY);
  }
  if (!add_headers(response, reply)) {
    MHD_destroy_response(response);
    return refuse(server, connection, MG_REFUSE_MEMORY);
  }
  expect(connection, server->options.reader_ms);
  enum MHD_Result queued = MHD_queue_response(connection, reply->status, response);
  MHD_destroy_response(response);
  return queued;
}

static int64_t time_left(const struct mg_exchange *exchange, struct MHD_Connection *connection) {
  const char *text = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "timeout");
  return mg_http_timeout(mg_str_of(text)) - (mg_clock_ms() - exchange->begun_ms);
}

/* Who is a little late is still told so. */
static void expect_body(const struct mg_exchange *exchange, struct MHD_Connection *connection) {
  int64_t left = time_left(exchange, connection) + LATE_MS, most = exchange->server->options.body_ms;
  int64_t ms = left < most ? (left > LATE_MS ? left : LATE_MS) : most;
  expect_in(connection, exchange->counted ? MG_STAGE_BODY : MG_STAGE_BUSY, ms);
}

/* Under `aside`. A connection is resumed once for each time that it was suspended. */
static void take_back(struct mg_exchange *exchange) {
  if (!exchange->waits) {
    return;
  }
  exchange->waits = false;
  *(exchange->before ? &exchange->before->after : &exchange->server->waiting) = exchange->after;
  if (exchange->after) {
    exchange->after->before = exchange->before;
  }
  exchange->server->n_waiting--;
  mg_worker_resume(known_connection(exchange->connection));
}

static void resume(void *waiter) {
  struct mg_exchange *exchange = waiter;
  pthread_mutex_lock(&exchange->server->aside);
  take_back(exchange);
  pthread_mutex_unlock(&exchange->server->aside);
}

void mg_exchange_resume_all(struct mg_http_server *server) {
  pthread_mutex_lock(&server->aside);
  server->stopping = true;
  while (server->waiting) {
    take_back(server->waiting);
  }
  pthread_mutex_unlock(&server->aside);
}

/* Before anybody is asked to resume it, so that no call comes too early. */
static bool put_aside(struct mg_http_server *server, struct mg_exchange *exchange, struct MHD_Connection *connection) {
  pthread_mutex_lock(&server->aside);
  bool room = !server->stopping && server->n_waiting < server->max_waiting;
  if (room) {
    MHD_suspend_connection(connection);
    exchange->connection = connection;
    exchange->waits = true;
    exchange->before = NULL;
    exchange->after = server->waiting;
    if (exchange->after) {
      exchange->after->before = exchange;
    }
    server->waiting = exchange;
    server->n_waiting++;
  }
  pthread_mutex_unlock(&server->aside);
  return room;
}

static void ask_handler(struct mg_http_server *server, struct mg_exchange *exchange, int64_t left, struct mg_http_reply *reply) {
  enum mg_endpoint endpoint = exchange->route->kind == MG_ROUTE_MUTATE ? MG_MUTATE : MG_VALIDATE;
  mg_arena_reset(&exchange->arena);
  reply->arena = &exchange->arena;
  reply->trace = &exchange->trace;
  reply->state = exchange->state;
  server->handlers.review(server->handlers.ctx, endpoint, mg_buf_str(&exchange->body), left, reply);
  exchange->state = reply->state;
}

static enum MHD_Result answer_review(struct mg_http_server *server, struct mg_exchange *exchange,
                                     struct MHD_Connection *connection) {
  struct mg_http_reply reply = {.may_wait = server->handlers.wait};
  int64_t left = time_left(exchange, connection);
  if (left <= 0) {
    return refuse(server, connection, MG_REFUSE_LATE);
  }
  expect(connection, 0);
  ask_handler(server, exchange, left, &reply);
  if (reply.later) {
    mg_arena_reset(&exchange->arena); /* what waits should be small */
    if (put_aside(server, exchange, connection)) {
      server->handlers.wait(server->handlers.ctx, exchange->state, resume, exchange);
      return MHD_YES;
    }
    reply = (struct mg_http_reply){.may_wait = false};
    ask_handler(server, exchange, left, &reply);
  }
  struct mg_connection *known = known_connection(connection);
  if (known && reply.body.n > 0) {
    mg_worker_head_next(known);
  }
  return reply.status ? send_reply(server, connection, &reply) : refuse(server, connection, MG_REFUSE_INTERNAL);
}

static unsigned write_health(struct mg_http_server *server, bool verbose, struct mg_buf *out) {
  const struct mg_http_handlers *handlers = &server->handlers;
  bool healthy = !handlers->healthy || handlers->healthy(handlers->ctx);
  (void)verbose;
  mg_buf_put(out, healthy ? MG_S("ok\n") : MG_S("a thread is stuck\n"));
  return healthy ? 200 : 503;
}

static unsigned write_ready(struct mg_http_server *server, bool verbose, struct mg_buf *out) {
  const struct mg_http_handlers *handlers = &server->handlers;
  if (atomic_load(&server->draining)) {
    mg_buf_lit(out, "draining\n");
    return 503;
  }
  bool ready = !handlers->ready || handlers->ready(handlers->ctx, verbose, out);
  mg_buf_put(out, ready ? MG_S("ok\n") : MG_S("not ready\n"));
  return ready ? 200 : 503;
}

static unsigned write_metrics(struct mg_http_server *server, bool verbose, struct mg_buf *out) {
  (void)verbose;
  if (server->options.metrics) {
    mg_metrics_write(server->options.metrics, out);
  }
  if (server->handlers.metrics) {
    server->handlers.metrics(server->handlers.ctx, out);
  }
  mg_http_metrics(server, out);
  return 200;
}

static const struct {
  unsigned (*write)(struct mg_http_server *server, bool verbose, struct mg_buf *out);
  const char *type;
} pages[] = {
  [MG_ROUTE_HEALTH] = {write_health, "text/plain; charset=utf-8"},
  [MG_ROUTE_READY] = {write_ready, "text/plain; charset=utf-8"},
  [MG_ROUTE_METRICS] = {write_metrics, MG_METRICS_TEXT},
};

static enum MHD_Result answer_page(struct mg_http_server *server, struct mg_exchange *exchange,
                                   struct MHD_Connection *connection) {
  struct mg_http_reply reply = {.arena = &exchange->arena, .type = pages[exchange->route->kind].type};
  struct mg_buf out;
  bool verbose = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "verbose", 7, NULL, NULL) == MHD_YES;
  mg_buf_init(&out, reply.arena, METRICS_MAX);
  reply.status = pages[exchange->route->kind].write(server, verbose, &out);
  if (exchange->route->kind == MG_ROUTE_METRICS) {
    mg_str accepted = mg_str_of(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
    reply.type = mg_metrics_negotiate(accepted, &out);
  }
  if (out.failed) {
    return refuse(server, connection, MG_REFUSE_MEMORY);
  }
  reply.body = mg_buf_str(&out);
  return send_reply(server, connection, &reply);
}

/* The head, and where in libmicrohttpd's buffer the next field has to begin. */
struct reading {
  struct mg_head *head;
  const char *next;
  bool torn;
};

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value,
                                   size_t value_size) {
  struct reading *reading = cls;
  size_t n = value ? value_size : 0;
  (void)kind;
  mg_head_add(reading->head, (mg_str){name, name_size}, (mg_str){value, n});
  reading->torn |= !value || name != reading->next || value[n + 1] != '\0';
  reading->next = value ? value + n + CRLF : name;
  return MHD_YES;
}

/* This libmicrohttpd writes NULs over the ends of lines and leaves all else in its place. Fields that do not stand right behind
 * each other, with an empty line at the end, were lines that can be read in more than one way: ended by LF alone, folded, with a
 * NUL inside, without a name. */
static void take_headers(struct MHD_Connection *connection, const char *version, struct mg_head *head) {
  struct reading reading = {.head = head, .next = version + strlen(version) + CRLF};
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, take_header, &reading);
  if (strcmp(MHD_get_version(), LAYOUT_KNOWN) == 0) {
    head->bad_header |= reading.torn || reading.next[0] || reading.next[1];
  }
}

/* libmicrohttpd works on C strings: a NUL in the target makes it shorter, and only the distance to the version, which
 * stands in the same buffer one byte behind the target, still tells. */
static bool target_cut(const struct mg_exchange *exchange, const char *version) {
  uintptr_t at = (uintptr_t)version, next = exchange->target_end + 1;
  return at > next && at - next < 64 * 1024;
}

/* Taken of the budget is what has come and no more: else whoever announces bodies that never come would shut all others out. A
 * body that does not fit now is refused before it is sent, and those that are slow to come make haste. Small ones are left out of
 * it: all connections together cannot have much in them. */
static enum mg_refusal make_room(struct mg_http_door *door, struct mg_exchange *exchange, size_t length) {
  exchange->counted = length > BODY_SMALL;
  if (exchange->counted && !mg_budget_fits(&door->server->bodies, length)) {
    mg_connections_hurry(door->connections);
    return MG_REFUSE_BUDGET;
  }
  size_t room = length < BODY_KEEP ? length : BODY_KEEP;
  return room == 0 || mg_buf_room(&exchange->body, room) ? MG_REFUSE_NONE : MG_REFUSE_MEMORY;
}

static void drop_body(struct mg_http_server *server, struct mg_exchange *exchange) {
  mg_buf_fini(&exchange->body);
  mg_buf_init(&exchange->body, NULL, server->options.max_body);
  mg_budget_give(&server->bodies, exchange->taken);
  exchange->taken = 0;
}

static void take_body(struct mg_http_door *door, struct mg_exchange *exchange, mg_str part) {
  size_t n = exchange->counted ? part.n : 0;
  exchange->crowded = !mg_budget_take(&door->server->bodies, n);
  if (exchange->crowded) {
    mg_connections_hurry(door->connections);
    drop_body(door->server, exchange);
    return;
  }
  exchange->taken += n;
  mg_buf_put(&exchange->body, part);
}

static enum mg_refusal judge(struct mg_http_door *door, struct mg_exchange *exchange, struct MHD_Connection *connection,
                             const char *method, const char *version) {
  struct mg_head head = {
    .door = door->which,
    .method = method,
    .version = version,
    .route = exchange->route,
    .target_size = exchange->target_size,
    .target_cut = target_cut(exchange, version),
    .max_body = door->server->options.max_body,
  };
  take_headers(connection, version, &head);
  enum mg_refusal why = mg_head_judge(&head);
  bool one = head.count[MG_HEADER_TRACE] == 1;
  (void)mg_trace_read(one ? head.value[MG_HEADER_TRACE] : (mg_str){0}, &exchange->trace);
  exchange->unread = head.count[MG_HEADER_LENGTH] > 0 || head.count[MG_HEADER_TRANSFER] > 0;
  return why == MG_REFUSE_NONE ? make_room(door, exchange, head.length) : why;
}

enum MHD_Result mg_exchange_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_size, void **context) {
  struct mg_http_door *door = cls;
  struct mg_exchange *exchange = *context;
  (void)url;
  mg_pulse_beat(); /* one turn of the thread may answer hundreds */
  if (!exchange) {
    return refuse(door->server, connection, MG_REFUSE_MEMORY);
  }
  if (!exchange->judged) {
    exchange->judged = true;
    enum mg_refusal why = judge(door, exchange, connection, method, version);
    if (why != MG_REFUSE_NONE) {
      return refuse(door->server, connection, why);
    }
    exchange->unread = false;
    expect_body(exchange, connection);
    return MHD_YES;
  }
  if (*upload_size > 0) {
    if (!exchange->crowded) {
      take_body(door, exchange, (mg_str){upload, *upload_size});
    }
    *upload_size = 0;
    return exchange->body.failed ? MHD_NO : MHD_YES;
  }
  if (exchange->crowded) {
    return refuse(door->server, connection, MG_REFUSE_BUDGET);
  }
  return door->which == MG_DOOR_TLS ? answer_review(door->server, exchange, connection)
                                    : answer_page(door->server, exchange, connection);
}

static struct MHD_Response *build_refusal(const struct mg_http_server *server, enum mg_refusal why) {
  const struct mg_refusal_row *row = &mg_refusal_rows[why];
  MG_BUF_AUTO body;
  mg_buf_init(&body, NULL, 4096);
  mg_refusal_body(why, server->options.max_body, &body);
  struct mg_http_reply reply = {.retry_after = row->retry_after, .close = true};
  struct MHD_Response *response = body.failed ? NULL : MHD_create_response_from_buffer(body.n, body.p, MHD_RESPMEM_MUST_COPY);
  if (response && (!add_headers(response, &reply) ||
                   (row->allow && MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, row->allow) != MHD_YES))) {
    MHD_destroy_response(response);
    return NULL;
  }
  return response;
}

int mg_exchange_prepare(struct mg_http_server *server) {
  for (size_t i = 0; i < MG_REFUSE_N; i++) {
    server->refusals[i] = build_refusal(server, (enum mg_refusal)i);
    if (!server->refusals[i]) {
      return MG_E_NOMEM;
    }
  }
  return 0;
}

void mg_exchange_release(struct mg_http_server *server) {
  for (size_t i = 0; i < MG_REFUSE_N; i++) {
    if (server->refusals[i]) {
      MHD_destroy_response(server->refusals[i]);
    }
  }
  while (server->spare) {
    struct mg_exchange *exchange = server->spare;
    server->spare = exchange->next;
    exchange_free(exchange);
  }
}
