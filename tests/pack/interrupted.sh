#!/bin/sh
# lockstep pack that is interrupted, or meets a full disk: one line, the right exit code, and
# everything as it was.
#
#   LOCKSTEP=build/lockstep sh tests/pack/interrupted.sh
set -eu
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

# 200,000 images take seconds; the signal comes once the packing has begun its files.
interrupt() { # NAME SIGNAL CODE WORD
    # A background job of a script ignores SIGINT unless it is told otherwise.
    env --default-signal="$2" "$lockstep" pack synthetic deep/er/out --images 200000 --shards 40 >out.txt 2>err.txt &
    pid=$!
    tries=0
    while [ -z "$(ls -A deep/er/out 2>/dev/null)" ] && [ $tries -lt 300 ]; do sleep 0.02; tries=$((tries + 1)); done
    kill -s "$2" $pid
    found=0
    wait $pid || found=$?
    if [ $found = "$3" ] && [ "$(wc -l <err.txt)" = 1 ] && grep -q "interrupted by SIG$2" err.txt &&
        [ ! -s out.txt ] && [ ! -e deep ]; then
        passed "$1"
    else
        { echo "exit code $found"; cat out.txt err.txt; find deep; } >say.txt 2>&1
        failed "$1" say.txt
    fi
    rm -rf deep
}
interrupt "Ctrl-C removes what was begun" INT 130
interrupt "SIGTERM removes what was begun" TERM 143
interrupt "SIGHUP removes what was begun" HUP 129
interrupt "SIGXCPU removes what was begun" XCPU 152
interrupt "SIGUSR1 removes what was begun" USR1 138

# SIGKILL leaves its shards; the next pack into the folder removes them.
"$lockstep" pack synthetic swept --images 200000 --shards 40 >out.txt 2>err.txt &
pid=$!
tries=0
while [ -z "$(find swept -name '.*.h5*.tmp' 2>/dev/null)" ] && [ $tries -lt 300 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
kill -s KILL $pid
wait $pid || true
left=$(find swept -name '.*.h5*.tmp' | wc -l)
"$lockstep" pack synthetic swept --images 500 --test-images 50 >out.txt 2>err.txt
[ "$left" -gt 0 ] && [ "$(ls -A swept | tr '\n' ' ')" = "manifest.h5 test-00000.h5 train-00000.h5 " ] &&
    passed "what a killed pack left is swept" || { ls -A swept >say.txt; failed "what a killed pack left is swept" say.txt; }

"$lockstep" pack synthetic kept --images 500 --test-images 50 >out.txt
before=$(cat kept/* | cksum)
env --default-signal=INT "$lockstep" pack synthetic kept --force --images 200000 --shards 40 >out.txt 2>err.txt &
pid=$!
tries=0
while [ "$(ls -A kept | wc -l)" -lt 4 ] && [ $tries -lt 300 ]; do sleep 0.02; tries=$((tries + 1)); done
kill -s INT $pid
found=0
wait $pid || found=$?
[ $found = 130 ] && [ "$before" = "$(cat kept/* | cksum)" ] && [ "$(ls -A kept | wc -l)" = 3 ] &&
    passed "an interrupted --force leaves the old data set" || failed "an interrupted --force leaves the old data set" err.txt

# A limit on the size of files is an error of write(2), as a full disk is, and needs no privilege.
refused "a write that fails" 1 "out/t" out \
    sh -c 'ulimit -f 1000; exec "$@"' sh "$lockstep" pack synthetic out --images 2000 --threads 2
mkdir stays
refused "a folder that was there stays" 1 "stays/t" "" \
    sh -c 'ulimit -f 1000; exec "$@"' sh "$lockstep" pack synthetic stays --images 2000
check "and is empty" sh -c '[ -d stays ] && [ -z "$(ls -A stays)" ]'

# A disk that is really full: a small file system of our own, where mounting is allowed.
full() { # KIBIBYTES
    mkdir -p disk
    unshare --mount --map-root-user sh -c '
        mount -t tmpfs -o size='"$1"'k none disk || exit 99
        "$1" pack synthetic disk/out --images 1000 --test-images 100 --shards 2 >out.txt 2>err.txt
        code=$?
        find disk -mindepth 1 >left.txt
        exit $code' sh "$lockstep"
}
if unshare --mount --map-root-user sh -c 'mkdir -p disk && mount -t tmpfs none disk' 2>/dev/null; then
    for size in 4 16 500 1600 3000 3300 3312 3320; do
        found=0
        full $size || found=$?
        if [ $found = 1 ] && [ "$(wc -l <err.txt)" = 1 ] && grep -q 'disk/out.*No space left on device' err.txt &&
            [ ! -s left.txt ] && [ ! -s out.txt ]; then
            passed "a disk of $size KiB is full"
        else
            { echo "exit code $found"; cat out.txt err.txt left.txt; } >say.txt
            failed "a disk of $size KiB is full" say.txt
        fi
    done
    found=0
    full 20000 || found=$?
    [ $found = 0 ] && passed "a larger one is not" || failed "a larger one is not" err.txt
else
    skipped "a full disk" "mounting is not allowed here"
fi
finish
