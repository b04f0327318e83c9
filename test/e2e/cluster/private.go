package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const privateTmp = "MLGATE_E2E_TMP" // FOLDER:SHOWN, set for a process that is to run with FOLDER as its /tmp

// runWithTmp starts it with a /tmp of its own, in which only the cluster's folder is found: neither the machine's /tmp nor another
// run sees what it keeps there. This program enters the mount namespace and becomes the other one.
func (c *Cluster) runWithTmp(name, folder string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	environment := []string{"KUBECONFIG=" + c.kubeconfig("admin"), privateTmp + "=" + folder + ":" + c.Dir}
	p, err := startIn(syscall.CLONE_NEWNS, c.logs(), name, self, environment, append([]string{filepath.Join(c.Bin, name)}, args...)...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// becomePrivate does not return.
func becomePrivate(how string) {
	folder, shown, _ := strings.Cut(how, ":")
	// By descriptor, since its path may lie in the /tmp that vanishes.
	program, err := os.Open(os.Args[1])
	if err == nil {
		err = mountTmp(folder, shown)
	}
	if err == nil {
		_ = os.Unsetenv(privateTmp)
		err = syscall.Exec(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "e2e: private /tmp:", err)
	os.Exit(2)
}

func mountTmp(folder, shown string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if below, found := strings.CutPrefix(shown, "/tmp/"); found {
		inside := filepath.Join(folder, below)
		if err := os.MkdirAll(inside, 0o700); err != nil {
			return err
		}
		if err := syscall.Mount(shown, inside, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", inside, err)
		}
	}
	if err := syscall.Mount(folder, "/tmp", "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("/tmp: %w", err)
	}
	return nil
}
