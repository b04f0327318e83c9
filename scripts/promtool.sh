#!/usr/bin/env bash
# promtool.sh DIR   puts Debian's promtool there. The package itself is not installed: it would bring a server along and start it.
set -euo pipefail
dir=$1
[ ! -x "$dir/promtool" ] || exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "promtool: not a Debian system" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt fetches as somebody else
cd "$work"
apt-get -qq download prometheus >log 2>&1 || { apt-get -qq update && apt-get -qq download prometheus; } >log 2>&1 || {
  tail -n 5 log >&2
  echo "promtool: could not fetch the package prometheus" >&2
  exit 1
}
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
cd - >/dev/null
mkdir -p "$dir"
install -m 755 "$work/usr/bin/promtool" "$dir/promtool"
