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

#include "base/write.h"

static int failed(struct mg_err *err) {
  return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
}

static int write_through(const char *path, mg_str content, struct mg_err *err) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return failed(err);
  int code = mg_write_all(fd, content) == 0 ? 0 : failed(err);
  return close(fd) != 0 && code == 0 ? failed(err) : code;
}

static mode_t usual_mode(void) {
  mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

/* The owner first: changing it may take bits of the mode away. */
static int fill(int fd, mg_str content, const struct stat *like, struct mg_err *err) {
  if (mg_write_all(fd, content) != 0) return failed(err);
  if (like && fchown(fd, like->st_uid, like->st_gid) != 0 && errno != EPERM) return failed(err);
  return fchmod(fd, like ? like->st_mode & 07777 : usual_mode()) != 0 || fsync(fd) != 0 ? failed(err) : 0;
}

/* like: the file that is there, or NULL. */
static int write_beside(const char *path, mg_str content, const struct stat *like, struct mg_err *err) {
  char temporary[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int n = snprintf(temporary, sizeof temporary, "%.*s.mlgate-XXXXXX", slash ? (int)(slash + 1 - path) : 0, path);
  if (n < 0 || (size_t)n >= sizeof temporary) return mg_err_set(err, MG_E_LIMIT, "path too long");
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) return mg_err_set(err, MG_E_IO, "%s%s", like ? "no file can be made beside it: " : "", strerror(errno));
  int code = fill(fd, content, like, err);
  if (close(fd) != 0 && code == 0) code = failed(err);
  if (code == 0 && rename(temporary, path) != 0) code = failed(err);
  if (code < 0) unlink(temporary);
  return code;
}

int mg_replace_file(const char *path, mg_str content, struct mg_err *err) {
  char real[PATH_MAX];
  struct stat info;
  if (stat(path, &info) != 0) return errno == ENOENT ? write_beside(path, content, NULL, err) : failed(err);
  if (!S_ISREG(info.st_mode)) return write_through(path, content, err);
  if (!realpath(path, real) || access(real, W_OK) != 0) return failed(err);
  return write_beside(real, content, &info, err);
}
