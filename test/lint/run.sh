#!/usr/bin/env bash
# The house rules as programs. Each prints what it finds as FILE:LINE: text; the last line says how many were broken.
# WARN and CPPFLAGS are the compiler flags of the build (`make lint` passes them).
set -uo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 2
WARN=${WARN:--Wall -Wextra -Werror}
CPPFLAGS=${CPPFLAGS:--I webhook}
read -r -a flags <<<"-std=gnu17 -O2 $CPPFLAGS $WARN"
shopt -s nullglob
headers=(webhook/*/*.h)
sources=(webhook/*/*.c)
tests=(test/*.c test/unit/*.c test/torture/*.c test/fuzz/*.c test/bench/*.c test/abuse/*.c)
scripts=(scripts/*.sh test/run test/*/*.sh .ci/run)
broken=0

rule() { # NAME COMMAND...: broken if it prints anything or fails
  local name=$1 out status=0
  shift
  out=$("$@" 2>&1) || status=$?
  if [ -n "$out" ] || [ "$status" -ne 0 ]; then
    printf '%s\n' "${out:-exit status $status}" | sed 's/^/  /'
    echo "lint $name: broken"
    broken=$((broken + 1))
  else
    echo "lint $name: ok"
  fi
}

compile() { # COMPILER: every source, headers alone, both at a time
  local compiler=$1
  printf '%s\0' "${sources[@]}" "${tests[@]}" | xargs -0 -r -P 2 -n 6 "$compiler" "${flags[@]}" -I test -fsyntax-only
}
headers_alone() { # a header that needs another one first would fail here
  printf '%s\0' "${headers[@]}" | xargs -0 -r -P 2 -I{} gcc "${flags[@]}" -fsyntax-only -x c -include {} /dev/null
}
layers() { LC_ALL=C awk -f test/lint/layers.awk "${headers[@]}" "${sources[@]}"; }
sizes() { LC_ALL=C awk -f test/lint/size.awk "${headers[@]}" "${sources[@]}" "${tests[@]}"; }
style() { LC_ALL=C awk -f test/lint/style.awk "${headers[@]}" "${sources[@]}" "${tests[@]}"; }
names_unique() { # test programs and archives go by the base name
  printf '%s\n' test/unit/*.c | sed 's|.*/||' | sort | uniq -d
}
prefixes() { # what a file exports starts with mg_; only where there is something built
  [ -e build/release/libmlgate.a ] || return 0
  nm -A -g --defined-only build/release/libmlgate.a 2>/dev/null | awk '$2 ~ /^[TDRBC]$/ && $3 !~ /^mg_/ {
    sub(/^.*:/, "", $1); print $3 " is exported without mg_" }'
}
analysed() { # TOOL
  test/lint/analyse.sh "$1" "${sources[@]}"
}
yaml() { # those under version control, or all, where there is none
  { git ls-files -z '*.yaml' '*.yml' 2>/dev/null || find . -path ./build -prune -o -name '*.y*ml' -print0; } | xargs -0 yamllint -f parsable
}
python() { # syntax, and that is all that can be had without more packages
  /usr/bin/python3 - test/*.py test/*/*.py <<'PY'
import ast, sys
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        text = file.read()
    try:
        ast.parse(text, name)
    except SyntaxError as wrong:
        print(f"{name}:{wrong.lineno}: {wrong.msg}")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > 130:
            print(f"{name}:{number}: more than 130 columns")
PY
}
secrets() { # keys and certificates never get into the tree
  { git ls-files 2>/dev/null || true; } | grep -E '\.(key|crt|pem|p12)$' | sed 's/$/: must not be under version control/'
  true
}

rule layers layers
rule sizes sizes
rule style style
rule names names_unique
rule prefixes prefixes
rule headers headers_alone
for compiler in gcc clang; do
  if command -v "$compiler" >/dev/null; then
    rule "$compiler" compile "$compiler"
  else
    echo "lint $compiler: not installed"
    broken=$((broken + 1))
  fi
done
for tool in cppcheck gcc-analyzer clang-tidy; do
  if command -v "${tool/gcc-analyzer/gcc}" >/dev/null; then
    rule "$tool" analysed "$tool"
  else
    echo "lint $tool: not installed, left out"
  fi
done
if command -v yamllint >/dev/null; then
  rule yamllint yaml
else
  echo "lint yamllint: not installed, left out"
fi
rule python python
rule secrets secrets
if command -v shellcheck >/dev/null; then
  rule shellcheck shellcheck -x "${scripts[@]}"
else
  echo "lint shellcheck: not installed, left out"
fi
if [ "$broken" -gt 0 ]; then
  echo "lint: $broken broken"
  exit 1
fi
echo "lint: all ok"
