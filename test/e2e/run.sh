#!/usr/bin/env bash
# run.sh cases|identity [ARGUMENT]...   builds what is missing and runs the cases (flags of go test), or compares folders.
set -euo pipefail
cd "$(dirname "$0")"
version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p' || true)
if [ "${version:-0}" -lt 26 ]; then
  echo "e2e: skipped, Go 1.26 or newer is needed"
  exit 0
fi
export MLGATE_E2E_BIN="${MLGATE_E2E_BIN:-$HOME/.cache/mlgate-e2e}"
export MLGATE="${MLGATE:-$(cd ../.. && pwd)/build/mlgate}"
./build.sh

what=$1
shift
if [ "$what" = identity ]; then exec "$MLGATE_E2E_BIN/identity" "$@"; fi

cd cases
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap : INT # the cases end on it by themselves
status=0
"$MLGATE_E2E_BIN/cases.test" -test.v -test.timeout=20m "$@" | tee "$log" || status=$?
awk '/^ *--- PASS/ {p++} /^ *--- FAIL/ {f++} END {printf "%d passed, %d failed\n", p, f}' "$log"
exit "$status"
