# shellcheck shell=sh
# fp16: a gradient overflows, the update is skipped and counted, the loss scale halves, training
# goes on. At a batch of one image the loss's gradient at the true class is (p - 1) * 65536, which is
# beyond fp16's 65504 as soon as p < 0.0005: Adam's first updates at ten times the usual learning
# rate make the network sure of itself and wrong, at the second step already.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

where=$device
if [ "$device" = cpu ]; then
    where=ref # cpu has no fp16
fi
images=$(quickly 640 5 8)
data=$(data_of "$images" 5)
# shellcheck disable=SC2086
trained overflow 0 --device $where --precision fp16 --data "$data" --global-batch 1 --epochs 1 \
    --learning-rate 0.01 --step-log || exit 1
skipped=$(field overflow/summary.csv skipped_updates)
scale=$(field overflow/summary.csv final_loss_scale)
echo "# $skipped updates skipped, loss scale $scale at the end"
check "fp16: a gradient overflowed and its update was skipped" at_most 1 "${skipped:-0}"
check "fp16: the loss scale was halved for each" \
    awk -v s="${scale:-0}" -v n="${skipped:-0}" 'BEGIN { exit !(n >= 1 && s == 65536 / 2 ^ n) }'
check "fp16: the log counts them" grep -q "$skipped updates* skipped, loss scale" overflow.log
check "fp16: every loss is finite and training went on" awk -F, -v n="$images" '
    NR > 1 && ($3 != $3 + 0 || $3 > 1e6) { bad = 1; print "# step " $1 ": loss " $3 }
    END { exit bad || NR - 1 != n }' overflow/steps.csv
