package cases

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mlgate.dev/e2e/cluster"
)

func TestManifestsAreAccepted(t *testing.T) {
	for name, options := range map[string][]string{"plain": nil, "another name": {"--name", "gate"}, "one replica": {"--replicas", "1"}} {
		t.Run(name, func(t *testing.T) {
			// Told of the cluster's classes, else it would render what the policies name with values of its own.
			text, err := gate.Manifests(append(options, "--context", "testdata/classes.yaml")...)
			if err != nil {
				t.Fatal(err)
			}
			r := kubectl(text, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
			if !r.OK {
				t.Errorf("refused: %s", r.Err)
			}
			equal(t, "warnings", strings.Count(r.Err, "Warning: "), strings.Count(r.Err, "last-applied-configuration"))
			file := filepath.Join(t.TempDir(), "install.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(gate.Binary, "check", "--policies", baseline, file).CombinedOutput(); err != nil {
				t.Errorf("mlgate check of its own manifests: %v: %s", err, out)
			}
		})
	}
}

// post calls mlgate without the API server and says whether a TLS session came about.
func post(t *testing.T, certificates ...tls.Certificate) bool {
	t.Helper()
	ca, err := os.ReadFile(gate.CA())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: "mlgate.mlgate-system.svc", Certificates: certificates}}}
	answer, err := client.Post(gate.URL()+"/validate", "application/json", strings.NewReader("{}"))
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusBadRequest // what is no review
}

func TestClientCertificate(t *testing.T) {
	ns := namespace(t, "mtls")
	gate.Options = []string{"--client-ca", gate.ClientCA(), "--client-name", cluster.ClientName}
	t.Cleanup(func() {
		gate.Options = nil
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	})
	equal(t, "anyone is answered where no certificate is asked for", post(t), true)
	if err := gate.Serve(baseline, own); err != nil {
		t.Fatal(err)
	}
	t.Run("the API server is answered", func(t *testing.T) {
		must(t, manifest(t, "pod", "", limited), "-n", ns, "create", "-f", "-")
		p := pod(t, ns, "bert")
		equal(t, "patched", tolerates(&p.Spec, "nvidia.com/gpu"), true)
		refused(t, manifest(t, "job", backDoor, ""), []string{"denied the request"}, "-n", ns, "create", "-f", "-")
	})
	t.Run("nobody without a certificate is", func(t *testing.T) { equal(t, "answered", post(t), false) })
	t.Run("nor one of another name", func(t *testing.T) { equal(t, "answered", post(t, user(t, "admin")), false) })
	t.Run("the right one is, from anywhere", func(t *testing.T) { equal(t, "answered", post(t, user(t, "to-mlgate")), true) })
}

func user(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(kube.Dir, "pki", name+".crt"), filepath.Join(kube.Dir, "pki", name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestManyClientsAtOnce(t *testing.T) {
	ns := namespace(t, "crowd")
	const clients, each = 64, 10
	body := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-","labels":{"mlgate.dev/role":"training"}},
"spec":{"containers":[{"name":"c","image":"a/b:1","resources":{"limits":{"nvidia.com/gpu":1,"memory":"1Gi","cpu":1}}}]}}`)
	var failed, unpatched atomic.Int32
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range each {
				answer, err := kube.Client.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/"+ns+"/pods").Param("dryRun", "All").
					SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body(body).DoRaw(ctx)
				if err != nil {
					failed.Add(1)
					t.Log(err)
				} else if !strings.Contains(string(answer), `"ml-training"`) {
					unpatched.Add(1)
				}
			}
		})
	}
	group.Wait()
	equal(t, "failed", failed.Load(), 0)
	equal(t, "let through without a patch", unpatched.Load(), 0)
}
