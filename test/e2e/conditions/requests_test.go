package conditions

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"
)

var (
	podKind     = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

type request struct {
	operation       admission.Operation
	namespace, name string
	subresource     string
	user            user.DefaultInfo
	object, old     *corev1.Pod
}

func (r *request) String() string {
	return string(review(r))
}

func one[T any](r *rand.Rand, choices ...T) T { return choices[r.Intn(len(choices))] }

func resourceName(r *rand.Rand) corev1.ResourceName {
	return one[corev1.ResourceName](r, "cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "nvidia.com/gpu", "nvidia.com/mig-1g.5gb",
		"nvidia.com/gpumem", "amd.com/gpu", "example.com/chip", "example.com/fpga", "gpu.intel.com/i915", "gpu.intel.com/i915_monitoring",
		"requests.nvidia.com/gpu", "deviceclass.resource.kubernetes.io/a")
}

func amounts(r *rand.Rand) corev1.ResourceList {
	ret := corev1.ResourceList{}
	for range 1 + r.Intn(2) {
		ret[resourceName(r)] = resource.MustParse(one(r, "0", "1", "2", "8", "-1", "1500m", "16Gi"))
	}
	return ret
}

// feature spoils a container or the Pod in one way that some policy may look at, or that looks like it.
type feature func(r *rand.Rand, p *corev1.Pod, c *corev1.Container)

var features = []feature{
	func(r *rand.Rand, _ *corev1.Pod, c *corev1.Container) { c.Resources.Limits = amounts(r) },
	func(r *rand.Rand, _ *corev1.Pod, c *corev1.Container) { c.Resources.Requests = amounts(r) },
	func(r *rand.Rand, _ *corev1.Pod, c *corev1.Container) {
		c.Resources.Limits = amounts(r)
		c.Resources.Requests = c.Resources.Limits.DeepCopy()
	},
	func(r *rand.Rand, _ *corev1.Pod, c *corev1.Container) {
		name := one(r, "NVIDIA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "HABANA_VISIBLE_DEVICES", "EXAMPLE_DEVICES",
			"nvidia_visible_devices", "PATH", "")
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: one(r, "all", "0,1", "void", "none", "")})
	},
	func(r *rand.Rand, _ *corev1.Pod, c *corev1.Container) {
		for i := range r.Intn(140) {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprint("V", i)})
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: "NVIDIA_VISIBLE_DEVICES", Value: "all"})
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		name := one(r, "", "nvidia", "nvidia-legacy", "habana", "runc", "example")
		p.Spec.RuntimeClassName = &name
	},
	func(r *rand.Rand, p *corev1.Pod, c *corev1.Container) {
		path := one(r, "/dev/nvidia0", "/dev", "//dev/../dev/dri", "/var/log", "/dev/null", "dev/kfd", "/")
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}})
		mount := corev1.VolumeMount{Name: one(r, "h", "h", "x"), MountPath: one(r, "/dev/x", "/var/run/nvidia-container-devices/all"), SubPath: one(r, "", "dev")}
		c.VolumeMounts = append(c.VolumeMounts, mount)
	},
	func(r *rand.Rand, p *corev1.Pod, c *corev1.Container) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "e", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "e", MountPath: one(r, "/dev/shm", "/data")})
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		key := one(r, "nvidia.com/gpu.present", "nvidia.com/mig.strategy", "kubernetes.io/os", "gpu.nvidia.com/class")
		p.Spec.NodeSelector = map[string]string{key: one(r, "true", "false", "x")}
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		key := one(r, "nvidia.com/gpu", "nvidia.com/gpu.present", "node.kubernetes.io/not-ready", "")
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: key, Operator: "Exists"})
	},
	func(r *rand.Rand, p *corev1.Pod, c *corev1.Container) {
		p.Annotations = map[string]string{one(r, "gpu-fraction", "gpu-memory", "example.com/share", "note"): one(r, "0.5", "", "1")}
		if r.Intn(4) == 0 {
			p.Annotations["gpu-fraction-container-name"] = c.Name
		}
	},
	func(r *rand.Rand, p *corev1.Pod, c *corev1.Container) {
		name := one(r, "gpus", "unknown")
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "c", ResourceClaimTemplateName: &name}}
		c.Resources.Claims = []corev1.ResourceClaim{{Name: one(r, "c", "c", "d")}}
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		p.Labels = map[string]string{"mlgate.dev/role": one(r, "training", "inference", "odd"), "training.kubeflow.org/job-name": "j"}
	},
	func(r *rand.Rand, p *corev1.Pod, c *corev1.Container) {
		c.Image = one(r, "nvcr.io/nvidia/pytorch:24.05-py3", "nvcr.io/nvidia/k8s/dcgm-exporter:3", "vllm/vllm-openai", "bad image")
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		p.Spec.PriorityClassName = one(r, "ml-training", "high")
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) { p.Spec.HostIPC = true },
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1790000000, 0)}
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		p.Annotations = map[string]string{"kubernetes.io/config.mirror": "x"}
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		p.Spec.Resources = &corev1.ResourceRequirements{Limits: amounts(r)}
	},
	func(r *rand.Rand, p *corev1.Pod, _ *corev1.Container) {
		for i := range 20 + r.Intn(20) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("m", i)})
		}
		p.Spec.Containers[len(p.Spec.Containers)-1].Resources.Limits = amounts(r)
	},
}

func bare(r *rand.Rand) *corev1.Pod {
	p := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	for i := range r.Intn(3) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: fmt.Sprint("i", i), Image: "busybox"})
		if always := corev1.ContainerRestartPolicyAlways; r.Intn(3) == 0 {
			p.Spec.InitContainers[i].RestartPolicy = &always
		}
	}
	for i := range one(r, 0, 1, 1, 1, 2, 3) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: "python:3"})
	}
	for i := range one(r, 0, 0, 0, 1) {
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers,
			corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: fmt.Sprint("e", i), Image: "busybox"}})
	}
	p.Spec.RestartPolicy = one(r, corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure)
	return p
}

// spoil puts a feature on one container of any list.
func spoil(r *rand.Rand, p *corev1.Pod) {
	none := corev1.Container{}
	all := []*corev1.Container{}
	for i := range p.Spec.InitContainers {
		all = append(all, &p.Spec.InitContainers[i])
	}
	for i := range p.Spec.Containers {
		all = append(all, &p.Spec.Containers[i])
	}
	for i := range p.Spec.EphemeralContainers {
		all = append(all, (*corev1.Container)(&p.Spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	c := &none
	if len(all) > 0 {
		c = one(r, all...)
	}
	features[r.Intn(len(features))](r, p, c)
}

func spoiled(r *rand.Rand, p *corev1.Pod) *corev1.Pod {
	for range one(r, 0, 1, 1, 1, 1, 2, 2, 3, 5) {
		spoil(r, p)
	}
	return p
}

func generate(r *rand.Rand) *request {
	q := &request{operation: admission.Create, name: "p", namespace: one(r, "ml-a", "ml-b", "team", "default", "resize-1", "override", "ml", "xml-a")}
	q.user.Name = one(r, "alice", "bob", "system:serviceaccount:ml-a:x", "system:serviceaccount:other:x", "")
	q.user.Groups = append([]string{"system:authenticated"}, one(r, nil, []string{"ml-engineers"}, []string{"a", "research/x"})...)
	p := bare(r)
	p.Name, p.Namespace = q.name, q.namespace
	switch one(r, 0, 0, 0, 1, 2, 3) {
	case 1:
		q.operation, q.old, q.object = admission.Update, spoiled(r, p), spoiled(r, p.DeepCopy())
	case 2:
		q.operation, q.object, q.old = admission.Update, spoiled(r, p), spoiled(r, bare(r))
		q.subresource = one(r, "", "ephemeralcontainers", "resize")
	case 3:
		if r.Intn(3) == 0 {
			q.operation, q.old = admission.Delete, spoiled(r, p)
			break
		}
		fallthrough
	default:
		q.object = spoiled(r, p)
	}
	return q
}

// heavy is as much as an expression reads of a Pod, and with more above zero, one above everywhere; nothing of it is an accelerator.
func heavy(more int, long string) *corev1.Pod {
	var c corev1.Container
	c.Resources.Limits, c.Resources.Requests = corev1.ResourceList{}, corev1.ResourceList{}
	for i := range 128 + more {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprint("NVIDIA_VISIBLE_DEVICE_", i)})
	}
	for i := range 32 + more {
		c.Resources.Limits[corev1.ResourceName(fmt.Sprint("r", i))] = resource.MustParse("1")
		c.Resources.Requests[corev1.ResourceName(fmt.Sprint(long[:200], i))] = resource.MustParse("1")
	}
	p := &corev1.Pod{}
	for i := range 32 + more {
		c.Name = fmt.Sprint("c", i)
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
	}
	p.Annotations = map[string]string{}
	for i := range 128 + more {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprint("v", i)})
		p.Annotations[fmt.Sprint(long, i)] = long
	}
	return p
}

/* ---- from outside ---- */

func shared() string {
	if s := os.Getenv("SHARED"); s != "" {
		return s
	}
	return "../../../../shared"
}

// typed is the Pod as the API server would hold it, or nil where it would refuse it.
func typed(value any) *corev1.Pod {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	p := &corev1.Pod{}
	if json.Unmarshal(text, p) != nil {
		return nil
	}
	p.APIVersion, p.Kind = "v1", "Pod"
	return p
}

func reviews(t *testing.T) []*request {
	files, _ := filepath.Glob(filepath.Join(shared(), "reviews", "*.json"))
	var ret []*request
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var a admissionv1.AdmissionReview
		if json.Unmarshal(text, &a) != nil || a.Request == nil || a.Request.Kind.Kind != "Pod" {
			continue
		}
		r := &request{operation: admission.Operation(a.Request.Operation), namespace: a.Request.Namespace, name: a.Request.Name, subresource: a.Request.SubResource}
		r.user.Name, r.user.Groups = a.Request.UserInfo.Username, a.Request.UserInfo.Groups
		if a.Request.Object.Raw != nil {
			r.object = typed(json.RawMessage(a.Request.Object.Raw))
		}
		if a.Request.OldObject.Raw != nil {
			r.old = typed(json.RawMessage(a.Request.OldObject.Raw))
		}
		if r.object != nil || r.old != nil {
			ret = append(ret, r)
		}
	}
	t.Logf("%d recorded reviews of Pods", len(ret))
	return ret
}

// pods finds every Pod and every template of one.
func pods(value any, found func(map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		if spec, ok := v["spec"].(map[string]any); ok {
			if _, ok := spec["containers"].([]any); ok {
				found(v)
			}
		}
		for _, inner := range v {
			pods(inner, found)
		}
	case []any:
		for _, inner := range v {
			pods(inner, found)
		}
	}
}

func corpus(t *testing.T) []*request {
	var ret []*request
	filepath.WalkDir(filepath.Join(shared(), "corpus"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !(strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
			return nil
		}
		text, _ := os.ReadFile(path)
		for _, document := range strings.Split(string(text), "\n---") {
			var value any
			if yaml.Unmarshal([]byte(document), &value) != nil {
				continue
			}
			pods(value, func(template map[string]any) {
				p := typed(map[string]any{"metadata": template["metadata"], "spec": template["spec"]})
				if p != nil {
					r := &request{operation: admission.Create, namespace: "ml-a", name: "p", object: p}
					r.user.Name, r.user.Groups = "alice", []string{"system:authenticated"}
					ret = append(ret, r)
				}
			})
		}
		return nil
	})
	t.Logf("%d Pods of the corpus", len(ret))
	return ret
}
