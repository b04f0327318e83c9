package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kind is a sort of Pod, with what must become of it.
type kind struct {
	name             string
	gpus             string
	limited          bool
	refused, patched bool
}

var (
	plain     = kind{name: "plain"}
	trained   = kind{name: "gpu", gpus: "2", limited: true, patched: true}
	unlimited = kind{name: "unlimited", refused: true}
)

func newPod(name string, k kind) *corev1.Pod {
	container := corev1.Container{Name: "main", Image: "registry.example/team/image:1"}
	if k.limited {
		container.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(k.gpus),
			"memory": resource.MustParse("8Gi"), "cpu": resource.MustParse("4")}
	}
	if k.refused {
		container.Env = []corev1.EnvVar{{Name: "NVIDIA_VISIBLE_DEVICES", Value: "all"}}
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "load"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}
}

func create(dry bool) metav1.CreateOptions {
	if dry {
		return metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	}
	return metav1.CreateOptions{}
}

// judged says how an answer differs from what both hooks must make of it.
func judged(k kind, got *corev1.Pod, err error) error {
	if k.refused {
		if err != nil && strings.Contains(err.Error(), "denied the request") && strings.Contains(err.Error(), "gpu-limits") {
			return nil
		}
		return fmt.Errorf("not refused: %v", err)
	}
	if err != nil {
		return err
	}
	tolerates := false
	for _, t := range got.Spec.Tolerations {
		tolerates = tolerates || t.Key == "nvidia.com/gpu"
	}
	if tolerates != k.patched {
		return fmt.Errorf("%s: patched: %v", k.name, tolerates)
	}
	return nil
}

// clients have connections of their own: one HTTP/2 connection carries a hundred requests at most.
func (s *stage) clients(n int) ([]kubernetes.Interface, error) {
	all := make([]kubernetes.Interface, n)
	for i := range all {
		config := rest.CopyConfig(s.kube.Config)
		config.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
		config.Timeout = 60 * time.Second
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		all[i] = client
	}
	return all, nil
}

// batch is a number of creates and what came of them.
type batch struct {
	namespace string
	dry       bool
	count     int
	kinds     []kind
	judge     bool // else only that the API server accepts it

	lock   sync.Mutex
	failed int
	errors map[string]int
	times  []time.Duration
}

// run shares the batch among the workers.
func (b *batch) run(clients []kubernetes.Interface, workers int) {
	var next atomic.Int64
	var group sync.WaitGroup
	b.errors = map[string]int{}
	b.times = make([]time.Duration, b.count)
	for w := range workers {
		client := clients[w*len(clients)/workers]
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < b.count; i = int(next.Add(1)) - 1 {
				b.one(client, i)
			}
		}()
	}
	group.Wait()
	sort.Slice(b.times, func(i, j int) bool { return b.times[i] < b.times[j] })
}

func (b *batch) one(client kubernetes.Interface, i int) {
	k := b.kinds[i%len(b.kinds)]
	name := fmt.Sprintf("%s-%d", k.name, i)
	begin := time.Now()
	got, err := client.CoreV1().Pods(b.namespace).Create(context.Background(), newPod(name, k), create(b.dry))
	b.times[i] = time.Since(begin)
	if b.judge {
		err = judged(k, got, err)
	}
	if err != nil {
		b.lock.Lock()
		b.failed++
		b.errors[strings.ReplaceAll(err.Error(), name, "NAME")]++
		b.lock.Unlock()
	}
}

func (b *batch) quantile(q float64) time.Duration {
	return b.times[int(q*float64(len(b.times)-1))].Round(100 * time.Microsecond)
}

func (b *batch) result() error {
	if b.failed == 0 {
		return nil
	}
	texts := []string{fmt.Sprintf("%s: %d of %d failed", b.namespace, b.failed, b.count)}
	for text, times := range b.errors {
		if len(texts) < 6 {
			texts = append(texts, fmt.Sprintf("%d times: %s", times, text))
		}
	}
	return errors.New(strings.Join(texts, "\n  "))
}
