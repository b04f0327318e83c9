#!/usr/bin/env bash
# manifests.sh BINARY DIR   writes what is generated below DIR: base/ and the certificates of overlays/cert-manager/.
set -euo pipefail
export LC_ALL=C
binary=$1 dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in $(compgen -e | grep '^MLGATE_' || true); do unset "$name"; done

render() { # DIR OPTION...
  "$binary" manifests --policies policies/baseline --out "$@" >/dev/null 2>"$work/notes" || {
    cat "$work/notes" >&2
    return 1
  }
}
render "$work/base"
render "$work/cert-manager" --cert-manager
{
  echo "# Generated, like all of this folder: make manifests"
  echo "apiVersion: kustomize.config.k8s.io/v1beta1"
  echo "kind: Kustomization"
  echo "resources:"
  (cd "$work/base" && printf -- '- %s\n' *.yaml)
} >"$work/kustomization.yaml"

mkdir -p "$dir/base" "$dir/overlays/cert-manager"
rm -f "$dir"/base/*.yaml
cp "$work"/base/*.yaml "$work/kustomization.yaml" "$dir/base/"
cp "$work"/cert-manager/4*.yaml "$dir/overlays/cert-manager/"
