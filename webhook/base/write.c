#include "base/write.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
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

int mg_output_open(struct mg_output *output, const char *path) {
  const int how = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
  *output = (struct mg_output){.fd = STDOUT_FILENO};
  if (!path) return 0;
  output->fd = open(path, how | O_EXCL, 0666);
  if (output->fd >= 0) output->made = path;
  else if (errno == EEXIST) output->fd = open(path, how, 0666);
  return output->fd < 0 ? -1 : 0;
}

int mg_output_write(struct mg_output *output, mg_str text) {
  struct stat info;
  bool first = !output->begun && output->fd > STDERR_FILENO;
  if (first && fstat(output->fd, &info) == 0 && S_ISREG(info.st_mode) && ftruncate(output->fd, 0) != 0) return -1;
  output->begun = true;
  return mg_write_all(output->fd, text);
}

void mg_output_close(struct mg_output *output) {
  if (output->fd > STDERR_FILENO) (void)close(output->fd);
  if (output->made && !output->begun) (void)unlink(output->made);
}
