/* A file of the image cache. What is read of it is written as a file that says the same; what is not of this image is not
 * there. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "registry/disk.h"

#define DIGEST "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char dir[] = "/dev/shm/mg-fuzz-XXXXXX", path[sizeof dir + 64]; /* in memory: thousands of files a second */

static void stop(void) {
  unlink(path);
  rmdir(dir);
}

/* Where the facts of that image are kept. */
static void start(void) {
  struct mg_box_layer *more[MG_PLATFORMS_MAX] = {0};
  struct mg_platform_fact none[1] = {0};
  struct mg_image_facts facts = {.digest = MG_S(DIGEST), .platforms = none};
  struct mg_box *box = mg_box_new(&facts, more);
  FUZZ_CHECK(box && mkdtemp(dir), "no directory");
  mg_disk_keep_box(dir, MG_S("p"), box);
  mg_box_unref(box);
  DIR *list = opendir(dir);
  for (const struct dirent *entry; (entry = readdir(list));)
    if (entry->d_name[0] != '.') snprintf(path, sizeof path, "%s/%.40s", dir, entry->d_name);
  closedir(list);
  FUZZ_CHECK(*path, "nothing is kept");
  atexit(stop);
}

static void put(mg_str text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FUZZ_CHECK(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n, "cannot be written");
  close(fd);
}

/* Keeps the box, and gives what is then in the file. */
static mg_str kept(const struct mg_box *box, struct mg_buf *to) {
  unlink(path);
  mg_disk_keep_box(dir, MG_S("p"), box);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  char *room = mg_buf_room(to, MG_DISK_FILE_MAX);
  ssize_t n = fd >= 0 && room ? read(fd, room, MG_DISK_FILE_MAX) : -1;
  FUZZ_CHECK(n > 0, "it is not kept");
  close(fd);
  to->n = (size_t)n;
  return mg_buf_str(to);
}

static void check(struct mg_box *box) {
  MG_BUF_AUTO first, second;
  mg_buf_init(&first, NULL, MG_DISK_FILE_MAX);
  mg_buf_init(&second, NULL, MG_DISK_FILE_MAX);
  FUZZ_CHECK(mg_str_is(box->facts.digest, DIGEST) && !box->until, "another image");
  FUZZ_CHECK(box->facts.platform_count <= MG_PLATFORMS_MAX, "%u platforms", box->facts.platform_count);
  mg_str once = kept(box, &first);
  json_decref(fuzz_check_json(once, "the file"));
  struct mg_box *again = mg_disk_box(dir, MG_S(DIGEST), MG_S("p"));
  FUZZ_CHECK(again, "kept, it cannot be read: <%.*s>", MG_FMT(once));
  mg_str twice = kept(again, &second);
  FUZZ_CHECK(mg_str_eq(once, twice), "kept as <%.*s> and then as <%.*s>", MG_FMT(once), MG_FMT(twice));
  mg_box_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!*path) start();
  if (!size) return 0;
  put((mg_str){(const char *)data, size});
  FUZZ_CHECK(!mg_disk_box(dir, MG_S(DIGEST), MG_S("q")), "of another place");
  struct mg_box *box = mg_disk_box(dir, MG_S(DIGEST), MG_S("p"));
  if (box) check(box);
  mg_box_unref(box);
  return 0;
}
