/* What the files of weights.h share. */
#pragma once
#include "base/buf.h"
#include "registry/weights.h"

#define MG_WEIGHTS_READ_MAX ((size_t)4096) /* of one text; far more than is ever shown */

/* Text of others as it may be shown: no controls, nothing that looks like a secret, at most MG_COMMAND_MAX bytes of the beginning
 * or, for paths, of the end. */
mg_str mg_weights_clean(struct mg_arena *arena, mg_str s);
mg_str mg_weights_clean_path(struct mg_arena *arena, mg_str path);

/* Writes s with every secret replaced and runs of white space as one blank (weights_redact.c). */
void mg_weights_redact(struct mg_buf *buf, mg_str s);

/* How far a file's name alone says that it holds weights. */
enum mg_weights_named { MG_NAMED_NOT, MG_NAMED_PERHAPS /* such as .pt */, MG_NAMED_SURELY /* such as .gguf */ };
enum mg_weights_named mg_weights_named(mg_str path);

/* Without regard to ASCII case. */
bool mg_weights_starts(mg_str s, const char *with);
bool mg_weights_ends(mg_str s, const char *with);
bool mg_weights_has(mg_str s, const char *part);

mg_str mg_weights_base(mg_str path); /* behind the last slash */
mg_str mg_weights_dir(mg_str path);  /* before it */

/* All that `bytes` unpack to, at most buf->max of it; gzip, zstd, or taken as they are. False: broken,
 * but what came out is in buf; buf->failed: out of memory. */
bool mg_weights_unpack(struct mg_buf *buf, mg_str bytes, bool *ret_ended);

/* Neither gzip nor zstd. */
bool mg_weights_unpacked(mg_str bytes);

/* A tar, header by header, as Go's archive/tar reads it, with which container runtimes unpack. */
struct mg_tar {
  mg_str data;
  uint64_t at;     /* of the next header; may lie behind the data */
  char joined[257]; /* prefix/name */
};

struct mg_tar_file {
  mg_str path; /* borrowed until the next step */
  int64_t size;
  mg_str head; /* what of its content is there */
};

enum mg_tar_step {
  MG_TAR_FILE,
  MG_TAR_END, /* the mark at the end */
  MG_TAR_CUT, /* the next header is not in the data */
  MG_TAR_BAD, /* what stands there is no header */
};
enum mg_tar_step mg_tar_next(struct mg_tar *tar, struct mg_tar_file *ret);
