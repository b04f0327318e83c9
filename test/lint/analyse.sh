#!/usr/bin/env bash
# analyse.sh TOOL FILE...   what clang-tidy, cppcheck or gcc-analyzer finds in the files; silence and status 0: nothing.
# A file that was clean is looked at again when it, a header of ours that it includes, the tool or how it is called changes;
# build/lint/ remembers. CPPFLAGS and WARN as in run.sh.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
read -r -a flags <<<"-std=gnu17 ${CPPFLAGS:--I webhook}"
read -r -a warn <<<"${WARN:--Wall -Wextra -Werror}"
cache=build/lint copy=build/lint/copy

look() { # TOOL FILE
  [[ "$2" =~ base/(err|str)[.]c$ ]] || flags+=(-D_GNU_SOURCE= -include test/lint/contract.h)
  case $1 in
  clang-tidy) clang-tidy --quiet --warnings-as-errors='*' "$2" -- "${flags[@]}" -Xclang -analyzer-config -Xclang max-nodes=10000 ;;
  gcc-analyzer)
    gcc "${flags[@]}" "${warn[@]}" -O1 -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-null-argument -c -o /dev/null "$2" ;;
  cppcheck)
    (cd "$copy" && cppcheck --quiet --error-exitcode=1 --template=gcc --std=c11 --language=c --inline-suppr \
      --enable=warning,performance,portability --library=posix --suppress=memleak --suppress=resourceLeak \
      --suppress=readdirCalled --suppress=toomanyconfigs -D__linux__ -I webhook "$2") ;;
  esac
}

# clang's analyzer stops a function after so many states: with its own limit the whole takes eight times as long.
# Of cppcheck and gcc left out: leaks, since they do not know what the cleanup attribute frees (make asan and make torture look for those),
# null arguments, as .clang-tidy says, and cppcheck's advice to use readdir_r, which glibc advises against.
# Debian 12's cppcheck gives a file up at a compound literal behind `?`, unless that has parentheses: it gets a copy that has.
make_copy() {
  rm -rf "$copy"
  mkdir -p "$copy"
  cp -r webhook "$copy"
  sed -i -E 's/\? (\((struct )?[a-z_]+\)\{[^{}]*(\{[^{}]*\}[^{}]*)*\})/? (\1)/g' "$copy"/webhook/*/*.[ch]
}

if [ "$1" = --one ]; then # TOOL KEY FILE, by xargs
  if out=$(look "$2" "$4" 2>&1); then
    : >"$cache/$2/$3"
  else
    grep -vE '^[0-9]+ warnings?( treated as errors?| generated\.)?$' <<<"$out"
    exit 1
  fi
  exit
fi

tool=$1
shift
mkdir -p "$cache/$tool"
[ "$tool" != cppcheck ] || make_copy
program=${tool/gcc-analyzer/gcc}
salt=$("$program" --version; cat "$0" .clang-tidy test/lint/contract.h; echo "${flags[@]}" "${warn[@]}")
gcc "${flags[@]}" -MM "$@" | sed -e ':more' -e '/\\$/{N;s/\\\n//;b more' -e '}' | while read -r _ files; do
  read -r -a read_by <<<"$files"
  key=$({ echo "$salt"; cat "${read_by[@]}"; } | sha256sum)
  key=${key%% *}
  if [ -e "$cache/$tool/$key" ]; then touch "$cache/$tool/$key"; else echo "$key" "${read_by[0]}"; fi
done | xargs -r -P "$(nproc)" -n 2 "$0" --one "$tool"
status=$?
find "$cache/$tool" -type f -mtime +30 -delete
exit "$status"
