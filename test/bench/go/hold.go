package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// hold opens connections, posts so many reviews over each, says how many there are and keeps them until its standard input ends.
func hold(args []string) error {
	if len(args) != 5 {
		return errors.New("usage: bench hold PORT CA BODY CONNECTIONS REVIEWS")
	}
	d, err := newDialer(args[0], args[1], args[2], "")
	if err != nil {
		return err
	}
	count, _ := strconv.Atoi(args[3])
	reviews, _ := strconv.Atoi(args[4])
	var wait sync.WaitGroup
	var left, failed atomic.Int64
	left.Store(int64(count))
	connections := make(chan *tls.Conn, count)
	for range 16 {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if c, err := d.open(reviews); err != nil {
					failed.Add(1)
				} else {
					connections <- c
				}
			}
		})
	}
	wait.Wait()
	fmt.Println(len(connections), failed.Load())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func (d *dialer) open(reviews int) (*tls.Conn, error) {
	c, err := tls.Dial("tcp", d.address, d.config)
	for range reviews {
		if err == nil {
			err = d.over(c)
		}
	}
	return c, err
}

// over posts a review on a connection that stays.
func (d *dialer) over(c *tls.Conn) error {
	request, err := d.request(context.Background())
	if err == nil {
		err = request.Write(c)
	}
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return d.check(answer)
}

// steady posts at an even pace, each review at its own time whatever became of those before, and prints the median and the 99th
// percentile of the time from when it was due, in µs, with the CPU of PID for one.
func steady(args []string) error {
	if len(args) != 7 {
		return errors.New("usage: bench steady PORT CA BODY PID RATE REVIEWS CONNECTIONS")
	}
	d, err := newDialer(args[0], args[1], args[2], "")
	if err != nil {
		return err
	}
	pid, _ := strconv.Atoi(args[3])
	rate, _ := strconv.Atoi(args[4])
	count, _ := strconv.Atoi(args[5])
	parallel, _ := strconv.Atoi(args[6])
	took := make([]time.Duration, count)
	var next, failed atomic.Int64
	var wait sync.WaitGroup
	connections := make([]*tls.Conn, parallel)
	for i := range connections {
		if connections[i], err = d.open(1); err != nil {
			return err
		}
	}
	before, begin := cpu(pid), time.Now()
	for _, c := range connections {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
				time.Sleep(time.Until(due))
				if d.over(c) != nil {
					failed.Add(1)
				}
				took[i] = time.Since(due)
			}
		})
	}
	wait.Wait()
	slices.Sort(took)
	fmt.Printf("p50 %d p99 %d µs, CPU %.1f µs, %d failed\n", took[count/2].Microseconds(), took[count*99/100].Microseconds(),
		float64(cpu(pid)-before)/1e3/float64(count), failed.Load())
	return nil
}
