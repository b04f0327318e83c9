#include "base/read.h"

#include <errno.h>
#include <unistd.h>

ssize_t mg_read_all(int fd, char *to, size_t room) {
  size_t n = 0;
  while (n < room) {
    ssize_t got = read(fd, to + n, room - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    n += (size_t)got;
  }
  return (ssize_t)n;
}
