#!/usr/bin/env bash
# install.sh BINARY MAN_DIR PREFIX   puts binary, manual pages, completions of three shells and the policies below PREFIX.
# install.sh --remove PREFIX         removes them, and the directories that are mlgate's alone.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$1" = --remove ]; then
  share=$2/share
  rm -f "$2/bin/mlgate" "$share"/man/man1/mlgate.1 "$share"/man/man1/mlgate-*.1 "$share/bash-completion/completions/mlgate" \
    "$share/zsh/site-functions/_mlgate" "$share/fish/vendor_completions.d/mlgate.fish"
  rm -rf "$share/mlgate"
  exit 0
fi

binary=$1 man=$2 share=$3/share
install -D -m 755 "$binary" "$3/bin/mlgate"
for page in "$man"/*.1; do install -D -m 644 "$page" "$share/man/man1/${page##*/}"; done
while read -r shell file; do
  "$binary" completion "$shell" | install -D -m 644 /dev/stdin "$share/$file"
done <<'END'
bash bash-completion/completions/mlgate
zsh zsh/site-functions/_mlgate
fish fish/vendor_completions.d/mlgate.fish
END
find policies -type f | while read -r file; do install -D -m 644 "$file" "$share/mlgate/$file"; done
