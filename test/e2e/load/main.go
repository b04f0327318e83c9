// Program load creates Pods in numbers through a real API server with mlgate in front: while certificates rotate and replicas
// restart, in bursts, and to see what the hooks cost.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mlgate.dev/e2e/cluster"
)

type options struct {
	parts                  string
	count, stored          int
	workers, rounds, round int
	each                   int
	policies               string
	limit                  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.parts, "parts", "cost,soak,stored,burst", "what to run")
	flag.IntVar(&o.count, "count", 10000, "Pods of the soak, dry run")
	flag.IntVar(&o.stored, "stored", 1000, "Pods of the soak that are stored")
	flag.IntVar(&o.workers, "workers", 8, "clients of the soak")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each line of the cost table")
	flag.IntVar(&o.round, "round", 400, "Pods of a round")
	flag.IntVar(&o.each, "each", 10, "Pods of each client of a burst")
	flag.StringVar(&o.policies, "policies", "../../policies/baseline", "policy file or folder")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "stop when it takes longer")
	flag.Parse()
	cluster.Isolate()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	fmt.Println("load: all as it must be")
}

var parts = []struct {
	name string
	run  func(s *stage, o *options) error
}{
	// First: what a soak leaves for the controllers to do would count as idle.
	{"cost", func(s *stage, o *options) error { return s.costs(o.rounds, o.round, o.workers/2+1) }},
	{"soak", func(s *stage, o *options) error { return s.soak("soak", o.count, o.workers, true) }},
	{"stored", func(s *stage, o *options) error { return s.soak("soak-stored", o.stored, o.workers, false) }},
	{"burst", func(s *stage, o *options) error { return errors.Join(s.burst(64, o.each), s.burst(200, o.each)) }},
}

func run(o *options) (err error) {
	s, err := newStage(os.Getenv("MLGATE_E2E_BIN"), os.Getenv("MLGATE"), o.policies)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		if err == nil {
			s.kube.Remove()
		} else {
			fmt.Fprintln(os.Stderr, "load: logs are kept in", s.kube.Logs())
		}
	}()
	go s.endEarly(o.limit)
	if err := s.prepare(); err != nil {
		return err
	}
	for _, part := range parts {
		if strings.Contains(","+o.parts+",", ","+part.name+",") {
			err = errors.Join(err, part.run(s, o))
		}
	}
	return err
}

// endEarly is for Ctrl-C and for what hangs; the logs are kept then.
func (s *stage) endEarly(limit time.Duration) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	status, why := 130, "interrupted"
	select {
	case <-signals:
	case <-time.After(limit):
		status, why = 1, fmt.Sprintf("not done within %v", limit)
	}
	s.stop()
	fmt.Fprintf(os.Stderr, "load: %s; logs are kept in %s\n", why, s.kube.Logs())
	os.Exit(status)
}
