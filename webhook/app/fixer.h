/* What `mlgate fix` makes of one file: the mutation, and the mends that are safe, put into its text until judging it again finds
 * no more to do. A new text is taken only if, read again, it says exactly what the edited objects say. */
#pragma once
#include "app/judge.h"

struct mg_fixer {
  struct mg_judge judges[2]; /* of the newest text, and of the one before it */
  struct mg_buf texts[2];
  struct mg_arena arena;     /* of one round: the text as it is read, edits */
  struct mg_arena trial;     /* of one new text, read again */
  struct mg_arena kept;      /* of the file at hand: which objects are its */
  bool mend;                 /* the safe mends too */
};

/* Judges like that one, which must outlive it. */
void mg_fixer_init(struct mg_fixer *fixer, const struct mg_judge *judge, bool mend);
void mg_fixer_fini(struct mg_fixer *fixer); /* also of a zeroed one */

/* True where there is something to write back, or to say why it cannot be. */
bool mg_fixer_has_work(const struct mg_fixer *fixer, const struct mg_judged *file);

/* `file` becomes what its newest text was judged to, `source` that text, with an error for each object that could not be edited.
 * Only objects that `file` had before are in it. It holds until the next file. MG_E_NOMEM. */
int mg_fixer_run(struct mg_fixer *fixer, struct mg_judged *file, struct mg_err *err);
