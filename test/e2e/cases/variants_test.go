package cases

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const strict = "../../../policies/strict"

// variants are sets of options of `mlgate manifests`.
var variants = []struct {
	name    string
	options []string
}{
	{"plain", []string{"--policies", baseline}},
	{"another name", []string{"--policies", baseline, "--name", "gate"}},
	{"one replica", []string{"--policies", baseline, "--replicas", "1"}},
	{"derived conditions", []string{"--policies", baseline, "--match-conditions", "derived"}},
	{"strict policies", []string{"--policies", strict}},
	{"policies of one's own", []string{"--policies", baseline, "--policies", own, "--context", "testdata/classes.yaml"}},
	{"cert-manager", []string{"--policies", baseline, "--cert-manager"}},
	{"certificates of its own", []string{"--policies", baseline, "--self-signed"}},
	{"service monitor", []string{"--policies", baseline, "--service-monitor"}},
	{"everything else", []string{"--policies", baseline, "--cert-manager", "--service-monitor", "--name", "gate", "--namespace", "gates",
		"--image", "example.org/gate:1", "--timeout", "10", "--tls-secret", "gate-pair", "--https-port", "9443", "--tls-port", "10443", "--plain-port", "10080"}},
}

// accepted passes an installation to the API server and to mlgate.
func accepted(t *testing.T, text string) {
	t.Helper()
	r := kubectl(text, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	if !r.OK {
		t.Errorf("refused: %s", r.Err)
	}
	equal(t, "objects", strings.Count(r.Out, "(server dry run)"), strings.Count("\n"+text, "\nkind: "))
	equal(t, "warnings", strings.Count(r.Err, "Warning: "), strings.Count(r.Err, "last-applied-configuration"))
	file := filepath.Join(t.TempDir(), "install.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gate.Binary, "check", "--policies", baseline, file).CombinedOutput(); err != nil {
		t.Errorf("mlgate check of its own manifests: %v: %s", err, out)
	}
}

// others makes what belongs to others: the definitions of cert-manager and of the Prometheus operator, and a namespace.
func others(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		kubectl("", "delete", "--ignore-not-found", "--wait=false", "namespace/gates", "crd/certificates.cert-manager.io",
			"crd/issuers.cert-manager.io", "crd/servicemonitors.monitoring.coreos.com")
	})
	if err := kube.Definitions("cert-manager/crd-certificates.yaml", "cert-manager/crd-issuers.yaml",
		"prometheus-operator/monitoring.coreos.com_servicemonitors.yaml"); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gates"}}
	if _, err := kube.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// charted are values of the chart, and options of `mlgate manifests --values`.
var charted = []struct {
	name           string
	values, render []string
}{
	{"chart", nil, nil},
	{"chart without admission", []string{"admission=false"}, nil},
	{"chart with cert-manager and a service monitor", []string{"selfSigned=false", "certManager=true", "serviceMonitor=true"}, nil},
	{"chart with another certificate", []string{"selfSigned=false", "tlsSecret=pair", "caBundle=Q0E="}, nil},
	{"chart with another name", []string{"name=gate", "replicas=1", "servicePort=9443"}, nil},
	{"chart with policies of one's own", nil, []string{"--self-signed", "--policies", baseline, "--policies", own, "--context", "testdata/classes.yaml",
		"--match-conditions", "derived"}},
}

func chart(t *testing.T, values, render []string) string {
	t.Helper()
	args := []string{"template", "mlgate", "../../../manifests/chart", "-n", system}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	if render != nil {
		out, err := exec.Command(gate.Binary, append([]string{"manifests", "--values"}, render...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, out, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-f", file)
	}
	cmd := exec.Command(filepath.Join(kube.Bin, "helm"), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm: %v: %s", err, out)
	}
	return string(out)
}

func TestManifestsAreAccepted(t *testing.T) {
	others(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(gate.Binary, append([]string{"manifests"}, v.options...)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			accepted(t, string(out))
		})
	}
	for _, v := range charted {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			accepted(t, chart(t, v.values, v.render))
		})
	}
	overlays, err := filepath.Glob("../../../manifests/overlays/*")
	if err != nil || len(overlays) < 3 {
		t.Fatalf("overlays: %v %v", overlays, err)
	}
	dir := repository(t)
	for _, overlay := range append(overlays, "../../../manifests/base") {
		t.Run(filepath.Base(overlay), func(t *testing.T) {
			t.Parallel()
			path := strings.TrimPrefix(overlay, "../../../")
			accepted(t, must(t, "", "kustomize", filepath.Join(dir, path)))
		})
	}
}
