package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

const anything = `{"type":"object","x-kubernetes-preserve-unknown-fields":true}`

const version = `{"name":%q,"served":true,"storage":%t,"schema":{"openAPIV3Schema":` + anything + `}}`

const definition = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":%q,"annotations":{"api-approved.kubernetes.io":"unapproved, for a test"}},
"spec":{"group":%q,"scope":%q,"names":{"kind":%q,"plural":%q},"versions":[` + version + `]}}`

// defineUnserved makes the API server take kinds that it has no definition of, without a schema. It holds if there were any.
func (a *asker) defineUnserved(objects []*object) (any bool) {
	done := map[schema.GroupVersionKind]bool{}
	for _, o := range objects {
		kind := o.GroupVersionKind()
		if done[kind] || a.path(o) != "" || !strings.Contains(kind.Group, ".") || builtIn(kind.Group) {
			continue
		}
		done[kind] = true
		if err := a.define(kind); err != nil {
			fmt.Println("no definition of", kind, err)
			continue
		}
		any = true
	}
	return any
}

// builtIn groups are the API server's own; old versions of them are gone for good.
func builtIn(group string) bool {
	return strings.HasSuffix(group, ".k8s.io") && strings.Count(group, ".") == 2 && group != "jobset.x-k8s.io"
}

func (a *asker) define(kind schema.GroupVersionKind) error {
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	client, ctx := a.Client.Discovery().RESTClient(), context.Background()
	plural := plural(kind.Kind)
	name := plural + "." + kind.Group
	if client.Get().AbsPath(path, name).Do(ctx).Error() == nil {
		patch, _ := json.Marshal([]map[string]any{{"op": "add", "path": "/spec/versions/-",
			"value": json.RawMessage(fmt.Sprintf(version, kind.Version, false))}})
		return client.Patch(types.JSONPatchType).AbsPath(path, name).Body(patch).Do(ctx).Error()
	}
	scope := "Namespaced"
	if strings.HasPrefix(kind.Kind, "Cluster") {
		scope = "Cluster"
	}
	text := fmt.Sprintf(definition, name, kind.Group, scope, kind.Kind, plural, kind.Version, true)
	return client.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(text)).Do(ctx).Error()
}

func plural(kind string) string {
	word := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(word, "y"):
		return strings.TrimSuffix(word, "y") + "ies"
	case strings.HasSuffix(word, "s"):
		return word + "es"
	}
	return word + "s"
}
