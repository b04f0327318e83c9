#!/bin/sh
# probe.sh COMPILER GROUP...   prints the groups of flags that the compiler takes. "A|B": B only where A is refused.
# The answer is kept in build/, since every run of make asks again.
set -eu
cc=$1
shift
command -v "${cc%% *}" >/dev/null || exit 0
mkdir -p build
kept=build/.probe-$(printf '%s\n' "$cc" "$($cc --version | head -n 1)" "$@" | cksum | cut -d' ' -f1)
if [ ! -s "$kept" ]; then
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  echo 'int main(void) { return 0; }' >"$tmp/probe.c"
  takes() { # the words of one group are several arguments
    # shellcheck disable=SC2086
    $cc -O2 -Werror $1 "$tmp/probe.c" -o "$tmp/probe" 2>/dev/null
  }
  for group in "$@"; do
    case $group in
      *'|'*) if takes "${group%%|*}"; then echo "${group%%|*}"; elif takes "${group#*|}"; then echo "${group#*|}"; fi ;;
      *) if takes "$group"; then echo "$group"; fi ;;
    esac
  done >"$kept.$$"
  mv "$kept.$$" "$kept"
fi
cat "$kept"
