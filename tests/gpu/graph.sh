# shellcheck shell=sh
# For each precision in the arguments, and `nccl`:
# A step that is replayed from a CUDA graph gives the bits of the same step run eagerly: every loss,
# the test loss, and the parameters at the end. Augmented, two epochs, a ragged last batch. The same
# plans for both: what rank 0 timed in the first run, the second reads (gpu.sh's cache of plans).
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

data=$(data_of "$(quickly 2592 120 10)" "$(quickly 64 64 4)")
common="--device $device --data $data --epochs 2 --seed 7 --global-batch $(quickly 64 16 4) --step-log --augment crop-flip"

same() { # A B: the same bits
    cmp "$1/steps.csv" "$2/steps.csv" || return 1
    for column in train_loss test_loss; do
        for epoch in 1 2; do
            [ "$(field "$1/epochs.csv" $column $epoch)" = "$(field "$2/epochs.csv" $column $epoch)" ] || {
                echo "# $column of epoch $epoch differs"
                return 1
            }
        done
    done
    for column in plan_id parameters_hash; do
        [ "$(field "$1/summary.csv" $column)" = "$(field "$2/summary.csv" $column)" ] || {
            echo "# $column differs: $(field "$1/summary.csv" $column) and $(field "$2/summary.csv" $column)"
            return 1
        }
    done
}
pair() { # NAME RANKS OPTION...
    pair=$1 pair_ranks=$2
    shift 2
    # shellcheck disable=SC2086
    trained "graph-$pair" "$pair_ranks" $common "$@" || return
    # shellcheck disable=SC2086
    trained "eager-$pair" "$pair_ranks" $common "$@" --no-graph || return
    if [ "$device" = cuda ]; then
        check "$pair: the steps of the first run were a graph" [ "$(field "graph-$pair/summary.csv" graph)" = yes ]
        check "$pair: the steps of the second were not" [ "$(field "eager-$pair/summary.csv" graph)" != yes ]
    fi
    check "$pair: graph and eager give the same bits" same "graph-$pair" "eager-$pair"
}
for kind; do
    case $kind in
    nccl)
        if [ "$device" != cuda ]; then
            skip "ddp over NCCL as a graph" "NCCL needs a GPU"
        elif have_mpirun; then
            pair nccl 1 --mode ddp --comm nccl
        else
            skip "ddp over NCCL as a graph" "no mpirun"
        fi
        ;;
    *)
        case " $(quickly "$(precisions)" "$(precisions)" "fp32 bf16") " in
        *" $kind "*) pair "$kind" 0 --precision "$kind" ;;
        *) skip "$kind: graph and eager" "$device computes in $(precisions), or the sizes are small" ;;
        esac
        ;;
    esac
done
if [ -d graph-fp32 ]; then
    # shellcheck disable=SC2086
    trained again 0 $common --precision fp32 &&
        check "the same run again gives the same bits" same graph-fp32 again
fi
