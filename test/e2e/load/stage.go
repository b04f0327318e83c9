package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"mlgate.dev/e2e/cluster"
)

// stage is a cluster whose webhook Service leads to a balancer before two replicas.
type stage struct {
	kube     *cluster.Cluster
	gate     *cluster.Gate
	binary   string
	policies string
	replicas [2]*replica
	balancer *cluster.Balancer
	server   int // process id of the API server
}

func newStage(bin, binary, policies string) (*stage, error) {
	kube, err := cluster.Start(bin)
	if err != nil {
		return nil, err
	}
	s := &stage{kube: kube, binary: binary, policies: policies}
	if s.server, err = child("kube-apiserver"); err != nil {
		s.stop()
	}
	return s, err
}

func (s *stage) prepare() (err error) {
	if r := s.kube.Kubectl("", "apply", "-f", filepath.Join(s.policies, "priority-class.yaml")); !r.OK {
		return errors.New("priority class: " + r.Err)
	}
	if s.gate, err = s.kube.NewGate(s.binary, ""); err != nil {
		return err
	}
	if err := s.gate.Serve(s.policies); err != nil {
		return err
	}
	if err := s.gate.Register(); err != nil {
		return err
	}
	s.gate.Stop() // the balancer takes its port
	for i := range s.replicas {
		s.replicas[i] = newReplica(s, i)
		if err := s.replicas[i].start(); err != nil {
			return err
		}
	}
	if s.balancer, err = cluster.NewBalancer("127.0.0.1:8443", s.replicas[0], s.replicas[1]); err != nil {
		return err
	}
	return s.settle(true)
}

func (s *stage) stop() {
	if s.balancer != nil {
		s.balancer.Close()
	}
	for _, r := range s.replicas {
		if r != nil {
			r.kill()
		}
	}
	s.kube.Stop()
}

// settle waits until the API server asks both hooks, or neither.
func (s *stage) settle(asks bool) error {
	pods := s.kube.Client.CoreV1().Pods("default")
	return eventually(20*time.Second, fmt.Sprintf("hooks asked: %v", asks), func() error {
		for _, k := range []kind{trained, unlimited} {
			got, err := pods.Create(context.Background(), newPod("probe", k), create(true))
			if judged(k, got, err) != nil == asks {
				return fmt.Errorf("pod %s: %v", k.name, err)
			}
		}
		return nil
	})
}

// gateCPU and reviews are sums over the replicas.
func (s *stage) gateCPU() (sum time.Duration) {
	for _, r := range s.replicas {
		sum += r.cpu()
	}
	return sum
}

func (s *stage) reviews() (sum int64) {
	for _, r := range s.replicas {
		sum += r.reviews()
	}
	return sum
}

func eventually(limit time.Duration, what string, try func() error) error {
	end := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v: %w", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
