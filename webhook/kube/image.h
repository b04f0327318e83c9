/* Image references, normalised as container runtimes do (reference image-registry.md section 2.5). */
#pragma once
#include "base/arena.h"

/* "nginx" -> "docker.io/library/nginx:latest"; with a digest the tag goes. What cannot be parsed comes back as it was. */
mg_str mg_image_normalise(struct mg_arena *arena, mg_str reference);
