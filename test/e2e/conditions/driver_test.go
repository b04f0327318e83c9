package conditions

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
)

// driver is the admission function of the server, without the server (test/golden_driver.c).
type driver struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t *testing.T, policies []string) *driver {
	args := []string{"--now", "2026-11-01"}
	for _, p := range policies {
		args = append(args, "--policies", p)
	}
	cmd := exec.Command(os.Getenv("GOLDEN_DRIVER"), args...)
	cmd.Stderr, cmd.Env = os.Stderr, environ()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &driver{in, bufio.NewReader(out)}
}

func review(r *request) []byte {
	kind, resource := metav1.GroupVersionKind(podKind), metav1.GroupVersionResource(podResource)
	q := plugincel.CreateAdmissionRequest(versioned(r).Attributes, resource, kind)
	q.UID = "u"
	q.Options = runtime.RawExtension{}
	if r.object != nil {
		q.Object.Object = r.object
	}
	if r.old != nil {
		q.OldObject.Object = r.old
	}
	whole := admissionv1.AdmissionReview{Request: q}
	whole.APIVersion, whole.Kind = "admission.k8s.io/v1", "AdmissionReview"
	body, err := json.Marshal(whole)
	if err != nil {
		panic(err)
	}
	return body
}

// ask returns what the server has to say, or "" where that is nothing.
func (d *driver) ask(t *testing.T, route string, r *request) string {
	body := review(r)
	if _, err := fmt.Fprintf(d.in, "%s %d\n%s", route, len(body), body); err != nil {
		t.Fatal(err)
	}
	var status, length int
	if _, err := fmt.Fscanf(d.out, "%d %d\n", &status, &length); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, length)
	if _, err := io.ReadFull(d.out, answer); err != nil {
		t.Fatal(err)
	}
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &got); err != nil || status != 200 || got.Response == nil {
		t.Fatalf("%d %s: %s", status, answer, r)
	}
	var said []string
	if !got.Response.Allowed {
		said = append(said, got.Response.Result.Message)
	}
	if len(got.Response.Patch) > 0 {
		said = append(said, string(got.Response.Patch))
	}
	if v := got.Response.AuditAnnotations["violations"]; v != "" {
		said = append(said, v)
	}
	return strings.Join(append(said, got.Response.Warnings...), "; ")
}
