package cases

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// A call for what is stored already finds nothing to do.
func TestSecondCallHasNoPatch(t *testing.T) {
	ns := namespace(t, "again")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			must(t, manifest(t, kind.name, "", limited), "-n", ns, "create", "-f", "-")
			object := must(t, "", "-n", ns, "get", kind.resource, "bert", "-o", "json")
			must(t, "", "-n", ns, "delete", kind.resource, "bert", "--wait=false")
			equal(t, "patched again", patchOf(t, ns, object), "")
		})
	}
	text := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"a/b:1","resources":` +
		`{"limits":{"nvidia.com/gpu":1}}}]}}`
	if patchOf(t, ns, text) == "" {
		t.Error("no patch for what needs one, so the others say nothing")
	}
}

// patchOf asks the mutating hook itself.
func patchOf(t *testing.T, ns, object string) string {
	t.Helper()
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal([]byte(object), &head); err != nil {
		t.Fatal(err)
	}
	group, version, found := strings.Cut(head.APIVersion, "/")
	if !found {
		group, version = "", head.APIVersion
	}
	kind := map[string]string{"group": group, "version": version, "kind": head.Kind}
	asked, _ := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
		"uid": "again", "kind": kind, "resource": map[string]string{"group": group, "version": version, "resource": strings.ToLower(head.Kind) + "s"},
		"operation": "CREATE", "namespace": ns, "userInfo": map[string]any{"username": "a"}, "object": json.RawMessage(object)}})
	answer, err := client(t).Post(gate.URL()+"/mutate", "application/json", bytes.NewReader(asked))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var review struct {
		Response struct {
			Allowed bool
			Patch   []byte
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&review); err != nil {
		t.Fatal(err)
	}
	equal(t, "allowed", review.Response.Allowed, true)
	return string(review.Response.Patch)
}

// What kubectl prints and what a pipeline prints are the same words.
func TestCheckSaysWhatTheServerSays(t *testing.T) {
	ns := namespace(t, "words")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			text := manifest(t, kind.name, kind.env, kind.resources)
			r := refused(t, text, nil, "-n", ns, "create", "-f", "-")
			_, said, _ := strings.Cut(r.Err, "denied the request: ")
			equal(t, "words", strings.Join(checked(t, ns, text), "\n"), strings.TrimSpace(said))
		})
	}
}

// checked is the denials of `mlgate check`, written as the webhook writes them.
func checked(t *testing.T, ns, text string) (lines []string) {
	t.Helper()
	cmd := exec.Command(gate.Binary, "check", "--policies", baseline, "--policies", own, "--namespace", ns, "--format", "json", "-")
	cmd.Stdin = strings.NewReader(text)
	out, _ := cmd.Output() // a denial is a status
	var report struct {
		Results []struct {
			Violations []struct{ Policy, Rule, Action, Path, Message, Fix string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, result := range report.Results {
		for _, v := range result.Violations {
			line := v.Policy + "/" + v.Rule + ": " + v.Path + ": " + v.Message
			if v.Fix != "" {
				line += " (" + v.Fix + ")"
			}
			if v.Action == "deny" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
