/* Facts by digest in files, for runs that follow each other. What cannot be read is not there, and what cannot be written is
 * left. There are at most 65,536 files of each kind: their names are four digits of a hash, and the newer one replaces the
 * older. */
#pragma once
#include "base/arena.h"
#include "registry/box.h"

#define MG_DISK_FILE_MAX ((size_t)4 << 20)

/* NULL: not there. `dir` NULL: nothing ever is. */
struct mg_box *mg_disk_box(const char *dir, mg_str digest, mg_str platform);
void mg_disk_keep_box(const char *dir, mg_str platform, const struct mg_box *box);
/* For those who may not ask a registry. */
mg_str mg_disk_tag(const char *dir, mg_str reference, struct mg_arena *arena);
void mg_disk_keep_tag(const char *dir, mg_str reference, mg_str digest);
