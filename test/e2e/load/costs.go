package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

const costNamespace = "cost"

// hooks are the two webhook configurations of one rendering; empty ones are none.
type hooks struct {
	validating *admissionv1.ValidatingWebhookConfiguration
	mutating   *admissionv1.MutatingWebhookConfiguration
}

func (s *stage) render(options ...string) (h hooks, err error) {
	text, err := s.gate.Manifests(options...)
	if err != nil {
		return h, err
	}
	for _, document := range strings.Split(text, "\n---\n") {
		switch {
		case strings.Contains(document, "kind: ValidatingWebhookConfiguration"):
			h.validating = new(admissionv1.ValidatingWebhookConfiguration)
			err = yaml.Unmarshal([]byte(document), h.validating)
		case strings.Contains(document, "kind: MutatingWebhookConfiguration"):
			h.mutating = new(admissionv1.MutatingWebhookConfiguration)
			err = yaml.Unmarshal([]byte(document), h.mutating)
		}
		if err != nil {
			return h, err
		}
	}
	if h.validating == nil || h.mutating == nil {
		return h, fmt.Errorf("no webhook configurations among the manifests")
	}
	return h, nil
}

// register replaces what is registered and waits until it acts.
func (s *stage) register(h hooks) error {
	ctx, api := context.Background(), s.kube.Client.AdmissionregistrationV1()
	for _, remove := range []func(context.Context, string, metav1.DeleteOptions) error{
		api.ValidatingWebhookConfigurations().Delete, api.MutatingWebhookConfigurations().Delete} {
		if err := remove(ctx, "mlgate", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	if err := s.settle(false); err != nil || h.validating == nil {
		return err
	}
	if _, err := api.ValidatingWebhookConfigurations().Create(ctx, h.validating, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := api.MutatingWebhookConfigurations().Create(ctx, h.mutating, metav1.CreateOptions{}); err != nil {
		return err
	}
	return s.settle(true)
}

// cost is a line of the table.
type cost struct {
	hooks, pod string
	kind       kind
	registered hooks
	asked      bool // reviews are expected
	server     []float64
	gate       time.Duration
	reviews    int64
	pods       int
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (c *cost) median() float64 {
	sort.Float64s(c.server)
	return c.server[len(c.server)/2]
}

// measure is one round of a line. What the API server does on its own in that time is taken off.
func (s *stage) measure(c *cost, client kubernetes.Interface, pods, workers int, idle float64) error {
	if err := s.register(c.registered); err != nil {
		return err
	}
	b := &batch{namespace: costNamespace, dry: true, count: pods, judge: c.registered.validating != nil, kinds: []kind{c.kind}}
	server, gate, reviews, begin := cpuOf(s.server), s.gateCPU(), s.reviews(), time.Now()
	b.run([]kubernetes.Interface{client}, workers)
	used := milliseconds(cpuOf(s.server)-server) - idle*milliseconds(time.Since(begin))
	c.server = append(c.server, used/float64(pods))
	c.gate += s.gateCPU() - gate
	c.reviews += s.reviews() - reviews
	c.pods += pods
	return b.result()
}

func (s *stage) idle(d time.Duration) float64 {
	begin, before := time.Now(), cpuOf(s.server)
	time.Sleep(d)
	return milliseconds(cpuOf(s.server)-before) / milliseconds(time.Since(begin))
}

func (s *stage) lines() ([]*cost, error) {
	basic, err := s.render()
	if err != nil {
		return nil, err
	}
	lines := []*cost{{hooks: "none", kind: plain}, {hooks: "both, basic conditions", kind: plain, registered: basic, asked: true},
		{hooks: "none", kind: trained}, {hooks: "both, basic conditions", kind: trained, registered: basic, asked: true}}
	if derived, err := s.render("--match-conditions=derived"); err != nil {
		fmt.Println("no lines for derived conditions:", strings.TrimSpace(err.Error()))
	} else {
		lines = append(lines, &cost{hooks: "both, derived conditions", kind: plain, registered: derived},
			&cost{hooks: "both, derived conditions", kind: trained, registered: derived, asked: true})
	}
	sort.SliceStable(lines, func(i, j int) bool { return lines[i].kind.name == plain.name && lines[j].kind.name != plain.name })
	return lines, nil
}

// costs takes the lines in turn, round after round, so that what else the machine does falls on all of them.
func (s *stage) costs(rounds, pods, workers int) error {
	lines, err := s.lines()
	if err != nil {
		return err
	}
	if err := s.kube.Namespace(costNamespace, nil); err != nil {
		return err
	}
	clients, err := s.clients(1)
	if err != nil {
		return err
	}
	idle := s.idle(3 * time.Second)
	for range rounds {
		for _, c := range lines {
			if err := s.measure(c, clients[0], pods, workers, idle); err != nil {
				return err
			}
		}
	}
	if err := s.register(lines[1].registered); err != nil {
		return err
	}
	fmt.Printf("CPU of the API server for a create (dry run): %d rounds of %d in turn; "+
		"%.1f %% of a core, which it uses idle, taken off\n", rounds, pods, idle*100)
	return table(lines)
}

var podNames = map[string]string{plain.name: "no policy touches it", trained.name: "2 GPUs, patched"}

func table(lines []*cost) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "Pod\thooks\tms, median\tleast\tmost\tadded\treviews\tmlgate, ms\t")
	alone := 0.0
	var wrong error
	for _, c := range lines {
		median, reviews := c.median(), float64(c.reviews)/float64(c.pods)
		if c.registered.validating == nil {
			alone = median
		}
		fmt.Fprintf(out, "%s\t%s\t%.2f\t%.2f\t%.2f\t%+.2f\t%.2f\t%.3f\t\n", podNames[c.kind.name], c.hooks, median, c.server[0],
			c.server[len(c.server)-1], median-alone, reviews, milliseconds(c.gate)/float64(c.pods))
		if c.asked != (reviews >= 2) || !c.asked && reviews > 0 {
			wrong = fmt.Errorf("%s, hooks %s: %.2f reviews a Pod", podNames[c.kind.name], c.hooks, reviews)
		}
	}
	_ = out.Flush()
	return wrong
}
