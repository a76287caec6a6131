# shellcheck shell=sh
# A training step of the model of the first argument at the batches of the second, in the precisions of
# the others, against PyTorch on the same device (tests/bench/gpu_peer.py).
# LOCKSTEP_PEER_PYTHON names a Python that can import torch; torchvision, for another model than the CNN.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

model=$1 batches=$2
shift 2
needs=torch
[ "$model" = cnn ] || needs=torch,torchvision
python=${LOCKSTEP_PEER_PYTHON:-python3}
if ! limit 60 "$python" -c "import $needs; assert '$device' == 'cpu' or torch.cuda.is_available()" 2>peer.err; then
    reason=$(tail -n 1 peer.err)
    skip "$model against PyTorch" "$python: ${reason:-cannot import $needs with this device}"
    exit 0
fi
left=$((GPU_END - $(date +%s) - 8))
if [ "$left" -lt 10 ]; then
    no_time "$model against PyTorch"
    exit 0
fi
# shellcheck disable=SC2046
streamed peer.log '' $((left / GPU_PATIENCE)) "$python" "$GPU_TOP/tests/bench/gpu_peer.py" "$(program step_rate)" --device "$device" \
    --model "$model" $([ "$GPU_QUICK" = yes ] && echo --side 64) \
    --precisions "$(echo "$*" | tr ' ' ',')" --batches "$batches" \
    --csv pytorch.csv --markdown "$GPU_PART.md" --seconds $((left - 6)) \
    $([ "$GPU_QUICK" = yes ] && echo --quick)
code=$?
case $code in
0) pass "the comparison with PyTorch ran to its end" ;;
124 | 137) no_time "the comparison with PyTorch ran to its end" ;;
*) fail "the comparison with PyTorch ran to its end" "exit code $code" "$(tail -n 1 peer.log)" ;;
esac
