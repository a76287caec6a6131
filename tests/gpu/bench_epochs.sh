# shellcheck shell=sh
# 10 epochs of CIFAR-10 from start to finish: 50,000 and 10,000 images, generated, or real ones
# where LOCKSTEP_CIFAR10 names a folder of shards (`lockstep pack cifar10`). In the precisions of the
# arguments, those that the device has.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

epochs=$(quickly 10 2 1)
data=${LOCKSTEP_CIFAR10:-$(data_of "$(quickly 50000 640 8)" "$(quickly 10000 64 4)")}
kind=$([ -n "${LOCKSTEP_CIFAR10:-}" ] && echo real || echo generated)
echo precision,images,epochs,training_seconds,images_per_second,evaluation_seconds,start_to_first_step_seconds,total_seconds,best_test_accuracy,energy_joules >epochs.csv
for precision; do
    case " $(precisions) " in
    *" $precision "*) ;;
    *)
        skip "$epochs epochs in $precision" "$device computes in $(precisions)"
        continue
        ;;
    esac
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
    } >>epochs.csv
done
{
    echo "Batch 64, $kind images, start to finish of the process."
    echo
    awk -F, 'NR == 1 { gsub(/_/, " "); sep = $0; gsub(/[^,]+/, "---", sep) }
        { gsub(/,/, " | "); print "| " $0 " |" }
        NR == 1 { gsub(/,/, "|", sep); print "|" sep "|" }' epochs.csv
} >"$GPU_PART.md"
case " $* " in *' bf16 '*) ;; *) exit 0 ;; esac
name="10 epochs of CIFAR-10 in bf16 train in at most 0.8 s (an H200)"
seconds=$(field epochs-bf16/summary.csv training_seconds 2>/dev/null)
case $(field epochs-bf16/summary.csv rank_devices 2>/dev/null) in
*H200*)
    if at_most "$seconds" 0.8; then pass "$name: $seconds s"; else fail "$name" "$seconds s"; fi
    ;;
*) skip "$name" "not an H200${seconds:+; it took $seconds s}" ;;
esac
