package cases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const gpuPod = `{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {mlgate.dev/role: %s}}, spec: {priorityClassName: %q,
  terminationGracePeriodSeconds: 0,
  containers: [{name: c, image: a/b:1, resources: {limits: {nvidia.com/gpu: %d, memory: 8Gi, cpu: 4}}}]}}`

func bound(t *testing.T, ns, name string) string {
	t.Helper()
	var node string
	eventually(t, 15*time.Second, name+" bound", func() error {
		if node = pod(t, ns, name).Spec.NodeName; node == "" {
			return fmt.Errorf("conditions: %+v", pod(t, ns, name).Status.Conditions)
		}
		return nil
	})
	return node
}

// unschedulable waits for the scheduler's reason.
func unschedulable(t *testing.T, ns, name, reason string) {
	t.Helper()
	eventually(t, 15*time.Second, name+" refused by the scheduler", func() error {
		for _, condition := range pod(t, ns, name).Status.Conditions {
			if condition.Type == corev1.PodScheduled && strings.Contains(condition.Message, reason) {
				return nil
			}
		}
		return fmt.Errorf("conditions: %+v", pod(t, ns, name).Status.Conditions)
	})
}

// cordon takes a node out of service for one case.
func cordon(t *testing.T, node string) {
	t.Helper()
	must(t, "", "cordon", node)
	t.Cleanup(func() { must(t, "", "uncordon", node) })
}

func TestSchedulerBindsBecauseOfThePatch(t *testing.T) {
	noOtherGPUPods(t)
	t.Run("without mlgate the taint keeps the pod away", func(t *testing.T) {
		const ns = "kube-public" // the hooks do not ask about it
		t.Cleanup(func() { kubectl("", "-n", ns, "delete", "pod", "plain", "--force", "--grace-period=0") })
		must(t, fmt.Sprintf(gpuPod, "plain", "training", "", 1), "-n", ns, "create", "-f", "-")
		unschedulable(t, ns, "plain", "untolerated taint")
	})
	t.Run("without mlgate a toleration alone leads to the node without the label", func(t *testing.T) {
		const ns = "kube-public"
		cordon(t, "gpu-1")
		text := strings.Replace(fmt.Sprintf(gpuPod, "tolerant", "training", "", 1), "spec: {", "spec: {tolerations: [{key: nvidia.com/gpu, operator: Exists}], ", 1)
		t.Cleanup(func() { kubectl("", "-n", ns, "delete", "pod", "tolerant", "--force", "--grace-period=0") })
		must(t, text, "-n", ns, "create", "-f", "-")
		equal(t, "node", bound(t, ns, "tolerant"), "gpu-bare")
	})
	t.Run("with mlgate the selector keeps the pod from it", func(t *testing.T) {
		ns := namespace(t, "selected")
		cordon(t, "gpu-1")
		must(t, fmt.Sprintf(gpuPod, "selected", "training", "", 1), "-n", ns, "create", "-f", "-")
		unschedulable(t, ns, "selected", "didn't match Pod's node affinity/selector")
		must(t, "", "uncordon", "gpu-1")
		equal(t, "node", bound(t, ns, "selected"), "gpu-1")
	})
	t.Run("pods of a job go to the labelled node", func(t *testing.T) {
		ns := namespace(t, "bound")
		must(t, manifest(t, "job", "", limited), "-n", ns, "create", "-f", "-")
		for _, p := range pods(t, ns, 2) {
			equal(t, p.Name, bound(t, ns, p.Name), "gpu-1")
		}
	})
}

func TestNeverDoesNotPreemptAndAnotherClassDoes(t *testing.T) {
	ns := namespace(t, "preemption")
	noOtherGPUPods(t)
	must(t, fmt.Sprintf(gpuPod, "runs", "batch", "e2e-low", 8), "-n", ns, "create", "-f", "-")
	equal(t, "node", bound(t, ns, "runs"), "gpu-1")

	must(t, fmt.Sprintf(gpuPod, "waits", "training", "", 8), "-n", ns, "create", "-f", "-")
	equal(t, "class given by mlgate", pod(t, ns, "waits").Spec.PriorityClassName, "ml-training")
	unschedulable(t, ns, "waits", "not eligible due to preemptionPolicy=Never")
	if p := pod(t, ns, "runs"); p.DeletionTimestamp != nil {
		t.Fatal("the running pod is evicted by training")
	}

	must(t, fmt.Sprintf(gpuPod, "serves", "inference", "ml-inference", 8), "-n", ns, "create", "-f", "-")
	equal(t, "class that the user chose", pod(t, ns, "serves").Spec.PriorityClassName, "ml-inference")
	eventually(t, 15*time.Second, "eviction", func() error {
		p, err := kube.Client.CoreV1().Pods(ns).Get(ctx, "runs", metav1.GetOptions{})
		if err == nil && p.DeletionTimestamp == nil {
			return fmt.Errorf("still there")
		}
		return nil
	})
	// What a kubelet would do.
	kubectl("", "-n", ns, "delete", "pod", "runs", "--force", "--grace-period=0", "--ignore-not-found")
	equal(t, "node", bound(t, ns, "serves"), "gpu-1")
}

// noOtherGPUPods waits until the pods of earlier cases have left the nodes.
func noOtherGPUPods(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "free devices", func() error {
		list, err := kube.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=gpu-1"})
		if err == nil && len(list.Items) > 0 {
			p := list.Items[0]
			kubectl("", "-n", p.Namespace, "delete", "pod", p.Name, "--force", "--grace-period=0", "--ignore-not-found", "--wait=false")
			err = fmt.Errorf("%s/%s is there", p.Namespace, p.Name)
		}
		return err
	})
}
