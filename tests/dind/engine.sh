#!/bin/sh
# The engine in a container that lacks some of what --privileged gives. Arguments: its options.
set -e
mount -o remount,rw /proc/sys
mount -o remount,bind,rw /sys/fs/cgroup
for hierarchy in /sys/fs/cgroup/*; do
  mount -o remount,bind,rw "$hierarchy" 2>/dev/null || true
done
if [ -e /sys/fs/cgroup/cgroup.controllers ] && [ -e /sys/fs/cgroup/cgroup.type ]; then
  # Version 2, and not the root of all, which has no type: no processes beside children that have
  # controllers.
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
  sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
fi
NOTIFY_SOCKET=/run/notify/inner exec dockerd --storage-driver vfs --bip 192.0.2.1/25 "$@"
