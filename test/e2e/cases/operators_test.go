package cases

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const oneDevice = "resources: {limits: {nvidia.com/gpu: 1, memory: 8Gi, cpu: 1}}"

// operated starts an operator for one case; without operators (CORE=1) the case is skipped.
func operated(t *testing.T, start func() (func(), error)) {
	t.Helper()
	if os.Getenv("CORE") != "" {
		t.Skip("CORE: no operators")
	}
	stop, err := start()
	if stop != nil {
		t.Cleanup(stop)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asPolicySays looks at one Pod that an operator made.
func asPolicySays(t *testing.T, p *corev1.Pod, class string) {
	t.Helper()
	times := 0
	for _, toleration := range p.Spec.Tolerations {
		if toleration.Key == "nvidia.com/gpu" {
			times++
		}
	}
	equal(t, p.Name+": tolerations for the device", times, 1)
	equal(t, p.Name+": selector", p.Spec.NodeSelector["nvidia.com/gpu.present"], "true")
	equal(t, p.Name+": class", p.Spec.PriorityClassName, class)
	if p.Spec.Priority == nil || p.Spec.PreemptionPolicy == nil {
		t.Errorf("%s: a number of the class is missing", p.Name)
	}
}

// settled waits until nobody changes the workload, what the operator makes of it, or the Pods any more, which in a fight with
// mlgate would not happen. Nobody may have changed what was written first.
func settled(t *testing.T, ns string, resources ...string) {
	t.Helper()
	versions := func() string {
		return must(t, "", "-n", ns, "get", strings.Join(append(resources, "pods"), ","), "-o", "jsonpath={.items[*].metadata.resourceVersion}")
	}
	eventually(t, 20*time.Second, "rest in "+ns, func() error {
		before := versions()
		time.Sleep(3 * time.Second)
		if after := versions(); after != before {
			return fmt.Errorf("still changed: %s, then %s", before, after)
		}
		return nil
	})
	for _, resource := range resources {
		generations := strings.Fields(must(t, "", "-n", ns, "get", resource, "-o", "jsonpath={.items[*].metadata.generation}"))
		if len(generations) == 0 || strings.Trim(strings.Join(generations, ""), "1") != "" {
			t.Errorf("%s: generations %v", resource, generations)
		}
	}
	t.Logf("requests to change an object: %v", changes(t, ns))
}

func TestPodsOfPyTorchJob(t *testing.T) {
	operated(t, kube.TrainingOperator)
	noOtherGPUPods(t)
	ns := namespace(t, "operator-pytorch")
	must(t, manifest(t, "pytorchjob", "", oneDevice), "-n", ns, "create", "-f", "-")
	for _, p := range pods(t, ns, 4) {
		asPolicySays(t, &p, "ml-training")
		equal(t, p.Name+": preemption", string(*p.Spec.PreemptionPolicy), "Never")
		equal(t, p.Name+": shared memory", mounts(&p.Spec.Containers[0], "/dev/shm"), true)
		equal(t, p.Name+": node", bound(t, ns, p.Name), "gpu-1")
	}
	settled(t, ns, "pytorchjobs.kubeflow.org")
}

func TestPodsOfJobSet(t *testing.T) {
	operated(t, kube.JobSetOperator)
	noOtherGPUPods(t)
	ns := namespace(t, "operator-jobset")
	must(t, manifest(t, "jobset", "", oneDevice), "-n", ns, "create", "-f", "-")
	for _, p := range pods(t, ns, 4) {
		asPolicySays(t, &p, "ml-training")
		equal(t, p.Name+": node", bound(t, ns, p.Name), "gpu-1")
	}
	settled(t, ns, "jobsets.jobset.x-k8s.io", "jobs")
}

func TestPodsOfRayCluster(t *testing.T) {
	operated(t, kube.RayOperator)
	noOtherGPUPods(t)
	ns := namespace(t, "operator-ray")
	must(t, manifest(t, "raycluster", "", oneDevice), "-n", ns, "create", "-f", "-")
	workers := 0
	for _, p := range pods(t, ns, 3) {
		if !strings.Contains(p.Name, "worker") {
			equal(t, p.Name+": tolerates devices", tolerates(&p.Spec, "nvidia.com/gpu"), false)
			continue
		}
		workers++
		asPolicySays(t, &p, "")
		equal(t, p.Name+": node", bound(t, ns, p.Name), "gpu-1")
	}
	equal(t, "workers", workers, 2)
	settled(t, ns, "rayclusters.ray.io")
}

// refusedAndAccepted is for what the operator's own definition or defaults make of a kind; the table of kinds knows nothing of them.
func refusedAndAccepted(t *testing.T, ns, kind, resource, keptAs string) {
	t.Helper()
	r := refused(t, manifest(t, kind, "", noLimit), []string{`workloads.validate.mlgate.dev" denied the request`}, "-n", ns, "create", "-f", "-")
	golden(t, "denied/"+kind+".txt", r.Err)
	equal(t, "stored all the same", must(t, "", "-n", ns, "get", resource, "-o", "name"), "")
	must(t, manifest(t, kind, "", oneDevice), "-n", ns, "create", "-f", "-")
	golden(t, "stored/"+keptAs+".yaml", stored(t, ns, resource, "bert"))
}

func TestPodsOfMPIJob(t *testing.T) {
	operated(t, kube.MPIOperator)
	noOtherGPUPods(t)
	ns := namespace(t, "operator-mpi")
	refusedAndAccepted(t, ns, "mpijob", "mpijobs.kubeflow.org", "mpijob")
	workers := 0
	for _, p := range pods(t, ns, 3) {
		if strings.Contains(p.Name, "launcher") {
			equal(t, p.Name+": tolerates devices", tolerates(&p.Spec, "nvidia.com/gpu"), false)
			continue
		}
		workers++
		asPolicySays(t, &p, "ml-training")
		equal(t, p.Name+": shared memory", mounts(&p.Spec.Containers[0], "/dev/shm"), true)
		equal(t, p.Name+": node", bound(t, ns, p.Name), "gpu-1")
	}
	equal(t, "workers", workers, 2)
	equal(t, "launcher jobs", must(t, "", "-n", ns, "get", "jobs", "-o", "name"), "job.batch/bert-launcher\n")
	settled(t, ns, "mpijobs.kubeflow.org", "jobs")
}

func TestPodsOfLeaderWorkerSet(t *testing.T) {
	operated(t, kube.LWSOperator)
	noOtherGPUPods(t)
	ns := namespace(t, "operator-lws")
	const resource = "leaderworkersets.leaderworkerset.x-k8s.io"
	refusedAndAccepted(t, ns, "leaderworkerset", resource, "leaderworkerset-defaulted")
	for _, p := range pods(t, ns, 2) {
		asPolicySays(t, &p, "")
		equal(t, p.Name+": node", bound(t, ns, p.Name), "gpu-1")
	}
	settled(t, ns, resource, "statefulsets")
}

// A TrainJob holds no pod template: its operator makes one, out of a runtime, in a JobSet. Where the workload table has no row for
// TrainJobs, that JobSet is what is refused.
func TestPodsOfTrainJob(t *testing.T) {
	operated(t, kube.JobSetOperator)
	operated(t, kube.Trainer)
	must(t, "", "apply", "-f", "testdata/training-runtime.yaml")
	t.Cleanup(func() { kubectl("", "delete", "-f", "testdata/training-runtime.yaml") })
	noOtherGPUPods(t)
	t.Run("refused without limits", func(t *testing.T) {
		ns := namespace(t, "operator-trainer-refused")
		r := kubectl(manifest(t, "trainjob", "", noLimit), "-n", ns, "create", "-f", "-")
		if !r.OK { // a row in the table of kinds then belongs to kinds_test.go, which holds the exact text
			contains(t, r.Err, `workloads.validate.mlgate.dev" denied the request: gpu-limits/gpuLimits: `,
				"requests 8 nvidia.com/gpu and sets no limit")
			return
		}
		var said string
		eventually(t, 20*time.Second, "event", func() error {
			if said = must(t, "", "-n", ns, "get", "events", "-o", "jsonpath={.items[?(@.type=='Warning')].message}"); said == "" {
				return errors.New("none")
			}
			return nil
		})
		golden(t, "denied/trainjob-event.txt", said+"\n")
		equal(t, "made all the same", must(t, "", "-n", ns, "get", "jobsets,jobs,pods", "-o", "name"), "")
	})
	t.Run("accepted with limits", func(t *testing.T) {
		ns := namespace(t, "operator-trainer")
		must(t, manifest(t, "trainjob", "", oneDevice), "-n", ns, "create", "-f", "-")
		for _, p := range pods(t, ns, 2) {
			asPolicySays(t, &p, "ml-training")
			equal(t, p.Name+": shared memory", mounts(&p.Spec.Containers[0], "/dev/shm"), true)
			equal(t, p.Name+": node", bound(t, ns, p.Name), "gpu-1")
		}
		settled(t, ns, "trainjobs.trainer.kubeflow.org", "jobsets.jobset.x-k8s.io", "jobs")
	})
}
