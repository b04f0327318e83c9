/* Policies whose match and excludes say the same share a selection, and nobody notices. */
#include "unit/probe.h"

#define ML "  match: {namespaces: [\"ml-*\"], accelerators: true}\n"
#define NOT_KUBE "  exclude: [{namespaces: [kube-system]}]\n"
#define SEE "  rules: [{see: {}}]"

static uint32_t shared_of(const struct mg_snapshot *s, uint32_t policy) {
  return mg_snapshot_policy(s, policy)->shared;
}

static void what_is_the_same(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(
      probe_types,
      POLICY("a", SEE) POLICY("b", ML SEE) POLICY("c", ML NOT_KUBE SEE) POLICY("d", "  match: {}\n" SEE)
          POLICY("e", ML "  action: warn\n" SEE) POLICY("f", NOT_KUBE ML SEE) POLICY("g", "  description: d\n" SEE)
              POLICY("h", "  match: {namespaces: [\"ml-*\"], accelerators: false}\n" SEE)
                  POLICY("i", "  match: {namespaces: [\"ml-*\", x], accelerators: true}\n" SEE),
      NULL);
  assert_int_equal(shared_of(s, 1), shared_of(s, 4));
  assert_int_equal(shared_of(s, 2), shared_of(s, 5));
  assert_int_equal(shared_of(s, 0), shared_of(s, 6));
  assert_int_not_equal(shared_of(s, 1), shared_of(s, 2));
  assert_int_not_equal(shared_of(s, 0), shared_of(s, 1));
  assert_true(shared_of(s, 0) < 3 && shared_of(s, 1) < 3 && shared_of(s, 2) < 3);
  assert_int_equal(shared_of(s, 3), MG_NOT_SHARED);
  assert_int_equal(shared_of(s, 7), MG_NOT_SHARED);
  assert_int_equal(shared_of(s, 8), MG_NOT_SHARED);
  mg_snapshot_unref(s);
}

/* Those that share stand among others that do not, and each says what it says alone. */
static void each_for_itself(void **state) {
  (void)state;
  struct mg_snapshot *s =
      scene_load(probe_types,
                 POLICY("a", "  match: {containers: [x]}\n" SEE) POLICY("b", "  match: {containers: [w]}\n" SEE)
                     POLICY("c", "  match: {containers: [x]}\n" SEE) POLICY("d", "  match: {containers: [z]}\n" SEE)
                         POLICY("e", "  match: {namespaces: [other]}\n" SEE) POLICY("f", "  match: {namespaces: [other]}\n" SEE),
                 NULL);
  EXPECT(s, "deny a/see|deny a/see x|deny b/see|deny b/see w|deny c/see|deny c/see x",
         .object = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ns}\n"
                   "spec: {containers: [{name: x}, {name: w}]}\n");
  mg_snapshot_unref(s);
}

/* A label that comes inside of metadata that came before needs no operation of its own, and counts all the same. */
static void after_an_edit(void **state) {
  (void)state;
#define TEAM(x) "  match: {selector: {matchLabels: {team: " x "}}}\n"
#define LABEL(key) "  rules: [{patch: {pod: {metadata: {labels: {" key "}}}}}]"
#define NODE(key) "  rules: [{nodeSelector: {add: {" key ": v}}}]"
  struct mg_snapshot *s = scene_load(mg_rules,
                                     POLICY("a", LABEL("x: v")) POLICY("b", TEAM("a") NODE("early"))
                                         POLICY("c", LABEL("team: a")) POLICY("d", TEAM("a") NODE("late")),
                                     NULL);
  EXPECT_PHASE(s, MG_PHASE_MUTATE,
               " + [{\"op\":\"add\",\"path\":\"/spec/template/metadata\",\"value\":{\"labels\":{\"x\":\"v\",\"team\":\"a\"}}},"
               "{\"op\":\"add\",\"path\":\"/spec/template/spec/nodeSelector\",\"value\":{\"late\":\"v\"}}]",
               .object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: ns}\n"
                         "spec: {template: {spec: {containers: [{name: x}]}}}\n");
  mg_snapshot_unref(s);
}

/* Of an object with very many templates nothing is kept. */
static void many_templates(void **state) {
  (void)state;
  MG_BUF_AUTO object;
  struct scene scene;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("a", ML SEE) POLICY("b", ML SEE), NULL);
  for (uint32_t count = 60; count <= 70; count += 10) {
    mg_buf_init(&object, NULL, (size_t)1 << 20);
    mg_buf_lit(&object, "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {name: j, namespace: ml-a}\n"
                        "spec:\n  replicatedJobs:\n");
    for (uint32_t i = 0; i < count; i++)
      mg_buf_printf(&object,
                    "  - {name: j%u, template: {spec: {template: {spec: {containers: [{name: c, resources: {limits: "
                    "{nvidia.com/gpu: %u}}}]}}}}}\n",
                    i, i % 2);
    mg_buf_byte(&object, '\0');
    scene_judge(&scene, s, &(struct ask){.object = object.p, .ns = "ml-a"}, MG_PHASE_VALIDATE);
    assert_int_equal(scene.verdict.counts[MG_OUT_DENY], 2 * count); /* half of them, twice, container and template */
    scene_fini(&scene);
    mg_buf_fini(&object);
  }
  mg_snapshot_unref(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_the_same),
      cmocka_unit_test(each_for_itself),
      cmocka_unit_test(after_an_edit),
      cmocka_unit_test(many_templates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
