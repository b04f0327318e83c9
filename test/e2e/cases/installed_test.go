package cases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"mlgate.dev/e2e/cluster"
)

const system = "mlgate-system"

// block is one fenced block of a page.
type block struct{ heading, language, text string }

var fence = regexp.MustCompile("(?s)(?:^|\n)(#+ [^\n]*)|\n```([a-z]*)\n(.*?\n)```")

func blocks(t *testing.T, page string) (found []block) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	heading := ""
	for _, match := range fence.FindAllStringSubmatch(string(text), -1) {
		if match[1] != "" {
			heading = strings.TrimLeft(match[1], "# ")
			continue
		}
		found = append(found, block{heading, match[2], match[3]})
	}
	return found
}

// section is the first commands under one heading that begin as given.
func section(t *testing.T, page []block, heading, begin string) string {
	t.Helper()
	for _, b := range page {
		if b.heading == heading && b.language == "sh" && strings.HasPrefix(b.text, begin) {
			return b.text
		}
	}
	t.Fatalf("no commands under %q", heading)
	return ""
}

// follow runs the commands under one heading, as they stand.
func follow(t *testing.T, dir string, page []block, heading, begin string) cluster.Result {
	t.Helper()
	start := time.Now()
	lines := section(t, page, heading, begin)
	r := kube.Shell(dir, lines)
	if !r.OK {
		t.Fatalf("%s: %s\n%s%s", heading, lines, r.Out, r.Err)
	}
	t.Logf("%s: %.1f s", heading, time.Since(start).Seconds())
	return r
}

// reached waits for what the page's commands cannot see: a node learns of the servers behind a Service in its own time.
func reached(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the Service reaches a server", func() error {
		r := kubectl(fmt.Sprintf(streamPod, streamPods[0].text), "create", "--dry-run=server", "-f", "-")
		if strings.Contains(r.Err, "failed calling webhook") {
			return errors.New(r.Err)
		}
		return nil
	})
}

// tried is the denial that the page promises, word by word, and a Pod in order, which is patched.
func tried(t *testing.T, dir string, page []block) {
	t.Helper()
	reached(t)
	r := follow(t, dir, page, "Trying it", "!")
	for _, b := range page {
		if b.heading == "Trying it" && b.language == "text" {
			equal(t, "what kubectl says", r.Err, b.text)
			r.Err = ""
		}
	}
	equal(t, "a text to compare with", r.Err, "")
	out := must(t, fmt.Sprintf(streamPod, streamPods[0].text), "create", "--dry-run=server", "-o", "json", "-f", "-")
	contains(t, strings.ReplaceAll(out, `": "`, `":"`), streamPods[0].answer)
}

// repository is a copy of what the pages' commands name by relative paths.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(kube.Dir, "repository-")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"manifests", "policies"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join("../../..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := filepath.Abs(gate.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "build/mlgate")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// bare gives a case the cluster without mlgate, and a kubelet for its Pods; the other cases find theirs again.
func bare(t *testing.T) *cluster.Kubelet {
	t.Helper()
	if cluster.Rootless() {
		t.Skip("containers are made as root")
	}
	if err := gate.Unregister(); err != nil {
		t.Fatal(err)
	}
	gate.Stop()
	t.Cleanup(func() {
		must(t, "", "apply", "-f", filepath.Join(baseline, "priority-class.yaml"))
		for _, step := range []func() error{gate.Reach, func() error { return gate.Serve(baseline, own) }, gate.Register} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
	})
	must(t, "", "delete", "namespace/"+system, "priorityclass/ml-training")
	kubelet, err := kube.NewKubelet("plain", system, gate.Binary, "../../../Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(kubelet.LogFile())
			t.Logf("kubelet:\n%s", text)
		}
		kubelet.Stop()
	})
	return kubelet
}

// everything is what the cluster holds, without what it makes by itself.
func everything(t *testing.T) map[string]bool {
	t.Helper()
	lists, err := kube.Client.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list"}}, lists) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			if resource.Name == "events" {
				continue
			}
			objects, err := kube.Dynamic.Resource(version.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(resource.Name, err)
			}
			for i := range objects.Items {
				o := &objects.Items[i]
				if o.GetName() != "kube-root-ca.crt" {
					names[resource.Name+"."+version.Group+" "+o.GetNamespace()+"/"+o.GetName()] = true
				}
			}
		}
	}
	return names
}

// nothingLeft compares, both ways.
func nothingLeft(t *testing.T, before map[string]bool) {
	t.Helper()
	eventually(t, 20*time.Second, "as before the installation", func() error {
		after := everything(t)
		for name := range before {
			if !after[name] {
				return fmt.Errorf("gone: %s", name)
			}
			delete(after, name)
		}
		for name := range after {
			return fmt.Errorf("left: %s", name)
		}
		return nil
	})
}

const overlay = "overlay=manifests/overlays/self-signed"

// The page is followed word by word, and what is installed must bear what comes, under a stream of requests.
func TestInstallation(t *testing.T) {
	kubelet := bare(t)
	page := blocks(t, "../../../manifests/README.md")
	const own = "With certificates of mlgate's own"
	dir, before := repository(t), everything(t)
	follow(t, dir, page, own, overlay)
	tried(t, dir, page)
	t.Run("policies are edited", policiesEdited)
	t.Run("in need", func(t *testing.T) { inNeed(t, dir, page) })
	t.Run("pull secrets", func(t *testing.T) { pullSecretsAllowed(t, dir, page) })
	s := newStream(t)
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"certificates rotate", certificatesRotated},
		{"servers restart", serversRestarted},
		{"applied again", func(t *testing.T) { again(t, dir, section(t, page, own, overlay), true) }},
		{"another image", func(t *testing.T) { another(t, dir, section(t, page, "Changing what is installed", overlay)) }},
		{"applied again by the server", func(t *testing.T) {
			again(t, dir, "kubectl apply --server-side -k manifests/overlays/self-signed", false)
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.run(t)
			s.flawless(t)
		})
	}
	t.Run("a server is killed", func(t *testing.T) { serverKilled(t, kubelet, s) })
	follow(t, dir, page, "Uninstalling", overlay)
	nothingLeft(t, before)

	t.Run("with Helm", func(t *testing.T) { withHelm(t, dir, page, before) })
}

func withHelm(t *testing.T, dir string, page []block, before map[string]bool) {
	follow(t, dir, page, "With Helm", "kubectl create namespace")
	tried(t, dir, page)
	upgrade := regexp.MustCompile("(?m)^helm upgrade .*").FindString(section(t, page, "With Helm", "kubectl create namespace"))
	s := newStream(t)
	another(t, dir, upgrade+" --set image=registry.example/mlgate:9.9.9")
	s.flawless(t)
	follow(t, dir, page, "With Helm", "mkdir -p mine")
	s.flawless(t)
	s.end()
	follow(t, dir, page, "Uninstalling", "helm")
	nothingLeft(t, before)
}
