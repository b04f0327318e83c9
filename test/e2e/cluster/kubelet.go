package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Services lag behind, as they do: a Pod that ends is called for a while longer.
const (
	kubeletPeriod = 200 * time.Millisecond
	servicePeriod = time.Second
)

// Kubelet plays kubelet and kube-proxy for the Pods of one namespace on one node, so that an installation runs as it is
// rendered: volumes, user, root filesystem, probes, status, termination, Services. There is one image, and Pods have one
// container each; what it does not know it refuses. NetworkPolicies, limits and seccomp profiles are not enforced.
type Kubelet struct {
	c               *Cluster
	node, namespace string
	image           image
	dir             string
	log             *log.Logger
	cancel          context.CancelFunc
	ctx             context.Context
	group           sync.WaitGroup
	once            sync.Once
	mu              sync.Mutex // of pods
	pods            map[types.UID]*pod
	proxies         map[string]*proxy
}

// NewKubelet makes the node and runs there what is scheduled to it. Stop ends it all.
func (c *Cluster) NewKubelet(node, namespace, binary, containerfile string) (*Kubelet, error) {
	image, err := readImage(binary, containerfile)
	if err != nil {
		return nil, err
	}
	k := &Kubelet{c: c, node: node, namespace: namespace, image: image, dir: filepath.Join(c.Dir, "kubelet"),
		pods: map[types.UID]*pod{}, proxies: map[string]*proxy{}}
	if err := os.MkdirAll(filepath.Join(k.dir, "root"), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(k.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	k.log = log.New(file, "", log.Ltime|log.Lmicroseconds)
	if err := bridgeUp(); err != nil {
		return nil, err
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	c.kubelet = k
	k.every(kubeletPeriod, k.syncPods)
	k.every(servicePeriod, k.syncServices)
	if err := c.Node(node, 0, nil); err != nil {
		k.Stop()
		return nil, err
	}
	return k, nil
}

// LogFile says what was done and what went wrong; the containers' own output is beside it.
func (k *Kubelet) LogFile() string { return filepath.Join(k.c.logs(), "kubelet.log") }

// every calls it again and again until Stop.
func (k *Kubelet) every(period time.Duration, sync func() error) {
	k.group.Go(func() {
		for wait(k.ctx, period) {
			if err := sync(); err != nil && k.ctx.Err() == nil {
				k.log.Print(err)
			}
		}
	})
}

func wait(ctx context.Context, period time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(period):
		return true
	}
}

// Stop kills every container and takes the network and the node away.
func (k *Kubelet) Stop() { k.once.Do(k.stop) }

func (k *Kubelet) stop() {
	k.cancel()
	k.group.Wait()
	for where := range k.proxies {
		k.closeProxy(where)
	}
	bridgeDown()
	_ = os.RemoveAll(k.dir)
	k.c.kubelet = nil
	_ = k.c.Client.CoreV1().Nodes().Delete(k.c.ctx, k.node, metav1.DeleteOptions{})
	_ = k.c.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(k.c.ctx, k.node, metav1.DeleteOptions{})
}

func (k *Kubelet) syncPods() error {
	list, err := k.c.Client.CoreV1().Pods(k.namespace).List(k.ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + k.node})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[types.UID]bool{}
	for i := range list.Items {
		object := &list.Items[i]
		seen[object.UID] = true
		if k.pods[object.UID] != nil {
			continue
		}
		p := &pod{k: k, name: object.Name, object: object, dir: filepath.Join(k.dir, string(object.UID))}
		k.pods[object.UID] = p
		k.group.Go(p.live)
	}
	// Only what is gone is forgotten: a finalizer may hold a Pod whose container has ended.
	for uid := range k.pods {
		if !seen[uid] {
			delete(k.pods, uid)
		}
	}
	return nil
}

// Kill ends the process of a Pod without notice, as a crash would.
func (k *Kubelet) Kill(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pods {
		if pid := p.pid.Load(); p.name == name && pid > 0 {
			return syscall.Kill(int(pid), syscall.SIGKILL)
		}
	}
	return fmt.Errorf("%s does not run", name)
}

// patchStatus writes it if it is another than the last one.
func (p *pod) patchStatus(status *corev1.PodStatus) {
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.object.UID}, "status": status})
	if err != nil || string(text) == p.reported {
		return
	}
	_, err = p.k.c.Client.CoreV1().Pods(p.k.namespace).Patch(p.k.ctx, p.name, types.StrategicMergePatchType, text,
		metav1.PatchOptions{}, "status")
	if err != nil {
		p.say("status: %v", err)
		return
	}
	p.reported = string(text)
}

// say does not repeat itself, since most is tried again and again.
func (p *pod) say(format string, args ...any) {
	text := p.name + ": " + fmt.Sprintf(format, args...)
	if text != p.said {
		p.k.log.Print(text)
	}
	p.said = text
}
