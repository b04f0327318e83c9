#!/usr/bin/env bash
# monitoring.sh BINARY DIR   writes what is generated below DIR: prometheusrule.yaml out of rules.yaml, and the table of metrics in
# README.md, out of what a server says of itself.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "$1") dir=$2
export LC_ALL=C
work=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM
for name in $(compgen -e | grep '^MLGATE_' || true); do unset "$name"; done

{
  cat <<'END'
# Made of rules.yaml: make monitoring
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mlgate
  namespace: mlgate-system
  labels:
    app.kubernetes.io/component: monitoring
    app.kubernetes.io/instance: mlgate
    app.kubernetes.io/name: mlgate
spec:
END
  sed -n '/^groups:/,$s/^./  &/p' "$dir/rules.yaml"
} >"$work/prometheusrule.yaml"

# The context has its families whether or not there is an API server.
"$binary" certs --out "$work/certs" --service mlgate --namespace mlgate-system --ip 127.0.0.1 >/dev/null
: >"$work/log"
"$binary" serve --policies policies/baseline --tls-cert "$work/certs/tls.crt" --tls-key "$work/certs/tls.key" --grace 0 \
  --live-context --kube-api https://127.0.0.1:1 --listen 127.0.0.1:0 --listen-plain 127.0.0.1:0 2>"$work/log" &
server=$!
port=
for ((i = 0; i < 200 && ${#port} == 0; i++)); do
  kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  port=$(sed -n 's/.*"plain_port":\([0-9]*\).*/\1/p' "$work/log")
  [ -n "$port" ] || sleep 0.05
done
curl -sSf "http://127.0.0.1:$port/metrics" >"$work/metrics"
{
  echo '| metric | type | |'
  echo '|---|---|---|'
  # shellcheck disable=SC2016
  awk '/^# HELP/ { name = $3; sub(/^# HELP [^ ]* /, ""); help = $0 } /^# TYPE/ { print "| `" name "` | " $4 " | " help " |" }' "$work/metrics"
} >"$work/table"
awk -v table="$work/table" '
  /^<!-- metrics/ { print; while ((getline line <table) > 0) print line; inside = 1; next }
  /^<!-- end of metrics/ { inside = 0 }
  !inside' "$dir/README.md" >"$work/README.md"
for file in prometheusrule.yaml README.md; do
  cmp -s "$work/$file" "$dir/$file" || cp "$work/$file" "$dir/$file"
done
