/* A certificate authority of our own and the server certificate that it signs, kept as files or in a Secret, renewed without a
 * refused request, and the checks that a server makes of the pair it is given. ECDSA P-256 throughout.
 *
 * What is kept, as files of a directory or as keys of one Secret of type kubernetes.io/tls:
 *   ca.crt                    every CA that is trusted now: one, or two during a change
 *   ca.key                    the key of the one of them that signs
 *   tls.crt, tls.key          the server certificate
 *   next-ca.crt, next-ca.key  the CA that will sign, from its announcement to the switch
 * A Pod that serves needs ca.crt, tls.crt and tls.key and should mount no more (`items` of the volume): whoever reads ca.key can
 * be any server that this CA is trusted for.
 *
 * Rotation. A certificate is due when less than a third of its life is left; `at_once` makes all due and cuts every wait short.
 * One run goes one step and no further; what is kept says which. A run with nothing to do writes nothing.
 *   settled -> announced   a new CA: next-ca.*, and behind the old one in ca.crt; then caBundle becomes what ca.crt is. The old
 *                          one goes on signing, until all trust both
 *   announced -> switched  `overlap` later: caBundle is made sure of, then ca.key is the new CA's, the server certificate is made
 *                          by it, and next-ca.* is gone. ca.crt still holds both, for servers that have not yet read the new pair
 *   switched -> settled    `overlap` later, or when the old CA has ended: the old CA leaves ca.crt, then caBundle
 * In between the server certificate is renewed by the CA that signs. A CA that has ended unnoticed is replaced in one step, as
 * nothing is left to overlap with. A run that dies on the way leaves what the next one goes on from: the Secret is written in one
 * request; files in an order in which each state in between is good or is put right.
 *
 * Several at once. The Secret is created (who gets 409 takes what is there) or updated with its resourceVersion; who is too late
 * begins anew with what is there then. A caBundle is written with its configuration's resourceVersion, and ca.crt is read once
 * more after the configuration was: who writes late cannot put back an older bundle. A directory is locked.
 *
 * Rights that it needs (RBAC), with SECRET in NS and the webhook configurations NAME:
 *   Role in NS:   apiGroups [""], resources [secrets], verbs [create]                 (create cannot be bound to a name)
 *                 apiGroups [""], resources [secrets], resourceNames [SECRET], verbs [get, update]
 *   ClusterRole:  apiGroups [admissionregistration.k8s.io], resources [mutatingwebhookconfigurations,
 *                 validatingwebhookconfigurations], resourceNames [NAME], verbs [get, update]
 * Without `create`, make the Secret beforehand, of type Opaque and without data, as app/manifests.yaml does; or of the type above
 * with empty tls.crt and tls.key: what is empty counts as not there. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "cluster/api.h"

#define MG_CERTS_NAMES_MAX 64
#define MG_CERTS_DAYS_MAX 36500

struct mg_certs_place {
  const char *dir;         /* made (0700) when missing; NULL: the Secret */
  const char *ns, *secret;
  struct mg_api *api;      /* needed for the Secret and for hooks */
  const char *const *hooks; /* webhook configurations whose caBundle follows ca.crt: NAME, mutating, validating or both;
                             * mutating/NAME and validating/NAME, that one */
  size_t n_hooks;
  int64_t wait;            /* seconds, for hooks that are not there yet */
};

struct mg_certs_request {
  const char *const *dns;  /* names the server is called by */
  size_t n_dns;
  const char *const *ips;
  size_t n_ips;
  bool keep_names;         /* where there is a server certificate, its names and not these */
  int ca_days, days;       /* 0: ten years, one year; the server certificate never outlives its CA */
  bool force;              /* create: all anew even where there is a CA */
  bool at_once;            /* rotate: one step now */
  int64_t overlap;         /* rotate: seconds; never more than a twelfth of the life of the CA that ends */
  int64_t now;             /* Unix seconds; 0: the clock */
};

enum mg_certs_did {
  MG_CERTS_CA = 1,         /* a CA made that signs at once */
  MG_CERTS_LEAF = 2,       /* a server certificate */
  MG_CERTS_ANNOUNCED = 4,
  MG_CERTS_SWITCHED = 8,
  MG_CERTS_DROPPED = 16,
};

enum mg_certs_next { MG_CERTS_NEXT_LEAF, MG_CERTS_NEXT_CA, MG_CERTS_NEXT_SWITCH, MG_CERTS_NEXT_DROP };

/* Of a run that failed too: what it had done by then. */
struct mg_certs_report {
  unsigned did;            /* enum mg_certs_did */
  unsigned patched;        /* webhook configurations whose caBundle was written */
  enum mg_certs_next next;
  int64_t due;             /* when that is due, Unix seconds */
  int64_t until;           /* when the server certificate ends */
};

/* Makes what is missing. A CA that is there is kept. In a directory the server certificate is made anew each time, in a Secret
 * only where it has ended, does not fit or lacks a name of the request. */
int mg_certs_create(const struct mg_certs_place *place, const struct mg_certs_request *request, struct mg_certs_report *ret,
                    struct mg_err *err) __attribute__((warn_unused_result));
/* One step, as above; what is missing altogether is made. */
int mg_certs_rotate(const struct mg_certs_place *place, const struct mg_certs_request *request, struct mg_certs_report *ret,
                    struct mg_err *err) __attribute__((warn_unused_result));
/* What is kept, for people; never key material. *ret_good: a CA and a server certificate, valid now, which belong together. */
int mg_certs_show(const struct mg_certs_place *place, int64_t now, struct mg_buf *out, bool *ret_good, struct mg_err *err)
  __attribute__((warn_unused_result));

/* The names under which the API server and people reach a Service: svc, svc.ns, svc.ns.svc and the cluster domain's. */
#define MG_CERTS_SERVICE_NAMES 4
struct mg_certs_names {
  char text[MG_CERTS_SERVICE_NAMES][160];
};
int mg_certs_service_names(const char *service, const char *ns, struct mg_certs_names *ret_names, struct mg_err *err)
  __attribute__((warn_unused_result));

/* When the first certificate of the file ends, in Unix seconds. */
int mg_certs_expiry(const char *path, int64_t *ret_unix, struct mg_err *err) __attribute__((warn_unused_result));

/* A certificate (chain) and its key as PEM text, read once and known to belong together. */
struct mg_certs_pair {
  char *cert, *key; /* NUL-terminated */
  size_t cert_size, key_size;
  int64_t not_after;
};
int mg_certs_load(const char *cert_path, const char *key_path, struct mg_certs_pair *ret_pair, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_certs_pair_fini(struct mg_certs_pair *pair); /* also of a zeroed one; wipes the key */
