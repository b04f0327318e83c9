package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const isolated = "MLGATE_E2E_ISOLATED"

// Isolate runs the program again in a network namespace of its own, where only loopback exists and every port is free.
// It returns in that second program only; the first one ends with its status.
func Isolate() {
	if how := os.Getenv(privateTmp); how != "" {
		becomePrivate(how)
	}
	if os.Getenv(isolated) == "" {
		os.Exit(runIsolated())
	}
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: loopback:", err)
		os.Exit(2)
	}
}

func runIsolated() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	mark := fmt.Sprintf("%s=%d", isolated, os.Getpid())
	cmd.Env = append(os.Environ(), mark)
	cmd.SysProcAttr = namespaces()
	// Ctrl-C reaches the second program as well, being in the same group; this one waits until it has cleaned up.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: no network namespace:", err)
		return 2
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	network, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	err := cmd.Wait()
	left := leftBehind(mark, network)
	if left == "" {
		fmt.Println("--- PASS: nothing is left behind: no process, no mount, no network namespace")
	} else {
		fmt.Println("--- FAIL: left behind:", left)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	case err != nil || left != "":
		return 1
	}
	return 0
}

// folderPrefix begins the names of the folders of one run.
func folderPrefix(run string) string { return "mlgate-e2e-" + run + "-" }

// leftBehind names what a run has not taken away: processes, by the mark that all of them inherit, and mounts of its folder or of
// its network namespace.
func leftBehind(mark, network string) string {
	var left []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		// Of those of other users nothing can be read; ours are ours.
		if environment, err := os.ReadFile(process + "/environ"); err == nil && strings.Contains(string(environment), mark+"\x00") {
			name, _ := os.ReadFile(process + "/comm")
			left = append(left, "process "+filepath.Base(process)+" "+strings.TrimSpace(string(name)))
		}
	}
	_, run, _ := strings.Cut(mark, "=")
	folder := folderPrefix(run)
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, folder) || network != "" && strings.Contains(line, network) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return strings.Join(left, ", ")
}

func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// Rootless tells that there is but one user in here, because the program was not started as root.
func Rootless() bool {
	text, _ := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(text))
	return len(fields) != 3 || fields[2] == "1"
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
