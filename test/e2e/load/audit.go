package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type event struct {
	Verb           string
	ObjectRef      struct{ Resource, Subresource, Namespace string }
	ResponseStatus struct{ Code int }
	Annotations    map[string]string
}

// tally is what the API server says about the creates of Pods in a namespace.
type tally struct {
	events, admitted, denied, other int
	failedOpen                      int // a hook that could not be asked and may be skipped
	unasked                         int // admitted without a trace of the mutating hook
}

func (t tally) String() string {
	return fmt.Sprintf("%d creates, %d admitted, %d denied, %d of another status, %d failed open, %d never asked",
		t.events, t.admitted, t.denied, t.other, t.failedOpen, t.unasked)
}

func (t *tally) add(e *event) {
	t.events++
	switch e.ResponseStatus.Code {
	case 201:
		t.admitted++
	case 403:
		t.denied++
	default:
		t.other++
	}
	asked, open := false, false
	for key, value := range e.Annotations {
		open = open || strings.HasPrefix(key, "failed-open.")
		asked = asked || strings.HasPrefix(key, "mutation.webhook.admission.k8s.io/") && strings.Contains(value, "mutate.mlgate.dev")
	}
	if open {
		t.failedOpen++
	}
	if !asked && e.ResponseStatus.Code == 201 {
		t.unasked++
	}
}

// audit reads the log, and what was turned over of it.
func audit(log, namespace string) (t tally, err error) {
	pattern := strings.TrimSuffix(log, ".log") + "*.log"
	files, err := filepath.Glob(pattern)
	if err != nil {
		return t, err
	}
	for _, file := range files {
		if err := auditFile(file, namespace, &t); err != nil {
			return t, err
		}
	}
	return t, nil
}

func auditFile(path, namespace string, t *tally) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		ref := e.ObjectRef
		if e.Verb == "create" && ref.Resource == "pods" && ref.Subresource == "" && ref.Namespace == namespace {
			t.add(&e)
		}
	}
	return lines.Err()
}
