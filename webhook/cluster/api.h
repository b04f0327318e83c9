/* A small client of the API server: one request at a time, replies with a limit, time-outs, no redirects, no proxy but one
 * that is given, nothing but HTTPS save on this host. One mg_api belongs to one thread. */
#pragma once
#include <jansson.h>

#include "base/err.h"

#define MG_API_BODY_MAX ((size_t)4 << 20)
#define MG_API_DEPTH_MAX 64
#define MG_API_VALUES_MAX 200000 /* values of one reply */
#define MG_API_SERVER_MAX 512
#define MG_API_FILE_MAX 4096
#define MG_API_PATH_MAX 8192
#define MG_API_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

struct mg_api_options {
  const char *server; /* https://HOST[:PORT]; NULL: the cluster that this runs in, as the pod's service account */
  const char *ca_file;    /* NULL: the service account's, or with a server the system's */
  const char *token_file; /* NULL: the service account's, or with a server none */
  const char *cert_file, *key_file; /* client certificate; NULL: none */
  const char *account; /* directory of the service account; NULL: where the kubelet mounts it */
  int timeout_ms;      /* of one request; 0: ten seconds */
  /* What a kubeconfig may say besides (cluster/kubeconfig.h); they go before the files. */
  mg_str ca_data, cert_data, key_data; /* PEM; empty: none */
  const char *token;       /* NULL: none */
  const char *server_name; /* that its certificate is for; NULL: the server's */
  bool loopback;           /* the server may be http:// at a loopback address, as kubectl proxy is, if there is no proxy */
  const char *proxy;       /* URL; NULL: none, whatever the environment says */
  size_t body_max;         /* of a reply; 0: MG_API_BODY_MAX */
};

/* Where that is, for who asks by other means. "": none. */
struct mg_api_place {
  char server[MG_API_SERVER_MAX]; /* without a slash at its end */
  char ca_file[MG_API_FILE_MAX], token_file[MG_API_FILE_MAX], cert_file[MG_API_FILE_MAX], key_file[MG_API_FILE_MAX];
};
/* Reads no file. */
int mg_api_find(const struct mg_api_options *options, struct mg_api_place *ret, struct mg_err *err)
  __attribute__((warn_unused_result));

struct mg_api;
struct curl_slist;

/* Reads the token, asks nothing of the server. The strings of the options are not needed afterwards. */
int mg_api_open(const struct mg_api_options *options, struct mg_api **ret, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_api_close(struct mg_api *api); /* NULL is fine; wipes the token */

struct mg_api_reply {
  int status;
  char *body; /* NUL-terminated */
  size_t size;
};
void mg_api_reply_fini(struct mg_api_reply *reply); /* also of a zeroed one; wipes the body */

/* 0 whatever the status; an error where no answer came. `type` and `body` may be NULL and empty. After a 401 the token file is
 * read again, after a 429 or 503 the server is given the time that it asks for (at most five seconds), three tries in all. */
int mg_api_call(struct mg_api *api, const char *method, const char *path, const char *type, mg_str body, struct mg_api_reply *ret,
                struct mg_err *err) __attribute__((warn_unused_result));

/* For who drives transfers by itself: sets `curl` (a CURL *) up for a GET of the path as mg_api_call would make it, with the
 * token that the file has now, and with none of its waiting. What takes the bytes, and how long, is for the caller to set; the
 * headers, freed by mg_api_headers_free, and `text` (CURL_ERROR_SIZE bytes) must outlive the transfer. */
int mg_api_prepare(struct mg_api *api, void *curl, const char *path, struct curl_slist **ret_headers, char *text,
                   struct mg_err *err) __attribute__((warn_unused_result));
void mg_api_headers_free(struct curl_slist **headers); /* wipes them; also of NULL */

/* JSON within the limits above, no duplicate keys, no NUL in strings. The caller owns it. */
int mg_api_json(mg_str text, json_t **ret, struct mg_err *err) __attribute__((warn_unused_result));

/* One object in, one out. 404 and 409 are answers: 0, *ret NULL and the status; what else is not 2xx is an error with the
 * server's words. `body` and `ret` may be NULL. */
int mg_api_object(struct mg_api *api, const char *method, const char *path, const json_t *body, int *ret_status, json_t **ret,
                  struct mg_err *err) __attribute__((warn_unused_result));

/* From now on jansson's memory is wiped when it is freed, for who reads Secrets. Before there are threads. */
void mg_api_wipe_json(void);

static inline void mg_api_closep(struct mg_api **api) {
  mg_api_close(*api);
}
static inline void mg_json_decrefp(json_t **json) {
  json_decref(*json);
}
#define MG_API_AUTO __attribute__((cleanup(mg_api_closep))) struct mg_api *
#define MG_JSON_AUTO __attribute__((cleanup(mg_json_decrefp))) json_t *
