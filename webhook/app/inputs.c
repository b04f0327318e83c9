#include "app/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directories above the one that is searched, so that a link back up ends. */
struct level {
  const struct level *up;
  dev_t dev;
  ino_t ino;
  unsigned depth;
};

static int search(struct mg_inputs *inputs, const char *path, const struct level *up, struct mg_err *err);

static int add(struct mg_inputs *inputs, const char *path, const char *problem, struct mg_err *err) {
  if (inputs->count >= MG_INPUT_MAX_FILES) return mg_err_set(err, MG_E_LIMIT, "more than %d files", MG_INPUT_MAX_FILES);
  struct mg_input *items = mg_arena_room(inputs->arena, inputs->items, &inputs->cap, inputs->count, sizeof *items);
  if (!items) return mg_err_nomem(err);
  inputs->items = items;
  items[inputs->count++] = (struct mg_input){.path = path, .problem = problem};
  return 0;
}

static int add_failed(struct mg_inputs *inputs, const char *path, int error, struct mg_err *err) {
  mg_str why = mg_arena_dup(inputs->arena, mg_str_of(strerror(error)));
  return add(inputs, path, why.p ? why.p : "cannot be read", err);
}

static bool has_suffix(const struct mg_inputs *inputs, const char *name) {
  static const char *const usual[] = {".yaml", ".yml", ".json", NULL};
  for (const char *const *suffix = inputs->suffixes ? inputs->suffixes : usual; *suffix; suffix++)
    if (mg_str_ends(mg_str_of(name), mg_str_of(*suffix))) return true;
  return false;
}

/* Names that start with ".." are Kubernetes' own in a mounted volume; what they hold is seen through its links. */
static bool is_skipped(const struct mg_inputs *inputs, const char *name) {
  if (name[0] != '.') return false;
  return !name[1] || name[1] == '.' || inputs->policies || strcmp(name, ".git") == 0 || strcmp(name, MG_CONFIG_NAME) == 0;
}

static const char *join(struct mg_inputs *inputs, const char *dir, const char *name) {
  size_t n = strlen(dir);
  if (strcmp(dir, ".") == 0) return mg_arena_dup(inputs->arena, mg_str_of(name)).p;
  while (n > 1 && dir[n - 1] == '/') n--;
  return mg_arena_printf(inputs->arena, "%.*s%s%s", (int)n, dir, n == 1 && *dir == '/' ? "" : "/", name).p;
}

static int search_entry(struct mg_inputs *inputs, const char *dir, const struct dirent *entry, const struct level *here,
                        struct mg_err *err) {
  struct stat info;
  bool wanted = has_suffix(inputs, entry->d_name);
  if (is_skipped(inputs, entry->d_name) || (entry->d_type == DT_REG && !wanted)) return 0;
  if (++inputs->entries > MG_INPUT_MAX_ENTRIES)
    return mg_err_set(err, MG_E_LIMIT, "more than %d directory entries", MG_INPUT_MAX_ENTRIES);
  const char *path = join(inputs, dir, entry->d_name);
  if (!path) return mg_err_nomem(err);
  if (entry->d_type == DT_REG) return add(inputs, path, NULL, err);
  if (entry->d_type == DT_DIR) return search(inputs, path, here, err);
  if (stat(path, &info) != 0) return wanted ? add_failed(inputs, path, errno, err) : 0;
  if (S_ISDIR(info.st_mode)) return search(inputs, path, here, err);
  return wanted && S_ISREG(info.st_mode) ? add(inputs, path, NULL, err) : 0;
}

static void closedirp(DIR **dir) {
  if (*dir) closedir(*dir);
}

static int search(struct mg_inputs *inputs, const char *path, const struct level *up, struct mg_err *err) {
  __attribute__((cleanup(closedirp))) DIR *dir = opendir(path);
  struct stat info;
  struct level here = {.up = up, .depth = up ? up->depth + 1 : 1};
  if (!dir || fstat(dirfd(dir), &info) != 0) return add_failed(inputs, path, errno, err);
  here.dev = info.st_dev, here.ino = info.st_ino;
  for (const struct level *l = up; l; l = l->up)
    if (l->dev == here.dev && l->ino == here.ino) return 0;
  if (here.depth > MG_INPUT_MAX_DEPTH) return add(inputs, path, "directories are nested too deeply", err);
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry) return errno ? add_failed(inputs, path, errno, err) : 0;
    int code = search_entry(inputs, path, entry, &here, err);
    if (code < 0) return code;
  }
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct mg_input *)a)->path, ((const struct mg_input *)b)->path);
}

int mg_inputs_add(struct mg_inputs *inputs, const char *path, struct mg_err *err) {
  struct stat info;
  if (mg_is_standard(path) && !inputs->policies) return add(inputs, path, NULL, err);
  if (stat(path, &info) != 0) return add_failed(inputs, path, errno, err);
  if (!S_ISDIR(info.st_mode)) return add(inputs, path, NULL, err);
  size_t from = inputs->count;
  int code = search(inputs, path, NULL, err);
  if (code == 0 && inputs->count > from) qsort(inputs->items + from, inputs->count - from, sizeof *inputs->items, by_path);
  return code;
}

static void closep(int *fd) {
  if (*fd > STDIN_FILENO) close(*fd);
}

static int too_large(struct mg_err *err) {
  return mg_err_set(err, MG_E_LIMIT, "larger than %zu MiB", MG_INPUT_MAX_BYTES >> 20);
}

static int read_all(int fd, size_t expect, struct mg_buf *buf, struct mg_err *err) {
  for (;;) {
    size_t left = MG_INPUT_MAX_BYTES + 1 - buf->n, want = expect > buf->n ? expect - buf->n : (size_t)1 << 16;
    if (want > left) want = left;
    char *to = mg_buf_room(buf, want);
    if (!to) return mg_err_nomem(err);
    ssize_t n = read(fd, to, want);
    if (n == 0) return 0;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
    buf->n += (size_t)n;
    if (buf->n > MG_INPUT_MAX_BYTES) return too_large(err);
  }
}

int mg_input_read(const char *path, struct mg_buf *buf, struct mg_err *err) {
  struct stat info;
  bool standard = mg_is_standard(path);
  __attribute__((cleanup(closep))) int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  buf->n = 0;
  if (fd < 0 || fstat(fd, &info) != 0) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
  if (S_ISDIR(info.st_mode)) return mg_err_set(err, MG_E_IO, "%s", strerror(EISDIR));
  size_t size = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size : 0;
  if (size > MG_INPUT_MAX_BYTES) return too_large(err);
  return read_all(fd, size + (size != 0), buf, err);
}
