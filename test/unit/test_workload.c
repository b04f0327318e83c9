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
  struct mg_world world = {&f->snapshot->kinds, &f->snapshot->accelerators, f->snapshot->context, false};
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
  assert_null(mg_kind_find(t, MG_S("kubeflow.org"), MG_S("v9"), MG_S("MPIJob")));
  assert_non_null(mg_kind_find(t, MG_S("kubeflow.org"), MG_S(""), MG_S("MPIJob")));
  assert_null(mg_kind_find(t, MG_S("example.org"), MG_S("v1"), MG_S("Job")));
  assert_ptr_not_equal(mg_kind_find(t, MG_S("batch.volcano.sh"), MG_S("v1alpha1"), MG_S("Job")),
                       mg_kind_find(t, MG_S("batch"), MG_S("v1"), MG_S("Job")));
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

/* ---- more than a template and its replicas ---- */

/* Objects with their sums: `x` templates, replicas and devices of the one that is named by its id. */
static const struct sum_case {
  const char *object, *id;
  uint32_t pods;
  int64_t replicas, devices;
} sum_cases[] = {
    {"{apiVersion: kubeflow.org/v1alpha1, kind: MPIJob, spec: {gpus: 16, template: {spec: {containers: [{name: a}]}}}}",
     "/spec/template", 1, 1, 16},
    {"{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, spec: {trainer: {numNodes: 4, resourcesPerNode: {limits: "
     "{nvidia.com/gpu: 8}}}}}",
     "/spec/trainer", 1, 4, 8},
    {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {workerGroupSpecs: [{groupName: w, replicas: 2, rayStartParams: {num-gpus: "
     "\"4\"}, template: {spec: {containers: [{name: r}, {name: s}]}}}]}}",
     "/spec/workerGroupSpecs/[w]/template", 1, 2, 0},
    {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {workerGroupSpecs: [{groupName: w, rayStartParams: {num-gpus: \"4\"}, "
     "template: {spec: {containers: [{name: r, resources: {limits: {google.com/tpu: 8}}}]}}}]}}",
     "/spec/workerGroupSpecs/[w]/template", 1, 1, 8},
    {"{apiVersion: ray.io/v1, kind: RayCluster, spec: {headGroupSpec: {rayStartParams: {num-gpus: \"0\"}, resources: {GPU: "
     "\"2\"}, template: {spec: {containers: [{name: r}]}}}}}",
     "/spec/headGroupSpec/template", 1, 1, 0},
    {"{apiVersion: ray.io/v1, kind: RayService, spec: {rayClusterConfig: {enableInTreeAutoscaling: true, workerGroupSpecs: "
     "[{replicas: 0, template: {spec: {}}}]}}}",
     "/spec/rayClusterConfig/workerGroupSpecs/0/template", 1, 1, 0},
    {"{apiVersion: sparkoperator.k8s.io/v1beta2, kind: SparkApplication, spec: {driver: {cores: 1}, executor: {instances: 3, "
     "gpu: "
     "{name: amd.com/gpu, quantity: 2}}}}",
     "/spec/executor", 2, 3, 2},
    {"{apiVersion: sparkoperator.k8s.io/v1beta2, kind: SparkApplication, spec: {executor: {instances: 3}, dynamicAllocation: "
     "{enabled: true, maxExecutors: 9}, sparkConf: {spark.executor.resource.gpu.amount: \"1\"}}}",
     "/spec/executor", 1, 9, 1},
    {"{apiVersion: nvidia.com/v1alpha1, kind: DynamoGraphDeployment, spec: {services: {front: {replicas: 1}, decode: {replicas: "
     "2, multinode: {nodeCount: 2}, resources: {limits: {gpu: \"4\"}, requests: {gpu: \"4\"}}}}}}",
     "/spec/services/decode", 1, 4, 4},
    {"{apiVersion: nvidia.com/v1beta1, kind: DynamoGraphDeployment, spec: {components: [{name: d, replicas: 3, podTemplate: "
     "{spec: "
     "{containers: [{name: main, " GPU(2) "}]}}}]}}",
     "/spec/components/[d]/podTemplate", 1, 3, 2},
    {"{apiVersion: apps.nvidia.com/v1alpha1, kind: NIMService, spec: {replicas: 2, scale: {enabled: true, hpa: {maxReplicas: "
     "5}}, " GPU(1) "}}",
     "/spec", 1, 5, 1},
    {"{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, spec: {predictor: {minReplicas: 1, maxReplicas: 4, model: "
     "{" GPU(2) "}}}}",
     "/spec/predictor", 1, 4, 2},
    {"{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, spec: {predictor: {model: {}, workerSpec: "
     "{tensorParallelSize: 8, pipelineParallelSize: 3, containers: [{name: worker-container}]}}}}",
     "/spec/predictor/workerSpec", 2, 2, 8},
    {"{apiVersion: production-stack.vllm.ai/v1alpha1, kind: VLLMRuntime, spec: {deploymentConfig: {replicas: 2, resources: {gpu: "
     "\"1\", gpuType: amd.com/gpu}}}}",
     "/spec/deploymentConfig", 1, 2, 1},
    {"{apiVersion: workload.codeflare.dev/v1beta2, kind: AppWrapper, spec: {components: [{template: {apiVersion: v1, kind: "
     "Service}}, "
     "{template: {apiVersion: kubeflow.org/v1, kind: PyTorchJob, spec: {pytorchReplicaSpecs: {Worker: {replicas: 3, template: "
     "{spec: {containers: [{name: a, " GPU(8) "}]}}}}}}}]}}",
     "/spec/components/1/template/spec/pytorchReplicaSpecs/Worker/template", 1, 3, 8},
    {"{apiVersion: kubeflow.org/v1beta1, kind: Experiment, spec: {trialTemplate: {trialSpec: {apiVersion: batch/v1, kind: Job, "
     "spec: {parallelism: 2, template: {spec: {containers: [{name: a, " GPU(1) "}]}}}}}}}",
     "/spec/trialTemplate/trialSpec/spec/template", 1, 6, 1},
    {"{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {templates: [{name: steps, steps: []}, {name: t, script: {" GPU(
         2) "}, sidecars: [{name: s, " GPU(1) "}], initContainers: [{name: i, " GPU(4) "}]}]}}",
     "/spec/templates/[t]", 1, 1, 4},
    {"{apiVersion: grove.io/v1alpha1, kind: PodCliqueSet, spec: {replicas: 2, template: {cliques: [{name: p, spec: {replicas: 3, "
     "podSpec: {containers: [{name: a, " GPU(8) "}]}}}]}}}",
     "/spec/template/cliques/[p]/spec/podSpec", 1, 6, 8},
    {"{apiVersion: orchestration.aibrix.ai/v1alpha1, kind: StormService, spec: {replicas: 2, template: {spec: {roles: [{name: p, "
     "replicas: 3, podGroupSize: 2, template: {spec: {}}}]}}}}",
     "/spec/template/spec/roles/[p]/template", 1, 12, 0},
    {"{apiVersion: keda.sh/v1alpha1, kind: ScaledJob, spec: {maxReplicaCount: 10, jobTargetRef: {parallelism: 2, template: "
     "{spec: "
     "{}}}}}",
     "/spec/jobTargetRef/template", 1, 20, 0},
};

static void sums_of_kinds(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof sum_cases / sizeof *sum_cases; i++) {
    const struct sum_case *c = &sum_cases[i];
    struct fixture f;
    view(&f, NULL, c->object);
    const struct mg_pod *pod = NULL;
    for (uint32_t p = 0; p < f.workload->pod_count; p++)
      if (mg_str_is(f.workload->pods[p]->id, c->id)) pod = f.workload->pods[p];
    if (!pod || f.workload->pod_count != c->pods) fail_msg("%s: %u templates, none %s", c->object, f.workload->pod_count, c->id);
    if (pod->replicas != c->replicas || pod->devices != c->devices)
      fail_msg("%s: %d x %d", c->object, (int)pod->replicas, (int)pod->devices);
    done(&f);
  }
}

static void devices_without_a_number(void **state) {
  (void)state;
  struct fixture f;
  view(
      &f, NULL,
      "{apiVersion: kaito.sh/v1beta1, kind: Workspace, resource: {instanceType: Standard_NC12s_v3}, inference: {template: {spec: "
      "{containers: [{name: a}]}}}}");
  assert_int_equal(f.workload->pod_count, 1);
  assert_true(f.workload->pods[0]->has_accelerator);
  assert_int_equal(f.workload->pods[0]->devices, 0);
  done(&f);
}

static void a_fragment_is_its_own_container(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL,
       "{apiVersion: apps.nvidia.com/v1alpha1, kind: NIMService, metadata: {labels: {team: a}}, spec: {labels: {team: b}, image: "
       "{repository: nvcr.io/nim/x, tag: 1.2}, initContainers: [{name: i}], sidecarContainers: [{name: s}]}}");
  struct mg_pod *pod = f.workload->pods[0];
  mg_str team;
  assert_int_equal(pod->container_count, 3);
  assert_str(pod->containers[1].image, "nvcr.io/nim/x:1.2");
  assert_str(pod->containers[2].name, "s");
  assert_true(mg_pod_label(pod, MG_S("team"), &team));
  assert_str(team, "b");
  assert_true(pod->fixed);
  done(&f);
}

static void resources_kept_apart(void **state) {
  (void)state;
  struct fixture f;
  view(
      &f, NULL,
      "{apiVersion: nvidia.com/v1alpha1, kind: DynamoGraphDeployment, spec: {services: {a: {resources: {limits: {gpu: 1, memory: "
      "4Gi}}, extraPodSpec: {tolerations: [], mainContainer: {image: x}}}}}}");
  const struct mg_pod *pod = f.workload->pods[0];
  assert_int_equal(pod->container_count, 1);
  assert_str(pod->containers[0].image, "x");
  assert_non_null(mg_container_amount(&pod->containers[0], MG_S("memory")));
  assert_true(mg_is(MG_GET(pod->spec, "tolerations"), MG_ARRAY));
  assert_int_equal(pod->devices, 1);
  done(&f);
}

/* An AppWrapper is a kind without a role; Katib's role stands before that of the Job in it. */
static void nested_objects_have_roles_and_labels(void **state) {
  (void)state;
  static const struct {
    const char *meta;
    enum mg_role role;
  } rows[] = {{"name: a", MG_ROLE_BATCH}, {"labels: {mlgate.dev/role: inference}", MG_ROLE_INFERENCE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct fixture f;
    char object[512];
    snprintf(object, sizeof object,
             "{apiVersion: workload.codeflare.dev/v1beta2, kind: AppWrapper, metadata: {%s}, spec: {components: [{template: "
             "{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {}}}}}]}}",
             rows[i].meta);
    view(&f, NULL, object);
    assert_int_equal(f.workload->pods[0]->role, rows[i].role);
    assert_true(f.workload->pods[0]->fixed);
    done(&f);
  }
  struct fixture f;
  view(&f, NULL,
       "{apiVersion: kubeflow.org/v1beta1, kind: Trial, spec: {runSpec: {apiVersion: v1, kind: Pod, spec: {containers: []}}}}");
  assert_int_equal(f.workload->pods[0]->role, MG_ROLE_TRAINING);
  assert_true(f.workload->pods[0]->is_pod);
  done(&f);
}

#define WRAPPED(inner)                                                                                                           \
  "{apiVersion: workload.codeflare.dev/v1beta2, kind: AppWrapper, spec: {components: [{template: " inner "}]}}"
#define POD "{apiVersion: v1, kind: Pod, spec: {containers: [{name: a}]}}"

static void nesting_ends(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL, WRAPPED(WRAPPED(WRAPPED(POD))));
  assert_int_equal(f.workload->pod_count, 1);
  assert_str(f.workload->malformed, "");
  done(&f);
  view(&f, NULL, WRAPPED(WRAPPED(WRAPPED(WRAPPED(POD)))));
  assert_int_equal(f.workload->pod_count, 0);
  assert_true(f.workload->malformed.n > 0);
  done(&f);
}

static void hostile_shapes_of_kinds(void **state) {
  (void)state;
  static const char *const objects[] = {
      "{apiVersion: workload.codeflare.dev/v1beta2, kind: AppWrapper, spec: {components: {a: b}}}",
      "{apiVersion: workload.codeflare.dev/v1beta2, kind: AppWrapper, spec: {components: [null, 1, {template: []}]}}",
      "{apiVersion: kubeflow.org/v1beta1, kind: Experiment, spec: {trialTemplate: {trialSpec: \"${x}\"}}}",
      "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {templates: {container: {}}, templateDefaults: []}}",
      "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {templates: [{container: [], containerSet: {containers: {}}}]}}",
      "{apiVersion: apps.nvidia.com/v1alpha1, kind: NIMService, spec: []}",
      "{apiVersion: nvidia.com/v1alpha1, kind: DynamoGraphDeployment, spec: {services: {a: null, b: 1, c: {resources: []}}}}",
      "{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, spec: {trainer: {resourcesPerNode: 3}}}",
  };
  for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
    struct fixture f;
    view(&f, NULL, objects[i]);
    for (uint32_t p = 0; p < f.workload->pod_count; p++) assert_int_equal(f.workload->pods[p]->devices, 0);
    done(&f);
  }
}

static void unreadable_devices_are_some(void **state) {
  (void)state;
  struct fixture f;
  view(&f, NULL,
       "{apiVersion: sparkoperator.k8s.io/v1beta2, kind: SparkApplication, spec: {executor: {instances: \"{{n}}\", gpu: {name: "
       "nvidia.com/gpu, quantity: $GPUS}}}}");
  const struct mg_pod *pod = f.workload->pods[0];
  assert_true(pod->has_accelerator);
  assert_int_equal(pod->devices, 1);
  assert_true(pod->replicas_unreadable);
  done(&f);
}

/* The wild card of another list takes the item of the same number. */
static void replicas_in_another_list(void **state) {
  (void)state;
  struct fixture f;
  view(&f,
       "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: things.x}\nspec: {group: x, kind: Thing, templates: "
       "[{path: "
       "'spec.groups[]', shape: spec, replicas: [{path: 'spec.sizes[]'}, {path: 'spec.groups[].times'}]}]}\n",
       "{apiVersion: x/v1, kind: Thing, spec: {groups: [{times: 1}, {times: 2}, {times: 3}], sizes: [5, 7]}}");
  static const int64_t replicas[] = {5, 14, 3};
  for (uint32_t i = 0; i < 3; i++) assert_int_equal(f.workload->pods[i]->replicas, replicas[i]);
  done(&f);
}

static void paths_of_a_kind(void **state) {
  (void)state;
  static const struct {
    const char *path;
    bool good;
  } rows[] = {{"spec.t", true},    {"t", true},         {"spec.\"a.b/c\".t", true},
              {"a[]{}.t", true},   {"[]", false},       {"a..t", false},
              {"a.", false},       {".t", false},       {"\"a", false},
              {"a[]t", false},     {"a[", false},       {"a[0].t", false},
              {"\"a\"b.t", false}, {"a.\"\".t", false}, {"\"\"", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_arena arena;
    struct mg_diags diags;
    struct mg_err err = {0};
    struct mg_snapshot *snapshot = NULL;
    char file[512];
    snprintf(
        file, sizeof file,
        "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: things.x}\nspec: {group: x, kind: Thing, templates: "
        "[{path: '%s'}]}\n",
        rows[i].path);
    struct mg_source source = {.path = "test.yaml", .text = mg_str_of(file)};
    mg_arena_init(&arena, (size_t)1 << 20, 0);
    mg_diags_init(&diags, &arena);
    bool good = mg_snapshot_new(&snapshot, mg_rules, &source, 1, &diags, &err) == 0;
    if (good != rows[i].good) fail_msg("%s: %s", rows[i].path, good ? "taken" : err.text);
    mg_snapshot_unref(snapshot);
    mg_arena_fini(&arena);
  }
}

static void labels_with_a_value(void **state) {
  (void)state;
  static const struct {
    const char *label;
    enum mg_role role;
  } rows[] = {{"nim-service", MG_ROLE_INFERENCE}, {"shop", MG_ROLE_SERVICE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct fixture f;
    char object[512];
    snprintf(object, sizeof object,
             "{apiVersion: v1, kind: Pod, metadata: {labels: {app.kubernetes.io/part-of: %s}, " OWNER(
                 "apps/v1", "ReplicaSet") "}, spec: {containers: [{name: a}]}}",
             rows[i].label);
    view(&f, NULL, object);
    assert_int_equal(f.workload->pods[0]->role, rows[i].role);
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

/* Whose failure is retried. */
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
#define TEMPLATE(request)                                                                                                        \
  "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: gpus, namespace: ml}\n"                         \
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
  struct mg_world world = {&f.snapshot->kinds, &f.snapshot->accelerators, f.snapshot->context, false};
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
      cmocka_unit_test(sums_of_kinds),
      cmocka_unit_test(devices_without_a_number),
      cmocka_unit_test(a_fragment_is_its_own_container),
      cmocka_unit_test(resources_kept_apart),
      cmocka_unit_test(nested_objects_have_roles_and_labels),
      cmocka_unit_test(nesting_ends),
      cmocka_unit_test(hostile_shapes_of_kinds),
      cmocka_unit_test(unreadable_devices_are_some),
      cmocka_unit_test(replicas_in_another_list),
      cmocka_unit_test(paths_of_a_kind),
      cmocka_unit_test(labels_with_a_value),
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
