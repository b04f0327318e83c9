#!/usr/bin/env bash
# test/container/run.sh   builds the Containerfile on a Debian 12 made here, without a registry; looks at the image; starts it
# as a restricted Pod is; asks it for one review. Needs root on a Debian system. Nothing is left but the packages it installs.
#   BASE_TAR=FILE   the root file system of the base: taken if it is there, else made and kept (a minute)
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "make container: needs root, for mounts and namespaces" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mlgate-container.XXXXXX")
base_tar=${BASE_TAR:-$work/base.tar}
base=localhost/debian tag=bookworm-slim image=localhost/mlgate:test
server='' summed='' passed=0 failed=0
exec 3>&1
cache=/var/lib/containers/cache # buildah's one file that follows no option
[ -e "$cache" ] && ours='' || ours=1
for name in $(compgen -e | grep '^MLGATE_' || true); do unset "$name"; done

leave() {
  local status=$?
  trap '' INT TERM
  if [ -n "$server" ]; then
    kill -KILL "$server" 2>/dev/null || true # its one child is killed with it
    wait "$server" 2>/dev/null || true
  fi
  [ ! -d "$work/storage" ] || { b rm --all && b rmi --all --force; } >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work"
  [ -z "$ours" ] || { rm -f "$cache"/blob-info-cache-* && rmdir -p "$cache"; } 2>/dev/null || true
  [ -n "$summed" ] || echo "stopped half-way; $passed passed, $((failed + 1)) failed" >&3
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

# Storage of its own: neither sees nor touches what else there may be on the machine.
b() {
  TMPDIR=$work/tmp buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs \
    --registries-conf "$work/registries" "$@"
}

result() { # NAME PROBLEM: an empty problem is none
  if [ -z "$2" ]; then
    passed=$((passed + 1))
    echo "ok $((passed + failed)) - $1"
  else
    failed=$((failed + 1))
    echo "not ok $((passed + failed)) - $1"
    printf '%s\n' "$2" | sed 's/^/# /'
  fi
}
equal() { result "$1" "$([ "$2" = "$3" ] || printf 'wanted: %s\n   got: %s' "$2" "$3")"; } # NAME WANTED GOT
sum() {
  summed=1
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
quiet() { # WHAT COMMAND...: its output only if it fails, and then that is the end; errexit does not hold inside
  local what=$1 start=$SECONDS
  shift
  "$@" >"$work/log" 2>&1 </dev/null || {
    tail -n 40 "$work/log" | sed 's/^/# /'
    result "$what" "failed"
    sum
    exit 1
  }
  result "$what ($((SECONDS - start)) s)" ""
}

tools() {
  local missing=()
  for pair in buildah:buildah mmdebstrap:mmdebstrap ip:iproute2 unshare:util-linux curl:curl jq:jq; do
    command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=120 update &&
    apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "${missing[@]}"
}

# A Debian as small as the published one, with this machine's way to the packages.
make_base() {
  local sources=/etc/apt/sources.list.d/debian.sources options=()
  [ -e "$sources" ] || sources=/etc/apt/sources.list
  ! grep -q 'https:' "$sources" || options=(--include=ca-certificates)
  # Taken as a tarball elsewhere, half a file must not look like a whole one.
  mmdebstrap --format=tar --variant=minbase "${options[@]}" bookworm "$base_tar.part" "$sources" &&
    mv "$base_tar.part" "$base_tar"
}
import_base() {
  local container
  apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' >"$work/apt.conf"
  container=$(b from scratch) &&
    b add --quiet "$container" "$base_tar" / &&
    b add --quiet "$container" "$work/apt.conf" /etc/apt/apt.conf.d/99machine &&
    b commit --quiet --rm "$container" "$base:$tag"
}
build() { # DIGEST
  b bud --quiet --isolation=chroot --network=host --pull-never \
    --build-arg BASE="$base" --build-arg TAG="$tag" --build-arg DIGEST="$1" \
    --build-arg VERSION=1.2.3-test --build-arg REVISION=0123abc --tag "$image" --file Containerfile .
}

# What the build gets to see.
context() {
  printf 'FROM scratch\nCOPY . /\n' | b bud --quiet --file - --tag localhost/context:test . >"$work/log"
  local container
  container=$(b from --pull-never localhost/context:test)
  (cd "$(b mount "$container")" && { ls -A . policies; find . -name '*.key' -o -name '*.pem' -o -name '*.crt'; } | tr '\n' ' ')
  b rm "$container" >/dev/null
}

config() { b inspect --type image "$image" | jq -cr ".OCIv1 | $1"; }
# What the image may hold: the program, one line of passwd, public authorities, and what the loader of the image itself says that it loads.
allowed() {
  local loader
  loader=$(cd "$root" && find . -name 'ld-linux*' | sed 's/^\.//')
  {
    printf '%s\n' /etc/passwd /etc/ssl/certs/ca-certificates.crt /usr/bin/mlgate "$loader"
    chroot "$root" "$loader" --list /usr/bin/mlgate | grep -o '/[^ ]*'
  } | sort -u
}
look() {
  local authorities
  equal "user" 65532:65532 "$(config .config.User)"
  equal "entry point" '["/usr/bin/mlgate","serve"]' "$(config .config.Entrypoint)"
  equal "nothing after it" null "$(config .config.Cmd)"
  equal "ports" '["8080","8443"]' "$(config '[.config.ExposedPorts | keys[] | sub("/tcp$"; "")] | sort')"
  equal "label version" 1.2.3-test "$(config '.config.Labels["org.opencontainers.image.version"]')"
  equal "label revision" 0123abc "$(config '.config.Labels["org.opencontainers.image.revision"]')"
  (cd "$root" && find . ! -type d | sed 's/^\.//' | sort) >"$work/files"
  sed 's/^/# /' "$work/files"
  result "only the program, its libraries, passwd, public authorities" "$(diff <(allowed) "$work/files")"
  authorities=$(grep -c '^-----BEGIN CERT' "$root/etc/ssl/certs/ca-certificates.crt" || true)
  result "public authorities by the hundred" "$([ "$authorities" -ge 100 ] || echo "$authorities")"
  result "nothing set-user-id, writable by others, or anybody's but root's" \
    "$(find "$root" ! -type l \( -perm /6022 -o ! -user root -o ! -group root \) -printf '%M %u:%g /%P\n')"
  echo "# size: $(du -sb --apparent-size "$root" | cut -f1) bytes in $(wc -l <"$work/files") files"
}

# The folders that a Pod would mount; that of the certificates is writable only while they are made.
mounts() { # ro|rw
  printf '%s %s %s\n' "$work/state/policies" /etc/mlgate/policies ro "$work/state/tls" /etc/mlgate/tls "$1" >"$work/state/mounts"
}
prepare() {
  mkdir -p "$work/state/tls" "$root/proc" "$root/etc/mlgate/policies" "$root/etc/mlgate/tls"
  cp -r policies/baseline "$work/state/policies"
  chmod -R a+rX "$work/state/policies"
  chown 65532:65532 "$work/state/tls"
  mapfile -t entry < <(config '.config.Entrypoint[]')
  enter=(unshare --mount --net --pid --fork --kill-child
    sh test/container/enter.sh "$root" "$work/state" "$(config .config.User)")
}
# The arguments of our own Deployment must be the right ones for the entry point.
deployed() {
  "${enter[@]}" "${entry[0]}" manifests --policies /etc/mlgate/policies 2>/dev/null | /usr/bin/python3 -c 'import sys, yaml
for found in yaml.safe_load_all(sys.stdin):
    if found and found["kind"] == "Deployment":
        print(*found["spec"]["template"]["spec"]["containers"][0]["args"], sep="\n")'
}
ask() { nsenter --net="/proc/$pid/ns/net" curl -sS --noproxy '*' --max-time 10 "$@" 2>&1; }
start() {
  local tries=0 arguments
  mapfile -t arguments < <(deployed)
  [ "${#arguments[@]}" -gt 0 ] || { echo "no arguments in the Deployment"; return 1; }
  rm -f "$work/state/pid"
  "${enter[@]}" "${entry[@]}" "${arguments[@]}" >"$work/serve.log" 2>&1 &
  server=$!
  until pid=$(cat "$work/state/pid" 2>/dev/null) && ask -f -o /dev/null http://127.0.0.1:8080/readyz >/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 100 ] || ! kill -0 "$server" 2>/dev/null; then
      cat "$work/serve.log"
      return 1
    fi
    sleep 0.1
  done
}
state() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status" | tr '\t' ' '; }
probe() {
  local answer name=mlgate.mlgate-system.svc
  equal "runs as the user" "65532 65532 65532 65532" "$(state Uid)"
  equal "in the group" "65532 65532 65532 65532" "$(state Gid)"
  equal "in no other group" "" "$(state Groups | tr -d ' ')"
  equal "without capabilities" 0000000000000000 "$(state CapEff)"
  equal "as process 1" 1 "$(state NSpid | sed 's/.* //')"
  equal "healthz" 200 "$(ask -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/healthz)"
  equal "readyz" 200 "$(ask -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/readyz)"
  answer=$(ask --cacert "$work/state/tls/ca.crt" --resolve "$name:8443:127.0.0.1" -H 'Content-Type: application/json' \
    --data-binary @test/show/gpu-pod-without-limits.json "https://$name:8443/validate?timeout=5s")
  result "a review is denied over TLS" "$(jq -e '.response.allowed == false and .response.status.code == 403' \
    <<<"$answer" 2>&1 >/dev/null || printf 'not denied: %s' "$answer")"
  jq -r '.response.status.message // empty' <<<"$answer" 2>/dev/null | sed -n '1,3s/^/# /p'
}
stop() {
  local status=0 begin=$SECONDS
  kill -TERM "$pid"
  wait "$server" || status=$?
  server=
  equal "SIGTERM ends it" 0 "$status"
  [ "$status" -eq 0 ] || sed 's/^/# /' "$work/serve.log"
  echo "# $((SECONDS - begin)) s until it was gone"
}

mkdir "$work/tmp"
: >"$work/registries"
quiet "tools" tools
[ -s "$base_tar" ] || quiet "a base is made" make_base
quiet "base image" import_base
sources='.: Makefile VERSION policies scripts webhook  policies: baseline '
equal "the build sees only what it needs" "$sources" "$(context)"
digest=$(b inspect --type image --format '{{.FromImageDigest}}' "$base:$tag")
result "a base of another digest is refused" "$(! build "sha256:$(printf %064d 7)" >"$work/log" 2>&1 || echo 'it was built')"
quiet "image, on a base pinned by digest" build "$digest"
container=$(b from --pull-never "$image")
root=$(b mount "$container")
look
prepare
mounts rw
quiet "certificates" "${enter[@]}" "${entry[0]}" certs --out /etc/mlgate/tls --service mlgate --namespace mlgate-system
mounts ro
equal "version" "mlgate 1.2.3-test" "$("${enter[@]}" "${entry[0]}" version | head -n 1)"
quiet "ready" start
probe
stop
sum
