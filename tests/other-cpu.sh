#!/bin/sh
# Other processors: aarch64, cross-compiled and run by qemu's user emulation. The device's op tests, the
# network's, and a short training whose losses must be those of device ref there, and of x86.
# By hand, in a Debian 13 root of its own (an architecture is added to it):
#
#   debootstrap --variant=minbase trixie ROOT && mount --rbind /proc ROOT/proc && mount --rbind /dev ROOT/dev
#   cp -r . ROOT/src && chroot ROOT sh /src/tests/other-cpu.sh [THREADS [EPOCHS.CSV]]
#
# EPOCHS.CSV: of the same training on x86 (the options stand below). Exit codes: 0 all is well, 1 it is
# not, 77 where arm64's packages cannot be had.
#
# x86's lesser sets of instructions need no other machine: the suites `ops cpu, avx2`, `ops cpu, sse41`
# and `processors` limit oneDNN and our own loops on this one.
set -eu
cd "$(dirname "$0")/.."
threads=${1:-1} x86=${2:-}
skip() { echo "not possible here: $*"; exit 77; }
export DEBIAN_FRONTEND=noninteractive
dpkg --add-architecture arm64
apt-get update -q || skip "no package lists"
apt-get install -y -q --no-install-recommends meson ninja-build pkg-config gcc qemu-user-static protobuf-c-compiler \
    libdnnl-dev:arm64 libisal-dev:arm64 libhdf5-dev:arm64 libhwloc-dev:arm64 libjpeg-dev:arm64 libpng-dev:arm64 libssl-dev:arm64 \
    libprotobuf-c-dev:arm64 libjansson-dev:arm64 libpmix-dev:arm64 libopenmpi-dev:arm64 || skip "no packages of arm64"
# libopenmpi-dev brings the compiler of the other architecture: this one's takes its place.
apt-get install -y -q --no-install-recommends gcc-14-aarch64-linux-gnu:amd64 cpp-14-aarch64-linux-gnu:amd64 \
    binutils-aarch64-linux-gnu:amd64
cat >build-aarch64.cross <<'CROSS'
[binaries]
c = 'aarch64-linux-gnu-gcc-14'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkg-config = 'aarch64-linux-gnu-pkg-config'
exe_wrapper = 'qemu-aarch64-static'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
CROSS
rm -rf build-aarch64
meson setup build-aarch64 --cross-file build-aarch64.cross --buildtype=release -Dwerror=true -Dcuda=disabled \
    -Demulated=disabled
ninja -C build-aarch64 tests/unit/test_ops tests/unit/test_network lockstep
qemu-aarch64-static build-aarch64/tests/unit/test_network cpu
# Without SVE, too: Neon alone is what most of these processors have.
for cpu in max cortex-a72; do
    echo "# $cpu"
    QEMU_CPU=$cpu qemu-aarch64-static build-aarch64/tests/unit/test_ops cpu "$threads"
done

# ---- a short training

lockstep() { qemu-aarch64-static build-aarch64/lockstep "$@"; }
data=build-aarch64/data
rm -rf $data build-aarch64/cpu build-aarch64/ref
lockstep pack synthetic $data --images 64 --test-images 32 --size 8 --seed 1
for device in cpu ref; do
    lockstep train --data $data --mode single --device $device --threads 1 --oversubscribe --epochs 1 \
        --global-batch 16 --seed 1 --verbose --results build-aarch64/$device
done

losses() { # EPOCHS.CSV -> "train_loss test_loss" of its last row
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i }
        END { print $column["train_loss"], $column["test_loss"] }' "$1"
}
compare() { # WHAT EPOCHS.CSV: within 0.1%
    # shellcheck disable=SC2046 # two numbers each
    set -- "$1" $(losses build-aarch64/cpu/epochs.csv) $(losses "$2")
    echo "# train and test loss on aarch64: $2 $3; $1: $4 $5"
    echo "$2 $3 $4 $5" | awk '{ exit !($1 > 0 && ($1 - $3) ^ 2 < (1e-3 * $3) ^ 2 && ($2 - $4) ^ 2 < (1e-3 * $4) ^ 2) }' ||
        { echo "FAIL: the losses of aarch64 are not those of $1"; exit 1; }
}
compare "device ref there" build-aarch64/ref/epochs.csv
[ -z "$x86" ] || compare x86 "$x86"

# A plan that a reference implementation runs, by its name in --verbose, is a warning, and the doctor's.
plans=$(sed -n 's/^plan  //p' build-aarch64/cpu/log.txt)
echo "$plans" | sed 's/^/# plan  /'
doctor=$(lockstep doctor --json --device cpu --oversubscribe | grep '"check": "kernels"')
echo "# doctor: $doctor"
if echo "$plans" | grep -qE '[ :]ref([: ]|$)'; then
    grep '^warning  slow plan: ' build-aarch64/cpu/log.txt || { echo "FAIL: no warning names the reference"; exit 1; }
fi
if echo "$plans" | grep -qE '^conv.*(: | / )ref'; then
    echo "$doctor" | grep -q '"warning"' || { echo "FAIL: the doctor does not name the reference"; exit 1; }
fi
