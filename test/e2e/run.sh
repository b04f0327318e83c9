#!/usr/bin/env bash
# run.sh cases|identity|load|build [ARGUMENT]...   builds what is missing, then runs the cases (flags of go test), compares
# folders, or runs the load (load -help).
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=SCRIPTDIR/env.sh
. ./env.sh
what=$1
shift
need_go "$what"
MLGATE="${MLGATE:-$(cd ../.. && pwd)/build/mlgate}"
export MLGATE
./build.sh

case $what in
  build) exit 0 ;;
  identity | load) exec "$MLGATE_E2E_BIN/$what" "$@" ;;
esac

cd cases
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap : INT # the cases end on it by themselves
status=0
"$MLGATE_E2E_BIN/cases.test" -test.v -test.timeout=20m "$@" | tee "$log" || status=$?
awk '/^ *--- PASS/ {p++} /^ *--- FAIL/ {f++} END {printf "%d passed, %d failed\n", p, f}' "$log"
exit "$status"
