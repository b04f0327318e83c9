/* The report of `check` and its kin: results go in as they come, each asked-for format makes its own text of them, and the end
 * says whether all of it could be written. What a format needs is copied at once, so results may live in a passing arena. */
#pragma once
#include "policy/policy.h"

struct mg_report_warning {
  uint32_t line, column;
  mg_str text;
};

/* One object that was judged. */
struct mg_report_result {
  const char *file;
  uint32_t document;     /* 0-based place in the file */
  uint32_t ordinal;      /* 0-based place among the objects of the file that can be judged */
  uint32_t line, column; /* of its first character */
  mg_str api_version, kind, ns, name;
  mg_node object; /* as written; its doc has the file's text */
  const struct mg_verdict *verdict;
  const struct mg_report_warning *warnings; /* all of them, the verdict's too */
  uint32_t warning_count;
};

/* Something that could not be read; line 0: the file as a whole. */
struct mg_report_error {
  const char *file;
  uint32_t line, column;
  mg_str message;
};

struct mg_report_exception {
  mg_str name, expires;
  enum mg_exception_state state;
  struct mg_pos pos; /* of its document */
};

struct mg_report_totals {
  uint64_t files, objects, skipped, errors;
  uint64_t outcomes[4]; /* objects by their hardest finding: enum mg_outcome */
  uint64_t mutated;
};

struct mg_report;

#define MG_REPORT_FORMATS_MAX 16

/* The formats: a row for each. */
#define MG_FORMATS(FORMAT) \
  FORMAT(text)             \
  FORMAT(json)             \
  FORMAT(sarif)            \
  FORMAT(junit)            \
  FORMAT(github)           \
  FORMAT(gitlab)           \
  FORMAT(markdown)         \
  FORMAT(html)

enum mg_color { MG_COLOR_AUTO, MG_COLOR_ALWAYS, MG_COLOR_NEVER };
extern const char *const mg_color_words[]; /* auto, always, never */

/* The name in FORMAT=FILE, and the file; NULL: there is none, or it is "-", which is standard output too. */
const char *mg_report_file(const char *spec, mg_str *ret_name);

/* Each spec is FORMAT or FORMAT=FILE; none: text on standard output. MG_E_USAGE: unknown format, or two for one place;
 * MG_E_IO: a file that cannot be written; MG_E_NOMEM. */
int mg_report_new(struct mg_report **ret_report, const char *const *specs, size_t count, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_report_free(struct mg_report *report); /* NULL is fine */
/* Before the first result. Unless this is called: auto, which is colour on a terminal, if NO_COLOR and CLICOLOR_FORCE do not say
 * otherwise. */
void mg_report_color(struct mg_report *report, enum mg_color color);

void mg_report_result(struct mg_report *report, const struct mg_report_result *result);
void mg_report_error(struct mg_report *report, const struct mg_report_error *error);
void mg_report_exception(struct mg_report *report, const struct mg_report_exception *exception);
/* That file is one that this report goes to. */
bool mg_report_goes_to(const struct mg_report *report, const char *path);

/* Counted by the report itself: objects, errors, outcomes, mutated. The caller adds files and skipped. */
struct mg_report_totals *mg_report_totals(struct mg_report *report);

/* Writes what is left. MG_E_IO, MG_E_NOMEM: some of the report, this or what went before, is lost. */
int mg_report_end(struct mg_report *report, struct mg_err *err) __attribute__((warn_unused_result));

/* The names of the formats as one text, and as a list that ends with NULL. */
#define MG_FORMAT_WORD(name) " " #name
#define MG_FORMAT_WORDS MG_FORMATS(MG_FORMAT_WORD)
extern const char *const mg_report_format_names[];
