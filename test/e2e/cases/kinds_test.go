package cases

import (
	"strings"
	"testing"
)

// A request without a limit is refused by the API server itself in built-in kinds, so there the back door is what mlgate
// has to find; custom resources take anything.
var kinds = []struct {
	name, resource, env, resources string
}{
	{"pod", "pod", backDoor, ""},
	{"job", "job", backDoor, ""},
	{"deployment", "deployment", backDoor, ""},
	{"statefulset", "statefulset", backDoor, ""},
	{"cronjob", "cronjob", backDoor, ""},
	{"pytorchjob", "pytorchjobs.kubeflow.org", "", noLimit},
	{"raycluster", "rayclusters.ray.io", "", noLimit},
	{"jobset", "jobsets.jobset.x-k8s.io", "", noLimit},
	{"leaderworkerset", "leaderworkersets.leaderworkerset.x-k8s.io", "", noLimit},
}

func TestWithoutLimitRefused(t *testing.T) {
	ns := namespace(t, "refused")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			text := manifest(t, kind.name, kind.env, kind.resources)
			r := refused(t, text, []string{`validate.mlgate.dev" denied the request`}, "-n", ns, "create", "-f", "-")
			golden(t, "denied/"+kind.name+".txt", r.Err)
			if left := must(t, "", "-n", ns, "get", kind.resource, "-o", "name"); left != "" {
				t.Errorf("stored all the same: %s", left)
			}
		})
	}
}

func TestRequestWithoutLimitIsTheServersOwn(t *testing.T) {
	ns := namespace(t, "refused-own")
	r := refused(t, manifest(t, "pod", "", noLimit), []string{"Limit must be set for non overcommitable resources"}, "-n", ns, "create", "-f", "-")
	if strings.Contains(r.Err, "mlgate") {
		t.Errorf("mlgate was first: %s", r.Err)
	}
}

func TestWithLimitAcceptedAndPatched(t *testing.T) {
	ns := namespace(t, "accepted")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			must(t, manifest(t, kind.name, "", limited), "-n", ns, "create", "-f", "-")
			text := stored(t, ns, kind.resource, "bert")
			contains(t, text, "key: nvidia.com/gpu", `nvidia.com/gpu.present: "true"`)
			golden(t, "stored/"+kind.name+".yaml", text)
			must(t, "", "-n", ns, "delete", kind.resource, "bert", "--wait=false")
		})
	}
}

func TestTrainingPodHasAll(t *testing.T) {
	ns := namespace(t, "training-pod")
	must(t, manifest(t, "pod", "", limited), "-n", ns, "create", "-f", "-")
	p := pod(t, ns, "bert")
	if !tolerates(&p.Spec, "nvidia.com/gpu") || !mounts(&p.Spec.Containers[0], "/dev/shm") {
		t.Errorf("toleration or shared memory is missing: %+v", p.Spec)
	}
	equal(t, "class", p.Spec.PriorityClassName, "ml-training")
	if p.Spec.Priority == nil || p.Spec.PreemptionPolicy == nil {
		t.Fatal("a number of the class is missing")
	}
	equal(t, "priority", *p.Spec.Priority, 1000)
	equal(t, "preemption", string(*p.Spec.PreemptionPolicy), "Never")
}

func TestPodsOfControllersArePatchedOnce(t *testing.T) {
	for _, kind := range []string{"job", "deployment", "statefulset"} {
		t.Run(kind, func(t *testing.T) {
			ns := namespace(t, "made-"+kind)
			must(t, manifest(t, kind, "", "resources: {limits: {nvidia.com/gpu: 1, memory: 8Gi, cpu: 4}}"), "-n", ns, "create", "-f", "-")
			count := map[string]int{"job": 2, "deployment": 2, "statefulset": 1}[kind]
			for _, p := range pods(t, ns, count) {
				times := 0
				for _, toleration := range p.Spec.Tolerations {
					if toleration.Key == "nvidia.com/gpu" {
						times++
					}
				}
				equal(t, p.Name+": tolerations for the device", times, 1)
				equal(t, p.Name+": selector", p.Spec.NodeSelector["nvidia.com/gpu.present"], "true")
			}
			audited(t, ns, count)
			for _, event := range creations(t, ns) {
				asked, _ := rounds(&event)
				equal(t, "rounds in which mlgate was asked", len(asked), 1)
			}
		})
	}
}
