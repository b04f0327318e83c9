#include <time.h>

#include "unit/probe.h"

#define POD_HEAD "apiVersion: v1\nkind: Pod\n"
#define POD(meta, spec) POD_HEAD "metadata: {name: a, namespace: ns" meta "}\nspec: {" spec "}\n"
#define DEPLOYMENT(meta, pod_meta, spec)                                                                                         \
  "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: ns" meta "}\nspec: {template: {metadata: {" pod_meta    \
  "}, spec: {" spec "}}}\n"
#define GRADE(n) ", annotations: {grade: \"" n "\"}"
#define MARK(key, value) "{mark: {key: " key ", value: " value "}}"

static struct mg_snapshot *load(const char *policies) {
  return scene_load(probe_types, policies, NULL);
}

#define WITH(policies, ...)                                                                                                      \
  do {                                                                                                                           \
    struct mg_snapshot *s = load(policies);                                                                                      \
    __VA_ARGS__;                                                                                                                 \
    mg_snapshot_unref(s);                                                                                                        \
  } while (0)

static void actions(void **state) {
  (void)state;
  const char *policies = POLICY("e", "  rules: [{see: {}}, {mark: {key: x, value: e}}]")
      POLICY("w", "  action: warn\n  rules: [{see: {}}, {mark: {key: x, value: w}}, {mark: {key: k, value: w}}]")
          POLICY("u", "  action: audit\n  rules: [{see: {}}, {mark: {key: x, value: u}}, {mark: {key: k, value: u}}]");
  struct mg_snapshot *s = load(policies);
  /* What would be added is judged on the final object, where `e` has set x. */
  EXPECT(s,
         "deny e/see|warn w/see|warn w/mark|audit u/see|audit u/mark + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"e\"}]",
         .object = POD("", ""));
  EXPECT_PHASE(s, MG_PHASE_MUTATE, " + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"e\"}]", .object = POD("", ""));
  EXPECT_PHASE(s, MG_PHASE_VALIDATE, "deny e/see|warn w/see|warn w/mark|warn w/mark|audit u/see|audit u/mark|audit u/mark",
               .object = POD("", ""));
  mg_snapshot_set_dry_run(s);
  EXPECT(s, "audit e/see|audit e/mark|audit w/see|audit w/mark|audit w/mark|audit u/see|audit u/mark|audit u/mark",
         .object = POD("", ""));
  mg_snapshot_unref(s);
}

/* What would be added is a violation of that rule, with the addition in its fix. */
static void probing_says_what(void **state) {
  (void)state;
  struct scene scene;
  struct mg_snapshot *s =
      load(POLICY("w", "  action: warn\n  rules: [{name: r, message: \"Because.\", mark: {key: x, value: v}}]"));
  scene_judge(&scene, s, &(struct ask){.object = DEPLOYMENT("", "", "")}, MG_PHASE_VALIDATE);
  const struct mg_violation *v = scene.verdict.violations;
  assert_non_null(v);
  assert_true(mg_str_is(v->message, "Because.: no x") && mg_str_is(v->fix, "v"));
  assert_true(mg_str_is(mg_violation_path(v), "spec.template.spec.x") &&
              mg_str_is(mg_violation_pointer(v), "/spec/template/spec/x"));
  assert_true(mg_str_is(v->rule->name, "r"));
  assert_int_equal(scene.verdict.counts[MG_OUT_WARN], 1);
  assert_int_equal(scene.verdict.policy_results[0], MG_RESULT_WARN);
  scene_fini(&scene);
  mg_snapshot_unref(s);
}

/* Every rule looks at the object as the earlier rules left it, its own match included; judgement comes last. */
static void order(void **state) {
  (void)state;
  WITH(POLICY("b", "  rules: [" MARK("x", "b") ", " MARK("k", "b") "]")
           POLICY("a", "  rules: [" MARK("k", "a") ", " MARK("z", "a") ", " MARK("x", "a") "]"),
       EXPECT(s,
              " + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"b\"},{\"op\":\"add\",\"path\":\"/spec/k\",\"value\":\"b\"},"
              "{\"op\":\"add\",\"path\":\"/spec/z\",\"value\":\"a\"}]",
              .object = POD("", "")));
  /* Policies for accelerators, before and behind the rule that brings one. */
  const char *chain =
      POLICY("before", "  match: {accelerators: true}\n  rules: [" MARK("hit", "early") "]") POLICY("gpu", "  rules: [{gpu: {}}]")
          POLICY("behind", "  match: {accelerators: true}\n  rules: [" MARK("hit", "late") ", {see: {}}]")
              POLICY("none", "  match: {accelerators: false}\n  rules: [{see: {}}]");
  WITH(chain, {
    EXPECT(s,
           "deny behind/see|deny behind/see c + [{\"op\":\"add\",\"path\":\"/spec/containers/0/resources\",\"value\":"
           "{\"limits\":{\"nvidia.com/gpu\":\"1\"}}},{\"op\":\"add\",\"path\":\"/spec/hit\",\"value\":\"late\"}]",
           .object = POD("", "containers: [{name: c}]"));
    EXPECT(s, "deny none/see|deny none/see c", .object = POD("", "containers: [{name: c, resources: {}}]"));
  });
}

/* A violation that was there before is told and denies nothing; a worse one does. */
static void update_by_measure(void **state) {
  (void)state;
  static const struct {
    const char *by, *now, *before, *want;
  } rows[] = {
      {"none", "1", "2", "audit p/grade"}, {"text", "1", "1", "audit p/grade"}, {"text", "1", "2", "deny p/grade"},
      {"more", "2", "2", "audit p/grade"}, {"more", "1", "2", "audit p/grade"}, {"more", "3", "2", "deny p/grade"},
      {"less", "2", "2", "audit p/grade"}, {"less", "3", "2", "audit p/grade"}, {"less", "1", "2", "deny p/grade"},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    for (int level = 0; level < 3; level++) {
      char policy[300], now[300], before[300], want[64];
      const char *of = probe_level[level];
      snprintf(policy, sizeof policy, POLICY("p", "  rules: [{grade: {by: %s, of: %s}}]"), rows[i].by, of);
      for (int old = 0; old < 2; old++)
        snprintf(old ? before : now, sizeof now,
                 level == 1 ? POD("", "containers: [{name: c, grade: \"%s\"}]") : POD(GRADE("%s"), ""),
                 old ? rows[i].before : rows[i].now);
      snprintf(want, sizeof want, "%s%s", rows[i].want, level == 1 ? " c" : "");
      WITH(policy, {
        EXPECT(s, want, .object = now, .old = before);
        EXPECT(s, level == 1 ? "deny p/grade c" : "deny p/grade", .object = now, .old = POD("", ""));
        EXPECT(s, level == 1 ? "deny p/grade c" : "deny p/grade", .object = now, .operation = "UPDATE");
        EXPECT(s, "", .object = POD("", ""), .old = before);
      });
    }
}

/* warn: what was there before is only audited. */
static void update_of_a_warning(void **state) {
  (void)state;
  WITH(POLICY("p", "  action: warn\n  rules: [{grade: {by: more}}, {mark: {key: x, value: v}}]"), {
    EXPECT(s, "audit p/grade|audit p/mark", .object = POD(GRADE("1"), ""), .old = POD(GRADE("1"), ""));
    EXPECT(s, "warn p/grade|audit p/mark", .object = POD(GRADE("2"), ""), .old = POD(GRADE("1"), ""));
    EXPECT(s, "warn p/mark", .object = POD("", ""), .old = POD("", "x: v"));
  });
}

/* oldObject is put through the rules that match the new one: a label brings a Pod under a policy and changes and denies nothing.
 */
static void label_brings_it_under(void **state) {
  (void)state;
  WITH(
      POLICY("p", "  match: {selector: {matchLabels: {team: x}}}\n  rules: [{see: {}}, " MARK("x", "v") ", {grade: {by: more}}]"),
      {
        EXPECT(s, "", .object = POD(GRADE("1"), "containers: [{name: c}]"));
        EXPECT(s, "audit p/see|audit p/see c|audit p/grade",
               .object = POD(", labels: {team: x}, annotations: {grade: \"1\"}", "containers: [{name: c}]"),
               .old = POD(GRADE("1"), "containers: [{name: c}]"));
        EXPECT(s, "audit p/see|audit p/see c|deny p/grade",
               .object = POD(", labels: {team: x}, annotations: {grade: \"2\"}", "containers: [{name: c}]"),
               .old = POD(GRADE("1"), "containers: [{name: c}]"));
      });
  /* By a role, by containers. */
  WITH(POLICY("p", "  match: {roles: [training]}\n  rules: [" MARK("x", "v") "]"),
       EXPECT(s, "", .object = POD(", labels: {mlgate.dev/role: training}", ""), .old = POD("", "")));
  WITH(POLICY("p", "  match: {images: [\"*/new:*\"]}\n  rules: [{mark: {key: m, value: v, of: container}}, {see: {}}]"),
       EXPECT(s, "audit p/see|audit p/see c", .object = POD("", "containers: [{name: c, image: new}]"),
              .old = POD("", "containers: [{name: c, image: old}]")));
}

/* An edit is made only where the same rule would not make it on oldObject. */
static void edits_of_an_update(void **state) {
  (void)state;
  WITH(POLICY("p", "  rules: [" MARK("x", "v") ", {mark: {key: m, value: v, of: container}}]"), {
    /* Installed later: the running Pod stays as it is. */
    EXPECT(s, "", .object = POD(", labels: {a: b}", "containers: [{name: c}]"), .old = POD("", "containers: [{name: c}]"));
    /* Dropped by the user's own file: comes back. */
    EXPECT(s,
           " + "
           "[{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"v\"},{\"op\":\"add\",\"path\":\"/spec/containers/0/"
           "m\",\"value\":\"v\"}]",
           .object = POD("", "containers: [{name: c}]"), .old = POD("", "x: v, containers: [{name: c, m: v}]"));
    /* What is new gets it; containers are known by name, wherever they stand. */
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/containers/0/m\",\"value\":\"v\"}]",
           .object = POD("", "containers: [{name: new}, {name: c}]"), .old = POD("", "containers: [{name: c}]"));
    EXPECT(s, "", .object = POD("", "containers: [{name: b}, {name: a}]"), .old = POD("", "containers: [{name: a}, {name: b}]"));
    EXPECT(s, "", .object = POD("", "containers: [{}, {}]"), .old = POD("", "containers: [{}, {}]"));
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/containers/1/m\",\"value\":\"v\"}]",
           .object = POD("", "containers: [{}, {}]"), .old = POD("", "containers: [{}]"));
    /* The value does not count: what the user set stays. */
    EXPECT(s, "", .object = POD("", "x: mine"), .old = POD("", "x: v"));
    /* Without oldObject it brings everything. */
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"v\"}]", .object = POD("", ""), .operation = "UPDATE");
  });
}

#define RAY(groups)                                                                                                              \
  "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: r}\nspec: {headGroupSpec: {template: {spec: {x: h}}}, "             \
  "workerGroupSpecs: [" groups "]}\n"
#define GROUP(name, spec) "{groupName: " name ", template: {spec: {" spec "}}}"
#define JOBSET(jobs)                                                                                                             \
  "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {name: r}\nspec: {replicatedJobs: [" jobs "]}\n"
#define REPLICATED(name, spec) "{name: " name ", template: {spec: {template: {spec: {" spec "}}}}}"

/* Templates are known by name or groupName, else by their number. */
static void templates_of_an_update(void **state) {
  (void)state;
  WITH(POLICY("p", "  rules: [" MARK("x", "v") "]"), {
    EXPECT(s, "", .object = RAY(GROUP("b", "") ", " GROUP("a", "x: v")), .old = RAY(GROUP("a", "x: v") ", " GROUP("b", "")));
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/workerGroupSpecs/0/template/spec/x\",\"value\":\"v\"}]",
           .object = RAY(GROUP("new", "") ", " GROUP("a", "")), .old = RAY(GROUP("a", "")));
    EXPECT(s, "", .object = JOBSET(REPLICATED("b", "") ", " REPLICATED("a", "")),
           .old = JOBSET(REPLICATED("a", "") ", " REPLICATED("b", "")));
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/replicatedJobs/1/template/spec/template/spec/x\",\"value\":\"v\"}]",
           .object = JOBSET(REPLICATED("a", "") ", " REPLICATED("b", "")), .old = JOBSET(REPLICATED("a", "")));
    /* Two that have no name. */
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/replicatedJobs/1/template/spec/template/spec/x\",\"value\":\"v\"}]",
           .object = JOBSET("{template: {spec: {template: {spec: {}}}}}, {template: {spec: {template: {spec: {}}}}}"),
           .old = JOBSET("{template: {spec: {template: {spec: {}}}}}"));
  });
}

/* Real rules: the toleration that apply drops comes back at its place, and the accelerators that an update brings bring theirs.
 */
static void real_rules_on_update(void **state) {
  (void)state;
#define GPUS(n) "containers: [{name: c, resources: {limits: {nvidia.com/gpu: " n "}}}]"
#define OURS "{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}"
  WITH(POLICY("t", "  rules: [{tolerations: {forEachAccelerator: true}}, {gpuLimits: {max: {container: 4}}}]"), {
    EXPECT(s,
           " + "
           "[{\"op\":\"add\",\"path\":\"/spec/template/spec/tolerations/0\",\"value\":{\"key\":\"nvidia.com/"
           "gpu\",\"operator\":\"Exists\",\"effect\":"
           "\"NoSchedule\"}}]",
           .object = DEPLOYMENT("", "", "tolerations: [{key: a, operator: Exists}], " GPUS("1")),
           .old = DEPLOYMENT("", "", "tolerations: [" OURS ", {key: a, operator: Exists}], " GPUS("1")));
    EXPECT(s, "", .object = DEPLOYMENT("", "labels: {v: \"2\"}", GPUS("1")), .old = DEPLOYMENT("", "", GPUS("1")));
    EXPECT(s,
           " + "
           "[{\"op\":\"add\",\"path\":\"/spec/template/spec/tolerations\",\"value\":[{\"key\":\"nvidia.com/"
           "gpu\",\"operator\":\"Exists\",\"effect\":"
           "\"NoSchedule\"}]}]",
           .object = DEPLOYMENT("", "", GPUS("1")), .old = DEPLOYMENT("", "", "containers: [{name: c}]"));
    EXPECT(s, "audit t/gpuLimits c", .object = DEPLOYMENT("", "", GPUS("6")), .old = DEPLOYMENT("", "", GPUS("8")));
    EXPECT(s, "deny t/gpuLimits c", .object = DEPLOYMENT("", "", GPUS("10")), .old = DEPLOYMENT("", "", GPUS("8")));
  });
}

/* Two violations of one identity before: either is a counterpart. */
static void same_identity_twice(void **state) {
  (void)state;
  WITH(POLICY("p", "  rules: [{grade: {by: more, of: container}}]"),
       EXPECT(s, "audit p/grade c|audit p/grade c",
              .object = POD("", "containers: [{name: c, grade: \"8\"}, {name: c, grade: \"2\"}]"),
              .old = POD("", "containers: [{name: c, grade: \"8\"}, {name: c, grade: \"2\"}]")));
}

static void deletion_and_mirrors(void **state) {
  (void)state;
  WITH(POLICY("p", "  rules: [{grade: {}}, " MARK("x", "v") "]") POLICY("w", "  action: warn\n  rules: [" MARK("k", "v") "]"), {
    EXPECT(s, "deny p/grade", .object = POD(", deletionTimestamp: \"2027-01-01T00:00:00Z\", annotations: {grade: \"1\"}", ""));
    EXPECT(s, "deny p/grade|warn w/mark + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"v\"}]",
           .object = POD(", deletionTimestamp: null, annotations: {grade: \"1\"}", ""));
    EXPECT(s, "deny p/grade", .object = POD(", annotations: {kubernetes.io/config.mirror: abc, grade: \"1\"}", ""));
    EXPECT(s, "", .old = POD(GRADE("1"), ""), .operation = "DELETE");
  });
  WITH(POLICY("p", "  match: {operations: [DELETE]}\n  rules: [{grade: {}}, " MARK("x", "v") "]"), {
    EXPECT(s, "deny p/grade", .old = POD(GRADE("1"), ""), .operation = "DELETE");
    EXPECT(s, "", .object = POD(GRADE("1"), ""));
    EXPECT(s, "", .object = POD(GRADE("1"), ""), .old = POD(GRADE("1"), ""));
  });
}

static void subresources(void **state) {
  (void)state;
  WITH(POLICY("p", "  rules: [{grade: {}}, " MARK("x", "v") "]") POLICY("w", "  action: warn\n  rules: [" MARK("x", "v") "]"), {
    static const struct {
      const char *subresource;
      bool judged;
    } rows[] = {{"ephemeralcontainers", true}, {"resize", true}, {"status", false}, {"binding", false},
                {"eviction", false},           {"scale", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
      EXPECT(s, rows[i].judged ? "deny p/grade" : "", .object = POD(GRADE("1"), ""), .old = POD("", "x: v"),
             .subresource = rows[i].subresource);
      EXPECT(s, rows[i].judged ? "audit p/grade" : "", .object = POD(GRADE("1"), ""), .old = POD(GRADE("1"), ""),
             .subresource = rows[i].subresource);
    }
    EXPECT(s, "", .object = "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: a}\nspec: {replicas: 3}\n",
           .subresource = "scale", .operation = "UPDATE");
    EXPECT(s, "", .object = "apiVersion: v1\nkind: PodExecOptions\ncommand: [sh]\n", .subresource = "exec",
           .operation = "CONNECT");
  });
}

#define KIND(mutate)                                                                                                             \
  "---\napiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: x}\nspec: {group: x.io, kind: Thing, mutate: " mutate    \
  ", templates: [{path: spec.template}]}\n"
#define THING                                                                                                                    \
  "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t}\nspec: {template: {metadata: {annotations: {grade: \"1\"}}, spec: "     \
  "{}}}\n"

/* Kinds whose Pods are patched instead, or which nobody may patch, are judged all the same. */
static void kinds_that_are_not_patched(void **state) {
  (void)state;
  const char *const words[] = {"template", "pods", "never"};
  for (size_t i = 0; i < COUNT(words); i++) {
    char policies[1000];
    snprintf(policies, sizeof policies, "%s" KIND("%s"),
             POLICY("p", "  rules: [{grade: {}}, " MARK("x", "v") "]")
                 POLICY("w", "  action: warn\n  rules: [" MARK("k", "v") "]"),
             words[i]);
    WITH(policies,
         EXPECT(s,
                i == 0 ? "deny p/grade|warn w/mark + [{\"op\":\"add\",\"path\":\"/spec/template/spec/x\",\"value\":\"v\"}]"
                       : "deny p/grade",
                .object = THING));
  }
}

#define UNTIL(more) ", owner: o, reason: r, expires: 2027-01-15" more "}"

static void exceptions(void **state) {
  (void)state;
  const char *const policies = POLICY("p", "  rules: [{grade: {}}, {name: g2, grade: {}}, " MARK("x", "v") "]")
      POLICY("q", "  action: audit\n  rules: [{grade: {}}]")
          EXCEPTION("e", "  {policies: [p, q], match: {names: [\"a*\"]}" UNTIL(""));
  WITH(policies, {
    EXPECT(s, "exempted p/grade (e)|exempted p/g2 (e)|exempted q/grade (e)", .object = POD(GRADE("1"), ""));
    EXPECT(s, "deny p/grade|deny p/g2|audit q/grade + [{\"op\":\"add\",\"path\":\"/spec/template/spec/x\",\"value\":\"v\"}]",
           .object = DEPLOYMENT("", "annotations: {grade: \"1\"}", ""));
    /* To the end of its day, and no second longer. */
    EXPECT(s, "exempted p/grade (e)|exempted p/g2 (e)|exempted q/grade (e)", .object = POD(GRADE("1"), ""), .now = 1800057599);
    EXPECT(s, "deny p/grade|deny p/g2|audit q/grade + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"v\"}]",
           .object = POD(GRADE("1"), ""), .now = 1800057600);
  });
  WITH(POLICY("p", "  rules: [{grade: {}}, {name: g2, grade: {}}, " MARK("x", "v") "]")
           EXCEPTION("e", "  {policies: [p], rules: [g2, mark]" UNTIL("T12:00:00+02:00")),
       {
         EXPECT(s, "deny p/grade|exempted p/g2 (e)", .object = POD(GRADE("1"), ""), .now = 1800007199);
         EXPECT(s, "deny p/grade|deny p/g2 + [{\"op\":\"add\",\"path\":\"/spec/x\",\"value\":\"v\"}]",
                .object = POD(GRADE("1"), ""), .now = 1800007200);
       });
  /* Of two the first that holds is named; one for another policy is none. */
  WITH(POLICY("p", "  rules: [{grade: {}}]") EXCEPTION("other", "  {policies: [q]" UNTIL(""))
           EXCEPTION("old", "  {policies: [p], owner: o, reason: r, expires: 2020-01-01}")
               EXCEPTION("one", "  {policies: [p]" UNTIL("")) EXCEPTION("two", "  {policies: [p]" UNTIL("")),
       EXPECT(s, "exempted p/grade (one)", .object = POD(GRADE("1"), "")));
}

static void exceptions_of_containers(void **state) {
  (void)state;
  WITH(POLICY("p", "  rules: [{see: {}}, {mark: {key: m, value: v, of: container}}]")
           EXCEPTION("e", "  {policies: [p], match: {containers: [side]}" UNTIL("")),
       {
         EXPECT(s,
                "exempted p/see (e)|deny p/see c|exempted p/see side (e) + "
                "[{\"op\":\"add\",\"path\":\"/spec/containers/0/m\",\"value\":\"v\"}]",
                .object = POD("", "containers: [{name: c}, {name: side}]"));
         EXPECT(s, "deny p/see|deny p/see c + [{\"op\":\"add\",\"path\":\"/spec/containers/0/m\",\"value\":\"v\"}]",
                .object = POD("", "containers: [{name: c}]"));
       });
  /* Exempted from one rule, the object stays as it is for the next; an old violation is still exempted. */
  WITH(POLICY("p", "  rules: [{grade: {}}]") EXCEPTION("e", "  {policies: [p], match: {accelerators: true}" UNTIL("")), {
    EXPECT(s, "exempted p/grade (e)",
           .object = POD(
               GRADE("1"),
               "resourceClaims: [{name: d, resourceClaimName: x}], containers: [{name: c, resources: {claims: [{name: d}]}}]"));
    EXPECT(s, "deny p/grade", .object = POD(GRADE("1"), "containers: [{name: c}]"));
    EXPECT(s, "audit p/grade", .object = POD(GRADE("1"), "containers: [{name: c}]"), .old = POD(GRADE("1"), ""));
  });
}

/* What the first rule is kept from doing is no invitation to the second. */
static void spared_by_every_rule(void **state) {
  (void)state;
  WITH(POLICY("a", "  rules: [" MARK("x", "a") "]") POLICY("b", "  rules: [" MARK("x", "b") "]"), {
    EXPECT(s, "", .object = DEPLOYMENT("", "labels: {v: \"2\"}", ""), .old = DEPLOYMENT("", "", ""));
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/template/spec/x\",\"value\":\"a\"}]", .object = DEPLOYMENT("", "", ""),
           .old = DEPLOYMENT("", "", "x: a"));
  });
  WITH(POLICY("t", "  rules: [{tolerations: {add: [{key: a, operator: Exists}, {key: a, value: b, effect: NoSchedule}]}}]"),
       EXPECT(s, "", .object = DEPLOYMENT("", "labels: {v: \"2\"}", ""), .old = DEPLOYMENT("", "", "")));
}

/* An exemption from one rule leaves the next one what it was. */
static void exemption_and_old_object(void **state) {
  (void)state;
  const char *policies = POLICY("a", "  rules: [" MARK("x", "a") "]") POLICY("b", "  rules: [" MARK("x", "b") "]")
      EXCEPTION("e", "  {policies: [a], match: {selector: {matchLabels: {spare: me}}}" UNTIL(""));
  WITH(policies, {
    EXPECT(s, "", .object = DEPLOYMENT("", "labels: {spare: me, v: \"2\"}", ""),
           .old = DEPLOYMENT("", "labels: {spare: me}", ""));
    EXPECT(s, "", .object = DEPLOYMENT("", "labels: {spare: me}", ""), .old = DEPLOYMENT("", "", ""));
    EXPECT(s, "", .object = DEPLOYMENT("", "", ""), .old = DEPLOYMENT("", "labels: {spare: me}", ""));
    EXPECT(s, " + [{\"op\":\"add\",\"path\":\"/spec/template/spec/x\",\"value\":\"b\"}]",
           .object = DEPLOYMENT("", "labels: {spare: me}", ""));
  });
}

/* Rules that a rule of the same type yields to are those that match the new object, also while oldObject is at work. */
static void override_and_old_object(void **state) {
  (void)state;
  WITH(POLICY("a", "  rules: [{priority: {className: a, override: true}}]")
           POLICY("b", "  match: {selector: {matchLabels: {x: z}}}\n  rules: [{priority: {className: b, override: true}}]"),
       EXPECT(s, "", .object = DEPLOYMENT("", "labels: {x: z}", "priorityClassName: c"),
              .old = DEPLOYMENT("", "", "priorityClassName: c")));
}

static void wide_excludes(void **state) {
  (void)state;
  /* Template-level rules leave alone a template that has an excluded container; container rules leave out only that one. */
  WITH(POLICY("p", "  exclude: [{containers: [side]}]\n  rules: [{see: {}}, " MARK(
                       "x", "v") ", {mark: {key: m, value: v, of: container}}]"),
       {
         EXPECT(s, "deny p/see c + [{\"op\":\"add\",\"path\":\"/spec/containers/0/m\",\"value\":\"v\"}]",
                .object = POD("", "containers: [{name: c}, {name: side}]"));
         EXPECT(s, "", .object = POD("", "containers: [{name: c}, {name: side}]"),
                .old = POD("", "containers: [{name: c}, {name: side}]"), .operation = "DELETE");
       });
}

/* A Pod's own kind may be replaced; what has no template is not judged; an unknown kind is told. */
static void unknown_kinds(void **state) {
  (void)state;
  struct scene scene;
  struct mg_snapshot *s = load(POLICY("p", "  rules: [{see: {}}]"));
  static const struct {
    const char *object;
    bool known;
  } rows[] = {{"apiVersion: v1\nkind: ConfigMap\n", false},
              {"apiVersion: kubeflow.org/v9\nkind: MPIJob\n", false},
              {"apiVersion: apps/v1\nkind: Deployment\nspec: {}\n", true},
              {"apiVersion: apps/v1\nkind: Deployment\nspec: {template: null}\n", true}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    scene_judge(&scene, s, &(struct ask){.object = rows[i].object}, MG_PHASE_MUTATE | MG_PHASE_VALIDATE);
    assert_int_equal(scene.verdict.known_kind, rows[i].known);
    assert_true(scene.verdict.allowed);
    assert_null(scene.verdict.violations);
    scene_fini(&scene);
  }
  mg_snapshot_unref(s);
}

/* What has the wrong shape is left to the API server, with a warning. */
static void malformed(void **state) {
  (void)state;
  struct mg_snapshot *s = load(POLICY(
      "p",
      "  rules: [{gpuLimits: {}}, {tolerations: {forEachAccelerator: true}}, {sharedMemory: {}}, {priority: {className: x}},\n"
      "    {nodeSelector: {add: {a: b}}}]"));
  static const char *const objects[] = {POD("", "containers: {c: {}}"),
                                        POD("", "containers: [7]"),
                                        "apiVersion: v1\nkind: Pod\nspec: []\n",
                                        "apiVersion: v1\nkind: Pod\nspec: text\n",
                                        "apiVersion: batch/v1\nkind: Job\nspec: {template: []}\n",
                                        RAY("7"),
                                        "apiVersion: ray.io/v1\nkind: RayCluster\nspec: {workerGroupSpecs: {}}\n"};
  for (size_t i = 0; i < COUNT(objects); i++) {
    struct scene scene;
    scene_judge(&scene, s, &(struct ask){.object = objects[i]}, MG_PHASE_MUTATE | MG_PHASE_VALIDATE);
    if (!scene.verdict.warnings) fail_msg("no warning for\n%s", objects[i]);
    assert_true(scene.verdict.allowed);
    scene_fini(&scene);
  }
  static const char *const odd[] = {
      "apiVersion: v1\nkind: Pod\n", "apiVersion: v1\nkind: Pod\nmetadata: []\nspec: {containers: []}\n",
      POD("", "containers: [], tolerations: 7, nodeSelector: [], volumes: {}, priorityClassName: {}"),
      "apiVersion: v1\nkind: Pod\nmetadata: {labels: [], annotations: 7, ownerReferences: {}}\nspec: {}\n"};
  for (size_t i = 0; i < COUNT(odd); i++)
    for (size_t j = 0; j < COUNT(odd); j++) {
      struct scene scene;
      scene_judge(&scene, s, &(struct ask){.object = odd[i], .old = odd[j]}, MG_PHASE_MUTATE | MG_PHASE_VALIDATE);
      assert_true(scene.verdict.allowed);
      scene_fini(&scene);
    }
  mg_snapshot_unref(s);
}

/* The verdict's sums and what each policy came to. */
static void sums(void **state) {
  (void)state;
  struct scene scene;
  struct mg_snapshot *s =
      load(POLICY("deny", "  rules: [{grade: {}}, {see: {}}]") POLICY("warn", "  action: warn\n  rules: [{grade: {}}]")
               POLICY("audit", "  action: audit\n  rules: [{grade: {}}]") POLICY("spared", "  rules: [{grade: {}}]")
                   POLICY("pass", "  rules: [{grade: {of: container}}]")
                       POLICY("none", "  match: {names: [z]}\n  rules: [{grade: {}}]")
                           EXCEPTION("e", "  {policies: [spared]" UNTIL("")));
  scene_judge(&scene, s, &(struct ask){.object = POD(GRADE("1"), "")}, MG_PHASE_VALIDATE);
  static const uint32_t counts[] = {2, 1, 1, 1};
  static const enum mg_policy_result results[] = {MG_RESULT_DENY,     MG_RESULT_WARN, MG_RESULT_AUDIT,
                                                  MG_RESULT_EXEMPTED, MG_RESULT_PASS, MG_RESULT_NO_MATCH};
  for (size_t i = 0; i < COUNT(counts); i++) assert_int_equal(scene.verdict.counts[i], counts[i]);
  for (size_t i = 0; i < COUNT(results); i++) assert_int_equal(scene.verdict.policy_results[i], results[i]);
  assert_false(scene.verdict.allowed);
  scene_fini(&scene);
  mg_snapshot_unref(s);
}

/* What each came to in the phase that mutates; a policy that only warns, or has no rule that mutates, is not asked there. */
static void results_of_mutation(void **state) {
  (void)state;
  struct mg_snapshot *s =
      load(POLICY("marks", "  rules: [{mark: {key: x, value: v}}]")
               POLICY("marked", "  rules: [{mark: {key: x, value: w}}, {see: {}}]")
               POLICY("warns", "  action: warn\n  rules: [{mark: {key: k, value: v}}]") POLICY("sees", "  rules: [{see: {}}]")
                   POLICY("other", "  match: {names: [z]}\n  rules: [{mark: {key: z, value: v}}]"));
  static const struct {
    unsigned phases;
    enum mg_policy_result results[5];
  } rows[] = {
      {MG_PHASE_MUTATE,
       {MG_RESULT_MUTATED, MG_RESULT_PASS, MG_RESULT_NO_MATCH, MG_RESULT_NO_MATCH, MG_RESULT_NO_MATCH}},
      {MG_PHASE_MUTATE | MG_PHASE_VALIDATE,
       {MG_RESULT_PASS, MG_RESULT_DENY, MG_RESULT_WARN, MG_RESULT_DENY, MG_RESULT_NO_MATCH}},
  };
  for (size_t r = 0; r < COUNT(rows); r++) {
    struct scene scene;
    scene_judge(&scene, s, &(struct ask){.object = POD("", "containers: [{name: c}]")}, rows[r].phases);
    for (size_t i = 0; i < COUNT(rows[r].results); i++)
      assert_int_equal(scene.verdict.policy_results[i], rows[r].results[i]);
    assert_null(scene.verdict.undecided);
    scene_fini(&scene);
  }
  mg_snapshot_unref(s);
}

/* A kind of the cluster has no namespace, whatever the request says. */
static void cluster_scoped(void **state) {
  (void)state;
  WITH(POLICY("p", "  match: {namespaces: [ns]}\n  rules: [{see: {}}]") POLICY(
           "q",
           "  match: {namespaces: [\"\"]}\n  rules: [{see: {}}]") "---\napiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: "
                                                                  "{name: x}\nspec: {group: x.io, kind: Thing, scope: Cluster, "
                                                                  "templates: [{path: spec.template}]}\n",
       EXPECT(s, "deny q/see", .object = THING, .ns = "ns"));
}

/* One patch of two passes: the own output needs no second one. */
static void second_pass(void **state) {
  (void)state;
  struct mg_snapshot *s = load(POLICY(
      "p", "  rules: [{tolerations: {forEachAccelerator: true}}, {sharedMemory: {sizeLimit: 1Gi}}, {priority: {className: x}},\n"
           "    {nodeSelector: {add: {a: b}}}, " MARK("k", "z") "]"));
  struct scene scene;
  scene_judge(&scene, s, &(struct ask){.object = DEPLOYMENT("", "", GPUS("1"))}, MG_PHASE_MUTATE | MG_PHASE_VALIDATE);
  assert_true(scene.verdict.patch.count >= 5);
  struct mg_buf out;
  mg_buf_init(&out, &scene.arena, (size_t)1 << 20);
  mg_json_write(&out, scene.request.object);
  mg_buf_byte(&out, '\0');
  EXPECT(s, "", .object = out.p);
  EXPECT(s, "", .object = out.p, .old = out.p);
  scene_fini(&scene);
  mg_snapshot_unref(s);
}

enum { ALIKE = 20000 };

/* A Pod of containers that differ in nothing but their grade. */
static char *pod_of_alike(int first, int step) {
  static const char head[] = POD_HEAD "metadata: {name: a, namespace: ns}\nspec: {containers: [";
  static const char item[] = "{name: c, grade: \"%05d\"}, ";
  char *text = malloc(sizeof head + (size_t)ALIKE * sizeof item + 8), *at = text + sizeof head - 1;
  assert_non_null(text);
  memcpy(text, head, sizeof head);
  for (int i = 0; i < ALIKE; i++) at += snprintf(at, sizeof item + 8, item, first + i * step);
  memcpy(at, "]}\n", 4);
  return text;
}

/* Not even two objects that are made for it cost more than their share. */
static void thousands_alike(void **state) {
  (void)state;
  static const struct {
    const char *by;
    int first, step;
    enum mg_outcome want;
  } rows[] = {
      {"text", ALIKE - 1, -1, MG_OUT_AUDIT},  {"text", ALIKE, 1, MG_OUT_DENY}, {"more", ALIKE, 1, MG_OUT_DENY},
      {"more", ALIKE - 1, -1, MG_OUT_AUDIT}, {"none", 0, 1, MG_OUT_AUDIT},
  };
  char *before = pod_of_alike(0, 1);
  for (size_t i = 0; i < COUNT(rows); i++) {
    char policy[300], *now = pod_of_alike(rows[i].first, rows[i].step);
    struct timespec from, to;
    struct scene scene;
    snprintf(policy, sizeof policy, POLICY("p", "  rules: [{grade: {by: %s, of: container}}]"), rows[i].by);
    WITH(policy, {
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
      scene_judge(&scene, s, &(struct ask){.object = now, .old = before}, MG_PHASE_VALIDATE);
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
      assert_int_equal(scene.verdict.counts[rows[i].want], ALIKE);
      assert_in_range(to.tv_sec - from.tv_sec, 0, 2);
      scene_fini(&scene);
    });
    free(now);
  }
  free(before);
}

/* Each of many rules asks which of the others is the last. */
static void thousands_of_overrides(void **state) {
  (void)state;
  enum { MANY = 2000 };
  struct timespec from, to;
  struct mg_buf policies;
  mg_buf_init(&policies, NULL, (size_t)1 << 20);
  for (int i = 0; i < MANY; i++)
    mg_buf_printf(&policies, POLICY("p%d", "  rules: [{priority: {className: c%d, override: true}}]"), i, i % 2);
  mg_buf_byte(&policies, '\0');
  WITH(policies.p, {
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    EXPECT_PHASE(s, MG_PHASE_MUTATE, " + [{\"op\":\"add\",\"path\":\"/spec/priorityClassName\",\"value\":\"c1\"}]",
                 .object = POD("", ""));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    assert_in_range(to.tv_sec - from.tv_sec, 0, 2);
  });
  mg_buf_fini(&policies);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(actions),
      cmocka_unit_test(probing_says_what),
      cmocka_unit_test(order),
      cmocka_unit_test(update_by_measure),
      cmocka_unit_test(update_of_a_warning),
      cmocka_unit_test(label_brings_it_under),
      cmocka_unit_test(edits_of_an_update),
      cmocka_unit_test(templates_of_an_update),
      cmocka_unit_test(real_rules_on_update),
      cmocka_unit_test(same_identity_twice),
      cmocka_unit_test(deletion_and_mirrors),
      cmocka_unit_test(subresources),
      cmocka_unit_test(kinds_that_are_not_patched),
      cmocka_unit_test(exceptions),
      cmocka_unit_test(exceptions_of_containers),
      cmocka_unit_test(exemption_and_old_object),
      cmocka_unit_test(override_and_old_object),
      cmocka_unit_test(wide_excludes),
      cmocka_unit_test(unknown_kinds),
      cmocka_unit_test(malformed),
      cmocka_unit_test(sums),
      cmocka_unit_test(results_of_mutation),
      cmocka_unit_test(cluster_scoped),
      cmocka_unit_test(second_pass),
      cmocka_unit_test(spared_by_every_rule),
      cmocka_unit_test(thousands_alike),
      cmocka_unit_test(thousands_of_overrides),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
