package cases

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"mlgate.dev/e2e/cluster"
)

func kubectl(stdin string, args ...string) cluster.Result { return kube.Kubectl(stdin, args...) }

// must is kubectl that has to succeed.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := kubectl(stdin, args...)
	if !r.OK {
		t.Fatalf("kubectl %s: %s", strings.Join(args, " "), r.Err)
	}
	return r.Out
}

// refused is kubectl that has to fail with all of these texts.
func refused(t *testing.T, stdin string, texts []string, args ...string) cluster.Result {
	t.Helper()
	r := kubectl(stdin, args...)
	if r.OK {
		t.Fatalf("kubectl %s: not refused: %s", strings.Join(args, " "), r.Out)
	}
	contains(t, r.Err, texts...)
	return r
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("missing: %s\nin: %s", part, text)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// namespace makes one for a case and takes it away with all it holds.
func namespace(t *testing.T, name string) string {
	t.Helper()
	if err := kube.Namespace(name, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kubectl("", "delete", "namespace", name, "--wait=false")
		kubectl("", "-n", name, "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")
	})
	return name
}

func eventually(t *testing.T, limit time.Duration, what string, try func() error) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

const (
	noLimit  = "resources: {requests: {nvidia.com/gpu: 8}}"
	backDoor = "env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]"
	limited  = "resources: {limits: {nvidia.com/gpu: 2, memory: 8Gi, cpu: 4}}"
)

// manifest is a file of testdata/kinds with its blanks filled.
func manifest(t *testing.T, kind, env, resources string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/kinds", kind+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("ENV", env, "RESOURCES", resources, "VALUES", strings.TrimPrefix(resources, "resources: ")).
		Replace(string(text))
}

func pod(t *testing.T, ns, name string) *corev1.Pod {
	t.Helper()
	p, err := kube.Client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pods waits until the controller has made so many.
func pods(t *testing.T, ns string, count int) []corev1.Pod {
	t.Helper()
	var list *corev1.PodList
	eventually(t, 20*time.Second, fmt.Sprintf("%d pods in %s", count, ns), func() (err error) {
		if list, err = kube.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{}); err == nil && len(list.Items) != count {
			err = fmt.Errorf("there are %d", len(list.Items))
		}
		return err
	})
	return list.Items
}

func tolerates(spec *corev1.PodSpec, key string) bool {
	for _, toleration := range spec.Tolerations {
		if toleration.Key == key {
			return true
		}
	}
	return false
}

func mounts(container *corev1.Container, path string) bool {
	for _, mount := range container.VolumeMounts {
		if mount.MountPath == path {
			return true
		}
	}
	return false
}

var serverFields = []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "namespace"}

var randomNames = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// stored is an object as the API server keeps it, without what differs from run to run.
func stored(t *testing.T, ns, kind, name string) string {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(must(t, "", "-n", ns, "get", kind, name, "-o", "yaml")), &object); err != nil {
		t.Fatal(err)
	}
	delete(object, "status")
	metadata := object["metadata"].(map[string]any)
	for _, field := range serverFields {
		delete(metadata, field)
	}
	delete(object["spec"].(map[string]any), "nodeName")
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return randomNames.ReplaceAllString(string(text), "RANDOM")
}

// golden compares with a file of testdata; UPDATE=1 writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// client trusts mlgate's authority, and shows these certificates.
func client(t *testing.T, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting(t, certificates...)}}
}

func trusting(t *testing.T, certificates ...tls.Certificate) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(gate.CA())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: roots, ServerName: "mlgate.mlgate-system.svc", Certificates: certificates}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
