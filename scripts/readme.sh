#!/usr/bin/env bash
# readme.sh BINARY FILE   writes the table of rule types into FILE, between its two markers, out of `mlgate explain`.
set -euo pipefail
binary=$1 file=$2
table=$(mktemp)
trap 'rm -f "$table" "$file.new"' EXIT
{
  echo '| rule | what it does |'
  echo '|---|---|'
  # shellcheck disable=SC2016
  "$binary" explain | sed -n '/^And:$/q; s/^  \([a-zA-Z]*\) *\(.*\)$/| `\1` | \2 |/p'
} >"$table"
awk -v table="$table" '
  /^<!-- rules/ { print; while ((getline line <table) > 0) print line; inside = 1; next }
  /^<!-- end of rules/ { inside = 0 }
  !inside' "$file" >"$file.new"
cmp -s "$file" "$file.new" || cp "$file.new" "$file"
