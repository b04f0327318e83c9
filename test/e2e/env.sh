# shellcheck shell=bash
# Read by other scripts, not run. need_go NAME ends them, saying so, where Go is missing.
export MLGATE_E2E_BIN="${MLGATE_E2E_BIN:-$HOME/.cache/mlgate-e2e}"
# Other flags mean the whole build again, so they are said here only. No symbol tables: linking is a good part of the time.
export CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false -ldflags=-s'

has_go() {
  version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p' || true)
  [ "${version:-0}" -ge 26 ]
}

need_go() {
  if ! has_go; then
    echo "$1: skipped, Go 1.26 or newer is needed"
    exit 0
  fi
}
