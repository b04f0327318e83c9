package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/restmapper"

	"mlgate.dev/e2e/cluster"
)

// answer is what the API server says to one dry-run create.
type answer struct {
	accepted bool
	text     string         // the error
	object   map[string]any // the object, without what is random
	warnings []string
}

type asker struct {
	*cluster.Cluster
	mapper meta.RESTMapper
}

func newAsker(c *cluster.Cluster) (*asker, error) {
	groups, err := restmapper.GetAPIGroupResources(c.Client.Discovery())
	if err != nil {
		return nil, err
	}
	return &asker{Cluster: c, mapper: restmapper.NewDiscoveryRESTMapper(groups)}, nil
}

// path is where objects of this kind are created; "" if the API server does not serve it.
func (a *asker) path(o *object) string {
	gvk := o.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return ""
	}
	root := "/apis/" + gvk.Group + "/" + gvk.Version
	if gvk.Group == "" {
		root = "/api/" + gvk.Version
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		root += "/namespaces/" + namespaceOf(o)
	}
	return root + "/" + mapping.Resource.Resource
}

func namespaceOf(o *object) string {
	if ns := o.GetNamespace(); ns != "" {
		return ns
	}
	return "default"
}

// prepare makes the namespaces and service accounts that the objects need.
func (a *asker) prepare(objects []*object) {
	for _, o := range objects {
		if err := a.Namespace(namespaceOf(o), nil); err != nil {
			continue
		}
		spec, _ := o.Object["spec"].(map[string]any)
		if name, _ := spec["serviceAccountName"].(string); name != "" && o.GetKind() == "Pod" {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
			_, _ = a.Client.CoreV1().ServiceAccounts(namespaceOf(o)).Create(context.Background(), account, metav1.CreateOptions{})
		}
	}
}

func (a *asker) ask(path string, body []byte) answer {
	result := a.Client.Discovery().RESTClient().Post().AbsPath(path).Param("dryRun", "All").Param("fieldValidation", "Ignore").
		SetHeader("Content-Type", "application/json").Body(body).Do(context.Background())
	var got answer
	for _, w := range result.Warnings() {
		got.warnings = append(got.warnings, w.Text)
	}
	data, err := result.Raw()
	if err != nil {
		got.text = err.Error()
		return got
	}
	got.accepted = true
	var generated metav1.PartialObjectMetadata
	if json.Unmarshal(data, &generated) == nil && generated.GenerateName != "" {
		data = []byte(strings.ReplaceAll(string(data), generated.Name, "RANDOM"))
	}
	if err := json.Unmarshal([]byte(random.ReplaceAllString(string(data), "RANDOM")), &got.object); err != nil {
		got.text = fmt.Sprint("unreadable: ", err)
	}
	metadata, _ := got.object["metadata"].(map[string]any)
	for _, field := range []string{"managedFields", "creationTimestamp"} {
		delete(metadata, field)
	}
	sortArrivals(got.object)
	return got
}

// sortArrivals puts in order what the API server itself adds to Pods, before our addition or after it.
func sortArrivals(object map[string]any) {
	if object["kind"] != "Pod" {
		return
	}
	spec, _ := object["spec"].(map[string]any)
	sortList(spec, "tolerations")
	sortList(spec, "volumes")
	for _, list := range []string{"containers", "initContainers"} {
		containers, _ := spec[list].([]any)
		for _, container := range containers {
			if fields, isMap := container.(map[string]any); isMap {
				sortList(fields, "volumeMounts")
			}
		}
	}
}

func sortList(parent map[string]any, key string) {
	list, _ := parent[key].([]any)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

var random = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// each asks about all objects, a few at a time.
func (a *asker) each(objects []*object, put func(o *object, ask func(body []byte) answer)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, o := range objects {
		path := a.path(o)
		if path == "" {
			continue
		}
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; group.Done() }()
			put(o, func(body []byte) answer { return a.ask(path, body) })
		}()
	}
	group.Wait()
}

var denied = regexp.MustCompile(`^admission webhook "[a-z.]*validate\.mlgate\.dev" denied the request: `)

// denial is the text of mlgate in an error, if it is one of mlgate's.
func (a answer) denial() (text string, is bool) {
	head := denied.FindString(a.text)
	return a.text[len(head):], head != ""
}
