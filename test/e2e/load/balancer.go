package main

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// balancer hands each connection to the next ready replica, as a Service does: it never tries a second one.
type balancer struct {
	listener net.Listener
	replicas []*replica
	ready    []atomic.Bool
	next     int
	done     chan struct{}
	accepted atomic.Int64 // each of them is one TLS handshake
	refused  atomic.Int64
}

func newBalancer(address string, replicas []*replica) (*balancer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener, replicas: replicas, ready: make([]atomic.Bool, len(replicas)), done: make(chan struct{})}
	for i := range replicas {
		b.ready[i].Store(replicas[i].ready())
		go b.watch(i)
	}
	go b.accept()
	return b, nil
}

func (b *balancer) close() {
	close(b.done)
	_ = b.listener.Close()
}

func (b *balancer) watch(i int) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-every.C:
			b.ready[i].Store(b.replicas[i].ready())
		}
	}
}

func (b *balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.accepted.Add(1)
		go b.forward(client.(*net.TCPConn), b.pick())
	}
}

func (b *balancer) pick() *replica {
	for range b.replicas {
		b.next = (b.next + 1) % len(b.replicas)
		if b.ready[b.next].Load() {
			return b.replicas[b.next]
		}
	}
	return nil
}

func (b *balancer) forward(client *net.TCPConn, to *replica) {
	defer client.Close()
	if to == nil {
		b.refused.Add(1)
		return
	}
	conn, err := net.Dial("tcp", to.tls)
	if err != nil {
		b.refused.Add(1)
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	sent := make(chan struct{})
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite()
		close(sent)
	}()
	_, _ = io.Copy(client, server)
	_ = client.CloseWrite()
	// What is left of the other direction goes nowhere: a server that has closed reads no more.
	_ = client.SetReadDeadline(time.Now().Add(time.Second))
	<-sent
}
