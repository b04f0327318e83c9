package cases

import (
	"errors"
	"testing"
	"time"
)

// The mutating hook is Ignore, the validating one Fail: nothing unjudged gets in, and what keeps the cluster alive is not asked for.
func TestOutageAndRecovery(t *testing.T) {
	ns := namespace(t, "outage")
	plain := `{apiVersion: v1, kind: Pod, metadata: {name: plain}, spec: {containers: [{name: c, image: a/b:1}]}}`
	gate.Stop()
	t.Cleanup(func() {
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a judged namespace is closed", func(t *testing.T) {
		refused(t, plain, []string{`failed calling webhook "pods.validate.mlgate.dev"`}, "-n", ns, "create", "-f", "-")
	})
	for _, free := range []string{"kube-system", "kube-node-lease", "mlgate-system"} {
		t.Run(free+" is open", func(t *testing.T) {
			must(t, plain, "-n", free, "create", "--dry-run=server", "-f", "-")
		})
	}
	t.Run("other kinds are open", func(t *testing.T) {
		must(t, "", "-n", ns, "create", "configmap", "a")
		must(t, "", "create", "namespace", "outage-new", "--dry-run=server")
	})
	t.Run("running things can go", func(t *testing.T) {
		must(t, "", "-n", ns, "delete", "configmap", "a")
	})
	t.Run("the mutating hook alone lets pass", func(t *testing.T) {
		alone := must(t, "", "apply", "view-last-applied", "validatingwebhookconfiguration", "mlgate", "-o", "yaml")
		must(t, "", "delete", "validatingwebhookconfiguration", "mlgate")
		eventually(t, 10*time.Second, "no validating hook", func() error {
			if r := kubectl(plain, "-n", ns, "create", "--dry-run=server", "-f", "-"); !r.OK {
				return errors.New(r.Err)
			}
			return nil
		})
		must(t, manifest(t, "pod", "", limited), "-n", ns, "create", "-f", "-")
		p := pod(t, ns, "bert")
		equal(t, "patched", tolerates(&p.Spec, "nvidia.com/gpu"), false)
		must(t, "", "-n", ns, "delete", "pod", "bert", "--force", "--grace-period=0")
		must(t, alone, "apply", "-f", "-")
	})
	t.Run("recovery", func(t *testing.T) {
		if err := gate.Serve(baseline, own); err != nil {
			t.Fatal(err)
		}
		must(t, plain, "-n", ns, "create", "-f", "-")
		must(t, manifest(t, "pod", "", limited), "-n", ns, "create", "-f", "-")
		p := pod(t, ns, "bert")
		equal(t, "patched", tolerates(&p.Spec, "nvidia.com/gpu"), true)
		refused(t, manifest(t, "job", backDoor, ""), []string{"denied the request"}, "-n", ns, "create", "-f", "-")
	})
}
