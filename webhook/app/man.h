/* What manual pages say beyond the tables of commands and options. A pair of backticks is around what is typed. */
#pragma once

struct mg_man_row {
  const char *term, *text;
};

/* Lists end with an empty row; NULL: none. */
struct mg_man_page {
  const char *command;
  const char *text; /* paragraphs, with an empty line between them */
  const struct mg_man_row *environment, *files, *examples;
  const char *see; /* other commands, with blanks between them */
};

extern const struct mg_man_page mg_man_overview;
/* The page of a command, or one that says nothing. */
const struct mg_man_page *mg_man_page(const char *command);
