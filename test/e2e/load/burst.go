package main

import (
	"errors"
	"fmt"
	"time"
)

const perConnection = 32

// burst lets so many clients begin at the same moment.
func (s *stage) burst(parallel, each int) error {
	namespace := fmt.Sprintf("burst-%d", parallel)
	if err := s.kube.Namespace(namespace, nil); err != nil {
		return err
	}
	clients, err := s.clients((parallel + perConnection - 1) / perConnection)
	if err != nil {
		return err
	}
	b := &batch{namespace: namespace, dry: true, count: parallel * each, judge: true, kinds: []kind{trained, plain}}
	accepted, gate, server, begin := s.balancer.Accepted.Load(), s.gateCPU(), cpuOf(s.server), time.Now()
	b.run(clients, parallel)
	took := time.Since(begin)
	gate, server = s.gateCPU()-gate, cpuOf(s.server)-server
	seen, err := audit(s.kube.AuditLog(), namespace)
	if err != nil {
		return err
	}
	fmt.Printf("burst of %d clients: %d creates in %.1f s, %d failed; p50 %v, p99 %v, longest %v\n",
		parallel, b.count, took.Seconds(), b.failed, b.quantile(0.5), b.quantile(0.99), b.quantile(1))
	one := func(sum time.Duration) time.Duration { return (sum / time.Duration(b.count)).Round(time.Microsecond) }
	fmt.Printf("  %d handshakes; CPU: mlgate %v (%v a create), API server %v (%v a create)\n",
		s.balancer.Accepted.Load()-accepted, gate, one(gate), server, one(server))
	fmt.Printf("  audit log: %v\n", seen)
	return errors.Join(b.result(), b.agrees(seen))
}
