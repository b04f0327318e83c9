package cases

import (
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

// settled counts what the operator still changes after its Pods are there: a fight with mlgate would not end.
func settled(t *testing.T, ns, resource string) {
	t.Helper()
	version := func() string {
		return must(t, "", "-n", ns, "get", resource, "bert", "-o", "jsonpath={.metadata.generation} {.metadata.resourceVersion}")
	}
	eventually(t, 20*time.Second, resource+" at rest", func() error {
		before := version()
		time.Sleep(3 * time.Second)
		if after := version(); after != before {
			return fmt.Errorf("still changed: %s, then %s", before, after)
		}
		return nil
	})
	generation := must(t, "", "-n", ns, "get", resource, "bert", "-o", "jsonpath={.metadata.generation}")
	equal(t, "generation", generation, "1")
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
	settled(t, ns, "jobsets.jobset.x-k8s.io")
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
