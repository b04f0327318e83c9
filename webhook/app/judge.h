/* One file after the other: read, opened, judged, reported. Memory is that of one file. */
#pragma once
#include "app/inputs.h"
#include "app/objects.h"
#include "app/options.h"
#include "report/report.h"

#define MG_JUDGE_ARENA ((size_t)1 << 30) /* of one file */
#define MG_JUDGE_CELLS 4000000
#define MG_JUDGE_DEPTH 256
#define MG_JUDGE_DUPLICATES 1000 /* of one file that are shown */

struct mg_judge {
  const struct mg_snapshot *snapshot;
  struct mg_report *report;
  struct mg_object_visitor visitor;
  int64_t now;
  bool *matched;          /* by exception of the snapshot */
  struct mg_arena keep;   /* what lives as long as this */
  struct mg_arena arena;  /* of the file at hand */
  struct mg_buf text;     /* of the file at hand */
  mg_str standard;        /* what standard input said, where it was read beforehand; p NULL: it was not */
  bool waiting;           /* mg_judge_ask has asked a registry that has not answered yet */
};

/* usual: what objects are asked with that do not say it themselves. Snapshot and report are borrowed. */
int mg_judge_init(struct mg_judge *judge, const struct mg_snapshot *snapshot, struct mg_report *report,
                  const struct mg_request *usual, const struct mg_strings *groups, struct mg_err *err);
void mg_judge_fini(struct mg_judge *judge); /* also of a zeroed one */

/* Judges the file for what it asks of registries alone (visitor.usual.images), which then look for all of it at one time. Nothing
 * is reported. MG_E_NOMEM. */
int mg_judge_ask(struct mg_judge *judge, const struct mg_input *input, struct mg_err *err);

/* What is wrong with the file goes into the report; a negative code means that there is no sense in going on. */
int mg_judge_file(struct mg_judge *judge, const struct mg_input *input, struct mg_err *err);
