#!/usr/bin/env bash
# test/bench/connections.sh BINARY   what connections cost, asserting nothing: CPU of a new one with a review on it, beside the echo
# (the same server without a review) and a webhook in Go; memory of idle ones, and what a client notices of them. The client is
# Go's, as an API server's is. Servers take turns, and the least is the figure to trust.
#   LIB=FILE                     the library that goes with the binary (release/libmlgate.a beside it)
#   ROUNDS=6, REVIEWS=400, PARALLEL=8
#   IDLE="0 1000 10000"          how many idle connections
set -euo pipefail
cd "$(dirname "$0")/../.."
mlgate=$PWD/$1
lib=${LIB:-$(dirname "$mlgate")/release/libmlgate.a}
rounds=${ROUNDS:-6} reviews=${REVIEWS:-400} parallel=${PARALLEL:-8}
bench=$PWD/build/bench
review=$bench/review.json
servers=() port_held=0
export LC_ALL=C.UTF-8 CGO_ENABLED=0
mkdir -p "$bench"

stop() {
  [ "${#servers[@]}" -eq 0 ] || kill "${servers[@]}" 2>/dev/null || true
  wait
  servers=()
}
trap stop EXIT
trap 'exit 130' INT TERM
fail() { echo "bench: $*" >&2; exit 1; }

build() {
  command -v go >/dev/null || { echo "bench: skipped, Go is needed"; exit 0; }
  (cd test/bench/go && go build -o "$bench/client" .)
  read -r -a libs <<<"$(pkg-config --libs libmicrohttpd openssl jansson yaml-0.1 libpcre2-8 libcurl zlib libzstd gnutls) -ldl"
  "${CC:-gcc}" -std=gnu17 -O2 -g -I webhook -pthread -o "$bench/echo" test/bench/echo.c "$lib" -Wl,--as-needed "${libs[@]}"
  /usr/bin/python3 test/bench/review.py >"$review"
}

# A key of the kind, and a certificate that signs itself.
make_pair() { # KIND OPENSSL-OPTION...
  local kind=$1
  shift
  mkdir -p "$bench/$kind"
  openssl req -x509 -newkey "$@" -nodes -keyout "$bench/$kind/tls.key" -out "$bench/$kind/tls.crt" -subj /CN=localhost -days 30 \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>"$bench/openssl.log" || fail "$(cat "$bench/openssl.log")"
}

# Starts what prints its port first and ends with its standard input.
start_other() { # NAME COMMAND...; sets pid_NAME, port_NAME
  local name=$1 fifo=$bench/$1.ports
  shift
  rm -f "$fifo"
  mkfifo "$fifo"
  tail -f /dev/null --pid=$$ | "$@" >"$fifo" &
  printf -v "pid_$name" '%s' $!
  servers+=($!)
  read -r "port_$name" _ <"$fifo" || fail "$name does not start"
}

start_mlgate() { # KIND OPTION...; sets pid_mlgate, port_mlgate
  local kind=$1 line
  shift
  "$mlgate" serve --policies policies/baseline --tls-cert "$bench/$kind/tls.crt" --tls-key "$bench/$kind/tls.key" --grace 0 \
    --listen 127.0.0.1:0 --listen-plain 127.0.0.1:0 "$@" 2>"$bench/serve.log" >/dev/null &
  pid_mlgate=$!
  servers+=("$pid_mlgate")
  for _ in $(seq 100); do
    line=$(grep -o '"port":[0-9]*' "$bench/serve.log" || true)
    port_mlgate=${line#*:}
    [ -z "$port_mlgate" ] || return 0
    sleep 0.05
  done
  fail "the server does not start: $(tail -n 3 "$bench/serve.log")"
}

# Least and median of the numbers on standard input.
spread() { sort -n | awk '{ v[NR] = $1 } END { printf "%.0f (%.0f)", v[1], v[int((NR + 1) / 2)] }'; }
quotient() { awk -v a="${1%% *}" -v b="${2%% *}" 'BEGIN { printf "%.2f", a / b }'; }

one_kind() { # KIND [GROUP]
  local kind=$1 group=${2:-} name agreed
  rm -f "$bench"/*.us
  for _ in $(seq "$rounds"); do
    for name in mlgate echo go; do
      local port=port_$name pid=pid_$name allowed=--any
      [ "$name" = echo ] || allowed=
      "$bench/client" dial ${allowed:+"$allowed"} "${!port}" "$bench/$kind/tls.crt" "$review" "${!pid}" "$reviews" "$parallel" \
        ${group:+"$group"} >>"$bench/$name.us"
    done
  done
  local ours echo go
  ours=$(spread <"$bench/mlgate.us") echo=$(spread <"$bench/echo.us") go=$(spread <"$bench/go.us")
  agreed=$(tail -n 1 "$bench/mlgate.us" | cut -d' ' -f2)/$(tail -n 1 "$bench/go.us" | cut -d' ' -f2)
  printf '%-9s %-24s %14s %14s %14s %9s\n' "$kind" "$agreed" "$ours" "$echo" "$go" "$(quotient "$ours" "$go")"
}

handshakes() {
  echo "CPU of a new TLS 1.3 connection with a review of $(stat -c %s "$review") bytes, µs: least (median) of $rounds turns of" \
    "$reviews, $parallel at a time; $(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg)"
  printf '%-9s %-24s %14s %14s %14s %9s\n' key "group: ours/Go's" mlgate "without review" Go mlgate/Go
  local kind
  for kind in P-256 RSA-2048 Ed25519; do
    start_mlgate "$kind" --log-level info
    start_other echo "$bench/echo" "$bench/$kind/tls.crt" "$bench/$kind/tls.key"
    start_other go "$bench/client" serve "$bench/$kind/tls.crt" "$bench/$kind/tls.key"
    one_kind "$kind"
    [ "$kind" != P-256 ] || { one_kind "$kind" X25519; one_kind "$kind" P-256; }
    stop
  done
}

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$pid_mlgate/status"; }

# A client beside connections that each had one review and say no more.
idle() {
  local n before per
  echo "Idle connections, each after one review; beside them 1,000 reviews a second on 8 connections"
  for n in ${IDLE:-0 1000 10000}; do
    start_mlgate P-256 --max-connections $((n + n / 8 + 1024))
    before=$(resident)
    per='-'
    if [ "$n" -gt 0 ]; then
      start_other held "$bench/client" hold "$port_mlgate" "$bench/P-256/tls.crt" "$review" "$n" 1
      [ "$port_held" -eq "$n" ] || echo "  only $port_held of them"
      per=$(awk -v a="$before" -v b="$(resident)" -v n="$n" 'BEGIN { printf "%.1f", (b - a) / n }')
    fi
    printf '%8s  KiB each: %-6s  %s\n' "$n" "$per" \
      "$("$bench/client" steady "$port_mlgate" "$bench/P-256/tls.crt" "$review" "$pid_mlgate" 1000 3000 8)"
    stop
  done
}

build
make_pair P-256 ec -pkeyopt ec_paramgen_curve:P-256
make_pair RSA-2048 rsa:2048
make_pair Ed25519 ed25519
handshakes
idle
