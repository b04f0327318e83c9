/* All of a text to a file, a pipe or a terminal. */
#pragma once
#include "base/str.h"

/* 0, or -1 and errno: some of it may have been written then. Signals do not break it off. */
int mg_write_all(int fd, mg_str text) __attribute__((warn_unused_result));
