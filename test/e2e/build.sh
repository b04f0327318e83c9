#!/usr/bin/env bash
# Builds the control plane, the operators (not with CORE=1) and the test programs, only what is missing or of another go.sum.
# MLGATE_E2E_BIN: where they go. E2E_NICE: a prefix such as "nice -n 19".
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=SCRIPTDIR/env.sh
. ./env.sh
need_go e2e
bin=$MLGATE_E2E_BIN
mkdir -p "$bin"
exec 9>"$bin/lock"
flock 9 # two builds into one folder would take each other's files
trap 'rm -rf "$bin"/new-*' EXIT

# build FOLDER NAME=PACKAGE...: the programs of one module, in one go, so that compiling and linking overlap.
build() {
  local folder=$1 missing=() program new
  shift
  for program; do
    [ -x "$bin/${program%%=*}" ] && cmp -s "$folder/go.sum" "$bin/${program%%=*}.sum" || missing+=("$program")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  echo "building ${missing[*]%%=*} (once; minutes)"
  new=$(mktemp -d "$bin/new-XXXXXX")
  # shellcheck disable=SC2086 # E2E_NICE is words
  (cd "$folder" && ${E2E_NICE:-} go build -o "$new/" "${missing[@]#*=}")
  for program in "${missing[@]}"; do
    mv "$new/$(built_as "${program#*=}")" "$bin/${program%%=*}"
    cp "$folder/go.sum" "$bin/${program%%=*}.sum"
  done
}

# The name that go build gives a program: the last part of its package, or the one before a version.
built_as() {
  local name=${1##*/}
  [[ ! $name =~ ^v[0-9]+$ ]] || name=$(basename "$(dirname "$1")")
  echo "$name"
}

folder_of() { # MODULE VERSION
  go mod download -json "$1@$2" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p'
}

# Helm, of a module of its own like the operators below.
if ! { [ -x "$bin/helm" ] && cmp -s helm/go.sum "$bin/helm.sum"; }; then
  echo "building helm (once; a minute)"
  (cd helm && CGO_ENABLED=0 ${E2E_NICE:-} go build -trimpath -o "$bin/helm.new" helm.sh/helm/v3/cmd/helm)
  mv "$bin/helm.new" "$bin/helm"
  cp helm/go.sum "$bin/helm.sum"
fi

# CRDs lie in the modules of their operators: name, module, version, folder.
crds() {
  local dir
  if [ -d "$bin/crds/$1" ] && [ "$(cat "$bin/$1.crds" 2>/dev/null)" = "$*" ]; then return; fi
  dir=$(folder_of "$2" "$3")
  rm -rf "$bin/crds/$1" "$bin/crds/$1.new"
  mkdir -p "$bin/crds/$1.new"
  # Only definitions: folders also hold kustomizations and patches.
  grep -l '^kind: CustomResourceDefinition' "$dir/$4"/*.yaml | while read -r file; do cp "$file" "$bin/crds/$1.new/"; done
  chmod -R u+w "$bin/crds/$1.new"
  mv "$bin/crds/$1.new" "$bin/crds/$1"
  echo "$*" >"$bin/$1.crds"
}

webhooks() { # NAME MODULE VERSION FILE
  install -m 644 "$(folder_of "$2" "$3")/$4" "$bin/$1-webhooks.yaml"
}

build . etcd=go.etcd.io/etcd/server/v3 \
  kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
  kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager \
  kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler \
  kubectl=k8s.io/kubernetes/cmd/kubectl

crds training-operator github.com/kubeflow/training-operator v1.9.3 manifests/base/crds
crds ray-operator github.com/ray-project/kuberay/ray-operator v1.4.2 config/crd/bases
crds jobset sigs.k8s.io/jobset v0.10.1 config/components/crd/bases
crds trainer github.com/kubeflow/trainer/v2 v2.0.0 manifests/base/crds
crds kserve github.com/kserve/kserve v0.15.2 config/crd/full
crds spark-operator github.com/kubeflow/spark-operator/v2 v2.3.0 config/crd/bases
crds lws sigs.k8s.io/lws v0.7.0 config/crd/bases
crds prometheus-operator github.com/prometheus-operator/prometheus-operator v0.83.0 example/prometheus-operator-crd
crds cert-manager github.com/cert-manager/cert-manager v1.18.2 deploy/crds
sed -i '/{{/d' "$bin"/crds/cert-manager/*.yaml # lines of its chart

# Operators need other versions of Kubernetes than the control plane, and than each other, so each has a module of its own.
if [ -z "${CORE:-}" ]; then
  crds mpi-operator github.com/kubeflow/mpi-operator v0.6.0 manifests/base
  webhooks jobset sigs.k8s.io/jobset v0.10.1 config/components/webhook/manifests.yaml
  webhooks lws sigs.k8s.io/lws v0.7.0 config/webhook/manifests.yaml
  build operators/jobset jobset=sigs.k8s.io/jobset
  build operators/lws lws=sigs.k8s.io/lws/cmd
  build operators/trainer trainer=github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager
  build operators/training-operator training-operator=github.com/kubeflow/training-operator/cmd/training-operator.v1
  build operators/mpi-operator mpi-operator=github.com/kubeflow/mpi-operator/cmd/mpi-operator
  build operators/ray-operator ray-operator=github.com/ray-project/kuberay/ray-operator
fi

# The tests themselves are quick to build, so always.
# shellcheck disable=SC2086
${E2E_NICE:-} go test -c -o "$bin/cases.test" ./cases
# shellcheck disable=SC2086
${E2E_NICE:-} go build -o "$bin/" ./identity ./load
