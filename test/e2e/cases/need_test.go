package cases

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// bert is the Pod that the page excepts: it helps itself to all devices.
func bert(t *testing.T, what, wanted string) {
	t.Helper()
	eventually(t, 20*time.Second, what, func() error {
		r := kubectl("", "-n", "default", "run", "bert", "--image=registry.example/bert", "--env=NVIDIA_VISIBLE_DEVICES=all", "--dry-run=server")
		if text := r.Out + r.Err; !strings.Contains(text, wanted) {
			return errors.New(text)
		}
		return nil
	})
}

// oldOnesEnded waits for the end of servers that a rollout has replaced: they answer for a while.
func oldOnesEnded(t *testing.T) {
	t.Helper()
	eventually(t, 40*time.Second, "the old servers end", func() error {
		for _, p := range servers(t) {
			if p.DeletionTimestamp != nil {
				return errors.New(p.Name)
			}
		}
		return nil
	})
}

// inNeed: each way past mlgate that the page about operations has is gone word by word, and back.
func inNeed(t *testing.T, dir string, installing []block) {
	page := blocks(t, "../../../docs/operations.md")
	const runs = "pod/bert created"
	bert(t, "denied before", denied)

	follow(t, dir, page, "One workload must run now", "cat")
	bert(t, "excepted", runs)
	unanimous(t, "nothing else is", denied)
	follow(t, dir, page, "One workload must run now", "kubectl")
	bert(t, "no exception", denied)

	follow(t, dir, page, "A policy is wrong", "kubectl")
	unanimous(t, "it only warns", let)
	bert(t, "it only warns", runs)
	editPolicies(t, "\n  action: warn", "\n  action: enforce")
	unanimous(t, "it denies again", denied)

	follow(t, dir, page, "All policies are in doubt", "kubectl -n mlgate-system set env deployment/mlgate MLGATE_DRY_RUN=")
	oldOnesEnded(t)
	unanimous(t, "audited", let)
	follow(t, dir, page, "All policies are in doubt", "kubectl -n mlgate-system set env deployment/mlgate MLGATE_DRY_RUN-")
	oldOnesEnded(t)
	unanimous(t, "not audited", denied)

	follow(t, dir, page, "mlgate does not answer", "kubectl")
	bert(t, "nobody is asked", runs)
	follow(t, dir, installing, "Changing what is installed", overlay)
	bert(t, "asked again", denied)
	compared(t, dir)
}

// compared: what is installed is as the page says, and a change is seen.
func compared(t *testing.T, dir string) {
	const heading = "What an operator does"
	page := blocks(t, "../../../docs/security.md")
	follow(t, dir, page, heading, "kubectl diff")
	change := func(policy string) {
		must(t, "", "patch", "validatingwebhookconfiguration", "mlgate", "--type=json", "-p",
			`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "`+policy+`"}]`)
	}
	change("Ignore")
	r := kube.Shell(dir, section(t, page, heading, "kubectl diff"))
	equal(t, "the same", r.OK, false)
	contains(t, r.Out, "-  failurePolicy: Ignore", "+  failurePolicy: Fail")
	change("Fail")
}

// pullSecretsAllowed: the rights that the page gives are those, and no others.
func pullSecretsAllowed(t *testing.T, dir string, page []block) {
	if err := kube.Namespace("team-a", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, "", "delete", "namespace/team-a") })
	follow(t, dir, page, "Registries", "kubectl")
	for _, row := range []struct{ what, answer string }{
		{"secrets/regcred", "yes"}, {"secrets/other", "no"}, {"serviceaccounts/default", "yes"},
	} {
		r := kubectl("", "-n", "team-a", "auth", "can-i", "get", row.what, "--as=system:serviceaccount:mlgate-system:mlgate")
		equal(t, row.what, strings.TrimSpace(r.Out), row.answer)
	}
}
