#!/usr/bin/env bash
# quantity.sh PROGRAM FOLDER...   holds the quantities in the files of the folders against the library of Kubernetes itself, which
# makes a table of them in a folder that goes away. PROGRAM: fuzz_quantity as make test builds it. Go 1.26.
set -euo pipefail
cd "$(dirname "$0")/../e2e"
# shellcheck source=test/e2e/env.sh
. ./env.sh
need_go quantity.sh
program=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus" "$work/table"
find "$@" -type f -exec cp -t "$work/corpus" -- {} +
CORPUS="$work/corpus" TABLE="$work/table/of-kubernetes" nice -n 10 go test -count=1 -v ./quantities | grep quantities
QUANTITY_TABLE=1 "$program" "$work/table"
