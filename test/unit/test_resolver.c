/* Name servers that hang: who follows the cluster or sends spans ends all the same. The resolver is the one below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <netdb.h>
#include <stdatomic.h>
#include <time.h>

#include "app/otlp.h"
#include "cluster/live.h"
#include "kube/context.h"

#define HANGS_MS 3000
#define SOON_MS 2000 /* what is cut short may take a second of its own */

static atomic_int asked, answered;

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* Takes the place of the C library's, also for libcurl. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
  (void)host, (void)service, (void)hints, (void)ret;
  atomic_fetch_add(&asked, 1);
  sleep_ms(HANGS_MS);
  atomic_fetch_add(&answered, 1);
  return EAI_AGAIN;
}

static void until_asked(void) {
  for (int i = 0; i < 5000 && !atomic_load(&asked); i++) sleep_ms(1);
  assert_true(atomic_load(&asked) > 0);
}

/* Nothing is left behind, and the resolver was still asked when all was over. */
static int tear_down(void **state) {
  (void)state;
  while (atomic_load(&answered) < atomic_load(&asked)) sleep_ms(10);
  sleep_ms(100);
  return 0;
}

static int set_up(void **state) {
  (void)state;
  atomic_store(&asked, 0);
  atomic_store(&answered, 0);
  return 0;
}

static void publish(void *ctx, struct mg_context *context) {
  (void)ctx;
  mg_context_unref(context);
}

static void test_live_context(void **state) {
  struct mg_live_options options = {.api = {.server = "https://api.invalid"}, .publish = publish};
  struct mg_live *live = NULL;
  struct mg_err err = {0};
  (void)state;
  assert_int_equal(mg_live_new(&options, &live, &err), 0);
  mg_live_need(live, MG_CTX_BIT(MG_CTX_NAMESPACE));
  assert_int_equal(mg_live_start(live, &err), 0);
  until_asked();
  int64_t before = now_ms();
  mg_live_free(live);
  assert_true(now_ms() - before < SOON_MS);
  assert_int_equal(atomic_load(&answered), 0);
}

static void test_spans(void **state) {
  struct mg_otlp_options options = {.endpoint = "http://collector.invalid", .version = "1"};
  const struct mg_answer answer = {.http_status = 400};
  struct mg_reviewed reviewed = {.answer = &answer};
  struct mg_otlp *otlp = NULL;
  struct mg_arena arena;
  struct mg_err err = {0};
  (void)state;
  mg_arena_init(&arena, 1 << 20, 0);
  assert_int_equal(mg_otlp_start(&options, &otlp, &err), 0);
  mg_otlp_review(otlp, &reviewed, &arena);
  until_asked();
  int64_t before = now_ms();
  mg_otlp_stop(otlp);
  assert_true(now_ms() - before < SOON_MS);
  assert_int_equal(atomic_load(&answered), 0);
  mg_arena_fini(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_live_context, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_spans, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
