#include "rules/mount_path.h"

/* One segment of a path, put behind what is already clean. */
static size_t add_segment(char *out, size_t n, mg_str segment) {
  if (segment.n == 0 || mg_str_is(segment, ".")) return n;
  if (mg_str_is(segment, "..")) {
    while (n > 0 && out[n - 1] != '/') n--;
    return n > 0 ? n - 1 : 0;
  }
  out[n] = '/';
  memcpy(out + n + 1, segment.p, segment.n);
  return n + 1 + segment.n;
}

size_t mg_mount_path_add(char *out, size_t n, mg_str path) {
  for (;;) {
    mg_str segment = {path.p, mg_str_find(path, '/')};
    n = add_segment(out, n, segment);
    if (segment.n == path.n) return n;
    path = mg_str_from(path, segment.n + 1);
  }
}
