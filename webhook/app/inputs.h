/* The files that the command line names: a file as it is, a directory as the .yaml, .yml and .json files below it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "doc/json.h"

#define MG_INPUT_MAX_BYTES ((size_t)64 << 20) /* of one file */
#define MG_INPUT_MAX_FILES 100000
#define MG_INPUT_MAX_ENTRIES 2000000 /* of all directories that are searched */
#define MG_INPUT_MAX_DEPTH 64        /* of directories */
#define MG_MANIFEST_DEPTH 256        /* of a document */
#define MG_MANIFEST_CELLS 4000000
#define MG_CONFIG_NAME ".mlgate.yaml" /* of ours, and no manifest */

/* How manifests are read: as kubectl does. path: for positions; NULL: there is none. */
static inline struct mg_read mg_manifest_reading(const char *path) {
  return (struct mg_read){
      .limits = {MG_INPUT_MAX_BYTES, MG_MANIFEST_DEPTH, MG_MANIFEST_CELLS}, .file = path, .last_wins = true};
}

struct mg_changes;
struct mg_changed;

struct mg_input {
  const char *path; /* as it is shown and opened; "-": standard input */
  const char *problem; /* why there is nothing to read, or NULL */
  const struct mg_changes *changes; /* NULL: all of it counts; else what `changed` says (app/changes.h) */
  const struct mg_changed *changed;
};

/* Standard input, where it is named as a file. */
static inline bool mg_is_standard(const char *path) {
  return strcmp(path, "-") == 0;
}

struct mg_inputs {
  struct mg_arena *arena;
  struct mg_input *items;
  size_t count, cap, entries;
  bool policies;     /* dot files are left out, and "-" is a name like any other */
  const char *const *suffixes; /* of the files of a directory, NULL-terminated; NULL: .yaml, .yml, .json */
};

/* Adds a path's files at the end, in byte order of their paths. A path that is not there is an input with a problem.
 * Symbolic links are followed, but not back up. MG_E_NOMEM, MG_E_LIMIT. */
int mg_inputs_add(struct mg_inputs *inputs, const char *path, struct mg_err *err);

/* Reads a whole file to the buffer, which is emptied first and should have a max of MG_INPUT_MAX_BYTES + 1. */
int mg_input_read(const char *path, struct mg_buf *buf, struct mg_err *err);
