# shellcheck shell=sh
# Each op's time against its floor (tests/bench/floor.h) at the batches of the first argument, in the
# precisions of the others; memory-bound kernels of ours have a bar. What was measured until the time
# was used up stands in the table and in op_floor.csv.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

batches=$1
shift
wanted=$(for each; do case " $(precisions) " in *" $each "*) echo "$each" ;; esac; done | paste -s -d, -)
what="op_floor measured every op at $batches in $wanted"
if [ -z "$wanted" ]; then
    skip "op_floor at $batches" "$device computes in $(precisions)"
    exit 0
fi
# shellcheck disable=SC2046
streamed op_floor.log 's/^/# /' 100 "$(program op_floor)" "$device" op_floor.csv --precisions "$wanted" \
    --batches "$(quickly "$batches" 16 1)" $([ "$GPU_QUICK" = yes ] && echo --small) \
    --threads "$(quickly "$(getconf _NPROCESSORS_ONLN)" 1)"
code=$?
case $code in
0) pass "$what" ;;
124 | 137) no_time "$what" ;;
*) fail "$what" "exit code $code" "$(grep '^op_floor:' op_floor.log)" ;;
esac
{
    echo '```'
    cat op_floor.log
    echo '```'
} >"$GPU_PART.md"
if [ "$device" != cuda ] || [ "$GPU_QUICK" = yes ]; then
    skip "memory-bound kernels reach 80% of the copy bandwidth" "it is asked of a GPU, at full sizes"
    exit 0
fi
awk -F, 'NR > 1 && NF == 10 && $10 != "" {
    printf "%sok - %s %s, %s: %.0f%% of the copy bandwidth (at least 80%%)\n", $9 < $10 ? "not " : "", $1, $2, $3, 100 * $9
}' op_floor.csv
