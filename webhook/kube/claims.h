/* Device claims (dynamic resource allocation) of a pod, resolved through the context. */
#pragma once
#include "kube/pod.h"

/* Fills the claim fields of containers and pod->claimed. */
void mg_pod_resolve_claims(struct mg_pod *pod);
