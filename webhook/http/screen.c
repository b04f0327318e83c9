#include "http/screen.h"

#include "base/ascii.h"
#include "base/when.h"

#include <strings.h>

static const struct mg_route routes[] = {
  {MG_DOOR_TLS, "/mutate", MG_ROUTE_MUTATE},     {MG_DOOR_TLS, "/validate", MG_ROUTE_VALIDATE},
  {MG_DOOR_PLAIN, "/healthz", MG_ROUTE_HEALTH},  {MG_DOOR_PLAIN, "/livez", MG_ROUTE_HEALTH},
  {MG_DOOR_PLAIN, "/readyz", MG_ROUTE_READY},    {MG_DOOR_PLAIN, "/metrics", MG_ROUTE_METRICS},
};

const struct mg_route *mg_route_find(enum mg_door door, mg_str target) {
  mg_str path = {target.p, mg_str_find(target, '?')};
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    if (routes[i].door == door && mg_str_is(path, routes[i].path)) {
      return &routes[i];
    }
  }
  return NULL;
}

#define NAME(literal) {(literal), sizeof(literal) - 1}
static const mg_str known_names[MG_HEADERS_KNOWN] = {
  [MG_HEADER_LENGTH] = NAME("Content-Length"), [MG_HEADER_TRANSFER] = NAME("Transfer-Encoding"),
  [MG_HEADER_HOST] = NAME("Host"),             [MG_HEADER_EXPECT] = NAME("Expect"),
  [MG_HEADER_TYPE] = NAME("Content-Type"),     [MG_HEADER_TRACE] = NAME("traceparent"),
};

static bool same_word(mg_str s, mg_str word) {
  return s.n == word.n && strncasecmp(s.p, word.p, s.n) == 0;
}

static bool token_char(char c) {
  return mg_is_alnum(c) || c == '-' || (c && strchr("!#$%&'*+.^_`|~", c));
}

static bool name_good(mg_str name) {
  for (size_t i = 0; i < name.n; i++) {
    if (!token_char(name.p[i])) {
      return false;
    }
  }
  return name.n > 0;
}

static bool value_good(mg_str value) {
  for (size_t i = 0; i < value.n; i++) {
    unsigned char c = (unsigned char)value.p[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) {
      return false;
    }
  }
  return true;
}

void mg_head_add(struct mg_head *head, mg_str name, mg_str value) {
  head->headers++;
  head->bad_header |= !name_good(name) || !value_good(value);
  for (size_t i = 0; i < MG_HEADERS_KNOWN; i++) {
    if (same_word(name, known_names[i]) && head->count[i]++ == 0) {
      head->value[i] = value;
    }
  }
}

static bool bad_version(struct mg_head *head) {
  return strcmp(head->version, "HTTP/1.1") != 0 &&
         !(head->door == MG_DOOR_PLAIN && strcmp(head->version, "HTTP/1.0") == 0);
}

static bool bad_target(struct mg_head *head) {
  return head->target_size > MG_HTTP_URI_MAX;
}

static bool too_many_headers(struct mg_head *head) {
  return head->headers > MG_HTTP_HEADERS_MAX;
}

static bool bad_header(struct mg_head *head) {
  return head->bad_header;
}

static bool bad_host(struct mg_head *head) {
  unsigned hosts = head->count[MG_HEADER_HOST];
  return hosts > 1 || (hosts == 0 && strcmp(head->version, "HTTP/1.0") != 0);
}

static bool two_framings(struct mg_head *head) {
  return head->count[MG_HEADER_TRANSFER] > 0 && head->count[MG_HEADER_LENGTH] > 0;
}

/* Seventeen digits are more than any limit and never overflow. */
static bool bad_length(struct mg_head *head) {
  mg_str text = head->value[MG_HEADER_LENGTH];
  if (head->count[MG_HEADER_LENGTH] == 0) {
    return false;
  }
  if (head->count[MG_HEADER_LENGTH] > 1 || text.n == 0 || text.n > 17) {
    return true;
  }
  for (size_t i = 0; i < text.n; i++) {
    if (!mg_is_digit(text.p[i])) {
      return true;
    }
    head->length = head->length * 10 + (size_t)(text.p[i] - '0');
  }
  return false;
}

static bool bad_path(struct mg_head *head) {
  return !head->route || head->target_cut;
}

static bool not_post(struct mg_head *head) {
  return head->door == MG_DOOR_TLS && strcmp(head->method, "POST") != 0;
}

static bool not_get(struct mg_head *head) {
  return head->door == MG_DOOR_PLAIN && strcmp(head->method, "GET") != 0 && strcmp(head->method, "HEAD") != 0;
}

static bool needless_body(struct mg_head *head) {
  return head->door == MG_DOOR_PLAIN && (head->length > 0 || head->count[MG_HEADER_TRANSFER] > 0);
}

static bool bad_expect(struct mg_head *head) {
  unsigned count = head->count[MG_HEADER_EXPECT];
  return count > 1 || (count == 1 && !same_word(head->value[MG_HEADER_EXPECT], MG_S("100-continue")));
}

static bool bad_type(struct mg_head *head) {
  mg_str type = head->value[MG_HEADER_TYPE];
  type.n = mg_str_find(type, ';');
  while (type.n > 0 && (type.p[type.n - 1] == ' ' || type.p[type.n - 1] == '\t')) {
    type.n--;
  }
  return head->door == MG_DOOR_TLS && (head->count[MG_HEADER_TYPE] != 1 || !same_word(type, MG_S("application/json")));
}

static bool no_length(struct mg_head *head) {
  return head->door == MG_DOOR_TLS && head->count[MG_HEADER_LENGTH] == 0;
}

static bool no_body(struct mg_head *head) {
  return head->door == MG_DOOR_TLS && head->length == 0;
}

static bool large_body(struct mg_head *head) {
  return head->length > head->max_body;
}

/* What could be read as two different requests comes first, so that nothing else about it is ever answered. */
static const struct {
  bool (*fails)(struct mg_head *head);
  enum mg_refusal why;
} checks[] = {
  {bad_version, MG_REFUSE_VERSION}, {bad_target, MG_REFUSE_URI},        {too_many_headers, MG_REFUSE_HEADERS},
  {bad_header, MG_REFUSE_HEADER},   {bad_host, MG_REFUSE_HOST},         {two_framings, MG_REFUSE_TRANSFER},
  {bad_length, MG_REFUSE_LENGTH},   {bad_path, MG_REFUSE_PATH},         {not_post, MG_REFUSE_METHOD_POST},
  {not_get, MG_REFUSE_METHOD_GET},  {needless_body, MG_REFUSE_BODY},    {bad_expect, MG_REFUSE_EXPECT},
  {bad_type, MG_REFUSE_MEDIA},      {no_length, MG_REFUSE_NO_LENGTH},   {no_body, MG_REFUSE_EMPTY},
  {large_body, MG_REFUSE_TOO_LARGE},
};

enum mg_refusal mg_head_judge(struct mg_head *head) {
  head->length = 0;
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    if (checks[i].fails(head)) {
      return checks[i].why;
    }
  }
  return MG_REFUSE_NONE;
}

int64_t mg_http_timeout(mg_str text) {
  int64_t ms = 0;
  return mg_duration_parse(text, MG_HTTP_TIMEOUT_MAX_MS, &ms) && ms > 0 ? ms : MG_HTTP_TIMEOUT_MS;
}
