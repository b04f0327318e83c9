package cluster

import (
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe asks by HTTP, in the rhythm of its spec. Without a spec it is good from the start.
type probe struct {
	spec         *corev1.Probe
	next         time.Time
	right, wrong int32
	good, failed bool
}

func newProbe(spec *corev1.Probe) probe {
	if spec == nil {
		return probe{good: true}
	}
	return probe{spec: spec, next: time.Now().Add(time.Duration(spec.InitialDelaySeconds) * time.Second)}
}

func (p *probe) ask(ip string, container *corev1.Container) {
	if p.spec == nil || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(time.Duration(p.spec.PeriodSeconds) * time.Second)
	if err := p.get(ip, container); err != nil {
		p.right, p.wrong = 0, p.wrong+1
	} else {
		p.right, p.wrong = p.right+1, 0
	}
	p.failed = p.wrong >= p.spec.FailureThreshold
	p.good = p.right >= p.spec.SuccessThreshold || p.good && !p.failed
}

func (p *probe) get(ip string, container *corev1.Container) error {
	if p.spec.HTTPGet == nil {
		return fmt.Errorf("not known here: a probe that is not HTTP")
	}
	client := http.Client{Timeout: time.Duration(p.spec.TimeoutSeconds) * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(fmt.Sprintf("http://%s:%d%s", ip, number(p.spec.HTTPGet.Port, container), p.spec.HTTPGet.Path))
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

func number(port intstr.IntOrString, container *corev1.Container) int32 {
	for _, p := range container.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal {
			return p.ContainerPort
		}
	}
	return port.IntVal
}
