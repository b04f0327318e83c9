/* The registries that policies need asked: none where no policy does. */
#pragma once
#include "app/options.h"
#include "policy/policy.h"
#include "registry/registry.h"

/* A policy has an imageSize rule. */
bool mg_images_needed(const struct mg_snapshot *snapshot);

/* What the command line says of them. */
struct mg_images_options {
  const char *auth_file; /* credentials for hosts that name none of their own; NULL: none */
  const char *cache_dir; /* --image-cache; NULL: none */
  bool offline;          /* what is in there is all that there is */
  const struct mg_registry_api *api; /* --pull-secrets; NULL: they are not read */
};

/* Starts *registry, or tells the one that is there of the Registry documents of these policies. */
int mg_images_use(struct mg_registry **registry, const struct mg_snapshot *snapshot, const struct mg_images_options *options,
                  struct mg_err *err) __attribute__((warn_unused_result));

#define MG_IMAGE_CACHE_OPTION(type, member) \
  {"image-cache", "DIR", &mg_o_text, offsetof(type, member), .doc = "keep what registries said of images", .path = MG_PATH_VALUE}

/* The config.json of whoever sits at the terminal, $DOCKER_CONFIG or ~/.docker: NULL where there is none. */
const char *mg_images_own_auth(struct mg_arena *arena);

/* Waits for what the session has under way, for the command line; a line on a terminal tells how many are. False: the time is
 * over. */
#define MG_IMAGES_ROUNDS 24 /* of asking: 1,024 images at a time, and what is known of one may bring up more */
bool mg_images_wait(struct mg_registry_session *session, int64_t ms);
