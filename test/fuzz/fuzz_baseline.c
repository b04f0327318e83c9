/* A file of findings that are known. What it names is hidden and nothing else is; written anew, it names the same. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, F_SETPIPE_SZ */
#endif
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/baseline.h"
#include "fuzz.h"
#include "policy/policy.h"

#define ROOM ((size_t)1 << 20) /* of what is written */

static int compare(const struct mg_known *a, const struct mg_known *b) {
  for (size_t i = 0; i < MG_KNOWN_PARTS; i++) {
    int order = mg_str_cmp(a->parts[i], b->parts[i]);
    if (order) return order;
  }
  return 0;
}

/* The finding is judged, as a denial; true: it was hidden. */
static bool is_hidden(struct mg_baseline *b, const struct mg_known *known, mg_str rule_name) {
  const struct mg_policy policy = {.name = known->parts[MG_KNOWN_POLICY]};
  const struct mg_rule rule = {.name = rule_name};
  struct mg_violation v = {.policy = &policy, .rule = &rule, .container = known->parts[MG_KNOWN_CONTAINER],
                           .subject = known->parts[MG_KNOWN_SUBJECT]};
  struct mg_verdict verdict = {.violations = &v, .counts = {1}};
  struct mg_report_result result = {.kind = known->parts[MG_KNOWN_KIND], .ns = known->parts[MG_KNOWN_NAMESPACE],
                                    .name = known->parts[MG_KNOWN_NAME], .verdict = &verdict};
  struct mg_err err = {0};
  FUZZ_CHECK(mg_baseline_apply(b, &result, &err) == 0, "%s", err.text);
  FUZZ_CHECK(verdict.allowed == v.baseline && verdict.counts[MG_OUT_DENY] == !v.baseline, "hidden and denied, or neither");
  FUZZ_CHECK(verdict.counts[MG_OUT_AUDIT] == v.baseline && (v.outcome == MG_OUT_AUDIT) == v.baseline, "hidden, and not audited");
  return v.baseline;
}

static bool is_known(const struct mg_baseline *b, struct mg_known like, mg_str rule_name) {
  like.parts[MG_KNOWN_RULE] = rule_name;
  for (size_t i = 0; i < b->known.count; i++)
    if (compare(&b->known.items[i], &like) == 0) return true;
  return false;
}

/* Through a pipe, since a file is replaced by another one beside it. */
static mg_str written(struct mg_baseline *b, struct mg_buf *to) {
  int ends[2];
  char path[32];
  struct mg_err err = {0};
  FUZZ_CHECK(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[1], F_SETPIPE_SZ, (int)ROOM) >= (int)ROOM, "no pipe");
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  FUZZ_CHECK(mg_baseline_write(b, path, &err) == 0, "%s", err.text);
  close(ends[1]);
  ssize_t n;
  for (char *at; (at = mg_buf_room(to, 65536)) && (n = read(ends[0], at, 65536)) > 0;) to->n += (size_t)n;
  close(ends[0]);
  return mg_buf_str(to);
}

static void check_again(struct mg_baseline *b) {
  MG_BUF_AUTO text;
  struct mg_baseline again = {0};
  struct mg_err err = {0};
  mg_buf_init(&text, NULL, ROOM + 65536);
  mg_str anew = written(b, &text);
  FUZZ_CHECK(mg_baseline_read(&again, fuzz_file(1, anew), &err) == 0, "%s: <%.*s>", err.text, MG_FMT(anew));
  size_t n = 0;
  for (size_t i = 0; i < b->known.count; i++) {
    if (i && compare(&b->known.items[i - 1], &b->known.items[i]) == 0) continue;
    bool same = n < again.known.count && compare(&b->known.items[i], &again.known.items[n]) == 0;
    FUZZ_CHECK(same, "written as <%.*s>", MG_FMT(anew));
    n++;
  }
  FUZZ_CHECK(n == again.known.count, "more than there were: <%.*s>", MG_FMT(anew));
  mg_baseline_fini(&again);
}

static void check(struct mg_baseline *b) {
  static const mg_str other = MG_S("another");
  for (size_t i = 0; i < b->known.count; i++) {
    const struct mg_known *k = &b->known.items[i];
    FUZZ_CHECK(is_hidden(b, k, other) == is_known(b, *k, other), "another finding of the same object");
  }
  b->gather = true;
  for (size_t i = 0; i < b->known.count; i++)
    FUZZ_CHECK(is_hidden(b, &b->known.items[i], b->known.items[i].parts[MG_KNOWN_RULE]), "what is known is not hidden");
  check_again(b);
  for (size_t i = 0; i < b->known.count; i++)
    FUZZ_CHECK(b->known.items[i].seen && b->known.items[i].stands, "what was found counts as gone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct mg_baseline b = {0};
  struct mg_err err = {0};
  fuzz_listen();
  int code = mg_baseline_read(&b, fuzz_file(0, (mg_str){(const char *)data, size}), &err);
  if (code == 0) {
    check(&b);
    mg_baseline_tell(&b, MG_BASELINE_ALL);
  }
  size_t lines = fuzz_heard();
  FUZZ_CHECK(code ? err.text[0] != '\0' : lines == 0, "code %d, and %zu lines", code, lines);
  fuzz_check_clean(mg_str_of(err.text), "an error");
  mg_baseline_fini(&b);
  return 0;
}
