/* What the build puts into the binary: the built-in tables, the baseline policies, and the version. scripts/embed.sh writes the
 * definitions. */
#pragma once
#include <stddef.h>

struct mg_embedded {
  const char *name;          /* "kube/workloads.yaml", "policies/baseline/gpu.yaml" */
  const unsigned char *data; /* a NUL follows, not counted */
  size_t size;
};

extern const struct mg_embedded mg_embedded_files[]; /* in byte order of the name */
extern const size_t mg_embedded_count;

extern const char mg_version[];
