#!/bin/bash
# Runs inside fresh pid, mount, uts, ipc, net and cgroup namespaces and becomes a real systemd (PID 1).
#   boot.sh WORK ROOT      WORK: an empty directory; the machine's writable layer is a tmpfs there
# ROOT, this host's own or that of another Debian release, is below that layer: what the machine writes, it never
# sees.
set -euo pipefail
work=$1 below=$2
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$work"
mkdir "$work/layer" "$work/overlay" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=$below,upperdir=$work/layer,workdir=$work/overlay" "$root"

# A machine of its own: no identity, disks, consoles, clocks or services of the host's.
rm -f "$root/etc/machine-id" && : >"$root/etc/machine-id"
: >"$root/etc/fstab"
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
for unit in getty.target console-getty.service systemd-udevd.service systemd-udevd-control.socket \
  systemd-udevd-kernel.socket systemd-udev-trigger.service systemd-timesyncd.service \
  systemd-modules-load.service systemd-networkd.service systemd-networkd-wait-online.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root"/dev/{shm,pts,mqueue}
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<<"$device"
  mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"

# Version 2 alone, whatever the host has: all that releases of today want, and the only one that newer ones take.
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"

cd "$root"
pivot_root . mnt
cd /
umount -l /mnt
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=false </dev/null
