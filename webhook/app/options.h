/* Command-line options as tables: one row gives the long option, its MLGATE_ variable, its default, its check and its help. */
#pragma once
#include "base/buf.h"
#include "doc/decode.h"

struct mg_option;

struct mg_option_type {
  bool flag;   /* `--name` alone means true */
  bool repeat; /* a list; a variable holds it with commas */
  /* Reads the value to dst. On failure err says what is wanted, without the option's name. */
  int (*read)(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err);
};

/* Where a value names a file: in a file of defaults that is relative to the file's own folder. */
enum mg_option_path { MG_PATH_NONE, MG_PATH_VALUE, MG_PATH_BEHIND_EQUALS };

struct mg_option {
  const char *name;  /* without the dashes */
  const char *value; /* what stands for the value in the help; NULL for flags */
  const struct mg_option_type *type;
  size_t offset;
  const char *doc;
  const char *def; /* as it would be typed */
  const char *const *words;
  int64_t min, max;
  enum mg_option_path path;
  bool aside; /* rarely needed: left out of --help, which is to fit a screen, and shown by --help-all */
};
#define MG_OPTIONS_END {0}
#define MG_OPTIONS_MAX 64

struct mg_strings {
  const char **items;
  size_t count;
};

extern const struct mg_option_type mg_o_flag;   /* bool */
extern const struct mg_option_type mg_o_text;   /* const char *, not empty */
extern const struct mg_option_type mg_o_list;   /* struct mg_strings, of none empty */
extern const struct mg_option_type mg_o_number; /* struct mg_opt_int, min to max */
extern const struct mg_option_type mg_o_size;   /* struct mg_opt_int: bytes as a quantity (8Mi), min to max */
extern const struct mg_option_type mg_o_word;   /* uint32_t: index into words, letters' case aside */
extern const struct mg_option_type mg_o_time;   /* struct mg_opt_int: Unix seconds */

enum mg_help { MG_HELP_NONE, MG_HELP, MG_HELP_ALL };

/* Reads the arguments behind the command's name, then the environment for what they do not give, then defaults, to dst (zeroed
 * by the caller). Everything else is in ret_args, in order; behind `--` all is. *ret_help: --help, -h or --help-all was there
 * and nothing else was looked at. Strings are borrowed, or in the arena. MG_E_USAGE, MG_E_NOMEM, MG_E_LIMIT. */
int mg_options_read(const struct mg_option *options, int argc, char **argv, struct mg_arena *arena, void *dst,
                    struct mg_strings *ret_args, enum mg_help *ret_help, struct mg_err *err);

/* The two halves of that: what the command line and the environment give, and the defaults for what nobody gave; in between
 * others may. */
struct mg_options_given {
  uint64_t typed, given; /* by row: on the command line; there or anywhere */
};
int mg_options_take(const struct mg_option *options, int argc, char **argv, struct mg_arena *arena, void *dst,
                    struct mg_strings *ret_args, enum mg_help *ret_help, struct mg_options_given *ret_given, struct mg_err *err);
int mg_options_defaults(const struct mg_option *options, struct mg_arena *arena, void *dst, const struct mg_options_given *given,
                        struct mg_err *err);
/* Reads one value, as the command line would; of a list, one item. */
int mg_option_put(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err);

/* The variable that gives an option, too: MLGATE_TLS_CERT. */
#define MG_VARIABLE_MAX 80
void mg_option_variable(const struct mg_option *option, char ret[MG_VARIABLE_MAX]);

/* The lines of help, one an option, at most 80 columns if their texts allow. False: some were left out, being aside. */
bool mg_options_help(struct mg_buf *out, const struct mg_option *options, bool all);

/* A date (its first second, UTC) or an RFC 3339 timestamp, as Unix seconds; years 1970 to 9999. */
bool mg_time_read(const char *text, int64_t *ret_unix);
