#!/bin/sh
# Installs what lockstep needs on Debian (12 and 13) and Ubuntu, for the sets of purposes named:
#
#   sh slurm/packages.sh [build] [compile] [run] [cluster] [test] [pytorch]
#
# build: compiler, Meson and the libraries: what a compilation needs (compile), and what is not needed
# before the program runs (run). cluster: the test cluster of cluster.sh.
# test: the extras of tests/run.sh. pytorch: Debian's, of the CPU alone, for the tests that compare
# with it (600 MB). Without a name: build.
# Exit codes: 0 everything is there, 1 the installation failed, 2 bad use, 3 something is
# missing and this user may not install it (the command to run is printed).
set -eu

compile="meson ninja-build gcc g++ pkg-config libopenmpi-dev libpmix-dev libhdf5-dev libhwloc-dev
    libdnnl-dev libjpeg-dev libpng-dev libssl-dev libisal-dev libprotobuf-c-dev protobuf-c-compiler
    libjansson-dev libcurl4-openssl-dev"
run="openmpi-bin hdf5-tools gnuplot-nox"
cluster="slurm-wlm munge iproute2 util-linux procps"
test="hdf5-tools python3-venv procps curl libcap2-bin debootstrap"
pytorch="python3-torch python3-torchvision python3-pil python3-numpy"

wanted=
for set in "${@:-build}"; do
    case $set in
    build) wanted="$wanted $compile $run" ;;
    compile) wanted="$wanted $compile" ;;
    run) wanted="$wanted $run" ;;
    cluster) wanted="$wanted $cluster" ;;
    test) wanted="$wanted $test" ;;
    pytorch) wanted="$wanted $pytorch" ;;
    *)
        echo "packages.sh: unknown set '$set' (expected: build, compile, run, cluster, test, pytorch)" >&2
        exit 2
        ;;
    esac
done

# shellcheck disable=SC2086 # a list of names
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "packages.sh: neither Debian nor Ubuntu: install what corresponds to:" $wanted >&2
    exit 3
fi

# One query for all: the names that are installed, those that provide another name included
# (Ubuntu's libjpeg-turbo8-dev and Debian's libjpeg62-turbo-dev both provide libjpeg-dev).
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
    sed -n 's/^installed //p' | sed 's/([^)]*)//g; s/,/ /g' | tr -s ' \n' '  ')
missing=
for package in $wanted; do
    case " $installed $missing " in
    *" $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
missing=${missing# }

if [ "$(id -u)" -ne 0 ]; then
    echo "packages.sh: packages are missing; run: sudo apt-get install --no-install-recommends $missing" >&2
    exit 3
fi

echo "installing: $missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    # shellcheck disable=SC2086 # a list of names
    apt-get install -y -q --no-install-recommends $missing </dev/null >"$log" 2>&1
}
# The package lists may be absent (a fresh image) or old: fetch them only when they do not serve.
install || { apt-get update -q </dev/null >"$log" 2>&1 && install; } || {
    tail -n 20 "$log" >&2
    echo "packages.sh: apt-get could not install: $missing" >&2
    exit 1
}
