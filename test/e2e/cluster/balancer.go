package cluster

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Backend is a server behind a Balancer.
type Backend interface {
	Ready() bool
	Address() string
}

// Balancer hands each connection to the next ready replica, as a Service does: it never tries a second one.
type Balancer struct {
	listener net.Listener
	replicas []Backend
	ready    []atomic.Bool
	next     int
	done     chan struct{}
	Accepted atomic.Int64 // each of them is one TLS handshake
	Refused  atomic.Int64
}

// NewBalancer listens for connections to its replicas.
func NewBalancer(address string, replicas ...Backend) (*Balancer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	b := &Balancer{listener: listener, replicas: replicas, ready: make([]atomic.Bool, len(replicas)), done: make(chan struct{})}
	for i := range replicas {
		b.ready[i].Store(replicas[i].Ready())
		go b.watch(i)
	}
	go b.accept()
	return b, nil
}

// Close ends it for new connections.
func (b *Balancer) Close() {
	close(b.done)
	_ = b.listener.Close()
}

func (b *Balancer) watch(i int) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-every.C:
			b.ready[i].Store(b.replicas[i].Ready())
		}
	}
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.Accepted.Add(1)
		go b.forward(client.(*net.TCPConn), b.pick())
	}
}

func (b *Balancer) pick() Backend {
	for range b.replicas {
		b.next = (b.next + 1) % len(b.replicas)
		if b.ready[b.next].Load() {
			return b.replicas[b.next]
		}
	}
	return nil
}

func (b *Balancer) forward(client *net.TCPConn, to Backend) {
	defer client.Close()
	if to == nil {
		b.Refused.Add(1)
		return
	}
	conn, err := net.Dial("tcp", to.Address())
	if err != nil {
		b.Refused.Add(1)
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
