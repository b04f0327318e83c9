/* --git-diff: what of the files in a repository's working tree is not as it was in another commit. */
#pragma once
#include "app/inputs.h"

#define MG_CHANGES_FILES 1000000
#define MG_CHANGES_RANGES 2000000
#define MG_CHANGES_PRINTED ((size_t)1 << 30) /* bytes that git may print; they are not kept */

/* Lines of a file as it is now, 1-based. Where lines went without others in their place: the two around the gap, of which the
 * first may be 0, and the second one behind the end; or, where whole documents went, the place between the two, `to` being the
 * line before `from`. */
struct mg_change {
  uint32_t from, to;
  enum { MG_CHANGE_REPLACED, MG_CHANGE_ADDED, MG_CHANGE_GONE } kind;
  mg_str tail; /* of a gap: what went behind the last separator there; p NULL: there was none */
};

struct mg_changed {
  const char *path; /* from the top of the working tree */
  bool all;
  size_t first, count; /* of the ranges, in their order */
};

struct mg_changes {
  struct mg_arena *arena;
  mg_str top; /* the working tree */
  char base[80]; /* the commit that is compared with */
  struct mg_changed *files; /* by path */
  struct mg_change *ranges;
  size_t file_count, file_cap, range_count, range_cap;
};

/* Asks git for what changed since HEAD left `ref`: committed, staged or not, and files that git does not know and is not told to
 * ignore. Of a renamed file the lines that changed. The repository is that of the working directory, else of the first
 * path. MG_E_USAGE, MG_E_IO, MG_E_LIMIT, MG_E_NOMEM. */
int mg_changes_find(struct mg_changes *changes, const char *ref, const char *const *paths, size_t count, struct mg_err *err);

/* Leaves of the inputs those that changed, and tells each what of it did; and those that are a problem. */
int mg_changes_keep(const struct mg_changes *changes, struct mg_inputs *inputs, struct mg_err *err);

/* The bytes of a file that its changed lines are, in their order. */
struct mg_spans {
  struct mg_span {
    size_t start, end;
  } *items;
  size_t count;
};
int mg_changes_spans(const struct mg_input *input, mg_str source, struct mg_arena *arena, struct mg_spans *ret);
bool mg_spans_touch(const struct mg_spans *spans, size_t start, size_t end);
