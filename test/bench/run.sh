#!/usr/bin/env bash
# test/bench/run.sh BINARY   measures the built server and prints a table; asserts nothing. CPU is what the server's process was
# charged for. A busy machine makes all of it dearer for a while, so the two servers take many short turns, and the least is the
# figure to trust.
#   LIB=FILE                        the library that goes with the binary (release/libmlgate.a beside it)
#   ROUNDS=30                       turns of each server
#   REQUESTS=4000, CONNECTIONS=16   of one turn
set -euo pipefail
cd "$(dirname "$0")/../.."
mlgate=$1
lib=${LIB:-$(dirname "$mlgate")/release/libmlgate.a}
rounds=${ROUNDS:-30} requests=${REQUESTS:-4000} connections=${CONNECTIONS:-16}
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
  "${CC:-gcc}" "${flags[@]}" -o "$bench/load" test/bench/load.c -lssl -lcrypto
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
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
resident() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
# printf pads by bytes, and µ, ≤ and × have more than one.
pad() { local n=$((${#1} < $2 ? $2 - ${#1} : 0)); printf '%s%*s' "$1" "$n" ''; }
row() { printf '  %s  %s  %s\n' "$(pad "$1" 46)" "$(pad "$2" 54)" "${3:-}"; }

one_load() { "$bench/load" "$1" "$2" "$bench/review.json" "$3" "$connections" "$4" ${5:+"$5"}; }

# Each of ours goes with the echo just before it, and the median of their ratios is told beside the ratio of the least.
measure_server() {
  local round path started least median echo_least ratios
  start_mlgate A=
  start_echo A=
  started=$(resident "$ours")
  rm -f "$bench"/*.us
  for ((round = 0; round < rounds; round++)); do
    for path in mutate validate; do
      one_load "$echo_port" "/$path" "$echo" "$requests" >"$bench/echo.one"
      one_load "$our_port" "/$path" "$ours" "$requests" >"$bench/ours.one"
      paste -d' ' "$bench/ours.one" "$bench/echo.one" >>"$bench/$path.us"
    done
  done
  read -r echo_least median <<<"$(cut -d' ' -f3 "$bench"/*.us | spread)"
  row "echo, CPU a request" "$echo_least µs, median $median"
  for path in mutate validate; do
    read -r least median <<<"$(spread <"$bench/$path.us")"
    read -r _ ratios <<<"$(awk '{ print $1 / $3 }' "$bench/$path.us" | spread)"
    row "$path, CPU a review" \
      "$least µs, median $median; $(quotient "$least" "$echo_least") × echo, median $ratios" "≤ 30 µs, ≤ 2 × echo"
  done
  row "resident memory" "$started MiB started, $(resident "$ours") MiB after load" "≤ 12, ≤ 20 MiB"
  stop
}

measure_mallocs() {
  local shim=$PWD/$bench/mallocs.so path ours_calls echo_calls
  start_mlgate "LD_PRELOAD=$shim" "MALLOCS=$PWD/$bench/ours.calls"
  start_echo "LD_PRELOAD=$shim" "MALLOCS=$PWD/$bench/echo.calls"
  read -r _ echo_calls <<<"$(one_load "$echo_port" /mutate "$echo" 10000 "$bench/echo.calls")"
  for path in mutate validate; do
    read -r _ ours_calls <<<"$(one_load "$our_port" "/$path" "$ours" 10000 "$bench/ours.calls")"
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

build
cat <<END
A review of $(stat -c %s "$bench/review.json") bytes over TLS 1.3 keep-alive, $connections connections, $policies, $rounds rounds of $requests;
$(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg). The least first; budgets on the right.
END
measure_server
measure_mallocs
measure_start
LD_PRELOAD=$PWD/$bench/mallocs.so "$bench/micro" "$bench/review.json" "$policies" >"$bench/micro.txt"
while IFS=$'\t' read -r name text budget; do row "$name" "$text" "$budget"; done <"$bench/micro.txt"
