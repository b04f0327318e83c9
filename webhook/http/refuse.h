/* The answers the server gives by itself, as one table: every refusal is a v1 Status, the only form whose text the
 * API server hands on to the user (it throws plain text away), and ends its connection. */
#pragma once
#include "base/buf.h"

/* name, status, reason (a Kubernetes StatusReason), metric label, Retry-After, Allow, message */
#define MG_REFUSALS(R)                                                                                                       \
  R(VERSION, 505, "BadRequest", "version", false, NULL, "only HTTP/1.1 is spoken here")                                      \
  R(URI, 414, "BadRequest", "uri", false, NULL, "the request target is too long")                                            \
  R(HEADERS, 431, "BadRequest", "headers", false, NULL, "too many header fields")                                            \
  R(HEADER, 400, "BadRequest", "header", false, NULL, "a header field holds characters that do not belong there")            \
  R(HOST, 400, "BadRequest", "host", false, NULL, "exactly one Host header is needed")                                       \
  R(TRANSFER, 400, "BadRequest", "transfer", false, NULL, "Transfer-Encoding and Content-Length exclude each other")         \
  R(LENGTH, 400, "BadRequest", "length", false, NULL, "Content-Length must be given once, as a plain number")                \
  R(PATH, 404, "NotFound", "path", false, NULL, "there is nothing at this path")                                             \
  R(METHOD_POST, 405, "MethodNotAllowed", "method", false, "POST", "only POST is answered at this path")                     \
  R(METHOD_GET, 405, "MethodNotAllowed", "method_plain", false, "GET, HEAD", "only GET and HEAD are answered at this path")  \
  R(BODY, 400, "BadRequest", "body", false, NULL, "this path takes no body")                                                 \
  R(EXPECT, 417, "BadRequest", "expect", false, NULL, "the only expectation that can be met is 100-continue")                \
  R(MEDIA, 415, "UnsupportedMediaType", "media", false, NULL, "the content type must be application/json")                   \
  R(NO_LENGTH, 411, "BadRequest", "no_length", false, NULL, "a Content-Length is needed; chunked bodies are not read")       \
  R(EMPTY, 400, "BadRequest", "empty", false, NULL, "the body is empty")                                                     \
  R(TOO_LARGE, 413, "RequestEntityTooLarge", "too_large", false, NULL, "the review is larger than the body limit of mlgate") \
  R(BUDGET, 503, "ServiceUnavailable", "budget", true, NULL, "too many bytes of other reviews are in flight")                \
  R(MEMORY, 503, "ServiceUnavailable", "memory", true, NULL, "out of memory")                                                \
  R(LATE, 504, "Timeout", "late", false, NULL, "the time the caller allowed had passed when the body was complete")          \
  R(INTERNAL, 500, "InternalError", "internal", false, NULL, "no answer could be built")

enum mg_refusal {
#define R(name, ...) MG_REFUSE_##name,
  MG_REFUSALS(R)
#undef R
    MG_REFUSE_N,
  MG_REFUSE_NONE = MG_REFUSE_N, /* nothing to refuse */
};

struct mg_refusal_row {
  unsigned status;
  bool retry_after;
  const char *reason, *label, *allow, *message;
};
extern const struct mg_refusal_row mg_refusal_rows[MG_REFUSE_N];

/* The Status as JSON. max_body stands in the text of the refusal that is about it. */
void mg_refusal_body(enum mg_refusal why, size_t max_body, struct mg_buf *out);
