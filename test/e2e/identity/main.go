// Program identity compares two answers to every manifest of some folders: that of `mlgate check`, and that of a real API
// server with mlgate in front.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"mlgate.dev/e2e/cluster"
)

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var policies list
	flag.Var(&policies, "policies", "policy file or folder; repeats")
	spoiled := flag.Bool("faults", false, "also put common faults into every manifest")
	hooks := flag.String("hooks", "", "webhook configurations; none: what mlgate manifests renders")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: identity [-policies PATH]... DIR...")
		os.Exit(2)
	}
	cluster.Isolate()
	if len(policies) == 0 {
		policies = list{"../../policies/baseline"}
	}
	same, err := compare(flag.Args(), policies, *hooks, *spoiled)
	if err != nil {
		fmt.Fprintln(os.Stderr, "identity:", err)
		os.Exit(2)
	}
	if !same {
		os.Exit(1)
	}
}

func compare(folders, policies []string, hooks string, spoiled bool) (same bool, err error) {
	kube, err := cluster.Start(os.Getenv("MLGATE_E2E_BIN"))
	if err != nil {
		return false, err
	}
	defer kube.Remove()
	defer kube.Stop()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		kube.Stop()
		kube.Remove()
		os.Exit(130)
	}()
	work := filepath.Join(kube.Dir, "documents")
	if err := os.Mkdir(work, 0o700); err != nil {
		return false, err
	}
	documents, unreadable, err := readAll(folders, work)
	if err != nil {
		return false, err
	}
	if spoiled {
		if documents, err = variants(documents, work); err != nil {
			return false, err
		}
	}
	if err := runCheck(os.Getenv("MLGATE"), work, policies, documents); err != nil {
		return false, err
	}
	var objects []*object
	for _, d := range documents {
		objects = append(objects, d.objects...)
	}
	if err := askAll(kube, objects, policies, hooks); err != nil {
		return false, err
	}
	return report(objects, unreadable), nil
}

// askAll puts every object three times: alone, as check would have patched it, and with mlgate in front.
func askAll(kube *cluster.Cluster, objects []*object, policies []string, hooks string) error {
	if err := kube.AllDefinitions(); err != nil {
		return err
	}
	if r := kube.Kubectl("", "apply", "-f", "../../policies/baseline/priority-class.yaml"); !r.OK {
		return fmt.Errorf("priority class: %s", r.Err)
	}
	gate, err := kube.NewGate(os.Getenv("MLGATE"), hooks)
	if err != nil {
		return err
	}
	a, err := newAsker(kube)
	if err != nil {
		return err
	}
	if a.defineUnserved(objects) {
		if err := kube.Definitions(); err != nil {
			return err
		}
		if a, err = newAsker(kube); err != nil {
			return err
		}
	}
	a.prepare(objects)
	a.each(objects, func(o *object, ask func([]byte) answer) {
		body, _ := json.Marshal(o.Object)
		if o.plain = ask(body); !o.plain.accepted || o.check == nil {
			return
		}
		if body, err := o.check.apply(body); err != nil {
			o.patched.text = "check's patch does not apply: " + err.Error()
		} else {
			o.patched = ask(body)
		}
	})
	if err := gate.Serve(policies...); err != nil {
		return err
	}
	if err := gate.Register(); err != nil {
		return err
	}
	a.each(objects, func(o *object, ask func([]byte) answer) {
		body, _ := json.Marshal(o.Object)
		o.judged = ask(body)
	})
	return nil
}
