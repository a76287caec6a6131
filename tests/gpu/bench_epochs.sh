# shellcheck shell=sh
# 10 epochs of CIFAR-10 from start to finish: 50,000 and 10,000 images, generated, or real ones
# where LOCKSTEP_CIFAR10 names a folder of shards (`lockstep pack cifar10`).
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

epochs=$(quickly 10 2 1)
data=${LOCKSTEP_CIFAR10:-$(data_of "$(quickly 50000 640 8)" "$(quickly 10000 64 4)")}
kind=$([ -n "${LOCKSTEP_CIFAR10:-}" ] && echo real || echo generated)
wanted=$(quickly "$([ "$device" = cuda ] && echo bf16 tf32 fp32 || echo fp32)" fp32)
echo precision,images,epochs,training_seconds,images_per_second,evaluation_seconds,start_to_first_step_seconds,total_seconds,best_test_accuracy,energy_joules >"$GPU_OUT/epochs.csv"
for precision in $wanted; do
    trained "epochs-$precision" 0 --device "$device" --precision "$precision" --data "$data" --epochs "$epochs" \
        --batch-per-rank 64 || continue
    pass "$epochs epochs in $precision"
    {
        printf '%s,%s' "$precision" "$(field "epochs-$precision/summary.csv" train_images_per_epoch)"
        for column in epochs training_seconds images_per_second evaluation_seconds \
            start_to_first_step_seconds total_seconds best_test_accuracy rank_gpu_energy_joules; do
            printf ',%s' "$(field "epochs-$precision/summary.csv" $column)"
        done
        echo
    } >>"$GPU_OUT/epochs.csv"
done
{
    echo "Batch 64, $kind images, start to finish of the process."
    echo
    awk -F, 'NR == 1 { gsub(/_/, " "); sep = $0; gsub(/[^,]+/, "---", sep) }
        { gsub(/,/, " | "); print "| " $0 " |" }
        NR == 1 { gsub(/,/, "|", sep); print "|" sep "|" }' "$GPU_OUT/epochs.csv"
} >"$GPU_WORK/bench_epochs.md"
name="10 epochs of CIFAR-10 in bf16 train in at most 2 s (an H200)"
seconds=$(field epochs-bf16/summary.csv training_seconds 2>/dev/null)
case $(field epochs-bf16/summary.csv rank_devices 2>/dev/null) in
*H200*)
    if at_most "$seconds" 2; then pass "$name: $seconds s"; else fail "$name" "$seconds s"; fi
    ;;
*) skip "$name" "not an H200${seconds:+; it took $seconds s}" ;;
esac
