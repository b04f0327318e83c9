package main

import (
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The policies of policies/baseline as one writes them in Go: typed structs, operations by hand.

const (
	visibleDevices = "NVIDIA_VISIBLE_DEVICES"
	className      = "ml-training"
	classValue     = 1000
	shm            = "/dev/shm"
	volumeName     = "dshm"
)

var (
	shmMax   = resource.MustParse("16Gi")
	exempt   = map[string]bool{"kube-system": true, "kube-public": true, "kube-node-lease": true}
	training = map[string]bool{"PyTorchJob": true, "TFJob": true, "MPIJob": true, "XGBoostJob": true, "PaddleJob": true,
		"JAXJob": true, "TrainJob": true, "JobSet": true, "RayJob": true}
	classes = map[string]bool{"nvidia": true, "nvidia-cdi": true, "nvidia-legacy": true}
)

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func isAccelerator(name core.ResourceName) bool {
	s := string(name)
	return strings.HasPrefix(s, "nvidia.com/gpu") || strings.HasPrefix(s, "nvidia.com/mig-") || s == "amd.com/gpu" ||
		strings.HasPrefix(s, "gpu.intel.com/") || s == "habana.ai/gaudi" || s == "google.com/tpu" || s == "aws.amazon.com/neuron"
}

func devices(c *core.Container) (sum int64) {
	for name, q := range c.Resources.Limits {
		if isAccelerator(name) {
			sum += q.Value()
		}
	}
	return sum
}

func uses(c *core.Container) bool {
	for name := range c.Resources.Requests {
		if isAccelerator(name) {
			return true
		}
	}
	return devices(c) > 0
}

func isTraining(p *core.Pod) bool {
	if role, ok := p.Labels["mlgate.dev/role"]; ok {
		return role == "training"
	}
	for i := range p.OwnerReferences {
		if o := &p.OwnerReferences[i]; o.Controller != nil && *o.Controller {
			return training[o.Kind]
		}
	}
	return false
}

func all(p *core.Pod) []*core.Container {
	list := make([]*core.Container, 0, len(p.Spec.InitContainers)+len(p.Spec.Containers))
	for i := range p.Spec.InitContainers {
		list = append(list, &p.Spec.InitContainers[i])
	}
	for i := range p.Spec.Containers {
		list = append(list, &p.Spec.Containers[i])
	}
	return list
}

func join(lines []string) string {
	return strings.Join(lines, "\n")
}

// judge is gpu-limits and gpu-companions.
func judge(p *core.Pod) (denials, warnings []string) {
	if exempt[p.Namespace] {
		return nil, nil
	}
	any := false
	for _, c := range all(p) {
		d, w := judgeContainer(c)
		denials, warnings = append(denials, d...), append(warnings, w...)
		any = any || uses(c)
	}
	if class := p.Spec.RuntimeClassName; !any && class != nil && classes[*class] {
		denials = append(denials, fmt.Sprintf("runtime class %q shows devices and no container sets a limit", *class))
	}
	return denials, warnings
}

func judgeContainer(c *core.Container) (denials, warnings []string) {
	for name, request := range c.Resources.Requests {
		limit, ok := c.Resources.Limits[name]
		switch {
		case !isAccelerator(name):
		case !ok:
			denials = append(denials, fmt.Sprintf("container %q requests %s %s and sets no limit", c.Name, request.String(), name))
		case limit.Cmp(request) != 0:
			denials = append(denials, fmt.Sprintf("container %q requests %s %s but its limit is %s", c.Name, request.String(), name,
				limit.String()))
		}
	}
	for name, limit := range c.Resources.Limits {
		if isAccelerator(name) && (limit.Sign() < 0 || limit.MilliValue()%1000 != 0) {
			denials = append(denials, fmt.Sprintf("container %q asks for %s %s", c.Name, limit.String(), name))
		}
	}
	if !uses(c) {
		for i := range c.Env {
			if e := &c.Env[i]; e.Name == visibleDevices && e.Value != "" && e.Value != "none" && e.Value != "void" {
				denials = append(denials, fmt.Sprintf("container %q sees devices by %s without a limit", c.Name, visibleDevices))
			}
		}
		return denials, warnings
	}
	for _, name := range []core.ResourceName{core.ResourceMemory, core.ResourceCPU} {
		if q, ok := c.Resources.Limits[name]; !ok || q.IsZero() {
			warnings = append(warnings, fmt.Sprintf("container %q uses an accelerator and sets no %s limit", c.Name, name))
		}
	}
	return denials, warnings
}

// changes is gpu-tolerations, the two of shared memory and training-priority.
func changes(p *core.Pod) (operations []operation) {
	var sum int64
	if exempt[p.Namespace] {
		return nil
	}
	names := map[string]bool{}
	for _, c := range all(p) {
		sum += devices(c)
		for name := range c.Resources.Limits {
			if isAccelerator(name) {
				names[string(name)] = true
			}
		}
	}
	if sum == 0 {
		return nil
	}
	operations = append(operations, tolerate(p, names)...)
	if isTraining(p) || sum >= 2 {
		operations = append(operations, share(p)...)
	}
	if isTraining(p) && p.Spec.PriorityClassName == "" {
		operations = append(operations, prioritise(p)...)
	}
	return operations
}

func tolerates(list []core.Toleration, key string) bool {
	return slices.ContainsFunc(list, func(t core.Toleration) bool {
		return (t.Key == key || t.Key == "") && t.Operator == core.TolerationOpExists && t.TolerationSeconds == nil &&
			(t.Effect == "" || t.Effect == core.TaintEffectNoSchedule)
	})
}

func tolerate(p *core.Pod, names map[string]bool) (operations []operation) {
	for name := range names {
		if tolerates(p.Spec.Tolerations, name) {
			continue
		}
		if len(p.Spec.Tolerations) == 0 && len(operations) == 0 {
			operations = append(operations, operation{"add", "/spec/tolerations", []core.Toleration{}})
		}
		operations = append(operations, operation{"add", "/spec/tolerations/-",
			core.Toleration{Key: name, Operator: core.TolerationOpExists, Effect: core.TaintEffectNoSchedule}})
	}
	return operations
}

func share(p *core.Pod) (operations []operation) {
	var size *resource.Quantity
	var mounts []operation
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		if devices(c) == 0 || slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == shm }) {
			continue
		}
		own := shmMax.DeepCopy()
		if limit, ok := c.Resources.Limits[core.ResourceMemory]; ok && limit.Value()/2 < own.Value() {
			own = *resource.NewQuantity(limit.Value()/2>>20<<20, resource.BinarySI)
		}
		if size == nil || own.Cmp(*size) > 0 {
			size = &own
		}
		if len(c.VolumeMounts) == 0 {
			mounts = append(mounts, operation{"add", fmt.Sprintf("/spec/containers/%d/volumeMounts", i), []core.VolumeMount{}})
		}
		mounts = append(mounts, operation{"add", fmt.Sprintf("/spec/containers/%d/volumeMounts/-", i),
			core.VolumeMount{Name: volumeName, MountPath: shm}})
	}
	if size == nil {
		return nil
	}
	if len(p.Spec.Volumes) == 0 {
		operations = append(operations, operation{"add", "/spec/volumes", []core.Volume{}})
	}
	source := core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{Medium: core.StorageMediumMemory, SizeLimit: size}}
	operations = append(operations, operation{"add", "/spec/volumes/-", core.Volume{Name: volumeName, VolumeSource: source}})
	return append(operations, mounts...)
}

func prioritise(p *core.Pod) []operation {
	operations := []operation{{"add", "/spec/priorityClassName", className}}
	if p.Spec.Priority != nil {
		operations = append(operations, operation{"replace", "/spec/priority", classValue})
	}
	if p.Spec.PreemptionPolicy != nil {
		operations = append(operations, operation{"replace", "/spec/preemptionPolicy", core.PreemptNever})
	}
	return operations
}
