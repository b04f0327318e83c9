/* What a replay finds: requests counted by what becomes of them under one set of policies, or by what becomes of them otherwise
 * under another one, with a few of them to look at. Its memory does not grow with the requests. */
#pragma once
#include "app/recorded.h"
#include "app/tally.h"
#include "report/report.h"

#define MG_REPLAY_ARENA ((size_t)128 << 20)
#define MG_REPLAY_EXAMPLES 100 /* of a group, at most */
#define MG_REPLAY_LINES 10     /* of an example */
#define MG_REPLAY_LINE ((size_t)2 << 10)
#define MG_REPLAY_PATCH ((size_t)4 << 10) /* larger ones are left out of an example */
#define MG_REPLAY_ERRORS 100

struct mg_replay_line {
  bool gone; /* said under the first policies alone */
  mg_str text;
};

struct mg_replay_example {
  struct mg_replay_example *next;
  const char *file;
  uint32_t line;
  mg_str operation, kind, ns, name, user;
  struct mg_replay_line lines[MG_REPLAY_LINES];
  uint32_t line_count, more;
  mg_str patches[2]; /* empty: none, or too large */
};

enum mg_replay_of { MG_OF_POLICIES, MG_OF_NAMESPACES, MG_OF_KINDS, MG_OF_COUNT };

struct mg_replay_group {
  uint64_t requests;
  struct mg_tally tallies[MG_OF_COUNT];
  struct mg_replay_example *examples, **examples_end;
  uint32_t example_count;
};

/* Of one set of policies; of two, what is other under the second. A request may be in several. */
enum { MG_GROUP_DENIALS, MG_GROUP_WARNINGS, MG_GROUP_AUDITS, MG_GROUP_EXEMPTIONS, MG_GROUP_PATCHES, MG_GROUPS_OF_ONE };
enum {
  MG_GROUP_NEWLY_DENIED,
  MG_GROUP_NEWLY_ALLOWED,
  MG_GROUP_OTHER_DENIALS,
  MG_GROUP_OTHER_WARNINGS,
  MG_GROUP_OTHER_AUDITS,
  MG_GROUP_OTHER_PATCHES,
  MG_GROUPS_OF_TWO
};
#define MG_GROUPS MG_GROUPS_OF_TWO

struct mg_replay {
  bool two; /* sets of policies */
  uint32_t examples; /* of each policy that are kept */
  struct mg_arena arena;
  struct mg_replay_group groups[MG_GROUPS];
  struct mg_report_totals totals[2]; /* under each set; of files, skipped and errors in the first alone */
  uint64_t unchanged, reviews, events, dry_runs, refused, no_old, as_stored, unused[MG_UNUSED_COUNT];
  struct mg_report_error errors[MG_REPLAY_ERRORS]; /* the first ones */
};

/* One request that was judged under each set; verdicts[1] NULL where there is one. Arena: a passing one. */
struct mg_replay_judged {
  const char *file;
  uint32_t line;
  const struct mg_recorded *recorded;
  const struct mg_verdict *verdicts[2];
};

void mg_replay_init(struct mg_replay *replay, bool two, uint32_t examples);
void mg_replay_fini(struct mg_replay *replay);
int mg_replay_add(struct mg_replay *replay, const struct mg_replay_judged *judged, struct mg_arena *arena, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_replay_error(struct mg_replay *replay, const char *file, uint32_t line, const char *message);

/* replay_report.c */
void mg_replay_text(struct mg_buf *out, const struct mg_replay *replay);
void mg_replay_json(struct mg_buf *out, const struct mg_replay *replay);
