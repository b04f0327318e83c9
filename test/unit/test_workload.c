/* The workload table and the pod view: paths, names, replicas, sums, roles, claims, shares, retries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "doc/yaml.h"
#include "kube/edit.h"
#include "policy/snapshot.h"
#include "rules/rules.h"

struct fixture {
  struct mg_arena arena, diag_arena;
  struct mg_diags diags;
  struct mg_snapshot *snapshot;
  struct mg_workload *workload;
};

/* A snapshot of the built-in tables and, if given, of one file beside them; and the views of an object. */
static void view(struct fixture *f, const char *files, const char *object) {
  struct mg_source source = {.path = "test.yaml", .text = mg_str_of(files)};
  struct mg_err err = {0};
  *f = (struct fixture){0};
  mg_arena_init(&f->arena, (size_t)16 << 20, 0);
  mg_arena_init(&f->diag_arena, (size_t)1 << 20, 0);
  mg_diags_init(&f->diags, &f->diag_arena);
  if (mg_snapshot_new(&f->snapshot, mg_rules, &source, files ? 1 : 0, &f->diags, &err) != 0)
    fail_msg("%s: %.*s", err.text, MG_FMT(f->diags.errors ? f->diags.errors->text : MG_S("")));
  struct mg_file_doc *doc = NULL;
  struct mg_read how = {.limits = {1 << 20, 64, 10000}, .file = "object.yaml"};
  if (mg_yaml_read(&doc, &f->arena, mg_str_of(object), &how, &err) != 0) fail_msg("%s", err.text);
  mg_node root = mg_root(&doc->doc);
  mg_str group, version;
  mg_split_api_version(mg_string(MG_GET(root, "apiVersion")), &group, &version);
  const struct mg_kind_row *row = mg_kind_find(&f->snapshot->kinds, group, version, mg_string(MG_GET(root, "kind")));
  assert_non_null(row);
  struct mg_world world = {&f->snapshot->kinds, &f->snapshot->accelerators, &f->snapshot->context};
  assert_int_equal(mg_workload_view(&world, &f->arena, row, root, MG_S("ml"), &f->workload), 0);
}

static void done(struct fixture *f) {
  mg_snapshot_unref(f->snapshot);
  mg_arena_fini(&f->arena);
  mg_arena_fini(&f->diag_arena);
}

static void assert_str(mg_str s, const char *want) {
  if (!mg_str_is(s, want)) fail_msg("\"%.*s\" is not \"%s\"", MG_FMT(s), want);
}

#define GPU(n) "resources: {limits: {nvidia.com/gpu: " #n "}}"

/* Each built-in kind, with the least object that has its templates: number of templates, role, id of the last, replicas and
 * devices of the last. */
static const struct kind_case {
  const char *object;
  uint32_t pods;
  enum mg_role role;
  const char *id;
  int64_t replicas;
} kind_cases[] = {
    {"{apiVersion: v1, kind: Pod, spec: {containers: [{name: a}]}}", 1, MG_ROLE_BATCH, "", 1},
    {"{apiVersion: v1, kind: PodTemplate, template: {spec: {containers: [{name: a}]}}}", 1, MG_ROLE_NONE, "/template", 1},
    {"{apiVersion: v1, kind: ReplicationController, spec: {replicas: 3, template: {spec: {}}}}", 1, MG_ROLE_SERVICE,
     "/spec/template", 3},
    {"{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {}}}}", 1, MG_ROLE_SERVICE, "/spec/template", 1},
    {"{apiVersion: apps/v1, kind: ReplicaSet, spec: {replicas: 0, template: {spec: {}}}}", 1, MG_ROLE_SERVICE, "/spec/template",
     0},
    {"{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 4, template: {spec: {}}}}", 1, MG_ROLE_SERVICE, "/spec/template",
     4},
    {"{apiVersion: apps/v1, kind: DaemonSet, spec: {template: {spec: {}}}}", 1, MG_ROLE_SYSTEM, "/spec/template", 1},
    {"{apiVersion: batch/v1, kind: Job, spec: {parallelism: 5, template: {spec: {}}}}", 1, MG_ROLE_BATCH, "/spec/template", 5},
    {"{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {parallelism: 2, template: {spec: {}}}}}}", 1,
     MG_ROLE_BATCH, "/spec/jobTemplate/spec/template", 2},
    {"{apiVersion: kubeflow.org/v1, kind: PyTorchJob, spec: {pytorchReplicaSpecs: {master: {template: {spec: {}}}, worker: "
     "{replicas: 7, "
     "template: {spec: {}}}}}}",
     2, MG_ROLE_TRAINING, "/spec/pytorchReplicaSpecs/worker/template", 7},
    {"{apiVersion: kubeflow.org/v1, kind: TFJob, spec: {tfReplicaSpecs: {PS: {template: {spec: {}}}}}}", 1, MG_ROLE_TRAINING,
     "/spec/tfReplicaSpecs/PS/template", 1},
    {"{apiVersion: kubeflow.org/v2beta1, kind: MPIJob, spec: {mpiReplicaSpecs: {Launcher: {template: {spec: {}}}}}}", 1,
     MG_ROLE_TRAINING, "/spec/mpiReplicaSpecs/Launcher/template", 1},
    {"{apiVersion: kubeflow.org/v1, kind: MPIJob, spec: {mpiReplicaSpecs: {Worker: {replicas: 2, template: {spec: {}}}}}}", 1,
     MG_ROLE_TRAINING, "/spec/mpiReplicaSpecs/Worker/template", 2},
    {"{apiVersion: kubeflow.org/v1, kind: XGBoostJob, spec: {xgbReplicaSpecs: {Master: {template: {spec: {}}}}}}", 1,
     MG_ROLE_TRAINING, "/spec/xgbReplicaSpecs/Master/template", 1},
    {"{apiVersion: kubeflow.org/v1, kind: PaddleJob, spec: {paddleReplicaSpecs: {Worker: {template: {spec: {}}}}}}", 1,
     MG_ROLE_TRAINING, "/spec/paddleReplicaSpecs/Worker/template", 1},
    {"{apiVersion: kubeflow.org/v1, kind: JAXJob, spec: {jaxReplicaSpecs: {Worker: {template: {spec: {}}}}}}", 1,
     MG_ROLE_TRAINING, "/spec/jaxReplicaSpecs/Worker/template", 1},
    {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {headGroupSpec: {template: {spec: {}}}, workerGroupSpecs: [{groupName: a, "
     "template: "
     "{spec: {}}}, {groupName: gpu, replicas: 2, numOfHosts: 3, template: {spec: {}}}]}}",
     3, MG_ROLE_INTERACTIVE, "/spec/workerGroupSpecs/[gpu]/template", 6},
    {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {enableInTreeAutoscaling: true, workerGroupSpecs: [{replicas: 1, "
     "maxReplicas: 9, "
     "template: {spec: {}}}]}}",
     1, MG_ROLE_INTERACTIVE, "/spec/workerGroupSpecs/0/template", 9},
    {"{apiVersion: ray.io/v1, kind: RayJob, spec: {rayClusterSpec: {workerGroupSpecs: [{groupName: w, template: {spec: {}}}]}, "
     "submitterPodTemplate: {spec: {}}}}",
     2, MG_ROLE_TRAINING, "/spec/submitterPodTemplate", 1},
    {"{apiVersion: ray.io/v1, kind: RayJob, spec: {clusterSelector: {a: b}}}", 0, MG_ROLE_NONE, NULL, 0},
    {"{apiVersion: ray.io/v1, kind: RayService, spec: {rayClusterConfig: {headGroupSpec: {template: {spec: {}}}}}}", 1,
     MG_ROLE_INFERENCE, "/spec/rayClusterConfig/headGroupSpec/template", 1},
    {"{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, spec: {replicatedJobs: [{name: w, replicas: 2, template: {spec: "
     "{parallelism: 4, "
     "template: {spec: {}}}}}]}}",
     1, MG_ROLE_TRAINING, "/spec/replicatedJobs/[w]/template/spec/template", 8},
    {"{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, spec: {replicas: 3, leaderWorkerTemplate: {size: 4, "
     "workerTemplate: "
     "{spec: {}}}}}",
     1, MG_ROLE_INFERENCE, "/spec/leaderWorkerTemplate/workerTemplate", 12},
    {"{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, spec: {replicas: 3, leaderWorkerTemplate: {size: 4, "
     "leaderTemplate: "
     "{spec: {}}, workerTemplate: {spec: {}}}}}",
     2, MG_ROLE_INFERENCE, "/spec/leaderWorkerTemplate/workerTemplate", 9},
};

static void every_built_in_kind(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof kind_cases / sizeof *kind_cases; i++) {
    const struct kind_case *c = &kind_cases[i];
    struct fixture f;
    view(&f, NULL, c->object);
    if (f.workload->pod_count != c->pods) fail_msg("%s: %u templates", c->object, f.workload->pod_count);
    if (c->pods) {
      const struct mg_pod *last = f.workload->pods[c->pods - 1];
      assert_str(last->id, c->id);
      assert_int_equal(last->role, c->role);
      assert_int_equal(last->replicas, c->replicas);
    }
    done(&f);
  }
}

static void the_table_knows_versions_and_groups(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL, "{apiVersion: v1, kind: Pod, spec: {}}");
  const struct mg_kind_table *t = &f.snapshot->kinds;
  assert_null(mg_kind_find(t, MG_S("kubeflow.org"), MG_S("v1alpha1"), MG_S("MPIJob")));
  assert_non_null(mg_kind_find(t, MG_S("kubeflow.org"), MG_S(""), MG_S("MPIJob")));
  assert_null(mg_kind_find(t, MG_S("batch.volcano.sh"), MG_S("v1alpha1"), MG_S("Job")));
  assert_null(mg_kind_find(t, MG_S("batch"), MG_S("v1"), MG_S("job")));
  done(&f);
}

static void a_users_kind_replaces_the_built_in_one(void **state) {
  (void)state;
  struct fixture f;
  view(&f,
       "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: my-jobs}\nspec: {group: batch, kind: Job, role: "
       "inference, "
       "templates: [{path: 'spec.groups[].pods{}', shape: spec}]}\n",
       "{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {}}, groups: [{name: a, pods: {x: {containers: [{name: c}]}, "
       "y: {}}}, {pods: "
       "{z: {}}}]}}");
  assert_int_equal(f.workload->pod_count, 3);
  assert_str(f.workload->pods[0]->id, "/spec/groups/[a]/pods/x");
  assert_str(f.workload->pods[2]->id, "/spec/groups/1/pods/z");
  assert_int_equal(f.workload->pods[0]->role, MG_ROLE_INFERENCE);
  assert_int_equal(f.workload->pods[0]->container_count, 1);
  done(&f);
}

static int64_t devices_of(const char *spec) {
  struct fixture f;
  char object[2048];
  snprintf(object, sizeof object, "{apiVersion: v1, kind: Pod, spec: {%s}}", spec);
  view(&f, NULL, object);
  int64_t n = mg_pod_devices(f.workload->pods[0], NULL);
  done(&f);
  return n;
}

static void devices_add_up_as_the_api_server_adds(void **state) {
  (void)state;
  assert_int_equal(devices_of("containers: [{name: a, " GPU(2) "}, {name: b, " GPU("3") "}]"), 5);
  assert_int_equal(devices_of("initContainers: [{name: i, " GPU(8) "}], containers: [{name: a, " GPU(2) "}]"), 8);
  assert_int_equal(devices_of("initContainers: [{name: i, " GPU(1) "}, {name: s, restartPolicy: Always, " GPU(
                       2) "}, {name: j, " GPU(4) "}], containers: [{name: a, " GPU(3) "}]"),
                   6); /* j beside s is 6, a beside s is 5 */
  assert_int_equal(
      devices_of("initContainers: [{name: s, restartPolicy: Always, " GPU(2) "}], containers: [{name: a, " GPU(3) "}]"), 5);
  assert_int_equal(
      devices_of("containers: [{name: a, resources: {limits: {nvidia.com/gpu: 2, amd.com/gpu: 1, nvidia.com/gpumem: 3000}}}]"),
      3);
  assert_int_equal(devices_of("containers: [{name: a, resources: {requests: {nvidia.com/gpu: 4}}}]"), 4);
  assert_int_equal(devices_of("containers: [{name: a, resources: {limits: {nvidia.com/gpu: $GPUS}}}]"), 1);
  assert_int_equal(devices_of("containers: [{name: a, resources: {limits: {nvidia.com/gpu: null}}}]"), 1);
  assert_int_equal(devices_of("containers: [{name: a, resources: {limits: {nvidia.com/gpu: -3}}}]"), 0);
  assert_int_equal(devices_of("containers: [{name: a, resources: {limits: {nvidia.com/gpu: 9e18}}}, {name: b, " GPU(9e18) "}]"),
                   INT64_MAX);
  assert_int_equal(devices_of("ephemeralContainers: [{name: e, " GPU(2) "}], containers: [{name: a}]"), 0);
  assert_int_equal(
      devices_of("containers: [{name: a, resources: {limits: {gpu.intel.com/i915_monitoring: 1, cpu: 4, hugepages-2Mi: 1Gi}}}]"),
      0);
  assert_int_equal(devices_of("containers: [{name: a, resources: {limits: {nvidia.com/mig-1g.5gb: 2, google.com/tpu: 4}}}]"), 6);
}

static void replicas_that_cannot_be_read_count_one(void **state) {
  (void)state;
  static const char *const bad[] = {"$N", "-2", "1.5", "\"3\"", "99999999999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct fixture f;
    char object[256];
    snprintf(object, sizeof object, "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: %s, template: {spec: {}}}}",
             bad[i]);
    view(&f, NULL, object);
    assert_true(f.workload->pods[0]->replicas_unreadable);
    assert_int_equal(f.workload->pods[0]->replicas, 1);
    assert_true(f.workload->pods[0]->replicas_at.at != 0);
    done(&f);
  }
}

#define OWNER(api, kind) "ownerReferences: [{apiVersion: " api ", kind: " kind ", name: o, uid: u, controller: true}]"

/* Metadata of a Pod and the role that comes of it. */
static const struct {
  const char *meta;
  enum mg_role role;
} role_cases[] = {
    {"name: a", MG_ROLE_BATCH},
    {"labels: {mlgate.dev/role: inference}", MG_ROLE_INFERENCE},
    {"labels: {mlgate.dev/role: Inference}", MG_ROLE_BATCH},
    {"labels: {mlgate.dev/role: system}, " OWNER("kubeflow.org/v1", "PyTorchJob"), MG_ROLE_SYSTEM},
    {OWNER("kubeflow.org/v1", "PyTorchJob"), MG_ROLE_TRAINING},
    {OWNER("apps/v1", "ReplicaSet"), MG_ROLE_SERVICE},
    {OWNER("apps/v1", "DaemonSet"), MG_ROLE_SYSTEM},
    {OWNER("batch/v1", "Job"), MG_ROLE_BATCH},
    {"labels: {jobset.sigs.k8s.io/jobset-name: x}, " OWNER("batch/v1", "Job"), MG_ROLE_TRAINING},
    {"labels: {leaderworkerset.sigs.k8s.io/name: x}, " OWNER("apps/v1", "StatefulSet"), MG_ROLE_INFERENCE},
    {"labels: {jobset.sigs.k8s.io/jobset-name: x}", MG_ROLE_BATCH},
    {"labels: {jobset.sigs.k8s.io/jobset-name: x}, " OWNER("ray.io/v1", "RayCluster"), MG_ROLE_INTERACTIVE},
    {"labels: {jobset.sigs.k8s.io/jobset-name: x}, " OWNER("example.org/v1", "Unknown"), MG_ROLE_TRAINING},
    {OWNER("example.org/v1", "Unknown"), MG_ROLE_BATCH},
    {"ownerReferences: [{apiVersion: kubeflow.org/v1, kind: PyTorchJob, name: o, uid: u}]", MG_ROLE_BATCH},
};

static void roles_of_pods(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof role_cases / sizeof *role_cases; i++) {
    struct fixture f;
    char object[512];
    snprintf(object, sizeof object, "{apiVersion: v1, kind: Pod, metadata: {%s}, spec: {containers: [{name: a}]}}",
             role_cases[i].meta);
    view(&f, NULL, object);
    if (f.workload->pods[0]->role != role_cases[i].role)
      fail_msg("%s: %s", role_cases[i].meta, mg_role_words[f.workload->pods[0]->role]);
    done(&f);
  }
}

static void the_templates_label_stands_before_the_objects(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL,
       "{apiVersion: apps/v1, kind: Deployment, metadata: {labels: {mlgate.dev/role: training, a: object}}, spec: {template: "
       "{metadata: {labels: "
       "{mlgate.dev/role: inference, b: template}}, spec: {}}}}");
  mg_str value;
  assert_int_equal(f.workload->pods[0]->role, MG_ROLE_INFERENCE);
  assert_true(mg_pod_label(f.workload->pods[0], MG_S("a"), &value));
  assert_str(value, "object");
  assert_true(mg_pod_label(f.workload->pods[0], MG_S("b"), &value));
  assert_false(mg_pod_label(f.workload->pods[0], MG_S("c"), &value));
  done(&f);
}

/* Contract section 3, tolerations.when: whose failure is retried. */
static const struct {
  const char *object;
  bool retried;
} retry_cases[] = {
    {"{apiVersion: v1, kind: Pod, spec: {restartPolicy: Never}}", false},
    {"{apiVersion: v1, kind: Pod, spec: {restartPolicy: OnFailure}}", true},
    {"{apiVersion: v1, kind: Pod, spec: {}}", true}, /* Always is the default */
    {"{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {restartPolicy: Never}}}}", true},
    {"{apiVersion: batch/v1, kind: Job, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never}}}}", false},
    {"{apiVersion: batch/v1, kind: Job, spec: {backoffLimit: 2, template: {spec: {restartPolicy: Never}}}}", true},
    {"{apiVersion: batch/v1, kind: Job, spec: {backoffLimit: $N, template: {spec: {restartPolicy: Never}}}}", false},
    {"{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {backoffLimit: 0, template: {spec: {restartPolicy: "
     "Never}}}}}}",
     false},
    {"{apiVersion: kubeflow.org/v1, kind: TFJob, spec: {tfReplicaSpecs: {W: {template: {spec: {}}}}}}", false},
    {"{apiVersion: kubeflow.org/v1, kind: TFJob, spec: {tfReplicaSpecs: {W: {restartPolicy: ExitCode, template: {spec: "
     "{restartPolicy: "
     "Never}}}}}}",
     true},
    {"{apiVersion: kubeflow.org/v1, kind: PyTorchJob, spec: {pytorchReplicaSpecs: {W: {restartPolicy: Never, template: {spec: "
     "{restartPolicy: "
     "Always}}}}}}",
     false},
    {"{apiVersion: kubeflow.org/v1, kind: PyTorchJob, spec: {pytorchReplicaSpecs: {W: {template: {spec: {restartPolicy: "
     "Never}}}}}}",
     false},
    {"{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, spec: {replicatedJobs: [{template: {spec: {template: {spec: "
     "{restartPolicy: "
     "Never}}}}}]}}",
     false},
    {"{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, spec: {failurePolicy: {maxRestarts: 3}, replicatedJobs: [{template: "
     "{spec: {template: "
     "{spec: {restartPolicy: Never}}}}}]}}",
     true},
    {"{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {}}}}", true},
    {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {headGroupSpec: {template: {spec: {restartPolicy: Never}}}}}", true},
};

static void whose_failure_is_retried(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof retry_cases / sizeof *retry_cases; i++) {
    struct fixture f;
    view(&f, NULL, retry_cases[i].object);
    if (mg_pod_is_retried(f.workload->pods[0]) != retry_cases[i].retried) fail_msg("%s", retry_cases[i].object);
    done(&f);
  }
}

#define CLAIM_POD                                                                                                                \
  "{apiVersion: v1, kind: Pod, spec: {resourceClaims: [{name: g, resourceClaimTemplateName: gpus}], containers: [{name: a, "     \
  "resources: "                                                                                                                  \
  "{claims: [{name: g}]}}, {name: b, resources: {claims: [{name: g}]}}]}}"
#define TEMPLATE(request)                                                                                               \
  "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: gpus, namespace: ml}\n"                \
  "spec: {spec: {devices: {requests: [{name: r, " request "}]}}}\n"

static void claims_are_resolved_through_the_context(void **state) {
  (void)state;
  static const struct {
    const char *context;
    bool unknown, device;
    int64_t each, total;
  } cases[] = {
      {NULL, true, false, 0, 0},
      {TEMPLATE("exactly: {deviceClassName: gpu.nvidia.com, count: 2}"), false, true, 2, 2},
      {TEMPLATE("deviceClassName: gpu.nvidia.com"), false, true, 1, 1},
      {TEMPLATE("firstAvailable: [{name: x, deviceClassName: other}, {name: y, deviceClassName: mig.nvidia.com, count: 3}]"),
       false, true, 3, 3},
      {TEMPLATE("exactly: {deviceClassName: gpu.nvidia.com, adminAccess: true}"), false, false, 0, 0},
      {TEMPLATE("exactly: {deviceClassName: compute-domain-daemon.nvidia.com}"), false, false, 0, 0},
      {TEMPLATE("exactly: {deviceClassName: mine}") "---\napiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: "
                                                    "mine}\nspec: "
                                                    "{extendedResourceName: nvidia.com/gpu}\n",
       false, true, 1, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct fixture f;
    view(&f, cases[i].context, CLAIM_POD);
    const struct mg_pod *pod = f.workload->pods[0];
    assert_int_equal(pod->has_unknown_claim, cases[i].unknown);
    assert_int_equal(pod->containers[0].claims_device, cases[i].device);
    assert_int_equal(pod->has_accelerator, cases[i].device);
    assert_int_equal(mg_container_devices(&pod->containers[1], NULL), cases[i].each);
    assert_int_equal(mg_pod_devices(pod, NULL), cases[i].total);
    done(&f);
  }
}

static void a_share_belongs_to_the_named_container_or_the_first(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL,
       "{apiVersion: v1, kind: Pod, metadata: {annotations: {gpu-fraction: '0.5'}}, spec: {initContainers: [{name: i}], "
       "containers: [{name: a}, {name: b}]}}");
  assert_true(f.workload->pods[0]->containers[1].shared);
  assert_false(f.workload->pods[0]->containers[0].shared);
  assert_true(f.workload->pods[0]->has_accelerator);
  done(&f);
  view(&f, NULL,
       "{apiVersion: v1, kind: Pod, metadata: {annotations: {gpu-memory: '2000', gpu-fraction-container-name: b}}, spec: "
       "{containers: [{name: a}, {name: b}]}}");
  assert_true(f.workload->pods[0]->containers[1].shared);
  assert_false(f.workload->pods[0]->containers[0].shared);
  done(&f);
}

static void malformed_shapes_are_skipped_with_a_word(void **state) {
  (void)state;
  static const struct {
    const char *object, *malformed;
    uint32_t pods;
  } cases[] = {
      {"{apiVersion: v1, kind: Pod, spec: {containers: {a: b}}}",
       "spec.containers is not a list; what is under it was not judged", 1},
      {"{apiVersion: v1, kind: Pod, spec: {containers: [1]}}",
       "spec.containers[0] is not an object; what is under it was not judged", 1},
      {"{apiVersion: v1, kind: Pod, spec: [1]}", "spec is not an object; what is under it was not judged", 0},
      {"{apiVersion: apps/v1, kind: Deployment, spec: {template: 3}}",
       "spec.template is not an object; what is under it was not judged", 0},
      {"{apiVersion: kubeflow.org/v1, kind: TFJob, spec: {tfReplicaSpecs: []}}",
       "spec.tfReplicaSpecs is not an object; what is under it was not judged", 0},
      {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {workerGroupSpecs: {a: b}}}",
       "spec.workerGroupSpecs is not a list; what is under it was not judged", 0},
      {"{apiVersion: v1, kind: Pod, spec: {containers: null}}", "", 1},
      {"{apiVersion: v1, kind: Pod}", "", 0},
      {"{apiVersion: apps/v1, kind: Deployment, spec: null}", "", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct fixture f;
    view(&f, NULL, cases[i].object);
    assert_str(f.workload->malformed, cases[i].malformed);
    assert_int_equal(f.workload->pod_count, cases[i].pods);
    done(&f);
  }
}

static void required_affinity_names_its_keys(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL,
       "{apiVersion: v1, kind: Pod, spec: {affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
       "[{preference: "
       "{matchExpressions: [{key: soft, operator: Exists}]}}], requiredDuringSchedulingIgnoredDuringExecution: "
       "{nodeSelectorTerms: [{}, "
       "{matchExpressions: [{key: hard, operator: Exists}]}]}}}}}");
  assert_true(mg_pod_affinity_names(f.workload->pods[0], MG_S("hard")));
  assert_false(mg_pod_affinity_names(f.workload->pods[0], MG_S("soft")));
  done(&f);
}

static void the_views_memory_is_bounded(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL, "{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {containers: [{name: a, " GPU(1) "}]}}}}");
  struct mg_world world = {&f.snapshot->kinds, &f.snapshot->accelerators, &f.snapshot->context};
  for (size_t max = 0; max < 4096; max += 64) {
    struct mg_arena small;
    struct mg_workload *w;
    mg_arena_init(&small, max, 0);
    int rc = mg_workload_view(&world, &small, f.workload->kind, f.workload->object, MG_S("ml"), &w);
    assert_true(rc == 0 || rc == MG_E_NOMEM);
    if (rc == 0) assert_int_equal(mg_pod_devices(w->pods[0], NULL), 1);
    mg_arena_fini(&small);
  }
  done(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_built_in_kind),
      cmocka_unit_test(the_table_knows_versions_and_groups),
      cmocka_unit_test(a_users_kind_replaces_the_built_in_one),
      cmocka_unit_test(devices_add_up_as_the_api_server_adds),
      cmocka_unit_test(replicas_that_cannot_be_read_count_one),
      cmocka_unit_test(roles_of_pods),
      cmocka_unit_test(the_templates_label_stands_before_the_objects),
      cmocka_unit_test(whose_failure_is_retried),
      cmocka_unit_test(claims_are_resolved_through_the_context),
      cmocka_unit_test(a_share_belongs_to_the_named_container_or_the_first),
      cmocka_unit_test(malformed_shapes_are_skipped_with_a_word),
      cmocka_unit_test(required_affinity_names_its_keys),
      cmocka_unit_test(the_views_memory_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
