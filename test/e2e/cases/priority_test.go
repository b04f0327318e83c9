package cases

import (
	"fmt"
	"strings"
	"testing"
)

const classPod = `{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {mlgate.dev/role: training}}, spec: {%s
  containers: [{name: c, image: a/b:1, resources: {limits: {nvidia.com/gpu: 1}}}]}}`

// expectClass makes the pod and looks at what the Priority plugin has stored with the class.
func expectClass(t *testing.T, ns, spec, class string, value int32, policy string) {
	t.Helper()
	must(t, fmt.Sprintf(classPod, spec), "-n", ns, "create", "-f", "-")
	defer kubectl("", "-n", ns, "delete", "pod", "p", "--force", "--grace-period=0")
	p := pod(t, ns, "p")
	equal(t, "class", p.Spec.PriorityClassName, class)
	if p.Spec.Priority == nil || p.Spec.PreemptionPolicy == nil {
		t.Fatalf("priority %v, preemptionPolicy %v", p.Spec.Priority, p.Spec.PreemptionPolicy)
	}
	equal(t, "priority", *p.Spec.Priority, value)
	equal(t, "preemptionPolicy", string(*p.Spec.PreemptionPolicy), policy)
}

// What the Priority plugin has filled in before mlgate is asked, for each way of naming a class.
var forms = []struct{ name, spec string }{
	{"no class", ""},
	{"another class", "priorityClassName: ml-inference,"},
	{"another class and its number", "priorityClassName: ml-inference, priority: 5000,"},
	{"another class and both numbers", "priorityClassName: ml-inference, priority: 5000, preemptionPolicy: PreemptLowerPriority,"},
	{"no class and its number", "priority: 0,"},
	{"a class that never preempts", "priorityClassName: e2e-outside,"},
}

func TestPriorityPluginAgrees(t *testing.T) {
	known, outside := namespace(t, "override-forms"), namespace(t, "outside-forms")
	for _, form := range forms {
		t.Run("class known to mlgate/"+form.name, func(t *testing.T) {
			expectClass(t, known, form.spec, "ml-training", 1000, "Never")
		})
		t.Run("class known to the cluster only/"+form.name, func(t *testing.T) {
			expectClass(t, outside, form.spec, "e2e-outside", 77, "Never")
		})
	}
	t.Run("a user's class stays", func(t *testing.T) {
		expectClass(t, namespace(t, "plain-forms"), "priorityClassName: ml-inference,", "ml-inference", 5000, "PreemptLowerPriority")
	})
}

func TestPriorityWithGlobalDefault(t *testing.T) {
	must(t, "", "create", "priorityclass", "e2e-default", "--value=5", "--global-default=true")
	t.Cleanup(func() { kubectl("", "delete", "priorityclass", "e2e-default") })
	t.Run("overridden", func(t *testing.T) {
		ns := namespace(t, "override-default")
		for _, form := range forms {
			if strings.HasPrefix(form.spec, "priority:") {
				continue // the plugin itself refuses another number than the default's
			}
			t.Run(form.name, func(t *testing.T) { expectClass(t, ns, form.spec, "ml-training", 1000, "Never") })
		}
	})
	t.Run("overridden by a class that mlgate does not know", func(t *testing.T) {
		expectClass(t, namespace(t, "outside-default"), "", "e2e-outside", 77, "Never")
	})
}

func TestPriorityAllowed(t *testing.T) {
	ns := namespace(t, "allowed")
	refused(t, fmt.Sprintf(classPod, "priorityClassName: ml-inference,"), []string{"e2e-allowed/priority", "ml-inference"},
		"-n", ns, "create", "-f", "-")
	expectClass(t, ns, "", "ml-training", 1000, "Never")
}

// A default class that mlgate is told of counts as no choice of the user's.
func TestPriorityWithKnownGlobalDefault(t *testing.T) {
	ns := namespace(t, "known-default")
	must(t, "", "apply", "-f", "testdata/default-class.yaml")
	t.Cleanup(func() {
		kubectl("", "delete", "-f", "testdata/default-class.yaml")
		gate.Options = nil
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("unknown to mlgate it stays", func(t *testing.T) { expectClass(t, ns, "", "e2e-known", 6, "PreemptLowerPriority") })
	gate.Options = []string{"--context", "testdata/default-class.yaml"}
	if err := gate.Serve(baseline, own); err != nil {
		t.Fatal(err)
	}
	t.Run("known to mlgate it gives way", func(t *testing.T) { expectClass(t, ns, "", "ml-training", 1000, "Never") })
	t.Run("another class stays", func(t *testing.T) {
		expectClass(t, ns, "priorityClassName: ml-inference,", "ml-inference", 5000, "PreemptLowerPriority")
	})
}
