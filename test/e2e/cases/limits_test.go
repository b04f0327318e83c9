package cases

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
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

const bodyMax = 8 << 20

// promise opens a connection and sends a review of eight MiB but for its last byte: the room for it is taken.
func promise(t *testing.T) io.Closer {
	t.Helper()
	conn, err := tls.Dial("tcp", gate.Address(), trusting(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST /validate?timeout=30s HTTP/1.1\r\nHost: mlgate.mlgate-system.svc:8443\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", bodyMax, strings.Repeat(" ", bodyMax-1))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// crowd takes all the room there is for large bodies, 24 MiB.
func crowd(t *testing.T) {
	t.Helper()
	const n = 3
	for range n {
		p := promise(t)
		t.Cleanup(func() { p.Close() })
	}
	eventually(t, 5*time.Second, "no room", func() error {
		bytes, err := gate.Metric("mlgate_http_body_bytes")
		if err == nil && bytes < n*(bodyMax-1) {
			err = fmt.Errorf("%d bytes", bytes)
		}
		return err
	})
}

func refusals(t *testing.T) int {
	n, err := gate.Metric(`mlgate_http_refused_total{reason="budget"}`)
	if err != nil {
		t.Error(err)
	}
	return n
}

// Who is slow to send gives way to others after a second, and the API server asks again, since mlgate says when to: neither a large
// object nor a small one is refused.
func TestTooManyBytesInFlight(t *testing.T) {
	ns := namespace(t, "flight")
	for _, size := range []int{10, 50000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			crowd(t)
			before, name := refusals(t), fmt.Sprint("p", size)
			must(t, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, annotations: {note: %q}}, spec: {containers: [{name: c,
image: "a/b:1", resources: {limits: {nvidia.com/gpu: 1, cpu: 1, memory: 1Gi}}}]}}`, name, strings.Repeat("x", size)), "-n", ns, "create", "-f", "-")
			p := pod(t, ns, name)
			equal(t, "patched", tolerates(&p.Spec, "nvidia.com/gpu"), true)
			equal(t, "somebody was refused and asked again", refusals(t) > before, size > 1000)
		})
	}
}
