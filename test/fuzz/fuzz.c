#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "fuzz.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/policies.h"
#include "base/utf8.h"

#define ARENAS 4
#define ARENA_MAX ((size_t)64 << 20)

/* Linked with --wrap=getrandom: the hashes of two runs are the same, and so are the ways that inputs take. */
ssize_t __wrap_getrandom(void *bytes, size_t n, unsigned flags);

static FILE *deaf; /* standard error, while it is listened to */

void fuzz_fail(const char *file, int line, const char *format, ...) {
  va_list args;
  if (deaf) stderr = deaf;
  va_start(args, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  abort();
}

ssize_t __wrap_getrandom(void *bytes, size_t n, unsigned flags) {
  (void)flags;
  memset(bytes, 0x5a, n);
  return (ssize_t)n;
}

struct mg_arena *fuzz_arena(unsigned number) {
  static struct mg_arena arenas[ARENAS];
  FUZZ_CHECK(number < ARENAS, "no such arena");
  if (arenas[number].max) mg_arena_reset(&arenas[number]);
  else mg_arena_init(&arenas[number], ARENA_MAX, (size_t)1 << 20);
  return &arenas[number];
}

mg_str fuzz_part(mg_str *rest) {
  mg_str part = *rest;
  for (size_t i = 0; i + 3 <= rest->n; i++) {
    if (memcmp(rest->p + i, "%%\n", 3) != 0 || (i > 0 && rest->p[i - 1] != '\n')) continue;
    part.n = i ? i - 1 : 0;
    *rest = mg_str_from(*rest, i + 3);
    return part;
  }
  *rest = (mg_str){0};
  return part;
}

unsigned fuzz_choice(mg_str *rest, unsigned count) {
  unsigned byte = rest->n ? (unsigned char)rest->p[0] : 0;
  *rest = mg_str_from(*rest, 1);
  return byte % count;
}

char *fuzz_exact(mg_str s) {
  char *p = malloc(s.n ? s.n : 1);
  FUZZ_CHECK(p, "out of memory");
  if (s.n) memcpy(p, s.p, s.n);
  return p;
}

const char *fuzz_file(unsigned number, mg_str content) {
  static struct {
    int fd;
    char path[32];
  } files[FUZZ_FILES];
  FUZZ_CHECK(number < FUZZ_FILES, "no such file");
  if (!files[number].fd) files[number].fd = memfd_create("input", MFD_CLOEXEC);
  int fd = files[number].fd;
  bool good = ftruncate(fd, 0) == 0 && (!content.n || pwrite(fd, content.p, content.n, 0) == (ssize_t)content.n);
  FUZZ_CHECK(good, "the file cannot be written");
  snprintf(files[number].path, sizeof files[number].path, "/proc/self/fd/%d", fd);
  return files[number].path;
}

static char *said;
static size_t said_n;

void fuzz_listen(void) {
  deaf = stderr;
  stderr = open_memstream(&said, &said_n);
  FUZZ_CHECK(stderr, "out of memory");
}

/* How many lines; a tab ends what is looked at, since that of a source is shown, so that the caret is at its place. */
static size_t check_lines(mg_str text) {
  size_t lines = 0;
  for (; text.n; lines++) {
    mg_str line = {text.p, mg_str_find(text, '\n')};
    fuzz_check_clean((mg_str){line.p, mg_str_find(line, '\t')}, "a message");
    text = mg_str_from(text, line.n + 1);
  }
  return lines;
}

size_t fuzz_heard(void) {
  fclose(stderr);
  stderr = deaf;
  size_t lines = check_lines((mg_str){said, said_n});
  free(said);
  return lines;
}

void fuzz_check_diags(const struct mg_diags *diags) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, (size_t)16 << 20);
  for (const struct mg_diag *d = diags->errors; d; d = d->next)
    FUZZ_CHECK(d->pos.file && d->pos.line && d->pos.column && d->width, "an error without a place: %.*s", MG_FMT(d->text));
  mg_diags_print(&out, diags->errors, "");
  mg_diags_print(&out, diags->warnings, "warning: ");
  check_lines(mg_buf_str(&out));
}

void fuzz_check_clean(mg_str s, const char *what) {
  for (size_t i = 0; i < s.n;) {
    size_t n = mg_utf8_len(s.p + i, s.p + s.n);
    unsigned char c = (unsigned char)s.p[i];
    FUZZ_CHECK(n > 0, "%s: no UTF-8 in <%.*s>", what, MG_FMT(s));
    FUZZ_CHECK(n > 1 || (c >= 0x20 && c != 0x7F), "%s: a control character in <%.*s>", what, MG_FMT(s));
    i += n;
  }
}

json_t *fuzz_check_json(mg_str s, const char *what) {
  json_error_t error;
  json_t *value = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
  enum json_error_code why = value ? json_error_unknown : json_error_code(&error);
  /* What jansson cannot hold although it is JSON. */
  bool known = why == json_error_numeric_overflow || why == json_error_null_byte_in_key;
  FUZZ_CHECK(value || known, "%s is no JSON: %s: <%.*s>", what, error.text, MG_FMT(s));
  return value;
}

static bool same_number(const json_t *theirs, mg_node ours) {
  char text[400];
  mg_str s = mg_text(ours);
  int64_t value;
  bool whole = mg_int64(ours, &value);
  if (json_is_integer(theirs)) return whole && value == json_integer_value(theirs);
  if (whole || s.n >= sizeof text) return !whole;
  memcpy(text, s.p, s.n);
  text[s.n] = '\0';
  return memcmp(&(double){strtod(text, NULL)}, &(double){json_real_value(theirs)}, sizeof(double)) == 0;
}

static bool same_string(const json_t *theirs, mg_node ours) {
  return mg_str_eq(mg_string(ours), (mg_str){json_string_value(theirs), json_string_length(theirs)});
}

/* Depth is bounded by both readers. */
static bool same(const json_t *theirs, mg_node ours) {
  json_t *item;
  size_t i;
  const char *key;
  switch (json_typeof(theirs)) {
    case JSON_NULL: return mg_is(ours, MG_NULL);
    case JSON_TRUE:
    case JSON_FALSE: return mg_is(ours, MG_BOOL) && mg_true(ours) == json_is_true(theirs);
    case JSON_STRING: return mg_is(ours, MG_STRING) && same_string(theirs, ours);
    case JSON_INTEGER:
    case JSON_REAL: return mg_is(ours, MG_NUMBER) && same_number(theirs, ours);
    case JSON_ARRAY: {
      if (!mg_is(ours, MG_ARRAY) || json_array_size(theirs) != mg_count(ours)) return false;
      mg_node at = mg_first(ours);
      json_array_foreach(theirs, i, item) {
        if (!same(item, at)) return false;
        at = mg_next(at);
      }
      return true;
    }
    case JSON_OBJECT: {
      if (!mg_is(ours, MG_OBJECT) || json_object_size(theirs) != mg_count(ours)) return false;
      json_object_foreach((json_t *)(uintptr_t)theirs, key, item) {
        mg_node value = mg_get(ours, mg_str_of(key));
        if (!value.at || !same(item, value)) return false;
      }
      return true;
    }
  }
  return false;
}

void fuzz_check_same(const json_t *theirs, mg_node ours, mg_str source) {
  FUZZ_CHECK(same(theirs, ours), "read as something else than jansson does: <%.*s>", MG_FMT(source));
}

struct mg_snapshot *fuzz_pack(unsigned which) {
  static const char *const paths[FUZZ_PACKS][2] = {
      {"policies/baseline"}, {"policies/baseline", "policies/strict"}, {"policies/addons"}};
  static struct mg_snapshot *packs[FUZZ_PACKS];
  FUZZ_CHECK(which < FUZZ_PACKS, "no such pack");
  if (packs[which]) return packs[which];
  struct mg_policy_files files = {.policies = {(const char **)(uintptr_t)paths[which], paths[which][1] ? 2 : 1}};
  FUZZ_CHECK(mg_load_policies(&files, &packs[which]) == 0, "the policies that ship cannot be loaded (from the top of the tree?)");
  return packs[which];
}
