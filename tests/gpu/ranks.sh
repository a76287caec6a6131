# shellcheck shell=sh
# 2 and 4 ranks on the one GPU follow one rank at the same global batch, loss by loss, in dp and ddp.
#
# fp32: over these 40 steps of SGD only the order of sums differs and is little amplified (on cpu:
# 20 steps within 1e-8, 2e-5 apart at step 50; training.sh says why 5e-3 is allowed after 10). bf16: each rank's sums are rounded to 2^-8.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"
have_mpirun || { skip "several ranks on the one device" "no mpirun"; exit 0; }

data=$(data_of "$(quickly 2592 160 10)" "$(quickly 64 64 4)")
common="--device $device --data $data --epochs 1 --seed 5 --global-batch $(quickly 64 16 4) --step-log
    --optimizer sgd --learning-rate 0.01 --momentum 0.9"

follows() { # NAME REFERENCE EARLY LATE
    early=$(loss_difference 10 "$2/steps.csv" "$1/steps.csv")
    late=$(loss_difference 1000 "$2/steps.csv" "$1/steps.csv")
    echo "# $1: largest difference of the first 10 losses ${early%% *} ($3 allowed), of all ${late%% *} ($4 allowed)"
    [ "$(wc -l <"$2/steps.csv")" -eq "$(wc -l <"$1/steps.csv")" ] && at_most "${early%% *}" "$3" && at_most "${late%% *}" "$4"
}
# shellcheck disable=SC2046,SC2086
trained one 0 $common || exit 1
for ranks in 2 4; do
    for mode in ddp dp; do
        # shellcheck disable=SC2046,SC2086
        trained "$mode-$ranks" $ranks $common --mode $mode $(sharing) || continue
        check "fp32: $mode on $ranks ranks follows one" follows $mode-$ranks one 1e-5 5e-3
        [ "$device" = cuda ] || continue
        check "$mode on $ranks ranks of one GPU: the header says mpi, and why" \
            grep -Eq '^communication +mpi \(.*GPU' "$mode-$ranks.log"
    done
done
if [ "$device" = cuda ]; then
    # shellcheck disable=SC2046,SC2086
    if trained one-bf16 0 $common --precision bf16 && trained ddp-bf16 2 $common --mode ddp --precision bf16 $(sharing); then
        check "bf16: ddp on 2 ranks follows one" follows ddp-bf16 one-bf16 0.009 0.05
    fi
fi
