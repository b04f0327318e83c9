package cases

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDryRunIsJudgedAndPatchedAndStoresNothing(t *testing.T) {
	ns := namespace(t, "dry-run")
	refused(t, manifest(t, "pod", backDoor, ""), []string{"gpu-limits/gpuLimits"}, "-n", ns, "create", "--dry-run=server", "-f", "-")
	out := must(t, manifest(t, "pod", "", limited), "-n", ns, "create", "--dry-run=server", "-o", "yaml", "-f", "-")
	contains(t, out, "key: nvidia.com/gpu", "priorityClassName: ml-training", "priority: 1000")
	equal(t, "stored", must(t, "", "-n", ns, "get", "pods", "-o", "name"), "")
}

func TestWarningsReachThePerson(t *testing.T) {
	ns := namespace(t, "warnings")
	const companions = "Warning: gpu-companions/gpuLimits: "
	t.Run("on what is allowed", func(t *testing.T) {
		r := kubectl(manifest(t, "pod", "", "resources: {limits: {nvidia.com/gpu: 1}}"), "-n", ns, "create", "-f", "-")
		if !r.OK {
			t.Fatal(r.Err)
		}
		equal(t, "warnings", strings.Count(r.Err, companions), 2)
		for _, line := range strings.Split(strings.TrimSpace(r.Err), "\n") {
			if length := len([]rune(strings.TrimPrefix(line, "Warning: "))); length > 120 {
				t.Errorf("%d characters: %s", length, line)
			}
		}
	})
	t.Run("on what is refused", func(t *testing.T) {
		r := refused(t, manifest(t, "pytorchjob", "", noLimit), []string{"denied the request"}, "-n", ns, "create", "-f", "-")
		contains(t, r.Err, companions)
	})
	t.Run("none twice and none where all is well", func(t *testing.T) {
		r := kubectl(manifest(t, "job", "", limited), "-n", ns, "create", "-f", "-")
		equal(t, "words", r.Err, "")
	})
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	ns := namespace(t, "control")
	text := strings.Replace(manifest(t, "pytorchjob", "", noLimit), "name: pytorch", `name: "a\u001b[31m\u202eb"`, 1)
	r := kubectl(text, "-n", ns, "create", "-f", "-")
	if r.OK {
		t.Fatal("not refused")
	}
	if strings.ContainsAny(r.Err, "\x1b\u202e") {
		t.Errorf("raw: %q", r.Err)
	}
}

func TestAuditAnnotations(t *testing.T) {
	ns := namespace(t, "audit")
	r := kubectl(manifest(t, "pod", backDoor, ""), "-n", ns, "create", "-f", "-")
	equal(t, "accepted", r.OK, false)
	annotations := audited(t, ns, 1).Annotations
	contains(t, annotations["pods.validate.mlgate.dev/violations"], "gpu-limits/gpuLimits=deny")
	contains(t, annotations["pods.validate.mlgate.dev/policies"], "gpu-limits")
	for key := range annotations {
		if strings.Contains(key, "mutate.mlgate.dev/") {
			t.Errorf("the mutating hook annotates: %s", key)
		}
	}
}

func TestEventTellsWhyAPodIsMissing(t *testing.T) {
	ns := namespace(t, "event")
	// The job itself is made while nobody judges, as one that was there before mlgate.
	if err := gate.Unregister(); err != nil {
		t.Fatal(err)
	}
	must(t, strings.Replace(manifest(t, "job", backDoor, ""), "parallelism: 2", "suspend: true", 1), "-n", ns, "create", "-f", "-")
	if err := gate.Register(); err != nil {
		t.Fatal(err)
	}
	must(t, "", "-n", ns, "patch", "job", "bert", "-p", `{"spec":{"suspend":false}}`)
	eventually(t, 15*time.Second, "event", func() error {
		out := must(t, "", "-n", ns, "get", "events", "-o", "jsonpath={.items[?(@.reason=='FailedCreate')].message}")
		if !strings.Contains(out, "gpu-limits/gpuLimits") {
			return fmt.Errorf("events: %s", out)
		}
		return nil
	})
}
