/* What may be typed where, out of the command and option tables, and the scripts that tell it to shells. */
#pragma once
#include "app/command.h"

#define MG_CHOICE_WORDS 64

/* What an option's value or a command's arguments can be. All empty: anything, of which nothing is known. */
struct mg_choice {
  mg_str words[MG_CHOICE_WORDS];
  size_t count;
  bool files, dirs;
  bool assign; /* a word, or WORD=FILE */
};

/* Of an option that takes a value, and of what follows the options. */
void mg_choice_of_option(struct mg_choice *ret, const struct mg_option *option);
void mg_choice_of_arguments(struct mg_choice *ret, const struct mg_command *command);

/* The words of a choice with blanks between them. */
void mg_choice_words(struct mg_buf *out, const struct mg_choice *choice);

void mg_completion_bash(struct mg_buf *out);
void mg_completion_zsh(struct mg_buf *out);
void mg_completion_fish(struct mg_buf *out);
