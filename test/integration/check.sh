#!/usr/bin/env bash
# `mlgate check` is what people and pipelines see: exit statuses, shapes, and every way to hand it an object. Speaks TAP.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
MLGATE=${MLGATE:-$top/build/mlgate}
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 2
for name in $(compgen -e | grep '^MLGATE_'); do unset "$name"; done
passed=0 failed=0

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
run() { # ARGUMENT...: status, out, err
  "$MLGATE" "$@" >out.txt 2>err.txt
  status=$?
  out=$(cat out.txt) err=$(cat err.txt)
}
exits() { # NAME STATUS ARGUMENT...
  local name=$1 wanted=$2
  shift 2
  run "$@" </dev/null
  result "$name" "$([ "$status" = "$wanted" ] || echo "exit $status, not $wanted: $out $err")"
}
text() { # NAME WHAT: a line of the output of the last run
  result "$1" "$(grep -qxF -- "$2" out.txt || printf 'no line %s\n%s\n%s' "$2" "$out" "$err")"
}
said() { # NAME WHAT: anywhere on stderr
  result "$1" "$(grep -qF -- "$2" err.txt || printf 'not on stderr: %s\n%s' "$2" "$err")"
}
json() { # NAME FILTER: is true for the report of the last run
  result "$1" "$(jq -e "$2" out.txt >/dev/null 2>&1 || printf 'not true: %s\n%s\n%s' "$2" "$out" "$err")"
}
pod() { # NAME [NAMESPACE] [GPUS]: a Pod that is denied; all on one line
  printf '{apiVersion: v1, kind: Pod, metadata: {name: "%s"%s}, spec: {containers: [{name: c, image: i, resources: {requests: {nvidia.com/gpu: %s}}}]}}\n' \
    "$1" "${2:+, namespace: $2}" "${3:-1}"
}

mkdir pol
cat >pol/gpu.yaml <<'YAML'
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu}
spec:
  rules:
  - gpuLimits: {}
  - tolerations: {forEachAccelerator: true}
YAML
sed 's/name: gpu/name: soft/; s/^spec:/spec:\n  action: warn/' pol/gpu.yaml >soft.yaml
sed 's/name: gpu/name: silent/; s/^spec:/spec:\n  action: audit/' pol/gpu.yaml >silent.yaml
pod bad ml >bad.yaml
sed 's/requests/limits/' bad.yaml >good.yaml
echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}' >other.yaml
printf 'a: 1\n---\n- 1\n---\njust text\n' >values.yaml
printf -- '---\n---\n# nothing\n---\nnull\n' >nothing.yaml
check=(check --policies pol)

# --- exit statuses ---
exits 'nothing denied: 0' 0 "${check[@]}" good.yaml
exits 'denied: 1' 1 "${check[@]}" good.yaml bad.yaml
exits 'unknown kinds only: 0' 0 "${check[@]}" other.yaml values.yaml
text 'and the summary says so' '2 files, 0 objects: 0 denied, 0 warned, 0 audited, 0 mutated, 0 exempted; 4 skipped, 0 errors'
exits 'empty documents only: 3' 3 "${check[@]}" nothing.yaml
said 'and says so' 'nothing found to check'
exits 'empty documents with --allow-empty: 0' 0 "${check[@]}" --allow-empty nothing.yaml
echo '{apiVersion: v1, kind: List, items: []}' >none.yaml
exits 'a List of nothing is a document: 0' 0 "${check[@]}" none.yaml
exits 'a report in the place of what is judged: 2' 2 "${check[@]}" --format json=good.yaml good.yaml
exits 'which is as it was: 0' 0 "${check[@]}" good.yaml
exits 'no argument: 3' 3 "${check[@]}"
exits 'no argument with --allow-empty: 0' 0 "${check[@]}" --allow-empty
mkdir empty
exits 'a directory without files: 3' 3 "${check[@]}" empty
exits 'a missing path, even with --allow-empty: 3' 3 "${check[@]}" --allow-empty good.yaml gone.yaml
text 'and it is named' 'gone.yaml: error: No such file or directory'
exits '3 beats 1' 3 "${check[@]}" bad.yaml gone.yaml
exits '1 beats --warn-exit-code' 1 "${check[@]}" --policies soft.yaml --warn-exit-code 9 bad.yaml
exits '--warn-exit-code' 9 check --policies soft.yaml --warn-exit-code 9 bad.yaml
exits '3 beats --warn-exit-code' 3 check --policies soft.yaml --warn-exit-code 9 bad.yaml gone.yaml
exits 'a warning without it: 0' 0 check --policies soft.yaml bad.yaml
exits '--warn-exit-code is not for audit' 0 check --policies silent.yaml --warn-exit-code 9 bad.yaml
text 'which is counted' '1 file, 1 object: 0 denied, 0 warned, 1 audited, 0 mutated, 0 exempted; 0 skipped, 0 errors'
exits 'an unknown option: 2' 2 "${check[@]}" --namespce x bad.yaml
said 'with the nearest one' 'unknown option "--namespce"; did you mean "--namespace"?'
exits 'missing policies: 2' 2 check --policies gone bad.yaml
exits 'policies without a policy' 0 "${check[0]}" --policies empty bad.yaml
said 'are warned of' 'warning: no policy was found'
exits 'missing context: 2' 2 "${check[@]}" --context gone bad.yaml
exits 'a report that cannot be opened: 2' 2 "${check[@]}" --format json=gone/x good.yaml
exits 'two reports on stdout: 2' 2 "${check[@]}" --format json --format text good.yaml
exits 'a full disk: 2' 2 "${check[@]}" --format json=/dev/full good.yaml
exits 'an unknown command: 2' 2 chekc
said 'with the nearest one, too' 'did you mean "check"?'

# --- policies ---
printf 'apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: x}\nspec:\n  rules:\n  - sharedMemory:\n      sizeLimt: 1Gi\n' >wrong.yaml
exits 'a wrong key in a policy: 2' 2 check --policies wrong.yaml good.yaml
said 'with its place' 'wrong.yaml:7:7: unknown key "sizeLimt" in sharedMemory; did you mean "sizeLimit"?'
said 'the line' '    7 |       sizeLimt: 1Gi'
said 'and a caret' '      |       ^~~~~~~~'
result 'and nothing on stdout' "$out"
mkdir mounted mounted/..2026 mounted/.hidden
cp pol/gpu.yaml mounted/..2026/gpu.yaml
ln -s ..2026 mounted/..data
ln -s ..data/gpu.yaml mounted/gpu.yaml
cp wrong.yaml mounted/.hidden/wrong.yaml
cp wrong.yaml mounted/.wrong.yaml
exits 'a mounted volume and dot files' 1 check --policies mounted bad.yaml
(cd mounted && ln -s .. up && ln -s . same)
exits 'links in circles end' 1 check --policies pol bad.yaml mounted/up/bad.yaml mounted/same
mkdir usual && cp -r pol usual/policies && cp bad.yaml usual/
(cd usual && "$MLGATE" check --format json bad.yaml >../out.txt)
json './policies is the default' '[.results[].violations[].policy] == ["gpu"]'
mkdir bare && cp bad.yaml bare/
(cd bare && "$MLGATE" check --format json bad.yaml >../out.txt)
json 'else the built-in pack' '.results[0].violations | map(select(.policy == "gpu-limits" and .action == "deny")) | length == 1'

# --- what comes in ---
run "${check[@]}" - <bad.yaml
text 'standard input' '-:1:109: deny gpu/gpuLimits: Pod ml/bad'
run "${check[@]}" /dev/fd/3 3< <(cat bad.yaml)
result 'a pipe by name' "$([ $status = 1 ] || echo "exit $status: $out $err")"
{ echo '{apiVersion: v1, kind: List, items: ['; pod a; echo ', {apiVersion: v1, kind: List, items: ['; pod b; echo ']}, '; pod c; echo ']}'; } >list.yaml
exits 'Lists in Lists' 1 "${check[@]}" --format json list.yaml
json 'every item is an object' '[.results[].name] == ["a", "b", "c"] and .summary.objects == 3 and .summary.skipped == 0'
json 'with its own line' '[.results[].line] == [2, 4, 6]'
json 'and pointers from the item' 'all(.results[]; .violations[0].pointer == "/spec/containers/0/resources/limits" and .document == 0)'
json 'in the default namespace' 'all(.results[]; .namespace == "default")'
printf 'apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: t}\n  spec: {containers: [{name: c, image: i, resources: {requests: {nvidia.com/gpu: 1}}}]}\n' >typed.yaml
exits 'a typed list' 1 "${check[@]}" --format json typed.yaml
json 'lends its kind' '.results[0] | .kind == "Pod" and .apiVersion == "v1" and .name == "t" and .line == 4'
{ for _ in $(seq 40); do printf '{apiVersion: v1, kind: List, items: ['; done; pod deep; for _ in $(seq 40); do printf ']}'; done; } >deep.yaml
exits 'too many Lists in Lists' 3 "${check[@]}" deep.yaml
{ pod one | sed 's/\([a-zA-Z.\/]*\): /"\1": /g; s/: \([a-zA-Z][a-zA-Z0-9]*\)/: "\1"/g'; echo '{"a": 1}'; } >two.json
exits 'JSON after JSON' 1 "${check[@]}" --format json two.json
json 'is two documents' '.summary.objects == 1 and .summary.skipped == 1'
printf -- '---\n---\n' >docs.yaml && { pod a && echo '---' && cat other.yaml && echo '---' && pod b; } >>docs.yaml
exits 'several documents' 1 "${check[@]}" --format json docs.yaml
json 'have their numbers and lines' '[.results[] | [.document, .line, .violations[0].line]] == [[2, 3, 3], [4, 7, 7]] or
  [.results[] | [.line, .violations[0].line]] == [[3, 3], [7, 7]]'
mkdir -p tree/b tree/a.d && cp bad.yaml tree/b/x.yml && cp bad.yaml tree/a.d/y.json && cp bad.yaml tree/b.yaml && cp bad.yaml tree/a.txt
exits 'a directory' 1 "${check[@]}" --format json tree/
json 'in byte order' '[.results[].file] == ["tree/a.d/y.json", "tree/b.yaml", "tree/b/x.yml"] and .summary.files == 3'
(cd tree && "$MLGATE" check --policies ../pol --format json . >../out.txt)
json 'the current one without ./' '[.results[].file] == ["a.d/y.json", "b.yaml", "b/x.yml"]'
ln -s gone tree/broken.yaml
exits 'a link to nowhere' 3 "${check[@]}" tree
rm tree/broken.yaml
truncate -s 65M large.yaml
exits 'a file that is too large' 3 "${check[@]}" large.yaml bad.yaml
text 'is told' 'large.yaml: error: larger than 64 MiB'
exits 'a directory as policies and input at once' 0 check --policies pol pol

# --- reviews ---
review() { # OPERATION OBJECT OLD EXTRA
  printf '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"%s","namespace":"from-review","name":"p","userInfo":{"username":"eve"},"object":%s,"oldObject":%s%s}}\n' \
    "$1" "$2" "$3" "${4:-}"
}
object='{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"nvidia.com/gpu":1}}}]}}'
review CREATE "$object" null >create.json
exits 'a review' 1 "${check[@]}" --format json create.json
json 'is its object' '.results[0] | .namespace == "from-review" and .kind == "Pod" and .violations[0].pointer == "/spec/containers/0/resources/limits"'
review UPDATE "$object" "$object" >update.json
exits 'a review of an update that brings nothing new' 0 "${check[@]}" update.json
review CREATE "$object" null ',"uid":"v"' >twice.json
exits 'a key twice in a review' 3 "${check[@]}" --format json twice.json
json 'which no last one mends' '.errors[0].message | startswith("key \"uid\" is there twice") and (contains("holds") | not)'
review CREATE '"a string"' null >string.json
exits 'a review of what is no object' 0 "${check[@]}" --format json string.json
json 'says so' '.results[0].warnings == ["the object is not an object; what is under it was not judged"]'
sed 's/"uid":"u",//' create.json >no-uid.json
exits 'a review without uid' 3 "${check[@]}" no-uid.json
echo '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":true}}' >response.json
exits 'an answer is skipped' 0 "${check[@]}" response.json

# --- keys that are there twice ---
printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: first}\nspec: {containers: []}\nmetadata:\n  name: last\n' >double.yaml
exits 'the last of two keys holds' 0 "${check[@]}" double.yaml
text 'with a warning that shows both' \
  'double.yaml:5:1: warning: Pod default/last: key "metadata" is there twice, at 3:1 and at 5:1; the last one holds'
printf 'x: &x {name: merged}\napiVersion: v1\nkind: Pod\nmetadata:\n  name: plain\n  <<: *x\nspec: {containers: []}\n' >merge.yaml
exits 'a merge key overwrites' 0 "${check[@]}" --format json merge.yaml
json 'with a warning, too' '.results[0] | .name == "merged" and (.warnings | length) == 1 and (.warnings[0] | contains("5:3") and contains("6:3"))'
printf 'a: 1\na: 2\n' >double-values.yaml
exits 'twice in what is no object' 0 "${check[@]}" double-values.yaml
said 'is told on stderr' 'double-values.yaml:2:1: warning: key "a" is there twice, at 1:1 and at 2:1'

# --- errors of files ---
{ pod before && printf -- '---\na: [1\nb: 2\n---\n' && pod after; } >broken.yaml
exits 'a file that is broken in the middle' 3 "${check[@]}" --format json broken.yaml bad.yaml
json 'is an error as a whole, and the others are checked' '[.results[].name] == ["bad"]'
json 'the error has a place' '.errors | length == 1 and .[0].file == "broken.yaml" and (.[0].line >= 3 and .[0].line <= 5) and .[0].column >= 1'
printf '{"apiVersion": "v1",\n "kind": "a" "b"}\n' >broken.json
exits 'broken JSON' 3 "${check[@]}" --format json broken.json
json 'has a place, too' '.errors[0] | .line == 2 and .column >= 10'
printf 'a: "\xff"\n' >bytes.yaml
exits 'bytes that are no text' 3 "${check[@]}" bytes.yaml

# --- what is asked with ---
sed 's/, namespace: ml//' bad.yaml >nowhere.yaml
exits '--namespace' 1 "${check[@]}" --format json --namespace team nowhere.yaml bad.yaml
json 'is for those without one' '[.results[].namespace] == ["team", "ml"]'
sed 's/^spec:/spec:\n  match: {users: [eve], groups: ["ml-*"], operations: [UPDATE]}/' pol/gpu.yaml >matched.yaml
exits 'a user, groups and an operation that match' 1 check --policies matched.yaml --user eve --group a --group ml-x --operation UPDATE bad.yaml
exits 'another user' 0 check --policies matched.yaml --user adam --group ml-x --operation UPDATE bad.yaml
exits 'another group' 0 check --policies matched.yaml --user eve --group a --operation UPDATE bad.yaml
exits 'another operation' 0 check --policies matched.yaml --user eve --group ml-x bad.yaml
sed 's/^spec:/spec:\n  match: {operations: [DELETE]}/' pol/gpu.yaml >delete.yaml
exits 'a deletion' 1 check --policies delete.yaml --operation DELETE bad.yaml
MLGATE_POLICIES=gone,pol exits 'policies from the environment' 2 check bad.yaml
MLGATE_POLICIES=gone exits 'the command line wins' 1 check --policies pol bad.yaml
MLGATE_NAMESPACE='env' exits 'a namespace from the environment' 1 "${check[@]}" nowhere.yaml
text 'is used' 'nowhere.yaml:1:94: deny gpu/gpuLimits: Pod env/bad'

# --- exceptions ---
cat >except.yaml <<'YAML'
apiVersion: mlgate.dev/v1
kind: Exception
metadata: {name: for-bad}
spec: {policies: [gpu], match: {names: [bad]}, owner: me, reason: because, expires: 2027-01-31}
YAML
ex=("${check[@]}" --policies except.yaml --format json)
exits 'an exception exempts' 0 "${ex[@]}" --now 2026-06-01 bad.yaml
json 'and is told' '.exceptions == [{"name": "for-bad", "expires": "2027-01-31", "state": "active"}] and .summary.exempted == 1 and
  .results[0].violations[0].action == "exempted" and .results[0].violations[0].exception == "for-bad" and .results[0].patch == []'
exits 'one that nothing needs' 0 "${ex[@]}" --now 2026-06-01 other.yaml
json 'is not' '.exceptions == []'
exits 'one that ends in 14 days' 0 "${ex[@]}" --now 2027-01-18 other.yaml
json 'is warned of' '.exceptions[0].state == "expiring"'
exits 'and not a second sooner' 0 "${ex[@]}" --now 2027-01-17T23:59:59Z other.yaml
json 'than that' '.exceptions == []'
exits 'it holds to the last second' 0 "${ex[@]}" --now 2027-01-31T23:59:59Z bad.yaml
exits 'and no longer' 1 "${ex[@]}" --now 2027-02-01 bad.yaml
json 'and is told as expired' '.exceptions[0].state == "expired"'
sed 's/for-bad/no-edit/; s/policies: \[gpu\],/policies: [gpu], rules: [tolerations],/' except.yaml >edit.yaml
exits 'one that holds back an edit' 0 "${check[@]}" --policies edit.yaml --format json --now 2026-06-01 good.yaml
json 'is told, too' '[.exceptions[].name] == ["no-edit"] and .results[0].violations == [] and .results[0].patch == []'

cat >namesakes.yaml <<'YAML'
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu, namespace: other}
spec: {rules: [{visibleDevices: {deny: [all]}}]}
---
YAML
sed 's/policies: \[gpu\],/policies: [gpu], rules: [gpuLimits],/' except.yaml >>namesakes.yaml
exits 'of two policies of one name' 0 "${check[@]}" --policies namesakes.yaml --now 2026-06-01 bad.yaml
result 'an exception knows the rules of both' "$(grep 'has a rule' err.txt)"

# --- policies in each other's way ---
rule() { # NAME ACTION RULE: a policy
  printf -- '---\napiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: %s}\nspec:\n  action: %s\n  rules:\n  - %s\n' "$@"
}
two() { # ACTION RULE ACTION RULE: of two policies, as they come; what is told of them is in err.txt
  { rule a "$1" "$2" && rule b "$3" "$4"; } >two.yaml
  exits "two policies: $1 $2, $3 $4" 0 check --policies two.yaml good.yaml
}
one='nodeSelector: {add: {k: v1}}' other='nodeSelector: {add: {k: v2}}'
two enforce "$one" enforce "$other"
said 'of two values for a label it is told which one holds' 'policy a adds another value for "k" before; where both match, it wins'
two warn "$one" enforce "$other"
result 'where one of the two only warns, nothing is in the way' "$(grep 'another value' err.txt)"
one='priority: {className: k1, override: true}' other='priority: {className: k2, override: true}'
two enforce "$one" enforce "$other"
said 'of two classes it is told which one acts' 'policy a overrides with "k1" before; where both match, only this rule acts'
two enforce "$one" warn "$other"
result 'where the second only warns, the first acts' "$(grep 'only this rule' err.txt)"

# --- reports ---
exits 'two reports' 1 "${check[@]}" --format text --format json=report.json bad.yaml good.yaml
result 'the one in a file' "$(jq -e '.mlgate == 1 and .summary.objects == 2' report.json 2>&1 >/dev/null)"
text 'and the one on stdout' '2 files, 2 objects: 1 denied, 0 warned, 0 audited, 2 mutated, 0 exempted; 0 skipped, 0 errors'
exits 'the shape' 1 "${check[@]}" --format json bad.yaml
json 'of the report' 'keys == ["errors", "exceptions", "mlgate", "results", "summary"]'
json 'of the summary' '.summary == {files: 1, objects: 1, skipped: 0, errors: 0, denied: 1, warned: 0, audited: 0, mutated: 1, exempted: 0}'
json 'of a result' '.results[0] | keys == ["allowed", "apiVersion", "document", "file", "kind", "line", "name", "namespace", "patch", "violations", "warnings"]'
json 'of a violation' '.results[0].violations[0] | del(.fix) | keys == ["action", "column", "line", "message", "path", "pointer", "policy", "rule"]'
json 'of a patch' '.results[0].patch | type == "array" and (.[0] | .op == "add" and .path == "/spec/tolerations")'
printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: "x\\e[31m\\u202e\\n"}\nspec: {containers: [{name: c, image: i, resources: {requests: {nvidia.com/gpu: 1}}}]}\n' >hostile.yaml
exits 'a hostile name' 1 "${check[@]}" hostile.yaml
result 'reaches no terminal' "$(grep -qP '\x1b|\xe2\x80\xae' out.txt && cat -v out.txt)"
for command in '' serve check certs version; do
  # shellcheck disable=SC2086
  "$MLGATE" $command --help >out.txt 2>&1
  result "help of '$command' fits a screen" "$(wc -l <out.txt | awk '$1 > 25 || $1 < 3 { print $1 " lines" }' && awk 'length > 80' out.txt)"
done

echo "1..$((passed + failed))"
echo "# $passed passed, $failed failed"
[ "$failed" -eq 0 ]
