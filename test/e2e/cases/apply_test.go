package cases

import (
	"fmt"
	"strings"
	"testing"
)

// Lists of its own and a class that mlgate replaces: what a second apply of the same file sends back.
const ownLists = `tolerations: [{key: team, operator: Exists, effect: NoSchedule}], priorityClassName: ml-inference,
  nodeSelector: {disk: fast},`

const template = `{metadata: {labels: {app: a, mlgate.dev/role: training}}, spec: {%s
  containers: [{name: c, image: a/b:1, resources: {limits: {nvidia.com/gpu: 1, memory: 8Gi, cpu: 1}}}]}}`

func applied(kind string) string {
	spec := fmt.Sprintf(template, ownLists)
	selector := "selector: {matchLabels: {app: a}}"
	switch kind {
	case "pod":
		return "{apiVersion: v1, kind: Pod, " + strings.Replace(spec[1:], "metadata: {", "metadata: {name: a, ", 1)
	case "job":
		spec = strings.Replace(spec, "spec: {", "spec: {restartPolicy: Never, ", 1)
		return "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: " + spec + "}}"
	case "deployment":
		return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {" + selector + ", template: " + spec + "}}"
	case "statefulset":
		return "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {serviceName: a, " + selector + ", template: " + spec + "}}"
	default: // jobset
		spec = strings.Replace(spec, "spec: {", "spec: {restartPolicy: Never, ", 1)
		return "{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: a}, spec: {replicatedJobs: [{name: w, replicas: 1," +
			" template: {spec: {template: " + spec + "}}}]}}"
	}
}

// generation counts the changes of the spec.
func generation(t *testing.T, ns, kind string) string {
	t.Helper()
	return must(t, "", "-n", ns, "get", kind, "a", "-o", "jsonpath={.metadata.generation}")
}

func TestAppliedTwice(t *testing.T) {
	for _, kind := range []string{"pod", "job", "deployment", "statefulset", "jobset"} {
		for _, side := range []string{"client", "server"} {
			t.Run(kind+"/"+side, func(t *testing.T) {
				ns := namespace(t, "override-"+kind+"-"+side)
				args := []string{"-n", ns, "apply", "-f", "-"}
				if side == "server" {
					args = append(args, "--server-side")
				}
				must(t, applied(kind), args...)
				first := stored(t, ns, kind, "a")
				contains(t, first, "key: nvidia.com/gpu", "key: team", "disk: fast", `nvidia.com/gpu.present: "true"`, "ml-training", "/dev/shm")
				before := generation(t, ns, kind)
				must(t, applied(kind), args...)
				must(t, applied(kind), args...)
				equal(t, "generation", generation(t, ns, kind), before)
				if kind == "deployment" {
					equal(t, "replica sets", len(strings.Fields(must(t, "", "-n", ns, "get", "rs", "-o", "name"))), 1)
				}
				equal(t, "object", stored(t, ns, kind, "a"), first)
			})
		}
	}
}
