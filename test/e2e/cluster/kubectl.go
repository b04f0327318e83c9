package cluster

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Result is what a person at a terminal sees.
type Result struct {
	Out, Err string
	OK       bool
}

// Kubectl runs kubectl as cluster admin.
func (c *Cluster) Kubectl(stdin string, args ...string) Result {
	cmd := exec.Command(filepath.Join(c.Bin, "kubectl"), append([]string{
		"--kubeconfig", c.kubeconfig("admin"), "--cache-dir", filepath.Join(c.Dir, "kubectl")}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	return Result{Out: out.String(), Err: errs.String(), OK: err == nil}
}

// Shell runs lines in a folder as a person would: kubectl is in the PATH, and the cluster is the one it knows.
func (c *Cluster) Shell(dir, lines string) Result {
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e")
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(lines), &out, &errs
	cmd.Env = []string{"PATH=" + filepath.Join(dir, "build") + ":" + c.Bin + ":" + os.Getenv("PATH"), "KUBECONFIG=" + c.kubeconfig("admin"), "HOME=" + filepath.Join(c.Dir, "home")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	return Result{Out: out.String(), Err: errs.String(), OK: err == nil}
}

// Namespace makes it and waits for its default service account, without which no Pod is admitted.
func (c *Cluster) Namespace(name string, labels map[string]string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := c.Client.CoreV1().Namespaces().Create(c.ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return eventually(30*time.Second, "service account of "+name, nil, func() error {
		_, err := c.Client.CoreV1().ServiceAccounts(name).Get(c.ctx, "default", metav1.GetOptions{})
		return err
	})
}

// swapped is the folder with a definition that stands in for one of the training operator's; the others go together.
const swapped = "mpi-operator"

// AllDefinitions applies every folder of CRDs but that one.
func (c *Cluster) AllDefinitions() error {
	folders, err := os.ReadDir(filepath.Join(c.Bin, "crds"))
	if err != nil {
		return err
	}
	var names []string
	for _, folder := range folders {
		if folder.Name() != swapped {
			names = append(names, folder.Name())
		}
	}
	return c.Definitions(names...)
}

// Definitions applies the CRDs of these folders and waits until all that there are is served.
func (c *Cluster) Definitions(folders ...string) error {
	args := []string{"apply", "--server-side"}
	for _, folder := range folders {
		args = append(args, "-f", filepath.Join(c.Bin, "crds", folder))
	}
	if len(folders) > 0 {
		if r := c.Kubectl("", args...); !r.OK {
			return errorf("CRDs", r)
		}
	}
	// A definition without any condition yet is an error of kubectl wait.
	return eventually(30*time.Second, "CRDs established", nil, func() error {
		if r := c.Kubectl("", "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"); !r.OK {
			return errorf("CRDs", r)
		}
		return nil
	})
}
