package cluster

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	bridge   = "pods"
	bridgeIP = "10.244.0.1"
)

var sandboxes atomic.Int32

// ip runs lines of ip(8), in another network namespace if one is given.
func ip(namespace, lines string) error {
	args := []string{"ip", "-batch", "-"}
	if namespace != "" {
		args = append([]string{"nsenter", "--net=" + namespace}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

func bridgeUp() error {
	return ip("", fmt.Sprintf("link add %[1]s type bridge\naddress add %[2]s/24 dev %[1]s\nlink set %[1]s up\n", bridge, bridgeIP))
}

func bridgeDown() { _ = ip("", "link delete "+bridge) }

// newSandbox makes the network of a Pod. It lives as long as the file is open or a process is in it.
func newSandbox() (string, *os.File, error) {
	file, err := newNamespace()
	if err != nil {
		return "", nil, err
	}
	n := sandboxes.Add(1)
	address, path := fmt.Sprintf("10.244.0.%d", 1+n), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd())
	err = ip("", fmt.Sprintf("link add pod%[1]d type veth peer name eth0 netns %[2]s\nlink set pod%[1]d master %[3]s up\n", n, path, bridge))
	if err == nil {
		err = ip(path, fmt.Sprintf("link set lo up\naddress add %s/24 dev eth0\nlink set eth0 up\nroute add default via %s\n", address, bridgeIP))
	}
	if err != nil {
		file.Close()
		return "", nil, err
	}
	return address, file, nil
}

// newNamespace leaves its thread where it was: a thread that ends would take the processes that it has started along.
func newNamespace() (*os.File, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	path := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	home, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back)
	}
	return file, err
}

// proxy answers on one port of a Service's own address.
type proxy struct {
	address  string
	listener net.Listener
	next     atomic.Uint32
	mu       sync.Mutex
	backends []string
}

func (k *Kubelet) syncServices() error {
	services, err := k.c.Client.CoreV1().Services(k.namespace).List(k.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	api, err := k.c.Client.CoreV1().Services("default").Get(k.ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return err
	}
	wanted := map[string][]string{net.JoinHostPort(api.Spec.ClusterIP, "443"): {strings.TrimPrefix(server, "https://")}}
	for i := range services.Items {
		if err := k.addBackends(wanted, &services.Items[i]); err != nil {
			return err
		}
	}
	for where := range k.proxies {
		if _, still := wanted[where]; !still {
			k.closeProxy(where)
		}
	}
	for where, backends := range wanted {
		if k.proxies[where] == nil {
			if k.proxies[where], err = newProxy(where); err != nil {
				return err
			}
		}
		k.proxies[where].set(backends)
	}
	return nil
}

func (k *Kubelet) addBackends(wanted map[string][]string, service *corev1.Service) error {
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	slices, err := k.c.Client.DiscoveryV1().EndpointSlices(k.namespace).List(k.ctx,
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name})
	if err != nil {
		return err
	}
	for _, port := range service.Spec.Ports {
		where := net.JoinHostPort(service.Spec.ClusterIP, fmt.Sprint(port.Port))
		wanted[where] = nil
		for i := range slices.Items {
			wanted[where] = append(wanted[where], readyBackends(&slices.Items[i], port.Name)...)
		}
	}
	return nil
}

func readyBackends(slice *discoveryv1.EndpointSlice, name string) (backends []string) {
	for _, port := range slice.Ports {
		if *port.Name != name {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
				backends = append(backends, net.JoinHostPort(endpoint.Addresses[0], fmt.Sprint(*port.Port)))
			}
		}
	}
	return backends
}

func newProxy(where string) (*proxy, error) {
	address, _, _ := net.SplitHostPort(where)
	_ = ip("", "address replace "+address+"/32 dev lo")
	listener, err := net.Listen("tcp", where)
	if err != nil {
		return nil, err
	}
	p := &proxy{address: address, listener: listener}
	go func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(front.(*net.TCPConn))
		}
	}()
	return p, nil
}

// closeProxy gives the address up with its last port.
func (k *Kubelet) closeProxy(where string) {
	gone := k.proxies[where]
	gone.listener.Close()
	delete(k.proxies, where)
	for _, other := range k.proxies {
		if other.address == gone.address {
			return
		}
	}
	_ = ip("", "address delete "+gone.address+"/32 dev lo")
}

func (p *proxy) set(backends []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backends = backends
}

// pick takes the ready ones in turn; what they answer, and whether, is their affair.
func (p *proxy) pick() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.backends) == 0 {
		return ""
	}
	return p.backends[int(p.next.Add(1))%len(p.backends)]
}

func (p *proxy) serve(front *net.TCPConn) {
	defer front.Close()
	back, err := net.Dial("tcp", p.pick())
	if err != nil {
		_ = front.SetLinger(0) // a reset, as of a port where nobody listens
		return
	}
	defer back.Close()
	var both sync.WaitGroup
	both.Go(func() { splice(back.(*net.TCPConn), front) })
	both.Go(func() { splice(front, back.(*net.TCPConn)) })
	both.Wait()
}

func splice(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		to.Close()
		return
	}
	_ = to.CloseWrite()
}
