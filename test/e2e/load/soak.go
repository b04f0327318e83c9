package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	rotation = 5 * time.Second // a new CA announced, in use, the old one gone
	restart  = 10 * time.Second
)

// trouble is what happens to mlgate during a soak.
type trouble struct {
	stage                          *stage
	ctx                            context.Context
	group                          sync.WaitGroup
	lock                           sync.Mutex
	announced, switched, restarted int
	errs                           error
}

func (s *stage) trouble() (*trouble, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &trouble{stage: s, ctx: ctx}
	t.every(rotation/3, t.rotate)
	t.every(restart, t.restart)
	return t, func() {
		cancel()
		t.group.Wait()
	}
}

func (t *trouble) every(period time.Duration, do func() error) {
	t.group.Add(1)
	go func() {
		defer t.group.Done()
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			if err := do(); err != nil {
				t.lock.Lock()
				t.errs = errors.Join(t.errs, err)
				t.lock.Unlock()
			}
			select {
			case <-t.ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

func (t *trouble) rotate() error {
	out, err := t.stage.gate.Rotate()
	if err != nil {
		return err
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	if strings.Contains(out, "new authority announced") {
		t.announced++
	}
	if strings.Contains(out, "new server certificate\n") && strings.Contains(out, "signs now") {
		t.switched++
	}
	return nil
}

func (t *trouble) restart() error {
	err := t.stage.replicas[t.restarted%len(t.stage.replicas)].restart()
	t.restarted++
	return err
}

// soak creates Pods, and between them some that must be refused, while there is trouble.
func (s *stage) soak(namespace string, count, workers int, dry bool) error {
	if err := s.kube.Namespace(namespace, nil); err != nil {
		return err
	}
	clients, err := s.clients(workers)
	if err != nil {
		return err
	}
	refused := count / 9
	b := &batch{namespace: namespace, dry: dry, count: count + refused, judge: true,
		kinds: []kind{trained, plain, trained, plain, trained, plain, trained, plain, trained, unlimited}}
	begin, before := time.Now(), s.balancer.Accepted.Load()
	t, end := s.trouble()
	b.run(clients, workers)
	took := time.Since(begin)
	end()
	seen, err := audit(s.kube.AuditLog(), namespace)
	if err != nil {
		return err
	}
	fmt.Printf("%s (dry run: %v): %d creates by %d clients in %.0f s, %d failed; p50 %v, p99 %v, longest %v\n",
		namespace, dry, b.count, workers, took.Seconds(), b.failed, b.quantile(0.5), b.quantile(0.99), b.quantile(1))
	fmt.Printf("  meanwhile: %d CAs announced, %d taken into use with a new server certificate; %d restarts; "+
		"%d handshakes, %d connections refused\n", t.announced, t.switched, t.restarted,
		s.balancer.Accepted.Load()-before, s.balancer.Refused.Load())
	fmt.Printf("  audit log: %v\n", seen)
	if !dry {
		zero := int64(0)
		_ = s.kube.Client.CoreV1().Pods(namespace).DeleteCollection(context.Background(),
			metav1.DeleteOptions{GracePeriodSeconds: &zero}, metav1.ListOptions{})
	}
	return errors.Join(b.result(), t.errs, t.enough(took), b.agrees(seen))
}

// enough is that trouble came at the rate that was asked for.
func (t *trouble) enough(took time.Duration) error {
	if t.switched < int(took/(2*rotation)) || t.restarted < int(took/(2*restart)) {
		return fmt.Errorf("only %d rotations and %d restarts in %v", t.switched, t.restarted, took)
	}
	return nil
}

func (b *batch) agrees(seen tally) error {
	want := tally{events: b.count}
	for i := range b.count {
		if b.kinds[i%len(b.kinds)].refused {
			want.denied++
		} else {
			want.admitted++
		}
	}
	if seen != want {
		return fmt.Errorf("%s: audit log: %v, not %v", b.namespace, seen, want)
	}
	return nil
}
