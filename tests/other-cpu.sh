#!/bin/sh
# The device's op tests on other processors: aarch64, cross-compiled and run by qemu's user emulation.
# By hand, in a Debian 13 root of its own (an architecture is added to it):
#
#   debootstrap --variant=minbase trixie ROOT && mount --rbind /proc ROOT/proc && mount --rbind /dev ROOT/dev
#   cp -r . ROOT/src && chroot ROOT sh /src/tests/other-cpu.sh [THREADS]
#
# x86's lesser sets of instructions need no other machine: the suites `ops cpu, avx2`, `ops cpu, sse41`
# and `processors` limit oneDNN and our own loops on this one.
set -eu
cd "$(dirname "$0")/.."
threads=${1:-1}
export DEBIAN_FRONTEND=noninteractive
dpkg --add-architecture arm64
apt-get update -q
apt-get install -y -q --no-install-recommends meson ninja-build pkg-config gcc qemu-user-static protobuf-c-compiler \
    libdnnl-dev:arm64 libisal-dev:arm64 libhdf5-dev:arm64 libhwloc-dev:arm64 libjpeg-dev:arm64 libssl-dev:arm64 \
    libprotobuf-c-dev:arm64 libpmix-dev:arm64 libopenmpi-dev:arm64
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
