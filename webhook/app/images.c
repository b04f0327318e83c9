#include "app/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rules/rules.h"

#define TELL_MS 250

bool mg_images_needed(const struct mg_snapshot *snapshot) {
  for (uint32_t p = 0; p < mg_snapshot_policy_count(snapshot); p++) {
    const struct mg_policy *policy = mg_snapshot_policy(snapshot, p);
    for (uint32_t r = 0; r < policy->rule_count; r++)
      if (policy->rules[r].type == &mg_rule_image_size) return true;
  }
  return false;
}

int mg_images_use(struct mg_registry **registry, const struct mg_snapshot *snapshot, const struct mg_images_options *how,
                  struct mg_err *err) {
  struct mg_registry_options options = {.auth_file = how->auth_file, .cache_dir = how->cache_dir, .offline = how->offline,
                                         .api = how->api};
  options.hosts = mg_snapshot_registries(snapshot, &options.host_count);
  return *registry ? mg_registry_configure(*registry, &options, err) : mg_registry_new(registry, &options, err);
}

const char *mg_images_own_auth(struct mg_arena *arena) {
  const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
  mg_str path = {0};
  if (dir && *dir) path = mg_arena_printf(arena, "%s/config.json", dir);
  else if (home && *home) path = mg_arena_printf(arena, "%s/.docker/config.json", home);
  return path.p && access(path.p, R_OK) == 0 ? path.p : NULL;
}

bool mg_images_wait(struct mg_registry_session *session, int64_t ms) {
  const bool tell = isatty(STDERR_FILENO) == 1;
  bool all = false;
  for (int64_t waited = 0; !all && waited < ms; waited += TELL_MS) {
    if (tell) fprintf(stderr, "\r\033[Kasking registries for %u images", mg_registry_session_waiting(session));
    all = mg_registry_session_wait(session, TELL_MS);
  }
  if (tell) fputs("\r\033[K", stderr);
  return all;
}
