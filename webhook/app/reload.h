/* Reads again what the server was started with, when it changes: policies with their context, and the certificate with its key
 * and the clients' CA. Each of these two is staged whole and then swapped at once; what cannot be read leaves the old one
 * serving, and neither holds up the other: a certificate that is about to end must not wait for somebody to mend a policy. */
#pragma once
#include "app/policies.h"
#include "http/credentials.h"

struct mg_answerer;
struct mg_http_server;
struct mg_live;
struct mg_reload;
struct mg_sandbox;

#define MG_RELOAD_POLL_MS 10000
#define MG_RELOAD_QUIET_MS 200

struct mg_reload_options {
  struct mg_policy_files policies;
  struct mg_credentials_files credentials;
  bool dry_run;
  struct mg_live *live; /* told what new policies need of the cluster; NULL: nobody is; must outlive the thread */
  int64_t poll_ms, quiet_ms; /* 0: the above */
};

/* Before the files are read for the first time: what changes from then on is seen. What the options point to is not copied. */
int mg_reload_new(const struct mg_reload_options *options, struct mg_reload **ret, struct mg_err *err)
  __attribute__((warn_unused_result));
/* Before the start: policies that cannot do their work in this sandbox are not taken; it must outlive the thread. */
void mg_reload_confine(struct mg_reload *reload, const struct mg_sandbox *sandbox);
/* Once, with the certificate that serves now. Both must outlive the thread that this starts. */
int mg_reload_start(struct mg_reload *reload, struct mg_answerer *answerer, struct mg_http_server *server, int64_t expires,
                    struct mg_err *err) __attribute__((warn_unused_result));
/* Ends the thread if there is one: before the server goes, which may still ask whether all is ready. NULL is fine. */
void mg_reload_stop(struct mg_reload *reload);
void mg_reload_free(struct mg_reload *reload); /* stops it first; NULL is fine */

/* Reads everything again, changed or not. */
void mg_reload_poke(struct mg_reload *reload);

/* What of it fails now, for /metrics. */
void mg_reload_metrics(struct mg_reload *reload, struct mg_buf *out);

/* False: the certificate has ended. What is newer and does not serve, and why, goes to out unless it is NULL. */
bool mg_reload_ready(struct mg_reload *reload, struct mg_buf *out);
