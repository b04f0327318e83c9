/* What serve may use at most, as options, and what of it fits into this machine and container. */
#pragma once
#include "app/options.h"
#include "http/server.h"

struct mg_serve_limits {
  struct mg_opt_int connections, waiting, threads;
  struct mg_opt_int body, body_budget, memory, memory_budget;
  struct mg_opt_int handshake, head, reading, writing, idle, age;
};

/* The rows of the options. */
#define MG_LIMIT_OPTIONS(type, m)                                                                                              \
  MG_LIMIT(type, m.threads, "threads", "N", number, "0: one a CPU, at most eight", "0", 0, 64, false),                         \
    MG_LIMIT(type, m.connections, "max-connections", "N", number, "at one time", "1024", 8, 100000, false),                    \
    MG_LIMIT(type, m.waiting, "max-waiting", "N", number, "reviews that wait for a registry [a quarter of those]", NULL, 1,    \
             100000, true),                                                                                                    \
    MG_LIMIT(type, m.body, "max-body", "BYTES", size, "of one review", "8Mi", 64 << 10, 8 << 20, true),                        \
    MG_LIMIT(type, m.body_budget, "body-budget", "BYTES", size, "of all bodies at one time [24Mi]", NULL, 64 << 10,            \
             INT64_C(16) << 30, true),                                                                                         \
    MG_LIMIT(type, m.memory, "review-memory", "BYTES", size, "to answer one review", "32Mi", 1 << 20, 64 << 20, true),         \
    MG_LIMIT(type, m.memory_budget, "memory-budget", "BYTES", size, "to answer all reviews at one time [40Mi]", NULL, 1 << 20, \
             INT64_C(16) << 30, true),                                                                                         \
    MG_LIMIT(type, m.handshake, "handshake-time", "SECONDS", number, "from the connect to its end", "5", 1, 60, true),         \
    MG_LIMIT(type, m.head, "head-time", "SECONDS", number, "for the head of a request", "5", 1, 60, true),                     \
    MG_LIMIT(type, m.reading, "body-time", "SECONDS", number, "for its body", "10", 1, 60, true),                              \
    MG_LIMIT(type, m.writing, "answer-time", "SECONDS", number, "for the client to take the answer", "5", 1, 60, true),        \
    MG_LIMIT(type, m.idle, "idle-time", "SECONDS", number, "then an idle connection ends", "120", 5, 3600, true),              \
    MG_LIMIT(type, m.age, "age-time", "SECONDS", number, "then a connection ends with its next answer", "1800", 10, 86400, true)

#define MG_LIMIT(type, at, option, word, kind, text, usual, least, most, rare)                                                 \
  {option, word, &mg_o_##kind, offsetof(type, at), .doc = text, .def = usual, .min = least, .max = most, .aside = rare}

/* What the machine grants. Bytes and descriptors; 0: not known. */
struct mg_machine {
  int64_t memory, descriptors;
};
/* The container's memory limit, and as many descriptors as can be had, which are ours from then on. */
struct mg_machine mg_machine_look(void);

/* Puts the limits into http. What does not fit into the machine becomes less where nobody asked for it, and is warned of, a line
 * each, in `said`. MG_E_USAGE: two of them contradict each other. */
int mg_limits_use(const struct mg_serve_limits *limits, const struct mg_machine *machine, struct mg_http_options *http,
                  struct mg_buf *said, struct mg_err *err);
