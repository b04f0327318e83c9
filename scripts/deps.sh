#!/usr/bin/env bash
# deps.sh GROUP...   installs the Debian packages that are missing; the groups are build, test, lint, bench, fuzz, shells and
# registry.
# Says nothing if all are there.
set -euo pipefail

declare -A packages=(
  [build]="gcc libc6-dev make pkg-config libmicrohttpd-dev libssl-dev libjansson-dev libyaml-dev libpcre2-dev
           libcurl4-openssl-dev libgnutls28-dev zlib1g-dev libzstd-dev ca-certificates"
  [test]="libcmocka-dev curl jq openssl python3 python3-yaml python3-jsonpatch python3-jsonschema
          libxml2-utils cmark-gfm"
  [bench]="valgrind"
  [lint]="clang shellcheck"
  [fuzz]="clang libclang-rt-dev" # libFuzzer is a part of the latter
  [shells]="zsh fish mandoc groff-base" # that complete mlgate, and that read its manual pages
  [registry]="docker-registry skopeo buildah" # a service would start with the next boot: for machines that are thrown away
)

wanted=()
for group in "$@"; do
  read -r -d '' -a list <<<"${packages[$group]:?no such group of packages: $group}" || true
  wanted+=("${list[@]}")
done

if ! command -v dpkg-query >/dev/null; then
  echo "deps: not a Debian system; make sure that these are there in its own form: ${wanted[*]}" >&2
  exit 0
fi

# A package counts as there if something installed provides it, too (pkg-config is pkgconf's on newer systems).
have=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}, ${Provides}\n' | sed -n 's/^ii  *//p' |
  sed 's/([^)]*)//g' | tr ',' '\n' | tr -d ' ')
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package" <<<"$have" || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "deps: missing Debian packages, and neither root nor sudo to install them: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

log=$(mktemp)
gate=/usr/sbin/policy-rc.d # what it forbids is not started when it is installed
if [ -e "$gate" ]; then gate=''; else printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$gate"; fi
trap 'rm -f "$log"; [ -z "$gate" ] || "${as_root[@]}" rm -f "$gate"' EXIT
apt() { # a lock held by somebody else is waited for, not an error
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"
}
echo "deps: installing ${missing[*]}"
apt install --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null && exit 0
# Stale or absent package lists are the usual reason.
if ! { apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "deps: could not install ${missing[*]}" >&2
  exit 1
fi
