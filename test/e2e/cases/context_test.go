package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	livePod   = `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {priorityClassName: %s, containers: [{name: c, image: a/b:1}]}}`
	liveClass = `{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: e2e-live}, value: 7, preemptionPolicy: %s}`
)

// liveRights is the account of the server and what it may do, as `mlgate manifests` renders them.
func liveRights(t *testing.T) string {
	t.Helper()
	text, err := gate.Manifests("--live-context")
	if err != nil {
		t.Fatal(err)
	}
	var rights []string
	for _, object := range strings.Split(text, "\n---\n") {
		if strings.Contains(object, "\nkind: ClusterRole") || strings.Contains(object, "\nkind: ServiceAccount\n") {
			rights = append(rights, object)
		}
	}
	equal(t, "account, role and binding", len(rights), 3)
	return strings.Join(rights, "\n---\n")
}

// serveLive starts mlgate with the token of that account, which may not read `without`.
func serveLive(t *testing.T, without string) {
	t.Helper()
	if err := gate.Serve(baseline, own, "../policies-live"); err != nil {
		t.Fatal(err)
	}
	rights := liveRights(t)
	if without != "" {
		rights = strings.ReplaceAll(rights, "- "+without+"\n", "- nothing\n")
	}
	must(t, rights, "apply", "-f", "-")
	t.Cleanup(func() {
		gate.Options = nil
		kubectl(rights, "delete", "-f", "-")
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	})
	hours := int64(3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hours}}
	answer, err := kube.Client.CoreV1().ServiceAccounts("mlgate-system").CreateToken(ctx, "mlgate", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(answer.Status.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	gate.Options = []string{"--live-context", "--kube-api", kube.Config.Host, "--kube-ca-file", gate.ClientCA(), "--kube-token-file", token,
		"--context-wait", "3"}
	if err := gate.Serve(baseline, own, "../policies-live"); err != nil {
		t.Fatal(err)
	}
}

// tryPod is nil where a Pod of that class may be made, and else why not.
func tryPod(ns, class string) error {
	r := kubectl(fmt.Sprintf(livePod, class), "-n", ns, "create", "--dry-run=server", "-f", "-")
	if r.OK {
		return nil
	}
	return fmt.Errorf("%s", r.Err)
}

// follows waits until the Pod is refused with the text, or with "" is let in, and says how long that took.
func follows(t *testing.T, ns, class, text string) time.Duration {
	t.Helper()
	begin := time.Now()
	eventually(t, 10*time.Second, "refused with \""+text+"\"", func() error {
		err := tryPod(ns, class)
		if (err == nil) == (text == "") && (err == nil || strings.Contains(err.Error(), text)) {
			return nil
		}
		return fmt.Errorf("%v", err)
	})
	return time.Since(begin)
}

func within(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	t.Logf("%s: seen after %v", what, took)
	if took > limit {
		t.Errorf("%s: seen after %v, not %v", what, took, limit)
	}
}

// namespacesGone waits for namespaces that are going: an API server that has just begun does not yet say which custom resources there are,
// and the controller would take a namespace away without what is in it.
func namespacesGone(t *testing.T) {
	t.Helper()
	eventually(t, 60*time.Second, "namespaces gone", func() error {
		phases := must(t, "", "get", "namespaces", "-o", "jsonpath={.items[*].status.phase}")
		if strings.Contains(phases, "Terminating") {
			return errors.New(phases)
		}
		return nil
	})
}

func TestLiveContext(t *testing.T) {
	ns := namespace(t, "live-a")
	serveLive(t, "")
	const soon = 1500 * time.Millisecond // with the time that kubectl takes
	t.Run("a namespace's label", func(t *testing.T) {
		follows(t, ns, "e2e-outside", "")
		must(t, "", "label", "namespace", ns, "live=closed")
		within(t, "label", follows(t, ns, "e2e-outside", "e2e-live-label/priority"), soon)
		must(t, "", "label", "namespace", ns, "live-")
		within(t, "no label", follows(t, ns, "e2e-outside", ""), soon)
	})
	t.Run("a class", func(t *testing.T) {
		t.Cleanup(func() { kubectl("", "delete", "priorityclass", "e2e-live") })
		must(t, fmt.Sprintf(liveClass, "Never"), "create", "-f", "-")
		follows(t, ns, "e2e-live", "")
		must(t, "", "delete", "priorityclass", "e2e-live")
		must(t, fmt.Sprintf(liveClass, "PreemptLowerPriority"), "create", "-f", "-")
		within(t, "class", follows(t, ns, "e2e-live", "e2e-live-class/priority"), soon)
	})
	t.Run("an API server that comes and goes", func(t *testing.T) {
		namespacesGone(t)
		for i, label := range []string{"closed", "open", "closed"} {
			if err := kube.RestartAPIServer(i == 1); err != nil {
				t.Fatal(err)
			}
			must(t, "", "label", "--overwrite", "namespace", ns, "live="+label)
			text := map[string]string{"closed": "e2e-live-label/priority", "open": ""}[label]
			t.Logf("after restart %d: %v", i, follows(t, ns, "e2e-outside", text))
		}
	})
}

// Without the right to list classes mlgate is ready all the same, and says what it judges without.
func TestLiveContextForbidden(t *testing.T) {
	ns := namespace(t, "live-b")
	serveLive(t, "priorityclasses")
	r := kubectl(fmt.Sprintf(livePod, "e2e-outside"), "-n", ns, "create", "--dry-run=server", "-f", "-")
	contains(t, r.Err, "Warning: e2e-live-class/context: judged without knowing PriorityClass of the cluster")
	log, err := os.ReadFile(filepath.Join(kube.Logs(), "mlgate.log"))
	if err != nil {
		t.Fatal(err)
	}
	told := false // an API server that has just started forbids other things, too
	for _, line := range strings.Split(string(log), "\n") {
		var entry struct{ Resource, Verb, Reason, Error string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Reason == "forbidden" && entry.Resource == "priorityclasses" {
			told = told || entry.Verb == "list" && strings.Contains(entry.Error, "HTTP 403: priorityclasses.scheduling.k8s.io is forbidden")
		}
	}
	equal(t, "told in the log", told, true)
}
