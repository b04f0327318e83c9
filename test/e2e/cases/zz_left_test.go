package cases

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The last case, by the name of this file: what the others made is gone.
func TestNoObjectIsLeft(t *testing.T) {
	names := func(resource string) []string {
		return strings.Fields(must(t, "", "get", resource, "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}`))
	}
	expect := func(resource string, allowed ...string) {
		t.Helper()
		eventually(t, 60*time.Second, resource+" gone", func() error {
			left := slices.DeleteFunc(names(resource), func(name string) bool { return slices.Contains(allowed, strings.TrimPrefix(name, "/")) })
			if len(left) > 0 {
				return errors.New(strings.Join(left, " "))
			}
			return nil
		})
	}
	expect("namespaces", "default", "kube-system", "kube-public", "kube-node-lease", "mlgate-system")
	expect("validatingwebhookconfigurations", "mlgate")
	expect("mutatingwebhookconfigurations", "mlgate")
	expect("priorityclasses", "system-cluster-critical", "system-node-critical", "ml-training", "ml-inference", "e2e-low", "e2e-outside")
	expect("pods,jobs,cronjobs,deployments,replicasets,statefulsets,controllerrevisions")
	definitions := strings.Fields(must(t, "", "get", "crd", "-o", "jsonpath={.items[*].metadata.name}"))
	expect(strings.Join(definitions, ","))
	for _, node := range names("nodes") {
		equal(t, node, must(t, "", "get", "node", strings.TrimPrefix(node, "/"), "-o", "jsonpath={.spec.unschedulable}"), "")
	}
	t.Log(fmt.Sprintf("looked at %d kinds of custom resources, among others: none is left", len(definitions)))
}
