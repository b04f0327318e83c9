#!/usr/bin/env bash
# run.sh [ARGUMENT]...   holds derived match conditions against the server (flags of go test).
# MLGATE, GOLDEN_DRIVER: the binaries. SHARED: recorded reviews and the corpus, if there are any.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=SCRIPTDIR/../env.sh
. ../env.sh # the flags of the control plane, whose packages need not be built again
need_go conditions
top=$(cd ../../.. && pwd)
export MLGATE="${MLGATE:-$top/build/mlgate}" GOLDEN_DRIVER="${GOLDEN_DRIVER:-$top/build/release/golden_driver}"
exec ${E2E_NICE:-nice -n 19} go test -count=1 . "$@"
