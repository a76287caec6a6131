#!/bin/sh
# data/cifar10.sh: from a local copy, from a "network" that is a folder, resumed, wrong, absent.
#
#   LOCKSTEP=build/lockstep sh tests/pack/cifar10_script.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
script=$here/../../data/cifar10.sh
export LOCKSTEP="$lockstep"

make_cifar cifar-10-batches-bin 20
tar -czf copy.tar.gz cifar-10-batches-bin
CIFAR10_SHA256=$(sha256sum <copy.tar.gz | cut -d ' ' -f 1)
export CIFAR10_SHA256
fails() { # NAME CODE TEXT ARGUMENT...
    name=$1 code=$2 text=$3
    shift 3
    found=0
    sh "$script" "$@" >out.txt 2>err.txt || found=$?
    if [ $found = "$code" ] && [ "$(wc -l <err.txt)" = 1 ] && grep -q -F -e "$text" err.txt && [ ! -e out ]; then
        passed "$name"
    else
        { echo "exit code $found, expected $code and '$text'"; cat out.txt err.txt; } >say.txt
        failed "$name" say.txt
    fi
}

check "a local copy is packed" sh "$script" --archive copy.tar.gz local
check "and whole" "$lockstep" pack --verify local
fails "a folder that holds a data set" 2 "found manifest.h5" --archive copy.tar.gz local
fails "an archive that is not there" 2 "none.tar.gz" --archive none.tar.gz out
printf x >wrong.tar.gz
fails "another archive" 1 "expected SHA-256" --archive wrong.tar.gz out
fails "an unknown option" 2 "'--what'" --what
if command -v curl >/dev/null; then
    # A file: address stands for the network, which tests do not have.
    CIFAR10_URL=file://$work/copy.tar.gz
    export CIFAR10_URL
    head -c 1000 copy.tar.gz >fetched.download.tar.gz
    check "a download goes on where it stopped" sh "$script" fetched
    check "and is packed" "$lockstep" pack --verify fetched
    check "and leaves no archive" test ! -e fetched.download.tar.gz
    CIFAR10_URL=http://127.0.0.1:9/cifar.tar.gz
    fails "no network" 1 "cannot fetch http://127.0.0.1:9" out
else
    skipped "a download" "no curl"
fi
finish
