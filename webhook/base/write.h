/* All of a text to a file, a pipe or a terminal. */
#pragma once
#include "base/str.h"

/* A report's place. It is opened early, so that one that cannot be written is told early, and emptied when the first text comes:
 * until then an older file is as it was, and one that was made for this goes again when it is closed. */
struct mg_output {
  int fd;
  const char *made; /* path; NULL: it was there */
  bool begun;
};
/* The path, which is borrowed, or standard output for NULL. 0, or -1 and errno; fd is -1 then. */
int mg_output_open(struct mg_output *output, const char *path) __attribute__((warn_unused_result));
/* As mg_write_all; no text makes an empty file. */
int mg_output_write(struct mg_output *output, mg_str text) __attribute__((warn_unused_result));
void mg_output_close(struct mg_output *output);

/* 0, or -1 and errno: some of it may have been written then. Signals do not break it off. */
int mg_write_all(int fd, mg_str text) __attribute__((warn_unused_result));
