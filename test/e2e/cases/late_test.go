package cases

import (
	"fmt"
	"strings"
	"testing"
)

const lateTemplate = `{metadata: {labels: {app: a}}, spec: {%s
  containers: [{name: c, image: a/b:1, resources: {limits: {nvidia.com/gpu: 2}}}]}}`

// What a policy finds when it arrives can be labelled, scaled, finalised and deleted; only what is new is judged.
func TestPolicyAfterTheWorkload(t *testing.T) {
	ns := namespace(t, "late")
	workloads := map[string]string{}
	for _, kind := range []string{"pod", "job", "deployment", "statefulset"} {
		text := fmt.Sprintf(lateWorkloads[kind], fmt.Sprintf(lateTemplate, lateRestart[kind]))
		must(t, text, "-n", ns, "create", "-f", "-")
		workloads[kind] = text
	}
	if err := gate.Serve(baseline, own, late); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("new objects are judged", func(t *testing.T) {
		text := strings.Replace(workloads["job"], "name: a", "name: b", 1)
		refused(t, text, []string{"e2e-late/gpuLimits"}, "-n", ns, "create", "-f", "-")
	})
	for kind := range workloads {
		t.Run(kind, func(t *testing.T) { liveOn(t, ns, kind) })
	}
}

var lateWorkloads = map[string]string{
	"pod":         "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: a/b:1, resources: {limits: {nvidia.com/gpu: 2}}}]}}%.0s",
	"job":         "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: %s}}",
	"deployment":  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {matchLabels: {app: a}}, template: %s}}",
	"statefulset": "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {serviceName: a, selector: {matchLabels: {app: a}}, template: %s}}",
}

var lateRestart = map[string]string{"job": "restartPolicy: Never,"}

func liveOn(t *testing.T, ns, kind string) {
	spec := specOf(t, ns, kind)
	must(t, "", "-n", ns, "label", kind, "a", "mlgate.dev/role=training")
	must(t, "", "-n", ns, "annotate", kind, "a", "note=x")
	must(t, "", "-n", ns, "patch", kind, "a", "-p", `{"metadata":{"finalizers":["e2e.mlgate.dev/wait"]}}`)
	equal(t, "spec after changes of metadata", specOf(t, ns, kind), spec)
	switch kind {
	case "deployment", "statefulset":
		must(t, "", "-n", ns, "scale", kind, "a", "--replicas=3")
		must(t, "", "-n", ns, "patch", kind, "a", "-p", `{"spec":{"replicas":2}}`)
	case "job":
		must(t, "", "-n", ns, "patch", kind, "a", "-p", `{"spec":{"parallelism":2}}`)
	}
	must(t, "", "-n", ns, "delete", kind, "a", "--wait=false")
	must(t, "", "-n", ns, "patch", kind, "a", "-p", `{"metadata":{"finalizers":null}}`)
	if kind == "pod" {
		kubectl("", "-n", ns, "delete", "pod", "a", "--force", "--grace-period=0", "--ignore-not-found")
	}
	must(t, "", "-n", ns, "wait", "--for=delete", kind+"/a", "--timeout=20s")
}

func specOf(t *testing.T, ns, kind string) string {
	t.Helper()
	path := "jsonpath={.spec.template.spec}"
	if kind == "pod" {
		path = "jsonpath={.spec}"
	}
	return must(t, "", "-n", ns, "get", kind, "a", "-o", path)
}
