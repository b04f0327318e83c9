#include "app/replace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MOST 4096

int mg_write_all(int fd, mg_str content, struct mg_err *err) {
  for (size_t done = 0; done < content.n;) {
    ssize_t n = write(fd, content.p + done, content.n - done);
    if (n < 0 && errno != EINTR) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
    if (n > 0) done += (size_t)n;
  }
  return 0;
}

static void freep(char **p) {
  free(*p);
}

/* The owner first: changing it may take bits of the mode away. */
static int fill(int fd, mg_str content, const struct stat *like, struct mg_err *err) {
  int code = mg_write_all(fd, content, err);
  if (code < 0) return code;
  if (fchown(fd, like->st_uid, like->st_gid) != 0 && errno != EPERM) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
  if (fchmod(fd, like->st_mode & 07777) != 0 || fsync(fd) != 0) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
  return 0;
}

int mg_replace_file(const char *path, mg_str content, struct mg_err *err) {
  __attribute__((cleanup(freep))) char *real = realpath(path, NULL);
  char temporary[PATH_MOST];
  struct stat info;
  if (!real || stat(real, &info) != 0 || access(real, W_OK) != 0) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
  if (!S_ISREG(info.st_mode)) return mg_err_set(err, MG_E_IO, "not a regular file");
  int dir = (int)(strrchr(real, '/') - real);
  int n = snprintf(temporary, sizeof temporary, "%.*s/.mlgate-XXXXXX", dir, real);
  if (n < 0 || (size_t)n >= sizeof temporary) return mg_err_set(err, MG_E_LIMIT, "path too long");
  int fd = mkstemp(temporary);
  if (fd < 0) return mg_err_set(err, MG_E_IO, "no file can be made beside it: %s", strerror(errno));
  int code = fill(fd, content, &info, err);
  if (close(fd) != 0 && code == 0) code = mg_err_set(err, MG_E_IO, "%s", strerror(errno));
  if (code == 0 && rename(temporary, real) != 0) code = mg_err_set(err, MG_E_IO, "%s", strerror(errno));
  if (code < 0) unlink(temporary);
  return code;
}
