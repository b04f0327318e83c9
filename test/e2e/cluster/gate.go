package cluster

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	gatePort  = 8443
	gatePlain = 8082 // not 8080, which the MPI operator takes
)

// Gate is mlgate in front of the cluster.
type Gate struct {
	Binary      string
	Hooks       string // file of webhook configurations; CA_BUNDLE and PORT in it are filled in. "": what `mlgate manifests` renders
	Certs       string // folder
	served      []string
	Options     []string // more options of mlgate serve
	cluster     *Cluster
	process     *Process
	name        string
	port, plain int
	grace       string
}

// NewGate makes its certificates and its Service.
func (c *Cluster) NewGate(binary, hooks string) (*Gate, error) {
	g := &Gate{Binary: binary, Hooks: hooks, Certs: filepath.Join(c.Dir, "mlgate-certs"), cluster: c, name: "mlgate", port: gatePort,
		plain: gatePlain, grace: "0"}
	out, err := exec.Command(binary, "certs", "--out", g.Certs, "--service", "mlgate", "--namespace", "mlgate-system").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("mlgate certs: %w: %s", err, out)
	}
	return g, g.Reach()
}

// Reach makes the Service through which the API server calls it.
func (g *Gate) Reach() error {
	if err := g.cluster.Namespace("mlgate-system", nil); err != nil {
		return err
	}
	// A Service of this type is dialled like any other, name, SNI and connection pools included, but needs no network.
	service := `{apiVersion: v1, kind: Service, metadata: {name: mlgate, namespace: mlgate-system},
  spec: {type: ExternalName, externalName: localhost}}`
	if r := g.cluster.Kubectl(service, "apply", "-f", "-"); !r.OK {
		return errorf("service", r)
	}
	return nil
}

// Serve starts mlgate, or starts it anew, with these policies, and waits until it is ready.
func (g *Gate) Serve(policies ...string) error {
	g.Stop()
	g.served = policies
	args := []string{"serve", "--tls-cert", filepath.Join(g.Certs, "tls.crt"), "--tls-key", filepath.Join(g.Certs, "tls.key"),
		"--listen", g.Address(), "--listen-plain", fmt.Sprintf("127.0.0.1:%d", g.plain), "--grace", g.grace}
	args = append(args, g.Options...)
	for _, path := range policies {
		args = append(args, "--policies", path)
	}
	p, err := startProcess(g.cluster.logs(), g.name, g.Binary, nil, args...)
	if err != nil {
		return err
	}
	g.process = p
	g.cluster.processes = append(g.cluster.processes, p)
	return eventually(10*time.Second, g.name+" ready", p, func() error {
		if !g.Ready() {
			return errors.New("not ready")
		}
		return nil
	})
}

// Ready is what /readyz says.
func (g *Gate) Ready() bool {
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", g.plain))
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Metric is the value of one series, labels included.
func (g *Gate) Metric(series string) (value int, err error) {
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.plain))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), series+" "); found {
			return strconv.Atoi(text)
		}
	}
	return 0, errors.New("no series " + series)
}

// Replica is one more mlgate with the same certificates, at ports of its own and not served yet. It takes its time to leave.
func (g *Gate) Replica(i int) *Gate {
	r := *g
	r.process, r.name, r.port, r.plain, r.grace = nil, fmt.Sprintf("mlgate-%d", i), 9443+i, 9080+i, "1"
	return &r
}

// Rotate does one step of a rotation of authority and server certificate, in the files and in the webhook configurations.
func (g *Gate) Rotate() (said string, err error) {
	config := g.cluster.Config
	out, err := exec.Command(g.Binary, "certs", "rotate", "--now", "--out", g.Certs, "--patch-webhooks", "mlgate",
		"--server", config.Host, "--ca-file", config.CAFile, "--client-cert", config.CertFile, "--client-key", config.KeyFile).
		CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mlgate certs rotate: %w: %s", err, out)
	}
	return string(out), nil
}

// ClientCA signs the certificate that the API server shows to mlgate, in the name of ClientName.
func (g *Gate) ClientCA() string { return g.cluster.pki("ca.crt") }

// ClientName is the common name of that certificate.
const ClientName = "kube-apiserver-to-mlgate"

// URL is where mlgate listens.
func (g *Gate) URL() string { return "https://" + g.Address() }

// Address is that without the scheme.
func (g *Gate) Address() string { return fmt.Sprintf("127.0.0.1:%d", g.port) }

// CA is the file with the authority of mlgate's certificate.
func (g *Gate) CA() string { return filepath.Join(g.Certs, "ca.crt") }

// Stop ends mlgate; its webhook configurations stay.
func (g *Gate) Stop() {
	if g.process == nil {
		return
	}
	g.process.Stop()
	g.cluster.forget(g.process)
	g.process = nil
}

// Register writes the webhook configurations and waits until the API server calls both.
func (g *Gate) Register() error {
	text, err := g.configurations()
	if err != nil {
		return err
	}
	if r := g.cluster.Kubectl(text, "apply", "-f", "-", "-l", "app.kubernetes.io/component=admission"); !r.OK {
		return errorf("webhook configurations", r)
	}
	return eventually(20*time.Second, "webhooks called", g.process, g.answers)
}

// Manifests is what `mlgate manifests` renders for the policies that are served.
func (g *Gate) Manifests(options ...string) (string, error) {
	args := append([]string{"manifests", "--ca-file", g.CA(), "--https-port", fmt.Sprint(gatePort)}, options...)
	for _, path := range g.served {
		args = append(args, "--policies", path)
	}
	var errs strings.Builder
	cmd := exec.Command(g.Binary, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("mlgate manifests: %w: %s", err, errs.String())
	}
	return string(out), nil
}

func (g *Gate) configurations() (string, error) {
	if g.Hooks == "" {
		return g.Manifests()
	}
	text, err := os.ReadFile(g.Hooks)
	if err != nil {
		return "", err
	}
	ca, err := os.ReadFile(g.CA())
	if err != nil {
		return "", err
	}
	fill := strings.NewReplacer("CA_BUNDLE", base64.StdEncoding.EncodeToString(ca), "PORT", fmt.Sprint(gatePort))
	return fill.Replace(string(text)), nil
}

// Unregister takes the configurations away; nothing is judged from then on.
func (g *Gate) Unregister() error {
	r := g.cluster.Kubectl("", "delete", "--ignore-not-found", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "mlgate")
	if !r.OK {
		return errorf("unregister", r)
	}
	return eventually(20*time.Second, "webhooks gone", nil, func() error {
		if r := g.probe(); !r.OK {
			return errorf("still refused", r)
		}
		return nil
	})
}

// answers holds when a Pod that asks for a GPU without a limit is refused by the validating hook and one in order is patched.
func (g *Gate) answers() error {
	r := g.probe()
	if r.OK || !strings.Contains(r.Err, "denied the request") {
		return errorf("not refused", r)
	}
	good := g.cluster.Kubectl(fmt.Sprintf(probePod, "limits: {nvidia.com/gpu: 1, memory: 1Gi, cpu: 1}"), "create", "--dry-run=server", "-o", "yaml", "-f", "-")
	if !good.OK || !strings.Contains(good.Out, "key: nvidia.com/gpu") {
		return errorf("not patched", good)
	}
	return nil
}

const probePod = `{apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: default}, spec: {containers: [{name: c, image: a/b:1,
  env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}], resources: {%s}}]}}`

func (g *Gate) probe() Result {
	return g.cluster.Kubectl(fmt.Sprintf(probePod, ""), "create", "--dry-run=server", "-f", "-")
}
