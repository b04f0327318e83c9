package cases

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// other is somebody else's webhook, called after ours: it adds a sidecar with a device to every Pod that has none.
type other struct {
	server *httptest.Server
	calls  atomic.Int32
}

type review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    struct {
		UID    string `json:"uid"`
		Object struct {
			Spec struct {
				Containers []struct {
					Name string `json:"name"`
				} `json:"containers"`
			} `json:"spec"`
		} `json:"object"`
	} `json:"request"`
}

const sidecar = `[{"op":"add","path":"/spec/containers/-","value":{"name":"sidecar","image":"a/sidecar:1",` +
	`"resources":{"limits":{"amd.com/gpu":"1","memory":"2Gi","cpu":"1"}}}}]`

func (o *other) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.calls.Add(1)
	var asked review
	_ = json.NewDecoder(r.Body).Decode(&asked)
	response := map[string]any{"uid": asked.Request.UID, "allowed": true}
	containers := asked.Request.Object.Spec.Containers
	if len(containers) == 1 {
		response["patch"] = base64.StdEncoding.EncodeToString([]byte(sidecar))
		response["patchType"] = "JSONPatch"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": asked.APIVersion, "kind": asked.Kind, "response": response})
}

const otherHook = `{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: zz-other},
  webhooks: [{name: other.example.com, admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Fail, reinvocationPolicy: Never,
  clientConfig: {url: %q, caBundle: %s},
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}},
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}]}`

func startOther(t *testing.T, ns string) *other {
	t.Helper()
	o := &other{}
	o.server = httptest.NewUnstartedServer(o)
	o.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	o.server.StartTLS()
	bundle := base64.StdEncoding.EncodeToString(pemOf(o.server.Certificate().Raw))
	must(t, fmt.Sprintf(otherHook, o.server.URL, bundle, ns), "apply", "-f", "-")
	t.Cleanup(func() {
		kubectl("", "delete", "mutatingwebhookconfiguration", "zz-other")
		o.server.Close()
	})
	eventually(t, 10*time.Second, "the other webhook", func() error {
		kubectl(fmt.Sprintf(gpuPod, "probe", "training", "", 1), "-n", ns, "create", "--dry-run=server", "-f", "-")
		if o.calls.Load() == 0 {
			return fmt.Errorf("not called")
		}
		return nil
	})
	return o
}

func TestReinvocationIsStable(t *testing.T) {
	ns := namespace(t, "reinvocation")
	startOther(t, ns)
	must(t, fmt.Sprintf(gpuPod, "p", "training", "", 1), "-n", ns, "create", "-f", "-")
	p := pod(t, ns, "p")
	equal(t, "containers", len(p.Spec.Containers), 2)
	keys := map[string]int{}
	for _, toleration := range p.Spec.Tolerations {
		keys[toleration.Key]++
	}
	// The second device is tolerated only because mlgate was asked again.
	equal(t, "tolerations for the first device", keys["nvidia.com/gpu"], 1)
	equal(t, "tolerations for the sidecar's device", keys["amd.com/gpu"], 1)
	for i := range p.Spec.Containers {
		if !mounts(&p.Spec.Containers[i], "/dev/shm") {
			t.Errorf("%s has no shared memory", p.Spec.Containers[i].Name)
		}
	}
	equal(t, "class", p.Spec.PriorityClassName, "ml-training")
	if p.Spec.Priority == nil || p.Spec.PreemptionPolicy == nil {
		t.Fatal("a number of the class is missing")
	}
	equal(t, "priority", *p.Spec.Priority, 1000)
	event := audited(t, ns, 2) // after a dry run of startOther at least
	asked, changed := rounds(&event)
	equal(t, "rounds in which mlgate was asked", len(asked), 2)
	equal(t, "rounds in which it changed something", len(changed), 2)
}

func TestReinvocationKeepsNumbersOfUnknownClass(t *testing.T) {
	ns := namespace(t, "outside-reinvocation")
	startOther(t, ns)
	expectClass(t, ns, "", "e2e-outside", 77, "Never")
	expectClass(t, ns, "priorityClassName: ml-inference,", "e2e-outside", 77, "Never")
}
