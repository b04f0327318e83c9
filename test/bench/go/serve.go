package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	gpu     = "nvidia.com/gpu"
	bodyMax = 8 << 20
)

func serve(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench serve CERT KEY")
	}
	pair, err := tls.LoadX509KeyPair(args[0], args[1])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/mutate", answer)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			SessionTicketsDisabled: true}}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var review admissionReview
	if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	response := judge(review.Request)
	out, err := json.Marshal(admissionReview{APIVersion: review.APIVersion, Kind: review.Kind, Response: response})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}

func judge(request *admissionRequest) *admissionResponse {
	response := &admissionResponse{UID: request.UID, Allowed: true}
	var p pod
	if err := json.Unmarshal(request.Object, &p); err != nil {
		response.Allowed, response.Result = false, &status{Message: err.Error(), Code: http.StatusBadRequest}
		return response
	}
	if why := denial(&p); why != "" {
		response.Allowed, response.Result = false, &status{Message: why, Code: http.StatusForbidden}
		return response
	}
	for _, c := range p.Spec.Containers {
		if c.Resources.Limits[gpu] != "" && (c.Resources.Limits["memory"] == "" || c.Resources.Limits["cpu"] == "") {
			response.Warnings = append(response.Warnings, "container "+c.Name+" sets no limit of memory and cpu")
		}
	}
	if operations := changes(&p); len(operations) > 0 {
		kind := "JSONPatch"
		response.Patch, _ = json.Marshal(operations)
		response.PatchType = &kind
	}
	return response
}

func denial(p *pod) string {
	for _, c := range p.Spec.Containers {
		if c.Resources.Requests[gpu] != c.Resources.Limits[gpu] {
			return "container " + c.Name + " requests " + gpu + " and sets no equal limit"
		}
		for _, e := range c.Env {
			if e.Name == "NVIDIA_VISIBLE_DEVICES" && e.Value != "none" && e.Value != "void" && c.Resources.Limits[gpu] == "" {
				return "container " + c.Name + " sees devices without a limit"
			}
		}
	}
	return ""
}

// changes are the toleration, the shared memory and the class, as operations written by hand.
func changes(p *pod) (operations []operation) {
	shared, uses := false, false
	for i, c := range p.Spec.Containers {
		if c.Resources.Limits[gpu] == "" {
			continue
		}
		uses = true
		if !hasMount(&c, "/dev/shm") {
			shared = true
			operations = append(operations, operation{"add", fmt.Sprintf("/spec/containers/%d/volumeMounts/-", i),
				volumeMount{Name: "dshm", MountPath: "/dev/shm"}})
		}
	}
	if !uses {
		return nil
	}
	if shared {
		operations = append(operations, operation{"add", "/spec/volumes/-",
			volume{Name: "dshm", EmptyDir: &emptyDir{Medium: "Memory", SizeLimit: "16Gi"}}})
	}
	if !tolerates(p.Spec.Tolerations) {
		operations = append(operations, operation{"add", "/spec/tolerations/-",
			toleration{Key: gpu, Operator: "Exists", Effect: "NoSchedule"}})
	}
	if p.Spec.PriorityClassName == "" && strings.EqualFold(p.Metadata.Labels["mlgate.dev/role"], "training") {
		operations = append(operations, operation{"add", "/spec/priorityClassName", "ml-training"})
	}
	return operations
}

func hasMount(c *container, path string) bool {
	for _, m := range c.VolumeMounts {
		if m.MountPath == path {
			return true
		}
	}
	return false
}

func tolerates(tolerations []toleration) bool {
	for _, t := range tolerations {
		if (t.Key == gpu || t.Key == "") && t.Operator == "Exists" && (t.Effect == "" || t.Effect == "NoSchedule") {
			return true
		}
	}
	return false
}
