/* Facts by digest in files, for runs that follow each other. What cannot be read is not there, nor what somebody else wrote, and
 * what cannot be written is left. There are at most 4,096 files of each kind: their names are three digits of a hash, and the
 * newer one replaces the older; at most 1 GiB in all, then, and few images come near a fiftieth of that. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "registry/box.h"

#define MG_DISK_FILE_MAX ((size_t)256 << 10)

/* Makes the directory where there is none, for nobody else. */
int mg_disk_open(const char *dir, struct mg_err *err) __attribute__((warn_unused_result));

/* NULL: not there. `dir` NULL: nothing ever is. */
struct mg_box *mg_disk_box(const char *dir, mg_str digest, mg_str place);
void mg_disk_keep_box(const char *dir, mg_str place, const struct mg_box *box);
/* For those who may not ask a registry. */
mg_str mg_disk_tag(const char *dir, mg_str reference, struct mg_arena *arena);
void mg_disk_keep_tag(const char *dir, mg_str reference, mg_str digest);
