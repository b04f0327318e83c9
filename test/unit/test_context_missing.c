/* What becomes of a review where the cluster has not told what its policies need; and contexts that change beneath reviews. */
#include <pthread.h>
#include <stdatomic.h>

#include "unit/scene.h"

#include "app/answer.h"
#include "base/log.h"

#define NS MG_CTX_BIT(MG_CTX_NAMESPACE)
#define PC MG_CTX_BIT(MG_CTX_PRIORITY_CLASS)
#define POD "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {containers: [{name: m, image: i}]}}"
#define JOB "{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: x}, spec: {template: {spec: {containers: []}}}}"
#define CLAIM                                                                                                                    \
  "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {resourceClaims: [{name: c, "                            \
  "resourceClaimTemplateName: t}], containers: [{name: m, image: i, resources: {claims: [{name: c}]}}]}}"
#define SELECTED(more)                                                                                                           \
  POLICY("p", more "  match: {kinds: [Pod], namespaceSelector: {matchLabels: {a: b}}}\n  rules: [{priority: {allowed: [z]}}]")
#define NEVER(more) POLICY("p", more "  rules: [{priority: {preemptionPolicy: Never}}]")
#define DEVICES POLICY("p", "  onMissingContext: deny\n  match: {accelerators: true}\n  rules: [{priority: {allowed: [z]}}]")
#define WITHOUT(words) "p/context: judged without knowing " words " of the cluster"

static struct mg_context *context_of(uint32_t known, enum mg_context_kind kind, const char *yaml) {
  struct mg_context *c = mg_context_new();
  struct mg_arena arena;
  struct mg_err err;
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  assert_non_null(c);
  c->known = known;
  if (yaml) {
    struct mg_context_object *o = NULL;
    assert_int_equal(mg_context_object_new(&o, kind, scene_yaml(&arena, yaml), &err), 0);
    assert_int_equal(mg_context_fill(c, kind, &o, 1), 0);
    mg_context_object_unref(o);
  }
  assert_int_equal(mg_context_seal(c), 0);
  mg_arena_fini(&arena);
  return c;
}

static const struct {
  const char *policies, *object, *old;
  uint32_t known;
  const char *violations, *warning; /* NULL: none */
} cases[] = {
    {SELECTED(""), POD, NULL, 0, "", WITHOUT("Namespace")},
    {SELECTED("  onMissingContext: warn\n"), POD, NULL, 0, "", WITHOUT("Namespace")},
    {SELECTED("  onMissingContext: deny\n"), POD, NULL, 0, "deny p/context", NULL},
    {SELECTED("  onMissingContext: ignore\n"), POD, NULL, 0, "", NULL},
    {SELECTED("  onMissingContext: deny\n"), POD, NULL, NS, "", NULL},
    {SELECTED("  onMissingContext: deny\n"), POD, NULL, PC, "deny p/context", NULL},
    /* the policy's action holds for it, too */
    {SELECTED("  action: warn\n  onMissingContext: deny\n"), POD, NULL, 0, "warn p/context", NULL},
    {SELECTED("  action: audit\n  onMissingContext: deny\n"), POD, NULL, 0, "audit p/context", NULL},
    /* what the update does not bring is not held against it */
    {SELECTED("  onMissingContext: deny\n"), POD, POD, 0, "audit p/context", NULL},
    /* a policy that cannot match has nothing to say */
    {SELECTED("  onMissingContext: deny\n"), JOB, NULL, 0, "", NULL},
    {NEVER(""), JOB, NULL, NS, "", WITHOUT("PriorityClass")},
    {NEVER("  onMissingContext: deny\n") POLICY("q", "  rules: [{priority: {allowed: [z]}}]"), POD, NULL, 0, "deny p/context",
     NULL},
    {NEVER("  onMissingContext: deny\n")
         EXCEPTION("e", "  policies: [p]\n  match: {namespaces: [x]}\n  owner: o\n  reason: r\n  expires: 2100-01-01"),
     POD, NULL, 0, "exempted p/context (e)", NULL},
    /* claims matter to who has some */
    {DEVICES, POD, NULL, 0, "", NULL},
    {DEVICES, CLAIM, NULL, 0, "deny p/context", NULL},
    {DEVICES, CLAIM, NULL, MG_CTX_CLAIMS, "", NULL},
};

static void check(size_t i, const struct mg_snapshot *snapshot) {
  struct scene scene;
  struct ask ask = {.object = cases[i].object, .old = cases[i].old};
  scene_judge(&scene, snapshot, &ask, MG_PHASE_MUTATE | MG_PHASE_VALIDATE);
  mg_str got = scene_text(&scene);
  const struct mg_warning *w = scene.verdict.warnings;
  if (!mg_str_is(got, cases[i].violations)) fail_msg("case %zu: \"%.*s\"", i, MG_FMT(got));
  if (!w != !cases[i].warning || (w && (!mg_str_is(w->text, cases[i].warning) || w->next)))
    fail_msg("case %zu: warning \"%.*s\"", i, w ? (int)w->text.n : 0, w ? w->text.p : "");
  assert_int_equal(scene.verdict.allowed, strncmp(cases[i].violations, "deny", 4) != 0);
  scene_fini(&scene);
}

static void test_missing(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct mg_snapshot *files = scene_load(mg_rules, cases[i].policies, NULL);
    struct mg_context *live = context_of(cases[i].known, MG_CTX_NAMESPACE, NULL);
    struct mg_snapshot *s = mg_snapshot_with(files, live);
    assert_non_null(s);
    mg_context_unref(live);
    mg_snapshot_unref(files);
    check(i, s);
    mg_snapshot_unref(s);
  }
}

/* /mutate warns and never denies. */
static void test_phase(void **state) {
  (void)state;
  struct mg_snapshot *files = scene_load(
      mg_rules, NEVER("") "---\n" POLICY("q", "  onMissingContext: deny\n  rules: [{priority: {className: z}}]"), NULL);
  struct mg_context *live = context_of(0, MG_CTX_NAMESPACE, NULL);
  struct mg_snapshot *s = mg_snapshot_with(files, live);
  struct scene scene;
  scene_judge(&scene, s, &(struct ask){.object = POD}, MG_PHASE_MUTATE);
  assert_true(scene.verdict.allowed);
  assert_null(scene.verdict.violations);
  assert_true(mg_str_is(scene.verdict.warnings->text, WITHOUT("PriorityClass")));
  assert_null(scene.verdict.warnings->next);
  scene_fini(&scene);
  mg_snapshot_unref(s);
  mg_snapshot_unref(files);
  mg_context_unref(live);
}

/* Files are never missing: not without a live context, and a namespace of theirs not with one. */
static void test_files(void **state) {
  (void)state;
  struct mg_snapshot *files = scene_load(mg_rules, SELECTED("  onMissingContext: deny\n"),
                                         "{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {a: c}}}");
  EXPECT(files, "", .object = POD, .ns = "unknown");
  struct mg_context *live = context_of(0, MG_CTX_NAMESPACE, "{metadata: {name: x, labels: {a: b}}}");
  struct mg_snapshot *s = mg_snapshot_with(files, live);
  mg_context_unref(live);
  EXPECT(s, "", .object = POD);
  EXPECT(s, "deny p/context", .object = POD, .ns = "unknown");
  mg_snapshot_unref(s);
  mg_snapshot_unref(files);
}

static void test_needs(void **state) {
  (void)state;
  static const struct {
    const char *spec;
    uint32_t needs;
  } rows[] = {
      {"  rules: [{priority: {allowed: [z]}}]", 0},
      {"  rules: [{priority: {className: z}}]", PC},
      {"  rules: [{priority: {preemptionPolicy: Never}}]", PC},
      {"  rules: [{gpuLimits: {}}]", MG_CTX_CLAIMS},
      {"  rules: [{tolerations: {forEachAccelerator: true}}]", 0},
      {"  match: {accelerators: [\"nvidia.com/*\"]}\n  rules: [{priority: {allowed: [z]}}]", 0},
      {"  match: {accelerators: false}\n  rules: [{priority: {allowed: [z]}}]", MG_CTX_CLAIMS},
      {"  exclude: [{namespaceSelector: {matchLabels: {a: b}}}]\n  rules: [{priority: {allowed: [z]}}]", NS},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[512];
    snprintf(text, sizeof text, POLICY("p", "%s"), rows[i].spec);
    struct mg_snapshot *s = scene_load(mg_rules, text, NULL);
    if (mg_snapshot_needs(s) != rows[i].needs) fail_msg("%s: %x", rows[i].spec, mg_snapshot_needs(s));
    mg_snapshot_unref(s);
  }
  struct mg_snapshot *s = scene_load(
      mg_rules,
      POLICY("p", "  rules: [{priority: {allowed: [z]}}]") EXCEPTION(
          "e",
          "  policies: [p]\n  match: {namespaceSelector: {matchLabels: {a: b}}}\n  owner: o\n  reason: r\n  expires: 2100-01-01"),
      NULL);
  assert_int_equal(mg_snapshot_needs(s), NS);
  mg_snapshot_unref(s);
}

static void test_bad_word(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_str said;
  struct mg_source source = {.path = "p", .text = mg_str_of(SELECTED("  onMissingContext: fail\n")), .copy = true};
  mg_arena_init(&arena, (size_t)4 << 20, 0);
  assert_null(scene_try(mg_rules, &source, 1, &arena, &said));
  if (!mg_str_has(said, MG_S("p:6:21: \"onMissingContext\" cannot be \"fail\"; it is one of warn, deny, ignore\n")))
    fail_msg("%.*s", MG_FMT(said));
  mg_arena_fini(&arena);
}

/* ---- beneath reviews ---- */

enum { THREADS = 3, TURNS = 400 };

static struct mg_answerer *answerer;
static atomic_bool done;
static atomic_uint answered, wrong;

/* The label and the class change as one, so a review that saw two contexts would let the Pod through. */
static void *ask_on(void *arg) {
  struct mg_arena arena;
  mg_str body;
  mg_str text = *(const mg_str *)arg;
  mg_arena_init(&arena, (size_t)64 << 20, (size_t)1 << 20);
  while (!atomic_load(&done)) {
    mg_arena_reset(&arena);
    unsigned status = mg_answerer_review(answerer, false, text, &arena, &body);
    if (status != 200 || !mg_str_has(body, MG_S("\"allowed\":false"))) atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&answered, 1);
  }
  mg_arena_fini(&arena);
  return NULL;
}

static struct mg_context *turn_of(int turn) {
  bool label = turn & 1;
  struct mg_context *a =
      context_of(NS | PC, MG_CTX_NAMESPACE, label ? "{metadata: {name: x, labels: {a: b}}}" : "{metadata: {name: x}}");
  struct mg_context *b =
      context_of(0, MG_CTX_PRIORITY_CLASS, label ? "{metadata: {name: k}, preemptionPolicy: Never}" : "{metadata: {name: k}}");
  mg_context_share(a, MG_CTX_PRIORITY_CLASS, b);
  assert_int_equal(mg_context_seal(a), 0);
  mg_context_unref(b);
  return a;
}

static void test_swap(void **state) {
  (void)state;
  static const char policies[] = SELECTED("") "---\n" POLICY("q", "  rules: [{priority: {preemptionPolicy: Never}}]");
  pthread_t threads[THREADS];
  struct mg_arena arena;
  struct mg_err err;
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  struct ask ask = {
      .object = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {priorityClassName: k, containers: []}}"};
  mg_str text = scene_review(&arena, &ask);
  assert_int_equal(mg_answerer_new(&answerer, scene_load(mg_rules, policies, NULL), "1", NULL, &err), 0);
  assert_int_equal(mg_answerer_context(answerer, turn_of(1), &err), 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &text), 0);
  for (int i = 0; i < TURNS; i++) {
    assert_int_equal(mg_answerer_context(answerer, turn_of(i), &err), 0);
    if (i % 50 == 0) assert_int_equal(mg_answerer_swap(answerer, scene_load(mg_rules, policies, NULL), &err), 0);
  }
  while (atomic_load(&answered) < 100) sched_yield();
  atomic_store(&done, true);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&wrong), 0);
  char want[64];
  struct mg_buf out;
  mg_buf_init(&out, NULL, (size_t)1 << 20);
  snprintf(want, sizeof want, "mlgate_admission_duration_seconds_count %u\n", atomic_load(&answered));
  mg_answerer_metrics(answerer, &out);
  assert_true(mg_str_has(mg_buf_str(&out), mg_str_of(want)));
  mg_buf_fini(&out);
  assert_true(mg_answerer_tidy(answerer));
  mg_answerer_free(answerer);
  mg_arena_fini(&arena);
}

int main(void) {
  mg_log_init(MG_LOG_ERROR, 2);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_missing), cmocka_unit_test(test_phase),    cmocka_unit_test(test_files),
      cmocka_unit_test(test_needs),   cmocka_unit_test(test_bad_word), cmocka_unit_test(test_swap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
