/* What is known of one kind, kept up by what the API server sends: pages of a list, then the lines of a watch. No sockets: bytes
 * go in, objects come out. One thread. */
#pragma once
#include "base/buf.h"
#include "kube/context.h"

#define MG_FEED_LINE_MAX ((size_t)4 << 20)   /* one event */
#define MG_FEED_PAGE_MAX ((size_t)32 << 20)  /* one page of a list */
#define MG_FEED_LIST_MAX ((size_t)256 << 20) /* all of its pages */
#define MG_FEED_OBJECTS_MAX 200000
#define MG_FEED_VERSION_MAX 128   /* of a resourceVersion */
#define MG_FEED_CONTINUE_MAX 2048 /* of what asks for the next page */

struct mg_feed_objects {
  struct mg_context_object **items; /* by namespace and name */
  uint32_t count, cap;
};

struct mg_feed {
  enum mg_context_kind kind;
  struct mg_feed_objects known, listed; /* what holds; what the list that is not whole yet has brought */
  char version[MG_FEED_VERSION_MAX];    /* where a watch begins; "": nowhere, a list is due */
  char next[MG_FEED_CONTINUE_MAX];      /* where the list goes on; "": it begins */
  char list_version[MG_FEED_VERSION_MAX];
  size_t list_bytes;
  struct mg_buf in; /* a page, or what came of the line in hand */
  size_t scanned;   /* of it without a newline */
  struct mg_arena arena;
  bool changed;     /* `known`, since the caller last set it to false */
  uint64_t events;  /* whole ones, bookmarks too */
};

void mg_feed_init(struct mg_feed *feed, enum mg_context_kind kind);
void mg_feed_fini(struct mg_feed *feed);
/* Forgets what is known, for a kind that is not served or not wanted any more. */
void mg_feed_clear(struct mg_feed *feed);

/* Before each reply, and to drop what is left of one. */
void mg_feed_begin(struct mg_feed *feed);
/* The list begins anew. */
void mg_feed_restart(struct mg_feed *feed);

/* Bytes of a page. MG_E_LIMIT, MG_E_NOMEM. */
int mg_feed_page_bytes(struct mg_feed *feed, mg_str bytes, struct mg_err *err) __attribute__((warn_unused_result));
/* The page is whole. *ret_more: another one follows; else `known` is what was listed. MG_E_SYNTAX, MG_E_INVALID, MG_E_LIMIT,
 * MG_E_NOMEM. */
int mg_feed_page_end(struct mg_feed *feed, bool *ret_more, struct mg_err *err) __attribute__((warn_unused_result));

/* Bytes of a watch. Errors as above, and of the server's own: *ret_gone: the version is too old, a list is due. */
int mg_feed_watch_bytes(struct mg_feed *feed, mg_str bytes, bool *ret_gone, struct mg_err *err)
  __attribute__((warn_unused_result));
