#include "registry/settings.h"

#include <stdlib.h>

#include "kube/image.h"

#define SETTINGS_MAX ((size_t)16 << 20)

static const char *copy(struct mg_arena *arena, const char *z) {
  return z ? mg_arena_dup(arena, mg_str_of(z)).p : NULL;
}

static void copy_host(struct mg_arena *arena, struct mg_registry_host *to, const struct mg_registry_host *from) {
  *to = *from;
  to->at = (mg_node){0}; /* the snapshot's */
  to->host = mg_image_without_port(mg_image_domain(arena, from->host));
  to->mirror = mg_image_domain(arena, from->mirror);
  to->ca_file = mg_arena_dup(arena, from->ca_file);
  to->auth_file = mg_arena_dup(arena, from->auth_file);
  to->platform = mg_arena_dup(arena, from->platform);
  if (to->timeout_ms <= 0) to->timeout_ms = MG_REGISTRY_TIMEOUT_MS;
}

struct mg_settings *mg_settings_new(const struct mg_registry_options *options) {
  struct mg_settings *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  atomic_init(&s->refs, 1);
  mg_arena_init(&s->arena, SETTINGS_MAX, 0);
  s->host_count = options->host_count;
  s->offline = options->offline;
  s->auth_file = copy(&s->arena, options->auth_file);
  s->cache_dir = copy(&s->arena, options->cache_dir);
  s->reads_secrets = options->api != NULL;
  if (options->api)
    s->api = (struct mg_registry_api){copy(&s->arena, options->api->server), copy(&s->arena, options->api->ca_file),
                                      copy(&s->arena, options->api->token_file)};
  s->hosts = MG_NEW_N(&s->arena, struct mg_registry_host, options->host_count);
  for (uint32_t i = 0; s->hosts && i < options->host_count; i++) copy_host(&s->arena, &s->hosts[i], &options->hosts[i]);
  if (!s->arena.failed) return s;
  mg_settings_unref(s);
  return NULL;
}

struct mg_settings *mg_settings_ref(struct mg_settings *s) {
  atomic_fetch_add(&s->refs, 1);
  return s;
}

void mg_settings_unref(struct mg_settings *s) {
  if (!s || atomic_fetch_sub(&s->refs, 1) != 1) return;
  mg_arena_fini(&s->arena);
  free(s);
}

const struct mg_registry_host *mg_settings_host(const struct mg_settings *s, mg_str domain) {
  domain = mg_image_without_port(domain);
  for (uint32_t i = 0; i < s->host_count; i++)
    if (mg_str_eq(s->hosts[i].host, domain)) return &s->hosts[i];
  return NULL;
}
