# Makes the world of one selftest and runs it: the first process in new namespaces of network, mounts and
# processes, all of which end with it. Arguments: the tree of Debian's programs, the directory of the
# script in it, the script and what that gets.
set -eu
tree=$1
shift
# With what is mounted in it already. The tree itself stays as it is.
mount --rbind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
# A process that stands where something is mounted over does not see it.
cd /
mount -t proc proc "$tree/proc"
mount -t sysfs sys "$tree/sys"
for directory in dev run tmp; do
    mount -t tmpfs "$directory" "$tree/$directory"
done
# No device of the machine's but these.
for node in null zero full random urandom; do
    : > "$tree/dev/$node"
    mount --bind "/dev/$node" "$tree/dev/$node"
done
ln -s /proc/self/fd "$tree/dev/fd"
ln -s fd/0 "$tree/dev/stdin"
ln -s fd/1 "$tree/dev/stdout"
ln -s fd/2 "$tree/dev/stderr"
mkdir "$tree/run/netns"
exec chroot "$tree" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/tmp \
    KSFT_MACHINE_SLOW="${KSFT_MACHINE_SLOW:-no}" \
    /bin/bash -c 'ip link set lo up; cd "/selftests/$0" && exec "./$@"' "$@"
