package cases

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type scanned struct {
	Summary map[string]int
	Results []struct {
		File    string
		Allowed bool
	}
	Errors []struct{ File, Message string }
}

// mlgate ends with one of the wanted statuses, as the shell's case has them.
func mlgate(t *testing.T, wanted string, args ...string) string {
	t.Helper()
	r := kube.Shell(".", fmt.Sprintf("status=0; %s %s || status=$?; case $status in %s) ;; *) echo exit $status >&2; exit 1 ;; esac",
		os.Getenv("MLGATE"), strings.Join(args, " "), wanted))
	if !r.OK {
		t.Fatalf("mlgate %v: %s%s", args, r.Out, r.Err)
	}
	return r.Out
}

func read[T any](t *testing.T, text string) (report T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return report
}

// TestScan judges what is stored, as an admin and as a reader who may list Deployments alone.
func TestScan(t *testing.T) {
	namespace(t, "scanned")
	limits := filepath.Join(baseline, "gpu-limits.yaml")
	text := "{apiVersion: apps/v1, kind: Deployment, metadata: {name: idle, namespace: scanned}, spec: {replicas: 1, " +
		"selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}"
	if r := kube.Kubectl(text, "apply", "-f", "-"); !r.OK {
		t.Fatal(r.Err)
	}
	report := read[scanned](t, mlgate(t, "0", "scan --format json --namespace scanned --policies", limits))
	if len(report.Results) != 1 || report.Results[0].File != "Deployment/scanned/idle" || len(report.Errors) != 0 {
		t.Errorf("scanned: %+v", report)
	}
	// Everywhere, where other cases may have left what is denied.
	report = read[scanned](t, mlgate(t, "0|1", "scan --format json --policies", limits))
	if len(report.Errors) != 0 || report.Summary["objects"] == 0 {
		t.Errorf("everywhere: %+v", report)
	}
	for _, args := range [][]string{
		{"create", "role", "reader", "-n", "scanned", "--verb=list", "--resource=deployments.apps"},
		{"create", "rolebinding", "reader", "-n", "scanned", "--role=reader", "--serviceaccount=scanned:default"},
	} {
		if r := kube.Kubectl("", args...); !r.OK {
			t.Fatal(r.Err)
		}
	}
	reader := asReader(t)
	report = read[scanned](t, mlgate(t, "3", "scan --format json --namespace scanned --policies", limits, "--kubeconfig", reader))
	if len(report.Results) != 1 || len(report.Errors) == 0 || !strings.Contains(report.Errors[0].Message, "forbidden") {
		t.Errorf("as a reader: %+v", report)
	}
}

// asReader is a kubeconfig of the namespace's service account, with all in it that files need not have.
func asReader(t *testing.T) string {
	t.Helper()
	token := kube.Kubectl("", "create", "token", "default", "-n", "scanned")
	shown := kube.Kubectl("", "config", "view", "--raw", "--flatten", "-o", "json")
	if !token.OK || !shown.OK {
		t.Fatal(token.Err, shown.Err)
	}
	config := read[map[string]any](t, shown.Out)
	for _, user := range config["users"].([]any) {
		user.(map[string]any)["user"] = map[string]any{"token": strings.TrimSpace(token.Out)}
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "reader")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplay judges the API server's own audit log as mlgate judged the requests when they came.
func TestReplay(t *testing.T) {
	namespace(t, "recorded")
	pod := "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: recorded}, spec: {containers: [{name: c, image: i, %s}]}}"
	fine := kube.Kubectl(fmt.Sprintf(pod, "fine", "resources: {limits: {nvidia.com/gpu: 1, memory: 1Gi, cpu: 1}}"), "create", "-f", "-")
	bad := kube.Kubectl(fmt.Sprintf(pod, "bad", "env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]"), "create", "-f", "-")
	label := kube.Kubectl("", "label", "pod", "-n", "recorded", "fine", "a=b")
	if !fine.OK || bad.OK || !strings.Contains(bad.Err, "denied the request") || !label.OK {
		t.Fatal(fine.Err, bad.Out, bad.Err, label.Err)
	}
	var report struct {
		Summary, Recorded map[string]any
		Findings          map[string]struct {
			Requests   int
			Namespaces []struct{ Name string }
		}
	}
	log := mlgate(t, "1", "replay --format json --policies", baseline, kube.AuditLog())
	if err := json.Unmarshal([]byte(log), &report); err != nil {
		t.Fatal(err)
	}
	denials := report.Findings["denials"]
	if denials.Requests != 1 || len(denials.Namespaces) != 1 || denials.Namespaces[0].Name != "recorded" {
		t.Errorf("denials: %+v", denials)
	}
	if report.Recorded["refused"].(float64) < 1 || report.Recorded["asStored"].(float64) < 1 {
		t.Errorf("recorded: %+v", report.Recorded)
	}
}
