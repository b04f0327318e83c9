/* What `git diff` prints, a line %%, the names that `git ls-files` prints with newlines for NULs, a line %%, and a file as it is
 * now. However the output is cut, the same changed; what changed lies within the file. Linked with --wrap=mg_spawn_run: no
 * program runs. */
#include <stdlib.h>
#include <string.h>

#include "app/changes.h"
#include "app/spawn.h"
#include "fuzz.h"

static struct {
  mg_str diff, others;
  size_t piece;
} git;

int __wrap_mg_spawn_run(const struct mg_spawn *spawn, struct mg_spawned *ret, struct mg_err *err);

static mg_str answer_to(const struct mg_spawn *spawn) {
  for (const char *const *word = spawn->argv; *word; word++) {
    if (strcmp(*word, "diff") == 0) return git.diff;
    if (strcmp(*word, "ls-files") == 0) return git.others;
    if (strcmp(*word, "--show-toplevel") == 0) return MG_S("/\n");
  }
  return MG_S("0123456789abcdef\n");
}

int __wrap_mg_spawn_run(const struct mg_spawn *spawn, struct mg_spawned *ret, struct mg_err *err) {
  mg_str answer = answer_to(spawn);
  int code = 0;
  *ret = (struct mg_spawned){0};
  for (size_t at = 0; at < answer.n && code == 0; at += git.piece) {
    mg_str piece = {answer.p + at, answer.n - at < git.piece ? answer.n - at : git.piece};
    char *exact = fuzz_exact(piece); /* a pipe's next piece is in the same place */
    code = spawn->out(spawn->ctx, (mg_str){exact, piece.n}, err);
    free(exact);
  }
  return code;
}

static int find(struct mg_changes *changes, unsigned arena, size_t piece) {
  struct mg_err err = {0};
  *changes = (struct mg_changes){.arena = fuzz_arena(arena)};
  git.piece = piece;
  int code = mg_changes_find(changes, "main", NULL, 0, &err);
  FUZZ_CHECK(code <= 0 && (code == 0) == !err.text[0], "code %d: %s", code, err.text);
  return code;
}

static void check_same(const struct mg_changes *a, const struct mg_changes *b) {
  bool same = a->file_count == b->file_count && a->range_count == b->range_count;
  for (size_t i = 0; same && i < a->file_count; i++)
    same = strcmp(a->files[i].path, b->files[i].path) == 0 && a->files[i].count == b->files[i].count;
  for (size_t i = 0; same && i < a->range_count; i++) {
    const struct mg_change *x = &a->ranges[i], *y = &b->ranges[i];
    same = x->from == y->from && x->to == y->to && x->kind == y->kind && mg_str_eq(x->tail, y->tail);
  }
  FUZZ_CHECK(same, "cut otherwise, something else changed");
}

static void check_file(const struct mg_changes *changes, const struct mg_changed *file, mg_str source) {
  const struct mg_input input = {.path = file->path, .changes = changes, .changed = file};
  struct mg_spans spans;
  FUZZ_CHECK(file->first + file->count <= changes->range_count, "ranges of nobody");
  if (file->all) return;
  FUZZ_CHECK(mg_changes_spans(&input, source, changes->arena, &spans) == 0 && spans.count == file->count, "no spans");
  for (size_t i = 0; i < spans.count; i++) {
    const struct mg_span *span = &spans.items[i];
    FUZZ_CHECK(span->start <= span->end && span->end <= source.n, "%zu to %zu of %zu bytes", span->start, span->end, source.n);
    FUZZ_CHECK(!span->start || span->start == source.n || source.p[span->start - 1] == '\n', "in the middle of a line");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str rest = {(const char *)data, size};
  struct mg_changes whole, cut;
  mg_str others = (git.diff = fuzz_part(&rest), fuzz_part(&rest));
  char *names = fuzz_exact(others), *source = fuzz_exact(rest);
  for (size_t i = 0; i < others.n; i++)
    if (names[i] == '\n') names[i] = '\0';
  git.others = (mg_str){names, others.n};
  int code = find(&whole, 0, SIZE_MAX / 2);
  FUZZ_CHECK(find(&cut, 1, 3) == code, "cut otherwise, another code than %d", code);
  if (code == 0) {
    check_same(&whole, &cut);
    for (size_t i = 0; i < whole.file_count; i++) check_file(&whole, &whole.files[i], (mg_str){source, rest.n});
  }
  free(names);
  free(source);
  return 0;
}
