/* One kind of object, followed: a list in pages, then watches that go on where the last one ended; what fails is tried again,
 * later and later. The caller drives the transfers. All times are monotonic milliseconds unless they say otherwise. */
#pragma once
#include <curl/curl.h>

#include "cluster/api.h"
#include "cluster/feed.h"

enum mg_follow_error {
  MG_FOLLOW_CONNECTION, /* none, or it ended too soon */
  MG_FOLLOW_UNAUTHORIZED,
  MG_FOLLOW_FORBIDDEN,
  MG_FOLLOW_NOT_FOUND,
  MG_FOLLOW_GONE, /* the version is too old: listed again */
  MG_FOLLOW_THROTTLED,
  MG_FOLLOW_SERVER,    /* any other status */
  MG_FOLLOW_MALFORMED,
  MG_FOLLOW_LIMIT,
  MG_FOLLOW_SILENT,    /* a watch told nothing for MG_FOLLOW_SILENCE_MS, not even a bookmark, which come every minute */
  MG_FOLLOW_TOKEN,     /* the token file cannot be used */
  MG_FOLLOW_ERRORS,
  MG_FOLLOW_FINE = MG_FOLLOW_ERRORS,
};
extern const char *const mg_follow_error_words[MG_FOLLOW_ERRORS];

#define MG_FOLLOW_SILENCE_MS 150000
#define MG_FOLLOW_BACKOFF_MIN_MS 200
#define MG_FOLLOW_BACKOFF_MAX_MS 30000

struct mg_follow {
  struct mg_feed feed;
  CURL *curl; /* while it runs, and kept for the next time */
  struct curl_slist *headers;
  char text[CURL_ERROR_SIZE];
  bool wanted, running, watching;
  bool synced;     /* known whole at some time, and kept up since as far as the server could be reached */
  bool served;     /* false: the API server has no such API, which is an answer too */
  int64_t due;     /* of the next request */
  int64_t began;   /* of the one that runs */
  int64_t event;   /* of the last whole event of this watch, or its beginning */
  int64_t contact; /* when the API server last told all there was */
  int64_t event_unix; /* seconds: the last list, event or bookmark */
  unsigned failures, api_version;
  enum mg_follow_error trouble; /* what was last told in the log */
  uint64_t errors[MG_FOLLOW_ERRORS];
  int failed;      /* what came of the bytes of this reply */
  bool gone;
  struct mg_err err;
  struct mg_buf problem; /* the beginning of a reply that is not 200 */
};

void mg_follow_init(struct mg_follow *follow, enum mg_context_kind kind);
void mg_follow_fini(struct mg_follow *follow); /* its transfer is off the multi handle */

/* Sets the next request up in follow->curl. False: that failed, and it is due again later. */
bool mg_follow_begin(struct mg_follow *follow, struct mg_api *api, int64_t now);
/* The transfer has ended so, and is off the multi handle. */
void mg_follow_end(struct mg_follow *follow, CURLcode why, int64_t now, int64_t stale_ms);
/* The caller has ended it, because mg_follow_is_silent. */
void mg_follow_cut(struct mg_follow *follow, int64_t now);
bool mg_follow_is_silent(const struct mg_follow *follow, int64_t now);
/* Nobody asks for it any more: forgets all. */
void mg_follow_drop(struct mg_follow *follow);

/* Known, and a watch is open or one was less than stale_ms ago. */
bool mg_follow_is_known(const struct mg_follow *follow, int64_t now, int64_t stale_ms);
