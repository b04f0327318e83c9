/* The admission function without a server. golden_driver [--policies PATH]... [--context PATH]... [--now TIME]
 * A request on stdin is a line "/mutate LENGTH" or "/validate LENGTH" and that many bytes; the answer is "STATUS LENGTH" and its
 * bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admit/admit.h"
#include "app/policies.h"

struct options {
  struct mg_policy_files files;
  struct mg_opt_int now;
};

static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct options, files),
    {"now", "TIME", &mg_o_time, offsetof(struct options, now), .doc = "the clock of the reviews"},
    MG_OPTIONS_END};

__attribute__((noreturn)) static void fail(const char *text) {
  fprintf(stderr, "golden_driver: %s\n", text);
  exit(2);
}

static bool next_request(enum mg_endpoint *ret_endpoint, mg_str *ret_body) {
  char route[16];
  size_t length;
  if (scanf("%15s %zu", route, &length) != 2) return false;
  if (length > MG_REVIEW_MAX_BYTES + 1 || getchar() != '\n') fail("a request is a line \"ROUTE LENGTH\" and its bytes");
  char *body = malloc(length + 1);
  if (!body || fread(body, 1, length, stdin) != length) fail("body cut short");
  *ret_endpoint = strcmp(route, "/mutate") == 0 ? MG_MUTATE : MG_VALIDATE;
  *ret_body = (mg_str){body, length};
  return true;
}

static void serve(const struct mg_snapshot *snapshot, int64_t now) {
  struct mg_arena arena;
  enum mg_endpoint endpoint;
  mg_str body;
  mg_arena_init(&arena, MG_REVIEW_ARENA, 1 << 20);
  while (next_request(&endpoint, &body)) {
    struct mg_answer answer;
    mg_arena_reset(&arena);
    mg_admit(snapshot, endpoint, body, now, NULL, &arena, &answer);
    printf("%u %zu\n", answer.http_status, answer.body.n);
    fwrite(answer.body.p, 1, answer.body.n, stdout);
    fflush(stdout);
    free((void *)(uintptr_t)body.p);
  }
  mg_arena_fini(&arena);
}

int main(int argc, char **argv) {
  struct options given = {0};
  struct mg_snapshot *snapshot = NULL;
  struct mg_strings rest;
  struct mg_arena arena;
  struct mg_err err = {0};
  enum mg_help help;
  mg_arena_init(&arena, 1 << 20, 0);
  if (mg_options_read(options, argc - 1, argv + 1, &arena, &given, &rest, &help, &err) < 0) fail(err.text);
  if (help || rest.count > 0) fail("takes options only");
  if (mg_load_policies(&given.files, &snapshot) < 0) return 2;
  serve(snapshot, given.now.set ? given.now.value : (int64_t)time(NULL));
  mg_snapshot_unref(snapshot);
  mg_arena_fini(&arena);
  return 0;
}
