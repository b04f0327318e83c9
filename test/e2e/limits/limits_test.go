// Package limits holds the rules limitRange and quota, and what `mlgate check` foresees of a Pod, against the API server's own
// LimitRanger and quota evaluator.
package limits

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	core "k8s.io/kubernetes/pkg/apis/core"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	evaluator "k8s.io/kubernetes/pkg/quota/v1/evaluator/core"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/utils/clock"
)

// --- what the API server does ---------------------------------------------------------------------------------------------

// received is a Pod as the API server reads it: its own defaults, then the plugin's.
func received(t *testing.T, written *corev1.Pod, ranges []*corev1.LimitRange) *core.Pod {
	pod, internal := written.DeepCopy(), &core.Pod{}
	corev1defaults.SetObjectDefaults_Pod(pod)
	if err := corev1defaults.Convert_v1_Pod_To_core_Pod(pod, internal, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range ranges {
		if err := limitranger.PodMutateLimitFunc(r, internal); err != nil {
			t.Fatal(err)
		}
	}
	return internal
}

func refusals(pod *core.Pod, ranges []*corev1.LimitRange) []string {
	var all []string
	for _, r := range ranges {
		if err := limitranger.PodValidateLimitFunc(r, pod); err != nil {
			for _, one := range err.(utilerrors.Aggregate).Errors() {
				all = append(all, one.Error())
			}
		}
	}
	return unique(all)
}

func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// --- what mlgate says -----------------------------------------------------------------------------------------------------

type result struct {
	Allowed    bool
	Violations []struct{ Rule, Message string }
	Warnings   []string
	Patch      json.RawMessage
}

func (r *result) messages() []string {
	var all []string
	for _, v := range r.Violations {
		all = append(all, v.Message)
	}
	return unique(all)
}

var foreseen = regexp.MustCompile(`^the API server will refuse this Pod: LimitRange [^:]*: (.*?)(, container [a-z0-9-]*)?$`)

func (r *result) foreseen() []string {
	var all []string
	for _, w := range r.Warnings {
		if hit := foreseen.FindStringSubmatch(w); hit != nil {
			all = append(all, hit[1])
		}
	}
	return unique(all)
}

func write(t *testing.T, path string, objects []any) {
	body, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, rule string, context, objects []any) []result {
	dir := t.TempDir()
	policy := "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: limits}\nspec:\n  rules:\n  - " + rule + "\n"
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "context.json"), context)
	write(t, filepath.Join(dir, "objects.json"), objects)
	cmd := exec.Command(os.Getenv("MLGATE"), "check", "--policies", "policy.yaml", "--context", "context.json", "--format", "json", "objects.json")
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	_ = cmd.Run()
	var report struct {
		Results []result
		Errors  []json.RawMessage
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Errors) > 0 || len(report.Results) != len(objects) {
		t.Fatalf("%v: %d results of %d, errors %s\n%s", err, len(report.Results), len(objects), report.Errors, errs.String())
	}
	return report.Results
}

// patched is the object as it is after mlgate's patch.
func patched(t *testing.T, object any, patch json.RawMessage, into any) {
	body, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	if body, err = operations.Apply(body); err != nil {
		t.Fatalf("%v: %s", err, patch)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

// --- comparing ------------------------------------------------------------------------------------------------------------

type tally struct{ same, all int }

func (c *tally) count(t *testing.T, what string, ns string, ours, theirs any) {
	c.all++
	if fmt.Sprint(ours) == fmt.Sprint(theirs) {
		c.same++
	} else if c.all-c.same <= 5 {
		t.Errorf("%s of %s:\n  mlgate     %v\n  API server %v", what, ns, ours, theirs)
	}
}

func (c *tally) print(t *testing.T, what string) {
	t.Logf("%-44s %d of %d agree", what, c.same, c.all)
	if c.same != c.all {
		t.Errorf("%s: %d of %d differ", what, c.all-c.same, c.all)
	}
}

func resources(pod *core.Pod) string {
	var all []string
	list := func(where string, from core.ResourceList) {
		for name, q := range from {
			canonical := resource.NewMilliQuantity(q.MilliValue(), resource.DecimalSI)
			all = append(all, fmt.Sprintf("%s %s=%s", where, name, canonical))
		}
	}
	for _, containers := range [][]core.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			list(containers[i].Name+" limit", containers[i].Resources.Limits)
			list(containers[i].Name+" request", containers[i].Resources.Requests)
		}
	}
	return strings.Join(unique(all), ", ")
}

func job(pod *corev1.Pod) map[string]any {
	return map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace},
		"spec": map[string]any{"template": map[string]any{"spec": pod.Spec}}}
}

func inputs(all []pair) (context, pods, jobs []any, inStore [][]*corev1.LimitRange) {
	for i := range all {
		var ranges []*corev1.LimitRange
		for n := range all[i].ranges {
			context = append(context, all[i].ranges[n])
			one, _ := stored(&all[i].ranges[n])
			ranges = append(ranges, one)
		}
		inStore = append(inStore, ranges)
		pods, jobs = append(pods, all[i].pod), append(jobs, job(&all[i].pod))
	}
	return
}

// TestPairs: the rule on Pods and on Jobs, and what check foresees without it.
func TestPairs(t *testing.T) {
	all := pairs(int64(number("SEED", 20261121)), number("PAIRS", 2000))
	context, pods, jobs, ranges := inputs(all)
	onPods, onJobs := check(t, "limitRange: {}", context, pods), check(t, "limitRange: {}", context, jobs)
	ahead := check(t, "gpuLimits: {signals: []}", context, pods)
	var defaults, verdicts, messages, jobDefaults, jobVerdicts, jobMessages, foresight tally
	refused := 0
	for i := range all {
		ns, theirs := all[i].pod.Namespace, received(t, &all[i].pod, ranges[i])
		said := refusals(theirs, ranges[i])
		if len(said) > 0 {
			refused++
		}
		var pod corev1.Pod
		patched(t, pods[i], onPods[i].Patch, &pod)
		defaults.count(t, "defaults", ns, resources(received(t, &pod, nil)), resources(theirs))
		verdicts.count(t, "verdict", ns, onPods[i].Allowed, len(said) == 0)
		messages.count(t, "messages", ns, strings.Join(onPods[i].messages(), "\n"), strings.Join(said, "\n"))
		foresight.count(t, "foresight", ns, strings.Join(ahead[i].foreseen(), "\n"), strings.Join(said, "\n"))

		var made struct {
			Spec struct{ Template struct{ Spec corev1.PodSpec } }
		}
		patched(t, jobs[i], onJobs[i].Patch, &made)
		pod = corev1.Pod{ObjectMeta: all[i].pod.ObjectMeta, Spec: made.Spec.Template.Spec}
		theirs = received(t, &pod, ranges[i])
		said = refusals(theirs, ranges[i])
		jobDefaults.count(t, "defaults of a Job", ns, resources(received(t, &pod, nil)), resources(theirs))
		jobVerdicts.count(t, "verdict of a Job", ns, onJobs[i].Allowed, len(said) == 0)
		jobMessages.count(t, "messages of a Job", ns, strings.Join(onJobs[i].messages(), "\n"), strings.Join(said, "\n"))
	}
	t.Logf("%d Pods, %d of them refused", len(all), refused)
	defaults.print(t, "Pods: defaults")
	verdicts.print(t, "Pods: verdict")
	messages.print(t, "Pods: messages")
	foresight.print(t, "Pods: what check foresees without the rule")
	jobDefaults.print(t, "Jobs: nothing is left to be defaulted")
	jobVerdicts.print(t, "Jobs: verdict, as of the Pod it makes")
	jobMessages.print(t, "Jobs: messages, as of the Pod it makes")
}

// TestQuantities: reading, rounding, adding, comparing, printing.
func TestQuantities(t *testing.T) {
	all := sums(int64(number("SEED", 20261121)), number("QUANTITIES", 10000)/2)
	context, pods, _, ranges := inputs(all)
	ours := check(t, "limitRange: {apply: [bounds]}", context, pods)
	var messages tally
	for i := range all {
		said := refusals(received(t, &all[i].pod, ranges[i]), ranges[i])
		messages.count(t, "messages", all[i].pod.Namespace, strings.Join(ours[i].messages(), "\n"), strings.Join(said, "\n"))
	}
	messages.print(t, "quantities: messages of their sums")
}

var asks = regexp.MustCompile(`^asks ([^ ]+) ([^,]+), quota`)

// TestQuota: what a Pod counts against a quota.
func TestQuota(t *testing.T) {
	all := pairs(int64(number("SEED", 20261121))+1, number("PAIRS", 2000))
	context, pods, _, ranges := inputs(all)
	keys := []string{"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "requests.ephemeral-storage",
		"limits.ephemeral-storage", "requests.nvidia.com/gpu", "hugepages-2Mi", "requests.hugepages-2Mi", "pods", "count/pods"}
	for i := range all {
		hard := map[string]any{}
		for _, key := range keys {
			hard[key] = "0"
		}
		context = append(context, map[string]any{"apiVersion": "v1", "kind": "ResourceQuota", "spec": map[string]any{"hard": hard},
			"metadata": map[string]any{"name": "q", "namespace": all[i].pod.Namespace}})
	}
	ours := check(t, "quota: {onExceed: deny}", context, pods)
	var usage tally
	for i := range all {
		pod := received(t, &all[i].pod, ranges[i])
		list, err := evaluator.PodUsageFunc(pod, clock.RealClock{})
		if err != nil {
			t.Fatal(err)
		}
		var theirs, said []string
		// Left out: huge pages of a pod that also has resources of its own, to which a LimitRange adds some of its own.
		huge := all[i].pod.Spec.Resources == nil
		for name, q := range list {
			if !huge && strings.Contains(string(name), "hugepages-") {
				continue
			}
			if slices.Contains(keys, string(name)) && !q.IsZero() {
				theirs = append(theirs, fmt.Sprintf("%s %d", name, q.MilliValue()))
			}
		}
		for _, m := range ours[i].messages() {
			if hit := asks.FindStringSubmatch(m); hit != nil && (huge || !strings.Contains(hit[2], "hugepages-")) {
				q := resource.MustParse(hit[1])
				said = append(said, fmt.Sprintf("%s %d", hit[2], q.MilliValue()))
			}
		}
		usage.count(t, "usage", all[i].pod.Namespace, strings.Join(unique(said), "\n"), strings.Join(unique(theirs), "\n"))
	}
	usage.print(t, "quota: what a Pod counts")
}
