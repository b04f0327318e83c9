package cases

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is not judged for want of room is answered with a v1 Status, the only form whose words reach the person.

const bigJob = `{"apiVersion":"kubeflow.org/v1","kind":"PyTorchJob","metadata":{"name":"big"},"spec":{"pytorchReplicaSpecs":{"Worker":
{"template":{"spec":{"containers":[{"name":"pytorch","image":"a/b:1","args":["%s"]}]}}}}}}`

func TestTooLargeAReviewIsExplained(t *testing.T) {
	ns := namespace(t, "large")
	// Raw, since kubectl would write each of these with six bytes, as the API server does in a review; mlgate reads eight MiB.
	path := "/apis/kubeflow.org/v1/namespaces/" + ns + "/pytorchjobs?dryRun=All"
	r := refused(t, fmt.Sprintf(bigJob, strings.Repeat("<", 1500000)), nil, "create", "--raw", path, "-f", "-")
	golden(t, "denied/status-413.txt", r.Err)
	must(t, fmt.Sprintf(bigJob, strings.Repeat("<", 1300000)), "create", "--raw", path, "-f", "-")
}

// promise opens a connection that announces a review of eight MiB and sends none of it: the room for it is taken.
func promise(t *testing.T) io.Closer {
	t.Helper()
	conn, err := tls.Dial("tcp", gate.Address(), trusting(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST /validate?timeout=30s HTTP/1.1\r\nHost: mlgate.mlgate-system.svc:8443\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// crowd takes all the room there is, 64 MiB, until it is told to leave.
func crowd(t *testing.T) (leave func()) {
	t.Helper()
	var promises []io.Closer
	for range 8 {
		promises = append(promises, promise(t))
	}
	leave = func() {
		for _, p := range promises {
			p.Close()
		}
	}
	t.Cleanup(leave)
	eventually(t, 5*time.Second, "no room", func() error {
		answer, err := client(t).Post(gate.URL()+"/validate", "application/json", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var status metav1.Status
		if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "1" || status.Kind != "Status" ||
			!strings.Contains(status.Message, "in flight") {
			return fmt.Errorf("%s, %v", answer.Status, status)
		}
		return nil
	})
	return leave
}

func refusals(t *testing.T) int {
	n, err := gate.Metric(`mlgate_http_refused_total{reason="budget"}`)
	if err != nil {
		t.Error(err)
	}
	return n
}

// The API server asks again for as long as its time-out allows, since mlgate says when to.
func TestTooManyBytesInFlight(t *testing.T) {
	ns := namespace(t, "flight")
	must(t, `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: a/b:1}]}}`, "-n", ns, "create", "-f", "-")
	t.Run("for a moment are not noticed", func(t *testing.T) {
		leave := crowd(t)
		before, left := refusals(t), make(chan int)
		go func() { // who is refused once is the API server
			now := before
			for end := time.Now().Add(20 * time.Second); now == before && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				now = refusals(t)
			}
			leave()
			left <- now - before
		}()
		must(t, manifest(t, "pod", "", limited), "-n", ns, "create", "-f", "-")
		p := pod(t, ns, "bert")
		equal(t, "patched", tolerates(&p.Spec, "nvidia.com/gpu"), true)
		if <-left == 0 {
			t.Error("nobody was refused, so nobody had to ask again")
		}
	})
	t.Run("for longer are an error", func(t *testing.T) {
		crowd(t)
		r := refused(t, "", []string{`"pods.validate.mlgate.dev"`}, "-n", ns, "patch", "pod", "p", "--subresource", "ephemeralcontainers",
			"-p", fmt.Sprintf(ephemeral, "looks", "void"))
		golden(t, "denied/status-503.txt", r.Err)
	})
}
