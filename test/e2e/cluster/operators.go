package cluster

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// operator starts one and gives a function that ends it.
func (c *Cluster) operator(name string, args ...string) (stop func(), p *Process, err error) {
	if p, err = c.run(name, args...); err != nil {
		return nil, nil, err
	}
	return func() {
		p.Stop()
		kept := c.processes[:0]
		for _, other := range c.processes {
			if other != p {
				kept = append(kept, other)
			}
		}
		c.processes = kept
	}, p, nil
}

func listening(port int) func() error {
	return func() error {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// RayOperator makes the Pods of RayClusters.
func (c *Cluster) RayOperator() (stop func(), err error) {
	stop, p, err := c.operator("ray-operator", "--metrics-addr=127.0.0.1:9101", "--health-probe-bind-address=127.0.0.1:9102",
		"--enable-leader-election=false")
	if err != nil {
		return nil, err
	}
	return stop, eventually(30*time.Second, "ray-operator", p, listening(9102))
}

const jobsetConfig = `apiVersion: config.jobset.x-k8s.io/v1alpha1
kind: Configuration
leaderElection: {leaderElect: false}
health: {healthProbeBindAddress: "127.0.0.1:9112"}
metrics: {bindAddress: "127.0.0.1:9111"}
webhook: {host: 127.0.0.1, port: 9113, certDir: %q}
internalCertManagement: {enable: false}
`

var serviceOfHook = regexp.MustCompile(`service:\n\s+name: webhook-service\n\s+namespace: system\n\s+path: (\S+)`)

// JobSetOperator makes the Jobs of JobSets. Its own webhooks on JobSets and Pods are registered beside ours.
func (c *Cluster) JobSetOperator() (stop func(), err error) {
	if err := c.ca.issue("jobset", "jobset", nil, "127.0.0.1"); err != nil {
		return nil, err
	}
	folder := filepath.Join(c.Dir, "jobset")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	for from, to := range map[string]string{"jobset.crt": "tls.crt", "jobset.key": "tls.key"} {
		if err := os.Rename(c.pki(from), filepath.Join(folder, to)); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, jobsetConfig, folder), 0o600); err != nil {
		return nil, err
	}
	end, p, err := c.operator("jobset", "--config="+config)
	if err != nil {
		return nil, err
	}
	if err := eventually(30*time.Second, "jobset", p, listening(9113)); err != nil {
		return nil, err
	}
	hooks, err := c.jobsetHooks()
	if err != nil {
		return nil, err
	}
	stop = func() { // the hooks first, else they refuse every Pod
		c.Kubectl(hooks, "delete", "-f", "-")
		end()
	}
	if r := c.Kubectl(hooks, "apply", "-f", "-"); !r.OK {
		return stop, errorf("webhooks of jobset", r)
	}
	return stop, nil
}

func (c *Cluster) jobsetHooks() (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Bin, "jobset-webhooks.yaml"))
	if err != nil {
		return "", err
	}
	ca, err := os.ReadFile(c.pki("ca.crt"))
	if err != nil {
		return "", err
	}
	return serviceOfHook.ReplaceAllString(string(text),
		"url: https://127.0.0.1:9113$1\n    caBundle: "+base64.StdEncoding.EncodeToString(ca)), nil
}

// Where the training operator looks for its certificate; it takes no option for that.
const trainingCerts = "/tmp/k8s-webhook-server"

const trainingObjects = `{apiVersion: v1, kind: List, items: [
{apiVersion: v1, kind: Secret, metadata: {name: training-operator-webhook-cert, namespace: kubeflow}},
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration,
  metadata: {name: validator.training-operator.kubeflow.org}, webhooks: []}]}`

// TrainingOperator makes the Pods of PyTorchJobs. It fills a Secret with its certificate, which a kubelet would then mount.
func (c *Cluster) TrainingOperator() (stop func(), err error) {
	if err := c.Namespace("kubeflow", nil); err != nil {
		return nil, err
	}
	if r := c.Kubectl(trainingObjects, "apply", "-f", "-"); !r.OK {
		return nil, errorf("training-operator", r)
	}
	end, p, err := c.operator("training-operator", "--metrics-bind-address=127.0.0.1:9121",
		"--health-probe-bind-address=127.0.0.1:9122", "--webhook-server-port=9123")
	if err != nil {
		return nil, err
	}
	stop = func() {
		end()
		_ = os.RemoveAll(trainingCerts)
	}
	if err := eventually(60*time.Second, "certificate of training-operator", p, c.mountTrainingSecret); err != nil {
		stop()
		return nil, err
	}
	return stop, eventually(60*time.Second, "training-operator", p, listening(9123))
}

func (c *Cluster) mountTrainingSecret() error {
	secret, err := c.Client.CoreV1().Secrets("kubeflow").Get(c.ctx, "training-operator-webhook-cert", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(secret.Data["tls.key"]) == 0 {
		return fmt.Errorf("the secret is empty")
	}
	folder := filepath.Join(trainingCerts, "serving-certs")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for name, data := range secret.Data {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
