#!/bin/sh
# Makes the current directory the root of a host with an engine. Runs in namespaces of its own for
# mounts, processes and the network; with the first process, which this is, all of it ends.
# Arguments: a directory for what is written, the root of a container, the parent of all cgroups, and
# the engine's options.
set -e
state=$1 base=$2 parent=$3
shift 3
mount --bind . .
cd "$PWD"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs etc/docker
mount --bind "$base" srv/base
mount --bind "$state/run" run
mount --bind "$state/docker" var/lib/docker
pivot_root . mnt
# Not the engine itself: somebody has to wait for the orphans of a namespace.
exec chroot . /bin/sh -c 'umount -l /mnt; NOTIFY_SOCKET=/run/notify/host dockerd --cgroup-parent "$@" & wait' \
  sh "$parent" "$@"
