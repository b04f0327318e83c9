// Program bench is the other side of the benchmark of new connections: a webhook as one writes it in Go, and clients: one that makes a
// connection for every review, as an API server does in a burst; one that holds idle ones; one that keeps an even pace.
//
//	bench serve CERT KEY                                prints its port, ends with its standard input
//	bench dial [--any] PORT CA BODY PID REVIEWS PARALLEL [GROUP]  prints the CPU of PID for one, in µs, and what was agreed on
//	bench hold PORT CA BODY CONNECTIONS REVIEWS           prints how many are open and have failed, ends with its standard input
//	bench steady PORT CA BODY PID RATE REVIEWS CONNECTIONS
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(args []string) error{"serve": serve, "dial": dial, "hold": hold, "steady": steady}
	run, err := (func([]string) error)(nil), fmt.Errorf("usage: bench serve|dial|hold|steady ...")
	if len(os.Args) > 1 {
		run = commands[os.Args[1]]
	}
	if run != nil {
		err = run(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
