# shellcheck shell=sh
# What slurm/smoke.sbatch runs, without Slurm: one epoch on one GPU, under a minute.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

data=$(data_of "$(quickly 10000 640 16)" "$(quickly 2000 64 4)")
started=$(date +%s)
# A granted GPU is what --device auto takes; --device cpu is for trying this script.
if trained smoke 0 --data "$data" --model cnn --mode single --batch-per-rank 64 --epochs 1 \
    --device "$([ "$device" = cuda ] && echo auto || echo "$device")"; then
    check "the smoke run computes on $device" [ "$(field smoke/summary.csv device)" = "$device" ]
    check "the smoke run takes under a minute" [ $(($(date +%s) - started)) -lt 60 ]
    check "the smoke run learns: a loss below that of guessing" \
        awk -v l="$(field smoke/epochs.csv test_loss)" 'BEGIN { exit !(l < 2.3026) }'
fi
