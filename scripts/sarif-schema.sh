#!/usr/bin/env bash
# sarif-schema.sh DIR   puts the public JSON Schema of SARIF 2.1.0 there, out of a package that ships it (MIT).
set -euo pipefail
dir=$1
package=@microsoft/jest-sarif@1.0.0-beta.0
[ ! -e "$dir/sarif-2.1.0.json" ] || exit 0
if ! command -v npm >/dev/null; then
  echo "sarif-schema: npm is not installed" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! (cd "$work" && npm pack --silent "$package" >log 2>&1 && tar -xzf ./*.tgz package/lib/schemas); then
  tail -n 5 "$work/log" >&2
  echo "sarif-schema: could not fetch $package" >&2
  exit 1
fi
mkdir -p "$dir"
install -m 644 "$work"/package/lib/schemas/sarif-2.1.0*.json "$dir/sarif-2.1.0.json"
