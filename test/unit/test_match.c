#include "unit/probe.h"

#define POD_HEAD "apiVersion: v1\nkind: Pod\n"
#define POD POD_HEAD "metadata: {name: web-7, namespace: ml-a}\nspec: {containers: [{name: c, image: nginx}]}\n"
#define GPU_POD                                                                                                                  \
  POD_HEAD "metadata: {name: g, namespace: ml-a}\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}\n"
#define JOB(meta, pod_meta)                                                                                                      \
  "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j" meta "}\nspec: {template: {metadata: {" pod_meta                         \
  "}, spec: {containers: [{name: c}]}}}\n"

static bool sees(const char *match, const char *exclude, const char *context, const struct ask *ask) {
  char policy[2000];
  struct scene scene;
  snprintf(policy, sizeof policy, POLICY("p", "  match: %s\n  exclude: %s\n  rules: [{see: {}}]"), match, exclude);
  struct mg_snapshot *snapshot = scene_load(probe_types, policy, context);
  scene_judge(&scene, snapshot, ask, MG_PHASE_VALIDATE);
  bool hit = scene.verdict.violations != NULL;
  assert_int_equal(scene.verdict.policy_results ? scene.verdict.policy_results[0] != MG_RESULT_NO_MATCH : false, hit);
  scene_fini(&scene);
  mg_snapshot_unref(snapshot);
  return hit;
}

static void expect_match(const char *match, const char *exclude, const char *context, bool want, const struct ask *ask,
                         int line) {
  if (sees(match, exclude, context, ask) != want)
    fail_msg("%d: match %s exclude %s: %s\n%s", line, match, exclude, want ? "does not match" : "matches",
             ask->object ? ask->object : ask->old);
}
#define MATCH(want, match, ...) expect_match(match, "[]", NULL, want, &(struct ask){__VA_ARGS__}, __LINE__)
/* Whether the exclude leaves it alone, under a policy for everything that can be asked. */
#define EXCLUDE(want, exclude, ...)                                                                                              \
  expect_match("{operations: [CREATE, UPDATE, DELETE]}", "[" exclude "]", NULL, !(want), &(struct ask){__VA_ARGS__}, __LINE__)
#define MATCH_IN(context, want, match, ...) expect_match(match, "[]", context, want, &(struct ask){__VA_ARGS__}, __LINE__)

static void nothing_given(void **state) {
  (void)state;
  MATCH(true, "{}", .object = POD);
  MATCH(true,
        "{kinds: [], operations: [], namespaces: [], names: [], users: [], groups: [], roles: [], accelerators: [], containers: "
        "[], images: [],"
        " annotations: {}, selector: {}, namespaceSelector: {}}",
        .object = POD);
  MATCH(true, "{}", .object = JOB("", ""));
  EXCLUDE(true, "{}", .object = POD);
  EXCLUDE(false, "", .object = POD);
  MATCH(false, "{}", .object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
}

static void kinds(void **state) {
  (void)state;
  static const struct {
    const char *kinds;
    bool pod, job, pytorch;
  } rows[] = {
      {"Pod", 1, 0, 0},
      {"Job", 0, 1, 0},
      {"Job.batch", 0, 1, 0},
      {"Job.v1.batch", 0, 1, 0},
      {"Job.v2.batch", 0, 0, 0},
      {"\"Job.*.batch\"", 0, 1, 0},
      {"\"*.batch\"", 0, 1, 0},
      {"\"*.v1.batch\"", 0, 1, 0},
      {"\"*Job\"", 0, 1, 1},
      {"\"*Job.kubeflow.org\"", 0, 0, 1},
      {"PyTorchJob.kubeflow.org", 0, 0, 1},
      {"PyTorchJob.v1.kubeflow.org", 0, 0, 1},
      {"PyTorchJob.v2.kubeflow.org", 0, 0, 0},
      {"\"PyTorchJob.v?.kube*\"", 0, 0, 1},
      {"\"PyTorchJob.*\"", 0, 0, 1},
      {"Pod.v1", 1, 0, 0},
      {"\"Pod.v?\"", 1, 0, 0},
      {"Pod.v2", 0, 0, 0},
      {"\"Pod.\"", 1, 0, 0},
      {"\"Pod.v1.\"", 1, 0, 0},
      {"\"*.\"", 1, 0, 0},
      {"\"*\"", 1, 1, 1},
      {"\"*.*\"", 1, 1, 1},
      {"\"[JP]o[bd]\"", 1, 1, 0},
      {"\"[!P]*\"", 0, 1, 0},
      {"\"P*\"", 1, 0, 1},
      {"Pod, Job.batch", 1, 1, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char match[100];
    snprintf(match, sizeof match, "{kinds: [%s]}", rows[i].kinds);
    MATCH(rows[i].pod, match, .object = POD);
    MATCH(rows[i].job, match, .object = JOB("", ""));
    MATCH(rows[i].pytorch, match,
          .object = "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: t}\n"
                    "spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {containers: [{name: c}]}}}}}\n");
  }
}

static void operations(void **state) {
  (void)state;
  static const struct {
    const char *match;
    bool create, update, delete;
  } rows[] = {
      {"{}", 1, 1, 0},
      {"{operations: []}", 1, 1, 0},
      {"{operations: [CREATE]}", 1, 0, 0},
      {"{operations: [UPDATE]}", 0, 1, 0},
      {"{operations: [DELETE]}", 0, 0, 1},
      {"{operations: [CONNECT]}", 0, 0, 0},
      {"{operations: [DELETE, CREATE]}", 1, 0, 1},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    MATCH(rows[i].create, rows[i].match, .object = POD);
    MATCH(rows[i].update, rows[i].match, .object = POD, .operation = "UPDATE");
    MATCH(rows[i].delete, rows[i].match, .old = POD, .operation = "DELETE");
  }
  /* What exempts holds for whatever is asked, unless it says for what. */
  EXCLUDE(true, "{namespaces: [ml-a]}", .old = POD, .operation = "DELETE");
  EXCLUDE(false, "{namespaces: [ml-a], operations: [CREATE]}", .old = POD, .operation = "DELETE");
  EXCLUDE(true, "{namespaces: [ml-a], operations: [CREATE]}", .object = POD);
}

static void namespaces(void **state) {
  (void)state;
  MATCH(true, "{namespaces: [ml-a]}", .object = POD);
  MATCH(false, "{namespaces: [ml]}", .object = POD);
  MATCH(true, "{namespaces: [x, \"ml-*\"]}", .object = POD);
  MATCH(true, "{namespaces: [\"?l-[ab]\"]}", .object = POD);
  MATCH(false, "{namespaces: [\"ml-[!a]\"]}", .object = POD);
  MATCH(false, "{namespaces: [\"ml-[^a]\"]}", .object = POD);
  MATCH(true, "{namespaces: [\"/ml-.*/\"]}", .object = POD);
  MATCH(false, "{namespaces: [\"/ml-/\", \"/l-a/\"]}", .object = POD);
  MATCH(false, "{namespaces: [ML-A, \"/ML-A/\"]}", .object = POD);
  MATCH(true, "{namespaces: [ml-a]}", .object = POD, .ns = "ml-a");
  MATCH(false, "{namespaces: [ml-a]}", .object = POD, .ns = "other");
  MATCH(true, "{namespaces: [\"*\"]}", .object = POD, .ns = "");
  MATCH(false, "{namespaces: [\"?*\"]}", .object = POD, .ns = "");
  EXCLUDE(true, "{namespaces: [\"ml-*\"]}", .object = POD);
}

#define NAMESPACE                                                                                                                \
  "apiVersion: v1\nkind: Namespace\nmetadata: {name: ml-a, labels: {gpu: \"true\", kubernetes.io/metadata.name: lies}}\n"

static void namespace_selector(void **state) {
  (void)state;
  MATCH_IN(NAMESPACE, true, "{namespaceSelector: {matchLabels: {gpu: \"true\"}}}", .object = POD);
  MATCH_IN(NAMESPACE, false, "{namespaceSelector: {matchLabels: {gpu: \"false\"}}}", .object = POD);
  MATCH_IN(NAMESPACE, false, "{namespaceSelector: {matchLabels: {gpu: \"true\"}}}", .object = POD, .ns = "ml-b");
  MATCH_IN(NAMESPACE, true, "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ml-a}}}", .object = POD);
  MATCH_IN(NAMESPACE, false, "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: lies}}}", .object = POD);
  MATCH_IN(NAMESPACE, true, "{namespaceSelector: {}}", .object = POD);
  /* Not known: only its name. */
  MATCH(true, "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ml-a}}}", .object = POD);
  MATCH(true, "{namespaceSelector: {matchExpressions: [{key: gpu, operator: DoesNotExist}]}}", .object = POD);
  MATCH(false, "{namespaceSelector: {matchExpressions: [{key: gpu, operator: Exists}]}}", .object = POD);
  MATCH(true, "{namespaceSelector: {matchExpressions: [{key: gpu, operator: NotIn, values: [x]}]}}", .object = POD);
}

static void names(void **state) {
  (void)state;
  MATCH(true, "{names: [\"web-?\"]}", .object = POD);
  MATCH(false, "{names: [\"web\"]}", .object = POD);
  MATCH(true, "{names: [\"/web-\\\\d+/\"]}", .object = POD);
  /* Of a generated name only its beginning is known, and it is matched as given. */
  MATCH(true, "{names: [\"web-\"]}", .object = POD_HEAD "metadata: {generateName: web-}\nspec: {containers: [{name: c}]}\n");
  MATCH(false, "{names: [\"web-?*\"]}", .object = POD_HEAD "metadata: {generateName: web-}\nspec: {containers: [{name: c}]}\n");
  MATCH(true, "{names: [\"web-1\"]}",
        .object = POD_HEAD "metadata: {generateName: web-, name: web-1}\nspec: {containers: [{name: c}]}\n");
  MATCH(true, "{names: [\"web-7\"], operations: [DELETE]}", .old = POD, .operation = "DELETE");
}

static void users_and_groups(void **state) {
  (void)state;
  MATCH(true, "{users: [\"system:serviceaccount:kubeflow:*\"]}", .object = POD, .user = "system:serviceaccount:kubeflow:op");
  MATCH(false, "{users: [\"system:serviceaccount:kubeflow:*\"]}", .object = POD, .user = "kim");
  MATCH(true, "{users: [\"/k.m/\"]}", .object = POD);
  MATCH(true, "{groups: [b]}", .object = POD, .groups = "[\"a\",\"b\"]");
  MATCH(false, "{groups: [b]}", .object = POD, .groups = "[\"a\"]");
  MATCH(false, "{groups: [\"*\"]}", .object = POD, .groups = "[]");
  MATCH(false, "{groups: [\"?*\"]}", .object = POD, .groups = "[7, null, {}]");
  MATCH(false, "{groups: [b]}", .object = POD, .groups = "\"b\"");
  MATCH(false, "{users: [kim], groups: [x]}", .object = POD, .groups = "[\"a\"]");
  EXCLUDE(true, "{users: [kim]}", .object = POD);
}

static void labels_of_template_then_object(void **state) {
  (void)state;
  const char *own = JOB(", labels: {app: object, tier: object}", "labels: {app: template}");
  MATCH(true, "{selector: {matchLabels: {app: template}}}", .object = own);
  MATCH(false, "{selector: {matchLabels: {app: object}}}", .object = own);
  MATCH(true, "{selector: {matchLabels: {tier: object}}}", .object = own);
  MATCH(true,
        "{selector: {matchExpressions: [{key: none, operator: DoesNotExist}, {key: app, operator: In, values: [x, template]}]}}",
        .object = own);
  MATCH(false, "{selector: {matchExpressions: [{key: none, operator: Exists}]}}", .object = own);
  MATCH(true, "{selector: {matchLabels: {app: object}}}", .object = JOB(", labels: {app: object}", "labels: null"));
  MATCH(true, "{selector: {matchLabels: {app: object}}}", .object = JOB(", labels: {app: object}", "labels: {app: null}"));
}

static void annotations(void **state) {
  (void)state;
  const char *own = JOB(", annotations: {a: object, b: object}", "annotations: {a: \"template/x\\ny\"}");
  MATCH(true, "{annotations: {a: \"template*\"}}", .object = own);
  MATCH(true, "{annotations: {a: \"template*\", b: object}}", .object = own);
  MATCH(false, "{annotations: {a: \"template*\", b: other}}", .object = own);
  MATCH(false, "{annotations: {a: object}}", .object = own);
  MATCH(false, "{annotations: {c: \"*\"}}", .object = own);
  MATCH(false, "{annotations: {a: \"/template.x/\"}}", .object = own);
  MATCH(true, "{annotations: {a: \"/(?s)template.*/\"}}", .object = own);
  MATCH(true, "{annotations: {a: \"\"}}", .object = JOB(", annotations: {a: \"\"}", ""));
  MATCH(false, "{annotations: {a: \"\"}}", .object = own);
}

#define OWNER(version, kind)                                                                                                     \
  "ownerReferences: [{apiVersion: x/v1, kind: Pod}, {apiVersion: " version ", kind: " kind ", controller: true}]"
#define OWNED(more, version, kind)                                                                                               \
  POD_HEAD "metadata: {name: a, " OWNER(version, kind) more "}\nspec: {containers: [{name: c}]}\n"
#define JOBSET_LABEL ", labels: {jobset.sigs.k8s.io/jobset-name: x}"

static void roles(void **state) {
  (void)state;
  static const struct {
    const char *object, *role;
  } rows[] = {
      {POD, "batch"},
      {JOB("", ""), "batch"},
      {JOB("", "labels: {mlgate.dev/role: training}"), "training"},
      {JOB(", labels: {mlgate.dev/role: interactive}", ""), "interactive"},
      {JOB(", labels: {mlgate.dev/role: interactive}", "labels: {mlgate.dev/role: inference}"), "inference"},
      {JOB(", labels: {mlgate.dev/role: Training}", "labels: {mlgate.dev/role: \"\"}"), "batch"},
      {JOB(", labels: {mlgate.dev/role: training}", "labels: {mlgate.dev/role: bogus}"), "training"},
      {JOB("", "annotations: {mlgate.dev/role: training}"), "batch"},
      {JOB(", " OWNER("jobset.x-k8s.io/v1alpha2", "JobSet"), ""), "training"},
      {OWNED("", "apps/v1", "ReplicaSet"), "service"},
      {OWNED("", "apps/v1", "DaemonSet"), "system"},
      {OWNED("", "batch/v1", "Job"), "batch"},
      {OWNED(JOBSET_LABEL, "batch/v1", "Job"), "training"},
      {OWNED(JOBSET_LABEL, "example.com/v1", "Unknown"), "training"},
      {OWNED("", "example.com/v1", "Unknown"), "batch"},
      {OWNED("", "kubeflow.org/v1", "PyTorchJob"), "training"},
      {OWNED(JOBSET_LABEL, "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"), "inference"},
      {OWNED(", labels: {leaderworkerset.sigs.k8s.io/name: x}", "apps/v1", "StatefulSet"), "inference"},
      {OWNED(", labels: {mlgate.dev/role: system}", "kubeflow.org/v1", "PyTorchJob"), "system"},
      /* Anyone can write labels. */
      {POD_HEAD "metadata: {name: a" JOBSET_LABEL "}\nspec: {containers: [{name: c}]}\n", "batch"},
      {POD_HEAD "metadata: {name: a, ownerReferences: [{apiVersion: kubeflow.org/v1, kind: PyTorchJob}]}\nspec: {containers: "
                "[{name: c}]}\n",
       "batch"},
      {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: c}]}}}\n",
       "service"},
      {"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: c}]}}}\n",
       "system"},
      {"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: {spec: {containers: "
       "[{name: c}]}}}}}\n",
       "batch"},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    for (int r = 1; mg_role_words[r]; r++) {
      char match[60];
      snprintf(match, sizeof match, "{roles: [%s]}", mg_role_words[r]);
      MATCH(strcmp(mg_role_words[r], rows[i].role) == 0, match, .object = rows[i].object);
    }
  MATCH(true, "{roles: [system, batch]}", .object = POD);
}

#define CLAIM_POD                                                                                                                \
  POD_HEAD "metadata: {name: g, namespace: ml-a}\nspec: {resourceClaims: [{name: d, resourceClaimName: mine}], containers: "     \
           "[{name: c, resources: {claims: [{name: d}]}}]}\n"
#define CLAIM(class)                                                                                                             \
  "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: mine, namespace: ml-a}\n"                               \
  "spec: {devices: {requests: [{name: r, exactly: {deviceClassName: " class "}}]}}\n"

static void accelerators(void **state) {
  (void)state;
  MATCH(true, "{accelerators: true}", .object = GPU_POD);
  MATCH(false, "{accelerators: false}", .object = GPU_POD);
  MATCH(false, "{accelerators: true}", .object = POD);
  MATCH(true, "{accelerators: false}", .object = POD);
  MATCH(true, "{accelerators: [\"nvidia.com/*\"]}", .object = GPU_POD);
  MATCH(true, "{accelerators: [x, nvidia.com/gpu]}", .object = GPU_POD);
  MATCH(false, "{accelerators: [\"amd.com/*\"]}", .object = GPU_POD);
  MATCH(false, "{accelerators: [\"*\"]}", .object = POD);
  static const struct {
    const char *resources;
    bool some;
  } rows[] = {
      {"{requests: {nvidia.com/gpu: 2}}", true},
      {"{limits: {nvidia.com/gpu: 0}}", false},
      {"{limits: {nvidia.com/gpu: \"$N\"}}", true},
      {"{limits: {nvidia.com/gpu: null}}", true},
      {"{limits: {cpu: 8, memory: 1Gi}}", false},
      {"{limits: {nvidia.com/mig-1g.5gb: 1}}", true},
      {"{limits: {amd.com/gpu: 1}}", true},
      {"{limits: {google.com/tpu: \"4\"}}", true},
      {"{limits: {example.com/fpga-x: 1}}", false},
      {"{limits: []}", false},
      {"{limits: {gpu.intel.com/i915_monitoring: 1}}", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char object[300];
    snprintf(object, sizeof object,
             POD_HEAD "metadata: {name: a}\nspec: {initContainers: [{name: i, resources: %s}], containers: [{name: c}]}\n",
             rows[i].resources);
    MATCH(rows[i].some, "{accelerators: true}", .object = object);
    MATCH(!rows[i].some, "{accelerators: false}", .object = object);
  }
}

/* What a claim asks for is known, or it is neither; what exempts gives the benefit of the doubt. */
static void claims(void **state) {
  (void)state;
  MATCH_IN(CLAIM("gpu.nvidia.com"), true, "{accelerators: true}", .object = CLAIM_POD);
  MATCH_IN(CLAIM("gpu.nvidia.com"), false, "{accelerators: false}", .object = CLAIM_POD);
  MATCH_IN(CLAIM("nic.example.com"), false, "{accelerators: true}", .object = CLAIM_POD);
  MATCH_IN(CLAIM("nic.example.com"), true, "{accelerators: false}", .object = CLAIM_POD);
  MATCH(false, "{accelerators: true}", .object = CLAIM_POD);
  MATCH(false, "{accelerators: false}", .object = CLAIM_POD);
  MATCH(true, "{}", .object = CLAIM_POD);
  EXCLUDE(true, "{accelerators: true}", .object = CLAIM_POD);
  EXCLUDE(true, "{accelerators: false}", .object = CLAIM_POD);
  EXCLUDE(false, "{accelerators: true}", .object = POD);
  EXCLUDE(true, "{accelerators: true}", .object = GPU_POD);
  EXCLUDE(false, "{accelerators: false}", .object = GPU_POD);
}

static void shares(void **state) {
  (void)state;
  const char *pod =
      POD_HEAD "metadata: {name: a, annotations: {gpu-fraction: \"0.5\"}}\nspec: {containers: [{name: c}, {name: d}]}\n";
  MATCH(true, "{accelerators: true}", .object = pod);
  MATCH(false, "{accelerators: false}", .object = pod);
}

#define TWO                                                                                                                      \
  POD_HEAD "metadata: {name: a}\nspec: {initContainers: [{name: init, image: busybox}], containers: [{name: main, image: "       \
           "\"ghcr.io/x/y:1\"}, {name: side, image: nginx}]}\n"

static void expect_seen(const char *match, const char *exclude, const char *want) {
  char policy[600];
  snprintf(policy, sizeof policy, POLICY("p", "  match: %s\n  exclude: [%s]\n  rules: [{see: {}}]"), match, exclude);
  struct mg_snapshot *snapshot = scene_load(probe_types, policy, NULL);
  EXPECT(snapshot, want, .object = TWO);
  mg_snapshot_unref(snapshot);
}

/* Which containers are seen, and whether the template is, where containers or images are named. */
static void containers_and_images(void **state) {
  (void)state;
  expect_seen("{}", "", "deny p/see|deny p/see init|deny p/see main|deny p/see side");
  expect_seen("{containers: [main]}", "", "deny p/see|deny p/see main");
  expect_seen("{containers: [\"*i*\"]}", "", "deny p/see|deny p/see init|deny p/see main|deny p/see side");
  expect_seen("{containers: [other]}", "", "");
  expect_seen("{images: [\"docker.io/library/*\"]}", "", "deny p/see|deny p/see init|deny p/see side");
  expect_seen("{images: [\"*:latest\"]}", "", "deny p/see|deny p/see init|deny p/see side");
  expect_seen("{images: [nginx]}", "", "");
  /* One container meets both. */
  expect_seen("{containers: [main], images: [\"docker.io/*\"]}", "", "");
  expect_seen("{containers: [main, side], images: [\"docker.io/*\"]}", "", "deny p/see|deny p/see side");
  expect_seen("{containers: [\"/ma.n/\"]}", "", "deny p/see|deny p/see main");
  /* Excluded containers are left out, and a template that has one is left alone as a whole. */
  expect_seen("{}", "{containers: [side]}", "deny p/see init|deny p/see main");
  expect_seen("{}", "{containers: [other]}", "deny p/see|deny p/see init|deny p/see main|deny p/see side");
  expect_seen("{}", "{containers: [main], images: [\"docker.io/*\"]}",
              "deny p/see|deny p/see init|deny p/see main|deny p/see side");
  expect_seen("{}", "{containers: [init]}, {images: [\"ghcr.io/*\"]}", "deny p/see side");
  expect_seen("{containers: [main, side]}", "{images: [\"ghcr.io/*\"]}", "deny p/see side");
  expect_seen("{}", "{containers: [side], names: [b]}", "deny p/see|deny p/see init|deny p/see main|deny p/see side");
  expect_seen("{}", "{names: [a]}", "");
  expect_seen("{}", "{names: [b]}, {names: [a], roles: [batch]}", "");
}

/* A container without a name or an image, and such that are none. */
static void odd_containers(void **state) {
  (void)state;
  struct mg_snapshot *snapshot =
      scene_load(probe_types, POLICY("p", "  match: {containers: [\"*\"], images: [\"\", \"*q*\"]}\n  rules: [{see: {}}]"), NULL);
  EXPECT(snapshot, "deny p/see|deny p/see containers[1]|deny p/see containers[2]",
         .object = POD_HEAD "metadata: {name: a}\nspec: {containers: [7, {}, {name: 3, image: []}, {image: nginx}]}\n");
  mg_snapshot_unref(snapshot);
}

/* Every template is for itself; the object matches where one does. */
static void templates(void **state) {
  (void)state;
  struct mg_snapshot *snapshot = scene_load(probe_types,
                                            POLICY("p", "  match: {accelerators: true}\n  rules: [{see: {}}]")
                                                POLICY("q", "  match: {accelerators: true}\n  rules: [{grade: {of: object}}]"),
                                            NULL);
#define TORCH(worker)                                                                                                            \
  "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: t, annotations: {grade: 1}}\nspec:\n"                         \
  "  pytorchReplicaSpecs:\n    Master: {template: {spec: {containers: [{name: m}]}}}\n"                                          \
  "    Worker: {template: {spec: {containers: [{name: w, resources: {limits: {" worker "}}}]}}}\n"
  EXPECT(snapshot, "deny p/see|deny p/see w|deny q/grade", .object = TORCH("nvidia.com/gpu: 1"));
  EXPECT(snapshot, "", .object = TORCH("cpu: 1"));
  mg_snapshot_unref(snapshot);
}

/* A regex that cannot be decided never exempts: it matches in `match` and does not in `exclude`. */
static void runaway_regex(void **state) {
  (void)state;
  const char *name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
  MATCH(true, "{users: [\"/(a|aa|aaa)*[^a]b/\"]}", .object = POD, .user = name);
  EXCLUDE(false, "{users: [\"/(a|aa|aaa)*[^a]b/\"]}", .object = POD, .user = name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_given), cmocka_unit_test(kinds),
      cmocka_unit_test(operations),    cmocka_unit_test(namespaces),
      cmocka_unit_test(names),         cmocka_unit_test(namespace_selector),
      cmocka_unit_test(annotations),   cmocka_unit_test(users_and_groups),
      cmocka_unit_test(roles),         cmocka_unit_test(labels_of_template_then_object),
      cmocka_unit_test(accelerators),  cmocka_unit_test(claims),
      cmocka_unit_test(shares),        cmocka_unit_test(containers_and_images),
      cmocka_unit_test(templates),     cmocka_unit_test(odd_containers),
      cmocka_unit_test(runaway_regex),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
