// Package cases runs mlgate behind a real API server and asks it, as people and controllers do.
package cases

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"mlgate.dev/e2e/cluster"
)

var (
	ctx  = context.Background()
	kube *cluster.Cluster
	gate *cluster.Gate

	baseline = "../../../policies/baseline"
	own      = "../policies"
	late     = "../policies-late"
)

func TestMain(m *testing.M) {
	cluster.Isolate()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if kube, err = cluster.Start(os.Getenv("MLGATE_E2E_BIN")); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	stopOnSignal()
	status := 1
	if err = prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	} else {
		status = m.Run()
	}
	kube.Stop()
	if status != 0 {
		fmt.Fprintln(os.Stderr, "e2e: logs are kept in", kube.Logs())
	} else {
		kube.Remove()
	}
	return status
}

func stopOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		kube.Stop()
		fmt.Fprintln(os.Stderr, "e2e: interrupted; logs are kept in", kube.Logs())
		os.Exit(130)
	}()
}

func prepare() error {
	if err := kube.Definitions("training-operator", "ray-operator", "jobset", "lws", "trainer"); err != nil {
		return err
	}
	// Only the first has the label that policies/node-selector.yaml asks for.
	for name, labels := range map[string]map[string]string{"gpu-1": {"nvidia.com/gpu.present": "true"}, "gpu-bare": nil} {
		if err := kube.Node(name, 8, labels); err != nil {
			return err
		}
	}
	if r := kube.Kubectl("", "apply", "-f", filepath.Join(baseline, "priority-class.yaml"), "-f", "testdata/classes.yaml"); !r.OK {
		return fmt.Errorf("priority classes: %s", r.Err)
	}
	var err error
	if gate, err = kube.NewGate(os.Getenv("MLGATE"), ""); err != nil {
		return err
	}
	if err := gate.Serve(baseline, own); err != nil {
		return err
	}
	return gate.Register()
}
