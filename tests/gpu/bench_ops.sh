# shellcheck shell=sh
# Each op's time against its floor (tests/bench/floor.h); memory-bound kernels of ours have a bar.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

csv=$GPU_OUT/op_floor.csv
# shellcheck disable=SC2046
limit 60 "$(program op_floor)" "$device" "$csv" --precisions "$(precisions | tr ' ' ',')" \
    --batches "$(quickly 64,512,4096 16 1)" $([ "$GPU_QUICK" = yes ] && echo --small) \
    --threads "$(quickly "$(getconf _NPROCESSORS_ONLN)" 1)" >op_floor.log 2>&1
code=$?
sed 's/^/# /' op_floor.log
if [ $code -eq 0 ]; then
    pass "op_floor measured every op"
else
    fail "op_floor measured every op" "exit code $code" "$(grep '^op_floor:' op_floor.log)"
fi
{
    echo '```'
    cat op_floor.log
    echo '```'
} >"$GPU_WORK/bench_ops.md"
if [ "$device" != cuda ] || [ "$GPU_QUICK" = yes ]; then
    skip "memory-bound kernels reach 80% of the copy bandwidth" "it is asked of a GPU, at full sizes"
    exit 0
fi
awk -F, 'NR > 1 && $10 != "" {
    printf "%sok - %s %s, %s: %.0f%% of the copy bandwidth (at least 80%%)\n", $9 < $10 ? "not " : "", $1, $2, $3, 100 * $9
}' "$csv"
