package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// image is what Containerfile makes: the binary, its libraries, and nothing else.
type image struct {
	binary     string
	libraries  []string
	entrypoint []string
}

func readImage(binary, containerfile string) (image, error) {
	i := image{binary: binary}
	text, err := os.ReadFile(containerfile)
	if err != nil {
		return i, err
	}
	found := regexp.MustCompile(`(?m)^ENTRYPOINT (\[.*\])$`).FindSubmatch(text)
	if found == nil {
		return i, fmt.Errorf("%s: no ENTRYPOINT", containerfile)
	}
	if err := json.Unmarshal(found[1], &i.entrypoint); err != nil {
		return i, err
	}
	out, err := exec.Command("ldd", binary).Output()
	i.libraries = regexp.MustCompile(`/[^ ]+`).FindAllString(string(out), -1)
	return i, err
}

// setup is all that the first process of a container needs to know; it reads it from its environment.
type setup struct {
	Root     string // empty folder, over which its root is mounted
	Mounts   []mount
	Args     []string
	Env      []string
	UID, GID int
	Groups   []int
	ReadOnly bool // the root
	NoNew    bool // privileges
}

type mount struct {
	From, To string
	ReadOnly bool
}

const setupVariable = "MLGATE_E2E_CONTAINER"

// container is a process in namespaces of its own.
type container struct {
	cmd            *exec.Cmd
	done           chan struct{}
	started, ended time.Time
	code           int32
}

func (p *pod) start() error {
	spec, err := p.setup()
	if err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.k.c.logs(), p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c := &container{cmd: exec.Command("/proc/self/exe"), done: make(chan struct{}), started: time.Now()}
	c.cmd.Env = []string{setupVariable + "=" + string(text)}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.ExtraFiles = log, log, []*os.File{p.network}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	p.say("started, %s, %q", p.ip, spec.Args)
	p.pid.Store(int32(c.cmd.Process.Pid))
	go func() {
		_ = c.cmd.Wait()
		p.pid.Store(0)
		status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if c.code = int32(status.ExitStatus()); status.Signaled() {
			c.code = 128 + int32(status.Signal())
		}
		c.ended = time.Now()
		close(c.done)
	}()
	p.container = c
	return nil
}

func (c *container) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *container) signal(s syscall.Signal) {
	if c.running() {
		_ = c.cmd.Process.Signal(s)
	}
}

func (c *container) terminated() corev1.ContainerState {
	reason := "Completed"
	if c.code != 0 {
		reason = "Error"
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: c.code, Reason: reason,
		StartedAt: metav1.NewTime(c.started), FinishedAt: metav1.NewTime(c.ended)}}
}

func (p *pod) setup() (*setup, error) {
	c := &p.object.Spec.Containers[0]
	s := &setup{Root: filepath.Join(p.k.dir, "root"), Args: append(c.Command, c.Args...)}
	if len(c.Command) == 0 {
		s.Args = append(append([]string{}, p.k.image.entrypoint...), c.Args...)
	}
	if err := s.secure(p.object.Spec.SecurityContext, c.SecurityContext); err != nil {
		return nil, err
	}
	s.Mounts = append(s.Mounts, mount{p.k.image.binary, "/usr/bin/mlgate", true})
	for _, file := range p.k.image.libraries {
		s.Mounts = append(s.Mounts, mount{file, file, true})
	}
	for _, device := range []string{"null", "zero", "full", "random", "urandom"} {
		s.Mounts = append(s.Mounts, mount{"/dev/" + device, "/dev/" + device, false})
	}
	for _, m := range c.VolumeMounts {
		for _, v := range p.volumes {
			if v.spec.Name == m.Name && m.SubPath == "" && m.SubPathExpr == "" {
				s.Mounts = append(s.Mounts, mount{v.dir, m.MountPath, m.ReadOnly || v.spec.EmptyDir == nil})
			}
		}
	}
	s.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + p.name,
		"KUBERNETES_SERVICE_HOST=10.0.0.1", "KUBERNETES_SERVICE_PORT=443", "KUBERNETES_SERVICE_PORT_HTTPS=443"}
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			return nil, fmt.Errorf("not known here: valueFrom of %s", e.Name)
		}
		s.Env = append(s.Env, e.Name+"="+e.Value)
	}
	return s, nil
}

func (s *setup) secure(pod *corev1.PodSecurityContext, c *corev1.SecurityContext) error {
	first := func(values ...*int64) int {
		for _, v := range values {
			if v != nil {
				return int(*v)
			}
		}
		return 0
	}
	if c == nil {
		c = &corev1.SecurityContext{}
	}
	s.UID, s.GID = first(c.RunAsUser, pod.RunAsUser), first(c.RunAsGroup, pod.RunAsGroup)
	if pod.FSGroup != nil {
		s.Groups = append(s.Groups, int(*pod.FSGroup))
	}
	s.ReadOnly = c.ReadOnlyRootFilesystem != nil && *c.ReadOnlyRootFilesystem
	s.NoNew = c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation
	if s.UID == 0 {
		return errors.New("CreateContainerConfigError: as root")
	}
	return nil
}

// The test program is also the first process of every container, until it becomes what the container runs.
func init() {
	text := os.Getenv(setupVariable)
	if text == "" {
		return
	}
	runtime.LockOSThread()
	var s setup
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = s.become()
	}
	fmt.Fprintln(os.Stderr, "container:", err)
	os.Exit(125)
}

func (s *setup) become() error {
	const network = 3
	if err := unix.Setns(network, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	_ = unix.Close(network)
	if err := s.makeRoot(); err != nil {
		return err
	}
	if err := s.dropRights(); err != nil {
		return err
	}
	for _, dir := range strings.Split(strings.TrimPrefix(s.Env[0], "PATH="), ":") {
		path := filepath.Join(dir, s.Args[0])
		if strings.Contains(s.Args[0], "/") {
			path = s.Args[0]
		}
		if err := unix.Exec(path, s.Args, s.Env); err != unix.ENOENT {
			return err
		}
	}
	return fmt.Errorf("%s: not found", s.Args[0])
}

func (s *setup) makeRoot() error {
	if err := unix.Mount("tmpfs", s.Root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, m := range s.Mounts {
		if err := m.bind(s.Root); err != nil {
			return fmt.Errorf("mount %s: %w", m.To, err)
		}
	}
	proc := filepath.Join(s.Root, "proc")
	if err := os.MkdirAll(proc, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("proc", proc, "proc", 0, ""); err != nil {
		return err
	}
	if err := os.Chdir(s.Root); err != nil {
		return err
	}
	// The old root lands above the new one and is let go from there.
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil || !s.ReadOnly {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

func (m *mount) bind(root string) error {
	to := filepath.Join(root, m.To)
	info, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.From, to, "", unix.MS_BIND, ""); err != nil || !m.ReadOnly {
		return err
	}
	return unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

func (s *setup) dropRights() error {
	if err := syscall.Setgroups(s.Groups); err != nil {
		return err
	}
	if err := syscall.Setgid(s.GID); err != nil {
		return err
	}
	if err := syscall.Setuid(s.UID); err != nil {
		return err
	}
	if s.NoNew {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	// Another user means another start: what the parent had asked for is gone.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
}
