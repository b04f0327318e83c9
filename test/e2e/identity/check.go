package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

type violation struct {
	Policy, Rule, Action, Path, Message, Fix, Docs string
}

// line is how the webhook writes it into its denial.
func (v violation) line() string {
	text := fmt.Sprintf("%s/%s: %s: %s", v.Policy, v.Rule, v.Path, v.Message)
	switch {
	case v.Fix != "" && v.Docs != "":
		return text + " (" + v.Fix + "; " + v.Docs + ")"
	case v.Fix+v.Docs != "":
		return text + " (" + v.Fix + v.Docs + ")"
	}
	return text
}

// verdict is one entry of `mlgate check --format json`.
type verdict struct {
	File       string          `json:"file"`
	Kind       string          `json:"kind"`
	Name       string          `json:"name"`
	Allowed    bool            `json:"allowed"`
	Violations []violation     `json:"violations"`
	Warnings   []string        `json:"warnings"`
	Patch      json.RawMessage `json:"patch"`
}

// lines are the violations of one action, as the webhook writes them, sorted.
func (v *verdict) lines(action string) (lines []string) {
	for _, violation := range v.Violations {
		if violation.Action == action {
			lines = append(lines, violation.line())
		}
	}
	slices.Sort(lines)
	return lines
}

// apply is what check would have made of the manifest.
func (v *verdict) apply(manifest []byte) ([]byte, error) {
	if len(v.Patch) == 0 || string(v.Patch) == "null" || string(v.Patch) == "[]" {
		return manifest, nil
	}
	patch, err := jsonpatch.DecodePatch(v.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(manifest)
}

// runCheck asks mlgate about all files of the folder, and hands the verdicts to the objects.
func runCheck(binary, work string, policies []string, documents []*document) error {
	args := []string{"check", "--format", "json", "--namespace", "default", "--allow-empty"}
	for _, p := range policies {
		args = append(args, "--policies", p)
	}
	var errs bytes.Buffer
	cmd := exec.Command(binary, append(args, work)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 2 || exit.ExitCode() < 0) {
		return fmt.Errorf("mlgate check: %w: %s", err, errs.String())
	}
	var report struct {
		Results []*verdict `json:"results"`
		Errors  []struct{ File, Message string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return fmt.Errorf("mlgate check: %w: %.200s", err, out)
	}
	byFile := map[string][]*verdict{}
	for _, v := range report.Results {
		byFile[v.File] = append(byFile[v.File], v)
	}
	for _, e := range report.Errors {
		fmt.Printf("check cannot read: %s: %s\n", sourceOf(documents, e.File), e.Message)
	}
	for _, d := range documents {
		assign(d, byFile[d.path])
	}
	return nil
}

func sourceOf(documents []*document, path string) string {
	for _, d := range documents {
		if d.path == path {
			return d.source
		}
	}
	return path
}

// assign matches in order; of a List, kinds that mlgate skips have no verdict.
func assign(d *document, verdicts []*verdict) {
	for _, o := range d.objects {
		if len(verdicts) > 0 && verdicts[0].Kind == o.GetKind() && verdicts[0].Name == o.GetName()+o.GetGenerateName() {
			o.check, verdicts = verdicts[0], verdicts[1:]
		}
	}
	for _, v := range verdicts {
		fmt.Printf("no object for the verdict on %s %s in %s\n", v.Kind, v.Name, d.source)
	}
}
