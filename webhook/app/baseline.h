/* Findings that are known: `check --baseline` hides them, `--write-baseline` writes down those of now. */
#pragma once
#include "app/strict.h"
#include "report/report.h"

#define MG_BASELINE_MAX 100000 /* findings */
#define MG_BASELINE_TOLD 20    /* entries that match nothing */

/* What a finding is told by, in the order of the file. */
enum mg_known_part {
  MG_KNOWN_KIND,
  MG_KNOWN_NAMESPACE,
  MG_KNOWN_NAME,
  MG_KNOWN_POLICY,
  MG_KNOWN_RULE,
  MG_KNOWN_CONTAINER,
  MG_KNOWN_SUBJECT,
  MG_KNOWN_PARTS
};

struct mg_known {
  mg_str parts[MG_KNOWN_PARTS];
  mg_node at;        /* in the file, of one that was read */
  bool seen, stands; /* its object was judged; it is still found */
};

struct mg_known_list {
  struct mg_known *items; /* sorted when they have been read, or are to be written */
  size_t count, cap;
};

struct mg_baseline {
  struct mg_strict file;
  struct mg_known_list known, found;
  struct mg_arena arena; /* of what is found */
  bool gather; /* what is found */
  size_t unlisted; /* findings that verdicts only count, of `unlisted_of` objects; no baseline can tell them apart */
  size_t unlisted_of;
  mg_str unlisted_in; /* the first of these */
};

/* Of such a file. */
extern const struct mg_field mg_baseline_fields[];

/* Reads the known ones; what is wrong with the file goes to standard error. MG_E_IO, MG_E_INVALID, MG_E_NOMEM. */
int mg_baseline_read(struct mg_baseline *baseline, const char *path, struct mg_err *err);
void mg_baseline_fini(struct mg_baseline *baseline); /* also of a zeroed one */

/* Gathers the result's findings, and hides of them what is known: action audit, and the verdict counts it so. MG_E_NOMEM. */
int mg_baseline_apply(struct mg_baseline *baseline, const struct mg_report_result *result, struct mg_err *err);

/* What was looked into. */
enum mg_baseline_scope { MG_BASELINE_ALL, MG_BASELINE_SOME_FILES, MG_BASELINE_SOME_OBJECTS };

/* To standard error: findings that no baseline can hide, and entries that are not found any more. Of these, those of objects that
 * were not judged only where all was looked into; of some files one line says how many they are. */
void mg_baseline_tell(struct mg_baseline *baseline, enum mg_baseline_scope scope);

/* Whether --write-baseline may take the place of what is there: nothing, an empty file, a baseline, no regular file. A manifest
 * whose name was left out behind the option would be gone. MG_E_USAGE, MG_E_IO, MG_E_NOMEM. */
int mg_baseline_may_write(const char *path, struct mg_err *err);

/* What was gathered, as YAML, or as JSON where the path ends in .json; a file that is there is replaced as a whole. MG_E_LIMIT,
 * MG_E_IO, MG_E_NOMEM. */
int mg_baseline_write(struct mg_baseline *baseline, const char *path, struct mg_err *err);
