package cases

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"mlgate.dev/e2e/cluster"
)

// replicated puts two replicas and a balancer in the place of the one mlgate, for one case.
func replicated(t *testing.T) (replicas [2]*cluster.Gate, balancer *cluster.Balancer) {
	t.Helper()
	gate.Stop()
	t.Cleanup(func() {
		for _, r := range replicas {
			r.Stop()
		}
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	})
	for i := range replicas {
		replicas[i] = gate.Replica(i)
		if err := replicas[i].Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	}
	balancer, err := cluster.NewBalancer(gate.Address(), replicas[0], replicas[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(balancer.Close) // before its port is wanted again
	return replicas, balancer
}

const trafficPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-","labels":{"mlgate.dev/role":"training"}},
"spec":{"containers":[{"name":"c","image":"a/b:1","resources":{"limits":{"nvidia.com/gpu":1,"memory":"1Gi","cpu":1}}}]}}`

// traffic is clients that create Pods, of which one in ten is stored.
type traffic struct {
	ns            string
	group         sync.WaitGroup
	lock          sync.Mutex
	right, stored int
	wrong         []string
}

// client makes Pods until more says no.
func (f *traffic) client(config *rest.Config, more func(made int) bool) {
	config = rest.CopyConfig(config)
	config.Timeout = 30 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		f.note(false, false, err.Error())
		return
	}
	for made := 0; more(made); made++ {
		request := client.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/"+f.ns+"/pods").MaxRetries(0).
			SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body([]byte(trafficPod))
		store := made%10 == 9
		if !store {
			request.Param("dryRun", "All")
		}
		answer, err := request.DoRaw(ctx)
		text := string(answer)
		if err != nil {
			text += err.Error()
		}
		f.note(err == nil && strings.Contains(text, `"ml-training"`), store, text)
	}
}

func (f *traffic) note(right, store bool, text string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if !right {
		f.wrong = append(f.wrong, text)
		return
	}
	f.right++
	if store {
		f.stored++
	}
}

// during lets clients create Pods while something is done.
func during(t *testing.T, ns string, do func()) {
	t.Helper()
	f, stop := &traffic{ns: namespace(t, ns)}, make(chan struct{})
	for range 3 {
		f.group.Go(func() {
			f.client(kube.Config, func(int) bool {
				select {
				case <-stop:
					return false
				case <-time.After(20 * time.Millisecond):
					return true
				}
			})
		})
	}
	func() {
		defer close(stop) // also where do ends the case
		time.Sleep(200 * time.Millisecond)
		do()
		time.Sleep(200 * time.Millisecond)
	}()
	f.group.Wait()
	f.flawless(t, 50)
}

func (f *traffic) flawless(t *testing.T, least int) {
	t.Helper()
	t.Logf("%d Pods created and patched, %d of them stored; %d wrong", f.right, f.stored, len(f.wrong))
	if len(f.wrong) > 0 {
		t.Errorf("the first wrong answer: %s", f.wrong[0])
	}
	if f.right < least || f.stored == 0 {
		t.Errorf("too few to say anything: %d, %d stored", f.right, f.stored)
	}
	for _, event := range auditEvents(t, f.ns) {
		for key := range event.Annotations {
			if strings.HasPrefix(key, "failed-open.") {
				t.Errorf("let through unasked: %s", key)
			}
		}
	}
}

func caBundles(t *testing.T) string {
	t.Helper()
	return must(t, "", "get", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "-o",
		`jsonpath={range .items[?(@.metadata.name=="mlgate")].webhooks[*]}{.clientConfig.caBundle}{"\n"}{end}`)
}

func TestCertificateAndAuthorityRotateUnderTraffic(t *testing.T) {
	replicated(t)
	before, authority := fileOf(t, "tls.crt"), caBundles(t)
	during(t, "rotation", func() {
		steps := []string{"new authority announced", "the new authority signs now", "the old authority is not trusted any more"}
		for _, step := range append(steps, steps...) {
			said, err := gate.Rotate()
			if err != nil {
				t.Fatal(err)
			}
			contains(t, said, step)
			time.Sleep(1200 * time.Millisecond)
		}
	})
	after := caBundles(t)
	if bytes.Equal(before, fileOf(t, "tls.crt")) || after == authority {
		t.Error("the same certificate or authority as before")
	}
	equal(t, "webhooks of another authority", len(strings.Fields(strings.ReplaceAll(after, strings.Fields(after)[0], ""))), 0)
}

func fileOf(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(gate.Certs, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReplicasRestartUnderTraffic(t *testing.T) {
	replicas, _ := replicated(t)
	during(t, "restarts", func() {
		for _, r := range []*cluster.Gate{replicas[0], replicas[1], replicas[0]} {
			if err := r.Serve(baseline, own); err != nil { // SIGTERM first
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
	})
}

func TestHandshakesOfManyClients(t *testing.T) {
	_, balancer := replicated(t)
	const clients, each = 64, 10
	f, before := &traffic{ns: namespace(t, "clients")}, balancer.Accepted.Load()
	for range clients {
		f.group.Go(func() { f.client(kube.Config, func(made int) bool { return made < each }) })
	}
	f.group.Wait()
	f.flawless(t, clients*each)
	handshakes := balancer.Accepted.Load() - before
	t.Logf("%d handshakes for %d calls", handshakes, 2*clients*each)
	// Two hooks, each with connections of its own; without reuse there would be one for each call.
	if handshakes < 2 || handshakes > clients*each {
		t.Errorf("%d handshakes", handshakes)
	}
}
