/* The registries that policies need asked: none where no policy does. */
#pragma once
#include "policy/policy.h"
#include "registry/registry.h"

/* A policy has an imageSize rule. */
bool mg_images_needed(const struct mg_snapshot *snapshot);

/* Starts *registry, or tells the one that is there of the Registry documents of these policies. */
int mg_images_use(struct mg_registry **registry, const struct mg_snapshot *snapshot, const char *auth_file, struct mg_err *err)
  __attribute__((warn_unused_result));

/* The config.json of whoever sits at the terminal, $DOCKER_CONFIG or ~/.docker: NULL where there is none. */
const char *mg_images_own_auth(struct mg_arena *arena);

/* Waits for what the session has under way, for the command line; a line on a terminal tells how many are. False: the time is
 * over. */
bool mg_images_wait(struct mg_registry_session *session, int64_t ms);
