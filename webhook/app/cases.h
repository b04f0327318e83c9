/* What `mlgate test` is made of: the Tests of files, what comes of a case, what is told of it and written back. */
#pragma once
#include "app/options.h"
#include "app/policies.h"
#include "policy/cases.h"

#define MG_CASES_ARENA ((size_t)1 << 30)  /* of all Tests and their results */
#define MG_CASE_ARENA ((size_t)256 << 20) /* of the case at hand */
#define MG_CASE_TEXT ((size_t)16 << 20)   /* of what is told of one case */
#define MG_CASES_MAX 100000

/* Bytes of a file that give way to others. */
struct mg_case_edit {
  struct mg_case_edit *next;
  size_t start, end;
  mg_str text;
};

struct mg_case_file {
  const char *path;
  mg_str text;
  struct mg_case_edit *edits;
  size_t edit_count;
  bool left; /* the edits could not be written: it stays as it was */
};

struct mg_case_test {
  struct mg_test test;
  struct mg_case_file *file;
};

/* A file that cannot be read; line 0: as a whole. */
struct mg_case_trouble {
  struct mg_case_trouble *next;
  const char *file;
  uint32_t line, column;
  mg_str text;
};

/* All Tests of the command line's paths. */
struct mg_cases {
  struct mg_arena arena;
  struct mg_diags diags;
  struct mg_pattern_owner patterns;
  struct mg_case_test *tests;
  size_t count, cap, files, cases;
  struct mg_case_trouble *troubles, **troubles_end;
  struct mg_case_written *written; /* expected files, by --update */
  size_t trouble_count;
};

/* What is wrong with a Test goes to diags, what cannot be read to troubles. MG_E_NOMEM, MG_E_LIMIT. */
int mg_cases_read(struct mg_cases *cases, const struct mg_strings *paths, struct mg_err *err);
void mg_cases_fini(struct mg_cases *cases); /* also of a zeroed one */
/* A path in a Test, as it is opened and shown. */
mg_str mg_case_path(struct mg_arena *arena, const struct mg_case_file *file, mg_str name);

enum mg_case_state { MG_CASE_PASSED, MG_CASE_FAILED, MG_CASE_UPDATED, MG_CASE_BROKEN, MG_CASE_STATES };

/* A key of `expect` that does not hold. */
struct mg_case_problem {
  struct mg_case_problem *next;
  const char *key;
  mg_str expected, actual; /* JSON */
  mg_str text;             /* for people: lines, the last without its break */
  bool mended;             /* by --update */
  bool in_test;            /* by an edit of the Test's own file */
};

struct mg_case_result {
  const struct mg_case_test *test;
  const struct mg_case *c;
  enum mg_case_state state;
  struct mg_case_problem *problems, **problems_end;
  mg_str error; /* why it could not be judged */
  mg_str note;  /* "": none */
  uint64_t ns;
};

/* What became of the object, for as long as the case's arena. */
struct mg_case_actual {
  bool allowed;
  const mg_str *violations; /* POLICY/RULE, each once */
  uint32_t violation_count;
  bool patched;
  mg_node object; /* after the patch; absent: there is none */
};

/* One case at work. */
struct mg_case_work {
  const struct mg_snapshot *snapshot;
  int64_t now;
  struct mg_arena *arena; /* of the case */
  struct mg_arena *keep;  /* of results */
  bool update;
  struct mg_case_result *result;
  struct mg_case_actual actual;
};

/* Judges the case and fills result and actual. MG_E_NOMEM. */
int mg_case_run(struct mg_case_work *work, struct mg_err *err);
/* Reads a whole file of one document; on failure the result has an error and the node is absent. */
mg_node mg_case_document(struct mg_case_work *work, mg_str name);
/* Holds the verdict against what the case expects; adds problems. `before`: a copy of the object that no patch has touched. */
void mg_case_compare(struct mg_case_work *work, mg_node before, const struct mg_verdict *verdict);

/* --update: writes expected files at once, and notes the edits of the Test's own file. What cannot be written is told with the
 * problem. */
void mg_case_update(struct mg_cases *cases, struct mg_case_work *work);
/* Writes the edits of all files. False: a file would not say what it should, or cannot be written; standard error says so, and
 * its cases are failed again. */
bool mg_cases_write_back(struct mg_cases *cases, struct mg_case_result *results, size_t count);

struct mg_case_totals {
  size_t files, tests, by_state[MG_CASE_STATES], left_out, errors;
};

struct mg_case_output;
/* Where reports go: FORMAT or FORMAT=FILE each; text, if there is none. MG_E_USAGE, MG_E_IO, MG_E_NOMEM. */
int mg_case_outputs_open(struct mg_case_output **ret, struct mg_arena *arena, const struct mg_strings *specs,
                         struct mg_err *err);
int mg_case_outputs_write(struct mg_case_output *outputs, const struct mg_cases *cases, const struct mg_case_result *results,
                          size_t count, const struct mg_case_totals *totals, struct mg_err *err);
void mg_case_outputs_close(struct mg_case_output *outputs); /* NULL is fine */
