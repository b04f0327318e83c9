/* All of a file or a pipe, as far as there is room. */
#pragma once
#include <sys/types.h>

/* How many bytes, or -1 and errno. Signals do not break it off. */
ssize_t mg_read_all(int fd, char *to, size_t room) __attribute__((warn_unused_result));
