#!/bin/sh
# enter.sh ROOT STATE USER:GROUP COMMAND...   what a container runtime does for a restricted Pod: run it as
#   unshare --mount --net --pid --fork test/container/enter.sh ...
# Read-only root, but for what STATE/mounts lists (FROM TO ro|rw, one a line); a loopback of its own; the user, no capabilities,
# no new privileges; process 1. Its number out here goes to STATE/pid.
set -eu
root=$1 state=$2 user=$3
shift 3
# /proc is still the one from outside.
read -r pid _ </proc/self/stat
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
while read -r from to mode; do
  mount --bind "$from" "$root$to"
  mount -o "remount,bind,nosuid,nodev,noexec,$mode" "$root$to"
done <"$state/mounts"
mount -o remount,bind,ro "$root"
ip link set lo up
echo "$pid" >"$state/pid"
exec env -i PATH=/usr/bin setpriv --no-new-privs /usr/sbin/chroot --userspec="$user" --groups= "$root" "$@"
