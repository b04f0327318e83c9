#!/usr/bin/env bash
# run.sh SECONDS [TARGET]...   runs targets of fuzzing (default: all), so long each, and says how many inputs each has tried.
# JOBS: how many at a time. CORPUS: folders of further manifests, which seeds are made of. KEEP=1: with the seeds of the last
# time. SEED=N: the same inputs, as far as the time goes, in every run of a commit, on every machine; so nothing is learnt or kept.
# What is found lies in build/fuzz/found; what the fuzzer has learnt stays in build/fuzz/corpus for the next time.
# build/fuzz/ledger gets a line "TARGET SECONDS INPUTS" of each run that finds nothing, seconds of CPU; its sums are told at the
# end, so that a target may get its time in pieces.
# make fuzz has built the targets: build/fuzz/fuzz/fuzz_NAME. The last line is "N passed, N failed".
#
# What comes from outside, who reads it, and the target that reaches it:
#   reviews over HTTP             http/, doc/json, admit/                       http, json, review
#   manifests                     doc/yaml, app/judge, app/fixer, doc/splice    yaml, check, fix
#   policies, exceptions, context policy/load, doc/decode, kube/                policy, pattern, selector, quantity
#   Tests                         app/cases_read, cases_run, cases_compare      cases
#   baseline, .mlgate.yaml        app/strict, baseline, config, options         baseline, config
#   records of replay             app/records, recorded                         records
#   what git prints               app/git, changes                              git
#   kubeconfig, token file        cluster/kubeconfig, base/token                kubeconfig, api
#   replies of the API server     cluster/api, listing, feed                    api, listing, feed
#   image names and digests       kube/image                                    image
#   manifests of images, layers   registry/manifest, weights, peek              manifest, layer, words
#   logins, challenges            registry/keyring, challenge                   login, words
#   certificates and keys         certs/pem                                     pem
#   times, traceparent, timeouts  base/when, trace, http/screen                 words
#   files of the image cache      registry/disk                                 disk
# By none: the reply of a token server, and Secrets with logins or certificates. They are read by the JSON reader or jansson
# (targets json, api), and what is in them by keyring and pem; between is a handful of look-ups by key.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
seconds=$1
shift
build=build/fuzz
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
  for source in test/fuzz/fuzz_*.c; do
    source=${source##*/fuzz_}
    targets+=("${source%.c}")
  done
fi
usual=detect_stack_use_after_return=1:allocator_may_return_null=1:quarantine_size_mb=16:malloc_context_size=10
export ASAN_OPTIONS="${ASAN_OPTIONS:-$usual}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# Bytes of an input, where more, or fewer, than usual make sense.
declare -A longest=([json]=1024 [quantity]=96 [image]=320 [pattern]=256 [selector]=1024 [words]=512 [review]=8192
  [layer]=8192 [http]=2048)
# Where an input has so many features that libFuzzer would spend a third of the time weighing them.
declare -A weigh=([cases]=0 [check]=0 [fix]=0 [policy]=0 [review]=0)

# Addresses are among what libFuzzer learns.
fixed=()
if [ -n "${SEED:-}" ] && setarch --addr-no-randomize true 2>/dev/null; then fixed=(setarch --addr-no-randomize); fi

read -r -a corpus <<<"${CORPUS:-}"
if [ -z "${KEEP:-}" ]; then
  rm -rf "$build/seeds"
  test/fuzz/seeds.py build/mlgate "$build/seeds" "${corpus[@]}" || exit 2
fi
mkdir -p "$build/found" "$build/log"
touch "$build/ledger"

one() { # TARGET
  local name=$1 status=0 log="$build/log/$1" dict=()
  local inputs=("$build/corpus/$name" "$build/seeds/$name" "test/fuzz/regress/$name")
  mkdir -p "${inputs[@]:0:2}"
  [ ! -d "${inputs[2]}" ] && unset 'inputs[2]'
  if [ -n "${SEED:-}" ]; then
    find "${inputs[@]:1}" -type f | LC_ALL=C sort | paste -sd , >"$log.inputs"
    inputs=("-seed_inputs=@$log.inputs")
  fi
  [ ! -e "$build/seeds/$name.dict" ] || dict=("-dict=$build/seeds/$name.dict")
  local TIMEFORMAT='cpu: %U %S'
  local options=("-seed=${SEED:-0}" "-max_total_time=$seconds" "-max_len=${longest[$name]:-4096}" -timeout=10 -rss_limit_mb=3000
    "-entropic=${weigh[$name]:-1}" -print_final_stats=1 "-artifact_prefix=$build/found/$name-")
  { time nice -n "${NICE:-10}" "${fixed[@]}" "$build/fuzz/fuzz_$name" "${options[@]}" "${dict[@]}" "${inputs[@]}" </dev/null; } >"$log" 2>&1 || status=$?
  awk -v name="$name" -v status="$status" -v ledger="$build/ledger" '
    /number_of_executed_units/ { runs = $2 }
    /new_units_added/ { units = $2 }
    /^cpu: / { cpu = $2 + $3 }
    { if (match($0, /cov: [0-9]+/)) cover = substr($0, RSTART + 5, RLENGTH - 5) }
    END {
      rate = cpu ? runs / cpu : 0
      word = status ? "FOUND" : "ok   "
      printf "%-10s %s %12d inputs %8d a CPU second %7d edges %6d new\n", name, word, runs, rate, cover, units
      if (!status) printf "%s %.0f %d\n", name, cpu, runs >>ledger
    }' "$log"
  if [ "$status" -ne 0 ]; then
    grep -aE 'test/fuzz/.*:[0-9]+: |ERROR: |runtime error|SUMMARY|Test unit written|Base64: ' "$log" | cut -c 1-1000 |
      sed "s/^/  $name: /" | tee "$build/log/$name.failed"
  fi
}

rm -f "$build"/log/*.failed
running=0
for name in "${targets[@]}"; do
  one "$name" &
  running=$((running + 1))
  if [ "$running" -ge "${JOBS:-1}" ]; then
    wait -n
    running=$((running - 1))
  fi
done
wait
echo "in all runs until now (seconds of CPU):"
awk '{ seconds[$1] += $2; inputs[$1] += $3 }
  END { for (name in seconds) printf "  %-10s %8d s %14d inputs\n", name, seconds[name], inputs[name] }' "$build/ledger" | sort
failed=$(find "$build/log" -name '*.failed' | wc -l)
if [ "$failed" -gt 0 ]; then
  echo "not ok were:"
  cat "$build"/log/*.failed
fi
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
