/* What of the system a server goes on to need: the files that its options and policies name, and connections where something
 * asks a registry or the API server. Out of that its sandbox. */
#pragma once
#include "app/policies.h"
#include "app/sandbox.h"
#include "http/credentials.h"

struct mg_api_options;

struct mg_confine_needs {
  const struct mg_policy_files *policies;
  const struct mg_credentials_files *credentials;
  const struct mg_api_options *api; /* NULL: the API server is not asked */
  const struct mg_snapshot *snapshot;
  const char *cache_dir; /* where files are written; NULL: nowhere */
  bool collector;        /* spans are sent */
  const char *collector_ca; /* NULL: the system's */
};

/* Begins and enters the sandbox. MG_E_IO, too, where a file that was named cannot be read any more from inside. */
int mg_confine(struct mg_sandbox *sandbox, enum mg_sandbox_want want, const struct mg_confine_needs *needs, struct mg_err *err)
  __attribute__((warn_unused_result));

/* Whether policies that come later can do their work in there: they may be the first that ask registries, or name a file that
 * is not to be read. */
int mg_confine_fits(const struct mg_sandbox *sandbox, const struct mg_snapshot *snapshot, struct mg_err *err)
  __attribute__((warn_unused_result));
