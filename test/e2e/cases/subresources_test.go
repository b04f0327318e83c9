package cases

import (
	"fmt"
	"testing"
)

const resizePod = `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: a/b:1,
  resources: {requests: {memory: 8Gi, cpu: 1}, limits: {nvidia.com/gpu: 1, memory: 8Gi, cpu: 4}}}]}}`

const resizePatch = `{"spec":{"containers":[{"name":"c","resources":{"requests":{"memory":%q,"cpu":%q}}}]}}`

func TestResizeIsJudgedAndNeverPatched(t *testing.T) {
	ns := namespace(t, "resize")
	must(t, resizePod, "-n", ns, "create", "-f", "-")
	before := pod(t, ns, "p")
	refused(t, "", []string{"e2e-memory/gpuLimits"}, "-n", ns, "patch", "pod", "p", "--subresource", "resize", "-p", fmt.Sprintf(resizePatch, "4Gi", "1"))
	must(t, "", "-n", ns, "patch", "pod", "p", "--subresource", "resize", "-p", fmt.Sprintf(resizePatch, "8Gi", "2"))
	after := pod(t, ns, "p")
	equal(t, "cpu", after.Spec.Containers[0].Resources.Requests.Cpu().String(), "2")
	equal(t, "tolerations", len(after.Spec.Tolerations), len(before.Spec.Tolerations))
}

const ephemeral = `{"spec":{"ephemeralContainers":[{"name":%q,"image":"a/debug:1","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":%q}]}]}}`

func TestEphemeralContainersAreJudgedAndNeverPatched(t *testing.T) {
	ns := namespace(t, "ephemeral")
	must(t, `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: a/b:1}]}}`, "-n", ns, "create", "-f", "-")
	add := func(name, value string) []string {
		return []string{"-n", ns, "patch", "pod", "p", "--subresource", "ephemeralcontainers", "-p", fmt.Sprintf(ephemeral, name, value)}
	}
	refused(t, "", []string{"gpu-limits/gpuLimits", "ephemeralContainers"}, add("steals", "all")...)
	must(t, "", add("looks", "void")...)
	must(t, "", "-n", ns, "debug", "p", "--image=a/debug:1", "--container=plain", "--attach=false", "--quiet")
	p := pod(t, ns, "p")
	equal(t, "ephemeral containers", len(p.Spec.EphemeralContainers), 2)
	equal(t, "tolerates devices", tolerates(&p.Spec, "nvidia.com/gpu"), false)
}

func TestScaleAndStatusAreNotJudged(t *testing.T) {
	ns := namespace(t, "scale")
	must(t, manifest(t, "deployment", "", limited), "-n", ns, "create", "-f", "-")
	before := must(t, "", "-n", ns, "get", "deployment", "bert", "-o", "jsonpath={.spec.template}")
	must(t, "", "-n", ns, "scale", "deployment", "bert", "--replicas=1")
	must(t, "", "-n", ns, "patch", "deployment", "bert", "--subresource", "status", "-p", `{"status":{"collisionCount":1}}`)
	equal(t, "template", must(t, "", "-n", ns, "get", "deployment", "bert", "-o", "jsonpath={.spec.template}"), before)
}
