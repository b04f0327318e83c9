/* From the paths of --policies and --context to a snapshot; what is wrong with them goes to standard error. */
#pragma once
#include "app/options.h"
#include "policy/policy.h"

#define MG_POLICIES_USUAL "policies" /* the directory that is taken without a path, if it exists */

struct mg_policy_files {
  struct mg_strings policies, context;
  const struct mg_source *more; /* behind them; texts without a file of their own */
  size_t more_count;
};

/* The files that a snapshot was made of, in the order of loading. */
struct mg_policy_sources {
  struct mg_arena arena;
  struct mg_source *items;
  size_t count, cap;
};
void mg_policy_sources_fini(struct mg_policy_sources *sources); /* also of zeroed ones */

/* Writes down ./policies where no path is given and there is something of that name, be it a link that leads nowhere. Who reads
 * again later stays with it then: were it gone for a moment, the built-in pack would take its place. */
void mg_policy_files_settle(struct mg_policy_files *files);

/* Without policies: ./policies if it exists, else those that are built in. On failure all there is to say has been said.
 * mg_load_policies_and: ret_sources, zeroed by the caller, keeps the files. */
int mg_load_policies(const struct mg_policy_files *files, struct mg_snapshot **ret);
int mg_load_policies_and(const struct mg_policy_files *files, struct mg_policy_sources *ret_sources, struct mg_snapshot **ret);

/* What there is to say of the files, in lines. */
struct mg_load_said {
  struct mg_buf text;
  size_t error; /* where the first error begins; SIZE_MAX: there is none, all are warnings */
};
/* The same without a word to standard error. The caller gives back said->text, also on failure. */
int mg_load_policies_into(const struct mg_policy_files *files, struct mg_policy_sources *ret_sources, struct mg_load_said *said,
                          struct mg_snapshot **ret);

/* The rows that every command with policies has. */
#define MG_POLICY_OPTIONS(type, member)                                                                                      \
  {"policies", "PATH", &mg_o_list, offsetof(type, member.policies), .doc = "policy file or directory; repeats",        \
   .path = MG_PATH_VALUE},                                                                                                   \
    {"context", "PATH", &mg_o_list, offsetof(type, member.context), .doc = "LimitRanges, Namespaces … as files; repeats", \
     .path = MG_PATH_VALUE}
