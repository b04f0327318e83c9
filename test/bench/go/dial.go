package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var groups = map[string]tls.CurveID{"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384}

// cpu is what a process was charged for so far, by the clock that the kernel keeps for it.
func cpu(pid int) time.Duration {
	var t syscall.Timespec
	clock := uintptr(^pid<<3 | 2)
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

type dialer struct {
	address string
	any     bool // every answer will do
	body    []byte
	config  *tls.Config
	agreed  atomic.Value
}

// request is what an API server sends.
func (d *dialer) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+d.address+"/mutate?timeout=10s", bytes.NewReader(d.body))
	if err == nil {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, */*")
		request.Header.Set("User-Agent", "kube-apiserver-admission")
	}
	return request, err
}

func (d *dialer) check(answer *http.Response) error {
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !d.any && !bytes.Contains(text, []byte(`"allowed":true`))) {
		err = fmt.Errorf("%s: %.200s", answer.Status, text)
	}
	return err
}

// post makes a connection of its own, and ends it.
func (d *dialer) post() error {
	transport := &http.Transport{TLSClientConfig: d.config}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := d.request(ctx)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	d.agreed.Store(fmt.Sprintf("%s %s", answer.TLS.CurveID, tls.CipherSuiteName(answer.TLS.CipherSuite)))
	return d.check(answer)
}

func (d *dialer) posts(count, parallel int) error {
	var left atomic.Int64
	var wait sync.WaitGroup
	var failed atomic.Value
	left.Store(int64(count))
	for range parallel {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if err := d.post(); err != nil {
					failed.Store(err)
				}
			}
		})
	}
	wait.Wait()
	err, _ := failed.Load().(error)
	return err
}

func newDialer(port, ca, body, group string) (*dialer, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no CA")
	}
	d := &dialer{address: "127.0.0.1:" + port,
		config: &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}}}
	if group != "" {
		d.config.CurvePreferences = []tls.CurveID{groups[group]}
	}
	d.body, err = os.ReadFile(body)
	return d, err
}

func dial(args []string) error {
	anyAnswer := len(args) > 0 && args[0] == "--any"
	if anyAnswer {
		args = args[1:]
	}
	if len(args) < 6 {
		return errors.New("usage: bench dial [--any] PORT CA BODY PID REVIEWS PARALLEL [GROUP]")
	}
	group := ""
	if len(args) > 6 {
		group = args[6]
	}
	d, err := newDialer(args[0], args[1], args[2], group)
	if err != nil {
		return err
	}
	d.any = anyAnswer
	pid, _ := strconv.Atoi(args[3])
	count, _ := strconv.Atoi(args[4])
	parallel, _ := strconv.Atoi(args[5])
	if count < 1 || parallel < 1 || cpu(pid) == 0 {
		return errors.New("no reviews, no clients, or no such process")
	}
	if err := d.posts(count/10+parallel, parallel); err != nil {
		return err
	}
	before := cpu(pid)
	if err := d.posts(count, parallel); err != nil {
		return err
	}
	fmt.Printf("%.1f %v\n", float64(cpu(pid)-before)/1e3/float64(count), d.agreed.Load())
	return nil
}
