#!/bin/sh
# run.sh cases [go test flags]   runs the cases; run.sh identity DIR compares `mlgate check` with the API server.
set -eu
cd "$(dirname "$0")"
export MLGATE_E2E_BIN="${MLGATE_E2E_BIN:-$HOME/.cache/mlgate-e2e}"
export MLGATE="${MLGATE:-$(cd ../.. && pwd)/build/mlgate}"

version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
if [ "${version:-0}" -lt 26 ]; then
  echo "e2e: skipped, Go 1.26 or newer is needed"
  exit 0
fi
./build.sh

program=$1
shift
CGO_ENABLED=0 ${E2E_NICE:-} go test -c -trimpath -o "$MLGATE_E2E_BIN/cases.test" ./cases
