/* Files judged by several threads and handed over one after the other, in their order, on the thread that called. */
#pragma once
#include "app/judge.h"

#define MG_CREW_MAX 64                    /* threads */
#define MG_CREW_USUAL 16                  /* of them where nobody says how many */
#define MG_CREW_BYTES ((size_t)16 << 20)  /* of files that are judged or wait for their turn; a larger one is alone */

struct mg_crew {
  uint32_t jobs; /* 0: one a CPU */
  void *ctx;
  /* A negative result ends the run. The file holds until it returns. */
  int (*judged)(void *ctx, struct mg_judged *file, struct mg_err *err);
  void (*waits)(void *ctx, size_t done); /* now and then, while nothing is handed over */
};

/* `judge` does the work itself where there is one job; else each thread has its like. */
int mg_crew_run(const struct mg_crew *crew, struct mg_judge *judge, const struct mg_inputs *inputs, struct mg_err *err);
