package cluster

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const restartAfter = time.Second

// pod is one Pod on its way from bound to gone.
type pod struct {
	k              *Kubelet
	name           string
	object         *corev1.Pod
	dir            string
	ip             string
	network        *os.File
	volumes        []*volume
	refreshed      time.Time
	container      *container
	pid            atomic.Int32 // of the container, while it runs
	restarts       int32
	startup, ready probe
	liveness       probe
	since          map[corev1.PodConditionType]corev1.PodCondition
	reported, said string
}

// live is the whole life of it.
func (p *pod) live() {
	defer p.remove()
	for wait(p.k.ctx, kubeletPeriod) {
		object, err := p.k.c.Client.CoreV1().Pods(p.k.namespace).Get(p.k.ctx, p.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && object.UID != p.object.UID {
			return
		}
		if err != nil {
			p.say("%v", err)
			continue
		}
		p.object = object
		if object.DeletionTimestamp != nil {
			p.terminate()
			return
		}
		if err := p.sync(); err != nil {
			p.say("%v", err)
		}
		p.report()
	}
}

// remove ends what is left of it without notice.
func (p *pod) remove() {
	if p.container != nil {
		p.container.signal(syscall.SIGKILL)
		<-p.container.done
	}
	if p.network != nil {
		p.network.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// terminate gives the container the time that it has asked for, and then the Pod's name free.
func (p *pod) terminate() {
	if p.container != nil && p.container.running() {
		grace := time.Duration(*p.object.DeletionGracePeriodSeconds) * time.Second
		p.say("ends within %v", grace)
		p.container.signal(syscall.SIGTERM)
		select {
		case <-p.container.done:
		case <-p.k.ctx.Done():
			return
		case <-time.After(grace):
			p.say("killed after %v", grace)
			p.container.signal(syscall.SIGKILL)
			<-p.container.done
		}
	}
	p.report()
	now := int64(0)
	err := p.k.c.Client.CoreV1().Pods(p.k.namespace).Delete(p.k.ctx, p.name,
		metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.object.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		p.say("delete: %v", err)
	}
}

func (p *pod) sync() error {
	if err := unknown(&p.object.Spec); err != nil {
		return err
	}
	if err := p.prepare(); err != nil {
		return err
	}
	if p.container != nil && !p.container.running() {
		if p.finished() || time.Since(p.container.ended) < restartAfter {
			return nil
		}
		p.say("started again, it ended with %d", p.container.code)
		p.restarts++
		p.container = nil
	}
	if p.container == nil {
		spec := &p.object.Spec.Containers[0]
		p.startup, p.ready, p.liveness = newProbe(spec.StartupProbe), newProbe(spec.ReadinessProbe), newProbe(spec.LivenessProbe)
		return p.start()
	}
	p.probe()
	return nil
}

// prepare makes network and volumes, and then keeps the volumes as the API server has them.
func (p *pod) prepare() (err error) {
	if p.network == nil {
		if p.ip, p.network, err = newSandbox(); err != nil {
			return err
		}
	}
	if p.volumes == nil {
		p.volumes = p.newVolumes()
	}
	if time.Since(p.refreshed) < time.Second {
		return nil
	}
	for _, v := range p.volumes {
		if err := v.refresh(); err != nil {
			return fmt.Errorf("volume %s: %w", v.spec.Name, err)
		}
	}
	p.refreshed = time.Now()
	return nil
}

func (p *pod) probe() {
	container := &p.object.Spec.Containers[0]
	if p.startup.ask(p.ip, container); p.startup.failed {
		p.restart("startup")
	}
	if !p.startup.good {
		return
	}
	p.ready.ask(p.ip, container)
	if p.liveness.ask(p.ip, container); p.liveness.failed {
		p.restart("liveness")
	}
}

func (p *pod) restart(why string) {
	p.say("killed, %s probe", why)
	p.container.signal(syscall.SIGKILL)
	<-p.container.done
}

// finished is for a container that has ended and will not be started again.
func (p *pod) finished() bool {
	switch p.object.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return true
	case corev1.RestartPolicyOnFailure:
		return p.container.code == 0
	default:
		return p.object.DeletionTimestamp != nil
	}
}

func (p *pod) report() {
	status := corev1.PodStatus{Phase: corev1.PodPending, HostIP: bridgeIP, PodIP: p.ip}
	state := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	running, reason := p.container != nil && p.container.running(), ""
	if p.container != nil {
		status.Phase = corev1.PodRunning
	}
	if running {
		state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(p.container.started)}}
	} else if p.container != nil && p.finished() {
		status.Phase, reason = corev1.PodSucceeded, "PodCompleted"
		if p.container.code != 0 {
			status.Phase, reason = corev1.PodFailed, "PodFailed"
		}
		state = p.container.terminated()
	} else if p.container != nil {
		state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	}
	started := running && p.startup.good
	ready := started && p.ready.good
	if p.ip != "" {
		status.PodIPs = []corev1.PodIP{{IP: p.ip}}
	}
	spec := &p.object.Spec.Containers[0]
	status.ContainerStatuses = []corev1.ContainerStatus{{Name: spec.Name, Image: spec.Image, ImageID: spec.Image, State: state,
		Ready: ready, Started: &started, RestartCount: p.restarts, ContainerID: fmt.Sprintf("e2e://%s/%d", p.object.UID, p.restarts)}}
	status.Conditions = []corev1.PodCondition{
		p.condition(corev1.PodReadyToStartContainers, p.network != nil, ""),
		p.condition(corev1.PodInitialized, true, ""),
		p.condition(corev1.ContainersReady, ready, reason),
		p.condition(corev1.PodReady, ready, reason),
	}
	p.patchStatus(&status)
}

// condition keeps the time of the last change.
func (p *pod) condition(kind corev1.PodConditionType, holds bool, reason string) corev1.PodCondition {
	status := corev1.ConditionFalse
	if holds {
		status = corev1.ConditionTrue
	}
	if p.since == nil {
		p.since = map[corev1.PodConditionType]corev1.PodCondition{}
	}
	if old, ok := p.since[kind]; !ok || old.Status != status || old.Reason != reason {
		p.since[kind] = corev1.PodCondition{Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.Now()}
	}
	return p.since[kind]
}

// unknown finds what would not be as a real kubelet does it.
func unknown(spec *corev1.PodSpec) error {
	c := &spec.Containers[0]
	for what, there := range map[string]bool{
		"several containers": len(spec.Containers)+len(spec.InitContainers) > 1,
		"the host's own":     spec.HostNetwork || spec.HostPID || spec.HostIPC,
		"lifecycle":          c.Lifecycle != nil,
		"envFrom":            c.EnvFrom != nil,
		"working directory":  c.WorkingDir != "",
		"privileged":         c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged,
	} {
		if there {
			return fmt.Errorf("not known here: %s", what)
		}
	}
	return nil
}
