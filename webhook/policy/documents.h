/* Private to policy/: the kinds of document that policy files are made of, and how each enters a snapshot. */
#pragma once
#include "policy/snapshot.h"

struct mg_loader {
  struct mg_snapshot *snapshot;
  struct mg_load load;
  mg_rule_types types;
  bool built_in; /* the document at hand is a table of ours */
  bool namesake; /* its name is another's, which has been told */
};

struct mg_metadata {
  mg_str name, ns;
  struct mg_list annotations, labels; /* of struct mg_pair */
};

struct mg_document {
  mg_str api_version, kind;
  struct mg_metadata metadata;
  mg_node spec;
  struct mg_list cases, policies, context; /* of a Test: policy/cases.h */
};

struct mg_document_kind {
  const char *name;
  const struct mg_field *fields; /* of struct mg_document */
  /* Takes a document whose head was read; adds errors. */
  void (*load)(struct mg_loader *, const struct mg_document *, mg_node root);
  int pass;           /* tables first: policies are checked against them */
  bool name_is_label; /* else a DNS subdomain */
  const struct mg_field *spec; /* of `spec`; NULL: it has none */
  const char *doc;
};

/* What may stand in a rule beside its type. */
extern const struct mg_field mg_rule_entry_fields[];
/* Reads as mg_t_node; tells the schema that this is the list of rules. */
extern const struct mg_type mg_t_rules;

/* One after the other; NULL at the end. */
const struct mg_document_kind *mg_document_kind_at(size_t i);

/* The name is there and one that its kind may have. One that is not there has been reported with the head. */
bool mg_document_check_name(struct mg_load *load, const struct mg_document_kind *kind, mg_node root, mg_str name);

/* NULL where mlgate.dev has no such kind. */
const struct mg_document_kind *mg_document_kind_of(mg_str name);
/* "; did you mean …" for a kind, or "". */
mg_str mg_document_kind_hint(struct mg_arena *arena, mg_str name);
