/* What look-ups go by: Registry documents and the credentials of all other hosts. Immutable and counted. */
#pragma once
#include <stdatomic.h>

#include "registry/registry.h"

#define MG_REGISTRY_TIMEOUT_MS 3000

struct mg_settings {
  atomic_uint refs;
  struct mg_arena arena;
  struct mg_registry_host *hosts; /* domains as mg_image_domain has them */
  uint32_t host_count;
  const char *auth_file, *cache_dir; /* NULL: none */
  bool offline;
  bool reads_secrets;
  struct mg_registry_api api;
};

struct mg_settings *mg_settings_new(const struct mg_registry_options *options); /* NULL: out of memory */
struct mg_settings *mg_settings_ref(struct mg_settings *settings);
void mg_settings_unref(struct mg_settings *settings); /* NULL is fine */
/* NULL: no document names it. "host:443" is "host". */
const struct mg_registry_host *mg_settings_host(const struct mg_settings *settings, mg_str domain);
