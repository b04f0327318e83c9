#!/usr/bin/env bash
# test/bench/run.sh BINARY [PART...]   measures the built server and prints tables; asserts nothing. Parts: compare (other servers,
# beside it in the same run: compare.py, which keeps its figures as build/bench.json), mallocs, start, micro; without any, all.
#   LIB=FILE              the library that goes with the binary (release/libmlgate.a beside it)
#   ROUNDS=15, QUICK=1    turns of each server; fewer and shorter ones
set -euo pipefail
cd "$(dirname "$0")/../.."
mlgate=$1
lib=${LIB:-$(dirname "$mlgate")/release/libmlgate.a}
connections=16
shift
[ $# -gt 0 ] || set -- compare mallocs start micro
policies=policies/baseline
bench=build/bench
servers=()
export LC_ALL=C.UTF-8
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
  read -r -a libs <<<"$(pkg-config --libs libmicrohttpd openssl jansson yaml-0.1 libpcre2-8 libcurl zlib libzstd gnutls) -lcmocka -ldl"
  local flags=(-std=gnu17 -O2 -g -Wall -Wextra -I webhook -I test -pthread) name
  for name in echo micro; do
    "${CC:-gcc}" "${flags[@]}" -o "$bench/$name" "test/bench/$name.c" "$lib" -Wl,--as-needed "${libs[@]}"
  done
  for name in load pace bare; do "${CC:-gcc}" "${flags[@]}" -o "$bench/$name" "test/bench/$name.c" -lssl -lcrypto; done
  rm -f "$bench/client"
  if command -v go >/dev/null; then
    (cd test/bench/go && CGO_ENABLED=0 go build -o "../../../$bench/client" .) || echo "bench: without the webhook in Go" >&2
  else
    echo "bench: no Go, so without the webhook in it" >&2
  fi
  "${CC:-gcc}" "${flags[@]}" -o "$bench/ready" test/bench/ready.c
  "${CC:-gcc}" "${flags[@]}" -fPIC -shared -o "$bench/mallocs.so" test/bench/mallocs.c
  /usr/bin/python3 test/bench/review.py >"$bench/review.json"
  "$mlgate" certs --out "$bench/certs" --service mlgate --namespace mlgate-system --dns localhost --ip 127.0.0.1 >"$bench/certs.log" ||
    fail "no certificates: $(cat "$bench/certs.log")"
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
  local port=$1
  while taken "$port"; do port=$((port + 1)); done
  echo "$port"
}
choose_ports() {
  port=$(free_port 28443)
  plain=$(free_port 28080)
  serve=("$mlgate" serve --policies "$policies" --tls-cert "$bench/certs/tls.crt" --tls-key "$bench/certs/tls.key" --grace 0
    --log-level error --listen "127.0.0.1:$port" --listen-plain "127.0.0.1:$plain")
}

start_mlgate() { # ENV...; sets ours, our_port
  choose_ports
  env "$@" "${serve[@]}" 2>"$bench/serve.log" &
  ours=$! our_port=$port
  servers+=("$ours")
  until taken "$plain"; do
    kill -0 "$ours" 2>/dev/null || fail "the server does not start: $(tail -n 5 "$bench/serve.log")"
    sleep 0.02
  done
}
start_echo() { # ENV...; sets echo, echo_port
  local fifo=$bench/echo.ports
  rm -f "$fifo"
  mkfifo "$fifo"
  # Its standard input is a pipe that nobody closes before we end.
  tail -f /dev/null --pid=$$ | env "$@" "$bench/echo" "$bench/certs/tls.crt" "$bench/certs/tls.key" >"$fifo" &
  echo=$!
  servers+=("$echo")
  read -r echo_port _ <"$fifo" || fail "the echo server does not start"
}

# Least and median of the numbers on standard input.
spread() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f %.2f", v[1], v[int((NR + 1) / 2)] }'; }
# printf pads by bytes, and µ, ≤ and × have more than one.
pad() { local n=$((${#1} < $2 ? $2 - ${#1} : 0)); printf '%s%*s' "$1" "$n" ''; }
row() { printf '  %s  %s  %s\n' "$(pad "$1" 46)" "$(pad "$2" 54)" "${3:-}"; }

one_load() { "$bench/load" "$1" "$2" "$bench/review.json" "$3" "$connections" "$4" ${5:+"$5"}; }

measure_mallocs() {
  local shim=$PWD/$bench/mallocs.so path ours_calls echo_calls
  start_mlgate "LD_PRELOAD=$shim" "MALLOCS=$PWD/$bench/ours.calls"
  start_echo "LD_PRELOAD=$shim" "MALLOCS=$PWD/$bench/echo.calls"
  read -r _ echo_calls _ <<<"$(one_load "$echo_port" /mutate "$echo" 10000 "$bench/echo.calls")"
  for path in mutate validate; do
    read -r _ ours_calls _ <<<"$(one_load "$our_port" "/$path" "$ours" 10000 "$bench/ours.calls")"
    row "$path, mallocs a review" "$ours_calls; echo $echo_calls" "no more than echo"
  done
  stop
}

measure_start() {
  local round least median
  choose_ports
  : >"$bench/start.ms"
  for ((round = 0; round < 7; round++)); do "$bench/ready" "$plain" "${serve[@]}" >>"$bench/start.ms" 2>"$bench/serve.log"; done
  read -r least median <<<"$(spread <"$bench/start.ms")"
  row "exec to /readyz 200" "$least ms, median $median; CPU $(cut -d' ' -f2 "$bench/start.ms" | spread | cut -d' ' -f1) ms" "≤ 50 ms"
}

measure_build_only() { :; }
measure_micro() {
  LD_PRELOAD=$PWD/$bench/mallocs.so "$bench/micro" "$bench/review.json" "$policies" >"$bench/micro.txt"
  while IFS=$'\t' read -r name text budget; do row "$name" "$text" "$budget"; done <"$bench/micro.txt"
}
measure_compare() { PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 test/bench/compare.py "$mlgate" "$bench" build/bench.json; }

build
for part; do "measure_$part"; done
