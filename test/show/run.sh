#!/usr/bin/env bash
# test/show/run.sh BINARY   starts a server with the baseline policies, shows a denial and two patches, and serves until Ctrl-C.
#   ONCE=1             stop after the show
#   PORT, PLAIN_PORT   where to listen (8443 and 8080; the next free port where one is taken)
set -euo pipefail
cd "$(dirname "$0")/../.."
mlgate=$1
run=build/run
policies=policies/baseline
server=
mkdir -p "$run"

stop() {
  [ -n "$server" ] || return 0
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || { echo "the server ended with status $?" >&2; tail -n 20 "$run/serve.log" >&2; server=; return 1; }
  server=
}
trap 'stop || true' EXIT
trap 'echo; exit 0' INT TERM

fail() {
  echo "make run: $*" >&2
  [ ! -s "$run/serve.log" ] || tail -n 20 "$run/serve.log" >&2
  exit 1
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() { # FROM NOT
  local port=$1
  while [ "$port" = "${2:-}" ] || taken "$port"; do port=$((port + 1)); done
  echo "$port"
}

start() {
  "$mlgate" certs --out "$run/certs" --service mlgate --namespace mlgate-system --dns localhost --ip 127.0.0.1 >"$run/certs.log" ||
    fail "no certificates: $(cat "$run/certs.log")"
  port=$(free_port "${PORT:-8443}")
  plain=$(free_port "${PLAIN_PORT:-8080}" "$port")
  # A session of its own: Ctrl-C is for this script, which then stops the server.
  setsid "$mlgate" serve --policies "$policies" --tls-cert "$run/certs/tls.crt" --tls-key "$run/certs/tls.key" \
    --listen "127.0.0.1:$port" --listen-plain "127.0.0.1:$plain" --grace 0 >"$run/serve.log" 2>&1 &
  server=$!
  local tries=0
  until curl -fs -o "$run/ready" "http://127.0.0.1:$plain/readyz" 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { server=; fail "the server does not start"; }
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || fail "the server is not ready after 20 s"
    sleep 0.1
  done
}

post() { # ROUTE REVIEW ANSWER
  curl -sS --fail-with-body --cacert "$run/certs/ca.crt" -H 'Content-Type: application/json' --data-binary "@$2" \
    "https://127.0.0.1:$port$1?timeout=5s" -o "$3" || fail "POST $1: $(cat "$3" 2>/dev/null)"
}

# A diff of YAML is easier to read than one of JSON.
yaml() { /usr/bin/python3 -c 'import json, sys, yaml; yaml.safe_dump(json.load(sys.stdin), sys.stdout, sort_keys=False)'; }

title() { printf '\n== %s\n' "$*"; }

show_denial() { # REVIEW
  title "$(jq -r '.request | "\(.userInfo.username) creates \(.kind.kind) \(.namespace)/\(.name): POST /validate"' "$1")"
  post /validate "$1" "$run/answer.json"
  jq -e '.response.allowed == false and (.response.status.message | length > 0)' "$run/answer.json" >"$run/jq.log" ||
    fail "not denied: $(cat "$run/answer.json")"
  jq -r '.response | "denied (\(.status.code) \(.status.reason)):", .status.message, (.warnings // [] | .[] | "Warning: " + .)' "$run/answer.json"
}

show_patch() { # REVIEW
  title "$(jq -r '.request | "\(.userInfo.username) creates \(.kind.kind) \(.namespace)/\(.name): POST /mutate"' "$1")"
  post /mutate "$1" "$run/answer.json"
  jq -e '.response.allowed and (.response.patch | length > 0)' "$run/answer.json" >"$run/jq.log" || fail "no patch: $(cat "$run/answer.json")"
  jq -r '.response.patch' "$run/answer.json" | base64 -d >"$run/patch.json"
  jq .request.object "$1" >"$run/before.json"
  /usr/bin/jsonpatch "$run/before.json" "$run/patch.json" | jq . >"$run/after.json" || fail "the patch does not apply: $(cat "$run/patch.json")"
  echo "$(jq length "$run/patch.json") operations; what they make of it:"
  # Status 1 of diff is a difference, which is what is wanted.
  diff -U 2 --label before --label after <(yaml <"$run/before.json") <(yaml <"$run/after.json") && fail "the patch changes nothing"
  jq --slurpfile after "$run/after.json" '.request.object = $after[0]' "$1" >"$run/review.json"
  post /validate "$run/review.json" "$run/answer.json"
  jq -r '.response | if .allowed then "then POST /validate: allowed" else "then POST /validate: denied: " + .status.message end' "$run/answer.json"
}

start
echo "$("$mlgate" version | head -n 1) serves $policies on https://127.0.0.1:$port, health and metrics on http://127.0.0.1:$plain"
show_denial test/show/gpu-pod-without-limits.json
show_patch test/show/training-pytorchjob.json
show_patch test/show/training-pod.json

title "Your own"
cat <<END
A review:    curl --cacert $run/certs/ca.crt -H 'Content-Type: application/json' --data-binary @review.json https://127.0.0.1:$port/validate
A manifest:  $mlgate check --policies $policies manifest.yaml
Metrics:     curl http://127.0.0.1:$plain/metrics
END

if [ -n "${ONCE:-}" ]; then
  stop
  exit 0
fi
printf '\nServing until Ctrl-C; the log is %s/serve.log\n' "$run"
wait "$server" || fail "the server ended with status $?"
