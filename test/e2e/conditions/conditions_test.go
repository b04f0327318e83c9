// Package conditions holds the match conditions that `mlgate manifests --match-conditions derived` renders against the server: what they keep
// in the API server must be what the server has nothing to say to. The conditions are run by the API server's own library.
package conditions

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

const (
	generated = 5000
	about     = "has-what-a-policy-is-about"
	namespace = "in-a-namespace-of-a-policy"
	users     = "by-a-user-of-a-policy"
	groups    = "by-a-group-of-a-policy"
)

var (
	compiler = plugincel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	basic    = []string{"not-by-a-node", "not-a-mirror-pod"}
)

// hook is one webhook for Pods: all of its conditions, and those that policies gave it.
type hook struct {
	names        []string
	all, derived matchconditions.Matcher
}

func compile(t *testing.T, name string, conditions []admissionregistration.MatchCondition) matchconditions.Matcher {
	fail := admissionregistration.Fail
	for _, c := range conditions {
		// New expressions are held to more than stored ones.
		checked := plugincel.NewCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())).CompileCELExpression(
			&matchconditions.MatchCondition{Name: c.Name, Expression: c.Expression},
			plugincel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
		if checked.Error != nil {
			t.Fatalf("%s: %s: %v", name, c.Name, checked.Error)
		}
	}
	w := &admissionregistration.ValidatingWebhook{Name: name, FailurePolicy: &fail, MatchConditions: conditions}
	return webhook.NewValidatingWebhookAccessor(name, name, w).GetCompiledMatcher(compiler)
}

func newHook(t *testing.T, name string, conditions []admissionregistration.MatchCondition) *hook {
	h := &hook{all: compile(t, name, conditions)}
	var derived []admissionregistration.MatchCondition
	for _, c := range conditions {
		if !slices.Contains(basic, c.Name) {
			derived = append(derived, c)
			h.names = append(h.names, c.Name)
		}
	}
	h.derived = compile(t, name, derived)
	return h
}

// environ has no options in it.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MLGATE_") })
}

// render is the conditions by webhook.
func render(t *testing.T, how string, policies ...string) map[string][]admissionregistration.MatchCondition {
	args := []string{"manifests", "--match-conditions", how}
	for _, p := range policies {
		args = append(args, "--policies", p)
	}
	cmd := exec.Command(os.Getenv("MLGATE"), args...)
	cmd.Env = environ()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mlgate %s: %v", strings.Join(args, " "), err)
	}
	ret := map[string][]admissionregistration.MatchCondition{}
	for _, text := range strings.Split(string(out), "\n---\n") {
		// Both kinds are alike in what matters here.
		var c admissionregistration.ValidatingWebhookConfiguration
		if err := yaml.Unmarshal([]byte(text), &c); err != nil || !strings.HasSuffix(c.Kind, "WebhookConfiguration") {
			continue
		}
		for _, w := range c.Webhooks {
			ret[w.Name] = w.MatchConditions
		}
	}
	return ret
}

func hooks(t *testing.T, how string, policies ...string) map[string]*hook {
	ret := map[string]*hook{}
	for name, conditions := range render(t, how, policies...) {
		ret[name] = newHook(t, name, conditions)
	}
	return ret
}

func versioned(r *request) *admission.VersionedAttributes {
	var object, old runtime.Object
	if r.object != nil {
		object = r.object
	}
	if r.old != nil {
		old = r.old
	}
	attributes := admission.NewAttributesRecord(object, old, podKind, r.namespace, r.name, podResource, r.subresource, r.operation, nil, false, &r.user)
	return &admission.VersionedAttributes{Attributes: attributes, VersionedObject: object, VersionedOldObject: old, VersionedKind: podKind}
}

// passes says whether the API server would ask the webhook, going by what policies gave it; no condition may end in an error.
func (h *hook) passes(t *testing.T, r *request) bool {
	v := versioned(r)
	if all := h.all.Match(context.Background(), v, nil, nil); all.Error != nil {
		t.Fatalf("%v: %s", all.Error, r)
	}
	got := h.derived.Match(context.Background(), v, nil, nil)
	if got.Error != nil {
		t.Fatalf("%v: %s", got.Error, r)
	}
	return got.Matches
}

type set struct {
	name     string
	policies []string
	want     map[string][]string // derived conditions by webhook
	idle     bool                // nothing is expected to be kept back
}

const (
	vp = "pods.validate.mlgate.dev"
	mp = "pods.mutate.mlgate.dev"
	vw = "workloads.validate.mlgate.dev"
	mw = "workloads.mutate.mlgate.dev"
)

func data(name string) []string { return []string{filepath.Join("testdata", name)} }

var sets = []set{
	{name: "baseline", policies: []string{"../../../policies/baseline"}, want: map[string][]string{vp: {about}, mp: {about}}},
	{name: "strict", policies: []string{"../../../policies/baseline", "../../../policies/strict"},
		want: map[string][]string{vp: {about}, mp: {about}}},
	{name: "e2e", policies: []string{"../policies"}, want: map[string][]string{}, idle: true},
	{name: "signals", policies: data("signals.yaml"), want: map[string][]string{vp: {about}}},
	{name: "every signal", policies: data("every-signal.yaml"), want: map[string][]string{}, idle: true},
	{name: "request", policies: data("request.yaml"), want: map[string][]string{
		vp: {namespace, users, groups}, mp: {namespace, users, groups}, vw: {namespace, users, groups}, mw: {namespace, users, groups}}},
	{name: "both", policies: data("both.yaml"), want: map[string][]string{
		vp: {namespace, about}, mp: {namespace, about}, vw: {namespace}, mw: {namespace}}},
	{name: "rules of devices", policies: data("devices.yaml"), want: map[string][]string{vp: {about}, mp: {about}}},
	{name: "own accelerators", policies: data("accelerators.yaml"), want: map[string][]string{vp: {about}, mp: {about}}},
	{name: "one for all", policies: data("open.yaml"), want: map[string][]string{}, idle: true},
	{name: "words that are not said", policies: data("unsaid.yaml"), want: map[string][]string{}, idle: true},
	{name: "deletions", policies: data("deletions.yaml"), want: map[string][]string{vp: {about}, mp: {about}}},
	{name: "claims", policies: data("claims.yaml"), want: map[string][]string{vp: {about}, mp: {about}}},
	{name: "many words", policies: data("many.yaml"), want: map[string][]string{
		vp: {namespace, users, groups, about}, vw: {namespace, users, groups}}},
	{name: "Pods elsewhere", policies: data("elsewhere.yaml"), want: map[string][]string{}, idle: true},
}

type tally struct{ requests, kept, findings, passedIdle int }

// judge asks the server whatever the API server would have kept, and everything else too, to see that the requests are worth it.
func judge(t *testing.T, d *driver, hooks map[string]*hook, requests []*request) tally {
	var ret tally
	for _, r := range requests {
		for route, name := range map[string]string{"/validate": vp, "/mutate": mp} {
			h := hooks[name]
			if h == nil {
				continue
			}
			found := d.ask(t, route, r)
			passes := h.passes(t, r)
			ret.requests++
			switch {
			case !passes && found != "":
				t.Fatalf("%s: kept in the API server, but: %s\n%s", route, found, r)
			case !passes:
				ret.kept++
			case found != "":
				ret.findings++
			default:
				ret.passedIdle++
			}
		}
	}
	return ret
}

func TestKeptRequestsAreNobodysConcern(t *testing.T) {
	recorded := append(reviews(t), corpus(t)...)
	for _, s := range sets {
		t.Run(s.name, func(t *testing.T) {
			hooks := hooks(t, "derived", s.policies...)
			for name, h := range hooks {
				if !slices.Equal(h.names, s.want[name]) {
					t.Errorf("%s: conditions %q, wanted %q", name, h.names, s.want[name])
				}
			}
			d := start(t, s.policies)
			random := rand.New(rand.NewSource(int64(len(s.name))*7919 + 1))
			requests := make([]*request, generated)
			if s.idle {
				requests = requests[:generated/5]
			}
			for i := range requests {
				requests[i] = generate(random)
			}
			got := judge(t, d, hooks, requests)
			t.Logf("generated: %d asked, %d kept, %d with findings, %d sent for nothing", got.requests, got.kept, got.findings, got.passedIdle)
			if s.idle != (got.kept == 0) {
				t.Errorf("%d requests are kept", got.kept)
			}
			if got.findings < got.requests/100 {
				t.Errorf("only %d findings: the requests show nothing", got.findings)
			}
			if s.idle || len(recorded) == 0 {
				return
			}
			got = judge(t, d, hooks, recorded)
			t.Logf("recorded and corpus: %d asked, %d kept, %d with findings, %d sent for nothing", got.requests, got.kept, got.findings,
				got.passedIdle)
		})
	}
}

// A condition that keeps too much must be noticed: one feature after the other is taken away from the true one.
func TestTheTestFindsFaults(t *testing.T) {
	policies := data("signals.yaml")
	var expression string
	for _, c := range render(t, "derived", policies...)[vp] {
		if c.Name == about {
			expression = c.Expression
		}
	}
	faults := []struct{ from, to string }{
		{"c.resources.limits.exists(", "c.resources.limits.all("},
		{"c.resources.requests.exists(r, r.contains('/'))", "false"},
		{"object.spec.initContainers : []", "dyn([]) : []"},
		{"object.spec.ephemeralContainers : []", "dyn([]) : []"},
		{"'NVIDIA_VISIBLE_DEVICES'", "'NVIDIA'"},
		{"'ASCEND_VISIBLE_DEVICES'", "'ASCEND'"},
		{"has(object.spec.runtimeClassName)", "false"},
		{"has(object.spec.volumes)", "false"},
		{"has(object.spec.nodeSelector)", "false"},
		{"'gpu-fraction'", "'gpu'"},
		{"object.spec.resourceClaims.size() > 0", "false"},
	}
	harmless := "object.spec.resourceClaims.size() > 0" // no claim of theirs is known
	d := start(t, policies)
	random := rand.New(rand.NewSource(17))
	var found []*request
	for range 3 * generated {
		if r := generate(random); d.ask(t, "/validate", r) != "" {
			found = append(found, r)
		}
	}
	for _, f := range faults {
		if strings.Count(expression, f.from) == 0 {
			t.Fatalf("%q is not in %s", f.from, expression)
		}
		faulty := strings.ReplaceAll(expression, f.from, f.to)
		m := compile(t, "faulty", []admissionregistration.MatchCondition{{Name: about, Expression: faulty}})
		missed := 0
		for _, r := range found {
			if !m.Match(context.Background(), versioned(r), nil, nil).Matches {
				missed++
			}
		}
		if (missed == 0) != (f.from == harmless) {
			t.Errorf("%q -> %q: %d of %d findings missed", f.from, f.to, missed, len(found))
		}
	}
}

// The largest Pods that an expression looks into, and those just above, are within the API server's budget.
func TestBudget(t *testing.T) {
	long := strings.Repeat("n", 2000)
	for _, more := range []int{0, 1} {
		for _, set := range sets {
			hooks := hooks(t, "derived", set.policies...)
			for name, h := range hooks {
				if name != vp && name != mp {
					continue
				}
				r := &request{operation: admission.Update, namespace: "ml-a", name: "p", object: heavy(more, long), old: heavy(more, long)}
				r.user.Name = long
				for i := range 256 + more {
					r.user.Groups = append(r.user.Groups, fmt.Sprint(long, i))
				}
				h.passes(t, r)
			}
		}
	}
}

// Without anything that is optional, and of a kind that has none of it.
func TestNothingThere(t *testing.T) {
	for _, set := range sets {
		for _, h := range hooks(t, "derived", set.policies...) {
			for _, pod := range []*corev1.Pod{{}, nil} {
				r := &request{operation: admission.Create, object: pod}
				if pod == nil {
					r.operation, r.old = admission.Delete, &corev1.Pod{}
				}
				if got := h.derived.Match(context.Background(), versioned(r), nil, nil); got.Error != nil {
					t.Errorf("%s: %v", set.name, got.Error)
				}
			}
		}
	}
}

func TestBasicDerivesNothing(t *testing.T) {
	for name, h := range hooks(t, "basic", "../../../policies/baseline") {
		if len(h.names) != 0 {
			t.Errorf("%s: %q", name, h.names)
		}
	}
}
