package cluster

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// operator starts one and gives a function that ends it.
func (c *Cluster) operator(name string, args ...string) (stop func(), p *Process, err error) {
	if p, err = c.run(name, args...); err != nil {
		return nil, nil, err
	}
	return c.ender(p), p, nil
}

func (c *Cluster) ender(p *Process) func() {
	return func() {
		p.Stop()
		c.forget(p)
	}
}

func listening(port int) func() error {
	return func() error {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// RayOperator makes the Pods of RayClusters.
func (c *Cluster) RayOperator() (stop func(), err error) {
	stop, p, err := c.operator("ray-operator", "--metrics-addr=127.0.0.1:9101", "--health-probe-bind-address=127.0.0.1:9102",
		"--enable-leader-election=false")
	if err != nil {
		return nil, err
	}
	return stop, eventually(30*time.Second, "ray-operator", p, listening(9102))
}

// MPIOperator makes the Pods and launcher Jobs of MPIJobs v2beta1. The definition of the training operator, which is of the same
// name and knows v1 only, gives way to its own until it stops.
func (c *Cluster) MPIOperator() (stop func(), err error) {
	if err := c.definitionOfMPIJobs(swapped); err != nil {
		return nil, err
	}
	restore := func() { _ = c.definitionOfMPIJobs("training-operator") }
	if err := c.Namespace("mpi-operator", nil); err != nil {
		return restore, err
	}
	end, p, err := c.operator("mpi-operator", "-kubeConfig="+c.kubeconfig("admin"), "-lock-namespace=mpi-operator", "-monitoring-port=9141")
	if err != nil {
		return restore, err
	}
	stop = func() {
		end()
		restore()
		c.Kubectl("", "delete", "namespace", "mpi-operator", "--wait=false")
	}
	return stop, eventually(30*time.Second, "mpi-operator", p, listening(9141))
}

func (c *Cluster) definitionOfMPIJobs(folder string) error {
	file := filepath.Join(c.Bin, "crds", folder, "kubeflow.org_mpijobs.yaml")
	for _, args := range [][]string{{"delete", "--ignore-not-found"}, {"create"}} {
		if r := c.Kubectl("", append(args, "-f", file)...); !r.OK {
			return errorf("definition of MPIJobs", r)
		}
	}
	return c.Definitions()
}

// privateFolder is what an operator finds as its /tmp: some look for their certificate at a fixed place there.
func (c *Cluster) privateFolder(name string) (folder, certs string, err error) {
	folder = filepath.Join(c.Dir, "tmp-of-"+name)
	certs = filepath.Join(folder, "k8s-webhook-server", "serving-certs")
	return folder, certs, os.MkdirAll(certs, 0o700)
}
