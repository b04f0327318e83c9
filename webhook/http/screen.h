/* What libmicrohttpd lets through and we do not: the head of a request, judged before a byte of its body is read. */
#pragma once
#include "base/str.h"
#include "http/refuse.h"

#define MG_HTTP_URI_MAX 2048
#define MG_HTTP_HEADERS_MAX 64

#define MG_HTTP_TIMEOUT_MS 10000 /* what the API server grants where nobody says otherwise */
#define MG_HTTP_TIMEOUT_MAX_MS 30000

enum mg_door {
  MG_DOOR_TLS,   /* reviews */
  MG_DOOR_PLAIN, /* health and metrics */
  MG_DOORS,
};

enum mg_route_kind {
  MG_ROUTE_MUTATE,
  MG_ROUTE_VALIDATE,
  MG_ROUTE_HEALTH,
  MG_ROUTE_READY,
  MG_ROUTE_METRICS,
};

struct mg_route {
  enum mg_door door;
  const char *path;
  enum mg_route_kind kind;
};

/* By the raw target, nothing unescaped; what follows '?' does not count. NULL: no such path behind this door. */
const struct mg_route *mg_route_find(enum mg_door door, mg_str target);

enum mg_known_header {
  MG_HEADER_LENGTH,
  MG_HEADER_TRANSFER,
  MG_HEADER_HOST,
  MG_HEADER_EXPECT,
  MG_HEADER_TYPE,
  MG_HEADER_TRACE,
  MG_HEADERS_KNOWN,
};

struct mg_head {
  enum mg_door door;
  const char *method, *version;
  const struct mg_route *route;
  size_t target_size; /* of the raw request target */
  bool target_cut;    /* a NUL hid the rest of it */

  size_t headers; /* fields, all of them */
  bool bad_header;
  unsigned count[MG_HEADERS_KNOWN];
  mg_str value[MG_HEADERS_KNOWN]; /* of the first of each */

  size_t max_body;
  size_t length; /* of the body; valid when nothing is refused */
};

/* Takes one header field in. */
void mg_head_add(struct mg_head *head, mg_str name, mg_str value);

/* The first thing that is wrong, or MG_REFUSE_NONE. */
enum mg_refusal mg_head_judge(struct mg_head *head);

/* A Go duration ("10s", "1m30s", "2.5s") as milliseconds, at most MG_HTTP_TIMEOUT_MAX_MS; anything else is the default. */
int64_t mg_http_timeout(mg_str text);
