/* What is kept, as text and as what it means. Private to certs/. */
#pragma once
#include "certs/issue.h"
#include "certs/pem.h"

/* In the order in which files are written: each state in between is good, or is put right by the next run. */
enum mg_entry { MG_NEXT_KEY, MG_NEXT_CRT, MG_CA_KEY, MG_CA_CRT, MG_TLS_KEY, MG_TLS_CRT };
#define MG_ENTRIES 6

extern const char *const mg_entry_names[MG_ENTRIES];
static inline bool mg_entry_secret(size_t entry) {
  return entry == MG_NEXT_KEY || entry == MG_CA_KEY || entry == MG_TLS_KEY;
}

struct mg_entries {
  struct mg_blob of[MG_ENTRIES]; /* n == 0: not there */
};
void mg_entries_fini(struct mg_entries *entries);
#define MG_ENTRIES_AUTO __attribute__((cleanup(mg_entries_fini))) struct mg_entries

struct mg_state {
  STACK_OF(X509) *bundle;  /* of ca.crt; NULL: none */
  struct mg_identity ca;   /* the one of the bundle that ca.key belongs to; both or neither */
  struct mg_identity leaf; /* either may be missing; not known to belong together */
  struct mg_identity next; /* both, belonging together, or neither */
};
void mg_state_fini(struct mg_state *state);
#define MG_STATE_AUTO __attribute__((cleanup(mg_state_fini))) struct mg_state

/* A CA that cannot be used is an error, as making another one would cut off all who trust it; the rest counts as missing then.
 * `where` is for messages. With `lenient` the CA is let pass too, as far as it can be read. */
int mg_state_read(const struct mg_entries *entries, const char *where, bool lenient, struct mg_state *ret, struct mg_err *err);
