package cases

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mlgate.dev/e2e/cluster"
)

// What an installation that serves must bear, in the order of TestInstallation.

func servers(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := kube.Client.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=server"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// untouched says which servers run, and how often each was started.
func untouched(t *testing.T) string {
	t.Helper()
	text := ""
	for _, p := range servers(t) {
		if p.DeletionTimestamp != nil {
			continue
		}
		text += fmt.Sprintf("%s %d\n", p.Name, p.Status.ContainerStatuses[0].RestartCount)
	}
	return text
}

const podReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","namespace":"default",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"userInfo":{"username":"e2e"},"object":%s}}`

// unanimous waits until every server says so, and the API server too, which keeps its connections and so knows not all of them.
func unanimous(t *testing.T, what, wanted string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	body := fmt.Sprintf(podReview, fmt.Sprintf(streamPod, streamPods[1].text))
	eventually(t, 10*time.Second, what, func() error {
		for _, p := range servers(t) {
			answer, err := client.Post("https://"+net.JoinHostPort(p.Status.PodIP, "8443")+"/validate", "application/json", strings.NewReader(body))
			if err != nil {
				return err
			}
			text, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil || strings.Contains(string(text), `"allowed":true`) != (wanted == let) {
				return fmt.Errorf("%s: %s %v", p.Name, text, err)
			}
		}
		if answer := askForPod(streamPods[1].text); !strings.Contains(answer, wanted) {
			return errors.New(answer)
		}
		return nil
	})
}

const (
	denied = "denied the request: gpu-limits/gpuLimits"
	let    = `"generateName":"p-"`
)

func editPolicies(t *testing.T, old, new string) {
	t.Helper()
	maps := kube.Client.CoreV1().ConfigMaps(system)
	object, err := maps.Get(ctx, "mlgate-policies", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := object.Data["gpu-limits.yaml"]
	if object.Data["gpu-limits.yaml"] = strings.Replace(before, old, new, 1); object.Data["gpu-limits.yaml"] == before {
		t.Fatalf("no %q in %s", old, before)
	}
	if _, err := maps.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func policiesEdited(t *testing.T) {
	before := untouched(t)
	editPolicies(t, "\n  action: enforce", "\n  action: warn")
	unanimous(t, "the edit is live", let)
	editPolicies(t, "\n  action: warn", "\n  action: refuse")
	time.Sleep(2500 * time.Millisecond) // longer than mounted files and mlgate take
	unanimous(t, "a mistake changes nothing", let)
	editPolicies(t, "\n  action: refuse", "\n  action: enforce")
	unanimous(t, "and back", denied)
	equal(t, "servers", untouched(t), before)
}

// fromCronJob makes a Job of the CronJob, with more arguments, and waits for its end.
func fromCronJob(t *testing.T, name string, args ...string) {
	t.Helper()
	crons, err := kube.Client.BatchV1().CronJobs(system).List(ctx, metav1.ListOptions{})
	if err != nil || len(crons.Items) != 1 {
		t.Fatalf("CronJobs: %v %v", crons, err)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: crons.Items[0].Spec.JobTemplate.Spec}
	container := &job.Spec.Template.Spec.Containers[0]
	container.Args = append(container.Args, args...)
	if _, err := kube.Client.BatchV1().Jobs(system).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	must(t, "", "-n", system, "wait", "--for=condition=complete", "job/"+name, "--timeout=20s")
}

func certificateSecret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := kube.Client.CoreV1().Secrets(system).Get(ctx, "mlgate-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// served waits until every server shows the certificate of the Secret.
func served(t *testing.T) {
	t.Helper()
	first, _ := pem.Decode(certificateSecret(t).Data["tls.crt"])
	eventually(t, 10*time.Second, "the certificate is served", func() error {
		for _, p := range servers(t) {
			conn, err := tls.Dial("tcp", net.JoinHostPort(p.Status.PodIP, "8443"), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return err
			}
			conn.Close()
			if !bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, first.Bytes) {
				return fmt.Errorf("%s shows another", p.Name)
			}
		}
		return nil
	})
}

const bundles = `jsonpath={range .items[*]}{range .webhooks[*]}{.clientConfig.caBundle}{"\n"}{end}{end}`

// bundle is what all webhooks have.
func bundle(t *testing.T) string {
	t.Helper()
	lines := strings.Fields(must(t, "", "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", bundles))
	for _, line := range lines {
		equal(t, "caBundle", line, lines[0])
	}
	if len(lines) < 4 {
		t.Fatalf("caBundles: %v", lines)
	}
	return lines[0]
}

func certificatesRotated(t *testing.T) {
	before, authority := untouched(t), bundle(t)
	version := certificateSecret(t).ResourceVersion
	fromCronJob(t, "early")
	equal(t, "Secret while nothing is due", certificateSecret(t).ResourceVersion, version)
	for i, what := range []string{"announced", "switched", "settled"} {
		fromCronJob(t, what, "--now")
		served(t)
		one := strings.Count(string(certificateSecret(t).Data["ca.crt"]), "BEGIN CERTIFICATE")
		equal(t, "authorities when "+what, one, []int{2, 2, 1}[i])
	}
	if bundle(t) == authority {
		t.Error("the same authority as before")
	}
	equal(t, "servers", untouched(t), before)
}

func serversRestarted(t *testing.T) {
	before := untouched(t)
	must(t, "", "-n", system, "rollout", "restart", "deployment/mlgate")
	must(t, "", "-n", system, "rollout", "status", "deployment/mlgate", "--timeout=60s")
	for line := range strings.Lines(untouched(t)) {
		if strings.Contains(before, line) {
			t.Errorf("%s is still there", line)
		}
	}
}

const (
	installed = "deployments,cronjobs,poddisruptionbudgets,networkpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations"
	contents  = `jsonpath={range .items[*]}{.kind}/{.metadata.name}%s {.spec.replicas} {.spec.template} {.webhooks}{"\n"}{end}`
)

// again does the whole installation once more; nothing may move. The API server counts annotations of a Deployment, which
// another way of applying writes, into its generation.
func again(t *testing.T, dir, lines string, generations bool) {
	t.Helper()
	format := fmt.Sprintf(contents, "")
	if generations {
		format = fmt.Sprintf(contents, " {.metadata.generation}")
	}
	state := func() string {
		return must(t, "", "get", "-A", "-l", "app.kubernetes.io/instance=mlgate", "-o", format, installed)
	}
	before, running := state(), untouched(t)
	if r := kube.Shell(dir, lines); !r.OK {
		t.Fatalf("%s: %s%s", lines, r.Out, r.Err)
	}
	equal(t, "servers", untouched(t), running)
	for line := range strings.Lines(state()) {
		if !strings.Contains(before, line) {
			t.Errorf("now: %s", line)
		}
	}
}

// another installs another image.
func another(t *testing.T, dir, lines string) {
	t.Helper()
	file := filepath.Join(dir, "manifests/overlays/self-signed/kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "images: [{name: registry.example/mlgate, newTag: 9.9.9}]\n"...)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	authority := bundle(t)
	if r := kube.Shell(dir, lines); !r.OK {
		t.Fatalf("%s: %s%s", lines, r.Out, r.Err)
	}
	equal(t, "authority", bundle(t), authority)
	for _, p := range servers(t) {
		if image := p.Spec.Containers[0].Image; p.DeletionTimestamp == nil && !strings.HasSuffix(image, ":9.9.9") {
			t.Errorf("%s: image %s", p.Name, image)
		}
	}
}

// serverKilled: calls to it fail until its end is known, so that validation refuses and mutation, whose policy is Ignore, is left
// out; the others answer on, and nothing that is to be refused comes through.
func serverKilled(t *testing.T, kubelet *cluster.Kubelet, s *stream) {
	staying := slices.DeleteFunc(servers(t), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	killed, at := staying[0].Name, time.Now()
	if err := kubelet.Kill(killed); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "started anew", func() error {
		p := pod(t, system, killed)
		if status := p.Status.ContainerStatuses[0]; status.RestartCount == 0 || !status.Ready {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	time.Sleep(time.Second)
	s.end()
	equal(t, "let through", s.let, 0)
	if s.right <= len(s.wrong) {
		t.Errorf("%d right answers only", s.right)
	}
	if len(s.wrong) > 0 && s.last.Sub(at) > 3*time.Second {
		t.Errorf("still a wrong answer %v after the end of one server: %s", s.last.Sub(at), s.wrong[len(s.wrong)-1])
	}
	t.Logf("%d answers, %d calls to it failed", s.right, len(s.wrong))
}
