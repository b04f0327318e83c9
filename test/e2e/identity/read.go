package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// document is one document of one file, alone in a file of its own, so that both sides see the same bytes.
type document struct {
	source  string // file and number, for people
	path    string
	objects []*object // more than one if it is a List
}

// object is one manifest and what became of it.
type object struct {
	*unstructured.Unstructured
	document *document
	check    *verdict // nil: mlgate skips the kind
	plain    answer   // the API server alone
	patched  answer   // the API server alone, given what check would have made of it
	judged   answer   // the API server with mlgate
}

func (o *object) String() string {
	return fmt.Sprintf("%s: %s %s/%s", o.document.source, o.GetKind(), o.GetNamespace(), o.GetName()+o.GetGenerateName())
}

// readAll splits every file below the folders into documents; what is no YAML object is left out and counted.
func readAll(folders []string, work string) (documents []*document, unreadable int, err error) {
	for _, folder := range folders {
		err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.Contains(".yaml .yml .json", filepath.Ext(path)) || filepath.Ext(path) == "" {
				return err
			}
			found, bad, err := readFile(path, work, len(documents))
			documents, unreadable = append(documents, found...), unreadable+bad
			return err
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return documents, unreadable, nil
}

func readFile(path, work string, number int) (documents []*document, bad int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	reader := k8syaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for i := 0; ; i++ {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, bad, nil
		}
		if err != nil {
			return documents, bad + 1, nil
		}
		d := &document{source: fmt.Sprintf("%s#%d", path, i), path: filepath.Join(work, fmt.Sprintf("%06d.yaml", number+len(documents)))}
		if !d.parse(part) {
			bad++
			continue
		}
		if err := os.WriteFile(d.path, part, 0o600); err != nil {
			return nil, 0, err
		}
		documents = append(documents, d)
	}
}

// parse holds if the text is an object of some kind, or a List of such.
func (d *document) parse(text []byte) bool {
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return false
	}
	var content map[string]any
	if json.Unmarshal(data, &content) != nil || content["kind"] == nil || content["apiVersion"] == nil {
		return false
	}
	u := &unstructured.Unstructured{Object: content}
	items, isList := content["items"].([]any)
	if !isList || !strings.HasSuffix(u.GetKind(), "List") {
		d.objects = []*object{{Unstructured: u, document: d}}
		return true
	}
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			d.objects = append(d.objects, &object{Unstructured: &unstructured.Unstructured{Object: m}, document: d})
		}
	}
	return len(d.objects) > 0
}
