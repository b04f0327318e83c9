#!/usr/bin/env bash
# manifests.sh BINARY DIR   writes what is generated below DIR: base/, the certificates of two overlays, the chart.
set -euo pipefail
export LC_ALL=C
binary=$1 dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in $(compgen -e | grep '^MLGATE_' || true); do unset "$name"; done

render() { # OPTION...
  "$binary" manifests --policies policies/baseline "$@" >/dev/null 2>"$work/notes" || {
    cat "$work/notes" >&2
    return 1
  }
}
render --out "$work/base"
render --out "$work/cert-manager" --cert-manager
render --out "$work/self-signed" --self-signed
render --chart "$work/chart" --self-signed
{
  echo "# Generated, like all of this folder: make manifests"
  echo "apiVersion: kustomize.config.k8s.io/v1beta1"
  echo "kind: Kustomization"
  echo "resources:"
  (cd "$work/base" && printf -- '- %s\n' *.yaml)
} >"$work/kustomization.yaml"

mkdir -p "$dir/base"
rm -f "$dir"/base/*.yaml
cp "$work"/base/*.yaml "$work/kustomization.yaml" "$dir/base/"
for overlay in cert-manager self-signed; do
  mkdir -p "$dir/overlays/$overlay"
  rm -f "$dir/overlays/$overlay"/4*.yaml
  cp "$work/$overlay"/4*.yaml "$dir/overlays/$overlay/"
done
mkdir -p "$dir/chart/templates"
rm -f "$dir"/chart/templates/*.yaml
cp "$work"/chart/templates/*.yaml "$dir/chart/templates/"
cp "$work/chart/values.yaml" "$dir/chart/"
