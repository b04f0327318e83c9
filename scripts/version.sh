#!/bin/sh
# version.sh   prints the version of this tree: what the file VERSION says, and in a clone of git that is not at the tag of it, the
# commit, and whether anything is changed: 0.1.0-g1a2b3c4d5e-dirty.
set -eu
cd "$(dirname "$0")/.."
version=$(cat VERSION)
export GIT_OPTIONAL_LOCKS=0 GIT_CEILING_DIRECTORIES="${PWD%/*}" # a tree that is unpacked inside of some other clone is not that
if commit=$(git rev-parse --short=10 HEAD 2>/dev/null); then
  dirty=$([ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || echo -dirty)
  if [ -n "$dirty" ] || [ "$(git describe --tags --exact-match --match "v$version" 2>/dev/null || true)" != "v$version" ]; then
    version=$version-g$commit$dirty
  fi
fi
echo "$version"
