#!/usr/bin/env bash
# run.sh [ARGUMENT]...   holds limitRange and quota against the API server's own code (flags of go test).
# MLGATE: the binary. PAIRS, QUANTITIES, SEED: how many, and from where.
set -euo pipefail
cd "$(dirname "$0")"
version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p' || true)
if [ "${version:-0}" -lt 26 ]; then
  echo "limits: skipped, Go 1.26 or newer is needed"
  exit 0
fi
top=$(cd ../../.. && pwd)
export MLGATE="${MLGATE:-$top/build/mlgate}"
# The flags are those of the control plane, whose packages need not be built again.
CGO_ENABLED=0 exec ${E2E_NICE:-nice -n 19} go test -trimpath -count=1 -v . "$@"
