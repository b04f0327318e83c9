/* mlgate fix: what the webhook would add, and safe mends, written back into the files, or shown as a diff. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/command.h"
#include "app/fixer.h"
#include "app/replace.h"
#include "app/selection.h"
#include "base/diff.h"
#include "base/write.h"

#define DIFF_MAX ((size_t)512 << 20)
#define SHOWN_SLOTS 4096
#define SHOWN_MAX ((size_t)512 << 20) /* MG_INPUT_MAX_FILES paths of PATH_MAX */

struct fix_options {
  struct mg_selection selection;
  bool diff, mend;
};

static const struct mg_option options[] = {
    {"diff", NULL, &mg_o_flag, offsetof(struct fix_options, diff), .doc = "print a unified diff and write nothing"},
    {"mend", NULL, &mg_o_flag, offsetof(struct fix_options, mend), .doc = "GPU limits and requests from each other, too"},
    MG_SELECTION_OPTIONS(struct fix_options, selection),
    MG_OPTIONS_END,
};

/* A file whose diff was printed. */
struct shown {
  struct shown *next;
  mg_str path;
};

struct fix {
  const struct fix_options *o;
  struct mg_fixer fixer;
  struct mg_judge judge; /* of files that have changed since they were read */
  struct mg_buf now, diff;
  struct mg_arena arena;            /* of `shown` */
  struct shown *shown[SHOWN_SLOTS]; /* by the hash of the path */
  int out;               /* where diffs and texts from standard input go */
  uint64_t written;
};

static void begin(void *ctx, const struct mg_judge *judge) {
  struct fix *fix = ctx;
  mg_fixer_init(&fix->fixer, judge, fix->o->mend);
  mg_judge_like(&fix->judge, judge);
}

/* The file is as it was, and so is what was found in it. */
static int not_fixed(struct fix *fix, struct mg_judged *file, const char *what, const char *why) {
  struct mg_judged_item *item = MG_NEW(&fix->fixer.kept, struct mg_judged_item);
  mg_str text = mg_arena_printf(&fix->fixer.kept, "not fixed: %s: %s", what, why);
  if (!item || !text.p) return MG_E_NOMEM;
  item->kind = MG_JUDGED_ERROR;
  item->error = (struct mg_report_error){.file = file->path, .message = text};
  *file->end = item;
  file->end = &item->next;
  return 0;
}

/* What is written must come of what is there now: the same file under another name may have been written just before. A pipe
 * cannot be read twice, and is refused when it is to be written. */
static int catch_up(struct fix *fix, struct mg_judged *file, struct mg_err *err) {
  struct stat info;
  if (mg_is_standard(file->path) || fix->o->diff || !mg_fixer_has_work(&fix->fixer, file)) return 0;
  if (stat(file->path, &info) == 0 && !S_ISREG(info.st_mode)) return 0;
  int code = mg_input_read(file->path, &fix->now, err);
  if (code < 0 || mg_str_eq(mg_buf_str(&fix->now), file->source)) return code;
  return mg_judge_text(&fix->judge, file->path, mg_buf_str(&fix->now), file, err);
}

static int put_out(const struct fix *fix, mg_str text, struct mg_err *err) {
  return mg_write_all(fix->out, text) == 0 ? 0 : mg_err_set(err, MG_E_IO, "%s", strerror(errno));
}

/* 1: it was, maybe under another name, and would be patched twice. Of hard links each is a file, as it is to what writes them. */
static int was_shown(struct fix *fix, const char *path, struct mg_err *err) {
  char real[PATH_MAX];
  if (mg_is_standard(path) || !realpath(path, real)) return 0;
  struct shown **slot = &fix->shown[mg_str_hash(MG_HASH, mg_str_of(real)) % SHOWN_SLOTS], *new;
  for (const struct shown *s = *slot; s; s = s->next)
    if (mg_str_is(s->path, real)) return 1;
  if (!(new = MG_NEW(&fix->arena, struct shown))) return mg_err_nomem(err);
  *new = (struct shown){*slot, mg_arena_dup(&fix->arena, mg_str_of(real))};
  *slot = new;
  return new->path.p ? 0 : mg_err_nomem(err);
}

static int show_diff(struct fix *fix, const struct mg_judged *file, mg_str before, struct mg_err *err) {
  int shown = was_shown(fix, file->path, err);
  if (shown) return shown < 0 ? shown : 0;
  mg_str path = mg_is_standard(file->path) ? MG_S("stdin") : mg_str_of(file->path);
  fix->diff.n = 0;
  mg_diff_file(&fix->diff, path, before, file->source);
  if (fix->diff.failed) return mg_err_set(err, MG_E_NOMEM, "%s: the diff is too large, or out of memory", file->path);
  return put_out(fix, mg_buf_str(&fix->diff), err);
}

static void tell(const char *path) {
  MG_BUF_AUTO line;
  mg_buf_init(&line, NULL, 1 << 16);
  mg_buf_clean(&line, mg_str_of(path));
  fprintf(stderr, "mlgate fix: %.*s: changed\n", MG_FMT(mg_buf_str(&line)));
}

/* A pipe that was read has nothing in it that a new text could take the place of. */
static int put_back(const char *path, mg_str text, struct mg_err *err) {
  struct stat info;
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) return mg_err_set(err, MG_E_IO, "not a regular file");
  return mg_replace_file(path, text, err);
}

static int write_back(struct fix *fix, struct mg_judged *file, const struct mg_judged *before, struct mg_err *err) {
  struct mg_err why = {0};
  bool changed = !mg_str_eq(file->source, before->source);
  if (fix->o->diff) return changed ? show_diff(fix, file, before->source, err) : 0;
  if (mg_is_standard(file->path)) return put_out(fix, file->source, err);
  if (!changed) return 0;
  if (put_back(file->path, file->source, &why) < 0) {
    *file = *before;
    return not_fixed(fix, file, "it cannot be written", why.text);
  }
  tell(file->path);
  fix->written++;
  return 0;
}

static int judged(void *ctx, struct mg_judged *file, struct mg_err *err) {
  struct fix *fix = ctx;
  if (!file->read) return 0;
  struct mg_err why = {0};
  int code = catch_up(fix, file, &why);
  if (code == MG_E_IO || code == MG_E_LIMIT) return not_fixed(fix, file, "it cannot be read again", why.text);
  if (code < 0) return mg_err_set(err, code, "%s", why.text);
  const struct mg_judged before = *file;
  code = mg_fixer_run(&fix->fixer, file, err);
  return code < 0 ? code : write_back(fix, file, &before, err);
}

/* What the command is asked for takes standard output, if there is any; the report then goes where messages go. */
static int divert_report(const struct fix_options *o, const struct mg_strings *args, int *ret_out) {
  bool wanted = o->diff;
  for (size_t i = 0; i < args->count; i++) wanted |= mg_is_standard(args->items[i]);
  *ret_out = -1;
  if (!wanted) return 0;
  *ret_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  return *ret_out >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 ? 0 : -1;
}

static void fini(struct fix *fix) {
  mg_fixer_fini(&fix->fixer);
  mg_judge_fini(&fix->judge);
  mg_arena_fini(&fix->arena);
  mg_buf_fini(&fix->now);
  mg_buf_fini(&fix->diff);
  if (fix->out >= 0) close(fix->out);
}

static int run(const void *given, const struct mg_strings *args) {
  __attribute__((cleanup(fini))) struct fix fix = {.o = given, .out = -1};
  mg_arena_init(&fix.arena, SHOWN_MAX, 0);
  mg_buf_init(&fix.now, NULL, MG_INPUT_MAX_BYTES + 1);
  mg_buf_init(&fix.diff, NULL, DIFF_MAX);
  if (divert_report(fix.o, args, &fix.out) < 0) {
    fprintf(stderr, "mlgate fix: standard output: %s\n", strerror(errno));
    return MG_EXIT_USAGE;
  }
  int status = mg_selection_run(&fix.o->selection, args, &(struct mg_selection_visitor){.command = "fix", .ctx = &fix,
                                                                                         .begin = begin, .judged = judged});
  if (fix.written > 1) fprintf(stderr, "mlgate fix: %llu files changed\n", (unsigned long long)fix.written);
  return status;
}

const struct mg_command mg_command_fix = {
    .name = "fix", .args = "[FILE|DIR|-]...", .doc = "write into manifests what the webhook would add", .options = options,
    .size = sizeof(struct fix_options), .run = run,
    .more = "All else stays byte for byte. What `-` reads goes to standard output, mended;\n"
            "then, and with --diff, the report goes to standard error.\n"
            "Exit: 0 no denial left, 1 denied, 2 usage, 3 unreadable, empty or not mended."};
