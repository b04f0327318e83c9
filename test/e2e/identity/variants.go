package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Faults that people make, put into good manifests, so that there is something to deny.
var faults = []struct {
	name string
	make func(container map[string]any) bool
}{
	{"requests without limits", func(container map[string]any) bool {
		resources, _ := container["resources"].(map[string]any)
		limits, _ := resources["limits"].(map[string]any)
		requests, _ := resources["requests"].(map[string]any)
		if requests == nil {
			requests = map[string]any{}
		}
		moved := false
		for key, value := range limits {
			if strings.Contains(key, "/") {
				requests[key] = value
				delete(limits, key)
				moved = true
			}
		}
		if moved {
			resources["requests"] = requests
		}
		return moved
	}},
	{"devices by the back door", func(container map[string]any) bool {
		env, _ := container["env"].([]any)
		container["env"] = append(env, map[string]any{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"})
		return true
	}},
	{"devices in every container", func(container map[string]any) bool {
		container["resources"] = map[string]any{"limits": map[string]any{"nvidia.com/gpu": "2", "memory": "9Gi"}}
		return true
	}},
}

// variants adds, for each object, one with each fault, as documents of their own.
func variants(documents []*document, work string) (all []*document, err error) {
	all = documents
	for _, d := range documents {
		if len(d.objects) != 1 {
			continue
		}
		for _, fault := range faults {
			text, err := json.Marshal(d.objects[0].Object)
			if err != nil {
				return nil, err
			}
			var content map[string]any
			if err := json.Unmarshal(text, &content); err != nil {
				return nil, err
			}
			if !spoil(content, fault.make) {
				continue
			}
			v := &document{source: d.source + " with " + fault.name, path: filepath.Join(work, fmt.Sprintf("%06d.json", len(all)))}
			v.objects = []*object{{Unstructured: &unstructured.Unstructured{Object: content}, document: v}}
			if text, err = json.Marshal(content); err != nil {
				return nil, err
			}
			if err := os.WriteFile(v.path, text, 0o600); err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
	return all, nil
}

// spoil puts the fault into every container below the value.
func spoil(value any, fault func(map[string]any) bool) (done bool) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			done = spoil(item, fault) || done
		}
	case map[string]any:
		for key, item := range v {
			list, isList := item.([]any)
			if !isList || key != "containers" && key != "initContainers" {
				done = spoil(item, fault) || done
				continue
			}
			for _, entry := range list {
				if container, isMap := entry.(map[string]any); isMap && container["image"] != nil {
					done = fault(container) || done
				}
			}
		}
	}
	return done
}
