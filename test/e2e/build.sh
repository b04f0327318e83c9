#!/bin/sh
# Builds the control plane and the test binary, only what is missing or of another go.sum.
# MLGATE_E2E_BIN: where they go. E2E_NICE: a prefix such as "nice -n 19".
set -eu
cd "$(dirname "$0")"
bin=${MLGATE_E2E_BIN:-$HOME/.cache/mlgate-e2e}
mkdir -p "$bin"
exec 9>"$bin/lock"
flock 9 # two builds into one folder would take each other's files

# The flags never change: other flags mean the whole build again.
build() {
  if [ -x "$bin/$1" ] && cmp -s go.sum "$bin/$1.sum"; then return; fi
  echo "building $1 (once; minutes)"
  CGO_ENABLED=0 ${E2E_NICE:-} go build -trimpath -o "$bin/$1.new" "$2"
  mv "$bin/$1.new" "$bin/$1"
  cp go.sum "$bin/$1.sum"
}

build etcd go.etcd.io/etcd/server/v3
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
build kubectl k8s.io/kubernetes/cmd/kubectl
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
build kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler

# CRDs lie in the modules of their operators: name, module, version, folder.
crds() {
  if [ -d "$bin/crds/$1" ] && [ "$(cat "$bin/$1.crds" 2>/dev/null)" = "$*" ]; then return; fi
  dir=$(go mod download -json "$2@$3" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
  rm -rf "$bin/crds/$1" "$bin/crds/$1.new"
  mkdir -p "$bin/crds/$1.new"
  # Only definitions: folders also hold kustomizations and patches.
  grep -l '^kind: CustomResourceDefinition' "$dir/$4"/*.yaml | while read -r file; do cp "$file" "$bin/crds/$1.new/"; done
  chmod -R u+w "$bin/crds/$1.new"
  mv "$bin/crds/$1.new" "$bin/crds/$1"
  echo "$*" >"$bin/$1.crds"
}

crds training-operator github.com/kubeflow/training-operator v1.9.3 manifests/base/crds
crds ray-operator github.com/ray-project/kuberay/ray-operator v1.4.2 config/crd/bases
crds jobset sigs.k8s.io/jobset v0.10.1 config/components/crd/bases
crds trainer github.com/kubeflow/trainer/v2 v2.0.0 manifests/base/crds
crds kserve github.com/kserve/kserve v0.15.2 config/crd/full
crds spark-operator github.com/kubeflow/spark-operator/v2 v2.3.0 config/crd/bases
crds lws sigs.k8s.io/lws v0.7.0 config/crd/bases

# Operators need other versions of Kubernetes than the control plane, so each has a module of its own.
operator() {
  if [ -x "$bin/$1" ] && cmp -s "operators/$1/go.sum" "$bin/$1.sum"; then return; fi
  echo "building $1 (once; minutes)"
  (cd "operators/$1" && CGO_ENABLED=0 ${E2E_NICE:-} go build -trimpath -o "$bin/$1.new" "$2")
  mv "$bin/$1.new" "$bin/$1"
  cp "operators/$1/go.sum" "$bin/$1.sum"
}

if [ -z "${CORE:-}" ]; then
  dir=$(go mod download -json sigs.k8s.io/jobset@v0.10.1 | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
  install -m 644 "$dir/config/components/webhook/manifests.yaml" "$bin/jobset-webhooks.yaml"
  operator jobset sigs.k8s.io/jobset
  operator training-operator github.com/kubeflow/training-operator/cmd/training-operator.v1
  operator ray-operator github.com/ray-project/kuberay/ray-operator
fi

# The tests themselves are quick to build, so always.
CGO_ENABLED=0 ${E2E_NICE:-} go test -c -trimpath -o "$bin/cases.test" ./cases
if ls identity/*.go >/dev/null 2>&1; then CGO_ENABLED=0 ${E2E_NICE:-} go build -trimpath -o "$bin/identity" ./identity; fi
