#!/bin/sh
# What slurm/lockstep.def does, without Apptainer: its %post and %test in a fresh Debian by debootstrap.
#
#   sh tests/apptainer.sh [RELEASE]     (trixie, as the definition has it)
#
# By hand, as root: some minutes, 3 GB below TMPDIR (/var/tmp). The mirror: LOCKSTEP_MIRROR, else
# deb.debian.org. Exit codes: 0 both sections ended well, 1 one did not, 77 not possible here.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
definition=$repository/slurm/lockstep.def
release=${1:-trixie}
[ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null || { echo "not possible here: needs root and debootstrap"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/lockstep-def.XXXXXX")
root=$work/root
finish() {
    umount "$root/proc" "$root/dev/shm" 2>/dev/null || :
    # Nothing of this machine may be below it when it goes.
    if grep -q " $root/" /proc/mounts; then echo "left: $work"; else rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

section() { # NAME: its lines
    awk -v name="%$1" '/^%/ { inside = ($1 == name); next } inside' "$definition"
}

kept=${XDG_CACHE_HOME:-$HOME/.cache}/lockstep-systems/$release-$(dpkg --print-architecture).tar
mkdir -p "$root"
if [ -f "$kept" ]; then # tests/other-system.sh made it
    tar -C "$root" --numeric-owner -xf "$kept"
else
    debootstrap --variant=minbase "$release" "$root" "${LOCKSTEP_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 ||
        { tail -n 3 "$work/log"; echo "not possible here: debootstrap"; exit 77; }
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
for file in /etc/apt/apt.conf.d/*; do # a proxy, say
    [ ! -f "$file" ] || grep -q -i proxy "$file" && cp "$file" "$root/etc/apt/apt.conf.d/" || :
done
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm" "$root/usr/local/src/lockstep"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
git -C "$repository" ls-files -z --cached --others --exclude-standard |
    tar -C "$repository" --null --files-from=- -c 2>/dev/null | tar -C "$root/usr/local/src/lockstep" -x
for name in post test; do
    echo "== %$name"
    section $name >"$root/tmp/$name.sh"
    chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" sh -e "/tmp/$name.sh"
done
