/* Model cars: images of models as containers. */
#pragma once
#include "kube/pod.h"

/* A model image that KServe runs beside the server, which reads it through /proc: the container, or the one that fetches its
 * image first. */
bool mg_is_kserve_car(const struct mg_pod *pod, const struct mg_container *c);
