package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	admission "k8s.io/api/admission/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const bodyMax = 8 << 20

// request is one Pod under review.
type request struct {
	uid types.UID
	pod *core.Pod
}

// handle answers a review by what answer says of its Pod.
func handle(answer func(*request) *admission.AdmissionResponse) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		var review admission.AdmissionReview
		if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		var pod core.Pod
		response := &admission.AdmissionResponse{}
		if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
			response.Result = &meta.Status{Message: err.Error(), Code: http.StatusBadRequest}
		} else {
			if pod.Namespace == "" {
				pod.Namespace = review.Request.Namespace
			}
			response = answer(&request{uid: review.Request.UID, pod: &pod})
		}
		response.UID = review.Request.UID
		out, err := json.Marshal(&admission.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(out)))
		_, _ = w.Write(out)
	}
}

func mutate(r *request) *admission.AdmissionResponse {
	response := &admission.AdmissionResponse{Allowed: true}
	operations := changes(r.pod)
	if len(operations) == 0 {
		return response
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		response.Warnings = []string{fmt.Sprintf("no patch: %v", err)}
		return response
	}
	kind := admission.PatchTypeJSONPatch
	response.Patch, response.PatchType = patch, &kind
	return response
}

func validate(r *request) *admission.AdmissionResponse {
	denials, warnings := judge(r.pod)
	response := &admission.AdmissionResponse{Allowed: len(denials) == 0, Warnings: warnings}
	if !response.Allowed {
		response.Result = &meta.Status{Message: join(denials), Code: http.StatusForbidden}
	}
	return response
}
