#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/command.h"

int mg_command_print(const char *who, const struct mg_buf *text) {
  bool good = !text->failed && (!text->n || fwrite(text->p, 1, text->n, stdout) == text->n) && fflush(stdout) == 0;
  if (text->failed) fprintf(stderr, "%s: out of memory\n", who);
  else if (!good) fprintf(stderr, "%s: standard output: %s\n", who, strerror(errno));
  return good ? MG_EXIT_OK : MG_EXIT_USAGE;
}
