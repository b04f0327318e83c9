/* Image references, normalised as container runtimes do. */
#pragma once
#include "base/arena.h"

/* A reference in its parts: domain in lower case and never empty, path with "library/" where the Hub has it there; tag and digest
 * as written, "" where there is none. */
struct mg_image {
  mg_str domain, path, tag, digest;
};
/* False where it is no reference (a placeholder, a capital in the path …) or memory is short. */
bool mg_image_parse(struct mg_arena *arena, mg_str reference, struct mg_image *ret);

/* The same of what mg_image_normalise has made, where a domain comes first, whatever it looks like: "Host/a" becomes
 * "host/a:latest", which would be a name of the Hub if somebody wrote it. */
bool mg_image_parse_normalised(struct mg_arena *arena, mg_str reference, struct mg_image *ret);

/* A domain as it is compared: in lower case, and index.docker.io is docker.io. */
mg_str mg_image_domain(struct mg_arena *arena, mg_str domain);

/* 443 is the port of a domain that names none. */
mg_str mg_image_without_port(mg_str domain);
/* A domain, with or without a port, that can be asked: HOST[:PORT]. */
bool mg_image_is_domain(mg_str domain);

/* "nginx" -> "docker.io/library/nginx:latest"; with a digest the tag goes. What cannot be parsed comes back as it was. */
mg_str mg_image_normalise(struct mg_arena *arena, mg_str reference);
