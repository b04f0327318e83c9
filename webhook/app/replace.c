#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mkostemp */
#endif
#include "app/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, mg_str text) {
  while (text.n) {
    ssize_t n = write(fd, text.p, text.n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    text = mg_str_from(text, (size_t)n);
  }
  return 0;
}

static int write_through(const char *path, mg_str text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return errno;
  int why = write_all(fd, text) == 0 ? 0 : errno;
  return close(fd) == 0 || why ? why : errno;
}

static mode_t usual_mode(void) {
  mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

static int write_beside(const char *path, mode_t mode, mg_str text) {
  char temporary[PATH_MAX];
  int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
  if (n < 0 || (size_t)n >= sizeof temporary) return ENAMETOOLONG;
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) return errno;
  int why = write_all(fd, text) != 0 || fchmod(fd, mode) != 0 ? errno : 0;
  if (close(fd) != 0 && !why) why = errno;
  if (!why && rename(temporary, path) != 0) why = errno;
  if (why) unlink(temporary);
  return why;
}

int mg_replace_file(const char *path, mg_str text, struct mg_err *err) {
  char real[PATH_MAX];
  struct stat info;
  bool there = stat(path, &info) == 0;
  const char *to = there && realpath(path, real) ? real : path;
  int why = there && !S_ISREG(info.st_mode) ? write_through(path, text)
                                            : write_beside(to, there ? info.st_mode & 07777 : usual_mode(), text);
  return why ? mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(why)) : 0;
}
