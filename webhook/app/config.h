/* .mlgate.yaml: defaults for the options of commands that have the rows below. A key is the name of an option; the command line
 * and the environment win. */
#pragma once
#include "app/command.h"

#define MG_CONFIG_LEVELS 64 /* folders above that are searched */

struct mg_config_options {
  const char *file;
  bool none;
};

#define MG_CONFIG_OPTIONS(type, member)                                                                                        \
  {"config", "FILE", &mg_o_text, offsetof(type, member.file), .doc = "defaults [.mlgate.yaml, here or above]",                 \
   .aside = true},                                                                                                             \
    {"no-config", NULL, &mg_o_flag, offsetof(type, member.none), .doc = "look for no file of defaults", .aside = true}

/* It may be a key of the file: all may, but those that name the file. */
bool mg_config_has(const struct mg_option *row);

/* The command has those rows. */
bool mg_config_is_read(const struct mg_command *command);

/* Gives the command's options that have no value yet those of the file that --config names, else of the first .mlgate.yaml in the
 * working directory and above, as far as the folder that has .git; outside a repository in the working directory alone.
 * Relative paths in it start from its folder. What only other commands have is checked and left. MG_E_INVALID (told on standard
 * error), MG_E_IO, MG_E_NOMEM. */
int mg_config_apply(const struct mg_command *const *commands, size_t count, const struct mg_command *command,
                    struct mg_arena *arena, void *options, struct mg_options_given *given, struct mg_err *err);
