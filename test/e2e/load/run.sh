#!/bin/sh
# run.sh [ARGUMENT]...   builds what is missing and runs the load (load -help); COUNT: Pods of the soak.
set -eu
cd "$(dirname "$0")/.."
version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p' || true)
if [ "${version:-0}" -lt 26 ]; then
  echo "load: skipped, Go 1.26 or newer is needed"
  exit 0
fi
export MLGATE_E2E_BIN="${MLGATE_E2E_BIN:-$HOME/.cache/mlgate-e2e}"
export MLGATE="${MLGATE:-$(cd ../.. && pwd)/build/mlgate}"
CORE=1 ./build.sh
CGO_ENABLED=0 ${E2E_NICE:-} go build -trimpath -o "$MLGATE_E2E_BIN/load" ./load
exec "$MLGATE_E2E_BIN/load" ${COUNT:+-count "$COUNT"} "$@"
