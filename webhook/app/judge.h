/* One file after the other: read, opened, judged. What came of it is a value: the caller reports it, or writes it back. Memory
 * is that of one file.
 *
 * What Helm rendered and standard input brings is reported under the name of its template, as the comment `# Source: PATH` above
 * a document says it; line and column stay those of what was read. */
#pragma once
#include "app/inputs.h"
#include "app/objects.h"
#include "app/options.h"
#include "doc/yaml.h"
#include "report/report.h"

#define MG_JUDGE_ARENA ((size_t)1 << 30) /* of one file */
#define MG_JUDGE_DUPLICATES 1000 /* of one file that are shown */
#define MG_JUDGE_SOURCE 1024     /* bytes of a path that a comment names */

enum mg_judged_kind { MG_JUDGED_RESULT, MG_JUDGED_ERROR, MG_JUDGED_NOTE };

/* One thing that a file came to, in the order of the file. */
struct mg_judged_item {
  struct mg_judged_item *next;
  enum mg_judged_kind kind;
  union {
    struct mg_report_result result;
    struct mg_report_error error;
    struct mg_report_warning note; /* about nothing that is judged: for standard error */
  };
};

struct mg_judged {
  const char *path;
  bool read;                /* else one error says why not */
  bool failed;              /* out of memory: something is lost */
  mg_str source;            /* the file's bytes; empty where they could not be read */
  struct mg_file_doc *docs; /* as far as they could be parsed */
  struct mg_judged_item *items, **end;
  uint64_t skipped;         /* objects of kinds that the table does not have */
  uint64_t documents;       /* that are not empty, though a List among them may be */
};

struct mg_judge {
  const struct mg_snapshot *snapshot;
  struct mg_object_visitor visitor;
  int64_t now;
  struct mg_arena keep;   /* what lives as long as this */
  struct mg_arena arena;  /* of the file at hand */
  struct mg_buf text;     /* of the file at hand */
  mg_str standard;        /* what standard input said, where it was read beforehand; p NULL: it was not */
  bool waiting;           /* mg_judge_ask has asked a registry that has not answered yet */
};

/* usual: what objects are asked with that do not say it themselves. The snapshot is borrowed. */
int mg_judge_init(struct mg_judge *judge, const struct mg_snapshot *snapshot, const struct mg_request *usual,
                  const struct mg_strings *groups, struct mg_err *err);
void mg_judge_fini(struct mg_judge *judge); /* also of a zeroed one */
/* Another one for the same, which it must not outlive; the two share nothing that changes. */
void mg_judge_like(struct mg_judge *ret, const struct mg_judge *judge);
/* Lets go of the file at hand, and of most memory. */
void mg_judge_rest(struct mg_judge *judge);

/* Judges the file for what it asks of registries alone (visitor.usual.images), which then look for all of it at one time. Nothing
 * is reported. MG_E_NOMEM. */
int mg_judge_ask(struct mg_judge *judge, const struct mg_input *input, struct mg_err *err);

/* Of an input with changes, the objects that they touch. What is wrong with the file is in ret, which holds until the next file;
 * MG_E_NOMEM: there is no sense in going on. */
int mg_judge_file(struct mg_judge *judge, const struct mg_input *input, struct mg_judged *ret, struct mg_err *err);

/* The same of a text that the caller has, and keeps as long as ret. */
int mg_judge_text(struct mg_judge *judge, const char *path, mg_str text, struct mg_judged *ret, struct mg_err *err);
