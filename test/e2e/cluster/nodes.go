package cluster

import (
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func errorf(what string, r Result) error {
	return errors.New(what + ": " + strings.TrimSpace(r.Out+r.Err))
}

// Node makes a node without a kubelet; Pods bind to it and stay Pending. Its lease is renewed until Stop.
func (c *Cluster) Node(name string, gpus int, labels map[string]string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	capacity := corev1.ResourceList{
		"cpu": resource.MustParse("64"), "memory": resource.MustParse("512Gi"), "pods": resource.MustParse("200"),
		"ephemeral-storage": resource.MustParse("1Ti"),
	}
	if gpus > 0 {
		capacity["nvidia.com/gpu"] = *resource.NewQuantity(int64(gpus), resource.DecimalSI)
		node.Spec.Taints = []corev1.Taint{{Key: "nvidia.com/gpu", Value: "present", Effect: corev1.TaintEffectNoSchedule}}
	}
	if _, err := c.Client.CoreV1().Nodes().Create(c.ctx, node, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := c.lease(name); err != nil {
		return err
	}
	if err := c.setReady(name, capacity); err != nil {
		return err
	}
	go c.renew(name)
	return c.readyNode(name)
}

func (c *Cluster) setReady(name string, capacity corev1.ResourceList) error {
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "ByHand",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}
	// The node controller writes to it as well.
	return eventually(10*time.Second, "status of "+name, nil, func() error {
		node, err := c.Client.CoreV1().Nodes().Get(c.ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		node.Status.Capacity, node.Status.Allocatable = capacity, capacity
		node.Status.Conditions = []corev1.NodeCondition{ready}
		_, err = c.Client.CoreV1().Nodes().UpdateStatus(c.ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// readyNode waits until the node controller has taken its not-ready taint away.
func (c *Cluster) readyNode(name string) error {
	return eventually(30*time.Second, "node "+name, nil, func() error {
		node, err := c.Client.CoreV1().Nodes().Get(c.ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, taint := range node.Spec.Taints {
			if taint.Key != "nvidia.com/gpu" {
				return fmt.Errorf("taint %s", taint.Key)
			}
		}
		return nil
	})
}

func (c *Cluster) lease(name string) error {
	now, seconds := metav1.NowMicro(), int32(40)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now}}
	return eventually(10*time.Second, "lease of "+name, nil, func() error {
		_, err := c.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(c.ctx, lease, metav1.CreateOptions{})
		return err
	})
}

func (c *Cluster) renew(name string) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	leases := c.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		lease, err := leases.Get(c.ctx, name, metav1.GetOptions{})
		if err != nil {
			continue
		}
		now := metav1.NowMicro()
		lease.Spec.RenewTime = &now
		_, _ = leases.Update(c.ctx, lease, metav1.UpdateOptions{})
	}
}
