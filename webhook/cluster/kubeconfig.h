/* Where the API server is and who asks it, as kubectl knows it: the kubeconfig files and their current context. What would have a
 * program run for a credential is refused. */
#pragma once
#include "base/arena.h"
#include "cluster/api.h"

#define MG_KUBECONFIG_FILES 16
#define MG_KUBECONFIG_BYTES ((size_t)4 << 20) /* of one file */

struct mg_kubeconfig {
  struct mg_arena arena;
  const char *context;       /* its name; NULL: there is no kubeconfig, and `api` is that of a pod's service account */
  struct mg_api_options api; /* for mg_api_open; the strings live as long as this */
};

/* path NULL: $KUBECONFIG, a list of files, else ~/.kube/config. context NULL: the current one. */
int mg_kubeconfig_read(struct mg_kubeconfig *ret, const char *path, const char *context, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_kubeconfig_fini(struct mg_kubeconfig *config); /* also of a zeroed one */
