/* Bytes + snapshot + clock -> bytes: the only place that answers. No sockets, no globals; the server, the tests, the fuzzers and
 * the benchmarks all call it, and check calls what it calls. */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

enum mg_endpoint { MG_MUTATE, MG_VALIDATE };

/* For metrics and logs; strings live in the review's arena. */
struct mg_summary {
  mg_str uid, kind, ns, name, user;
  uint32_t kind_index; /* in the workload table; UINT32_MAX: another kind */
  enum mg_operation operation;
  bool decided;        /* a verdict was reached */
  bool allowed, patched;
  uint32_t violations[4]; /* by enum mg_outcome */
  mg_str message;      /* of the denial, or of the error */
  const uint8_t *policy_results; /* by policy index; enum mg_policy_result; NULL without a verdict */
  const uint64_t *policy_ns;     /* that each took; 0: it did not match; NULL: nobody asked */
  const struct mg_policy *undecided; /* at work when memory ran out; of the snapshot; NULL: none */
};

struct mg_answer {
  unsigned http_status; /* 200, 400, 413, 500, 503 */
  struct mg_buf body;   /* AdmissionReview, or a v1 Status; JSON; in the arena */
  struct mg_summary summary;
  bool waiting;         /* for a registry: not final; to be asked for again with the same body */
};

#define MG_REVIEW_MAX_BYTES ((size_t)8 << 20)
#define MG_REVIEW_MAX_DEPTH 128
#define MG_REVIEW_MAX_CELLS 400000
#define MG_REVIEW_ARENA ((size_t)64 << 20)

/* `images`: who can be asked for them; NULL: nobody. Never fails: what cannot be reviewed is answered with a Status. The arena
 * is the caller's, reset before and after. */
void mg_admit(const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, mg_str body, int64_t now,
              const struct mg_images *images, struct mg_arena *arena, struct mg_answer *ret);

/* The same, and how long each policy took by this clock of nanoseconds; NULL: none. */
void mg_admit_timed(const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, mg_str body, int64_t now,
                    const struct mg_images *images, uint64_t (*clock)(void), struct mg_arena *arena, struct mg_answer *ret);

/* One line of a denial: `policy/rule: path: message (fix; docs)`. */
void mg_violation_line(struct mg_buf *out, const struct mg_violation *violation);
