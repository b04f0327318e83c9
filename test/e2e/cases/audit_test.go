package cases

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

type auditEvent struct {
	Verb           string             `json:"verb"`
	ObjectRef      map[string]string  `json:"objectRef"`
	ResponseStatus struct{ Code int } `json:"responseStatus"`
	Annotations    map[string]string  `json:"annotations"`
}

// auditEvents is what the API server has written of the requests in a namespace.
func auditEvents(t *testing.T, ns string) (found []auditEvent) {
	t.Helper()
	file, err := os.Open(kube.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditEvent
		if json.Unmarshal(lines.Bytes(), &event) == nil && event.ObjectRef["namespace"] == ns {
			found = append(found, event)
		}
	}
	return found
}

// creations are the events of Pods that were made, or were to be made.
func creations(t *testing.T, ns string) (found []auditEvent) {
	t.Helper()
	for _, event := range auditEvents(t, ns) {
		if event.Verb == "create" && event.ObjectRef["resource"] == "pods" && event.ObjectRef["subresource"] == "" {
			found = append(found, event)
		}
	}
	return found
}

// audited waits for the event of the last of so many creations.
func audited(t *testing.T, ns string, count int) (last auditEvent) {
	t.Helper()
	eventually(t, 5*time.Second, "audit event", func() error {
		events := creations(t, ns)
		if len(events) < count {
			return fmt.Errorf("%d of %d for %s", len(events), count, ns)
		}
		last = events[len(events)-1]
		return nil
	})
	return last
}

// changes counts, for each resource, the requests that were to change an object itself: neither its status nor a binding.
func changes(t *testing.T, ns string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, event := range auditEvents(t, ns) {
		if (event.Verb == "update" || event.Verb == "patch") && event.ObjectRef["subresource"] == "" {
			count[event.ObjectRef["resource"]]++
		}
	}
	return count
}

// rounds says in which rounds a webhook of mlgate was asked about the creation, and whether it changed anything.
func rounds(event *auditEvent) (asked, changed []string) {
	for key, value := range event.Annotations {
		round, found := strings.CutPrefix(key, "mutation.webhook.admission.k8s.io/")
		if !found || !strings.Contains(value, "mutate.mlgate.dev") {
			continue
		}
		asked = append(asked, round)
		if strings.Contains(value, `"mutated":true`) {
			changed = append(changed, round)
		}
	}
	return asked, changed
}
