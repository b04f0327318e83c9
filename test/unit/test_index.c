/* The index may find too much and never too little: what mg_match_object accepts is always found. */
#include "unit/probe.h"

#include "policy/snapshot.h"

static uint64_t seed;

/* xorshift64*: the same policies in every run. */
static uint32_t roll(uint32_t below) {
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return (uint32_t)((seed * 2685821657736338717u) >> 33) % below;
}

#define PICK(table) (table)[roll(COUNT(table))]

static const char *const kind_patterns[] = {"Pod",
                                            "Job",
                                            "Job.batch",
                                            "Job.v1.batch",
                                            "'*'",
                                            "'*.batch'",
                                            "'*Job'",
                                            "'*.*'",
                                            "'*.*.kubeflow.org'",
                                            "'PyTorchJob.v?.kube*'",
                                            "Pod.v1",
                                            "'Pod.v*'",
                                            "'[A-J]*'",
                                            "'*.v1.*'",
                                            "'Deployment.[v]1.apps'",
                                            "'*.'",
                                            "'*.v1'",
                                            "RayCluster.ray.io",
                                            "'Cron*.batch'",
                                            "'?o[bd]'"};
static const char *const namespace_patterns[] = {"a",
                                                 "ml",
                                                 "ml-a",
                                                 "ml-ab",
                                                 "'ml-*'",
                                                 "'ml*'",
                                                 "'m*'",
                                                 "'*'",
                                                 "'*-a'",
                                                 "'?l-a'",
                                                 "'[m]l-a'",
                                                 "'ml-[!b]'",
                                                 "'ml-?'",
                                                 "'/ml-.*/'",
                                                 "'/a|b/'",
                                                 "'/(?i)ML-A/'",
                                                 "'//'",
                                                 "''",
                                                 "'**'",
                                                 "'m**a'",
                                                 "b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed1",
                                                 "'b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed1*'",
                                                 "b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed12",
                                                 "'b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed123*'"};
static const char *const operations[] = {"CREATE", "UPDATE", "DELETE", "CONNECT"};
static const char *const namespaces[] = {"",
                                         "a",
                                         "b",
                                         "ml",
                                         "ml-",
                                         "ml-a",
                                         "ml-ab",
                                         "ml-b",
                                         "m",
                                         "ML-A",
                                         "xl-a",
                                         "zzz",
                                         "b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed1",
                                         "b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed12",
                                         "b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed1234567",
                                         "b-very-long-name-that-fills-all-of-the-sixty-three-bytes-allowed"};
static const struct {
  const char *group, *version, *kind;
} objects[] = {{"", "v1", "Pod"},
               {"batch", "v1", "Job"},
               {"batch", "v1", "CronJob"},
               {"kubeflow.org", "v1", "PyTorchJob"},
               {"apps", "v1", "Deployment"},
               {"kubeflow.org", "v2beta1", "MPIJob"},
               {"ray.io", "v1", "RayCluster"},
               {"batch", "v2", "Job"}};

static void put_list(struct mg_buf *out, const char *key, const char *const *words, uint32_t count) {
  uint32_t n = roll(4);
  if (n == 0) return;
  mg_buf_printf(out, "    %s: [", key);
  for (uint32_t i = 0; i < n; i++) mg_buf_printf(out, "%s%s", i ? ", " : "", words[roll(count)]);
  mg_buf_lit(out, "]\n");
}

static void put_policy(struct mg_buf *out, uint32_t number) {
  mg_buf_printf(out,
                "---\napiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: p%u}\nspec:\n  rules: [{see: {}}]\n  match:\n    "
                "names: ['*']\n",
                number);
  put_list(out, "kinds", kind_patterns, COUNT(kind_patterns));
  put_list(out, "operations", operations, COUNT(operations));
  put_list(out, "namespaces", namespace_patterns, COUNT(namespace_patterns));
}

static struct mg_snapshot *random_snapshot(uint32_t policies) {
  struct mg_arena arena;
  struct mg_buf out;
  mg_arena_init(&arena, (size_t)16 << 20, 0);
  mg_buf_init(&out, &arena, (size_t)8 << 20);
  for (uint32_t i = 0; i < policies; i++) put_policy(&out, i);
  mg_buf_byte(&out, '\0');
  struct mg_snapshot *snapshot = scene_load(probe_types, policies ? out.p : "", NULL);
  mg_arena_fini(&arena);
  return snapshot;
}

struct tally {
  uint32_t accepted, found, refused;
};

static void compare(const struct mg_snapshot *s, struct tally *tally) {
  size_t o = roll(COUNT(objects));
  struct mg_request r = {.group = mg_str_of(objects[o].group),
                         .version = mg_str_of(objects[o].version),
                         .kind = mg_str_of(objects[o].kind),
                         .operation = roll(4),
                         .ns = mg_str_of(PICK(namespaces)),
                         .name = MG_S("x")};
  const struct mg_kind_row *row = mg_kind_find(&s->kinds, r.group, r.version, r.kind);
  mg_bits *bits = calloc(s->index.words, sizeof *bits);
  assert_non_null(row);
  assert_non_null(bits);
  mg_index_find(s, row, r.operation, r.ns, bits);
  for (uint32_t p = 0; p < s->policy_count; p++) {
    bool accepted = mg_match_object(&s->policies[p].match, MG_SENSE_MATCH, &r, s->context), found = bits[p / 64] >> (p % 64) & 1;
    tally->accepted += accepted;
    tally->found += found;
    tally->refused += !found;
    if (accepted && !found)
      fail_msg("policy %u is lost for %s.%s %s in \"%.*s\"", p, objects[o].kind, objects[o].group, operations[r.operation],
               MG_FMT(r.ns));
  }
  for (uint32_t p = s->policy_count; p < s->index.words * 64; p++) assert_false(bits[p / 64] >> (p % 64) & 1);
  free(bits);
}

static void never_loses_a_policy(void **state) {
  (void)state;
  struct tally tally = {0};
  static const uint32_t sizes[] = {0, 1, 2, 31, 63, 64, 65, 127, 128, 130};
  for (seed = 1; seed < 12; seed++) {
    uint64_t begin = seed;
    for (size_t i = 0; i < COUNT(sizes); i++) {
      struct mg_snapshot *s = random_snapshot(sizes[i]);
      for (int n = 0; n < 60; n++) compare(s, &tally);
      mg_snapshot_unref(s);
    }
    seed = begin;
  }
  /* The test says something, and the index is worth its while. */
  assert_true(tally.accepted > 5000);
  assert_true(tally.refused > tally.found);
  assert_true(tally.found < tally.accepted * 2);
}

/* Many beginnings, so that the table of them is full of neighbours. */
static void many_namespaces(void **state) {
  (void)state;
  struct mg_arena arena;
  struct mg_buf out;
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  mg_buf_init(&out, &arena, (size_t)32 << 20);
  for (int i = 0; i < 700; i++)
    mg_buf_printf(&out,
                  "---\napiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: p%d}\nspec: {match: {namespaces: [team-%d, "
                  "'ns%d-*']}, rules: [{see: {}}]}\n",
                  i, i, i);
  mg_buf_byte(&out, '\0');
  struct mg_snapshot *s = scene_load(probe_types, out.p, NULL);
  for (int i = 0; i < 700; i++)
    for (int form = 0; form < 3; form++) {
      char ns[32];
      mg_bits bits[11];
      int n = form == 0   ? snprintf(ns, sizeof ns, "team-%d", i)
              : form == 1 ? snprintf(ns, sizeof ns, "ns%d-", i)
                          : snprintf(ns, sizeof ns, "ns%d-x", i);
      assert_int_equal(s->index.words, COUNT(bits));
      mg_index_find(s, mg_kind_find(&s->kinds, MG_S(""), MG_S("v1"), MG_S("Pod")), MG_CREATE, (mg_str){ns, (size_t)n}, bits);
      for (int p = 0; p < 700; p++) assert_int_equal(bits[p / 64] >> (p % 64) & 1, p == i);
    }
  mg_snapshot_unref(s);
  mg_arena_fini(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(never_loses_a_policy), cmocka_unit_test(many_namespaces)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
