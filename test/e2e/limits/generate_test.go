package limits

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/kubernetes/pkg/apis/core"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func number(key string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil {
		return n
	}
	return otherwise
}

// pair is a namespace: its LimitRanges as they are written, and a Pod in it.
type pair struct {
	ranges []corev1.LimitRange
	pod    corev1.Pod
}

var (
	amounts = map[corev1.ResourceName][]string{
		"cpu": {"100m", "250m", "0.5", "500m", "1", "1500m", "1.5", "2", "4", "2e0", "0.3333", "1.0005", "1.500", "0", "+2", "02"},
		"memory": {"64Mi", "0.5Gi", "512Mi", "1Gi", "1e9", "1.5G", "1500M", "2Gi", "2048Mi", "0.1Gi", "4Gi", "123456789", "1E9", "3e8",
			"8000000k", "1.234G", "100m", "0"},
		"ephemeral-storage": {"1Gi", "10Gi", "1e10", "500M", "0.5Ti"},
		"nvidia.com/gpu":    {"1", "2", "4", "8", "0"},
		"hugepages-2Mi":     {"2Mi", "4Mi", "64Mi"},
	}
	names  = []corev1.ResourceName{"cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi"}
	ratios = []string{"1", "1.5", "2", "2500m", "10", "3e0"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.Intn(len(from))] }

func some(r *rand.Rand, chance float64) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i, name := range names {
		if r.Float64() < chance/float64(1+i/2) {
			list[name] = resource.MustParse(pick(r, amounts[name]))
		}
	}
	return list
}

func item(r *rand.Rand, kind corev1.LimitType) corev1.LimitRangeItem {
	it := corev1.LimitRangeItem{Type: kind}
	if r.Intn(3) > 0 {
		it.Max = some(r, 0.4)
	}
	if r.Intn(3) == 0 {
		it.Min = some(r, 0.3)
	}
	if r.Intn(3) == 0 {
		it.MaxLimitRequestRatio = corev1.ResourceList{}
		for _, name := range names[:2] {
			if r.Intn(2) == 0 {
				it.MaxLimitRequestRatio[name] = resource.MustParse(pick(r, ratios))
			}
		}
	}
	if kind == corev1.LimitTypeContainer {
		if r.Intn(2) == 0 {
			it.Default = some(r, 0.4)
		}
		if r.Intn(2) == 0 {
			it.DefaultRequest = some(r, 0.4)
		}
	}
	return it
}

// stored is what the API server makes of a LimitRange; false where it refuses it.
func stored(written *corev1.LimitRange) (*corev1.LimitRange, bool) {
	out, internal := written.DeepCopy(), core.LimitRange{}
	corev1defaults.SetObjectDefaults_LimitRange(out)
	if err := corev1defaults.Convert_v1_LimitRange_To_core_LimitRange(out.DeepCopy(), &internal, nil); err != nil {
		panic(err)
	}
	return out, len(validation.ValidateLimitRange(&internal)) == 0
}

func limitRange(r *rand.Rand, ns string, n int) corev1.LimitRange {
	for {
		written := corev1.LimitRange{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r%d", n), Namespace: ns},
		}
		if r.Intn(4) > 0 {
			written.Spec.Limits = append(written.Spec.Limits, item(r, corev1.LimitTypeContainer))
		}
		if r.Intn(2) == 0 || len(written.Spec.Limits) == 0 {
			written.Spec.Limits = append(written.Spec.Limits, item(r, corev1.LimitTypePod))
		}
		if _, good := stored(&written); good {
			return written
		}
	}
}

func container(r *rand.Rand, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "registry.example/train:1"}
	if r.Intn(4) > 0 {
		c.Resources.Limits = some(r, 0.6)
	}
	if r.Intn(3) > 0 {
		c.Resources.Requests = some(r, 0.5)
	}
	// Huge pages are not overcommitted, else the API server refuses the Pod.
	delete(c.Resources.Requests, "hugepages-2Mi")
	return c
}

func pod(r *rand.Rand, ns string) corev1.Pod {
	p := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "train", Namespace: ns},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever},
	}
	always := corev1.ContainerRestartPolicyAlways
	for i := 0; i < r.Intn(4); i++ {
		c := container(r, fmt.Sprintf("init-%d", i))
		if r.Intn(2) == 0 {
			c.RestartPolicy = &always
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
	for i := 0; i < 1+r.Intn(3); i++ {
		p.Spec.Containers = append(p.Spec.Containers, container(r, fmt.Sprintf("main-%d", i)))
	}
	if r.Intn(4) == 0 {
		p.Spec.Resources = &corev1.ResourceRequirements{}
		for _, name := range names[:2] {
			if r.Intn(2) == 0 {
				list := corev1.ResourceList{name: resource.MustParse(pick(r, amounts[name]))}
				if r.Intn(2) == 0 {
					p.Spec.Resources.Limits = list
				} else {
					p.Spec.Resources.Requests = list
				}
			}
		}
	}
	return p
}

// asSent is the pair as it comes out of JSON, where a quantity may have lost the form in which it was made.
func asSent(p pair) (sent pair) {
	again := func(from, to any) {
		body, err := json.Marshal(from)
		if err == nil {
			err = json.Unmarshal(body, to)
		}
		if err != nil {
			panic(err)
		}
	}
	again(p.ranges, &sent.ranges)
	again(p.pod, &sent.pod)
	return sent
}

func pairs(seed int64, count int) []pair {
	r := rand.New(rand.NewSource(seed))
	all := make([]pair, count)
	for i := range all {
		ns := fmt.Sprintf("n%05d", i)
		for n := 0; n < 1+r.Intn(3); n++ {
			all[i].ranges = append(all[i].ranges, limitRange(r, ns, n))
		}
		all[i].pod = pod(r, ns)
		all[i] = asSent(all[i])
	}
	return all
}

// text is a quantity in one of the many ways in which it can be written.
func text(r *rand.Rand) string {
	for {
		digits := strconv.Itoa(r.Intn([]int{10, 1000, 100000, 100000000}[r.Intn(4)]))
		if r.Intn(8) == 0 {
			digits = "0" + digits
		}
		if r.Intn(3) == 0 {
			digits += "." + strconv.Itoa(r.Intn([]int{10, 1000, 1000000}[r.Intn(3)]))
		}
		if r.Intn(10) == 0 {
			digits += strings.Repeat("0", r.Intn(5))
		}
		suffix := pick(r, []string{"", "", "m", "u", "n", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e0", "e1", "e3", "E3", "e-3", "e+2", "e6"})
		if r.Intn(20) == 0 {
			digits = "+" + digits
		}
		q, err := resource.ParseQuantity(digits + suffix)
		if err == nil && q.CmpInt64(1<<60) < 0 {
			return digits + suffix
		}
	}
}

// sums are Pods of two containers against a bound on the Pod: reading, rounding, adding, comparing and printing.
func sums(seed int64, count int) []pair {
	r := rand.New(rand.NewSource(seed))
	all := make([]pair, count)
	for i := range all {
		ns := fmt.Sprintf("q%05d", i)
		list := func() corev1.ResourceList { return corev1.ResourceList{"memory": resource.MustParse(text(r))} }
		all[i].ranges = []corev1.LimitRange{{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
			ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: ns},
			Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePod, Max: list(), Min: list()}}},
		}}
		all[i].pod = pod(r, ns)
		all[i].pod.Spec.InitContainers, all[i].pod.Spec.Resources = nil, nil
		all[i].pod.Spec.Containers = nil
		for n := 0; n < 1+r.Intn(2); n++ {
			c := corev1.Container{Name: fmt.Sprintf("main-%d", n), Image: "registry.example/train:1"}
			c.Resources.Limits = list()
			all[i].pod.Spec.Containers = append(all[i].pod.Spec.Containers, c)
		}
		all[i] = asSent(all[i])
	}
	return all
}
