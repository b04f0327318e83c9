#!/usr/bin/env bash
# man.sh BINARY DIR   writes the manual pages, mlgate.1 and mlgate-COMMAND.1 for each command, into DIR.
set -euo pipefail
binary=$1 dir=$2
mkdir -p "$dir"
# The same source makes the same page.
[ -n "${SOURCE_DATE_EPOCH:-}" ] || SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
rm -f "$dir"/mlgate*.1
"$binary" man >"$dir/mlgate.1"
for command in $("$binary" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
  "$binary" man "$command" >"$dir/mlgate-$command.1"
done
