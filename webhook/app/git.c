/* What git says has changed. Its answers are read as they come and no content is kept, only which lines are others. Whatever its
 * configuration may say of colours, prefixes or renames, the options below say it again. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "app/changes.h"
#include "app/spawn.h"
#include "base/ascii.h"

#define LINE_MAX_BYTES 16384 /* of a heading, which has a path */
#define TAIL_MAX 4096 /* bytes of a document's beginning that git may take for those of another one */
#define ANSWER_MAX ((size_t)1 << 20)
#define WORDS_MAX 32

/* GIT_DIFF_OPTS would win over what the options say of context. */
static const char *const environment[] = {"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_DIFF_OPTS=-u0", NULL};

/* ---- the list ---- */

static int add_file(struct mg_changes *c, mg_str path, bool all, struct mg_err *err) {
  if (c->file_count >= MG_CHANGES_FILES) return mg_err_set(err, MG_E_LIMIT, "more than %d files changed", MG_CHANGES_FILES);
  mg_str copy = mg_arena_dup(c->arena, path);
  struct mg_changed *files = mg_arena_room(c->arena, c->files, &c->file_cap, c->file_count, sizeof *files);
  if (!copy.p || !files) return mg_err_nomem(err);
  c->files = files;
  files[c->file_count++] = (struct mg_changed){.path = copy.p, .all = all, .first = c->range_count};
  return 0;
}

static int add_range(struct mg_changes *c, struct mg_change range, struct mg_err *err) {
  if (c->range_count >= MG_CHANGES_RANGES) return mg_err_set(err, MG_E_LIMIT, "more than %d changes", MG_CHANGES_RANGES);
  struct mg_change *ranges = mg_arena_room(c->arena, c->ranges, &c->range_cap, c->range_count, sizeof *ranges);
  if (!ranges) return mg_err_nomem(err);
  c->ranges = ranges;
  ranges[c->range_count++] = range;
  c->files[c->file_count - 1].count++;
  return 0;
}

/* ---- running it ---- */

static int run(const char *dir, const char *const *words, size_t max, int (*out)(void *, mg_str, struct mg_err *), void *ctx,
               struct mg_spawned *ret, struct mg_err *err) {
  /* A folder that was unpacked may name a program in its configuration, which git would start to watch files. */
  const char *argv[WORDS_MAX] = {"git", "-C", dir, "-c", "core.quotePath=true", "-c", "core.fsmonitor=false"};
  size_t n = 7;
  for (; *words && n + 1 < WORDS_MAX; words++) argv[n++] = *words;
  struct mg_spawn spawn = {.argv = argv, .environment = environment, .max = max, .ctx = ctx, .out = out};
  return mg_spawn_run(&spawn, ret, err);
}

/* Its first line, without what it calls every failure. */
static int complain(const char *doing, const struct mg_spawned *end, struct mg_err *err) {
  mg_str said = mg_str_of(end->said), fatal = MG_S("fatal: ");
  if (mg_str_starts(said, fatal)) said = mg_str_from(said, fatal.n);
  said.n = mg_str_find(said, '\n');
  if (!said.n) return mg_err_set(err, MG_E_IO, "%s: it ended with %d and said nothing", doing, end->status);
  return mg_err_set(err, MG_E_IO, "%s: %.*s", doing, MG_FMT(said));
}

static int put_answer(void *ctx, mg_str piece, struct mg_err *err) {
  struct mg_buf *answer = ctx;
  mg_buf_put(answer, piece);
  return answer->failed ? mg_err_set(err, MG_E_LIMIT, "the answer of git is too long") : 0;
}

/* The one line that it answers; {NULL, 0} and 0 where it failed, and *ret_end says how. */
static int ask(struct mg_changes *c, const char *dir, const char *const *words, mg_str *ret, struct mg_spawned *ret_end,
               struct mg_err *err) {
  struct mg_buf answer;
  mg_buf_init(&answer, c->arena, ANSWER_MAX);
  *ret = (mg_str){0};
  int code = run(dir, words, ANSWER_MAX, put_answer, &answer, ret_end, err);
  if (code < 0 || ret_end->status != 0) return code;
  mg_str line = mg_buf_str(&answer);
  if (line.n && line.p[line.n - 1] == '\n') line.n--;
  *ret = mg_arena_dup(c->arena, line);
  return ret->p ? 0 : mg_err_nomem(err);
}

/* ---- the comparison ---- */

struct comparison {
  struct mg_changes *changes;
  uint64_t skip;  /* lines of content */
  bool listed;    /* the file at hand is */
  bool gap;       /* the lines at hand have none in their place */
  bool edge;      /* the first of them separates documents */
  bool separated, long_tail; /* one of them did; what came behind the last such is too long */
  uint64_t hunk;  /* how many lines of content there were */
  size_t tail_n;
  char tail[TAIL_MAX];
  size_t n;       /* of the line at hand */
  char line[LINE_MAX_BYTES]; /* a heading; of content, how it begins */
};

/* As git writes a path with odd characters: in double quotes, with C's escapes. */
static mg_str unquote(mg_str s, char room[LINE_MAX_BYTES]) {
  static const char names[] = "abtnvfr\"\\", bytes[] = "\a\b\t\n\v\f\r\"\\";
  size_t n = 0;
  if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"') return s;
  for (size_t i = 1; i + 1 < s.n; i++) {
    char c = s.p[i];
    if (c != '\\' || i + 2 >= s.n) {
      room[n++] = c;
      continue;
    }
    c = s.p[++i];
    const char *hit = c ? strchr(names, c) : NULL;
    int octal = 0, digits = 0;
    for (; digits < 3 && i + 1 < s.n && s.p[i] >= '0' && s.p[i] <= '7'; digits++) octal = octal * 8 + (s.p[i++] - '0');
    if (digits) i--;
    room[n++] = digits ? (char)octal : hit ? bytes[hit - names] : c;
  }
  return (mg_str){room, n};
}

static int read_path(struct comparison *c, mg_str path, struct mg_err *err) {
  char room[LINE_MAX_BYTES];
  c->listed = false;
  if (path.n && path.p[path.n - 1] == '\t') path.n--; /* stands behind a name with a blank */
  if (mg_str_is(path, "/dev/null")) return 0;
  path = unquote(path, room);
  if (!mg_str_starts(path, MG_S("b/")) || path.n == 2) return mg_err_set(err, MG_E_SYNTAX, "git names a file in an unknown way");
  c->listed = true;
  return add_file(c->changes, mg_str_from(path, 2), false, err);
}

/* "-FROM" or "-FROM,COUNT", and the same with a plus. */
static bool read_side(const char **p, char sign, uint64_t *ret_from, uint64_t *ret_count) {
  char *end;
  *ret_count = 1;
  if (*(*p)++ != sign || !mg_is_digit(**p)) return false;
  *ret_from = strtoull(*p, &end, 10);
  if (*end == ',' && mg_is_digit(end[1])) *ret_count = strtoull(end + 1, &end, 10);
  *p = end;
  return *ret_from < UINT32_MAX / 2 && *ret_count < UINT32_MAX / 2 && *end == ' ';
}

static int read_hunk(struct comparison *c, const char *p, struct mg_err *err) {
  uint64_t old_from, old_count, from, count;
  if (!read_side(&p, '-', &old_from, &old_count) || *p++ != ' ' || !read_side(&p, '+', &from, &count))
    return mg_err_set(err, MG_E_SYNTAX, "git tells changes in an unknown way");
  c->skip = c->hunk = old_count + count;
  c->gap = c->listed && !count;
  c->edge = c->separated = c->long_tail = false;
  c->tail_n = 0;
  if (!c->listed) return 0;
  uint64_t to = count ? from + count - 1 : from + 1;
  struct mg_change change = {.from = (uint32_t)from, .to = (uint32_t)to};
  change.kind = !count ? MG_CHANGE_GONE : old_count ? MG_CHANGE_REPLACED : MG_CHANGE_ADDED;
  return add_range(c->changes, change, err);
}

static int read_heading(struct comparison *c, struct mg_err *err) {
  mg_str line = {c->line, c->n};
  c->line[c->n] = '\0';
  c->n = 0;
  if (mg_str_starts(line, MG_S("diff "))) c->listed = false;
  if (mg_str_starts(line, MG_S("+++ "))) return read_path(c, mg_str_from(line, 4), err);
  return mg_str_starts(line, MG_S("@@ ")) ? read_hunk(c, c->line + 3, err) : 0;
}

static int too_long(struct mg_err *err) {
  return mg_err_set(err, MG_E_LIMIT, "git names a path of more than %d bytes", LINE_MAX_BYTES);
}

static void add_tail(struct comparison *c, mg_str part) {
  c->long_tail |= part.n > sizeof c->tail - c->tail_n;
  if (c->long_tail || !part.n) return;
  memcpy(c->tail + c->tail_n, part.p, part.n);
  c->tail_n += part.n;
}

/* Where lines went with the separator of a document first, what stands before them has not changed, nor what comes behind. */
static int close_gap(struct comparison *c, struct mg_err *err) {
  if (!c->gap) return 0; /* of a file that is gone there is no range */
  struct mg_change *last = &c->changes->ranges[c->changes->range_count - 1];
  if (c->edge) *last = (struct mg_change){.from = last->from + 1, .to = last->from, .kind = MG_CHANGE_GONE};
  else if (c->separated && !c->long_tail) last->tail = mg_arena_dup(c->changes->arena, (mg_str){c->tail, c->tail_n});
  return c->changes->arena->failed ? mg_err_nomem(err) : 0;
}

static int skip_content(struct comparison *c, mg_str part, bool whole, struct mg_err *err) {
  const mg_str separator = MG_S("----"); /* git's minus, and three */
  if (c->n < separator.n) memcpy(c->line + c->n, part.p, part.n < separator.n - c->n ? part.n : separator.n - c->n);
  if (c->separated) add_tail(c, mg_str_from(part, c->n == 0));
  c->n += part.n;
  if (!whole) return 0;
  if (c->separated) add_tail(c, MG_S("\n"));
  bool remark = c->n && *c->line == '\\';
  if (remark) c->long_tail = true; /* there is no such line before it */
  if (!remark && c->n >= separator.n && memcmp(c->line, separator.p, separator.n) == 0) {
    c->edge |= c->skip == c->hunk;
    c->separated = true;
    c->tail_n = 0;
  }
  c->skip -= !remark;
  c->n = 0;
  return c->skip ? 0 : close_gap(c, err);
}

static int compare(void *ctx, mg_str piece, struct mg_err *err) {
  struct comparison *c = ctx;
  int code = 0;
  while (piece.n && code == 0) {
    mg_str part = {piece.p, mg_str_find(piece, '\n')};
    bool whole = part.n < piece.n;
    if (c->skip) {
      code = skip_content(c, part, whole, err);
    } else {
      if (part.n >= LINE_MAX_BYTES - c->n) return too_long(err);
      memcpy(c->line + c->n, part.p, part.n);
      c->n += part.n;
      if (whole) code = read_heading(c, err);
    }
    piece = mg_str_from(piece, part.n + 1);
  }
  return code;
}

static int find_known(struct mg_changes *changes, struct mg_err *err) {
  const char *words[] = {"diff", "--no-color", "--no-ext-diff", "--no-textconv", "--text", "-M", "--unified=0",
                         "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/", "--no-relative",
                         "--ignore-submodules=all", changes->base, "--", NULL};
  struct mg_spawned end;
  struct comparison *c = calloc(1, sizeof *c);
  if (!c) return mg_err_nomem(err);
  c->changes = changes;
  int code = run(changes->top.p, words, MG_CHANGES_PRINTED, compare, c, &end, err);
  free(c);
  return code < 0 || end.status == 0 ? code : complain("git diff", &end, err);
}

/* ---- files that git does not know ---- */

struct listing {
  struct mg_changes *changes;
  size_t n;
  char path[LINE_MAX_BYTES];
};

static int list(void *ctx, mg_str piece, struct mg_err *err) {
  struct listing *l = ctx;
  int code = 0;
  while (piece.n && code == 0) {
    size_t n = mg_str_find(piece, '\0');
    if (n >= LINE_MAX_BYTES - l->n) return too_long(err);
    memcpy(l->path + l->n, piece.p, n);
    l->n += n;
    if (n < piece.n) {
      code = add_file(l->changes, (mg_str){l->path, l->n}, true, err);
      l->n = 0;
    }
    piece = mg_str_from(piece, n + 1);
  }
  return code;
}

static int find_unknown(struct mg_changes *changes, struct mg_err *err) {
  static const char *const words[] = {"ls-files", "--others", "--exclude-standard", "-z", NULL};
  struct mg_spawned end;
  struct listing *l = calloc(1, sizeof *l);
  if (!l) return mg_err_nomem(err);
  l->changes = changes;
  int code = run(changes->top.p, words, MG_CHANGES_PRINTED, list, l, &end, err);
  free(l);
  return code < 0 || end.status == 0 ? code : complain("git ls-files", &end, err);
}

/* ---- the repository ---- */

/* The folder that a path is or is in. */
static const char *folder_of(struct mg_arena *arena, const char *path) {
  struct stat info;
  const char *slash = strrchr(path, '/');
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return path;
  if (!slash) return ".";
  return mg_arena_dup(arena, (mg_str){path, slash == path ? 1 : (size_t)(slash - path)}).p;
}

static int find_top(struct mg_changes *c, const char *const *paths, size_t count, struct mg_err *err) {
  static const char *const words[] = {"rev-parse", "--show-toplevel", NULL};
  struct mg_spawned end, other;
  mg_str top;
  char real[PATH_MAX];
  int code = ask(c, ".", words, &top, &end, err);
  if (code == 0 && !top.n && count) {
    const char *dir = folder_of(c->arena, paths[0]);
    code = dir ? ask(c, dir, words, &top, &other, err) : mg_err_nomem(err);
  }
  if (code < 0) return code;
  if (!top.n) return complain("there is no repository to look into", &end, err);
  if (!realpath(top.p, real)) return mg_err_set(err, MG_E_IO, "%s: %s", top.p, strerror(errno));
  c->top = mg_arena_dup(c->arena, mg_str_of(real));
  return c->top.p ? 0 : mg_err_nomem(err);
}

static bool is_below(mg_str top, const char *real) {
  return mg_str_starts(mg_str_of(real), top) && (top.n == 1 || real[top.n] == '/' || !real[top.n]);
}

/* Nothing can be said of them, and to leave them out without a word would be to pass them. */
static int check_paths(const struct mg_changes *c, const char *const *paths, size_t count, struct mg_err *err) {
  char real[PATH_MAX];
  for (size_t i = 0; i < count; i++) {
    if (mg_is_standard(paths[i])) return mg_err_set(err, MG_E_USAGE, "standard input is in no commit");
    if (realpath(paths[i], real) && !is_below(c->top, real))
      return mg_err_set(err, MG_E_USAGE, "%s is outside the repository %s", paths[i], c->top.p);
  }
  return 0;
}

static int find_base(struct mg_changes *c, const char *ref, struct mg_err *err) {
  struct mg_spawned end;
  mg_str commit, base;
  mg_str named = mg_arena_printf(c->arena, "%s^{commit}", ref);
  if (!named.p) return mg_err_nomem(err);
  if (*ref == '-') return mg_err_set(err, MG_E_USAGE, "\"%s\" is no name of a commit", ref);
  int code = ask(c, c->top.p, (const char *const[]){"rev-parse", "--verify", named.p, NULL}, &commit, &end, err);
  if (code < 0) return code;
  if (!commit.n) return mg_err_set(err, MG_E_USAGE, "\"%s\" is no commit of this repository; was it fetched?", ref);
  code = ask(c, c->top.p, (const char *const[]){"merge-base", commit.p, "HEAD", NULL}, &base, &end, err);
  if (code < 0) return code;
  if (!base.n && *end.said) return complain("git merge-base", &end, err);
  if (!base.n || base.n >= sizeof c->base)
    return mg_err_set(err, MG_E_USAGE, "HEAD and \"%s\" have no commit in common here; a shallow clone lacks it", ref);
  memcpy(c->base, base.p, base.n + 1);
  return 0;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct mg_changed *)a)->path, ((const struct mg_changed *)b)->path);
}

int mg_changes_find(struct mg_changes *c, const char *ref, const char *const *paths, size_t count, struct mg_err *err) {
  int code = find_top(c, paths, count, err);
  if (code == 0) code = check_paths(c, paths, count, err);
  if (code == 0) code = find_base(c, ref, err);
  if (code == 0) code = find_known(c, err);
  if (code == 0) code = find_unknown(c, err);
  if (code == 0 && c->file_count) qsort(c->files, c->file_count, sizeof *c->files, by_path);
  return code;
}
