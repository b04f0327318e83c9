package cases

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgate.dev/e2e/cluster"
)

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
