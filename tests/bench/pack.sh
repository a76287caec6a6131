#!/bin/sh
# lockstep pack over a plain copy of the same bytes with the same durability (every file and its
# folder on the disk), on CIFAR-10's binary layout at its real size, interleaved; medians.
#
#   sh tests/bench/pack.sh [LOCKSTEP] [SRC]      (SRC: real files; without it generated ones)
#
# Prints one line; exit code 1 where the ratio is above 3. TMPDIR names the file system.
set -eu
lockstep=$(command -v "${1:-build/lockstep}") || { echo "pack.sh: no ${1:-build/lockstep}" >&2; exit 2; }
case $lockstep in /*) ;; *) lockstep=$PWD/$lockstep ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=${2:-$work/source}
if [ $# -lt 2 ]; then
    mkdir "$source"
    # Every record's label must be a class: bytes of one value 7 are records of class 7.
    for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
        head -c 30730000 /dev/zero | tr '\0' '\7' >"$source/$file.bin"
    done
    printf 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n' >"$source/batches.meta.txt"
fi
sync
now() { date +%s.%N; }
for round in warm 1 2 3 4 5; do
    start=$(now)
    mkdir "$work/copy"
    for file in "$source"/*; do cp "$file" "$work/copy/"; done
    sync "$work"/copy/* "$work/copy"
    middle=$(now)
    "$lockstep" pack cifar10 "$source" "$work/packed" >/dev/null
    end=$(now)
    rm -rf "$work/copy" "$work/packed"
    [ $round = warm ] || echo "$start $middle $end"
done >"$work/times"
awk '
    function median(a, n, i, j, t) {
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
        return a[int((n + 1) / 2)]
    }
    { copy[NR] = $2 - $1; pack[NR] = $3 - $2 }
    END {
        c = median(copy, NR); p = median(pack, NR)
        printf "pack CIFAR-10 %.2f s, copy %.2f s, ratio %.2f (at most 3)\n", p, c, p / c
        exit p / c > 3
    }' "$work/times"
