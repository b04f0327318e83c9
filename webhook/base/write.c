#include "base/write.h"

#include <errno.h>
#include <unistd.h>

int mg_write_all(int fd, mg_str text) {
  while (text.n) {
    ssize_t n = write(fd, text.p, text.n);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return -1;
    text = mg_str_from(text, (size_t)n);
  }
  return 0;
}
