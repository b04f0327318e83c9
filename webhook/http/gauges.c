/* The server's own families: connections, handshakes, requests, and the limits that they have. */
#include <inttypes.h>

#include "http/exchange.h"
#include "http/metrics.h"

static const char *const door_words[MG_DOORS] = {"reviews", "plain"};
static const char *const shake_words[MG_SHAKES] = {"success", "failure", "no_room"};
static const char *const end_words[MG_HTTP_ENDS] = {"deadline", "crowded"};

static uint64_t get(const _Atomic uint64_t *count) {
  return atomic_load_explicit(count, memory_order_relaxed);
}

static void write_connections(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  for (int i = 0; i < MG_DOORS; i++) {
    const struct mg_connections *connections = server->doors[i].connections;
    mg_buf_printf(out, "%s{door=\"%s\"} %u\n", name, door_words[i], connections ? mg_connections_open(connections) : 0);
  }
}

static void write_max_connections(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %u\n", name, server->options.max_connections);
}

static void write_ended(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  for (int i = 0; i < MG_HTTP_ENDS; i++) {
    mg_buf_printf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", name, end_words[i], mg_http_ended(server, (enum mg_http_end)i));
  }
}

static void write_shakes(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  for (int i = 0; i < MG_SHAKES; i++) {
    mg_buf_printf(out, "%s{result=\"%s\"} %" PRIu64 "\n", name, shake_words[i], get(&server->doors[MG_DOOR_TLS].shakes[i]));
  }
}

static void write_requests(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  for (int i = 0; i < MG_DOORS; i++) {
    mg_buf_printf(out, "%s{door=\"%s\"} %" PRIu64 "\n", name, door_words[i], get(&server->doors[i].begun));
  }
}

static void write_in_flight(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %zu\n", name, mg_http_in_flight(server));
}

static void write_waiting(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  pthread_mutex_lock(&server->aside);
  unsigned waiting = server->n_waiting;
  pthread_mutex_unlock(&server->aside);
  mg_buf_printf(out, "%s %u\n", name, waiting);
}

static void write_max_waiting(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %u\n", name, server->max_waiting);
}

static void write_body(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %zu\n", name, atomic_load_explicit(&server->bodies.used, memory_order_relaxed));
}

static void write_budget(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %zu\n", name, server->bodies.max);
}

static void write_memory(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %zu\n", name, atomic_load_explicit(&server->arenas.used, memory_order_relaxed));
}

static void write_memory_budget(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %zu\n", name, server->arenas.max);
}

static void write_draining(struct mg_http_server *server, const char *name, struct mg_buf *out) {
  mg_buf_printf(out, "%s %d\n", name, atomic_load(&server->draining));
}

static const struct {
  const char *name, *type, *help;
  void (*write)(struct mg_http_server *server, const char *name, struct mg_buf *out);
} families[] = {
  {"mlgate_http_connections", "gauge", "Open connections.", write_connections},
  {"mlgate_http_connections_limit", "gauge", "Open connections for reviews, at most.", write_max_connections},
  {"mlgate_http_connections_ended_total", "counter", "Connections that were ended by the server.", write_ended},
  {"mlgate_tls_handshakes_total", "counter", "TLS handshakes that ended; no_room: too many connections.", write_shakes},
  {"mlgate_http_requests_total", "counter", "Requests that began.", write_requests},
  {"mlgate_http_requests_in_flight", "gauge", "Requests for reviews that have no whole answer yet.", write_in_flight},
  {"mlgate_http_reviews_waiting", "gauge", "Reviews put aside until a registry has answered.", write_waiting},
  {"mlgate_http_reviews_waiting_limit", "gauge", "Reviews put aside, at most.", write_max_waiting},
  {"mlgate_http_body_bytes", "gauge", "Bytes of reviews in flight that have come, taken of the budget.", write_body},
  {"mlgate_http_body_budget_bytes", "gauge", "The budget: bytes of reviews in flight, at most.", write_budget},
  {"mlgate_review_memory_bytes", "gauge", "Memory of reviews that are answered, taken of the budget.", write_memory},
  {"mlgate_review_memory_budget_bytes", "gauge", "That budget: at most.", write_memory_budget},
  {"mlgate_http_draining", "gauge", "1: the server is about to stop.", write_draining},
};

void mg_http_metrics(struct mg_http_server *server, struct mg_buf *out) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    mg_metrics_head(out, families[i].name, families[i].type, families[i].help);
    families[i].write(server, families[i].name, out);
  }
}
