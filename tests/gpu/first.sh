# shellcheck shell=sh
# The short answer, in 90 s: does it train in bf16, and if not as it is, then without which of its
# ways (LOCKSTEP_CUDA_AVOID, --no-graph); are its losses those of fp32 on cpu; how long is a step, by
# the epochs' clock, and how does it divide; which engines and algorithms were chosen. Batch 64, the
# size of CIFAR-10.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"
precision=bf16
[ "$device" = cuda ] || precision=fp32
batch=$(quickly 64 16 4)
common="--device $device --precision $precision --global-batch $batch"
small=$(data_of "$(quickly 1280 320 20)" "$(quickly 64 64 4)")
sgd="--optimizer sgd --learning-rate 0.01 --momentum 0.9 --epochs 1 --seed 5 --step-log --data $small"

# ---- does it run? What is found goes for every part after this one.

# A line each: what to avoid, options of train.
ways='as it is
avoid fused-sums
avoid fused-bias,fused-sums
avoid cublaslt
avoid cudnn
options --no-graph
avoid cublaslt,cudnn'
try() { # WORDS OF A LINE
    case $1 in
    avoid) echo "export LOCKSTEP_CUDA_AVOID=$2" >way ;;
    options) echo "way_options=$2" >way ;;
    *) rm -f way ;;
    esac
    unset LOCKSTEP_CUDA_AVOID
    way_options=''
    # shellcheck source=/dev/null
    [ ! -f way ] || . ./way
    # One that hangs must leave time for the others.
    most_seconds=25
    # shellcheck disable=SC2086
    train "$device-$precision" 0 $common $sgd
    code=$?
    most_seconds=60
    return $code
}
find_way() {
    echo "$ways" >ways
    while read -r line <&4; do
        way=$line
        # shellcheck disable=SC2086
        try $line 4<&- && return 0
        code=$?
        refusal=$(grep -E '^lockstep: |error while loading' "$device-$precision.log" | head -n 1)
        if [ $code -eq 3 ] || [ $code -eq 127 ]; then
            echo "${refusal:-exit code $code}" | sed 's/^lockstep: //' >no-device
            fail "$device opens: $(cat no-device)"
            return 1
        fi
        fail "$precision trains, $line" "exit code $code" "${refusal:-it said nothing}"
        if [ "$(seconds_left)" -le 15 ] || [ "$device" != cuda ]; then break; fi
    done 4<ways
    rm -f way
    return 1
}
if ! find_way; then
    {
        echo "**It does not train:**"
        echo
        cat no-device 2>/dev/null || grep '^lockstep: ' "$device-$precision.log"
    } >first.md
    [ -s no-device ] && exit 0
    # Which op is it?
    run_tap "products" "$(program test_ops)" "$device" $precision products
    run_tap "convolutions" "$(program test_ops)" "$device" $precision convolutions
    exit 0
fi
pass "$precision trains, $way"

# ---- is it right?
# shellcheck disable=SC2086
if train cpu-fp32 0 --device cpu --global-batch "$batch" $sgd; then
    follows_fp32 "$precision" cpu-fp32 "$device-$precision" | tee right
else
    fail "fp32 trains on cpu" "$(grep '^lockstep: ' cpu-fp32.log | head -n 1)" | tee right
fi

# ---- how long is a step, and where does it go?

data=$(data_of "$(quickly 50000 640 8)" "$(quickly 10000 64 4)")
epochs=$(quickly 3 2 1)
# shellcheck disable=SC2086
trained steps 0 $common --data "$data" --epochs "$epochs" && pass "$epochs epochs of CIFAR-10's size train"
# shellcheck disable=SC2086
trained profiled 0 $common --data "$data" --epochs 1 --profile "$(quickly 50 5 1)" && pass "a profile is taken"

last_epoch() { # COLUMN
    field steps/epochs.csv "$1" "$epochs"
}
step_line() {
    awk -v s="$(last_epoch training_seconds)" -v n="$(last_epoch images)" -v batch="$batch" -v floor="$(field steps/summary.csv step_floor_seconds)" 'BEGIN {
        if (n + 0 == 0) { print "not measured"; exit }
        step = s / n * batch
        printf "%.1f us by the last epoch\047s clock", 1e6 * step
        if (floor > 0) printf ", %.2f times its floor of %.1f us", step / floor, 1e6 * floor
        print ""
    }'
}
{
    echo "- trains in $precision at batch $batch: $way"
    sed -n -E 's/^(device|GPU driver|CUDA graph)  */- \1: /p' "$device-$precision.log"
    sed -n 's/^ *0  *[^ ]*  \(.*\)/- rank 0: \1/p' "$device-$precision.log" | head -n 1
    # What a library refused, and what was taken instead.
    sed -n -E 's/^(warning|refused)  */- **\1**: /p' "$device-$precision.log" | head -n 12
    sed -e 's/^ok - /- right: /' -e 's/^not ok - /- **WRONG**: /' -e 's/^# /  /' right
    echo "- a step of $batch images: $(step_line)"
    echo "- $epochs epochs of $(last_epoch images) images: $(field steps/summary.csv training_seconds) s of training, test accuracy $(last_epoch test_accuracy) (generated images)"
    echo
    echo "How a step divides (a profile's steps are eager, with events around each range: shares, not times):"
    echo
    echo "| layer | phase | share | over its floor |"
    echo "|---|---|---|---|"
    awk -F, 'NR > 1 { layer[NR] = $2; phase[NR] = $3; s[NR] = $4; floor[NR] = $7; sum += $4 }
        END { for (i = 2; i <= NR; i++) if (s[i] > 0)
            printf("| %s | %s | %.1f%% | %s |\n", layer[i], phase[i], 100 * s[i] / sum, floor[i] > 0 ? sprintf("%.2f", s[i] / floor[i]) : "") }' profiled/layers.csv
    echo
    echo "Engines and algorithms:"
    echo
    sed -n 's/^plan  /    /p' steps.log
} >first.md
name="a step takes at most 2.5 times its floor (an H200)"
case $(field steps/summary.csv rank_devices 2>/dev/null) in
*H200*) check "$name: $(step_line)" awk -v line="$(step_line)" 'BEGIN { exit !(match(line, /[0-9.]+ times/) && substr(line, RSTART) + 0 <= 2.5) }' ;;
*) skip "$name" "not an H200" ;;
esac
