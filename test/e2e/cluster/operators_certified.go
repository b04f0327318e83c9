package cluster

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hooked is an operator whose own webhooks, on its kind and on Pods, stand beside ours. It takes its certificate from a folder.
type hooked struct {
	name, group string
	port        int // metrics; the next is for health, the one after for webhooks
}

// JobSetOperator makes the Jobs of JobSets.
func (c *Cluster) JobSetOperator() (stop func(), err error) {
	return c.hookedOperator(&hooked{"jobset", "jobset.x-k8s.io", 9111})
}

// LWSOperator makes the StatefulSets of LeaderWorkerSets.
func (c *Cluster) LWSOperator() (stop func(), err error) {
	return c.hookedOperator(&hooked{"lws", "lws.x-k8s.io", 9131})
}

const hookedConfig = `apiVersion: config.%[1]s/v1alpha1
kind: Configuration
leaderElection: {leaderElect: false}
health: {healthProbeBindAddress: "127.0.0.1:%[3]d"}
metrics: {bindAddress: "127.0.0.1:%[2]d"}
webhook: {host: 127.0.0.1, port: %[4]d, certDir: %[5]q}
internalCertManagement: {enable: false}
`

func (c *Cluster) hookedOperator(h *hooked) (stop func(), err error) {
	config, err := c.hookedFiles(h)
	if err != nil {
		return nil, err
	}
	hooks, err := c.hooksOf(h)
	if err != nil {
		return nil, err
	}
	end, p, err := c.operator(h.name, "--config="+config)
	if err != nil {
		return nil, err
	}
	if err := eventually(30*time.Second, h.name, p, listening(h.port+2)); err != nil {
		return end, err
	}
	stop = func() { // the hooks first, else they refuse every Pod
		c.Kubectl(hooks, "delete", "-f", "-")
		end()
	}
	if r := c.Kubectl(hooks, "apply", "-f", "-"); !r.OK {
		return stop, errorf("webhooks of "+h.name, r)
	}
	return stop, nil
}

func (c *Cluster) hookedFiles(h *hooked) (config string, err error) {
	if err := c.ca.issue(h.name, h.name, nil, "127.0.0.1"); err != nil {
		return "", err
	}
	folder := filepath.Join(c.Dir, h.name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	for from, to := range map[string]string{h.name + ".crt": "tls.crt", h.name + ".key": "tls.key"} {
		if err := os.Rename(c.pki(from), filepath.Join(folder, to)); err != nil {
			return "", err
		}
	}
	config = filepath.Join(folder, "config.yaml")
	return config, os.WriteFile(config, fmt.Appendf(nil, hookedConfig, h.group, h.port, h.port+1, h.port+2, folder), 0o600)
}

var (
	serviceOfHook = regexp.MustCompile(`service:\n\s+name: webhook-service\n\s+namespace: system\n\s+path: (\S+)`)
	nameOfHooks   = regexp.MustCompile(`name: ((mutating|validating)-webhook-configuration)`)
)

// hooksOf is the operator's manifest, as its kustomization would name it: the API server asks webhooks in the order of these names.
func (c *Cluster) hooksOf(h *hooked) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Bin, h.name+"-webhooks.yaml"))
	if err != nil {
		return "", err
	}
	ca, err := os.ReadFile(c.pki("ca.crt"))
	if err != nil {
		return "", err
	}
	named := nameOfHooks.ReplaceAllString(string(text), "name: "+h.name+"-$1")
	return serviceOfHook.ReplaceAllString(named, fmt.Sprintf("url: https://127.0.0.1:%d$1\n    caBundle: %s", h.port+2,
		base64.StdEncoding.EncodeToString(ca))), nil
}

// selfCertified is an operator that makes its certificate, fills a Secret with it and waits until a kubelet mounts that. It writes the
// authority into a configuration, which need not have webhooks.
type selfCertified struct {
	name, namespace, secret, validator string
	port                               int // metrics; the next is for health, the one after for webhooks
	args                               []string
}

// TrainingOperator makes the Pods of PyTorchJobs.
func (c *Cluster) TrainingOperator() (stop func(), err error) {
	return c.selfCertifiedOperator(&selfCertified{"training-operator", "kubeflow", "training-operator-webhook-cert",
		"validator.training-operator.kubeflow.org", 9121, nil})
}

// Trainer makes the JobSets of TrainJobs; the operator of JobSets must run.
func (c *Cluster) Trainer() (stop func(), err error) {
	return c.selfCertifiedOperator(&selfCertified{"trainer", "kubeflow-system", "kubeflow-trainer-webhook-cert",
		"validator.trainer.kubeflow.org", 9151, []string{"--metrics-secure=false"}})
}

const selfCertifiedObjects = `{apiVersion: v1, kind: List, items: [
{apiVersion: v1, kind: Secret, metadata: {name: %[1]s, namespace: %[2]s}},
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: %[3]s}, webhooks: []}]}`

func (c *Cluster) selfCertifiedOperator(s *selfCertified) (stop func(), err error) {
	if err := c.Namespace(s.namespace, nil); err != nil {
		return nil, err
	}
	objects := fmt.Sprintf(selfCertifiedObjects, s.secret, s.namespace, s.validator)
	stop = func() {
		c.Kubectl(objects, "delete", "--ignore-not-found", "-f", "-")
		c.Kubectl("", "delete", "namespace", s.namespace, "--wait=false")
	}
	if r := c.Kubectl(objects, "apply", "-f", "-"); !r.OK {
		return stop, errorf(s.name, r)
	}
	folder, certs, err := c.privateFolder(s.name)
	if err != nil {
		return stop, err
	}
	p, err := c.runWithTmp(s.name, folder, append([]string{fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", s.port),
		fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", s.port+1), fmt.Sprintf("--webhook-server-port=%d", s.port+2)}, s.args...)...)
	if err != nil {
		return stop, err
	}
	end, remove := c.ender(p), stop
	stop = func() {
		end()
		remove()
	}
	err = eventually(60*time.Second, "certificate of "+s.name, p, func() error { return c.mountSecret(s, certs) })
	if err != nil {
		return stop, err
	}
	return stop, eventually(60*time.Second, s.name, p, listening(s.port+2))
}

// mountSecret does what a kubelet would.
func (c *Cluster) mountSecret(s *selfCertified, folder string) error {
	secret, err := c.Client.CoreV1().Secrets(s.namespace).Get(c.ctx, s.secret, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(secret.Data["tls.key"]) == 0 {
		return fmt.Errorf("the secret is empty")
	}
	for name, data := range secret.Data {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
