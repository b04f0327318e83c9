package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// replica is one mlgate of several that share certificates and policies.
type replica struct {
	stage       *stage
	name        string
	tls, plain  string
	lock        sync.Mutex
	cmd         *exec.Cmd
	done        chan struct{}
	cpuOfBefore time.Duration // of processes that have ended
}

func newReplica(s *stage, i int) *replica {
	return &replica{stage: s, name: fmt.Sprintf("mlgate-%d", i), tls: fmt.Sprintf("127.0.0.1:%d", 9443+i),
		plain: fmt.Sprintf("127.0.0.1:%d", 9080+i)}
}

// start returns when it is ready.
func (r *replica) start() error {
	log, err := os.OpenFile(filepath.Join(r.stage.kube.Logs(), r.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	certs := r.stage.gate.Certs
	cmd := exec.Command(r.stage.binary, "serve", "--policies", r.stage.policies, "--listen", r.tls, "--listen-plain", r.plain,
		"--tls-cert", filepath.Join(certs, "tls.crt"), "--tls-key", filepath.Join(certs, "tls.key"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	r.lock.Lock()
	r.cmd, r.done = cmd, done
	r.lock.Unlock()
	return eventually(20*time.Second, r.name+" ready", func() error {
		if !r.Ready() {
			return errors.New("not ready")
		}
		return nil
	})
}

var plainClient = http.Client{Timeout: 2 * time.Second}

// Address is where the balancer finds it.
func (r *replica) Address() string { return r.tls }

// Ready is what /readyz says.
func (r *replica) Ready() bool {
	answer, err := plainClient.Get("http://" + r.plain + "/readyz")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// restart is what a rollout does to a replica. It has to leave with status 0.
func (r *replica) restart() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(45 * time.Second):
		return fmt.Errorf("%s: does not leave", r.name)
	}
	state := r.cmd.ProcessState
	r.lock.Lock()
	r.cpuOfBefore += state.UserTime() + state.SystemTime()
	r.cmd = nil
	r.lock.Unlock()
	if !state.Success() {
		return fmt.Errorf("%s: %s", r.name, state)
	}
	return r.start()
}

func (r *replica) kill() {
	r.lock.Lock()
	cmd, done := r.cmd, r.done
	r.lock.Unlock()
	if cmd != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

func (r *replica) cpu() time.Duration {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.cmd == nil {
		return r.cpuOfBefore
	}
	return r.cpuOfBefore + cpuOf(r.cmd.Process.Pid)
}

func (r *replica) reviews() (sum int64) {
	answer, err := plainClient.Get("http://" + r.plain + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "mlgate_admission_requests_total{") {
			fields := strings.Fields(lines.Text())
			n, _ := strconv.ParseInt(fields[len(fields)-1], 10, 64)
			sum += n
		}
	}
	return sum
}
