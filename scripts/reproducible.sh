#!/usr/bin/env bash
# reproducible.sh DIR   builds the same sources twice, below DIR: in folders of different names, at different times, with different
# time zones, locales, homes and masks, and files of different ages. Binary, archive, manual pages and SBOM must be the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf "$1"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
trap 'rm -rf "$dir"' EXIT
version=$(sh scripts/version.sh)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}
made="build/mlgate build/release/libmlgate.a build/man build/mlgate.spdx.json"

build() { # FOLDER AGE MASK LOCALE ZONE: of the files in seconds, of the builder
  local tree=$dir/$1
  mkdir -p "$tree"
  tar -c --exclude=./.git --exclude=./build . | tar -x -m -C "$tree"
  find "$tree" -exec touch -h -d "@$((epoch - $2))" {} +
  (
    umask "$3"
    cd "$tree"
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL HOME="$tree" TZ="$5" LANG="$4" SOURCE_DATE_EPOCH="$epoch" \
      make ${CC:+CC="$CC"} -j"$(nproc)" VERSION_TEXT="$version" all man sbom >"$tree.log" 2>&1
  ) || { tail -n 20 "$tree.log" >&2; exit 1; }
}

build a 0 022 C UTC
sleep 2
build another-folder-with-a-longer-name 1000000 077 C.UTF-8 Pacific/Kiritimati
different=0
for name in $made; do
  diff -r "$dir/a/$name" "$dir/another-folder-with-a-longer-name/$name" >/dev/null || { echo "$name differs"; different=1; }
done
if grep -qaF "$dir" "$dir/a/build/mlgate"; then
  echo "build/mlgate names the folder that it was built in"
  different=1
fi
[ "$different" -eq 0 ] || exit 1
echo "reproducible: $version, sha256 $(sha256sum <"$dir/a/build/mlgate" | cut -d ' ' -f 1)"
