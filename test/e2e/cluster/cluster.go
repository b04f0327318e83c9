// Package cluster starts a control plane of real Kubernetes binaries on loopback: etcd, API server, controller manager
// and scheduler, with hand-made nodes, and mlgate in front of it.
package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const server = "https://127.0.0.1:6443"

// Cluster is one control plane in one folder.
type Cluster struct {
	Dir, Bin  string
	Config    *rest.Config
	Client    kubernetes.Interface
	Dynamic   dynamic.Interface
	ca        *authority
	processes []*Process
	kubelet   *Kubelet
	stopNodes context.CancelFunc
	ctx       context.Context
}

func (c *Cluster) logs() string                  { return filepath.Join(c.Dir, "logs") }
func (c *Cluster) pki(name string) string        { return filepath.Join(c.Dir, "pki", name) }
func (c *Cluster) kubeconfig(user string) string { return filepath.Join(c.Dir, user+".kubeconfig") }

// AuditLog is the file that the API server writes its audit events to.
func (c *Cluster) AuditLog() string { return filepath.Join(c.logs(), "audit.log") }

// Start brings everything up, or nothing: on an error all that was started is stopped. The logs stay.
func Start(bin string) (*Cluster, error) {
	dir, err := os.MkdirTemp("", folderPrefix(os.Getenv(isolated)))
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Bin: bin}
	c.ctx, c.stopNodes = context.WithCancel(context.Background())
	for _, step := range []func() error{c.makeFiles, c.startEtcd, c.startAPIServer, c.connect, c.startControllers} {
		if err := step(); err != nil {
			c.Stop()
			return nil, fmt.Errorf("%w (logs: %s)", err, c.logs())
		}
	}
	return c, nil
}

// Stop ends all processes, last started first.
func (c *Cluster) Stop() {
	if c.kubelet != nil {
		c.kubelet.Stop()
	}
	c.stopNodes()
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Stop()
	}
	c.processes = nil
}

func (c *Cluster) forget(p *Process) {
	c.processes = slices.DeleteFunc(c.processes, func(other *Process) bool { return other == p })
}

// Remove deletes the folder.
func (c *Cluster) Remove() { _ = os.RemoveAll(c.Dir) }

// Logs is where the output of every process is.
func (c *Cluster) Logs() string { return c.logs() }

func (c *Cluster) run(name string, args ...string) (*Process, error) {
	p, err := startProcess(c.logs(), name, filepath.Join(c.Bin, name), []string{"KUBECONFIG=" + c.kubeconfig("admin")}, args...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

var users = []struct {
	file, name string
	groups     []string
}{
	{"admin", "admin", []string{"system:masters"}},
	{"controllers", "system:kube-controller-manager", nil},
	{"scheduler", "system:kube-scheduler", nil},
	{"to-mlgate", ClientName, nil},
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "%s", certificate-authority: "%s"}}]
users: [{name: user, user: {client-certificate: "%s", client-key: "%s"}}]
contexts: [{name: e2e, context: {cluster: e2e, user: user}}]
current-context: e2e
`

const auditText = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  namespaces: [recorded]
  resources: [{resources: [pods]}]
- level: Metadata
`

// How the API server shows itself to mlgate, which may ask for it; user names are those of the server called.
const admissionText = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: "%[1]s"}
- name: ValidatingAdmissionWebhook
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: "%[1]s"}
`

const callersText = `apiVersion: v1
kind: Config
users: [{name: "mlgate.mlgate-system.svc:8443", user: {client-certificate: "%s", client-key: "%s"}}]
`

func (c *Cluster) makeAdmissionFiles() error {
	callers := fmt.Sprintf(callersText, c.pki("to-mlgate.crt"), c.pki("to-mlgate.key"))
	if err := os.WriteFile(c.kubeconfig("callers"), []byte(callers), 0o600); err != nil {
		return err
	}
	text := fmt.Sprintf(admissionText, c.kubeconfig("callers"))
	return os.WriteFile(filepath.Join(c.Dir, "admission.yaml"), []byte(text), 0o600)
}

func (c *Cluster) makeFiles() error {
	for _, folder := range []string{"pki", "logs", "etcd", "kubectl"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, folder), 0o700); err != nil {
			return err
		}
	}
	ca, err := newAuthority(filepath.Join(c.Dir, "pki"))
	if err != nil {
		return err
	}
	c.ca = ca
	if err := ca.issue("server", "kube-apiserver", nil, "localhost", "127.0.0.1", "10.0.0.1", "kubernetes.default.svc"); err != nil {
		return err
	}
	if _, err := ca.newKey("tokens"); err != nil {
		return err
	}
	for _, u := range users {
		if err := ca.issue(u.file, u.name, u.groups); err != nil {
			return err
		}
		text := fmt.Sprintf(kubeconfigText, server, c.pki("ca.crt"), c.pki(u.file+".crt"), c.pki(u.file+".key"))
		if err := os.WriteFile(c.kubeconfig(u.file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := c.makeAdmissionFiles(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "audit.yaml"), []byte(auditText), 0o600)
}

func (c *Cluster) startEtcd() error {
	_, err := c.run("etcd", "--data-dir="+filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380")
	return err
}

func (c *Cluster) startAPIServer() error {
	_, err := c.run("kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443",
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--tls-cert-file="+c.pki("server.crt"), "--tls-private-key-file="+c.pki("server.key"), "--client-ca-file="+c.pki("ca.crt"),
		"--service-account-key-file="+c.pki("tokens.pub"), "--service-account-signing-key-file="+c.pki("tokens.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC", "--endpoint-reconciler-type=none", "--event-ttl=10m", "--allow-privileged=true",
		"--admission-control-config-file="+filepath.Join(c.Dir, "admission.yaml"),
		"--audit-policy-file="+filepath.Join(c.Dir, "audit.yaml"), "--audit-log-path="+c.AuditLog(), "--audit-log-mode=blocking")
	return err
}

// RestartAPIServer ends the API server, at once or as it wants to, starts another and waits until it is ready.
func (c *Cluster) RestartAPIServer(atOnce bool) error {
	for i, p := range c.processes {
		if p.Name != "kube-apiserver" {
			continue
		}
		if atOnce {
			p.Kill()
		} else {
			p.Stop()
		}
		c.processes = append(c.processes[:i], c.processes[i+1:]...)
		break
	}
	if err := c.startAPIServer(); err != nil {
		return err
	}
	return c.ready()
}

func (c *Cluster) connect() (err error) {
	c.Config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig("admin"))
	if err != nil {
		return err
	}
	c.Config.QPS = -1
	c.Config.WarningHandler = rest.NoWarnings{}
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	if c.Dynamic, err = dynamic.NewForConfig(c.Config); err != nil {
		return err
	}
	return c.ready()
}

// ready waits for the API server, the last that was started.
func (c *Cluster) ready() error {
	return eventually(60*time.Second, "API server ready", c.processes[len(c.processes)-1], func() error {
		_, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(c.ctx)
		return err
	})
}

func (c *Cluster) startControllers() error {
	access := func(user string) []string {
		f := c.kubeconfig(user)
		return []string{"--kubeconfig=" + f, "--authentication-kubeconfig=" + f, "--authorization-kubeconfig=" + f,
			"--leader-elect=false", "--secure-port=0"}
	}
	manager, err := c.run("kube-controller-manager", append(access("controllers"), "--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.pki("tokens.key"), "--root-ca-file="+c.pki("ca.crt"))...)
	if err != nil {
		return err
	}
	if _, err := c.run("kube-scheduler", access("scheduler")...); err != nil {
		return err
	}
	return eventually(30*time.Second, "controller manager", manager, func() error {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(c.ctx, "default", metav1.GetOptions{})
		return err
	})
}
